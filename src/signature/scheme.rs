//! How a provider signs, as data.

use std::time::Duration;

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::header::{self, Grammar, Presented};
use super::mac::Macs;
use crate::error::{ConfigError, RejectionReason};

/// Five minutes each way: what Stripe chose and most providers copied. Wide enough for clocks that NTP
/// keeps and a queue at the sender, narrow enough that a captured request soon loses its worth.
pub(crate) const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

/// How a signature is written in its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// Hexadecimal digits of either case.
    Hex,
    /// Base64 in the standard alphabet, padded and canonical.
    Base64,
}

/// One part of the signed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The timestamp, exactly as the header carries it.
    Timestamp,
    /// Fixed text.
    Literal(String),
    /// The request body, byte for byte.
    Body,
}

impl Part {
    /// Fixed text.
    pub fn literal(text: impl Into<String>) -> Self {
        Self::Literal(text.into())
    }
}

/// How a provider signs: the header, its grammar, the signed bytes. Checked when the
/// [`Provider`](crate::Provider) is built.
///
/// The algorithm is fixed here and never read from a request.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::{Encoding, Part, Provider, SignatureScheme};
///
/// // X-Acme-Signature: sha256=<hex of HMAC-SHA256 over the body>
/// let acme = SignatureScheme::hmac_sha256("x-acme-signature").with_prefix("sha256=");
///
/// // Emca-Signature: t=1700000000,v1=<base64 of HMAC-SHA256 over "1700000000.<body>">
/// let emca = SignatureScheme::hmac_sha256("emca-signature")
///     .with_pairs("t", "v1")
///     .with_signed([Part::Timestamp, Part::literal("."), Part::Body])
///     .with_encoding(Encoding::Base64)
///     .with_tolerance(Duration::from_secs(120));
///
/// let provider = |scheme| Provider::builder("acme").signature(scheme).build();
/// assert_eq!(provider(acme)?.tolerance(), None); // signs no timestamp
/// assert_eq!(provider(emca)?.tolerance(), Some(Duration::from_secs(120)));
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
///
/// [`docs::providers`](crate::docs::providers) goes from a page of documentation to a tested description, and lists
/// what cannot be described.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct SignatureScheme {
    header: String,
    shape: Shape,
    signed: Option<Vec<Part>>,
    encoding: Encoding,
    tolerance: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Whole { prefix: String },
    Pairs { timestamp: String, signature: String },
}

impl SignatureScheme {
    /// HMAC-SHA256 over the raw body, its hexadecimal digits being the whole value of `header`.
    pub fn hmac_sha256(header: impl Into<String>) -> Self {
        Self {
            header: header.into(),
            shape: Shape::Whole { prefix: String::new() },
            signed: None,
            encoding: Encoding::Hex,
            tolerance: None,
        }
    }

    /// The value is `prefix` and then the signature. The prefix is required, and its case counts.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.shape = Shape::Whole { prefix: prefix.into() };
        self
    }

    /// The value is a list of `key=value` pairs separated by commas, with one pair for the timestamp (Unix
    /// seconds) and one or more for signatures: `t=1700000000,v1=ab..,v1=cd..`. Blanks around a pair are
    /// ignored, other items too; a second timestamp, or an empty signature, refuses the request.
    ///
    /// Unless [`with_signed`](Self::with_signed) says otherwise, the timestamp, a full stop and the body are
    /// signed; the tolerance is 300 s both ways unless [`with_tolerance`](Self::with_tolerance) says
    /// otherwise.
    pub fn with_pairs(mut self, timestamp: impl Into<String>, signature: impl Into<String>) -> Self {
        self.shape = Shape::Pairs { timestamp: timestamp.into(), signature: signature.into() };
        self
    }

    /// What is signed, in order. The body must be in it, once.
    pub fn with_signed(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.signed = Some(parts.into_iter().collect());
        self
    }

    /// How the signature is written. The default is [`Encoding::Hex`].
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// How far the signed timestamp may lie from this machine's clock, in whole seconds, both ways; exactly
    /// the tolerance passes. Default: 300 s, what most providers chose: wide enough for clocks that NTP keeps and
    /// a queue at the sender, narrow enough that a captured request soon loses its worth.
    pub fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = Some(tolerance);
        self
    }

    pub(crate) fn resolve(self) -> Result<ResolvedScheme, ConfigError> {
        let invalid = |problem| Err(ConfigError::InvalidScheme { problem });
        let header = HeaderName::try_from(self.header.as_str())
            .map_err(|_| ConfigError::InvalidHeaderName { name: self.header.clone() })?;
        let has_timestamp = matches!(self.shape, Shape::Pairs { .. });
        let parts = self.signed.unwrap_or_else(|| {
            if has_timestamp {
                vec![Part::Timestamp, Part::literal("."), Part::Body]
            } else {
                vec![Part::Body]
            }
        });
        match parts.iter().filter(|part| **part == Part::Body).count() {
            0 => return invalid("the body is not signed"),
            1 => {}
            _ => return invalid("the body is signed more than once"),
        }
        let signs_timestamp = parts.contains(&Part::Timestamp);
        if signs_timestamp && !has_timestamp {
            return invalid("a timestamp is signed, but the header has none");
        }
        if self.tolerance.is_some() && !signs_timestamp {
            return Err(ConfigError::ToleranceWithoutTimestamp);
        }
        if has_timestamp && !signs_timestamp {
            return invalid("the header has a timestamp that is not signed");
        }
        let grammar = match self.shape {
            Shape::Whole { prefix } => Grammar::Whole { prefix },
            Shape::Pairs { timestamp, signature } => {
                let legal = |key: &str| !key.is_empty() && !key.contains([',', '=', ' ', '\t']);
                if !legal(&timestamp) || !legal(&signature) {
                    return invalid("a key of a pair is empty or holds a separator");
                }
                if timestamp == signature {
                    return invalid("timestamp and signature have the same key");
                }
                Grammar::Pairs { timestamp, signature }
            }
        };
        let mut before_body = parts;
        let body = before_body.iter().position(|part| *part == Part::Body).unwrap_or_default();
        let after_body = before_body.split_off(body + 1);
        before_body.pop();
        Ok(ResolvedScheme {
            header,
            grammar,
            before_body,
            after_body,
            encoding: self.encoding,
            tolerance: signs_timestamp.then_some(self.tolerance.unwrap_or(DEFAULT_TOLERANCE)),
        })
    }
}

