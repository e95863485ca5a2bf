//! A scheme that has been checked: what a request is read with.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::body_timestamp::BodyTimestamp;
use super::encoding::KeyEncoding;
use super::grammar::{Decoding, Found, HeaderGrammar, MAX_CANDIDATES};
use super::keyring::KeyKind;
use super::mac::MacKind;
use super::scheme::{Algorithm, SignatureScheme, TimestampSource};
use super::template::{Filling, Head, Names, Part, PublicUrl, Template, single};
use super::timestamp::{SignedTimestamp, TimestampUnit};
use crate::error::{ConfigError, RejectionReason};

/// Five minutes each way: what Stripe chose and most providers copied. Wide enough for clocks that NTP
/// keeps and a queue at the sender, narrow enough that a captured request soon loses its worth.
pub(crate) const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

/// Each candidate is another pass over the whole message, unlike a MAC, which is computed once and compared.
#[cfg(feature = "ed25519")]
const MAX_ED25519_CANDIDATES: usize = 4;

/// Key ids are compared with labels; longer ones are nobody's.
const MAX_KEY_ID_BYTES: usize = 256;

#[derive(Clone, Debug)]
pub(crate) struct ResolvedScheme {
    algorithm: Algorithm,
    header: Names,
    further_headers: Vec<HeaderName>,
    grammar: HeaderGrammar,
    decoding: Decoding,
    max_candidates: usize,
    key: KeyFormat,
    key_id: Option<Names>,
    timestamp: Option<Source>,
    unit: TimestampUnit,
    tolerance: Option<Duration>,
    template: Template,
    required: Vec<(HeaderName, HeaderValue)>,
    url: Option<PublicUrl>,
}

/// Where the timestamp is.
#[derive(Clone, Debug)]
enum Source {
    SignatureHeader,
    Header(Names),
    Body(BodyTimestamp),
}

/// How a secret becomes a key.
#[derive(Clone, Debug)]
pub(crate) struct KeyFormat {
    pub(crate) kind: KeyKind,
    pub(crate) encoding: KeyEncoding,
    pub(crate) prefix: Box<str>,
}

/// What a request presents as proof.
#[derive(Debug)]
pub(crate) struct Presented {
    /// Candidates that decode, one after the other; never none, unless a [`Verify`](super::Verify) reads them itself.
    pub(crate) candidates: SmallVec<[u8; 64]>,
    /// The timestamp that was signed with the body.
    pub(crate) timestamp: Option<SignedTimestamp>,
    pub(crate) key_id: Option<Box<[u8]>>,
}

impl Presented {
    /// Nothing that is known before the body.
    pub(crate) fn later() -> Self {
        Self { candidates: SmallVec::new(), timestamp: None, key_id: None }
    }

    /// The timestamp as it is signed; empty where there is none.
    fn timestamp_text(&self) -> &[u8] {
        self.timestamp.as_ref().map_or(&[], SignedTimestamp::text)
    }
}

