//! Any scheme that can be described, against a second reading of the same description: what a sender signs, and what
//! a receiver makes of arbitrary bytes. Nothing here but the builder and the verdict is the crate's own.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{HeaderName, HeaderValue, Request};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use tower_webhook::testing::SignedRequest;
use tower_webhook::{
    Encoding, Envelope, KeyEncoding, List, Pairs, Part, Provider, Secret, SignatureScheme, TimestampUnit,
};

use crate::support::NOW;

const SIGNATURE: HeaderName = HeaderName::from_static("x-signature");
const TIME: HeaderName = HeaderName::from_static("x-time");
const ID: HeaderName = HeaderName::from_static("x-id");
const URL: &str = "https://shop.example/hooks?tenant=7";

#[derive(Clone, Copy, Debug)]
enum Hash {
    Sha1,
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Clone, Debug)]
enum Shape {
    Whole { prefix: &'static str, optional: bool },
    Pairs { key: &'static str, separators: (char, char) },
    List { prefix: &'static str, separator: char },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stamp {
    None,
    Header,
    InSignature,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Piece {
    Time,
    Id,
    Literal(&'static str),
    Method,
    Url,
    Body,
    Digest,
}

/// The text of the time, where a signature header has it, and the candidates.
type Said<'h> = (Option<&'h [u8]>, Vec<&'h [u8]>);

/// How somebody signs, in this test's own words.
#[derive(Clone, Debug)]
struct Described {
    hash: Hash,
    encoding: Encoding,
    key: KeyEncoding,
    shape: Shape,
    stamp: Stamp,
    unit: TimestampUnit,
    tolerance: u64,
    signed: Vec<Piece>,
}

fn shapes() -> impl Strategy<Value = Shape> {
    prop_oneof![
        (select(vec!["", "sha256=", "v0="]), any::<bool>())
            .prop_map(|(prefix, optional)| Shape::Whole { prefix, optional: optional && !prefix.is_empty() }),
        // No separator is a character of any encoding, but for the blank after a version's comma.
        (select(vec!["v1", "h1", "s-1"]), select(vec![(',', '='), (';', ':'), (' ', ','), ('|', '=')]))
            .prop_map(|(key, separators)| Shape::Pairs { key, separators }),
        (select(vec!["", "v0="]), select(vec![',', ';', ' ', '|']))
            .prop_map(|(prefix, separator)| Shape::List { prefix, separator }),
    ]
}

fn described() -> impl Strategy<Value = Described> {
    let literals =
        vec![Piece::Literal("."), Piece::Literal("v0:"), Piece::Literal("|"), Piece::Literal("\n")];
    let extra = prop::collection::vec(
        prop_oneof![3 => select(literals), 1 => Just(Piece::Method), 1 => Just(Piece::Url), 2 => Just(Piece::Id)],
        0..5,
    );
    (
        select(vec![Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512]),
        select(vec![Encoding::Hex, Encoding::Base64, Encoding::Base64Url]),
        select(vec![KeyEncoding::Utf8, KeyEncoding::Hex, KeyEncoding::Base64, KeyEncoding::Base64Url]),
        shapes(),
        select(vec![Stamp::None, Stamp::Header, Stamp::InSignature]),
        select(vec![TimestampUnit::Seconds, TimestampUnit::Millis, TimestampUnit::Rfc3339]),
        (0_u64..500, extra, any::<bool>(), any::<Index>()),
    )
        .prop_map(|(hash, encoding, key, shape, stamp, unit, (tolerance, mut signed, digest, place))| {
            // Nothing is there but a signature in a header without items, and a date holds what separates pairs.
            let stamp = match (stamp, &shape, unit) {
                (Stamp::InSignature, Shape::Whole { .. }, _) => Stamp::Header,
                (Stamp::InSignature, Shape::Pairs { separators: (_, ':'), .. }, _) => Stamp::Header,
                (stamp, ..) => stamp,
            };
            signed.insert(place.index(signed.len() + 1), if digest { Piece::Digest } else { Piece::Body });
            if stamp != Stamp::None {
                signed.insert(place.index(signed.len() + 1), Piece::Time);
            }
            // Parts of any length do not stand side by side.
            let open = |piece: &Piece| matches!(piece, Piece::Id | Piece::Body);
            for index in (1..signed.len()).rev() {
                if open(&signed[index - 1]) && open(&signed[index]) {
                    signed.insert(index, Piece::Literal("."));
                }
            }
            Described { hash, encoding, key, shape, stamp, unit, tolerance, signed }
        })
}

impl Described {
    fn scheme(&self) -> SignatureScheme {
        let scheme = match self.hash {
            Hash::Sha1 => SignatureScheme::hmac_sha1(SIGNATURE.as_str()),
            Hash::Sha256 => SignatureScheme::hmac_sha256(SIGNATURE.as_str()),
            Hash::Sha384 => SignatureScheme::hmac_sha384(SIGNATURE.as_str()),
            Hash::Sha512 => SignatureScheme::hmac_sha512(SIGNATURE.as_str()),
        };
        let in_signature = self.stamp == Stamp::InSignature;
        let byte = |separator: char| u8::try_from(separator).unwrap();
        let scheme = match &self.shape {
            Shape::Whole { prefix, optional: true } => scheme.with_optional_prefix(*prefix),
            Shape::Whole { prefix, .. } => scheme.with_prefix(*prefix),
            Shape::Pairs { key, separators: (between, within) } => {
                let pairs = Pairs::new(*key).with_separators(byte(*between), byte(*within));
                scheme.with_grammar(if in_signature { pairs.with_timestamp("t") } else { pairs })
            }
            Shape::List { prefix, separator } => {
                let list = List::new().with_prefix(*prefix).with_separator(byte(*separator));
                scheme.with_grammar(if in_signature { list.with_timestamp_first() } else { list })
            }
        };
        let scheme = match self.stamp {
            Stamp::Header => scheme.with_timestamp_header(TIME.as_str()),
            _ => scheme,
        };
        let scheme = match self.stamp {
            Stamp::None => scheme,
            _ => scheme.with_tolerance(Duration::from_secs(self.tolerance)),
        };
        let parts = self.signed.iter().map(|piece| match *piece {
            Piece::Time => Part::Timestamp,
            Piece::Id => Part::header(ID.as_str()),
            Piece::Literal(text) => Part::literal(text),
            Piece::Method => Part::Method,
            Piece::Url => Part::Url,
            Piece::Body => Part::Body,
            Piece::Digest => Part::BodyDigest(Encoding::Hex),
        });
        scheme
            .with_encoding(self.encoding)
            .with_key_encoding(self.key)
            .with_key_prefix("whsec_")
            .with_timestamp_unit(self.unit)
            .with_signed(parts)
    }

    fn provider(&self) -> Provider {
        Provider::builder("any").signature(self.scheme()).build().unwrap().with_public_url(URL).unwrap()
    }

    /// The secret as this provider would show it.
    fn secret(&self, key: &[u8]) -> Secret {
        let text = match self.key {
            KeyEncoding::Hex => const_hex::encode(key),
            KeyEncoding::Base64 => STANDARD.encode(key),
            KeyEncoding::Base64Url => URL_SAFE_NO_PAD.encode(key),
            _ => String::from_utf8(key.to_vec()).unwrap(),
        };
        Secret::new(format!("whsec_{text}")).unwrap()
    }

    /// The signed bytes.
    fn message(&self, time: &[u8], id: &[u8], body: &[u8]) -> Vec<u8> {
        let pieces = self.signed.iter().map(|piece| match *piece {
            Piece::Time => time.to_vec(),
            Piece::Id => id.to_vec(),
            Piece::Literal(text) => text.as_bytes().to_vec(),
            Piece::Method => b"POST".to_vec(),
            Piece::Url => URL.as_bytes().to_vec(),
            Piece::Body => body.to_vec(),
            Piece::Digest => const_hex::encode(<sha2::Sha256 as sha2::Digest>::digest(body)).into_bytes(),
        });
        pieces.collect::<Vec<_>>().concat()
    }

    fn mac(&self, key: &[u8], message: &[u8]) -> Vec<u8> {
        macro_rules! hmac {
            ($hash:ty) => {{
                let mut mac = Hmac::<$hash>::new_from_slice(key).unwrap();
                mac.update(message);
                mac.finalize().into_bytes().to_vec()
            }};
        }
        match self.hash {
            Hash::Sha1 => hmac!(sha1::Sha1),
            Hash::Sha256 => hmac!(sha2::Sha256),
            Hash::Sha384 => hmac!(sha2::Sha384),
            Hash::Sha512 => hmac!(sha2::Sha512),
        }
    }

    fn encode(&self, mac: &[u8]) -> String {
        match self.encoding {
            Encoding::Hex => const_hex::encode(mac),
            Encoding::Base64 => STANDARD.encode(mac),
            _ => URL_SAFE_NO_PAD.encode(mac),
        }
    }

    /// Whether this text is the signature `mac`: by writing, not by decoding.
    fn is_written(&self, text: &[u8], mac: &[u8]) -> bool {
        match self.encoding {
            Encoding::Hex => text.eq_ignore_ascii_case(const_hex::encode(mac).as_bytes()),
            Encoding::Base64 => text == STANDARD.encode(mac).as_bytes(),
            _ => text == URL_SAFE.encode(mac).as_bytes() || text == URL_SAFE_NO_PAD.encode(mac).as_bytes(),
        }
    }

    /// The signature header that a sender writes.
    fn header(&self, time: &str, signature: &str) -> String {
        let stamped = self.stamp == Stamp::InSignature;
        match self.shape {
            Shape::Whole { prefix, .. } => format!("{prefix}{signature}"),
            Shape::Pairs { key, separators: (between, within) } if stamped => {
                format!("t{within}{time}{between}{key}{within}{signature}")
            }
            Shape::Pairs { key, separators: (_, within) } => format!("{key}{within}{signature}"),
            Shape::List { prefix, separator } if stamped => format!("{prefix}{time}{separator}{signature}"),
            Shape::List { prefix, .. } => format!("{prefix}{signature}"),
        }
    }

    /// What a signature header says.
    fn read<'h>(&self, header: &'h [u8]) -> Option<Said<'h>> {
        if header.len() > 4_096 {
            return None;
        }
        let header = trim(header);
        let items = |text: &'h [u8], separator: char| {
            let items = text.split(move |byte| char::from(*byte) == separator).map(trim).collect::<Vec<_>>();
            (items.len() <= 32).then_some(items)
        };
        let (mut times, candidates): (Vec<_>, Vec<_>) = match self.shape {
            Shape::Whole { prefix, optional } => match header.strip_prefix(prefix.as_bytes()) {
                Some(rest) => (vec![], vec![rest]),
                None if optional => (vec![], vec![header]),
                None => return None,
            },
            Shape::Pairs { key, separators: (between, within) } => {
                let pairs = items(header, between)?;
                let values = |wanted: &str| {
                    let begin = format!("{wanted}{within}");
                    let values = pairs.iter().filter_map(|pair| pair.strip_prefix(begin.as_bytes()));
                    values.collect::<Vec<_>>()
                };
                let stamped = self.stamp == Stamp::InSignature;
                (if stamped { values("t") } else { vec![] }, values(key))
            }
            Shape::List { prefix, separator } => {
                let items = items(header.strip_prefix(prefix.as_bytes())?, separator)?;
                let times = usize::from(self.stamp == Stamp::InSignature);
                (items[..times].to_vec(), items[times..].to_vec())
            }
        };
        let legal = (1..=16).contains(&candidates.len()) && candidates.iter().all(|text| !text.is_empty());
        let wanted = usize::from(self.stamp == Stamp::InSignature);
        (legal && times.len() == wanted).then(|| (times.pop(), candidates))
    }

    /// Whether a request is authentic and in time.
    fn accepts(&self, key: &[u8], sent: &Sent, now: u64) -> bool {
        let Some((written, candidates)) = self.read(&sent.header) else { return false };
        let time = match self.stamp {
            Stamp::None => &b""[..],
            Stamp::Header => trim(&sent.time),
            Stamp::InSignature => written.unwrap_or_default(),
        };
        let id = trim(&sent.id);
        let ids_are_legal = self.signed.windows(2).all(|pair| match pair {
            [Piece::Id, Piece::Literal(follows)] => !contains(id, follows.as_bytes()),
            _ => true,
        });
        if self.signed.contains(&Piece::Id) && (id.is_empty() || id.len() > 4_096 || !ids_are_legal) {
            return false;
        }
        let mac = self.mac(key, &self.message(time, id, &sent.body));
        if !candidates.iter().any(|text| self.is_written(text, &mac)) {
            return false;
        }
        self.stamp == Stamp::None || self.is_in_time(time, now)
    }

    fn is_in_time(&self, time: &[u8], now: u64) -> bool {
        let Ok(text) = std::str::from_utf8(time) else { return false };
        let tolerance = self.tolerance * 1_000;
        let millis = match self.unit {
            // No other text is written for a number.
            TimestampUnit::Seconds | TimestampUnit::Millis => {
                let Ok(number) = text.parse::<u128>() else { return false };
                if number.to_string() != text || text.len() > 18 {
                    return false;
                }
                number * if self.unit == TimestampUnit::Seconds { 1_000 } else { 1 }
            }
            // Nothing but what `written` writes is signed here, give or take what is no date at all.
            _ => match (NOW - 1_000..NOW + 1_000).find(|seconds| written(self.unit, *seconds) == text) {
                Some(seconds) => u128::from(seconds) * 1_000,
                None => return false,
            },
        };
        millis.abs_diff(u128::from(now) * 1_000) <= u128::from(tolerance)
    }
}

/// A request, after whatever happened to it.
#[derive(Clone, Debug)]
struct Sent {
    header: Vec<u8>,
    time: Vec<u8>,
    id: Vec<u8>,
    body: Vec<u8>,
}

impl Sent {
    fn request(&self) -> Request<Vec<u8>> {
        let mut request = Request::post("/elsewhere").body(self.body.clone()).unwrap();
        for (name, value) in [(SIGNATURE, &self.header), (TIME, &self.time), (ID, &self.id)] {
            request.headers_mut().insert(name, HeaderValue::from_bytes(value).unwrap());
        }
        request
    }
}

fn trim(text: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let begin = text.iter().position(|byte| !blank(byte)).unwrap_or(text.len());
    let end = text.iter().rposition(|byte| !blank(byte)).map_or(begin, |last| last + 1);
    &text[begin..end]
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// The civil date of a day, by counting days in eras of 400 years that begin in March.
fn date(days_since_1970: i64) -> (i64, i64, i64) {
    let shifted = days_since_1970 + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// RFC 3339, as seen from so many minutes east of Greenwich.
fn rfc3339(millis: i64, digits: usize, offset: Option<i64>) -> String {
    let local = millis + offset.unwrap_or(0) * 60_000;
    let (seconds, fraction) = (local.div_euclid(1_000), local.rem_euclid(1_000));
    let (year, month, day) = date(seconds.div_euclid(86_400));
    let of_day = seconds.rem_euclid(86_400);
    let (hour, minute, second) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    let fraction = format!(".{fraction:03}000000");
    let fraction = if digits == 0 { "" } else { &fraction[..=digits] };
    let offset = offset.map_or("Z".to_owned(), |minutes| {
        let sign = if minutes < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    });
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}{offset}")
}

/// A time in the one way in which a sender writes it here.
fn written(unit: TimestampUnit, seconds: u64) -> String {
    match unit {
        TimestampUnit::Seconds => seconds.to_string(),
        TimestampUnit::Millis => (seconds * 1_000).to_string(),
        _ => rfc3339(i64::try_from(seconds).unwrap() * 1_000, 0, None),
    }
}

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Keys that are text as well, so that each encoding can show them.
fn keys() -> impl Strategy<Value = Vec<u8>> {
    "[!-~]{16,80}".prop_map(String::into_bytes)
}

fn legal(bytes: Vec<u8>) -> Vec<u8> {
    bytes.into_iter().filter(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f)).collect()
}

/// What happens to a header on its way.
#[derive(Clone, Debug)]
enum Change {
    Replace(Index, u8),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    Insert(Index, Vec<u8>),
    Case(Index),
    Anything(Vec<u8>),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let telling = select(b" \t,;:|=.vt01Z-+_/sha256h".to_vec());
    let bytes = prop_oneof![telling.clone(), any::<u8>()];
    let change = prop_oneof![
        4 => (any::<Index>(), bytes).prop_map(|(at, byte)| Change::Replace(at, byte)),
        2 => (any::<Index>(), 1_usize..8).prop_map(|(at, count)| Change::Remove(at, count)),
        2 => (any::<Index>(), 1_usize..120, 1_usize..40)
            .prop_map(|(at, count, times)| Change::Repeat(at, count, times)),
        3 => (any::<Index>(), prop::collection::vec(telling, 1..4))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        1 => any::<Index>().prop_map(Change::Case),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Change::Anything),
    ];
    prop_oneof![1 => Just(Vec::new()), 1 => prop::collection::vec(change, 1..3)]
}

fn changed(mut text: Vec<u8>, changes: Vec<Change>) -> Vec<u8> {
    for change in changes {
        let place = |at: &Index, text: &[u8]| at.index(text.len() + 1);
        match change {
            Change::Replace(at, byte) => {
                if let Some(place) = (!text.is_empty()).then(|| at.index(text.len())) {
                    text[place] = byte;
                }
            }
            Change::Remove(at, count) => {
                let begin = place(&at, &text);
                let end = (begin + count).min(text.len());
                text.drain(begin..end);
            }
            Change::Repeat(at, count, times) => {
                let begin = place(&at, &text);
                let end = (begin + count).min(text.len());
                let repeated = text[begin..end].repeat(times);
                text.splice(begin..begin, repeated);
            }
            Change::Insert(at, bytes) => {
                let begin = place(&at, &text);
                text.splice(begin..begin, bytes);
            }
            Change::Case(at) => {
                let begin = place(&at, &text);
                text[begin..].make_ascii_uppercase();
            }
            Change::Anything(bytes) => text = bytes,
        }
    }
    legal(text)
}

/// Texts of a timestamp: mostly the right one, or another that a parser may take for it.
fn time_texts() -> impl Strategy<Value = fn(&str) -> String> {
    let texts: [fn(&str) -> String; 9] = [
        |text| text.to_owned(),
        |text| format!("+{text}"),
        |text| format!("0{text}"),
        |text| format!("{text}0"),
        |text| format!("{text}.0"),
        |text| format!("{text}abc"),
        |text| text[1..].to_owned(),
        |_| String::new(),
        |_| "999999999999999999".to_owned(),
    ];
    prop_oneof![1 => Just(texts[0]), 1 => select(texts.to_vec())]
}

fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) }
}

