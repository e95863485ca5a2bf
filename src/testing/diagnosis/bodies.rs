//! Bodies as they may have been when they were signed.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

const BOM: &[u8] = b"\xef\xbb\xbf";

/// What a lossy decoder puts in the place of bytes that it does not understand.
const REPLACEMENT: &[u8] = "\u{fffd}".as_bytes();

/// Another body, and what makes the present one out of it.
pub(super) type Other<'a> = (Cow<'static, str>, Cow<'a, [u8]>);

/// What a body may have been before something on its way changed it; each differs from `body`.
pub(super) fn others<'a>(headers: &HeaderMap, body: &'a [u8]) -> Vec<Other<'a>> {
    let mut others: Vec<Other<'a>> = Vec::new();
    let mut add = |what: Cow<'static, str>, other: Cow<'a, [u8]>| {
        if *other != *body && others.iter().all(|(_, known)| *known != other) {
            others.push((what, other));
        }
    };
    let with = |end: &[u8]| Cow::Owned([body, end].concat());
    if let Some(declared) = declared_length(headers).filter(|declared| *declared < body.len()) {
        let what = format!("has {} bytes more than content-length says", body.len() - declared);
        add(what.into(), body[..declared].into());
    }
    add("lost the line end after its last line (LF)".into(), with(b"\n"));
    add("lost the line end after its last line (CRLF)".into(), with(b"\r\n"));
    for end in [&b"\r\n"[..], b"\n"] {
        if let Some(rest) = body.strip_suffix(end) {
            add("was given a line end after its last line".into(), rest.into());
        }
    }
    add("was given white space at an end".into(), body.trim_ascii().into());
    add("has line ends of LF, which were CRLF".into(), crlf(body).into());
    add("has line ends of CRLF, which were LF".into(), lf(body).into());
    match body.strip_prefix(BOM) {
        Some(rest) => add("was given a byte order mark".into(), rest.into()),
        None => add("lost its byte order mark".into(), [BOM, body].concat().into()),
    }
    if let Ok(text) = std::str::from_utf8(body)
        && !text.is_ascii()
    {
        let latin: Option<Vec<u8>> = text.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        if let Some(latin) = latin {
            add("was read as ISO 8859-1 and written as UTF-8".into(), latin.into());
        }
    }
    if !body.is_ascii() {
        let utf8: String = body.iter().map(|byte| char::from(*byte)).collect();
        add("was converted from UTF-8 to ISO 8859-1".into(), utf8.into_bytes().into());
    }
    add("was empty when it was signed".into(), (&[][..]).into());
    others
}

fn lf(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for (index, byte) in body.iter().enumerate() {
        if *byte != b'\r' || body.get(index + 1) != Some(&b'\n') {
            out.push(*byte);
        }
    }
    out
}

fn crlf(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    for byte in lf(body) {
        if byte == b'\n' {
            out.push(b'\r');
        }
        out.push(byte);
    }
    out
}

fn declared_length(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.trim().parse().ok()
}

/// What can be seen without a signature that holds: bytes that are missing, or are not the sender's.
pub(super) fn evidence(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if let Some(declared) = declared_length(headers)
        && declared != body.len()
    {
        return Some(format!("The body has {} bytes, but content-length says {declared}", body.len()));
    }
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|value| value.as_bytes() != b"identity");
    if encoded || body.starts_with(b"\x1f\x8b") {
        return Some("The body is compressed, or was: a signature covers it as it was before".to_owned());
    }
    let lossy = body.windows(REPLACEMENT.len()).any(|window| window == REPLACEMENT);
    lossy.then(|| {
        "The body holds U+FFFD, which stands where bytes were no UTF-8 for whoever decoded it".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn before(declared: Option<usize>, body: &[u8], other: &[u8]) -> Option<String> {
        let mut headers = HeaderMap::new();
        if let Some(declared) = declared {
            headers.insert(CONTENT_LENGTH, declared.into());
        }
        let others = others(&headers, body);
        others.into_iter().find(|(_, bytes)| **bytes == *other).map(|(what, _)| what.into_owned())
    }

    #[test]
    fn changes_are_undone() {
        for (body, signed, what) in [
            (&b"{}"[..], &b"{}\n"[..], "lost the line end after its last line (LF)"),
            (b"{}", b"{}\r\n", "lost the line end after its last line (CRLF)"),
            (b"{}\n", b"{}", "was given a line end after its last line"),
            (b"{}\r\n", b"{}", "was given a line end after its last line"),
            (b" {} ", b"{}", "was given white space at an end"),
            (b"{\n}\n", b"{\r\n}\r\n", "has line ends of LF, which were CRLF"),
            (b"{\r\n}", b"{\n}", "has line ends of CRLF, which were LF"),
            (b"{}", b"\xef\xbb\xbf{}", "lost its byte order mark"),
            (b"\xef\xbb\xbf{}", b"{}", "was given a byte order mark"),
            (
                "\"\u{c3}\u{a9}\"".as_bytes(),
                "\"é\"".as_bytes(),
                "was read as ISO 8859-1 and written as UTF-8",
            ),
            (b"\"\xe9\"", "\"é\"".as_bytes(), "was converted from UTF-8 to ISO 8859-1"),
            (b"{}", b"", "was empty when it was signed"),
        ] {
            assert_eq!(before(None, body, signed).as_deref(), Some(what), "{body:?}");
            assert_eq!(before(None, body, body), None);
        }
        let extra = before(Some(2), b"{}xyz", b"{}");
        assert_eq!(extra.as_deref(), Some("has 3 bytes more than content-length says"));
        assert!(others(&HeaderMap::new(), "é\r\n".as_bytes()).len() <= 10);
    }

    #[test]
    fn evidence_is_what_can_be_seen() {
        let seen = |name: http::HeaderName, value: &'static str, body: &str| {
            let headers = HeaderMap::from_iter([(name, http::HeaderValue::from_static(value))]);
            evidence(&headers, body.as_bytes())
        };
        assert!(seen(CONTENT_LENGTH, "9", "{}").unwrap().contains("content-length says 9"));
        assert!(seen(CONTENT_ENCODING, "gzip", "{}").unwrap().contains("compressed"));
        assert!(seen(CONTENT_LENGTH, "3", "\u{fffd}").unwrap().contains("U+FFFD"));
        assert_eq!(seen(CONTENT_LENGTH, "2", "{}"), None);
        assert_eq!(seen(CONTENT_LENGTH, "two", "{}"), None);
        assert_eq!(seen(CONTENT_ENCODING, "identity", "{}"), None);
    }
}
