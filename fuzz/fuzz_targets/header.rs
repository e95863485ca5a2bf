//! Signature headers: what is accepted is what a second reading of the documented grammar accepts, and a MAC that
//! this target computes is in it.
#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::{Corpus, fuzz_target};
use tower_webhook::{List, Pairs, Provider, RejectionReason, SignatureScheme};
use tower_webhook_fuzz::{Algorithm, KEYS, Written, secrets, trimmed};

const NOW: u64 = 1_700_000_000;
const TOLERANCE: u64 = 300;
const HEADER: HeaderName = HeaderName::from_static("x-signature");

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    algorithm: Algorithm,
    written: Written,
    grammar: Grammar,
    header: Vec<Piece<'a>>,
    second: Option<Vec<Piece<'a>>>,
    body: &'a [u8],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Grammar {
    Whole { prefix: Prefix, optional: bool },
    Pairs { separators: Separators, timed: bool },
    List { prefix: Prefix, separators: Separators, timed: bool },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Prefix {
    None,
    Sha256,
    Version,
}

impl Prefix {
    fn text(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Sha256 => "sha256=",
            Self::Version => "v0=",
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Separators {
    CommaEquals,
    SemicolonEquals,
    BlankComma,
}

impl Separators {
    fn bytes(self) -> (u8, u8) {
        match self {
            Self::CommaEquals => (b',', b'='),
            Self::SemicolonEquals => (b';', b'='),
            Self::BlankComma => (b' ', b','),
        }
    }
}

/// What a header is put together from: bytes of any kind, and what a sender would write.
#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Bytes(&'a [u8]),
    Prefix,
    BetweenItems,
    WithinItem,
    TimestampKey,
    SignatureKey,
    Timestamp {
        time: Time,
    },
    TimestampItem {
        time: Time,
    },
    /// The MAC under one of the keys, of what was signed at a time or without one.
    Signature {
        second_key: bool,
        upper_case: bool,
        time: Time,
    },
    SignatureItem {
        second_key: bool,
        time: Time,
    },
    /// The same with one bit flipped.
    Wrong {
        bit: u16,
    },
    Many {
        of: &'a [u8],
        times: u8,
    },
}

/// Few, so that a timestamp and a signature are of one time now and then.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Time {
    Now,
    Oldest,
    TooOld,
    Latest,
    InFuture,
}

impl Time {
    fn seconds(self) -> u64 {
        match self {
            Self::Now => NOW,
            Self::Oldest => NOW - TOLERANCE,
            Self::TooOld => NOW - TOLERANCE - 1,
            Self::Latest => NOW + TOLERANCE,
            Self::InFuture => NOW + TOLERANCE + 1,
        }
    }
}

