//! What is echoed, and how.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response};

use super::Reply;

/// The longest challenge that is documented anywhere has some sixty characters.
const MAX_BYTES: usize = 1024;

/// Whether a text may be echoed: nothing that a terminal, a log or a browser would take for more than text.
pub(super) fn is_plain(text: &str) -> bool {
    (1..=MAX_BYTES).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

/// The text, and nothing that it could be taken for.
pub(super) fn as_text(text: &str) -> Reply {
    let mut reply = Response::new(Bytes::copy_from_slice(text.as_bytes()));
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Box::new(reply)
}

/// A JSON value.
pub(super) fn as_json(value: &serde_json::Value) -> Reply {
    let mut reply = Response::new(value.to_string().into());
    reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Box::new(reply)
}

/// 200, and no more.
pub(super) fn empty() -> Reply {
    Box::new(Response::new(Bytes::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_is_short_and_printable() {
        for text in ["a", " ", "~", "<script>alert(1)</script>", &"a".repeat(1024)] {
            assert!(is_plain(text), "{text}");
        }
        for text in ["", "a\0", "a\n", "\u{7f}", "é", "\u{fffd}", &"a".repeat(1025)] {
            assert!(!is_plain(text), "{text:?}");
        }
    }

    #[test]
    fn text_is_said_to_be_text() {
        let reply = as_text("<b>");
        assert_eq!(reply.body(), "<b>");
        assert_eq!(reply.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
        assert_eq!(reply.headers()[X_CONTENT_TYPE_OPTIONS], "nosniff");
    }
}
