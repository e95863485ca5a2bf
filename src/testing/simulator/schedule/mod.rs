//! When a sender delivers again: [`Schedule`], as data.

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
    /// The names that [`named`](Self::named) knows.
    pub const NAMES: [&str; 14] = [
        "brevo",
        "cashfree",
        "dialpad-calls",
        "dialpad-contacts",
        "github",
        "kit",
        "merge",
        "pennylane",
        "pusher",
        "sanity",
        "shopify",
        "standard-webhooks",
        "svix",
        "toast",
    ];

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
        }
    }

    /// What a sender's documentation says; `None` for a name that is not one of [`NAMES`](Self::NAMES).
    ///
    /// | name | success | not retried | delivers again after |
    /// |---|---|---|---|
    /// | `standard-webhooks`, `svix` | 2xx in 15 s | 410 disables | 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h |
    /// | `brevo` | 2xx | all but 429, 5xx | 10 min, 1 h, 2 h, 8 h |
    /// | `cashfree` | 200 | | 2, 10, 30 min |
    /// | `dialpad-calls`, `dialpad-contacts` | 2xx in 5 s | all but 5xx | 2, 4, 8 s; 0.1, 0.2, 0.4, 0.8 s |
    /// | `github` | 2xx in 10 s | anything | never |
    /// | `kit` | 2xx | 410 | `Retry-After` of a 429 or 503, 1 s to 24 h; else not said |
    /// | `merge` | 2xx in 30 s | all but 5xx | two more, when is not said |
    /// | `pennylane` | 2xx | 401, 403, 404, 410 disable | not said |
    /// | `pusher` | 2xx in 3 s | | 10, 30, 120, 300 s from the first attempt |
    /// | `sanity` | 2xx | all but 429, 5xx | 30 s, 60 s |
    /// | `shopify` | 2xx in 5 s | 8 failures in a row disable | 8 attempts in 4 h, here spread evenly |
    /// | `toast` | 2xx | all but 404, 429, 5xx | 5 min, 10 min |
    ///
    /// What a sender does not say is as [`new`](Self::new) has it. Where the table has no "from the first attempt", each
    /// time is counted from the attempt before, which few documentations say outright. An attempt without an answer is
    /// retried by all but `github`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = Self::NAMES.into_iter().find(|known| *known == name)?;
        let all = Self::new(name);
        Some(match name {
            "brevo" => {
                all.with_retried([429..=429, 500..=599]).with_delays([10 * MINUTE, HOUR, 2 * HOUR, 8 * HOUR])
            }
            "cashfree" => all.with_success([200..=200]).with_delays([2 * MINUTE, 10 * MINUTE, 30 * MINUTE]),
            "dialpad-calls" => all.with_retried([500..=599]).with_answer_timeout(5 * SECOND).with_delays([
                2 * SECOND,
                4 * SECOND,
                8 * SECOND,
            ]),
            "dialpad-contacts" => all
                .with_retried([500..=599])
                .with_answer_timeout(5 * SECOND)
                .with_delays([100, 200, 400, 800].map(Duration::from_millis)),
            "github" => all.with_answer_timeout(10 * SECOND).with_delays([]),
            "kit" => all.with_given_up([410..=410]).with_retry_after(SECOND..=24 * HOUR),
            "merge" => all
                .with_retried([500..=599])
                .with_answer_timeout(30 * SECOND)
                .with_delays(STANDARD.into_iter().take(2)),
            "pennylane" => all.with_disabling([401..=401, 403..=404, 410..=410]),
            // 10, 30, 120 and 300 s from the first attempt.
            "pusher" => {
                all.with_answer_timeout(3 * SECOND).with_delays([10, 20, 90, 180].map(Duration::from_secs))
            }
            "sanity" => all.with_retried([429..=429, 500..=599]).with_delays([30 * SECOND, 60 * SECOND]),
            "shopify" => {
                all.with_answer_timeout(5 * SECOND).with_delays([4 * HOUR / 7; 7]).with_disabling_after(8)
            }
            "toast" => {
                all.with_retried([404..=404, 429..=429, 500..=599]).with_delays([5 * MINUTE, 10 * MINUTE])
            }
            // Standard Webhooks and Svix.
            _ => all.with_disabling([410..=410]),
        })
    }

    /// What is documented of a platform, which is the success and the time for it, and for the rest Standard Webhooks:
    /// **the schedules of all three are undocumented**.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_webhook::testing::simulator::{Platform, Schedule, Verdict};
    ///
    /// let caspay = Schedule::of(Platform::CasPay);
    /// assert_eq!(caspay.answer_timeout(), Duration::from_secs(5));
    /// assert_eq!(caspay.verdict(Some(202)), Verdict::Retried); // 200 alone will do
    /// assert_eq!(Schedule::of(Platform::Diddo).verdict(Some(202)), Verdict::Accepted);
    /// ```
    pub fn of(platform: Platform) -> Self {
        let standard = Self::new(platform.name()).with_disabling([410..=410]);
        match platform {
            Platform::CasaPay => standard,
            Platform::CasPay => standard.with_success([200..=200]).with_answer_timeout(5 * SECOND),
            Platform::Diddo => standard.with_answer_timeout(20 * SECOND),
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

    /// Honours the `Retry-After`, in seconds, of a 429 or 503, within these bounds.
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

    pub(super) fn disables_after(&self) -> Option<u32> {
        self.disables_after
    }
}

fn contain(statuses: &[RangeInclusive<u16>], status: u16) -> bool {
    statuses.iter().any(|range| range.contains(&status))
}

#[cfg(test)]
mod tests {
    use super::*;
    use Verdict::{Accepted, EndpointDisabled, GivenUp, Retried};

    #[test]
    fn every_name_has_a_schedule_of_that_name() {
        for name in Schedule::NAMES {
            assert_eq!(Schedule::named(name).unwrap().name(), name);
        }
        assert_eq!(Schedule::named("nobody"), None);
    }

    #[test]
    fn what_each_sender_makes_of_an_answer() {
        // 200, 204, 302, 401, 404, 410, 429, 503, and no answer.
        let rows = [
            (
                "standard-webhooks",
                [Accepted, Accepted, Retried, Retried, Retried, EndpointDisabled, Retried, Retried, Retried],
            ),
            (
                "svix",
                [Accepted, Accepted, Retried, Retried, Retried, EndpointDisabled, Retried, Retried, Retried],
            ),
            ("brevo", [Accepted, Accepted, GivenUp, GivenUp, GivenUp, GivenUp, Retried, Retried, Retried]),
            ("cashfree", [Accepted, Retried, Retried, Retried, Retried, Retried, Retried, Retried, Retried]),
            (
                "dialpad-calls",
                [Accepted, Accepted, GivenUp, GivenUp, GivenUp, GivenUp, GivenUp, Retried, Retried],
            ),
            (
                "dialpad-contacts",
                [Accepted, Accepted, GivenUp, GivenUp, GivenUp, GivenUp, GivenUp, Retried, Retried],
            ),
            ("github", [Accepted, Accepted, GivenUp, GivenUp, GivenUp, GivenUp, GivenUp, GivenUp, GivenUp]),
            ("kit", [Accepted, Accepted, Retried, Retried, Retried, GivenUp, Retried, Retried, Retried]),
            ("merge", [Accepted, Accepted, GivenUp, GivenUp, GivenUp, GivenUp, GivenUp, Retried, Retried]),
            (
                "pennylane",
                [
                    Accepted,
                    Accepted,
                    Retried,
                    EndpointDisabled,
                    EndpointDisabled,
                    EndpointDisabled,
                    Retried,
                    Retried,
                    Retried,
                ],
            ),
            ("pusher", [Accepted, Accepted, Retried, Retried, Retried, Retried, Retried, Retried, Retried]),
            ("sanity", [Accepted, Accepted, GivenUp, GivenUp, GivenUp, GivenUp, Retried, Retried, Retried]),
            ("shopify", [Accepted, Accepted, Retried, Retried, Retried, Retried, Retried, Retried, Retried]),
            ("toast", [Accepted, Accepted, GivenUp, GivenUp, Retried, GivenUp, Retried, Retried, Retried]),
        ];
        let asked =
            [Some(200), Some(204), Some(302), Some(401), Some(404), Some(410), Some(429), Some(503), None];
        assert_eq!(rows.map(|(name, _)| name), {
            let mut names = Schedule::NAMES;
            names.sort_by_key(|name| rows.iter().position(|(row, _)| row == name));
            names
        });
        for (name, expected) in rows {
            let schedule = Schedule::named(name).unwrap();
            assert_eq!(asked.map(|status| schedule.verdict(status)), expected, "{name}");
        }
    }

    #[test]
    fn the_horizons_that_are_documented() {
        for (name, attempts, seconds) in [
            ("standard-webhooks", 8, 99_305),
            ("brevo", 5, 40_200),
            ("cashfree", 4, 2_520),
            ("github", 1, 0),
            ("merge", 3, 305),
            ("pusher", 5, 300),
            ("sanity", 3, 90),
            ("toast", 3, 900),
        ] {
            let schedule = Schedule::named(name).unwrap();
            let horizon: Duration = schedule.delays().iter().sum();
            assert_eq!((schedule.delays().len() + 1, horizon.as_secs()), (attempts, seconds), "{name}");
        }
        let shopify = Schedule::named("shopify").unwrap();
        assert_eq!((shopify.delays().len() + 1, shopify.disables_after()), (8, Some(8)));
        assert_eq!(shopify.delays().iter().sum::<Duration>().as_secs_f64().round(), 14_400.0);
    }

    #[test]
    fn retry_after_is_honoured_by_whom_says_so_and_within_its_bounds() {
        let kit = Schedule::named("kit").unwrap();
        let asked = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(kit.delay_after(1, Some(503), asked(7)), asked(7));
        assert_eq!(kit.delay_after(1, Some(429), asked(0)), asked(1));
        assert_eq!(kit.delay_after(1, Some(429), asked(1_000_000)), asked(86_400));
        assert_eq!(kit.delay_after(1, Some(500), asked(7)), asked(5));
        assert_eq!(kit.delay_after(7, None, None), asked(36_000));
        assert_eq!(kit.delay_after(8, Some(503), asked(7)), None, "no attempt is left");
        assert_eq!(Schedule::named("svix").unwrap().delay_after(1, Some(503), asked(7)), asked(5));
    }
}
