//! What tells a rotation from two endpoints by mistake.

use std::fmt;

use crate::endpoints::api::Registered;

/// What tells a rotation from two endpoints by mistake: the end of the newer one's description.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) replaces: String,
    pub(super) since: u64,
}

impl Marker {
    pub(super) fn of(endpoint: &Registered) -> Option<Self> {
        let (_, marker) = endpoint.description()?.trim_end().strip_suffix(']')?.rsplit_once("[replaces ")?;
        let (replaces, since) = marker.split_once(" since ")?;
        Some(Self { replaces: replaces.to_owned(), since: since.parse().ok()? })
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[replaces {} since {}]", self.replaces, self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        let marker = Marker { replaces: "we_1".to_owned(), since: 1_700_000_000 };
        let described = |text: String| {
            Marker::of(&Registered::new("we_2", "https://a.example", vec![]).with_description(Some(text)))
        };
        assert_eq!(described(format!("shop {marker}")), Some(marker));
        for text in ["", "shop", "[replaces we_1]", "[replaces we_1 since x]", "[replaces we_1 since 7] no"] {
            assert_eq!(described(text.to_owned()), None, "{text}");
        }
    }
}
