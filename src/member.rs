//! One member of a JSON body, as it is written there.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use serde_json::de::Read;
use serde_json::value::RawValue;

/// The value at a path through objects; `None` where there is none. An error where the body is no JSON, the path leads
/// through something else than objects, or a name of it stands there twice.
pub(crate) fn find<'b>(
    path: &[String],
    body: impl Read<'b>,
) -> Result<Option<&'b RawValue>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::new(body);
    let found = Step { path }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(found)
}

struct Step<'p> {
    path: &'p [String],
}

impl<'de> DeserializeSeed<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        if self.path.is_empty() {
            <&RawValue as serde::Deserialize>::deserialize(deserializer).map(Some)
        } else {
            deserializer.deserialize_map(self)
        }
    }
}

impl<'de> Visitor<'de> for Step<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let Some((name, rest)) = self.path.split_first() else {
            return Err(A::Error::custom("a path has a name"));
        };
        let mut found = None;
        while let Some(member) = map.next_key::<Cow<'de, str>>()? {
            if member != *name {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value_seed(Step { path: rest })?).is_some() {
                return Err(A::Error::custom("a member stands there twice"));
            }
        }
        Ok(found.flatten())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::de::StrRead;

    use super::*;
    use crate::pointer;

    #[allow(clippy::unwrap_in_result, reason = "the path is not what is tested")]
    fn at<'b>(path: &str, body: &'b str) -> Result<Option<&'b str>, serde_json::Error> {
        find(&pointer::parse(path).unwrap(), StrRead::new(body)).map(|found| found.map(RawValue::get))
    }

    #[test]
    fn values_are_found_as_they_are_written() {
        let body = r#" {"a": [1, {"b":0}], "b": {"c" : "x\u0041" , "d":[ ]}, "\u0065": null} "#;
        assert_eq!(at("/b/c", body).unwrap(), Some(r#""x\u0041""#));
        assert_eq!(at("/b/d", body).unwrap(), Some("[ ]"));
        assert_eq!(at("/e", body).unwrap(), Some("null"));
        assert_eq!((at("/b/x", body).unwrap(), at("/x", body).unwrap()), (None, None));
    }

    #[test]
    fn what_is_ambiguous_or_no_object_is_an_error() {
        for body in [
            r#"{"b":{"c":1,"c":1}}"#,
            r#"{"b":{"c":1},"b":{}}"#,
            r#"{"b":{"c":1},"\u0062":{"c":1}}"#,
            r#"{"b":[]}"#,
            r#"{"b":"c"}"#,
            r#"[{"b":{"c":1}}]"#,
            r#"{"b":{"c":1}} x"#,
            r#"{"b":{"c":1}"#,
            "",
        ] {
            assert!(at("/b/c", body).is_err(), "{body}");
        }
    }
}
