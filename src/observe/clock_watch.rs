//! Tells a wrong clock on this machine from stale requests.

use std::sync::atomic::{AtomicU64, Ordering};

/// Fewer authentic deliveries than this say nothing about the clock.
const MIN_SAMPLES: u32 = 8;

/// The last 63 authentic deliveries as bits, 1 for one outside of the tolerance, under a leading 1.
#[derive(Debug)]
pub(crate) struct ClockWatch {
    history: AtomicU64,
}

impl Default for ClockWatch {
    fn default() -> Self {
        Self { history: AtomicU64::new(1) }
    }
}

impl ClockWatch {
    /// Records a delivery; `true` when the clock has become suspect with it.
    pub(crate) fn record(&self, fresh: bool) -> bool {
        let push = |history: u64| {
            let samples = history << 1 | u64::from(!fresh);
            // The leading 1 falls off the top of a full history; it is put back.
            if history >> 63 == 1 { samples | 1 << 63 } else { samples }
        };
        // Fresh after fresh leaves a full history as it is: nothing to write on the happy path.
        let before = self.history.load(Ordering::Relaxed);
        if push(before) == before {
            return false;
        }
        let before = self
            .history
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |history| Some(push(history)))
            .unwrap_or(before);
        suspect(push(before)) && !suspect(before)
    }

    /// Whether more than half of the latest authentic deliveries were outside of the tolerance.
    pub(crate) fn is_suspect(&self) -> bool {
        suspect(self.history.load(Ordering::Relaxed))
    }
}

fn suspect(history: u64) -> bool {
    let samples = 63 - history.leading_zeros();
    let stale = history.count_ones() - 1;
    samples >= MIN_SAMPLES && stale * 2 > samples
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(deliveries: impl IntoIterator<Item = bool>) -> (ClockWatch, usize) {
        let watch = ClockWatch::default();
        let alarms = deliveries.into_iter().filter(|fresh| watch.record(*fresh)).count();
        (watch, alarms)
    }

    #[test]
    fn a_few_say_nothing() {
        let (watch, alarms) = after([false; 7]);
        assert!(!watch.is_suspect());
        assert_eq!(alarms, 0);
        assert!(watch.record(false));
        assert!(watch.is_suspect());
    }

    #[test]
    fn more_than_half_are_suspect() {
        let third_stale = (0..200).map(|index| index % 3 != 0);
        assert!(!after(third_stale.clone()).0.is_suspect());
        let (watch, alarms) = after(third_stale.chain([false; 20]));
        assert!(watch.is_suspect());
        assert_eq!(alarms, 1);
    }

    #[test]
    fn recovers() {
        let (watch, alarms) = after([false; 100].into_iter().chain([true; 40]));
        assert!(!watch.is_suspect());
        assert_eq!(alarms, 1);
        let (watch, alarms) = after([true; 1_000].into_iter().chain([false; 31]));
        assert!(!watch.is_suspect());
        assert_eq!(alarms, 0);
        assert!(watch.record(false));
    }
}
