//! How a provider signs, as data.

use std::time::Duration;

use super::encoding::{Encoding, KeyEncoding};
use super::grammar::{HeaderGrammar, Pairs};
use super::template::{HeaderNames, Part};
use super::timestamp::TimestampUnit;

/// How a provider signs: the header, its grammar, the signed bytes, the algorithm, the form of the key. Checked when
/// the [`Provider`](crate::Provider) is built, and compiled there: a request pays for the MAC, not for the description.
///
/// The algorithm is fixed here and never read from a request.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::{Encoding, KeyEncoding, Pairs, Part, Provider, SignatureScheme, TimestampUnit};
///
/// // X-Acme-Signature: sha256=<hex of HMAC-SHA256 over the body>
/// let acme = SignatureScheme::hmac_sha256("x-acme-signature").with_prefix("sha256=");
///
/// // Emca-Signature: v1,<base64 of HMAC-SHA512 over "<Emca-Id>.<Emca-Time>.<body>">, the time in milliseconds,
/// // the secret being shown as "whsec_" and base64
/// let emca = SignatureScheme::hmac_sha512("emca-signature")
///     .with_grammar(Pairs::versions("v1"))
///     .with_encoding(Encoding::Base64)
///     .with_key_encoding(KeyEncoding::Base64)
///     .with_key_prefix("whsec_")
///     .with_timestamp_header("emca-time")
///     .with_timestamp_unit(TimestampUnit::Millis)
///     .with_signed([
///         Part::header("emca-id"),
///         Part::literal("."),
///         Part::Timestamp,
///         Part::literal("."),
///         Part::Body,
///     ])
///     .with_tolerance(Duration::from_secs(120));
///
/// let provider = |scheme| Provider::builder("acme").signature(scheme).build();
/// assert_eq!(provider(acme)?.tolerance(), None); // signs no timestamp
/// assert_eq!(provider(emca)?.tolerance(), Some(Duration::from_secs(120)));
/// # Ok::<(), tower_webhook::ConfigError>(())
/// ```
///
/// [`docs::providers`](crate::docs::providers) goes from a page of documentation to a tested description, and says
/// what to do about a scheme that cannot be described.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use]
pub struct SignatureScheme {
    pub(super) algorithm: Algorithm,
    pub(super) header: HeaderNames,
    pub(super) further_headers: Vec<String>,
    pub(super) grammar: HeaderGrammar,
    pub(super) encoding: Encoding,
    pub(super) key_encoding: KeyEncoding,
    pub(super) key_prefix: String,
    pub(super) key_id_header: Option<HeaderNames>,
    pub(super) timestamp: Option<TimestampSource>,
    pub(super) unit: TimestampUnit,
    pub(super) tolerance: Option<Duration>,
    pub(super) signed: Option<Vec<Part>>,
    pub(super) required: Vec<(String, String)>,
    pub(super) body_not_signed: bool,
}

/// What makes a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    HmacSha1,
    HmacSha256,
    HmacSha384,
    HmacSha512,
    #[cfg(feature = "ed25519")]
    Ed25519,
    Token,
}

/// Where a timestamp is, if not in the signature header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TimestampSource {
    Header(HeaderNames),
    Body(String),
}

impl SignatureScheme {
    fn new(algorithm: Algorithm, header: HeaderNames) -> Self {
        Self {
            algorithm,
            header,
            further_headers: Vec::new(),
            grammar: HeaderGrammar::whole(String::new(), false),
            encoding: Encoding::Hex,
            key_encoding: KeyEncoding::Utf8,
            key_prefix: String::new(),
            key_id_header: None,
            timestamp: None,
            unit: TimestampUnit::Seconds,
            tolerance: None,
            signed: None,
            required: Vec::new(),
            body_not_signed: false,
        }
    }

    /// HMAC-SHA256 over the raw body, its hexadecimal digits being the whole value of `header`: what the other methods
    /// start from.
    pub fn hmac_sha256(header: impl Into<HeaderNames>) -> Self {
        Self::new(Algorithm::HmacSha256, header.into())
    }

    /// HMAC-SHA1, which some providers still sign with. As a MAC it is not broken, but nothing new should use it.
    pub fn hmac_sha1(header: impl Into<HeaderNames>) -> Self {
        Self::new(Algorithm::HmacSha1, header.into())
    }

    /// HMAC-SHA384.
    pub fn hmac_sha384(header: impl Into<HeaderNames>) -> Self {
        Self::new(Algorithm::HmacSha384, header.into())
    }

    /// HMAC-SHA512.
    pub fn hmac_sha512(header: impl Into<HeaderNames>) -> Self {
        Self::new(Algorithm::HmacSha512, header.into())
    }

    /// Ed25519: the [`Secret`](crate::Secret) is the provider's public key, in hexadecimal digits unless
    /// [`with_key_encoding`](Self::with_key_encoding) says otherwise.
    ///
    /// A signature covers the whole message from its first byte, so that nothing is hashed while a body arrives, and
    /// the message is put together once more in memory. A verification costs tens of microseconds and the hash of the
    /// message, for every candidate and key; a header may have 4 candidates (of MACs: 16).
    #[cfg(feature = "ed25519")]
    #[cfg_attr(docsrs, doc(cfg(feature = "ed25519")))]
    pub fn ed25519(header: impl Into<HeaderNames>) -> Self {
        Self { key_encoding: KeyEncoding::Hex, ..Self::new(Algorithm::Ed25519, header.into()) }
    }

