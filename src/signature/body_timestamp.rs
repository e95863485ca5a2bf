//! A timestamp within the signed body, read once the signature holds.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};

use super::timestamp::{SignedTimestamp, TimestampUnit};
use crate::error::{ConfigError, RejectionReason};
use crate::pointer;

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
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let text = Step { path: &self.path }.deserialize(&mut deserializer).and_then(|text| {
            deserializer.end()?;
            Ok(text)
        });
        match text {
            Ok(Some(text)) => SignedTimestamp::parse(unit, text.as_bytes()),
            Ok(None) | Err(_) => Err(RejectionReason::MalformedTimestamp),
        }
    }
}

/// One step of the path.
struct Step<'p> {
    path: &'p [String],
}

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.path.is_empty() {
            deserializer.deserialize_any(self)
        } else {
            deserializer.deserialize_map(self)
        }
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.path.is_empty() { "a timestamp" } else { "an object" })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((name, rest)) = self.path.split_first() else {
            return Err(A::Error::custom("an object is no timestamp"));
        };
        let mut found = None;
        while let Some(member) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if member != *name {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value_seed(Step { path: rest })?).is_some() {
                return Err(A::Error::custom("a timestamp stands there twice"));
            }
        }
        Ok(found.flatten())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Some(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
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
