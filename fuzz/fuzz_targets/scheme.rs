//! The builder: arbitrary descriptions are a provider or a `ConfigError`. A provider accepts nothing that nobody
//! signed, and a plain one accepts what the kit signs for it.
#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::{Corpus, fuzz_target};
use tower_webhook::testing::{SignedRequest, verifying_secret};
use tower_webhook::{
    HeaderGrammar, KeyEncoding, List, Pairs, Part, Provider, Secret, SignatureScheme, TimestampUnit,
};
use tower_webhook_fuzz::{Algorithm, Written};

const NOW: u64 = 1_700_000_000;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    name: Option<&'a str>,
    algorithm: Kind,
    header: Text<'a>,
    written: Written,
    grammar: Grammar<'a>,
    further_headers: Vec<Text<'a>>,
    key_encoding: Option<Key>,
    key_prefix: Option<&'a str>,
    key_id_header: Option<Text<'a>>,
    timestamp: Timestamp<'a>,
    unit: Unit,
    tolerance: Option<Duration>,
    signed: Option<Vec<Signed<'a>>>,
    required: Vec<(Text<'a>, &'a str)>,
    body_not_signed: bool,
    url: Option<&'a str>,
    event_types: Vec<&'a str>,
    secret: Option<&'a str>,
    lines: Vec<(Text<'a>, &'a [u8])>,
    body: &'a [u8],
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Kind {
    Hmac(Algorithm),
    Ed25519,
    Token,
}

/// A text of any kind, or one of a few, so that the same header has two roles now and then.
#[derive(Arbitrary, Clone, Copy, Debug)]
enum Text<'a> {
    Any(&'a str),
    First,
    Second,
    Third,
}

