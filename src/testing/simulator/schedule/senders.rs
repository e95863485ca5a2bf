//! What senders document of their retries: [`Schedule::named`].

use std::time::Duration;

use super::{HOUR, MINUTE, SECOND, STANDARD, Schedule};

/// So many times after the first attempt, at equal distances, the last when `horizon` has passed.
fn spread(horizon: Duration, times: u32) -> impl Iterator<Item = Duration> {
    (0..times).map(move |_| horizon / times)
}

impl Schedule {
    /// The names that [`named`](Self::named) knows.
    pub const NAMES: [&str; 22] = [
        "adyen",
        "airwallex",
        "bird",
        "brevo",
        "cashfree",
        "dialpad-calls",
        "dialpad-contacts",
        "github",
        "gitlab",
        "kit",
        "mailgun",
        "merge",
        "paymongo",
        "pennylane",
        "podium",
        "pusher",
        "sanity",
        "shopify",
        "standard-webhooks",
        "stripe",
        "svix",
        "toast",
    ];

    /// What a sender's documentation says; `None` for a name that is not one of [`NAMES`](Self::NAMES).
    ///
    /// | name | success | not retried, or punished | delivers again after |
    /// |---|---|---|---|
    /// | `standard-webhooks`, `svix` | 2xx in 15 s | 410 disables | 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h |
    /// | `adyen` | 2xx | | 9, 18, 27 s, then from a queue, when is not said: here 5 min, 30 min, 2 h, 5 h, 10 h, 10 h |
    /// | `airwallex` | 200 | | not said |
    /// | `bird` | 2xx in 4 s | | 5 min in all, here 5 times; with the original timestamp |
    /// | `brevo` | 2xx | all but 429, 5xx | 10 min, 1 h, 2 h, 8 h |
    /// | `cashfree` | 200 | | 2, 10, 30 min |
    /// | `dialpad-calls`, `dialpad-contacts` | 2xx in 5 s | all but 5xx | 2, 4, 8 s; 0.1, 0.2, 0.4, 0.8 s |
    /// | `github` | 2xx in 10 s | anything | never |
    /// | `gitlab` | 2xx | 4xx; a few of them disable, here 4 events given up | it backs off, when is not said |
    /// | `kit` | 2xx | 410 | `Retry-After` of a 429 or 503, 1 s to 24 h; else 41 h in all, here 10 times |
    /// | `mailgun` | 200 | 406 | 8 h in all, here 8 times; with the original timestamp |
    /// | `merge` | 2xx in 30 s | all but 5xx | two more, when is not said |
    /// | `paymongo` | 2xx | 3 events that use up their 12 attempts disable | 12 attempts in 136.5 min |
    /// | `pennylane` | 2xx | 401, 403, 404, 410 disable | not said |
    /// | `podium` | 200 | 15 failures in a row disable | 15 attempts in 8 h; all other events wait meanwhile |
    /// | `pusher` | 2xx in 3 s | | 10, 30, 120, 300 s from the first attempt |
    /// | `sanity` | 2xx | all but 429, 5xx | 30 s, 60 s |
    /// | `shopify` | 2xx in 5 s | 8 failures in a row disable | 8 attempts in 4 h |
    /// | `stripe` | 2xx | | 3 days in all, here 12 times |
    /// | `toast` | 2xx | all but 404, 429, 5xx | 5 min, 10 min |
    ///
    /// What a sender does not say is as [`new`](Self::new) has it. Where only the whole time is said, or that and the
    /// number of attempts, they are spread evenly, and "here" stands before what is chosen. That events given up must
    /// [follow on each other](Self::with_disabling_after_events) to disable an endpoint is chosen too. Where the table has
    /// no "from the first attempt" and no "in all", each time is counted from the attempt before, which few documentations
    /// say outright. An attempt without an answer is retried by all but `github`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let name = Self::NAMES.into_iter().find(|known| *known == name)?;
        let all = Self::new(name);
        Some(match name {
            "adyen" => {
                let queue = STANDARD.into_iter().skip(1);
                all.with_delays([9, 18, 27].map(Duration::from_secs).into_iter().chain(queue))
            }
            "airwallex" => all.with_success([200..=200]),
            "bird" => all
                .with_answer_timeout(4 * SECOND)
                .with_delays(spread(5 * MINUTE, 5))
                .with_original_timestamp(),
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
            "gitlab" => all.with_given_up([400..=499]).with_disabling_after_events(4),
            "kit" => all
                .with_given_up([410..=410])
                .with_retry_after(SECOND..=24 * HOUR)
                .with_delays(spread(41 * HOUR, 10)),
            "mailgun" => all
                .with_success([200..=200])
                .with_given_up([406..=406])
                .with_delays(spread(8 * HOUR, 8))
                .with_original_timestamp(),
            "merge" => all
                .with_retried([500..=599])
                .with_answer_timeout(30 * SECOND)
                .with_delays(STANDARD.into_iter().take(2)),
            // Of 12 attempts 11 come after the first.
            "paymongo" => all.with_delays(spread(8_190 * SECOND, 11)).with_disabling_after_events(3),
            "pennylane" => all.with_disabling([401..=401, 403..=404, 410..=410]),
            "podium" => all
                .with_success([200..=200])
                .with_delays(spread(8 * HOUR, 14))
                .with_disabling_after(15)
                .with_one_at_a_time(),
            // 10, 30, 120 and 300 s from the first attempt.
            "pusher" => {
                all.with_answer_timeout(3 * SECOND).with_delays([10, 20, 90, 180].map(Duration::from_secs))
            }
            "sanity" => all.with_retried([429..=429, 500..=599]).with_delays([30 * SECOND, 60 * SECOND]),
            "shopify" => {
                all.with_answer_timeout(5 * SECOND).with_delays(spread(4 * HOUR, 7)).with_disabling_after(8)
            }
            "stripe" => all.with_delays(spread(72 * HOUR, 12)),
            "toast" => {
                all.with_retried([404..=404, 429..=429, 500..=599]).with_delays([5 * MINUTE, 10 * MINUTE])
            }
            // Standard Webhooks and Svix.
            _ => all.with_disabling([410..=410]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::simulator::Verdict::{Accepted, EndpointDisabled, GivenUp, Retried};

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
            ("adyen", [Accepted, Accepted, Retried, Retried, Retried, Retried, Retried, Retried, Retried]),
            ("airwallex", [Accepted, Retried, Retried, Retried, Retried, Retried, Retried, Retried, Retried]),
            ("bird", [Accepted, Accepted, Retried, Retried, Retried, Retried, Retried, Retried, Retried]),
            ("gitlab", [Accepted, Accepted, Retried, GivenUp, GivenUp, GivenUp, GivenUp, Retried, Retried]),
            ("mailgun", [Accepted, Retried, Retried, Retried, Retried, Retried, Retried, Retried, Retried]),
            ("paymongo", [Accepted, Accepted, Retried, Retried, Retried, Retried, Retried, Retried, Retried]),
            ("podium", [Accepted, Retried, Retried, Retried, Retried, Retried, Retried, Retried, Retried]),
            ("stripe", [Accepted, Accepted, Retried, Retried, Retried, Retried, Retried, Retried, Retried]),
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
        let mailgun = Schedule::named("mailgun").unwrap();
        assert_eq!(mailgun.verdict(Some(406)), GivenUp, "rejected for good");
    }

    #[test]
    fn the_horizons_that_are_documented() {
        for (name, attempts, seconds) in [
            ("standard-webhooks", 8, 99_305),
            ("bird", 6, 300),
            ("brevo", 5, 40_200),
            ("cashfree", 4, 2_520),
            ("github", 1, 0),
            ("kit", 11, 41 * 3_600),
            ("mailgun", 9, 8 * 3_600),
            ("merge", 3, 305),
            ("paymongo", 12, 8_190),
            ("podium", 15, 8 * 3_600),
            ("pusher", 5, 300),
            ("sanity", 3, 90),
            ("shopify", 8, 4 * 3_600),
            ("stripe", 13, 3 * 86_400),
            ("toast", 3, 900),
        ] {
            let schedule = Schedule::named(name).unwrap();
            let horizon = schedule.delays().iter().sum::<Duration>().as_secs_f64();
            // What does not divide evenly is a few nanoseconds short.
            assert!((horizon - f64::from(seconds)).abs() < 1e-3, "{name}: {horizon}");
            assert_eq!(schedule.delays().len() + 1, attempts, "{name}");
        }
        let adyen = Schedule::named("adyen").unwrap();
        assert_eq!(adyen.delays()[..3], [9, 18, 27].map(Duration::from_secs));
    }

    #[test]
    fn who_disables_after_how_much() {
        for name in Schedule::NAMES {
            let schedule = Schedule::named(name).unwrap();
            let first = |fed_up: &dyn Fn(u32) -> bool| (1..100).find(|count| fed_up(*count));
            let found = (
                first(&|failures| schedule.is_fed_up(failures, 0)),
                first(&|given_up| schedule.is_fed_up(0, given_up)),
            );
            let expected = match name {
                "shopify" => (Some(8), None),
                "podium" => (Some(15), None),
                "paymongo" => (None, Some(3)),
                "gitlab" => (None, Some(4)),
                _ => (None, None),
            };
            assert_eq!(found, expected, "{name}");
        }
    }

    #[test]
    fn who_keeps_the_first_timestamp_and_who_lets_others_wait() {
        let named = |which: fn(&Schedule) -> bool| {
            Schedule::NAMES.into_iter().filter(move |name| which(&Schedule::named(name).unwrap()))
        };
        assert!(named(Schedule::has_original_timestamp).eq(["bird", "mailgun"]));
        assert!(named(Schedule::is_one_at_a_time).eq(["podium"]));
    }
}
