//! When a sender delivers again: [`Schedule`], as data.

mod senders;

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::platform::Platform;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// The waiting times of Svix, which the specification of Standard Webhooks took up: 27.6 hours in all.
const STANDARD: [Duration; 7] = [
    SECOND.saturating_mul(5),
    MINUTE.saturating_mul(5),
    MINUTE.saturating_mul(30),
    HOUR.saturating_mul(2),
    HOUR.saturating_mul(5),
    HOUR.saturating_mul(10),
    HOUR.saturating_mul(10),
];

/// How a sender takes an answer, how long it waits for one, and when it delivers again.
///
/// [`named`](Self::named) has what senders document; each can be changed, and [`new`](Self::new) begins another. Times
/// are those of the sender: the simulator divides the waiting times by its speed, but never the time in which an answer
/// must come.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::testing::simulator::{Schedule, Verdict};
///
/// let sanity = Schedule::named("sanity").unwrap();
/// assert_eq!(sanity.verdict(Some(503)), Verdict::Retried);
/// assert_eq!(sanity.verdict(Some(401)), Verdict::GivenUp);
/// assert_eq!(sanity.delays(), [Duration::from_secs(30), Duration::from_secs(60)]);
///
/// let pennylane = Schedule::named("pennylane").unwrap();
/// assert_eq!(pennylane.verdict(Some(401)), Verdict::EndpointDisabled);
///
/// let hasty = Schedule::new("hasty").with_delays([Duration::from_secs(1)]).with_answer_timeout(Duration::from_secs(2));
/// assert_eq!(hasty.verdict(None), Verdict::Retried);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct Schedule {
    name: Cow<'static, str>,
    success: Vec<RangeInclusive<u16>>,
    given_up: Vec<RangeInclusive<u16>>,
    disabling: Vec<RangeInclusive<u16>>,
    delays: Vec<Duration>,
    answer_timeout: Duration,
    retry_after: Option<RangeInclusive<Duration>>,
    disables_after: Option<u32>,
    disables_after_events: Option<u32>,
    original_timestamp: bool,
    one_at_a_time: bool,
}

/// What a sender makes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Verdict {
    /// The event is delivered.
    Accepted,
    /// The sender delivers again, as long as its schedule has another attempt.
    Retried,
    /// The sender does not deliver this event again.
    GivenUp,
    /// The sender delivers nothing more to this endpoint.
    EndpointDisabled,
}