impl<'a> Text<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Any(text) => text,
            Self::First => "x-first",
            Self::Second => "x-second",
            Self::Third => "x-third",
        }
    }
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Grammar<'a> {
    Default,
    Prefix(&'a str),
    OptionalPrefix(&'a str),
    Pairs { signature: &'a str, timestamp: Option<&'a str>, separators: Option<(u8, u8)> },
    Versions(&'a str),
    List { prefix: &'a str, timestamp_first: bool, separator: Option<u8> },
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Key {
    Utf8,
    Hex,
    Base64,
    Base64Url,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Timestamp<'a> {
    Default,
    Header(Text<'a>),
    Body(&'a str),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Unit {
    Seconds,
    Millis,
    Rfc3339,
}

#[derive(Arbitrary, Clone, Debug)]
enum Signed<'a> {
    Timestamp,
    Literal(&'a str),
    Header(Text<'a>),
    EitherHeader(Text<'a>, Text<'a>),
    NoHeader,
    Method,
    Url,
    UrlWithoutQuery,
    UrlPath,
    Body,
    BodyDigest(Written),
}

impl Signed<'_> {
    fn part(&self) -> Part {
        match self {
            Self::Timestamp => Part::Timestamp,
            Self::Literal(text) => Part::literal(*text),
            Self::Header(name) => Part::header(name.text()),
            Self::EitherHeader(first, second) => Part::header([first.text(), second.text()]),
            Self::NoHeader => Part::header([]),
            Self::Method => Part::Method,
            Self::Url => Part::Url,
            Self::UrlWithoutQuery => Part::UrlWithoutQuery,
            Self::UrlPath => Part::UrlPath,
            Self::Body => Part::Body,
            Self::BodyDigest(written) => Part::BodyDigest(written.encoding()),
        }
    }
}

impl Input<'_> {
    fn scheme(&self) -> SignatureScheme {
        let header = self.header.text();
        let mut scheme = match self.algorithm {
            Kind::Hmac(algorithm) => algorithm.scheme(header),
            Kind::Ed25519 => SignatureScheme::ed25519(header),
            Kind::Token => SignatureScheme::dangerous_token(header),
        };
        scheme = scheme.with_encoding(self.written.encoding());
        let pairs = |pairs: Pairs| HeaderGrammar::from(pairs);
        scheme = match self.grammar {
            Grammar::Default => scheme,
            Grammar::Prefix(prefix) => scheme.with_prefix(prefix),
            Grammar::OptionalPrefix(prefix) => scheme.with_optional_prefix(prefix),
            Grammar::Pairs { signature, timestamp, separators } => {
                let mut grammar = Pairs::new(signature);
                if let Some(key) = timestamp {
                    grammar = grammar.with_timestamp(key);
                }
                if let Some((between, within)) = separators {
                    grammar = grammar.with_separators(between, within);
                }
                scheme.with_grammar(pairs(grammar))
            }
            Grammar::Versions(version) => scheme.with_grammar(pairs(Pairs::versions(version))),
            Grammar::List { prefix, timestamp_first, separator } => {
                let mut list = List::new().with_prefix(prefix);
                if timestamp_first {
                    list = list.with_timestamp_first();
                }
                if let Some(separator) = separator {
                    list = list.with_separator(separator);
                }
                scheme.with_grammar(list)
            }
        };
        if !self.further_headers.is_empty() {
            scheme = scheme.with_further_headers(self.further_headers.iter().map(|name| name.text()));
        }
        if let Some(key) = self.key_encoding {
            scheme = scheme.with_key_encoding(match key {
                Key::Utf8 => KeyEncoding::Utf8,
                Key::Hex => KeyEncoding::Hex,
                Key::Base64 => KeyEncoding::Base64,
                Key::Base64Url => KeyEncoding::Base64Url,
            });
        }
        if let Some(prefix) = self.key_prefix {
            scheme = scheme.with_key_prefix(prefix);
        }
        if let Some(header) = self.key_id_header {
            scheme = scheme.with_key_id_header(header.text());
        }
        scheme = match self.timestamp {
            Timestamp::Default => scheme,
            Timestamp::Header(name) => scheme.with_timestamp_header(name.text()),
            Timestamp::Body(path) => scheme.with_timestamp_in_body(path),
        };
        scheme = scheme.with_timestamp_unit(match self.unit {
            Unit::Seconds => TimestampUnit::Seconds,
            Unit::Millis => TimestampUnit::Millis,
            Unit::Rfc3339 => TimestampUnit::Rfc3339,
        });
        if let Some(tolerance) = self.tolerance {
            scheme = scheme.with_tolerance(tolerance);
        }
        if let Some(parts) = &self.signed {
            scheme = scheme.with_signed(parts.iter().map(Signed::part));
        }
        for (name, value) in &self.required {
            scheme = scheme.with_required_header(name.text(), *value);
        }
        if self.body_not_signed { scheme.dangerous_body_not_signed() } else { scheme }
    }

    /// Whether what the kit signs must be accepted: one header with one role, in a grammar whose separators cannot
    /// stand in a signature or a timestamp, and a timestamp that the kit writes.
    fn is_plain(&self) -> bool {
        let punctuation = |byte: u8| b",;|&#!$%*?".contains(&byte);
        let visible = |text: &str| text.len() < 1_000 && text.bytes().all(|byte| byte.is_ascii_graphic());
        let grammar = match self.grammar {
            Grammar::Default => true,
            Grammar::Prefix(prefix) => visible(prefix),
            // One that a signature could begin with would be taken off where it is not there.
            Grammar::OptionalPrefix(_) => false,
            Grammar::Pairs { signature, timestamp, separators } => {
                let fits =
                    separators.is_none_or(|(between, within)| punctuation(between) && punctuation(within));
                fits && visible(signature) && timestamp.is_none_or(visible)
            }
            Grammar::Versions(version) => visible(version),
            Grammar::List { prefix, separator, .. } => visible(prefix) && separator.is_none_or(punctuation),
        };
        let parts = (self.signed.iter().flatten())
            .all(|part| !matches!(part, Signed::Header(_) | Signed::EitherHeader(..)));
        let header = self.header.text();
        grammar
            && parts
            // The kit sets this one itself.
            && !header.eq_ignore_ascii_case("content-type")
            && matches!(self.algorithm, Kind::Hmac(_) | Kind::Ed25519)
            && self.further_headers.is_empty()
            && self.required.is_empty()
            && self.key_id_header.is_none()
            && !matches!(self.timestamp, Timestamp::Body(_))
            && !matches!(self.timestamp, Timestamp::Header(name) if name.text().eq_ignore_ascii_case(header))
    }
}

fuzz_target!(|input: Input<'_>| -> Corpus {
    let scheme = input.scheme();
    let builder = Provider::builder(input.name.unwrap_or("fuzz"))
        .signature(scheme)
        .event_types(input.event_types.iter().copied());
    let provider = match builder.build() {
        Ok(provider) => provider,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return Corpus::Keep;
        }
    };
    let provider = match input.url.map(|url| provider.clone().with_public_url(url)) {
        Some(Ok(provider)) => provider,
        _ => provider,
    };
    assert!(!format!("{provider:?}").is_empty());
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);

    // A text that decodes as a key in every form: 32 bytes of hex, 48 of base64.
    const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    if let Some(text) = input.secret
        && let Ok(secret) = Secret::weak(text)
    {
        let _ = provider.verifier(secret);
    }
    let Ok(secret) = Secret::new(SECRET) else { unreachable!("it is long enough") };
    let Ok(verifying) = verifying_secret(&provider, &secret) else { return Corpus::Keep };
    let Ok(verifier) = provider.verifier(verifying) else { return Corpus::Keep };

    // Nobody signed this: whatever the header holds, it is refused.
    let mut headers = HeaderMap::new();
    for (name, value) in &input.lines {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name.text()), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    assert!(verifier.verify(&headers, input.body, now).is_err());

    if input.is_plain() {
        let request = SignedRequest::new(&provider, &secret, input.body.to_vec()).at_unix(NOW).build();
        let proof =
            verifier.verify(request.headers(), input.body, now).expect("what the kit signs is accepted");
        assert_eq!(proof.signed_at(), provider.signs_timestamp().then_some(NOW));
        // Another body is another signature, unless the body is not signed.
        let other = [input.body, b"."].concat();
        assert_eq!(verifier.verify(request.headers(), &other, now).is_ok(), input.body_not_signed);
    }
    Corpus::Keep
});
