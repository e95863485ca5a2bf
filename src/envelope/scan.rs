//! One pass over the body: the configured members, borrowed; all else skipped, not stored.

use std::fmt;

use bytes::Bytes;
use bytestring::ByteString;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::error::ConfigError;
use crate::pointer;

/// What an envelope says.
#[derive(Clone, Debug)]
pub(crate) struct Scanned {
    pub(crate) id: ByteString,
    /// Whether the id tells this event from others; where nothing does, there is nothing to claim.
    pub(crate) identified: bool,
    pub(crate) event_type: ByteString,
    pub(crate) type_is_signed: bool,
    pub(crate) payload: ByteString,
    pub(crate) payload_is_json: bool,
    pub(crate) created: Option<u64>,
    pub(crate) livemode: Option<bool>,
    pub(crate) api_version: Option<ByteString>,
}

/// Why an authentic body is not an event. It says where, and never quotes the body.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvelopeError {
    #[error("the body is not valid UTF-8 at byte {valid_up_to}")]
    NotUtf8 { valid_up_to: usize },
    #[error("the body is not JSON: syntax error at line {line} column {column}")]
    NotJson { line: usize, column: usize },
    #[error("the envelope does not have the expected shape at line {line} column {column}")]
    Shape { line: usize, column: usize },
    #[error("the envelope has no {0}")]
    Missing(&'static str),
    #[error("the envelope's {0} is empty")]
    Empty(&'static str),
    #[error("the header {0} stands there twice, or is not text")]
    Header(http::HeaderName),
}

/// What the layout alone does not say.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    pub(super) whole_body: bool,
    pub(super) numeric_ids: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Id,
    EventType,
    Payload,
    Created,
    Livemode,
    ApiVersion,
}

/// The configured paths as a tree. A node is a member whose value is wanted, or is gone into, or both (an id
/// within the payload).
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    slot: Option<Slot>,
    members: Vec<(String, Self)>,
}

impl Layout {
    pub(super) fn insert(&mut self, path: &str, slot: Slot) -> Result<(), ConfigError> {
        let mut node = self;
        for name in pointer::parse(path)? {
            let index = match node.members.iter().position(|(member, _)| *member == name) {
                Some(index) => index,
                None => {
                    node.members.push((name, Self::default()));
                    node.members.len() - 1
                }
            };
            node = &mut node.members[index].1;
        }
        if node.slot.replace(slot).is_some() {
            return Err(ConfigError::InvalidPath {
                path: path.to_owned(),
                problem: "two settings name this member",
            });
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether some path may go through an array here.
    fn has_indices(&self) -> bool {
        self.members.iter().any(|(name, _)| index_of(name).is_some())
    }

    /// Only the payload can be both wanted and gone into: an id is no object.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (name, member) in &self.members {
            if !member.members.is_empty() && !matches!(member.slot, None | Some(Slot::Payload)) {
                return Err(ConfigError::InvalidPath {
                    path: name.clone(),
                    problem: "another setting names a member inside this one",
                });
            }
            member.check()?;
        }
        Ok(())
    }
}

/// What is found in a body.
#[derive(Debug, Default)]
pub(super) struct Members {
    pub(super) id: Option<ByteString>,
    pub(super) event_type: Option<ByteString>,
    pub(super) payload: Option<ByteString>,
    pub(super) created: Option<u64>,
    pub(super) livemode: Option<bool>,
    pub(super) api_version: Option<ByteString>,
}

pub(super) fn scan(layout: &Layout, kind: &Kind, body: &Bytes) -> Result<Members, EnvelopeError> {
    let text = ByteString::try_from(body.clone())
        .map_err(|_| EnvelopeError::NotUtf8 { valid_up_to: valid_up_to(body) })?;
    let mut found = Found { text: &text, kind, members: Members::default() };
    read(layout, &text, false, &mut found).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            EnvelopeError::Shape { line: error.line(), column: error.column() }
        }
        _ => EnvelopeError::NotJson { line: error.line(), column: error.column() },
    })?;
    let mut members = found.members;
    if kind.whole_body {
        members.payload = Some(text);
    }
    Ok(members)
}