/// A scheme that has been checked.
#[derive(Clone, Debug)]
pub(crate) struct ResolvedScheme {
    header: HeaderName,
    grammar: Grammar,
    before_body: Vec<Part>,
    after_body: Vec<Part>,
    encoding: Encoding,
    tolerance: Option<Duration>,
}

impl ResolvedScheme {
    pub(crate) fn header(&self) -> &HeaderName {
        &self.header
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

    /// Reads the signature header: all that can be known before the body.
    #[inline]
    pub(crate) fn present(&self, headers: &HeaderMap) -> Result<Presented, RejectionReason> {
        let mut lines = headers.get_all(&self.header).iter();
        let value = lines.next().ok_or(RejectionReason::MissingHeader)?;
        if lines.next().is_some() {
            return Err(RejectionReason::DuplicateHeader);
        }
        header::parse(&self.grammar, self.encoding, value.as_bytes())
    }

    /// Feeds what comes before the body.
    #[inline]
    pub(crate) fn feed_before_body(&self, macs: &mut Macs, timestamp: &[u8]) {
        feed(macs, &self.before_body, timestamp);
    }

    /// Feeds what comes after the body.
    #[inline]
    pub(crate) fn feed_after_body(&self, macs: &mut Macs, timestamp: &[u8]) {
        feed(macs, &self.after_body, timestamp);
    }

    /// Writes the header that a sender with `mac` would send.
    #[cfg(feature = "testing")]
    pub(crate) fn header_value(&self, timestamp: &str, mac: &[u8]) -> String {
        use base64::Engine as _;

        let signature = match self.encoding {
            Encoding::Hex => const_hex::encode(mac),
            Encoding::Base64 => base64::engine::general_purpose::STANDARD.encode(mac),
        };
        match &self.grammar {
            Grammar::Whole { prefix } => format!("{prefix}{signature}"),
            Grammar::Pairs { timestamp: t, signature: v } => format!("{t}={timestamp},{v}={signature}"),
        }
    }
}

/// Feeds all parts in one update: each costs as much as hashing a few dozen bytes.
#[inline]
fn feed(macs: &mut Macs, parts: &[Part], timestamp: &[u8]) {
    if parts.is_empty() {
        return;
    }
    let mut bytes = SmallVec::<[u8; 64]>::new();
    for part in parts {
        match part {
            Part::Timestamp => bytes.extend_from_slice(timestamp),
            Part::Literal(text) => bytes.extend_from_slice(text.as_bytes()),
            // The caller feeds the body between the two halves.
            Part::Body => {}
        }
    }
    macs.update(&bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(scheme: SignatureScheme) -> ConfigError {
        scheme.resolve().unwrap_err()
    }

    #[test]
    fn contradictions_are_refused() {
        let whole = || SignatureScheme::hmac_sha256("x-signature");
        let invalid = |problem| ConfigError::InvalidScheme { problem };
        assert_eq!(
            problem(SignatureScheme::hmac_sha256("x signature")),
            ConfigError::InvalidHeaderName { name: "x signature".to_owned() }
        );
        assert_eq!(problem(whole().with_signed([])), invalid("the body is not signed"));
        assert_eq!(
            problem(whole().with_signed([Part::Body, Part::Body])),
            invalid("the body is signed more than once")
        );
        assert_eq!(
            problem(whole().with_signed([Part::Timestamp, Part::Body])),
            invalid("a timestamp is signed, but the header has none")
        );
        assert_eq!(
            problem(whole().with_tolerance(DEFAULT_TOLERANCE)),
            ConfigError::ToleranceWithoutTimestamp
        );
        assert_eq!(
            problem(whole().with_pairs("t", "v1").with_signed([Part::Body])),
            invalid("the header has a timestamp that is not signed")
        );
        for (timestamp, signature) in [("", "v1"), ("t", ""), ("t,", "v1"), ("t", "v=1"), (" t", "v1")] {
            assert_eq!(
                problem(whole().with_pairs(timestamp, signature)),
                invalid("a key of a pair is empty or holds a separator")
            );
        }
        assert_eq!(
            problem(whole().with_pairs("t", "t")),
            invalid("timestamp and signature have the same key")
        );
    }

    #[test]
    fn the_body_splits_the_signed_parts() {
        let scheme = SignatureScheme::hmac_sha256("x-signature")
            .with_pairs("t", "v1")
            .with_signed([Part::literal("a"), Part::Body, Part::literal("b"), Part::Timestamp])
            .resolve()
            .unwrap();
        assert_eq!(scheme.before_body, [Part::literal("a")]);
        assert_eq!(scheme.after_body, [Part::literal("b"), Part::Timestamp]);
        assert_eq!(scheme.tolerance(), Some(DEFAULT_TOLERANCE));
        assert_eq!(SignatureScheme::hmac_sha256("x").resolve().unwrap().tolerance(), None);
    }
}