impl SignatureScheme {
    pub(crate) fn resolve(self) -> Result<ResolvedScheme, ConfigError> {
        let invalid = |problem| Err(ConfigError::InvalidScheme { problem });
        let is_token = self.algorithm == Algorithm::Token;
        let encoding = Some(self.encoding).filter(|_| !is_token);
        if let Some(problem) = self.grammar.problem(encoding) {
            return invalid(problem);
        }
        let timestamp = match self.timestamp {
            Some(_) if self.grammar.has_timestamp() => {
                return invalid("the timestamp is in the signature header and elsewhere");
            }
            Some(TimestampSource::Header(names)) => Some(Source::Header(names.resolve()?)),
            Some(TimestampSource::Body(path)) => Some(Source::Body(BodyTimestamp::new(&path)?)),
            None => self.grammar.has_timestamp().then_some(Source::SignatureHeader),
        };
        let before_body = matches!(timestamp, Some(Source::SignatureHeader | Source::Header(_)));
        let parts = self.signed.unwrap_or_else(|| {
            if before_body { vec![Part::Timestamp, Part::literal("."), Part::Body] } else { vec![Part::Body] }
        });
        let template = Template::resolve(parts)?;
        if let Some(problem) = template.problem(self.body_not_signed).filter(|_| !is_token) {
            return invalid(problem);
        }
        if is_token && (!template.is_empty() || self.body_not_signed || timestamp.is_some()) {
            return invalid("a token signs nothing: neither body nor timestamp");
        }
        if template.signs_timestamp() && !before_body {
            return invalid("a timestamp is signed, but the header has none");
        }
        let signs_timestamp = timestamp.is_some();
        if before_body && !template.signs_timestamp() {
            return invalid("the header has a timestamp that is not signed");
        }
        if matches!(timestamp, Some(Source::Body(_))) && !template.covers_body() {
            return invalid("the timestamp is in the body, which is not signed");
        }
        if self.tolerance.is_some() && !signs_timestamp {
            return Err(ConfigError::ToleranceWithoutTimestamp);
        }
        let (kind, size) = match self.algorithm {
            Algorithm::HmacSha1 => mac(MacKind::Sha1),
            Algorithm::HmacSha256 => mac(MacKind::Sha256),
            Algorithm::HmacSha384 => mac(MacKind::Sha384),
            Algorithm::HmacSha512 => mac(MacKind::Sha512),
            #[cfg(feature = "ed25519")]
            Algorithm::Ed25519 => (KeyKind::Ed25519, 64),
            Algorithm::Token => mac(MacKind::Token),
        };
        let decoding = if is_token { Decoding::Token } else { Decoding::Encoded(self.encoding, size) };
        let max_candidates = match kind {
            KeyKind::Mac(_) => MAX_CANDIDATES,
            #[cfg(feature = "ed25519")]
            KeyKind::Ed25519 => MAX_ED25519_CANDIDATES,
        };
        let name = |name: String| {
            HeaderName::try_from(name.as_str()).map_err(|_| ConfigError::InvalidHeaderName { name })
        };
        let required = self.required.into_iter().map(|(header, value)| {
            let problem = "a required header has a value that cannot stand in a header";
            let value = HeaderValue::try_from(value).map_err(|_| ConfigError::InvalidScheme { problem })?;
            Ok((name(header)?, value))
        });
        let header = self.header.resolve()?;
        let further_headers = self.further_headers.into_iter().map(name).collect::<Result<Vec<_>, _>>()?;
        let signatures: Vec<_> = header.iter().chain(&further_headers).collect();
        let repeated = (1..signatures.len()).any(|index| signatures[..index].contains(&signatures[index]));
        let is_signature = |names: &Names| names.iter().any(|name| signatures.contains(&name));
        if repeated
            || template.headers().any(is_signature)
            || matches!(&timestamp, Some(Source::Header(names)) if is_signature(names))
        {
            return invalid("a header carries a signature, and another signature or what is signed");
        }
        Ok(ResolvedScheme {
            algorithm: self.algorithm,
            header,
            further_headers,
            grammar: self.grammar,
            decoding,
            max_candidates,
            key: KeyFormat { kind, encoding: self.key_encoding, prefix: self.key_prefix.into() },
            key_id: self.key_id_header.map(|names| names.resolve()).transpose()?,
            timestamp,
            unit: self.unit,
            tolerance: signs_timestamp.then_some(self.tolerance.unwrap_or(DEFAULT_TOLERANCE)),
            template,
            required: required.collect::<Result<_, ConfigError>>()?,
            url: None,
        })
    }
}

fn mac(kind: MacKind) -> (KeyKind, usize) {
    (KeyKind::Mac(kind), kind.size())
}

impl ResolvedScheme {
    /// The header that carries the signature, under its first name.
    pub(crate) fn header(&self) -> &HeaderName {
        self.header.first()
    }

    /// Every header that may carry a signature or a token.
    pub(crate) fn signature_headers(&self) -> impl Iterator<Item = &HeaderName> {
        self.header.iter().chain(&self.further_headers)
    }

    pub(crate) fn key(&self) -> &KeyFormat {
        &self.key
    }

    pub(crate) fn template(&self) -> &Template {
        &self.template
    }

    /// How far a signed timestamp may be off; `None` where none is signed.
    pub(crate) fn tolerance(&self) -> Option<Duration> {
        self.tolerance
    }

    pub(crate) fn set_tolerance(&mut self, tolerance: Duration) -> Result<(), ConfigError> {
        let current = self.tolerance.as_mut().ok_or(ConfigError::ToleranceWithoutTimestamp)?;
        *current = tolerance;
        Ok(())
    }

    pub(crate) fn set_url(&mut self, url: PublicUrl) {
        self.url = Some(url);
    }