fn valid_up_to(body: &[u8]) -> usize {
    std::str::from_utf8(body).err().map_or(0, |error| error.valid_up_to())
}

/// Reads one object and nothing after it. Within a payload it may be an array.
fn read(layout: &Layout, json: &str, nested: bool, found: &mut Found<'_>) -> Result<(), serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let object = Object { layout, found };
    if nested && layout.has_indices() {
        deserializer.deserialize_any(object)?;
    } else {
        deserializer.deserialize_map(object)?;
    }
    deserializer.end()
}

struct Found<'a> {
    text: &'a ByteString,
    kind: &'a Kind,
    members: Members,
}

/// An object some of whose members are wanted, or an array some of whose items are. An array is refused where no path
/// goes through it: serde's derive would take one for a struct, member by position.
struct Object<'l, 'f, 'a> {
    layout: &'l Layout,
    found: &'f mut Found<'a>,
}

impl<'de> Visitor<'de> for Object<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = 0_u64;
        while let Some(member) = map.next_key_seed(MemberName { layout: self.layout })? {
            let Some(index) = member else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            let bit = 1 << index;
            if seen & bit != 0 {
                return Err(A::Error::custom("a configured member stands there twice"));
            }
            seen |= bit;
            map.next_value_seed(Member { layout: &self.layout.members[index].1, found: self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        if !self.layout.has_indices() {
            return Err(A::Error::invalid_type(serde::de::Unexpected::Seq, &self));
        }
        for index in 0_usize.. {
            let wanted = self.layout.members.iter().find(|(name, _)| index_of(name) == Some(index));
            let more = match wanted {
                Some((_, layout)) => array.next_element_seed(Member { layout, found: self.found })?.is_some(),
                None => array.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }
}

/// A reference token as an index into an array: digits without a leading zero.
fn index_of(token: &str) -> Option<usize> {
    let canonical =
        token == "0" || token.bytes().all(|byte| byte.is_ascii_digit()) && !token.starts_with('0');
    if canonical { token.parse().ok() } else { None }
}

/// A member's name, looked up and not kept. Exact case; escapes are resolved before.
struct MemberName<'l> {
    layout: &'l Layout,
}

impl<'de> DeserializeSeed<'de> for MemberName<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MemberName<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.layout.members.iter().position(|(member, _)| member == name))
    }
}

/// A wanted member's value.
struct Member<'l, 'f, 'a> {
    layout: &'l Layout,
    found: &'f mut Found<'a>,
}

impl<'de> DeserializeSeed<'de> for Member<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        let Self { layout, found } = self;
        match layout.slot {
            None if layout.has_indices() => return deserializer.deserialize_any(Object { layout, found }),
            None => return deserializer.deserialize_map(Object { layout, found }),
            Some(Slot::Id) => {
                let seed = Text { within: found.text, numeric: found.kind.numeric_ids };
                found.members.id = Some(seed.deserialize(deserializer)?);
            }
            Some(Slot::EventType) => {
                let seed = Text { within: found.text, numeric: false };
                found.members.event_type = Some(seed.deserialize(deserializer)?);
            }
            Some(Slot::Payload) => {
                let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
                found.members.payload = Some(found.text.slice_ref(raw.get()));
                if !layout.members.is_empty() {
                    read(layout, raw.get(), true, found).map_err(D::Error::custom)?;
                }
            }
            // What follows informs; a value of another kind counts as absent, and whoever relies on the
            // member refuses its absence.
            Some(Slot::Created) => found.members.created = lenient(deserializer)?,
            Some(Slot::Livemode) => found.members.livemode = lenient(deserializer)?,
            Some(Slot::ApiVersion) => {
                found.members.api_version = lenient::<String, _>(deserializer)?.map(ByteString::from);
            }
        }
        Ok(())
    }
}

