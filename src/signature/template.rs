//! The signed bytes as a template: what is fed to the MAC before the body, and what after it.

use http::{HeaderMap, HeaderName, Method, Uri};
use memchr::memmem;
use sha2::{Digest, Sha256};
use smallvec::SmallVec;

use super::encoding::Encoding;
use super::grammar::{MAX_HEADER_BYTES, trim_blanks};
use crate::error::{ConfigError, RejectionReason};

/// One header under the names that a provider has for it: the first that is there counts.
///
/// ```
/// use tower_webhook::HeaderNames;
///
/// let one: HeaderNames = "webhook-id".into();
/// let either: HeaderNames = ["svix-id", "webhook-id"].into();
/// assert_ne!(one, either);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeaderNames(Vec<String>);

impl From<&str> for HeaderNames {
    fn from(name: &str) -> Self {
        Self(vec![name.to_owned()])
    }
}

impl From<String> for HeaderNames {
    fn from(name: String) -> Self {
        Self(vec![name])
    }
}

impl<const N: usize> From<[&str; N]> for HeaderNames {
    fn from(names: [&str; N]) -> Self {
        Self(names.map(str::to_owned).into())
    }
}

impl HeaderNames {
    pub(crate) fn resolve(self) -> Result<Names, ConfigError> {
        let names = self.0.into_iter().map(|name| match HeaderName::try_from(name.as_str()) {
            Ok(resolved) => Ok(resolved),
            Err(_) => Err(ConfigError::InvalidHeaderName { name }),
        });
        let names = names.collect::<Result<SmallVec<_>, _>>()?;
        if names.is_empty() {
            Err(ConfigError::InvalidHeaderName { name: String::new() })
        } else {
            Ok(Names(names))
        }
    }
}

/// Checked names of one header; never none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Names(SmallVec<[HeaderName; 1]>);

impl Names {
    pub(crate) fn first(&self) -> &HeaderName {
        &self.0[0]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &HeaderName> {
        self.0.iter()
    }

    /// The value under the first name that is there, without the blanks around it. Two lines of it are refused,
    /// whatever they hold: which of them counts would be anybody's guess.
    #[inline]
    pub(crate) fn find<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h [u8]>, RejectionReason> {
        for name in &self.0 {
            match single(headers, name) {
                Err(RejectionReason::MissingHeader) => {}
                found => return found.map(Some),
            }
        }
        Ok(None)
    }
}

/// The one line of a header, without the blanks around it.
#[inline]
pub(super) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<&'h [u8], RejectionReason> {
    let mut lines = headers.get_all(name).iter();
    let value = lines.next().ok_or(RejectionReason::MissingHeader)?;
    if lines.next().is_some() {
        return Err(RejectionReason::DuplicateHeader);
    }
    Ok(trim_blanks(value.as_bytes()))
}

/// One part of the signed bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The timestamp, exactly as it was sent.
    Timestamp,
    /// Fixed text.
    Literal(String),
    /// The value of a header, which must be there once, and not be empty. Where a [`Literal`](Self::Literal) follows,
    /// the value must not contain it: otherwise the same signed bytes could be divided in two ways.
    Header(HeaderNames),
    /// The request's method. The layer lets nothing but `POST` through.
    Method,
    /// The URL that is registered at the provider, whole: see
    /// [`Provider::with_public_url`](crate::Provider::with_public_url).
    Url,
    /// The same without `?` and what follows.
    UrlWithoutQuery,
    /// Of the same, the path and the query.
    UrlPath,
    /// The request body, byte for byte.
    Body,
    /// The SHA-256 of the request body, written in an encoding; hexadecimal digits are in lower case. It is known when
    /// the whole body is there, so that no MAC is computed while the body arrives: a large one costs its hash after
    /// its last byte, and on top of that the MAC of what is signed.
    BodyDigest(Encoding),
}

impl Part {
    /// Fixed text.
    pub fn literal(text: impl Into<String>) -> Self {
        Self::Literal(text.into())
    }

    /// The value of a header.
    pub fn header(names: impl Into<HeaderNames>) -> Self {
        Self::Header(names.into())
    }
}

/// The URL that a provider has on record, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PublicUrl {
    text: Box<str>,
    path: usize,
    query: usize,
}