impl Input<'_> {
    fn timed(&self) -> bool {
        match self.grammar {
            Grammar::Whole { .. } => false,
            Grammar::Pairs { timed, .. } | Grammar::List { timed, .. } => timed,
        }
    }

    fn scheme(&self) -> SignatureScheme {
        let scheme = self.algorithm.scheme(HEADER.as_str()).with_encoding(self.written.encoding());
        let scheme = match self.grammar {
            Grammar::Whole { prefix: prefix @ (Prefix::Sha256 | Prefix::Version), optional: true } => {
                scheme.with_optional_prefix(prefix.text())
            }
            Grammar::Whole { prefix, .. } => scheme.with_prefix(prefix.text()),
            Grammar::Pairs { separators, timed } => {
                let (between, within) = separators.bytes();
                let pairs = Pairs::new("v1").with_separators(between, within);
                scheme.with_grammar(if timed { pairs.with_timestamp("t") } else { pairs })
            }
            Grammar::List { prefix, separators, timed } => {
                let list = List::new().with_prefix(prefix.text()).with_separator(separators.bytes().0);
                scheme.with_grammar(if timed { list.with_timestamp_first() } else { list })
            }
        };
        if self.timed() { scheme.with_tolerance(Duration::from_secs(TOLERANCE)) } else { scheme }
    }

    fn mac(&self, key: usize, timestamp: Option<&[u8]>) -> Vec<u8> {
        match timestamp {
            Some(text) => self.algorithm.mac(key, &[text, b".", self.body].concat()),
            None => self.algorithm.mac(key, self.body),
        }
    }

    fn value(&self, pieces: &[Piece<'_>]) -> Vec<u8> {
        let (prefix, (between, within)) = match self.grammar {
            Grammar::Whole { prefix, .. } => (prefix.text(), (b',', b'=')),
            Grammar::Pairs { separators, .. } => ("", separators.bytes()),
            Grammar::List { prefix, separators, .. } => (prefix.text(), separators.bytes()),
        };
        let signature = |key, seconds: u64| {
            let text = seconds.to_string();
            self.mac(key, self.timed().then_some(text.as_bytes()))
        };
        let mut value = Vec::new();
        // What begins an item: a separator where one stands before it, and its key where items have one.
        let item = |value: &mut Vec<u8>, key: &[u8]| {
            if !value.is_empty() && value != prefix.as_bytes() {
                value.push(between);
            }
            if matches!(self.grammar, Grammar::Pairs { .. }) {
                value.extend_from_slice(key);
                value.push(within);
            }
        };
        for piece in pieces {
            match piece {
                Piece::Bytes(bytes) => value.extend_from_slice(bytes),
                Piece::Prefix => value.extend_from_slice(prefix.as_bytes()),
                Piece::BetweenItems => value.push(between),
                Piece::WithinItem => value.push(within),
                Piece::TimestampKey => value.push(b't'),
                Piece::SignatureKey => value.extend_from_slice(b"v1"),
                Piece::Timestamp { time } => value.extend_from_slice(time.seconds().to_string().as_bytes()),
                Piece::TimestampItem { time } => {
                    item(&mut value, b"t");
                    value.extend_from_slice(time.seconds().to_string().as_bytes());
                }
                Piece::Signature { second_key, upper_case, time } => {
                    let text = self.written.encode(&signature(usize::from(*second_key), time.seconds()));
                    let text = if *upper_case { text.to_uppercase() } else { text };
                    value.extend_from_slice(text.as_bytes());
                }
                Piece::SignatureItem { second_key, time } => {
                    item(&mut value, b"v1");
                    let mac = signature(usize::from(*second_key), time.seconds());
                    value.extend_from_slice(self.written.encode(&mac).as_bytes());
                }
                Piece::Wrong { bit } => {
                    let mut mac = signature(0, NOW);
                    let bit = usize::from(*bit) % (mac.len() * 8);
                    mac[bit / 8] ^= 1 << (bit % 8);
                    value.extend_from_slice(self.written.encode(&mac).as_bytes());
                }
                Piece::Many { of, times } => (0..*times).for_each(|_| value.extend_from_slice(of)),
            }
        }
        value
    }

    /// A second reading of the grammar: the candidates and the timestamp.
    fn read<'v>(&self, value: &'v [u8]) -> Option<(Vec<&'v [u8]>, Option<&'v [u8]>)> {
        let value = trimmed(value);
        if value.len() > 4_096 {
            return None;
        }
        let items = |value: &'v [u8], between: u8| -> Option<Vec<&'v [u8]>> {
            let items: Vec<_> = value.split(|byte| *byte == between).map(trimmed).collect();
            (items.len() <= 32).then_some(items)
        };
        let (mut candidates, mut timestamp) = (Vec::new(), None);
        match self.grammar {
            Grammar::Whole { prefix, optional } => match value.strip_prefix(prefix.text().as_bytes()) {
                Some(rest) => candidates.push(rest),
                None if optional => candidates.push(value),
                None => return None,
            },
            Grammar::Pairs { separators, timed } => {
                let (between, within) = separators.bytes();
                for item in items(value, between)? {
                    let mut halves = item.splitn(2, |byte| *byte == within);
                    match (halves.next()?, halves.next()) {
                        (b"v1", Some(text)) => candidates.push(text),
                        (b"t", Some(text)) if timed => {
                            if timestamp.replace(text).is_some() {
                                return None;
                            }
                        }
                        _ => {}
                    }
                }
            }
            Grammar::List { prefix, separators, timed } => {
                let rest = value.strip_prefix(prefix.text().as_bytes())?;
                let mut items = items(rest, separators.bytes().0)?.into_iter();
                if timed {
                    timestamp = items.next();
                }
                candidates.extend(items);
            }
        }
        let complete =
            !candidates.is_empty() && candidates.len() <= 16 && timestamp.is_some() == self.timed();
        (complete && candidates.iter().all(|text| !text.is_empty())).then_some((candidates, timestamp))
    }

    /// Who signed it when, by that reading.
    fn expected(&self, value: &[u8]) -> Option<(&'static str, Option<u64>)> {
        let (candidates, timestamp) = self.read(value)?;
        let seconds = match timestamp {
            None => None,
            Some(text) => {
                let seconds: u64 = std::str::from_utf8(text).ok()?.parse().ok()?;
                // Written in one way only, and no longer than eighteen digits.
                if seconds.to_string().as_bytes() != text || text.len() > 18 {
                    return None;
                }
                Some(seconds).filter(|seconds| NOW.abs_diff(*seconds) <= TOLERANCE).map(Some)?
            }
        };
        let signed_by = |key: &usize| {
            let mac = self.mac(*key, timestamp);
            candidates.iter().any(|text| self.written.is(text, &mac))
        };
        let key = (0..KEYS.len()).find(signed_by)?;
        Some((KEYS[key].0, seconds))
    }
}

fuzz_target!(|input: Input<'_>| -> Corpus {
    let provider = Provider::builder("fuzz").signature(input.scheme()).build().unwrap();
    let verifier = provider.verifier(secrets()).unwrap();
    let value = input.value(&input.header);
    let Ok(line) = HeaderValue::from_bytes(&value) else { return Corpus::Reject };
    let mut headers = HeaderMap::from_iter([(HEADER, line)]);
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);

    let found = verifier.verify(&headers, input.body, now);
    let accepted = found.as_ref().ok().map(|proof| (proof.secret_label(), proof.signed_at()));
    assert_eq!(accepted, input.expected(&value), "{found:?}");

    // Two lines are refused, whatever they hold.
    if let Some(second) = &input.second
        && let Ok(line) = HeaderValue::from_bytes(&input.value(second))
    {
        headers.append(HEADER, line);
        let refused = verifier.verify(&headers, input.body, now).unwrap_err();
        assert_eq!(refused.reason(), RejectionReason::DuplicateHeader);
    }
    Corpus::Keep
});
