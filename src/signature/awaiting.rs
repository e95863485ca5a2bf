//! Whether one more secret is on its way, and for how long that is believed.

use std::time::Instant;

/// Whether what no secret verifies may be signed by one that is not here yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Awaiting {
    #[default]
    Nothing,
    /// Until the secrets are replaced: whoever said so knows when.
    Another,
    /// What a sink has found announced: that runs out, though nobody may look again.
    #[cfg_attr(not(feature = "endpoints"), allow(dead_code, reason = "there are no sinks"))]
    AnotherUntil(Instant),
}

impl Awaiting {
    pub(crate) fn is_over(self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Another => false,
            // No time by the system's clock, which may be set while this lasts.
            Self::AnotherUntil(end) => end <= Instant::now(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_announced_runs_out_and_what_a_program_says_does_not() {
        let now = Instant::now();
        let until = |time| Awaiting::AnotherUntil(time);
        assert!(Awaiting::default().is_over() && !Awaiting::Another.is_over());
        assert!(until(now).is_over() && !until(now + Duration::from_secs(3600)).is_over());
    }
}