impl PublicUrl {
    pub(crate) fn new(text: &str) -> Result<Self, ConfigError> {
        let invalid = || ConfigError::InvalidUrl { url: text.to_owned() };
        let uri = Uri::try_from(text).map_err(|_| invalid())?;
        let (Some(scheme), Some(_)) = (uri.scheme(), uri.authority()) else { return Err(invalid()) };
        if !matches!(scheme.as_str(), "http" | "https") || text.contains('#') {
            return Err(invalid());
        }
        let authority = text.find("//").map_or(0, |slashes| slashes + 2);
        let end =
            |stops: &[char]| text[authority..].find(stops).map_or(text.len(), |found| authority + found);
        Ok(Self { text: text.into(), path: end(&['/', '?']), query: end(&['?']) })
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }
}

/// What is known of a request before its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Slot {
    Timestamp,
    Text(Box<[u8]>),
    /// A header, and what it must not contain.
    Header(Names, Option<Box<[u8]>>),
    Method,
    Url,
    UrlWithoutQuery,
    UrlPath,
    Body,
    BodyDigest(Encoding),
}

/// A template that has been checked.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    slots: Vec<Slot>,
    /// Where the body stands, if it is fed as it arrives.
    body: Option<usize>,
}

/// What fills a template.
#[derive(Clone, Copy)]
pub(crate) struct Filling<'a> {
    pub(crate) head: Head<'a>,
    pub(crate) timestamp: &'a [u8],
    pub(crate) url: Option<&'a PublicUrl>,
}

