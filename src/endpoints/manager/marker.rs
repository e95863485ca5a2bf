//! What tells a rotation from two endpoints by mistake, and what its next process has to know of it.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::clock::unix_seconds;
use crate::endpoints::api::Registered;

/// The end of the newer endpoint's description. What is in it outlives the process that began the rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) replaces: String,
    pub(super) since: u64,
    /// Nobody had the secret of the old endpoint.
    pub(super) is_lost: bool,
    /// When the old endpoint was paused.
    pub(super) paused: Option<u64>,
}

const OPENING: &str = "[replaces ";

/// In 2020: an earlier time is of a clock that was not set.
const PLAUSIBLE: u64 = 1_577_836_800;

/// By how much two clocks may differ.
const SKEW: Duration = Duration::from_secs(86_400);

impl Marker {
    pub(super) fn new(replaces: &str, now: SystemTime) -> Self {
        Self { replaces: replaces.to_owned(), since: unix_seconds(now), is_lost: false, paused: None }
    }

    pub(super) fn of(endpoint: &Registered) -> Option<Self> {
        let (_, marker) = endpoint.description()?.trim_end().strip_suffix(']')?.rsplit_once(OPENING)?;
        let (replaces, told) = marker.split_once(" since ")?;
        // What a person has written may look like it.
        if replaces.is_empty() || replaces.contains(char::is_whitespace) {
            return None;
        }
        let mut words = told.split(' ');
        let since = words.next()?.parse().ok()?;
        let mut marker = Self { replaces: replaces.to_owned(), since, is_lost: false, paused: None };
        while let Some(word) = words.next() {
            match word {
                "lost" => marker.is_lost = true,
                "paused" => marker.paused = Some(words.next()?.parse().ok()?),
                _ => return None,
            }
        }
        Some(marker)
    }

    /// The description of an endpoint with this marker in the place of the one that it has.
    pub(super) fn in_place(&self, endpoint: &Registered) -> String {
        let before = endpoint.description().and_then(|text| text.rsplit_once(OPENING));
        format!("{}{self}", before.map_or("", |(before, _)| before))
    }

    /// When the rotation began, unless the clock of whoever began it was wrong: a time that has not come, or is long
    /// before any rotation. By such a time an overlap would be over at once, or never.
    pub(super) fn begun(&self, now: SystemTime) -> Option<SystemTime> {
        plausible(self.since, now)
    }

    /// When the old endpoint was paused, if that is known. A time that cannot be is none.
    pub(super) fn paused(&self, now: SystemTime) -> Option<SystemTime> {
        plausible(self.paused?, now)
    }
}

fn plausible(seconds: u64, now: SystemTime) -> Option<SystemTime> {
    let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))?;
    let latest = now.checked_add(SKEW).unwrap_or(now);
    (seconds >= PLAUSIBLE && time <= latest).then_some(time)
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{OPENING}{} since {}", self.replaces, self.since)?;
        if self.is_lost {
            f.write_str(" lost")?;
        }
        if let Some(paused) = self.paused {
            write!(f, " paused {paused}")?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> Registered {
        Registered::new("we_2", "https://a.example", vec![]).with_description(Some(text.to_owned()))
    }

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        for (is_lost, paused) in [(false, None), (true, None), (false, Some(7)), (true, Some(7))] {
            let marker = Marker { is_lost, paused, ..Marker::new("we_1", at(1_700_000_000)) };
            assert_eq!(Marker::of(&described(&format!("shop {marker}"))), Some(marker));
        }
        for text in [
            "",
            "shop",
            "[replaces we_1]",
            "[replaces we_1 since x]",
            "[replaces the old one since 2020]",
            "[replaces  since 7]",
            "[replaces we_1 since 7] no",
            "[replaces we_1 since 7 found]",
            "[replaces we_1 since 7 paused]",
            "[replaces we_1 since 7 paused x]",
        ] {
            assert_eq!(Marker::of(&described(text)), None, "{text}");
        }
    }

    #[test]
    fn a_marker_is_changed_and_what_its_owner_calls_it_stays() {
        let endpoint = described("shop [7] [replaces we_1 since 1700000000]");
        let marker = Marker { paused: Some(1_700_000_001), ..Marker::of(&endpoint).unwrap() };
        assert_eq!(marker.in_place(&endpoint), "shop [7] [replaces we_1 since 1700000000 paused 1700000001]");
    }

    #[test]
    fn a_time_that_cannot_be_is_none() {
        let now = at(1_800_000_000);
        let begun = |since| Marker { since, ..Marker::new("we_1", now) }.begun(now);
        assert_eq!(begun(1_700_000_000), Some(at(1_700_000_000)));
        assert_eq!(begun(1_800_086_400), Some(at(1_800_086_400)), "another clock is a day ahead");
        for since in [0, 3, PLAUSIBLE - 1, 1_800_086_401, u64::MAX] {
            assert_eq!(begun(since), None, "{since}");
            assert_eq!(Marker { paused: Some(since), ..Marker::new("we_1", now) }.paused(now), None);
        }
    }
}
