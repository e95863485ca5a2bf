//! Envelopes: arbitrary pointers into an arbitrary body. What is read is what the pointers mean to `serde_json`, and
//! a payload is a piece of the body.
#![no_main]

use std::fmt::Write as _;

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::{Corpus, fuzz_target};
use serde_json::Value;
use tower_webhook::{Delivery, Envelope, Provider, SignatureScheme, testing};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    id: Id<'a>,
    event_type: Type<'a>,
    payload: Option<Path<'a>>,
    created: Option<Path<'a>>,
    livemode: Option<Path<'a>>,
    api_version: Option<Path<'a>>,
    numeric_ids: bool,
    opaque: bool,
    id_line: Option<&'a [u8]>,
    type_line: Option<&'a [u8]>,
    body: Body<'a>,
}

#[derive(Arbitrary, Debug)]
enum Id<'a> {
    Path(Path<'a>),
    Digest,
    Body,
    Nowhere,
    Header { signed: bool },
}

#[derive(Arbitrary, Debug)]
enum Type<'a> {
    Path(Path<'a>),
    Header,
    Constant(&'a str),
}

#[derive(Arbitrary, Debug)]
enum Path<'a> {
    Text(&'a str),
    Names(Vec<Name>),
    /// Short, so that it ends where the body has something.
    One(Name),
    Two(Name, Name),
}

impl Path<'_> {
    fn names(&self) -> Vec<Name> {
        match self {
            Self::Text(_) => Vec::new(),
            Self::Names(names) => names.clone(),
            Self::One(name) => vec![*name],
            Self::Two(first, second) => vec![*first, *second],
        }
    }

    fn text(&self) -> String {
        match self {
            Self::Text(text) => (*text).to_owned(),
            Self::Names(names) => names.iter().map(|name| format!("/{}", name.token())).collect(),
            Self::One(name) => format!("/{}", name.token()),
            Self::Two(first, second) => format!("/{}/{}", first.token(), second.token()),
        }
    }
}

/// Few, so that paths meet each other and the body.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Name {
    Id,
    Type,
    Data,
    Slash,
    Tilde,
    Empty,
    Zero,
    One,
    NoIndex,
}

impl Name {
    fn text(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::Type => "type",
            Self::Data => "data",
            Self::Slash => "a/b",
            Self::Tilde => "~1",
            Self::Empty => "",
            Self::Zero => "0",
            Self::One => "1",
            Self::NoIndex => "01",
        }
    }

    fn token(self) -> String {
        self.text().replace('~', "~0").replace('/', "~1")
    }
}

