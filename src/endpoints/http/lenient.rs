//! One value out of an answer, whatever is wrong with the others. No I/O.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde_json::value::RawValue;

/// What a JSON pointer leads to; of a member that stands there twice, the last. Nothing else is read but the names on
/// the way: a number that is too large elsewhere, half of a surrogate pair or a hundred levels do no harm.
pub(super) fn value<'a>(json: &'a RawValue, pointer: &str) -> Option<&'a RawValue> {
    let mut found = json;
    for token in pointer.strip_prefix('/')?.split('/') {
        let token = token.replace("~1", "/").replace("~0", "~");
        found = if found.get().starts_with('[') {
            let items: Vec<&RawValue> = serde_json::from_str(found.get()).ok()?;
            items.get(token.parse::<usize>().ok()?).copied()?
        } else {
            let members: BTreeMap<Name, &RawValue> = serde_json::from_str(found.get()).ok()?;
            members.get(&Name(token.into_bytes())).copied()?
        };
    }
    Some(found)
}

/// The name of a member, which need be no Unicode.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Name(Vec<u8>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_bytes(AnyText)
    }
}

struct AnyText;

impl Visitor<'_> for AnyText {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(Name(name.as_bytes().to_vec()))
    }

    fn visit_bytes<E>(self, name: &[u8]) -> Result<Name, E> {
        Ok(Name(name.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(json: &str, pointer: &str) -> Option<String> {
        let json: &RawValue = serde_json::from_str(json).unwrap();
        value(json, pointer).map(|found| found.get().to_owned())
    }

    #[test]
    fn a_pointer_leads_through_objects_and_lists() {
        let json = r#"{"a":{"b/c":[1,{"~d":"x"}]},"a":{"b/c":[2,{"~d":"y"}],"e":null},"f":3}"#;
        assert_eq!(at(json, "/a/b~1c/1/~0d").unwrap(), "\"y\"", "the last of two");
        assert_eq!(at(json, "/a/b~1c/0").unwrap(), "2");
        assert_eq!(at(json, "/a/e").unwrap(), "null");
        for nowhere in ["", "a", "/b", "/a/b~1c/2", "/a/b~1c/x", "/f/0", "/f/g", "/a/e/x", "/"] {
            assert_eq!(at(json, nowhere), None, "{nowhere}");
        }
        assert_eq!(at("[{\"a\":1}]", "/0/a").unwrap(), "1");
        assert_eq!(at("7", "/a"), None);
    }

    #[test]
    fn names_and_values_that_are_no_unicode_are_passed() {
        let json = r#"{"\ud83d":"\udc00","\u0061":{"n":1e999,"b":7}}"#;
        assert_eq!(at(json, "/a/b").unwrap(), "7");
    }
}
