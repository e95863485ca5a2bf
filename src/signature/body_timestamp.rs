//! A timestamp within the signed body, read once the signature holds.

use std::borrow::Cow;

use serde_json::de::SliceRead;
use serde_json::value::RawValue;

use super::timestamp::{SignedTimestamp, TimestampUnit};
use crate::error::{ConfigError, RejectionReason};
use crate::{member, pointer};

/// Where in the body.
#[derive(Clone, Debug)]
pub(crate) struct BodyTimestamp {
    #[cfg(feature = "testing")]
    pointer: Box<str>,
    path: Vec<String>,
}

impl BodyTimestamp {
    pub(crate) fn new(path: &str) -> Result<Self, ConfigError> {
        Ok(Self {
            #[cfg(feature = "testing")]
            pointer: path.into(),
            path: pointer::parse(path)?,
        })
    }

    /// The pointer as it was given.
    #[cfg(feature = "testing")]
    pub(crate) fn pointer(&self) -> &str {
        &self.pointer
    }

    /// A member that is missing, stands there twice, or is neither a number nor a string, is no timestamp.
    #[inline(never)]
    pub(crate) fn read(&self, unit: TimestampUnit, body: &[u8]) -> Result<SignedTimestamp, RejectionReason> {
        let found = member::find(&self.path, SliceRead::new(body)).ok().flatten();
        let text = match found.map(RawValue::get).ok_or(RejectionReason::MalformedTimestamp)? {
            text if text.starts_with('"') => {
                serde_json::from_str(text).map_err(|_| RejectionReason::MalformedTimestamp)?
            }
            // A number as it is written; what else there may be is not written like one.
            other => Cow::Borrowed(other),
        };
        SignedTimestamp::parse(unit, text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &str, body: &str) -> Option<u64> {
        let timestamp = BodyTimestamp::new(path).unwrap().read(TimestampUnit::Millis, body.as_bytes());
        match timestamp {
            Ok(timestamp) => Some(timestamp.seconds()),
            Err(reason) => {
                assert_eq!(reason, RejectionReason::MalformedTimestamp);
                None
            }
        }
    }

    #[test]
    fn is_found_as_number_or_text() {
        assert_eq!(read("/at", r#"{"x":[{"at":1}],"at":1700000000123}"#), Some(1_700_000_000));
        assert_eq!(read("/at", r#"{"at":"1700000000123"}"#), Some(1_700_000_000));
        assert_eq!(read("/a~1b/at", r#"{"a/b":{"at":7000},"at":1}"#), Some(7));
        assert_eq!(read("/at", r#"{"\u0061t":7000}"#), Some(7));
    }

    #[test]
    fn is_there_once_and_canonical() {
        for body in [
            "",
            "{}",
            "[]",
            "7000",
            r#"{"at":null}"#,
            r#"{"at":-1}"#,
            r#"{"at":1.5}"#,
            r#"{"at":"07"}"#,
            r#"{"at":{}}"#,
            r#"{"at":[7000]}"#,
            r#"{"at":7000,"at":7000}"#,
            r#"{"at":7000}x"#,
            r#"{"at":7000"#,
        ] {
            assert_eq!(read("/at", body), None, "{body}");
        }
        assert_eq!(read("/at/x", r#"{"at":7000}"#), None);
        assert!(BodyTimestamp::new("at").is_err());
    }
}
