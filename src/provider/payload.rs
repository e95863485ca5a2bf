//! What the typed payloads of all providers share: open fields, open status texts, an event per type.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value};

/// The fields of a JSON object that no type of this crate names, by their names.
///
/// A provider may add a field at any time, so a typed payload keeps what it does not know and writes it
/// back when it is serialised. Two things are refused: anything but an object, and a name that occurs
/// twice, for then two readers of the same bytes may see different values. Below the first level the values
/// are [`Value`]s as [`serde_json`] reads them: there the last of two equal names wins. An integer that fits
/// into 64 bits is kept exactly; a larger one becomes a float, unless `serde_json/arbitrary_precision` is on.
///
/// ```
/// use tower_webhook::provider::Fields;
///
/// let fields: Fields = serde_json::from_str(r#"{"orderId":"order_456","total":9007199254740993}"#)?;
/// assert_eq!(fields.get("orderId").and_then(|id| id.as_str()), Some("order_456"));
/// assert_eq!(fields.get("total").and_then(|total| total.as_u64()), Some(9_007_199_254_740_993));
/// assert!(fields.get("absent").is_none());
///
/// assert!(serde_json::from_str::<Fields>(r#"{"orderId":"a","orderId":"b"}"#).is_err());
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// The value of a field, or `None` where the provider did not send it.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// Whether there is no field at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The fields as a map.
    #[must_use]
    pub fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    /// The fields as an owned map, for instance to read them as a type of your own.
    ///
    /// ```
    /// use serde::Deserialize;
    /// use tower_webhook::provider::Fields;
    ///
    /// #[derive(Deserialize)]
    /// struct Plan { name: String }
    ///
    /// let fields: Fields = serde_json::from_str(r#"{"name":"monthly"}"#)?;
    /// let plan: Plan = serde_json::from_value(fields.into_map().into())?;
    /// assert_eq!(plan.name, "monthly");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn into_map(self) -> Map<String, Value> {
        self.0
    }
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Fields, A::Error> {
        let mut fields = Map::new();
        while let Some((name, value)) = object.next_entry::<String, Value>()? {
            // `Map`'s own impl would let the last one win. The name is the sender's text: not for a log.
            if fields.insert(name, value).is_some() {
                return Err(de::Error::custom("duplicate field"));
            }
        }
        Ok(Fields(fields))
    }
}

/// Reads `null` as empty; with `#[serde(default)]` an absent field too.
pub(super) fn fields_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fields, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Reads a JSON string into a type made from text, without a `String` in between.
pub(super) struct TextVisitor<T>(pub(super) PhantomData<T>);

impl<T: for<'a> From<&'a str>> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        Ok(T::from(text))
    }
}

/// An enum of known texts that takes any other text too and writes it back unchanged.
macro_rules! open_text_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $(
                #[doc = concat!("`", $text, "`.")]
                $(#[$variant_meta])*
                $variant,
            )+
            /// Any other text, as sent. A later release may give it a variant of its own, so compare it by
            /// [`as_str`](Self::as_str).
            Other(String),
        }

        impl $name {
            /// The text as the provider writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(text) => text,
                }
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                match text {
                    $($text => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let visitor = $crate::provider::payload::TextVisitor(std::marker::PhantomData);
                deserializer.deserialize_str(visitor)
            }
        }
    };
}