impl Schedule {
    /// A sender that takes 2xx for success, waits 15 s for it, retries whatever else comes, and does so at the waiting
    /// times of Standard Webhooks: 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h.
    pub fn new(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            success: vec![200..=299],
            given_up: Vec::new(),
            disabling: Vec::new(),
            delays: STANDARD.to_vec(),
            answer_timeout: 15 * SECOND,
            retry_after: None,
            disables_after: None,
            disables_after_events: None,
            original_timestamp: false,
            one_at_a_time: false,
        }
    }

    /// What is documented of a platform, which is the success and the time for it, and that CasPay delivers again whatever
    /// else it is answered; for the rest Standard Webhooks: **the waiting times of all three are undocumented**, and so is
    /// whether CasaPay and Diddo disable an endpoint, which these schedules do at 410.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_webhook::testing::simulator::{Platform, Schedule, Verdict};
    ///
    /// let caspay = Schedule::of(Platform::CasPay);
    /// assert_eq!(caspay.answer_timeout(), Duration::from_secs(5));
    /// assert_eq!(caspay.verdict(Some(202)), Verdict::Retried); // 200 alone will do
    /// assert_eq!(caspay.verdict(Some(410)), Verdict::Retried);
    /// assert_eq!(Schedule::of(Platform::CasaPay).verdict(Some(410)), Verdict::EndpointDisabled);
    /// assert_eq!(Schedule::of(Platform::Diddo).verdict(Some(202)), Verdict::Accepted);
    /// ```
    pub fn of(platform: Platform) -> Self {
        let all = Self::new(platform.name());
        match platform {
            Platform::CasaPay => all.with_disabling([410..=410]),
            Platform::CasPay => all.with_success([200..=200]).with_answer_timeout(5 * SECOND),
            Platform::Diddo => all.with_disabling([410..=410]).with_answer_timeout(20 * SECOND),
        }
    }

    /// Takes these statuses for success, and no others.
    pub fn with_success(mut self, statuses: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        self.success = statuses.into_iter().collect();
        self
    }

    /// Gives an event up at these statuses.
    pub fn with_given_up(mut self, statuses: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        self.given_up = statuses.into_iter().collect();
        self
    }

    /// Gives an event up at all statuses that are neither success nor among these.
    pub fn with_retried(self, statuses: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        let retried: Vec<_> = statuses.into_iter().collect();
        let others = (100..=999).filter(|status| !contain(&retried, *status));
        self.with_given_up(others.map(|status| status..=status))
    }

    /// Disables the endpoint at these statuses.
    pub fn with_disabling(mut self, statuses: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        self.disabling = statuses.into_iter().collect();
        self
    }

    /// Disables the endpoint after so many attempts in a row that failed, of whatever events.
    pub fn with_disabling_after(mut self, failures: u32) -> Self {
        self.disables_after = Some(failures.max(1));
        self
    }

    /// Disables the endpoint after so many events that were given up, at once or after their last attempt, with none
    /// accepted in between.
    pub fn with_disabling_after_events(mut self, given_up: u32) -> Self {
        self.disables_after_events = Some(given_up.max(1));
        self
    }

    /// Signs every attempt with the time of the first, as if its request had been kept. By default each attempt is signed
    /// anew. A receiver that tolerates 300 s refuses what comes later than that.
    ///
    /// It changes nothing where the signature has no timestamp, as CasPay's.
    pub fn with_original_timestamp(mut self) -> Self {
        self.original_timestamp = true;
        self
    }

    /// Delivers to each endpoint one event at a time, the oldest first: all others wait while one fails, until it is
    /// accepted or given up. By default each event goes its own way.
    ///
    /// There is no order left for [`Behaviour::with_out_of_order`](super::Behaviour::with_out_of_order) to change: it
    /// holds the events of a batch back, and no more.
    pub fn with_one_at_a_time(mut self) -> Self {
        self.one_at_a_time = true;
        self
    }

    /// Delivers again after these times, each counted from the attempt before; then gives up.
    pub fn with_delays(mut self, delays: impl IntoIterator<Item = Duration>) -> Self {
        self.delays = delays.into_iter().collect();
        self
    }

    /// Waits so long for an answer, in real time whatever the simulator's speed: a receiver needs the time it needs.
    pub fn with_answer_timeout(mut self, timeout: Duration) -> Self {
        self.answer_timeout = timeout;
        self
    }

    /// Honours the `Retry-After`, in seconds or as a date, of a 429 or 503, within these bounds. A date is compared with
    /// the [simulator's clock](super::SimulatorBuilder::with_clock).
    pub fn with_retry_after(mut self, bounds: RangeInclusive<Duration>) -> Self {
        self.retry_after = Some(bounds);
        self
    }

    /// The sender's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// After which times it delivers again.
    #[must_use]
    pub fn delays(&self) -> &[Duration] {
        &self.delays
    }

    /// How long it waits for an answer.
    #[must_use]
    pub fn answer_timeout(&self) -> Duration {
        self.answer_timeout
    }

    /// What a status means to it; `None` is no answer at all.
    #[must_use]
    pub fn verdict(&self, status: Option<u16>) -> Verdict {
        match status {
            Some(status) if contain(&self.success, status) => Verdict::Accepted,
            Some(status) if contain(&self.disabling, status) => Verdict::EndpointDisabled,
            Some(status) if contain(&self.given_up, status) => Verdict::GivenUp,
            _ if self.delays.is_empty() => Verdict::GivenUp,
            _ => Verdict::Retried,
        }
    }

    /// How long after attempt number `attempt`, from 1, the next one follows; `None` when that was the last.
    pub(super) fn delay_after(
        &self,
        attempt: u32,
        status: Option<u16>,
        retry_after: Option<Duration>,
    ) -> Option<Duration> {
        let nth = usize::try_from(attempt).ok()?.checked_sub(1)?;
        let delay = *self.delays.get(nth)?;
        let asked = retry_after.filter(|_| matches!(status, Some(429 | 503)));
        Some(match (&self.retry_after, asked) {
            (Some(bounds), Some(asked)) => asked.max(*bounds.start()).min(*bounds.end()),
            _ => delay,
        })
    }

    /// Whether so many attempts that failed in a row, or events given up, disable an endpoint.
    pub(super) fn is_fed_up(&self, failures: u32, given_up: u32) -> bool {
        self.disables_after.is_some_and(|most| failures >= most)
            || self.disables_after_events.is_some_and(|most| given_up >= most)
    }

    pub(super) fn has_original_timestamp(&self) -> bool {
        self.original_timestamp
    }

    pub(super) fn is_one_at_a_time(&self) -> bool {
        self.one_at_a_time
    }
}

fn contain(statuses: &[RangeInclusive<u16>], status: u16) -> bool {
    statuses.iter().any(|range| range.contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_and_events_are_counted_apart() {
        let never = Schedule::new("never");
        assert!(!never.is_fed_up(u32::MAX, u32::MAX));
        let attempts = Schedule::new("attempts").with_disabling_after(3);
        assert_eq!([attempts.is_fed_up(2, 9), attempts.is_fed_up(3, 0)], [false, true]);
        let events = Schedule::new("events").with_disabling_after_events(3);
        assert_eq!([events.is_fed_up(9, 2), events.is_fed_up(0, 3)], [false, true]);
        assert!(!Schedule::new("none").with_disabling_after_events(0).is_fed_up(1, 0), "after one at least");
    }

    #[test]
    fn retry_after_is_honoured_by_whom_says_so_and_within_its_bounds() {
        let kit = Schedule::named("kit").unwrap();
        let asked = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(kit.delay_after(1, Some(503), asked(7)), asked(7));
        assert_eq!(kit.delay_after(1, Some(429), asked(0)), asked(1));
        assert_eq!(kit.delay_after(1, Some(429), asked(1_000_000)), asked(86_400));
        assert_eq!(kit.delay_after(1, Some(500), asked(7)), asked(14_760));
        assert_eq!(kit.delay_after(10, None, None), asked(14_760));
        assert_eq!(kit.delay_after(11, Some(503), asked(7)), None, "no attempt is left");
        assert_eq!(Schedule::named("svix").unwrap().delay_after(1, Some(503), asked(7)), asked(5));
    }
}
