//! Spans of time in the place of pages. No I/O.

/// A span of creation times in Unix seconds, both ends included; without `until`, open to the future.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub(super) from: u64,
    pub(super) until: Option<u64>,
}

impl Window {
    pub(super) fn contains(self, created: u64) -> bool {
        created >= self.from && self.until.is_none_or(|until| created <= until)
    }

    /// Its two parts, the older one first, given the creation times of some of its events, in the order in which they
    /// came. `None` where it is one second, or nothing is in it.
    ///
    /// The order of answers is documented nowhere. Where one is sorted, the cut is where it ends, so that the part that
    /// it covers is read once more and is then complete; else it is in the middle. It is right in either case.
    pub(super) fn divide(self, created: &[u64]) -> Option<Vec<Self>> {
        let (min, max) = (*created.iter().min()?, *created.iter().max()?);
        // The second from which on the upper part begins.
        let cut = if created.is_sorted_by(|a, b| a >= b) {
            // Newest first. What is of the last one's second may not all be there.
            min.saturating_add(1)
        } else if created.is_sorted() {
            max
        } else {
            let mut sorted = created.to_vec();
            sorted.sort_unstable();
            sorted[sorted.len() / 2]
        };
        // What is open ends where numbers do.
        let end = self.until.unwrap_or(u64::MAX);
        if self.from >= end {
            return None;
        }
        // Both parts must be smaller than the whole.
        let cut = cut.clamp(self.from + 1, end);
        Some(vec![Self { from: self.from, until: Some(cut - 1) }, Self { from: cut, until: self.until }])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn window(from: u64, until: impl Into<Option<u64>>) -> Window {
        Window { from, until: until.into() }
    }

    #[test]
    fn a_window_is_cut_where_a_sorted_answer_ends() {
        assert_eq!(window(0, 100).divide(&[90, 80, 80, 70]), Some(vec![window(0, 70), window(71, 100)]));
        assert_eq!(window(0, 100).divide(&[10, 20, 20, 30]), Some(vec![window(0, 29), window(30, 100)]));
        assert_eq!(window(0, 100).divide(&[30, 10, 20]), Some(vec![window(0, 19), window(20, 100)]));
        assert_eq!(window(0, None).divide(&[9, 8]), Some(vec![window(0, 8), window(9, None)]));
    }

    #[test]
    fn one_second_cannot_be_divided() {
        assert_eq!(window(7, 7).divide(&[7, 7, 7]), None);
        assert_eq!(window(7, 8).divide(&[7, 7]), Some(vec![window(7, 7), window(8, 8)]));
        assert_eq!(window(7, 8).divide(&[8, 8]), Some(vec![window(7, 7), window(8, 8)]));
        assert_eq!(window(7, None).divide(&[7, 7]), Some(vec![window(7, 7), window(8, None)]));
        assert_eq!(window(5, 9).divide(&[]), None);
        let (last, before) = (u64::MAX, u64::MAX - 1);
        assert_eq!(window(last, None).divide(&[last, last]), None);
        assert_eq!(
            window(before, None).divide(&[last]),
            Some(vec![window(before, before), window(last, None)])
        );
    }

    /// An API that answers with at most `limit` events of a window, in some order.
    fn read_all(events: &[u64], from: u64, limit: usize, order: u8) -> Option<(Vec<u64>, usize)> {
        let mut windows = vec![window(from, None)];
        let (mut read, mut calls) = (Vec::new(), 0);
        while let Some(window) = windows.pop() {
            calls += 1;
            let within = events.iter().copied().filter(|&created| window.contains(created));
            let mut found: Vec<_> = within.collect();
            match order {
                0 => found.sort_unstable(),
                1 => found.sort_unstable_by(|a, b| b.cmp(a)),
                _ => found.sort_unstable_by_key(|created| created.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
            }
            found.truncate(limit);
            if found.len() < limit {
                found.sort_unstable();
                read.extend(found);
            } else {
                windows.extend(window.divide(&found)?.into_iter().rev());
            }
        }
        Some((read, calls))
    }

    proptest! {
        /// Every event once, oldest first, in any order of answers; or, where one second has too many, no list at all.
        #[test]
        fn windows_find_every_event_once(
            mut events in proptest::collection::vec(1_000_u64..1_400, 0..120),
            limit in 2_usize..12,
            order in 0_u8..3,
        ) {
            events.sort_unstable();
            let most = events.chunk_by(|a, b| a == b).map(<[u64]>::len).max().unwrap_or(0);
            match read_all(&events, 900, limit, order) {
                Some((read, calls)) => {
                    prop_assert_eq!(&read, &events);
                    prop_assert!(most < limit);
                    if order < 2 && most == 1 {
                        // Two answers for each part of limit - 1 events.
                        prop_assert!(calls <= 3 + 2 * events.len() / (limit - 1).max(1), "{}", calls);
                    }
                }
                None => prop_assert!(most >= limit),
            }
        }
    }
}