fn lenient<'de, T: serde::de::DeserializeOwned, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue as serde::Deserialize>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// A string, shared with the body where it has no escapes.
struct Text<'a> {
    within: &'a ByteString,
    numeric: bool,
}

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ByteString;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ByteString, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = ByteString;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.numeric { "a string or a non-negative integer" } else { "a string" })
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<ByteString, E> {
        Ok(self.within.slice_ref(text))
    }

    fn visit_str<E>(self, text: &str) -> Result<ByteString, E> {
        Ok(text.into())
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<ByteString, E> {
        if self.numeric {
            Ok(number.to_string().into())
        } else {
            Err(E::invalid_type(serde::de::Unexpected::Unsigned(number), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::{Envelope, ResolvedEnvelope};
    use crate::signature::{Authenticator, Part, SignatureScheme};
    use http::{HeaderMap, HeaderValue};

    /// What the header's envelopes are about: `x-id` and `x-kind` are signed, `x-other` is not.
    fn resolve(envelope: Envelope) -> Result<ResolvedEnvelope, ConfigError> {
        let dot = || Part::literal(".");
        let parts = [Part::header("x-id"), dot(), Part::header("x-kind"), dot(), Part::Body];
        let scheme = SignatureScheme::hmac_sha256("x-signature").with_signed(parts).resolve()?;
        envelope.resolve(&Authenticator::Data(Box::new(scheme)))
    }

    const SIGNED: [u8; 32] = [0xab; 32];

    #[allow(clippy::unwrap_in_result, reason = "the envelope is not what is tested")]
    fn scan_with(envelope: Envelope, body: &str) -> Result<Scanned, EnvelopeError> {
        resolve(envelope)
            .unwrap()
            .scan(&Bytes::copy_from_slice(body.as_bytes()), &HeaderMap::new(), || SIGNED)
    }

    fn full() -> Envelope {
        Envelope::json("/id")
            .with_payload("/data/object")
            .with_created("/created")
            .with_livemode("/livemode")
            .with_api_version("/api_version")
    }

    fn shape(result: &Result<Scanned, EnvelopeError>) -> bool {
        matches!(result, Err(EnvelopeError::Shape { .. }))
    }

    #[test]
    fn everything_configured_is_found_in_any_order() {
        let scanned = scan_with(
            full(),
            r#" {"x":[1,{"id":"no"}],"data":{"y":0,"object": {"a" : 1} ,"z":{}},"livemode":false,
                "type":"t","created":7,"api_version":"2025-01-15","id":"evt_1"} "#,
        )
        .unwrap();
        assert_eq!((&*scanned.id, &*scanned.event_type), ("evt_1", "t"));
        assert_eq!(&*scanned.payload, r#"{"a" : 1}"#);
        assert_eq!((scanned.created, scanned.livemode), (Some(7), Some(false)));
        assert_eq!(scanned.api_version.as_deref(), Some("2025-01-15"));
    }

    #[test]
    fn what_informs_may_be_absent_or_of_another_kind() {
        for extra in
            ["", r#","created":"x","livemode":"true","api_version":7"#, r#","created":-1,"livemode":null"#]
        {
            let body = format!(r#"{{"id":"a","type":"t","data":{{"object":null}}{extra}}}"#);
            let scanned = scan_with(full(), &body).unwrap();
            assert_eq!((scanned.created, scanned.livemode, scanned.api_version), (None, None, None));
            assert_eq!(&*scanned.payload, "null");
        }
    }

    #[test]
    fn what_is_needed_must_be_there_and_filled() {
        let error = |body: &str| scan_with(full(), body).unwrap_err();
        assert_eq!(error(r#"{"type":"t","data":{"object":1}}"#), EnvelopeError::Missing("id"));
        assert_eq!(error(r#"{"id":"a","data":{"object":1}}"#), EnvelopeError::Missing("type"));
        assert_eq!(error(r#"{"id":"a","type":"t","data":{}}"#), EnvelopeError::Missing("payload"));
        assert_eq!(error(r#"{"id":"a","type":"t"}"#), EnvelopeError::Missing("payload"));
        assert_eq!(error(r#"{"id":"","type":"t","data":{"object":1}}"#), EnvelopeError::Empty("id"));
        assert_eq!(error(r#"{"id":"a","type":"","data":{"object":1}}"#), EnvelopeError::Empty("type"));
        assert!(shape(&scan_with(full(), r#"{"id":"a","type":"t","data":[1]}"#)));
    }

    #[test]
    fn a_configured_member_stands_there_once() {
        for body in [
            r#"{"id":"a","id":"b","type":"t"}"#,
            r#"{"id":"a","\u0069d":"b","type":"t"}"#,
            r#"{"id":"a","type":"t","type":"t"}"#,
            r#"{"id":"a","type":"t","data":{"object":1,"object":1}}"#,
            r#"{"id":"a","type":"t","data":{"object":1},"data":{}}"#,
            r#"{"id":"a","type":"t","data":{"object":1},"created":1,"created":1}"#,
        ] {
            assert!(shape(&scan_with(full(), body)), "{body}");
        }
        assert!(
            scan_with(full(), r#"{"x":1,"x":2,"ID":"b","id":"a","type":"t","data":{"object":1}}"#).is_ok()
        );
    }

    #[test]
    fn strings_may_have_escapes() {
        let body = r#"{"\u0069d":"a\u0062\n\u0000","type":"t\u0065"}"#;
        let scanned = scan_with(Envelope::json("/id"), body).unwrap();
        assert_eq!((&*scanned.id, &*scanned.event_type), ("ab\n\0", "te"));
        let surrogate = scan_with(Envelope::json("/id"), r#"{"id":"\ud800","type":"t"}"#);
        assert!(matches!(surrogate, Err(EnvelopeError::NotJson { .. })));
    }

    #[test]
    fn ids_are_strings_unless_numbers_are_expected() {
        let id = |envelope, id: &str| scan_with(envelope, &format!(r#"{{"id":{id},"type":"t"}}"#));
        for number in ["1", "18446744073709551615"] {
            assert!(shape(&id(Envelope::json("/id"), number)));
            assert_eq!(&*id(Envelope::json("/id").with_numeric_ids(), number).unwrap().id, number);
        }
        for other in ["1.0", "1e0", "-1", "18446744073709551616", "null", "true", "{}", "[]", "[[1]]"] {
            assert!(shape(&id(Envelope::json("/id"), other)), "{other}");
            assert!(shape(&id(Envelope::json("/id").with_numeric_ids(), other)), "{other}");
        }
        assert_eq!(&*id(Envelope::json("/id").with_numeric_ids(), "\"1\"").unwrap().id, "1");
    }

    #[test]
    fn only_one_object_is_an_event() {
        for body in ["", "null", "7", "\"x\"", "[]", r#"["a","t"]"#, "{", "{}x", "{} {}", "\u{feff}{}"] {
            assert!(scan_with(Envelope::json("/id"), body).is_err(), "{body}");
        }
        let envelope = resolve(Envelope::json("/id")).unwrap();
        let error = envelope.scan(&Bytes::from_static(b"{\"\xff\"}"), &HeaderMap::new(), || SIGNED);
        assert_eq!(error.unwrap_err(), EnvelopeError::NotUtf8 { valid_up_to: 2 });
        assert_eq!(
            scan_with(Envelope::json("/id"), "{\n!").unwrap_err(),
            EnvelopeError::NotJson { line: 2, column: 1 }
        );
    }

    #[test]
    fn depth_is_skipped_without_recursion() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for body in [
            format!(r#"{{"x":{deep},"id":"a","type":"t","data":{{"object":1}}}}"#),
            format!(r#"{{"id":"a","type":"t","data":{{"object":{deep}}}}}"#),
            format!(r#"{{"id":"a","type":"t","created":{deep},"data":{{"object":1}}}}"#),
        ] {
            assert_eq!(&*scan_with(full(), &body).unwrap().id, "a");
        }
    }

    #[test]
    fn an_id_may_stand_within_the_payload() {
        let envelope = Envelope::json("/data/id").with_payload("/data").with_event_type("/data/kind/name");
        let scanned =
            scan_with(envelope.clone(), r#"{"data":{"id":"a","kind":{"name":"t"}},"id":"no"}"#).unwrap();
        assert_eq!((&*scanned.id, &*scanned.event_type), ("a", "t"));
        assert_eq!(&*scanned.payload, r#"{"id":"a","kind":{"name":"t"}}"#);
        assert!(shape(&scan_with(envelope, r#"{"data":{"id":"a","id":"b","kind":{"name":"t"}}}"#)));
    }

    #[test]
    fn a_constant_type_needs_no_member() {
        let envelope = Envelope::json("/id").with_constant_event_type("ping");
        let scanned = scan_with(envelope, r#"{"id":"a","type":"other"}"#).unwrap();
        assert_eq!(&*scanned.event_type, "ping");
        assert_eq!(&*scanned.payload, r#"{"id":"a","type":"other"}"#);
        assert!(resolve(Envelope::json("/id").with_constant_event_type("")).is_err());
    }

    #[test]
    fn contradicting_paths_are_refused() {
        for envelope in [
            Envelope::json("/type"),
            Envelope::json("id"),
            Envelope::json("/id").with_event_type("/id/type"),
            Envelope::json("/id").with_created("/data/at").with_livemode("/data/at/live"),
            Envelope::json("/id").with_payload("/data").with_api_version("/data"),
        ] {
            assert!(resolve(envelope.clone()).is_err(), "{envelope:?}");
        }
    }

    #[test]
    fn t088_pointers_go_through_arrays_by_index() {
        let id = |path: &str, body: &str| {
            scan_with(Envelope::json(path).with_constant_event_type("t"), body)
                .map(|scanned| scanned.id.to_string())
        };
        let body = r#"{"data":[{"id":"a","x":[["b"]]},{"id":"c"}],"a/b":{"~":"d"},"0":{"1":"e"}}"#;
        for (path, expected) in [
            ("/data/0/id", "a"),
            ("/data/0/x/0/0", "b"),
            ("/data/1/id", "c"),
            ("/a~1b/~0", "d"),
            ("/0/1", "e"),
        ] {
            assert_eq!(id(path, body).unwrap(), expected, "{path}");
        }
        for path in ["/data/2/id", "/data/0/no", "/no/0"] {
            assert_eq!(id(path, body), Err(EnvelopeError::Missing("id")), "{path}");
        }
        // No index: a member's name, a leading zero, the item after the last, a sign.
        for path in ["/data/id", "/data/00/id", "/data/-/id", "/data/+0/id", "/data/99999999999999999999/id"]
        {
            assert!(id(path, body).is_err(), "{path}");
        }
        // A path that goes through what is neither.
        assert!(id("/data/0/id", r#"{"data":"text"}"#).is_err());
        // The root is an object, even where a path could go through an array.
        assert!(id("/0/id", r#"[{"id":"a"}]"#).is_err());
        // Within a payload too.
        let within = Envelope::json("/data/0/id").with_payload("/data").with_constant_event_type("t");
        let scanned = scan_with(within, r#"{"data":[{"id":"a"}]}"#).unwrap();
        assert_eq!((&*scanned.id, &*scanned.payload), ("a", r#"[{"id":"a"}]"#));
    }

    fn headers(lines: &[(&'static str, &'static [u8])]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_bytes(value).unwrap()))
            .collect()
    }

    #[test]
    fn id_and_type_may_be_headers() {
        let envelope = || Envelope::identified_by_header("x-id").with_event_type_header("x-other");
        let resolved = resolve(envelope()).unwrap();
        let scan = |lines: &[_]| resolved.scan(&Bytes::from_static(b"{}"), &headers(lines), || SIGNED);
        let scanned = scan(&[("x-id", b"a"), ("x-other", b" t ")]).unwrap();
        assert_eq!((&*scanned.id, &*scanned.event_type, &*scanned.payload), ("a", "t", "{}"));
        assert!(!scanned.type_is_signed);
        assert_eq!(scan(&[("x-other", b"t")]).unwrap_err(), EnvelopeError::Missing("id"));
        assert_eq!(scan(&[("x-id", b"a")]).unwrap_err(), EnvelopeError::Missing("type"));
        assert_eq!(scan(&[("x-id", b"a"), ("x-other", b"")]).unwrap_err(), EnvelopeError::Empty("type"));
        for lines in [
            &[("x-id", &b"a"[..]), ("x-other", b"\xff")][..],
            &[("x-id", b"a"), ("x-other", b"t"), ("x-other", b"t")],
        ] {
            assert_eq!(scan(lines).unwrap_err(), EnvelopeError::Header("x-other".parse().unwrap()));
        }
        let signed = resolve(envelope().with_event_type_header("x-kind")).unwrap();
        assert!(signed.type_is_signed());
    }

    #[test]
    fn an_id_in_an_unsigned_header_is_refused_unless_that_is_accepted() {
        let error = resolve(Envelope::identified_by_header("x-other")).unwrap_err();
        assert_eq!(error, ConfigError::UnsignedId { header: "x-other".to_owned() });
        let envelope =
            Envelope::identified_by_digest().with_unsigned_id_header("x-other").with_event_type("/t");
        let mut resolved = resolve(envelope).unwrap();
        let id = |resolved: &ResolvedEnvelope, lines: &[_]| {
            resolved
                .scan(&Bytes::from_static(b"{\"t\":\"t\"}"), &headers(lines), || SIGNED)
                .unwrap()
                .id
                .to_string()
        };
        let digest = format!("sha256:{}", "ab".repeat(32));
        assert_eq!(id(&resolved, &[("x-other", b"a")]), digest);
        resolved.trust_unsigned_id().unwrap();
        assert_eq!(id(&resolved, &[("x-other", b"a")]), "a");
        assert_eq!(id(&resolved, &[]), digest);
        assert!(resolve(Envelope::json("/id")).unwrap().trust_unsigned_id().is_err());
    }

    #[test]
    fn an_opaque_body_is_not_read() {
        let resolved = resolve(Envelope::identified_by_body().opaque("batch")).unwrap();
        let scan =
            |body: &'static [u8]| resolved.scan(&Bytes::from_static(body), &HeaderMap::new(), || SIGNED);
        for (body, payload) in [(&b"a=1&b=2"[..], "a=1&b=2"), (b"[1]", "[1]"), (b"", ""), (b"\xff", "")] {
            let scanned = scan(body).unwrap();
            assert_eq!((&*scanned.event_type, &*scanned.payload), ("batch", payload));
            assert_eq!(
                &*scanned.id,
                format!("sha256:{}", const_hex::encode(<sha2::Sha256 as sha2::Digest>::digest(body)))
            );
        }
        let unidentified = resolve(Envelope::unidentified().opaque("hint")).unwrap();
        let scanned = unidentified.scan(&Bytes::new(), &HeaderMap::new(), || SIGNED).unwrap();
        assert!(scanned.id.starts_with("delivery:"), "{}", scanned.id);
        let again = unidentified.scan(&Bytes::new(), &HeaderMap::new(), || SIGNED).unwrap();
        assert_ne!(again.id, scanned.id);
        for envelope in [
            Envelope::json("/id").opaque("batch"),
            Envelope::identified_by_body().with_payload("/x").opaque("batch"),
            Envelope::identified_by_body().opaque("batch").with_event_type("/type"),
        ] {
            assert!(resolve(envelope).is_err());
        }
    }
}