    /// A token: the secret itself is the value of `header`. **Dangerous: nothing is signed.** Whoever sees one request
    /// can send others with any body, at any time, and an event's id is what the sender of a request says it is.
    ///
    /// For providers that have nothing better. Take TLS for granted, keep the header out of logs, and treat what
    /// arrives as a hint: ask the provider's API for the state of things before money moves.
    pub fn dangerous_token(header: impl Into<HeaderNames>) -> Self {
        Self { signed: Some(Vec::new()), ..Self::new(Algorithm::Token, header.into()) }
    }

    /// The value is `prefix` and then the signature. The prefix is required, and its case counts.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.grammar = HeaderGrammar::whole(prefix.into(), false);
        self
    }

    /// As [`with_prefix`](Self::with_prefix), for a sender that leaves the prefix out sometimes.
    pub fn with_optional_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.grammar = HeaderGrammar::whole(prefix.into(), true);
        self
    }

    /// The value is a list of `key=value` pairs separated by commas, with one pair for the timestamp and one or more
    /// for signatures: `t=1700000000,v1=ab..,v1=cd..`. Short for [`with_grammar`](Self::with_grammar) and [`Pairs`].
    pub fn with_pairs(self, timestamp: impl Into<String>, signature: impl Into<String>) -> Self {
        self.with_grammar(Pairs::new(signature).with_timestamp(timestamp))
    }

    /// The value is [`Pairs`], or a [`List`](crate::List).
    pub fn with_grammar(mut self, grammar: impl Into<HeaderGrammar>) -> Self {
        self.grammar = grammar.into();
        self
    }

    /// Headers that may carry a signature besides the first: the sender has one for each of its keys. One of them must
    /// be there, and candidates are taken from all that are.
    pub fn with_further_headers<T: Into<String>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.further_headers = names.into_iter().map(Into::into).collect();
        self
    }

    /// A header whose value must be this one: what a sender says about version or algorithm. Anything else is refused;
    /// it never chooses an algorithm.
    pub fn with_required_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.required.push((name.into(), value.into()));
        self
    }

    /// How the signature is written. The default is [`Encoding::Hex`].
    pub fn with_encoding(mut self, encoding: Encoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// How the provider shows the key. The default is [`KeyEncoding::Utf8`]: the text of the secret is the key.
    pub fn with_key_encoding(mut self, encoding: KeyEncoding) -> Self {
        self.key_encoding = encoding;
        self
    }

    /// What stands before the key where the provider shows it, such as `whsec_`: taken off before it is decoded. A
    /// secret without it is taken as it is.
    pub fn with_key_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.key_prefix = prefix.into();
        self
    }

    /// A header that names the key: only the secret whose label is its value is tried. An unknown name is a wrong
    /// signature; it is compared with the labels there are, and looked up nowhere else.
    pub fn with_key_id_header(mut self, header: impl Into<HeaderNames>) -> Self {
        self.key_id_header = Some(header.into());
        self
    }

    /// The timestamp is in a header of its own. Unless [`with_signed`](Self::with_signed) says otherwise, the
    /// timestamp, a full stop and the body are signed.
    pub fn with_timestamp_header(mut self, header: impl Into<HeaderNames>) -> Self {
        self.timestamp = Some(TimestampSource::Header(header.into()));
        self
    }

    /// The timestamp is in the signed body, at a JSON pointer through objects. It is read once the signature holds.
    pub fn with_timestamp_in_body(mut self, path: impl Into<String>) -> Self {
        self.timestamp = Some(TimestampSource::Body(path.into()));
        self
    }

    /// How the timestamp is written. The default is [`TimestampUnit::Seconds`].
    pub fn with_timestamp_unit(mut self, unit: TimestampUnit) -> Self {
        self.unit = unit;
        self
    }

    /// How far the signed timestamp may lie from this machine's clock, both ways; exactly the tolerance passes.
    /// Default: 300 s, what most providers chose: wide enough for clocks that NTP keeps and a queue at the sender,
    /// narrow enough that a captured request soon loses its worth.
    pub fn with_tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = Some(tolerance);
        self
    }

    /// What is signed, in order. The body, or its digest, must be in it. Default: the body; with a timestamp in a
    /// header, the timestamp, a full stop and the body.
    pub fn with_signed(mut self, parts: impl IntoIterator<Item = Part>) -> Self {
        self.signed = Some(parts.into_iter().collect());
        self
    }

    /// Accepts that the body is not among what [`with_signed`](Self::with_signed) names. **Dangerous:** whoever sees
    /// one request can send another with the same headers and any body, as long as its timestamp is fresh.
    pub fn dangerous_body_not_signed(mut self) -> Self {
        self.body_not_signed = true;
        self
    }
}