#[derive(Arbitrary, Debug)]
enum Body<'a> {
    Bytes(&'a [u8]),
    Json(Vec<(Name, Json<'a>)>),
    /// An object that has something at every path; arrays or objects where a path has a number.
    Fitting {
        arrays: bool,
        values: [Json<'a>; 6],
    },
}

#[derive(Arbitrary, Debug)]
enum Json<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    Signed(i64),
    Float(f64),
    Text(&'a str),
    Word(Name),
    Escaped(char),
    Array(Vec<Json<'a>>),
    Object(Vec<(Name, Json<'a>)>),
    /// Anything at all, in the place of a value.
    Raw(&'a str),
}

impl Json<'_> {
    fn write(&self, out: &mut String) {
        match self {
            Self::Null => out.push_str("null"),
            Self::Bool(value) => write!(out, "{value}").unwrap(),
            Self::Unsigned(value) => write!(out, "{value}").unwrap(),
            Self::Signed(value) => write!(out, "{value}").unwrap(),
            Self::Float(value) => out.push_str(&Value::from(*value).to_string()),
            Self::Text(text) => out.push_str(&Value::from(*text).to_string()),
            Self::Word(name) => out.push_str(&Value::from(name.text()).to_string()),
            Self::Escaped(letter) => {
                out.push('"');
                let mut units = [0; 2];
                letter.encode_utf16(&mut units).iter().for_each(|unit| write!(out, "\\u{unit:04x}").unwrap());
                out.push('"');
            }
            Self::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    out.push_str(if index > 0 { " , " } else { "" });
                    item.write(out);
                }
                out.push(']');
            }
            Self::Object(members) => object(members, out),
            Self::Raw(text) => out.push_str(text),
        }
    }
}

fn object(members: &[(Name, Json<'_>)], out: &mut String) {
    out.push('{');
    for (index, (name, value)) in members.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        out.push_str(&Value::from(name.text()).to_string());
        out.push(':');
        value.write(out);
    }
    out.push('}');
}

/// Whether no object has a member twice: then there is nothing to disagree about.
fn has_no_duplicates(json: &Json<'_>) -> bool {
    match json {
        Json::Array(items) => items.iter().all(has_no_duplicates),
        Json::Object(members) => no_duplicate_members(members),
        Json::Raw(_) => false,
        _ => true,
    }
}

fn no_duplicate_members(members: &[(Name, Json<'_>)]) -> bool {
    members.iter().enumerate().all(|(index, (name, value))| {
        members[..index].iter().all(|(other, _)| other.text() != name.text()) && has_no_duplicates(value)
    })
}

const SIGNED_ID: HeaderName = HeaderName::from_static("x-signed-id");
const OTHER_ID: HeaderName = HeaderName::from_static("x-other-id");
const TYPE: HeaderName = HeaderName::from_static("x-type");

fn envelope(input: &Input<'_>) -> Envelope {
    let mut envelope = match &input.id {
        Id::Path(path) => Envelope::json(path.text()),
        Id::Digest => Envelope::identified_by_digest(),
        Id::Body => Envelope::identified_by_body(),
        Id::Nowhere => Envelope::unidentified(),
        Id::Header { signed: true } => Envelope::identified_by_header(SIGNED_ID.as_str()),
        Id::Header { signed: false } => {
            Envelope::identified_by_digest().with_unsigned_id_header(OTHER_ID.as_str())
        }
    };
    envelope = match &input.event_type {
        Type::Path(path) => envelope.with_event_type(path.text()),
        Type::Header => envelope.with_event_type_header(TYPE.as_str()),
        Type::Constant(text) if input.opaque => envelope.opaque(*text),
        Type::Constant(text) => envelope.with_constant_event_type(*text),
    };
    let optional: [(_, fn(Envelope, String) -> Envelope); 4] = [
        (&input.payload, |envelope, path| envelope.with_payload(path)),
        (&input.created, |envelope, path| envelope.with_created(path)),
        (&input.livemode, |envelope, path| envelope.with_livemode(path)),
        (&input.api_version, |envelope, path| envelope.with_api_version(path)),
    ];
    for (path, with) in optional {
        if let Some(path) = path {
            envelope = with(envelope, path.text());
        }
    }
    if input.numeric_ids { envelope.with_numeric_ids() } else { envelope }
}

/// What a pointer finds, where `serde_json` can read the body. Numbers it would round are left out of account.
fn at<'v>(value: &'v Value, path: &Path<'_>) -> Option<&'v Value> {
    value.pointer(&path.text())
}

fn check(input: &Input<'_>, body: &[u8], delivery: &Delivery) {
    assert!(!delivery.id().is_empty() && !delivery.event_type().is_empty());
    assert_eq!(delivery.body(), body);
    let text = std::str::from_utf8(body).unwrap_or_default();
    assert!(text.contains(delivery.payload()), "a payload is a piece of the body");
    if matches!(input.id, Id::Digest | Id::Body) {
        assert_eq!(delivery.id().len(), "sha256:".len() + 64);
    }
    // The last member of a name counts here; the crate refuses two of them.
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return };
    if let Id::Path(path) = &input.id {
        match at(&value, path) {
            Some(Value::String(id)) => assert_eq!(delivery.id(), id),
            Some(Value::Number(id)) if input.numeric_ids => assert_eq!(delivery.id(), id.to_string()),
            other => panic!("{other:?} was taken for the id {:?}", delivery.id()),
        }
    }
    if let Type::Path(path) = &input.event_type {
        assert_eq!(at(&value, path), Some(&Value::from(delivery.event_type())));
    }
    if let Some(path) = &input.payload {
        assert_eq!(at(&value, path), Some(&serde_json::from_str(delivery.payload()).unwrap()));
    }
    if let Some(created) = delivery.created() {
        assert_eq!(at(&value, input.created.as_ref().unwrap()), Some(&Value::from(created)));
    }
    if let Some(livemode) = delivery.livemode() {
        assert_eq!(at(&value, input.livemode.as_ref().unwrap()), Some(&Value::from(livemode)));
    }
    if let Some(version) = delivery.api_version() {
        assert_eq!(at(&value, input.api_version.as_ref().unwrap()), Some(&Value::from(version)));
    }
}

/// The body that has a value at every path which is made of names.
fn fitting(input: &Input<'_>, arrays: bool, values: &[Json<'_>; 6]) -> Value {
    let id = if let Id::Path(path) = &input.id { Some(path) } else { None };
    let event_type = if let Type::Path(path) = &input.event_type { Some(path) } else { None };
    let informs = [input.payload.as_ref(), input.created.as_ref(), input.livemode.as_ref()];
    let paths = [id, event_type].into_iter().chain(informs).chain([input.api_version.as_ref()]);
    let mut root = Value::Object(serde_json::Map::new());
    for (path, value) in paths.zip(values) {
        let Some(path) = path else { continue };
        let mut text = String::new();
        value.write(&mut text);
        let Ok(value) = serde_json::from_str::<Value>(&text) else { continue };
        let mut node = Some(&mut root);
        for name in path.names() {
            node = node.and_then(|node| step(node, name.text(), arrays));
        }
        if let Some(node) = node.filter(|node| node.is_null()) {
            *node = value;
        }
    }
    root
}

/// The member or the item, made where there is none yet.
fn step<'v>(node: &'v mut Value, name: &str, arrays: bool) -> Option<&'v mut Value> {
    let index = name.parse::<usize>().ok();
    if node.is_null() {
        *node = if arrays && index.is_some() { Value::Array(Vec::new()) } else { serde_json::json!({}) };
    }
    match node {
        Value::Object(members) => Some(members.entry(name).or_insert(Value::Null)),
        Value::Array(items) => {
            let index = index?;
            items.resize(items.len().max(index + 1), Value::Null);
            Some(&mut items[index])
        }
        _ => None,
    }
}

/// Whether an unambiguous body has all that is needed.
fn is_readable(input: &Input<'_>, body: &[u8]) -> bool {
    match &input.body {
        Body::Bytes(_) => return false,
        Body::Json(members) if !no_duplicate_members(members) => return false,
        Body::Json(_) | Body::Fitting { .. } => {}
    }
    let Ok(value) = serde_json::from_slice::<Value>(body) else { return false };
    let is_text = |path| matches!(at(&value, path), Some(Value::String(text)) if !text.is_empty());
    let id = match &input.id {
        Id::Path(path) => is_text(path),
        Id::Header { signed: true } => false,
        _ => true,
    };
    let event_type = match &input.event_type {
        Type::Path(path) => is_text(path),
        Type::Header => false,
        Type::Constant(_) => true,
    };
    let payload = input.payload.as_ref().is_none_or(|path| at(&value, path).is_some());
    // A path that goes through what is no object may make the body another shape than was configured.
    let informs = input.created.is_some() || input.livemode.is_some() || input.api_version.is_some();
    id && event_type && payload && !informs
}

fuzz_target!(|input: Input<'_>| -> Corpus {
    let parts = [tower_webhook::Part::header(SIGNED_ID.as_str()), tower_webhook::Part::Body];
    let scheme = SignatureScheme::hmac_sha256("x-signature").with_signed(parts);
    let Ok(provider) = Provider::builder("fuzz").signature(scheme).envelope(envelope(&input)).build() else {
        return Corpus::Keep;
    };
    let mut headers = HeaderMap::new();
    for (name, line) in [(SIGNED_ID, input.id_line), (OTHER_ID, input.id_line), (TYPE, input.type_line)] {
        if let Some(Ok(line)) = line.map(HeaderValue::from_bytes) {
            headers.insert(name, line);
        }
    }
    let body = match &input.body {
        Body::Bytes(bytes) => bytes.to_vec(),
        Body::Json(members) => {
            let mut text = String::new();
            object(members, &mut text);
            text.into_bytes()
        }
        Body::Fitting { arrays, values } => fitting(&input, *arrays, values).to_string().into_bytes(),
    };
    match testing::delivery_with_headers(&provider, headers, body.clone()) {
        Ok(delivery) => check(&input, &body, &delivery),
        Err(error) => {
            // Whatever it says, it can be said.
            assert!(!error.to_string().is_empty());
            assert!(!is_readable(&input, &body), "{error}: {}", String::from_utf8_lossy(&body));
        }
    }
    Corpus::Keep
});