impl Template {
    pub(crate) fn resolve(parts: Vec<Part>) -> Result<Self, ConfigError> {
        let mut slots = Vec::with_capacity(parts.len());
        let mut parts = parts.into_iter().peekable();
        while let Some(part) = parts.next() {
            slots.push(match part {
                Part::Timestamp => Slot::Timestamp,
                Part::Literal(text) => Slot::Text(text.into_bytes().into()),
                Part::Header(names) => {
                    let follows = match parts.peek() {
                        Some(Part::Literal(text)) if !text.is_empty() => Some(text.as_bytes().into()),
                        _ => None,
                    };
                    Slot::Header(names.resolve()?, follows)
                }
                Part::Method => Slot::Method,
                Part::Url => Slot::Url,
                Part::UrlWithoutQuery => Slot::UrlWithoutQuery,
                Part::UrlPath => Slot::UrlPath,
                Part::Body => Slot::Body,
                Part::BodyDigest(encoding) => Slot::BodyDigest(encoding),
            });
        }
        let digest = slots.iter().any(|slot| matches!(slot, Slot::BodyDigest(_)));
        let body = slots.iter().position(|slot| *slot == Slot::Body).filter(|_| !digest);
        Ok(Self { slots, body })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Whether the body can be fed as it arrives.
    pub(crate) fn streams(&self) -> bool {
        self.body.is_some()
    }

    pub(crate) fn covers_body(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Body | Slot::BodyDigest(_)))
    }

    pub(crate) fn signs_timestamp(&self) -> bool {
        self.slots.contains(&Slot::Timestamp)
    }

    pub(crate) fn signs_url(&self) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Url | Slot::UrlWithoutQuery | Slot::UrlPath))
    }

    /// Whether this byte stands in fixed text, and so in all that is signed.
    pub(crate) fn has_text_with(&self, byte: u8) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Text(text) if text.contains(&byte)))
    }

    /// Whether `names` is signed under every name that it may come by.
    pub(crate) fn signs_header(&self, names: &Names) -> bool {
        self.slots.iter().any(|slot| matches!(slot, Slot::Header(signed, _) if signed == names))
    }

    /// Whether two parts of any length stand side by side, so that a byte could be moved from one to the other.
    /// A timestamp is of no other length, since the sender's clock is what it is compared with.
    fn is_ambiguous(&self) -> bool {
        let is_open = |slot: &Slot| matches!(slot, Slot::Header(..) | Slot::Body);
        let text = |slot: &Slot| !matches!(slot, Slot::Text(text) if text.is_empty());
        let slots: Vec<_> = self.slots.iter().filter(|slot| text(slot)).collect();
        slots.windows(2).any(|pair| is_open(pair[0]) && is_open(pair[1]))
    }

    /// What makes the template one that nothing could be verified by.
    pub(crate) fn problem(&self, body_may_be_missing: bool) -> Option<&'static str> {
        let count = |wanted: fn(&Slot) -> bool| self.slots.iter().filter(|slot| wanted(slot)).count();
        let bodies = count(|slot| *slot == Slot::Body);
        if self.slots.is_empty() {
            Some("nothing is signed")
        } else if !self.covers_body() && !body_may_be_missing {
            Some("the body is not signed")
        } else if self.covers_body() && body_may_be_missing {
            Some("the body is signed: take `dangerous_body_not_signed` out")
        } else if bodies > 1 {
            Some("the body is signed more than once")
        } else if self.is_ambiguous() {
            Some("a signed header stands beside the body or another header, with nothing between them")
        } else {
            None
        }
    }

    /// The headers that are signed.
    pub(crate) fn headers(&self) -> impl Iterator<Item = &Names> {
        self.slots.iter().filter_map(|slot| match slot {
            Slot::Header(names, _) => Some(names),
            _ => None,
        })
    }

    /// Checks the headers that are signed.
    #[inline]
    pub(crate) fn check_headers(&self, headers: &HeaderMap) -> Result<(), RejectionReason> {
        for slot in &self.slots {
            let Slot::Header(names, follows) = slot else { continue };
            let value = names.find(headers)?.ok_or(RejectionReason::MissingHeader)?;
            let ambiguous = follows.as_deref().is_some_and(|follows| holds(value, follows));
            if value.is_empty() || value.len() > MAX_HEADER_BYTES || ambiguous {
                return Err(RejectionReason::MalformedHeader);
            }
        }
        Ok(())
    }

    /// What comes before the body, where it is fed as it arrives.
    #[inline]
    pub(crate) fn before_body(&self, filling: &Filling<'_>, feed: impl FnMut(&[u8])) {
        let slots = &self.slots[..self.body.unwrap_or(0)];
        if !slots.is_empty() {
            write(slots, filling, &[], feed);
        }
    }

    /// What comes after the body, where it was fed as it arrived; else everything.
    #[inline]
    pub(crate) fn after_body(&self, filling: &Filling<'_>, body: &[u8], feed: impl FnMut(&[u8])) {
        let slots = &self.slots[self.body.map_or(0, |body| body + 1)..];
        if !slots.is_empty() {
            write(slots, filling, body, feed);
        }
    }

    /// All of it, with the body that has arrived.
    #[inline(never)]
    pub(crate) fn whole(&self, filling: &Filling<'_>, body: &[u8], feed: impl FnMut(&[u8])) {
        write(&self.slots, filling, body, feed);
    }

    /// In words: `{timestamp}.{body}`.
    pub(crate) fn describe(&self) -> String {
        let mut text = String::new();
        for slot in &self.slots {
            match slot {
                Slot::Timestamp => text.push_str("{timestamp}"),
                Slot::Text(literal) => text.push_str(&String::from_utf8_lossy(literal)),
                Slot::Header(names, _) => {
                    text.push('{');
                    text.push_str(names.first().as_str());
                    text.push('}');
                }
                Slot::Method => text.push_str("{method}"),
                Slot::Url => text.push_str("{url}"),
                Slot::UrlWithoutQuery => text.push_str("{url without query}"),
                Slot::UrlPath => text.push_str("{path}"),
                Slot::Body => text.push_str("{body}"),
                Slot::BodyDigest(encoding) => {
                    text.push('{');
                    text.push_str(encoding.name());
                    text.push_str(" SHA-256 of body}");
                }
            }
        }
        text
    }
}

/// Whether `literal` begins within `value`, the end of it perhaps in the literal that comes after.
fn holds(value: &[u8], literal: &[u8]) -> bool {
    memmem::find(value, literal).is_some()
        || (1..literal.len().min(value.len() + 1)).any(|length| {
            let (begin, rest) = literal.split_at(length);
            value.ends_with(begin) && literal.starts_with(rest)
        })
}

/// Neighbours are joined before they are fed: each update costs as much as hashing a few dozen bytes.
struct Joined<F> {
    bytes: [u8; JOINED_BYTES],
    used: usize,
    feed: F,
}

/// An id, a timestamp and what stands between them.
const JOINED_BYTES: usize = 96;

impl<F: FnMut(&[u8])> Joined<F> {
    #[inline]
    fn push(&mut self, part: &[u8]) {
        if part.len() > JOINED_BYTES - self.used {
            self.flush();
            if part.len() > JOINED_BYTES {
                return (self.feed)(part);
            }
        }
        self.bytes[self.used..self.used + part.len()].copy_from_slice(part);
        self.used += part.len();
    }