    #[cfg(feature = "testing")]
    pub(crate) fn url(&self) -> Option<&PublicUrl> {
        self.url.as_ref()
    }

    #[cfg(feature = "testing")]
    pub(crate) fn decoding(&self) -> Decoding {
        self.decoding
    }

    /// Whether the signed bytes need a URL that nobody has configured.
    pub(crate) fn lacks_url(&self) -> bool {
        self.template.signs_url() && self.url.is_none()
    }

    /// Whether the MAC can be computed while the body arrives.
    pub(crate) fn streams(&self) -> bool {
        self.template.streams() && matches!(self.key.kind, KeyKind::Mac(_))
    }

    /// Reads what stands in the head of a request: all that can be known before the body.
    #[inline]
    pub(crate) fn present(&self, headers: &HeaderMap) -> Result<Presented, RejectionReason> {
        let mut found = Found::new(self.decoding, self.max_candidates);
        match self.header.find(headers)? {
            Some(value) => self.grammar.parse(value, &mut found)?,
            None if self.further_headers.is_empty() => return Err(RejectionReason::MissingHeader),
            None => {}
        }
        if !self.further_headers.is_empty() {
            self.read_further(headers, &mut found)?;
        }
        if found.is_empty() {
            return Err(RejectionReason::MalformedHeader);
        }
        for (name, value) in &self.required {
            let found = single(headers, name)?;
            if found != value.as_bytes() {
                return Err(RejectionReason::UnsupportedAlgorithm);
            }
        }
        let text = match &self.timestamp {
            None | Some(Source::Body(_)) => None,
            Some(Source::SignatureHeader) => Some(found.timestamp.ok_or(RejectionReason::MalformedHeader)?),
            Some(Source::Header(names)) => Some(names.find(headers)?.ok_or(RejectionReason::MissingHeader)?),
        };
        let timestamp = match text {
            None => None,
            Some(text) => Some(SignedTimestamp::parse(self.unit, text)?),
        };
        self.template.check_headers(headers)?;
        let key_id = match &self.key_id {
            None => None,
            Some(names) => Some(key_id(names, headers)?),
        };
        if found.candidates.is_empty() {
            return Err(RejectionReason::SignatureMismatch);
        }
        Ok(Presented { candidates: found.candidates, timestamp, key_id })
    }