proptest! {
    #![proptest_config(config())]

    /// What was signed as described is accepted, whatever the description; with any byte of it changed it is not.
    #[test]
    fn what_a_sender_signs_is_accepted(
        described in described(),
        key in keys(),
        id in "[a-zA-Z0-9_-]{1,40}",
        body in prop::collection::vec(any::<u8>(), 0..300),
        off in any::<Index>(),
        flip in any::<Index>(),
    ) {
        let span = usize::try_from(described.tolerance).unwrap() * 2 + 1;
        let seconds = NOW - described.tolerance + u64::try_from(off.index(span)).unwrap();
        let time = written(described.unit, seconds);
        let mac = described.mac(&key, &described.message(time.as_bytes(), id.as_bytes(), &body));
        let header = described.header(&time, &described.encode(&mac));
        let provider = described.provider();
        let secret = described.secret(&key);

        let signed = SignedRequest::new(&provider, &secret, body.clone())
            .with_timestamp_text(time.clone())
            .with_header(ID, HeaderValue::from_str(&id).unwrap());
        prop_assert_eq!(signed.signature(), header.as_str());

        let sent = Sent { header: header.into(), time: time.into(), id: id.into(), body };
        let verifier = provider.verifier(secret).unwrap();
        let proof = verifier.verify_request(&sent.request(), at(NOW));
        let signed_at = (described.stamp != Stamp::None).then_some(seconds);
        prop_assert_eq!(proof.map(|proof| proof.signed_at()).map_err(|error| error.reason()), Ok(signed_at));

        let stranger = described.secret(b"a-key-that-nobody-signed-with");
        let other = provider.verifier(stranger).unwrap();
        prop_assert!(other.verify_request(&sent.request(), at(NOW)).is_err());
        let mut altered = sent;
        if altered.body.is_empty() {
            altered.body.push(b'{');
        } else {
            let place = flip.index(altered.body.len());
            altered.body[place] ^= 1 << (flip.index(8));
        }
        prop_assert!(verifier.verify_request(&altered.request(), at(NOW)).is_err());
    }

    /// Accepted is exactly what the second reading of the description accepts.
    #[test]
    fn nothing_else_is_accepted(
        described in described(),
        key in keys(),
        id in prop_oneof![3 => "[a-z0-9_-]{1,20}", 1 => "[ -~]{0,8}"],
        body in prop::collection::vec(any::<u8>(), 0..80),
        (off, write_time) in (0_u64..1_000, time_texts()),
        known in prop::bool::weighted(0.9),
        (header_changes, id_changes) in (changes(), prop_oneof![5 => Just(Vec::new()), 1 => changes()]),
        pad in select(vec!["", "", " ", "\t "]),
    ) {
        let time = write_time(&written(described.unit, NOW - 500 + off));
        let signer = if known { &key[..] } else { b"a-key-that-nobody-has-given-us" };
        let trimmed = trim(id.as_bytes());
        let mac = described.mac(signer, &described.message(trim(time.as_bytes()), trimmed, &body));
        let header = described.header(&time, &described.encode(&mac));
        let sent = Sent {
            header: changed(header.into_bytes(), header_changes),
            time: format!("{pad}{time}{pad}").into_bytes(),
            id: changed(id.into_bytes(), id_changes),
            body,
        };
        let verifier = described.provider().verifier(described.secret(&key)).unwrap();
        let found = verifier.verify_request(&sent.request(), at(NOW));
        prop_assert_eq!(found.is_ok(), described.accepts(&key, &sent, NOW), "{:?}: {:?}", sent, found);
    }

    /// Arbitrary bytes in every header, under any scheme: refused, and nothing worse.
    #[test]
    fn any_bytes_are_refused(
        described in described(),
        (header, time, id, body) in (
            prop::collection::vec(any::<u8>(), 0..200),
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(any::<u8>(), 0..40),
            prop::collection::vec(any::<u8>(), 0..80),
        ),
    ) {
        let sent = Sent { header: legal(header), time: legal(time), id: legal(id), body };
        let verifier = described.provider().verifier(described.secret(b"a-key-that-nobody-signed-with")).unwrap();
        prop_assert!(verifier.verify_request(&sent.request(), at(NOW)).is_err());
    }

    /// Whatever somebody writes into a description: it is built, or it is an error that names the setting.
    #[test]
    fn any_description_is_built_or_refused(
        (name, prefix, key, time) in (".{0,12}", ".{0,8}", "\\PC{0,4}", "\\PC{0,4}"),
        (between, within) in any::<(u8, u8)>(),
        parts in prop::collection::vec(prop_oneof![
            Just(Part::Timestamp), Just(Part::Body), Just(Part::Method), Just(Part::Url), Just(Part::UrlPath),
            Just(Part::UrlWithoutQuery), Just(Part::BodyDigest(Encoding::Base64)),
            ".{0,6}".prop_map(Part::literal), ".{0,6}".prop_map(Part::header),
        ], 0..6),
        kind in 0..6,
        settings in any::<[bool; 8]>(),
        (pointer, url, body) in ("[/~a-z01]{0,8}", "(https?://)?\\PC{0,20}", prop::collection::vec(any::<u8>(), 0..40)),
    ) {
        let name = if settings[0] { "x-signature".to_owned() } else { name };
        let mut scheme = match kind {
            0 => SignatureScheme::hmac_sha1(name),
            1 => SignatureScheme::hmac_sha256(name),
            2 => SignatureScheme::hmac_sha384(name),
            3 => SignatureScheme::hmac_sha512(name),
            4 => SignatureScheme::ed25519(name),
            _ => SignatureScheme::dangerous_token(name),
        };
        let pairs = Pairs::new(key.clone()).with_separators(between, within);
        let list = List::new().with_prefix(prefix.clone()).with_separator(between);
        scheme = match (settings[1], settings[2]) {
            (true, true) => scheme.with_grammar(pairs.with_timestamp(time.clone())),
            (true, false) => scheme.with_grammar(pairs),
            (false, true) => scheme.with_grammar(if settings[3] { list.with_timestamp_first() } else { list }),
            (false, false) => scheme.with_prefix(prefix.clone()),
        };
        if settings[3] && !settings[2] { scheme = scheme.with_timestamp_header(time.clone()); }
        if settings[4] { scheme = scheme.with_timestamp_in_body(pointer.clone()); }
        if settings[5] { scheme = scheme.with_signed(parts); }
        if settings[6] { scheme = scheme.with_required_header(key.clone(), prefix.clone()).with_further_headers([time]); }
        if settings[7] { scheme = scheme.with_key_id_header(key.clone()).dangerous_body_not_signed(); }
        let envelope = Envelope::json(pointer.clone()).with_event_type(pointer).with_event_type_header(key);
        let built = Provider::builder("any").signature(scheme).envelope(if settings[2] { envelope } else { Envelope::json("/id") });
        let provider = match built.build() {
            Ok(provider) => provider,
            Err(error) => {
                prop_assert!(!error.to_string().is_empty());
                return Ok(());
            }
        };
        let provider = provider.clone().with_public_url(&url).unwrap_or(provider);
        // The secret decodes as every key does here, or is refused.
        let Ok(secret) = Secret::weak(format!("{prefix}d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
        else {
            return Ok(());
        };
        let Ok(verifier) = provider.verifier(secret) else { return Ok(()) };
        let mut request = Request::post("/").body(body.clone()).unwrap();
        let value = HeaderValue::from_bytes(&legal(body)).unwrap();
        request.headers_mut().insert(provider.signature_header().clone(), value);
        prop_assert!(verifier.verify_request(&request, at(NOW)).is_err());
    }

    /// The parser of dates, against a writer that counts days in another way.
    #[test]
    fn dates_are_read_as_they_were_written(
        millis in 0_i64..253_402_214_400_000,
        digits in 0_usize..10,
        offset in prop::option::of(-1_439_i64..1_440),
    ) {
        let scheme = SignatureScheme::hmac_sha256("x-signature")
            .with_pairs("t", "v1")
            .with_timestamp_unit(TimestampUnit::Rfc3339)
            .with_tolerance(Duration::ZERO);
        let provider = Provider::builder("dates").signature(scheme).build().unwrap();
        let text = rfc3339(millis, digits, offset);
        // The years before 0 and after 9999 are not written with four digits.
        prop_assume!(text.as_bytes()[4] == b'-');
        let secret = Secret::new("a-signing-secret").unwrap();
        let request = SignedRequest::new(&provider, &secret, "{}").with_timestamp_text(text.clone()).build();
        let request = request.map(|_| "{}");
        let verifier = provider.verifier(secret).unwrap();
        // To the millisecond, as far as it is written.
        let step = 10_i64.pow(u32::try_from(3 - digits.min(3)).unwrap());
        let shown = u64::try_from(millis / step * step).unwrap();
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let proof = verifier.verify_request(&request, at(shown));
        prop_assert_eq!(proof.map(|proof| proof.signed_at()).map_err(|error| error.reason()), Ok(Some(shown / 1_000)), "{}", text);
        prop_assert!(verifier.verify_request(&request, at(shown + 1)).is_err());
    }
}