/// One event type per line, each a newtype around the payload named before the colon.
///
/// `$provider` names the module in the generated examples. `$table` is for tests: every type string with
/// a function that parses the payload as that type and writes it back.
macro_rules! newtype_events {
    (
        $provider:literal, $table:ident, $payload:ident:
        $($(#[$meta:meta])* $name:ident = $event_type:literal;)+
    ) => {
        $(
            $(#[$meta])*
            ///
            /// ```
            #[doc = concat!(" use tower_webhook::{Event, provider::", $provider, "::events::", stringify!($name), "};")]
            ///
            #[doc = concat!(" assert_eq!(", stringify!($name), "::TYPE, \"", $event_type, "\");")]
            /// ```
            #[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
            #[serde(transparent)]
            #[expect(clippy::exhaustive_structs, reason = "a name for the payload; it cannot grow")]
            pub struct $name(pub $payload);

            impl $crate::Event for $name {
                const TYPE: &'static str = $event_type;
            }
        )+

        #[cfg(test)]
        const $table: &[$crate::provider::payload::tests::TypedEvent] =
            &[$((<$name as $crate::Event>::TYPE, $crate::provider::payload::tests::rewrite::<$name>),)+];
    };
}

pub(super) use {newtype_events, open_text_enum};

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An event type and [`rewrite`] for its payload.
    pub(in crate::provider) type TypedEvent = (&'static str, fn(&str) -> serde_json::Result<Value>);

    /// Parses a payload as `T` and writes it back.
    pub(in crate::provider) fn rewrite<T>(payload: &str) -> serde_json::Result<Value>
    where
        T: crate::Event + serde::Serialize,
    {
        serde_json::from_str::<T>(payload).and_then(serde_json::to_value)
    }

    /// The error text of a payload that must not parse.
    pub(in crate::provider) fn refusal<T: de::DeserializeOwned>(payload: &str) -> String {
        match serde_json::from_str::<T>(payload) {
            Ok(_) => panic!("accepted {payload}"),
            Err(error) => error.to_string(),
        }
    }

    /// That `text` becomes `status` and goes back unchanged, whether escaped in JSON or not.
    pub(in crate::provider) fn assert_text<T>(text: &str, status: &T)
    where
        T: for<'a> From<&'a str> + serde::Serialize + de::DeserializeOwned,
        T: PartialEq + fmt::Debug + fmt::Display,
    {
        let json = Value::from(text).to_string();
        let escaped: String = text.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        assert_eq!(T::from(text), *status);
        assert_eq!(serde_json::from_str::<T>(&json).unwrap(), *status);
        assert_eq!(serde_json::from_str::<T>(&format!("\"{escaped}\"")).unwrap(), *status);
        assert_eq!(serde_json::to_string(status).unwrap(), json);
        assert_eq!(status.to_string(), text);
        assert!(refusal::<T>("1").contains("expected a string"));
    }

    /// That `typed`, in this order, are the exact types of `documented`, and none occurs twice.
    pub(in crate::provider) fn assert_types_match(documented: &[&str], typed: &[&[TypedEvent]]) {
        let exact: Vec<_> = documented.iter().copied().filter(|name| !name.ends_with(".*")).collect();
        let typed: Vec<_> = typed.concat().into_iter().map(|(name, _)| name).collect();
        assert_eq!(typed, exact);

        let mut unique = documented.to_vec();
        unique.sort_unstable();
        unique.dedup();
        assert_eq!(unique.len(), documented.len(), "a type occurs twice");
    }

    #[test]
    fn fields_keep_every_64_bit_integer_exactly() {
        let text = r#"{"a":18446744073709551615,"b":-9223372036854775808,"c":9007199254740993}"#;
        let fields: Fields = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&fields).unwrap(), text);
        assert_eq!(fields.get("a").and_then(Value::as_u64), Some(u64::MAX));
        assert_eq!(fields.as_map().len(), 3);
        assert!(!fields.is_empty());
    }

    #[test]
    fn fields_are_an_object_without_doubles() {
        assert!(serde_json::from_str::<Fields>("{}").unwrap().is_empty());
        for other in ["[]", "[1]", "null", "1", r#""text""#, "true"] {
            assert!(refusal::<Fields>(other).contains("expected an object"), "{other}");
        }
        assert!(refusal::<Fields>(r#"{"k":1,"k":1}"#).contains("duplicate field"));
        assert!(
            refusal::<Fields>(r#"{"k":1,"\u006b":2}"#).contains("duplicate field"),
            "the same name, escaped"
        );
    }

    #[test]
    fn a_duplicate_name_does_not_reach_the_error() {
        assert!(!refusal::<Fields>(r#"{"jane@doe.test":1,"jane@doe.test":2}"#).contains("jane"));
    }
}