    #[cold]
    fn read_further<'h>(&self, headers: &'h HeaderMap, found: &mut Found<'h>) -> Result<(), RejectionReason> {
        let mut any = !found.is_empty();
        for name in &self.further_headers {
            match single(headers, name) {
                Ok(value) => {
                    any = true;
                    self.grammar.parse(value, found)?;
                }
                Err(RejectionReason::MissingHeader) => {}
                Err(reason) => return Err(reason),
            }
        }
        if any { Ok(()) } else { Err(RejectionReason::MissingHeader) }
    }

    /// Feeds what comes before the body, where the body streams.
    #[inline]
    pub(crate) fn before_body(&self, head: Head<'_>, presented: &Presented, feed: impl FnMut(&[u8])) {
        self.template.before_body(&self.filling(head, presented), feed);
    }

    /// Feeds what is left when the body has arrived.
    #[inline]
    pub(crate) fn after_body(
        &self,
        head: Head<'_>,
        presented: &Presented,
        body: &[u8],
        feed: impl FnMut(&[u8]),
    ) {
        self.template.after_body(&self.filling(head, presented), body, feed);
    }

    /// Feeds all that is signed.
    pub(crate) fn whole(&self, head: Head<'_>, presented: &Presented, body: &[u8], feed: impl FnMut(&[u8])) {
        self.template.whole(&self.filling(head, presented), body, feed);
    }

    fn filling<'a>(&'a self, head: Head<'a>, presented: &'a Presented) -> Filling<'a> {
        Filling { head, timestamp: presented.timestamp_text(), url: self.url.as_ref() }
    }

    /// Where in an authentic body the timestamp is, if that is where it is.
    #[inline]
    pub(crate) fn body_timestamp(&self) -> Option<&BodyTimestamp> {
        match &self.timestamp {
            Some(Source::Body(path)) => Some(path),
            _ => None,
        }
    }

    pub(crate) fn unit(&self) -> TimestampUnit {
        self.unit
    }

    pub(crate) fn describe(&self) -> SchemeDescription {
        let algorithm = match self.algorithm {
            Algorithm::HmacSha1 => "HMAC-SHA1",
            Algorithm::HmacSha256 => "HMAC-SHA256",
            Algorithm::HmacSha384 => "HMAC-SHA384",
            Algorithm::HmacSha512 => "HMAC-SHA512",
            #[cfg(feature = "ed25519")]
            Algorithm::Ed25519 => "Ed25519",
            Algorithm::Token => "token",
        };
        let encoded = match self.decoding {
            Decoding::Encoded(encoding, _) => encoding.name(),
            Decoding::Token => "token",
        };
        let mut headers: Vec<_> = self.signature_headers().cloned().collect();
        if let Some(Source::Header(names)) = &self.timestamp {
            headers.extend(names.iter().cloned());
        }
        headers.extend(self.required.iter().map(|(name, _)| name.clone()));
        headers.extend(self.key_id.iter().flat_map(Names::iter).cloned());
        headers.extend(self.template.headers().flat_map(Names::iter).cloned());
        SchemeDescription {
            algorithm,
            headers,
            value: self.grammar.describe(encoded),
            signed: self.template.describe(),
            key: self.describe_key(),
            timestamp: self.timestamp.as_ref().map(|_| self.unit),
            covers_body: self.template.covers_body(),
        }
    }

    fn describe_key(&self) -> String {
        let mut text = match (self.key.kind, self.key.encoding) {
            (KeyKind::Mac(MacKind::Token), _) => "the secret is the token".to_owned(),
            (KeyKind::Mac(_), KeyEncoding::Utf8) => "the secret's text".to_owned(),
            (KeyKind::Mac(_), encoding) => format!("the secret, decoded from {}", encoding.name()),
            #[cfg(feature = "ed25519")]
            (KeyKind::Ed25519, encoding) => {
                format!("the sender's public key, decoded from {}", encoding.name())
            }
        };
        if !self.key.prefix.is_empty() {
            text.push_str(" after ");
            text.push_str(&self.key.prefix);
        }
        if let Some(names) = &self.key_id {
            text.push_str(", of the secret whose label is in ");
            text.push_str(names.first().as_str());
        }
        text
    }

    /// The timestamp's own header, where it has one.
    #[cfg(feature = "testing")]
    pub(crate) fn timestamp_header(&self) -> Option<&HeaderName> {
        match &self.timestamp {
            Some(Source::Header(names)) => Some(names.first()),
            _ => None,
        }
    }

    #[cfg(feature = "testing")]
    pub(crate) fn key_id_header(&self) -> Option<&HeaderName> {
        self.key_id.as_ref().map(Names::first)
    }

    #[cfg(feature = "testing")]
    pub(crate) fn required_headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.required
    }

    /// What `unit` writes for a time in Unix seconds.
    #[cfg(feature = "testing")]
    pub(crate) fn timestamp_text(&self, seconds: u64) -> String {
        self.unit.write(seconds)
    }

    /// The value of the signature header that a sender with this signature would send.
    #[cfg(feature = "testing")]
    pub(crate) fn header_value(&self, timestamp: &str, signature: &[u8]) -> String {
        match self.decoding {
            Decoding::Encoded(encoding, _) => self.grammar.write(timestamp, &encoding.encode(signature)),
            Decoding::Token => self.grammar.write(timestamp, &String::from_utf8_lossy(signature)),
        }
    }
}

#[cold]
fn key_id(names: &Names, headers: &HeaderMap) -> Result<Box<[u8]>, RejectionReason> {
    let id = names.find(headers)?.ok_or(RejectionReason::MissingHeader)?;
    if id.is_empty() || id.len() > MAX_KEY_ID_BYTES {
        Err(RejectionReason::MalformedHeader)
    } else {
        Ok(id.into())
    }
}

/// A scheme in words.
#[derive(Clone, Debug)]
pub(crate) struct SchemeDescription {
    pub(crate) algorithm: &'static str,
    /// The signature's first, then all others that are read.
    pub(crate) headers: Vec<HeaderName>,
    pub(crate) value: String,
    pub(crate) signed: String,
    pub(crate) key: String,
    pub(crate) timestamp: Option<TimestampUnit>,
    pub(crate) covers_body: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{Encoding, List, Pairs};

    fn whole() -> SignatureScheme {
        SignatureScheme::hmac_sha256("x-signature")
    }