    #[inline]
    fn flush(&mut self) {
        if self.used > 0 {
            (self.feed)(&self.bytes[..self.used]);
            self.used = 0;
        }
    }
}

#[inline(never)]
fn write(slots: &[Slot], filling: &Filling<'_>, body: &[u8], feed: impl FnMut(&[u8])) {
    let mut joined = Joined { bytes: [0; JOINED_BYTES], used: 0, feed };
    let url = |part: fn(&PublicUrl) -> &str| filling.url.map_or(&[][..], |url| part(url).as_bytes());
    for slot in slots {
        match slot {
            Slot::Timestamp => joined.push(filling.timestamp),
            Slot::Text(text) => joined.push(text),
            Slot::Body => joined.push(body),
            // Checked before: it is there, once.
            Slot::Header(names, _) => {
                joined.push(names.find(filling.head.headers).ok().flatten().unwrap_or_default());
            }
            Slot::Method => joined.push(filling.head.method.as_str().as_bytes()),
            Slot::Url => joined.push(url(|url| &url.text)),
            Slot::UrlWithoutQuery => joined.push(url(|url| &url.text[..url.query])),
            Slot::UrlPath => joined.push(url(|url| &url.text[url.path..])),
            Slot::BodyDigest(encoding) => joined.push(encoding.encode(&Sha256::digest(body)).as_bytes()),
        }
    }
    joined.flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn template(parts: impl IntoIterator<Item = Part>) -> Template {
        Template::resolve(parts.into_iter().collect()).unwrap()
    }

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    /// The bytes as a verification feeds them, and as an identity does.
    fn filled(template: &Template, headers: &HeaderMap, url: Option<&PublicUrl>, body: &str) -> String {
        let head = Head { method: &Method::POST, uri: &Uri::from_static("/inside"), headers };
        let filling = Filling { head, timestamp: b"17", url };
        let (mut streamed, mut whole) = (Vec::new(), Vec::new());
        template.before_body(&filling, |bytes| streamed.extend_from_slice(bytes));
        if template.streams() {
            streamed.extend_from_slice(body.as_bytes());
        }
        template.after_body(&filling, body.as_bytes(), |bytes| streamed.extend_from_slice(bytes));
        template.whole(&filling, body.as_bytes(), |bytes| whole.extend_from_slice(bytes));
        assert_eq!(streamed, whole);
        String::from_utf8(whole).unwrap()
    }

    #[test]
    fn parts_are_fed_in_order() {
        let template = template([
            Part::header(["svix-id", "webhook-id"]),
            Part::literal("."),
            Part::Timestamp,
            Part::literal("|"),
            Part::Body,
            Part::literal("|"),
            Part::Method,
            Part::Timestamp,
        ]);
        let id = headers(&[("webhook-id", " msg_1 ")]);
        assert_eq!(filled(&template, &id, None, "body"), "msg_1.17|body|POST17");
        assert_eq!(template.describe(), "{svix-id}.{timestamp}|{body}|{method}{timestamp}");
        assert!(template.streams() && template.covers_body() && template.signs_timestamp());
    }

    #[test]
    fn parts_of_every_length_are_joined() {
        for length in [0, 1, 47, 48, 49, 95, 96, 97, 200] {
            let part = || Part::literal("x".repeat(length));
            let template =
                template([part(), Part::literal("|"), part(), Part::Body, part(), Part::literal("!")]);
            let x = "x".repeat(length);
            assert_eq!(
                filled(&template, &HeaderMap::new(), None, "body"),
                format!("{x}|{x}body{x}!"),
                "{length}"
            );
        }
    }

    #[test]
    fn a_digest_waits_for_the_body() {
        let parts = |encoding| template([Part::Method, Part::literal(" "), Part::BodyDigest(encoding)]);
        // By `openssl dgst -sha256`.
        assert_eq!(
            filled(&parts(Encoding::Hex), &HeaderMap::new(), None, "body"),
            "POST 230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5"
        );
        assert!(!parts(Encoding::Hex).streams() && parts(Encoding::Hex).covers_body());
        let both = template([Part::BodyDigest(Encoding::Base64), Part::literal(":"), Part::Body]);
        assert!(!both.streams());
        assert_eq!(
            filled(&both, &HeaderMap::new(), None, "body"),
            "Iw2DWNyOiJC0xY3utikS7i8gNXrpKlzIYbmOaP4xrLU=:body"
        );
    }

    #[test]
    fn the_url_is_the_one_on_record() {
        let parts = template([
            Part::Url,
            Part::literal(" "),
            Part::UrlWithoutQuery,
            Part::literal(" "),
            Part::UrlPath,
            Part::literal(" "),
            Part::Body,
        ]);
        assert!(parts.signs_url() && !template([Part::Body]).signs_url());
        for (url, expected) in [
            ("https://a.test/x/y?b=1", "https://a.test/x/y?b=1 https://a.test/x/y /x/y?b=1 "),
            ("https://a.test", "https://a.test https://a.test  "),
            ("http://a.test:8080/", "http://a.test:8080/ http://a.test:8080/ / "),
            ("https://a.test?q=/", "https://a.test?q=/ https://a.test ?q=/ "),
        ] {
            let url = PublicUrl::new(url).unwrap();
            assert_eq!(filled(&parts, &HeaderMap::new(), Some(&url), ""), expected);
        }
        for url in ["", "/x", "a.test", "ftp://a.test/", "https://", "https://a.test/#x", "https://a b/"] {
            assert_eq!(PublicUrl::new(url), Err(ConfigError::InvalidUrl { url: url.to_owned() }));
        }
    }

    #[test]
    fn signed_headers_are_there_once_and_unambiguous() {
        let template = template([
            Part::header(["svix-id", "webhook-id"]),
            Part::literal(".."),
            Part::Timestamp,
            Part::Body,
        ]);
        let check = |lines| template.check_headers(&headers(lines));
        assert_eq!(check(&[("webhook-id", "a.b")]), Ok(()));
        assert_eq!(
            check(&[("svix-id", "a"), ("webhook-id", "a..b")]),
            Ok(()),
            "the first that is there counts"
        );
        assert_eq!(check(&[]), Err(RejectionReason::MissingHeader));
        assert_eq!(check(&[("webhook-id", "a"), ("webhook-id", "a")]), Err(RejectionReason::DuplicateHeader));
        assert_eq!(check(&[("webhook-id", "a..b")]), Err(RejectionReason::MalformedHeader));
        assert_eq!(check(&[("webhook-id", "a.")]), Err(RejectionReason::MalformedHeader), "`a.` and `..`");
        assert_eq!(check(&[("webhook-id", ".a")]), Ok(()));
        assert_eq!(check(&[("webhook-id", "")]), Err(RejectionReason::MalformedHeader));
        assert_eq!(check(&[("webhook-id", " ")]), Err(RejectionReason::MalformedHeader));
        let long = HeaderMap::from_iter([(
            HeaderName::from_static("webhook-id"),
            "a".repeat(MAX_HEADER_BYTES + 1).parse().unwrap(),
        )]);
        assert_eq!(template.check_headers(&long), Err(RejectionReason::MalformedHeader));
    }

    #[test]
    fn what_cannot_be_verified_is_a_problem() {
        assert_eq!(template([]).problem(true), Some("nothing is signed"));
        assert_eq!(template([Part::Timestamp]).problem(false), Some("the body is not signed"));
        assert_eq!(template([Part::Timestamp]).problem(true), None);
        assert_eq!(
            template([Part::Body, Part::Body]).problem(false),
            Some("the body is signed more than once")
        );
        assert_eq!(template([Part::BodyDigest(Encoding::Hex)]).problem(false), None);
        assert!(template([Part::Body]).problem(true).is_some());
        let header = || Part::header("x-id");
        for parts in [
            vec![header(), Part::Body],
            vec![Part::Body, header()],
            vec![header(), header(), Part::literal("."), Part::Body],
            vec![header(), Part::literal(""), Part::Body],
        ] {
            assert_eq!(
                template(parts).problem(false),
                Some("a signed header stands beside the body or another header, with nothing between them")
            );
        }
        assert_eq!(template([header(), Part::Timestamp, Part::Body]).problem(false), None);
        let names = HeaderNames::from("a b").resolve();
        assert_eq!(names.unwrap_err(), ConfigError::InvalidHeaderName { name: "a b".to_owned() });
        assert!(HeaderNames::from([]).resolve().is_err());
    }
}
