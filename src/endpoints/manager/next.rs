//! When a rotation goes on.

use std::time::SystemTime;

use super::rotation::{RotationPolicy, RotationStep};
use crate::signature::SecretUsage;

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Wait(RotationStep),
    Pause,
    Retire,
}

/// How two endpoints of one URL are.
#[derive(Clone, Copy)]
pub(super) struct State {
    pub(super) since: SystemTime,
    pub(super) new_is_active: bool,
    pub(super) new_usage: Option<SecretUsage>,
    /// Nobody had its secret when the rotation began, and nobody has it now.
    pub(super) old_is_lost: bool,
    pub(super) old_usage: Option<SecretUsage>,
    /// Since when it is known to be paused.
    pub(super) old_paused: Option<SystemTime>,
}

pub(super) fn next(policy: RotationPolicy, state: State, now: SystemTime) -> Next {
    if !state.new_is_active {
        return Next::Wait(RotationStep::NewPaused);
    }
    let new_is_used = state.new_usage.is_some_and(|usage| usage.last_used().is_some());
    if state.old_is_lost {
        // Nothing can be verified by its secret, so that nothing is lost with it.
        return if new_is_used { Next::Retire } else { Next::Wait(RotationStep::NewUnused) };
    }
    // Whoever has paused the old one: an overlap is an overlap. Where no time is so late, it never ends.
    let Some(until) = state.since.checked_add(policy.overlap) else {
        return Next::Wait(RotationStep::NewUnused);
    };
    if now < until {
        return Next::Wait(RotationStep::Overlapping { until });
    }
    if !new_is_used {
        return Next::Wait(RotationStep::NewUnused);
    }
    let Some(paused) = state.old_paused else { return Next::Pause };
    let latest = policy.overlap.checked_add(policy.quiet).and_then(|longest| paused.checked_add(longest));
    let used = state.old_usage.map(|usage| usage.last_used().unwrap_or(usage.watched_since()));
    let quiet = used.and_then(|used| used.max(paused).checked_add(policy.quiet));
    // The earlier one, of those that there are.
    match [quiet, latest].into_iter().flatten().min() {
        Some(until) if until <= now => Next::Retire,
        until => Next::Wait(RotationStep::NotQuiet { until }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn seen(watched: u64, last: impl Into<Option<u64>>) -> Option<SecretUsage> {
        Some(SecretUsage::new(at(watched), last.into().map(at)))
    }

    /// Both deliver since 1000, and the new one has been used.
    fn both() -> State {
        State {
            since: at(1000),
            new_is_active: true,
            new_usage: seen(0, 1050),
            old_is_lost: false,
            old_usage: seen(0, 1099),
            old_paused: None,
        }
    }

    fn step(state: State, now: u64) -> Next {
        next(RotationPolicy::new(Duration::from_secs(100), Duration::from_secs(10)), state, at(now))
    }

    #[test]
    fn the_old_endpoint_is_paused_when_both_have_delivered_for_long_enough() {
        assert_eq!(step(both(), 1099), Next::Wait(RotationStep::Overlapping { until: at(1100) }));
        assert_eq!(step(both(), 1100), Next::Pause);
        for new_usage in [seen(0, None), None] {
            assert_eq!(step(State { new_usage, ..both() }, 5000), Next::Wait(RotationStep::NewUnused));
        }
    }

    #[test]
    fn while_the_new_endpoint_is_paused_the_old_one_stays() {
        for old_paused in [None, Some(at(0))] {
            let state = State { new_is_active: false, old_paused, ..both() };
            assert_eq!(step(state, 9000), Next::Wait(RotationStep::NewPaused));
        }
    }

    #[test]
    fn an_old_endpoint_that_somebody_else_has_paused_is_kept_as_long_as_any() {
        let early = State { old_paused: Some(at(900)), ..both() };
        assert_eq!(step(early, 1099), Next::Wait(RotationStep::Overlapping { until: at(1100) }));
        let unused = State { new_usage: seen(0, None), ..early };
        assert_eq!(step(unused, 1200), Next::Wait(RotationStep::NewUnused));
        assert_eq!(step(early, 1200), Next::Retire);
    }

    #[test]
    fn the_old_endpoint_is_deleted_when_it_has_been_quiet_since_the_pause() {
        let not_quiet = |until| Next::Wait(RotationStep::NotQuiet { until });
        // Its secret was used last long before.
        let paused = State { old_usage: seen(0, 500), old_paused: Some(at(1100)), ..both() };
        assert_eq!(step(paused, 1109), not_quiet(Some(at(1110))));
        assert_eq!(step(paused, 1110), Next::Retire);
        let late = State { old_usage: seen(0, 1105), ..paused };
        assert_eq!(step(late, 1114), not_quiet(Some(at(1115))));
        assert_eq!(step(late, 1115), Next::Retire);
        // One that was started a moment ago has not seen what was used before.
        let restarted = State { old_usage: seen(1107, None), ..paused };
        assert_eq!(step(restarted, 1116), not_quiet(Some(at(1117))));
    }

    #[test]
    fn nobody_keeps_a_secret_valid_by_using_it() {
        let used = |last| State { old_usage: last, old_paused: Some(at(1100)), ..both() };
        assert_eq!(
            step(used(seen(0, 1209)), 1209),
            Next::Wait(RotationStep::NotQuiet { until: Some(at(1210)) })
        );
        assert_eq!(step(used(seen(0, 1210)), 1210), Next::Retire);
        assert_eq!(step(used(None), 1210), Next::Retire);
    }

    #[test]
    fn a_secret_that_nobody_has_is_not_waited_for() {
        let lost = State { old_is_lost: true, old_usage: None, ..both() };
        assert_eq!(step(lost, 1000), Next::Retire);
        let unused = State { new_usage: seen(0, None), ..lost };
        assert_eq!(step(unused, 9000), Next::Wait(RotationStep::NewUnused));
    }
}