    #[test]
    fn contradictions_are_refused() {
        let problem = |scheme: SignatureScheme| match scheme.resolve().unwrap_err() {
            ConfigError::InvalidScheme { problem } => problem,
            other => panic!("{other}"),
        };
        assert_eq!(problem(whole().with_signed([])), "nothing is signed");
        assert_eq!(problem(whole().with_signed([Part::literal("x")])), "the body is not signed");
        assert_eq!(
            problem(whole().with_signed([Part::Body, Part::Body])),
            "the body is signed more than once"
        );
        assert_eq!(
            problem(whole().with_signed([Part::Timestamp, Part::Body])),
            "a timestamp is signed, but the header has none"
        );
        for stamped in [
            whole().with_pairs("t", "v1"),
            whole().with_grammar(List::new().with_timestamp_first()),
            whole().with_timestamp_header("x-time"),
        ] {
            let unsigned = stamped.clone().with_signed([Part::Body]);
            assert_eq!(problem(unsigned), "the header has a timestamp that is not signed");
            assert!(stamped.resolve().is_ok());
        }
        let twice = whole().with_pairs("t", "v1").with_timestamp_header("x-time");
        assert_eq!(problem(twice), "the timestamp is in the signature header and elsewhere");
        let loose =
            whole().with_signed([Part::Method]).with_timestamp_in_body("/at").dangerous_body_not_signed();
        assert_eq!(problem(loose), "the timestamp is in the body, which is not signed");
        assert_eq!(
            problem(whole().with_grammar(Pairs::new(""))),
            "a key of a pair is empty or holds a separator"
        );
        assert_eq!(
            problem(whole().with_required_header("x", "\n")),
            "a required header has a value that cannot stand in a header"
        );
        assert_eq!(
            problem(whole().dangerous_body_not_signed()),
            "the body is signed: take `dangerous_body_not_signed` out"
        );
        for scheme in [
            whole().with_timestamp_header("X-Signature"),
            whole().with_signed([Part::header("x-signature"), Part::literal("."), Part::Body]),
            whole().with_further_headers(["x-other", "x-signature"]),
            SignatureScheme::hmac_sha256(["x-signature", "x-signature"]),
        ] {
            assert_eq!(
                problem(scheme),
                "a header carries a signature, and another signature or what is signed"
            );
        }
        let token = || SignatureScheme::dangerous_token("x-token");
        for scheme in [
            token().with_signed([Part::Body]),
            token().with_signed([Part::literal("x")]),
            token().with_timestamp_header("x-time").with_signed([Part::Timestamp]),
            token().dangerous_body_not_signed(),
        ] {
            assert_eq!(problem(scheme), "a token signs nothing: neither body nor timestamp");
        }
        assert!(token().resolve().is_ok());
    }

    #[test]
    fn names_and_tolerances_are_checked() {
        for scheme in [
            SignatureScheme::hmac_sha256("x signature"),
            whole().with_further_headers(["x signature"]),
            whole().with_required_header("x signature", "1"),
            whole().with_key_id_header("x signature"),
            whole().with_timestamp_header("x signature"),
            whole().with_signed([Part::header("x signature"), Part::Body]),
        ] {
            let error = scheme.resolve().unwrap_err();
            assert_eq!(error, ConfigError::InvalidHeaderName { name: "x signature".to_owned() });
        }
        let error = whole().with_tolerance(DEFAULT_TOLERANCE).resolve().unwrap_err();
        assert_eq!(error, ConfigError::ToleranceWithoutTimestamp);
        let in_body = whole().with_timestamp_in_body("/at").resolve().unwrap();
        assert_eq!(in_body.tolerance(), Some(DEFAULT_TOLERANCE));
        assert_eq!(whole().resolve().unwrap().tolerance(), None);
        assert!(matches!(
            whole().with_timestamp_in_body("at").resolve().unwrap_err(),
            ConfigError::InvalidPath { .. }
        ));
    }

    #[test]
    fn what_streams_is_said() {
        let streams = |scheme: SignatureScheme| scheme.resolve().unwrap().streams();
        assert!(streams(whole()));
        assert!(streams(whole().with_timestamp_header("x-time").with_signed([Part::Body, Part::Timestamp])));
        assert!(!streams(whole().with_signed([Part::BodyDigest(Encoding::Hex)])));
        #[cfg(feature = "ed25519")]
        assert!(!streams(SignatureScheme::ed25519("x-signature")));
    }
}
