//! The other direction, for tests: an event as a provider would write it.

use http::HeaderName;
use serde_json::{Map, Value};

use super::{Identity, ResolvedEnvelope, TypeSource};
use crate::pointer;

/// What an event is made of.
pub(crate) struct Ingredients<'a> {
    pub(crate) id: &'a str,
    pub(crate) event_type: &'a str,
    pub(crate) payload: Value,
    pub(crate) created: u64,
}

impl ResolvedEnvelope {
    /// The body, and the headers that belong to the envelope.
    pub(crate) fn compose(&self, event: Ingredients<'_>) -> (Vec<(HeaderName, String)>, Value) {
        let mut headers = Vec::new();
        let mut body = Value::Object(Map::new());
        match self.payload_path() {
            Some(path) => put(&mut body, path, event.payload),
            None => body = event.payload,
        }
        match self.identity() {
            Identity::Path(path) => put(&mut body, path, self.id_value(event.id)),
            Identity::Header(names) => headers.push((names.first().clone(), event.id.to_owned())),
            // Without an id in it, two events could be the same bytes.
            Identity::Digest | Identity::Body | Identity::Nowhere => {
                headers.extend(self.unsigned_id().map(|names| (names.first().clone(), event.id.to_owned())));
                put(&mut body, "/sample_id", event.id.into());
            }
        }
        match self.type_source() {
            TypeSource::Path(path) => put(&mut body, path, event.event_type.into()),
            TypeSource::Header(names) => headers.push((names.first().clone(), event.event_type.to_owned())),
            TypeSource::Constant(_) => {}
        }
        if let Some(path) = self.created_path() {
            put(&mut body, path, event.created.into());
        }
        (headers, body)
    }

    fn id_value(&self, id: &str) -> Value {
        match id.parse::<u64>() {
            Ok(number) if self.has_numeric_ids() => number.into(),
            _ => id.into(),
        }
    }
}

/// Puts `value` at an RFC 6901 pointer through objects, which are made where there are none.
pub(crate) fn put(root: &mut Value, path: &str, value: Value) {
    let mut place = root;
    for name in pointer::parse(path).unwrap_or_default() {
        if !place.is_object() {
            *place = Value::Object(Map::new());
        }
        place = &mut place[name];
    }
    *place = value;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_put_where_the_pointer_says() {
        let mut value = serde_json::json!({"a": 1, "b": {"c": 2}});
        put(&mut value, "/b/d", 3.into());
        put(&mut value, "/x~1y/z", 4.into());
        put(&mut value, "/a/e", 5.into());
        assert_eq!(value, serde_json::json!({"a": {"e": 5}, "b": {"c": 2, "d": 3}, "x/y": {"z": 4}}));
    }
}
