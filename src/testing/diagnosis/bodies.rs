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
    if let Ok(text) = serde_json::from_slice::<String>(body) {
        add("was written as a JSON string, with quotes around it".into(), text.into_bytes().into());
    }
    if let Some(text) = sole_field(body) {
        add("was put into the field of a form".into(), text.into());
    }
    if is_document(body) {
        // GitHub's other content type, which a framework has read; the field is called so there.
        let form: String = form_urlencoded::byte_serialize(body).collect();
        add(
            "was taken out of the field `payload` of a form".into(),
            format!("payload={form}").into_bytes().into(),
        );
    }
    add("was empty when it was signed".into(), (&[][..]).into());
    others
}

/// The value of a form that has nothing but one field with a document in it.
fn sole_field(body: &[u8]) -> Option<Vec<u8>> {
    let mut fields = form_urlencoded::parse(body);
    let (_, value) =
        fields.next().filter(|(name, value)| !name.is_empty() && is_document(value.as_bytes()))?;
    fields.next().is_none().then(|| value.into_owned().into_bytes())
}

fn is_document(text: &[u8]) -> bool {
    matches!(text.trim_ascii_start().first(), Some(b'{' | b'['))
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
    if is_encoded(headers) || body.starts_with(b"\x1f\x8b") {
        return Some("The body is compressed, or was: a signature covers it as it was before".to_owned());
    }
    let lossy = body.windows(REPLACEMENT.len()).any(|window| window == REPLACEMENT);
    if lossy {
        return Some(
            "The body holds U+FFFD, which stands where bytes were no UTF-8 for whoever decoded it".to_owned(),
        );
    }
    printed(body).map(|how| format!("The body {how}, not the text that was sent"))
}

/// What programs make of a body that they parsed or decoded, and then write as it prints.
fn printed(body: &[u8]) -> Option<&'static str> {
    let text = body.trim_ascii();
    if text.starts_with(b"[object ") {
        Some("is what JavaScript prints for an object")
    } else if [&b"null"[..], b"undefined", b"None"].contains(&text) {
        Some("is what stands for nothing at all where it should have been parsed")
    } else if text.starts_with(b"b'") || text.starts_with(b"b\"") {
        Some("is what Python prints for bytes")
    } else if text.contains(&0) {
        Some("holds NUL bytes, as UTF-16 does")
    } else if serde_json::from_slice::<String>(text).is_ok_and(|text| is_document(text.as_bytes())) {
        Some("is a JSON string with a document in it")
    } else if sole_field(text).is_some() {
        Some("is a form with a document in its only field")
    } else {
        None
    }
}

/// Whether a receiver takes the body for compressed.
pub(super) fn is_encoded(headers: &HeaderMap) -> bool {
    let is_identity = |value: &[u8]| value.trim_ascii().eq_ignore_ascii_case(b"identity");
    !headers.get_all(CONTENT_ENCODING).iter().all(|value| is_identity(value.as_bytes()))
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
            (
                br#""{\"a\":\"\u00e9\"}""#,
                "{\"a\":\"é\"}".as_bytes(),
                "was written as a JSON string, with quotes around it",
            ),
            (b"payload=%7B%22a%22%3A1%7D", b"{\"a\":1}", "was put into the field of a form"),
            (
                b"{\"a\": \"\xc3\xa9/\"}",
                b"payload=%7B%22a%22%3A+%22%C3%A9%2F%22%7D",
                "was taken out of the field `payload` of a form",
            ),
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
        assert_eq!(seen(CONTENT_ENCODING, "Identity", "{}"), None);
        for (body, what) in [
            ("[object Object]", "JavaScript"),
            ("null", "nothing"),
            ("b'{\"a\":1}'", "Python"),
            ("{\0\"\0", "UTF-16"),
            ("\"{\\\"a\\\":1}\"", "JSON string"),
            ("payload={\"a\":1}", "form"),
        ] {
            assert!(
                evidence(&HeaderMap::new(), body.as_bytes()).is_some_and(|said| said.contains(what)),
                "{body}"
            );
        }
        for body in ["{}", "[]", "\"text\"", "a=b&c=d", "{\"a\":null}", "[1]"] {
            assert_eq!(evidence(&HeaderMap::new(), body.as_bytes()), None, "{body}");
        }
    }
}
