//! Handshakes that come as a signed POST, answered once the signature holds.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::de::StrRead;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::Reply;
use super::challenge::{as_json, as_text, empty, is_plain};
use crate::member;
use crate::signature::Signer;

/// Zoom's tokens have some twenty characters.
const MAX_TOKEN_BYTES: usize = 256;

/// A handshake that cannot be answered, though it is authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the handshake has no challenge of 1 to 1,024 printable ASCII characters")]
    Challenge,
    #[error("the handshake has no token of 1 to 256 bytes without a colon")]
    Token,
    #[error("the handshake wants a signature, and what verified it cannot sign")]
    NoSigner,
}

/// A description that has been checked.
#[derive(Clone, Debug)]
pub(super) struct Signed {
    pub(super) trigger: Trigger,
    pub(super) answer: Answer,
}

#[derive(Clone, Debug)]
pub(super) enum Trigger {
    Member { path: Vec<String>, value: Value },
    EmptyList { path: Vec<String> },
    Header { name: HeaderName, value: HeaderValue },
}

#[derive(Clone, Debug)]
pub(super) enum Answer {
    Challenge { path: Vec<String>, member: Option<String> },
    Token { path: Vec<String> },
    Constant(Value),
    NoContent,
    Empty,
}

impl Signed {
    /// `None` where this is something else: an event, or what the envelope will refuse.
    pub(super) fn answer(
        &self,
        headers: &HeaderMap,
        body: &str,
        signer: impl FnOnce() -> Option<Signer>,
    ) -> Option<Result<Reply, HandshakeError>> {
        self.trigger.is_met(headers, body).then(|| self.answer.give(body, signer))
    }
}

impl Trigger {
    fn is_met(&self, headers: &HeaderMap, body: &str) -> bool {
        let at = |path: &[String]| member::find(path, StrRead::new(body)).ok().flatten();
        match self {
            Self::Member { path, value } => at(path).is_some_and(|found| is(found, value)),
            Self::EmptyList { path } => at(path).is_some_and(is_nothing),
            Self::Header { name, value } => {
                let mut lines = headers.get_all(name).iter();
                lines.next() == Some(value) && lines.next().is_none()
            }
        }
    }
}

/// Whether a member is this scalar. An object or an array never is, and need not be parsed.
fn is(found: &RawValue, value: &Value) -> bool {
    !found.get().starts_with(['{', '['])
        && serde_json::from_str(found.get()).is_ok_and(|found: Value| found == *value)
}

fn is_nothing(found: &RawValue) -> bool {
    let items = found.get().strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    found.get() == "null" || items.is_some_and(|items| items.trim_ascii().is_empty())
}

/// The string at a path.
fn text(path: &[String], body: &str) -> Option<String> {
    let found = member::find(path, StrRead::new(body)).ok().flatten()?;
    serde_json::from_str(found.get()).ok()
}

impl Answer {
    fn give(&self, body: &str, signer: impl FnOnce() -> Option<Signer>) -> Result<Reply, HandshakeError> {
        match self {
            Self::Challenge { path, member } => {
                let challenge =
                    text(path, body).filter(|text| is_plain(text)).ok_or(HandshakeError::Challenge)?;
                Ok(match member {
                    Some(member) => as_json(&json!({ member: challenge })),
                    None => as_text(&challenge),
                })
            }
            Self::Token { path } => {
                let token =
                    text(path, body).filter(|token| may_be_signed(token)).ok_or(HandshakeError::Token)?;
                let signature = signer().ok_or(HandshakeError::NoSigner)?.sign_hex(token.as_bytes());
                Ok(as_json(&json!({ "plainToken": token, "encryptedToken": signature })))
            }
            Self::Constant(answer) => Ok(as_json(answer)),
            Self::NoContent => {
                let mut reply = empty();
                *reply.status_mut() = StatusCode::NO_CONTENT;
                reply.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                Ok(reply)
            }
            Self::Empty => Ok(empty()),
        }
    }
}

/// Whether a token is nothing that the provider could have signed as a request: those have a colon.
fn may_be_signed(token: &str) -> bool {
    (1..=MAX_TOKEN_BYTES).contains(&token.len()) && !token.contains(':')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(name: &str) -> Vec<String> {
        vec![name.to_owned()]
    }

    fn met(trigger: &Trigger, body: &str) -> bool {
        trigger.is_met(&HeaderMap::new(), body)
    }

    #[test]
    fn a_member_is_met_by_its_value_alone() {
        let text = Trigger::Member { path: path("type"), value: json!("ping") };
        assert!(met(&text, r#"{"x":[1],"type" : "ping"}"#) && met(&text, r#"{"type":"p\u0069ng"}"#));
        for body in [
            r#"{"type":"pong"}"#,
            r#"{"type":["ping"]}"#,
            r#"{"type":{"type":"ping"}}"#,
            r#"{"x":{"type":"ping"}}"#,
            r#"{"type":"ping","type":"ping"}"#,
            r#"{"type":null}"#,
            r#"["type","ping"]"#,
            r#""ping""#,
            "",
        ] {
            assert!(!met(&text, body), "{body}");
        }
        let number = Trigger::Member { path: path("type"), value: json!(1) };
        assert!(met(&number, r#"{"type":1}"#));
        for body in [r#"{"type":"1"}"#, r#"{"type":11}"#, r#"{"type":1.5}"#, r#"{"type":true}"#] {
            assert!(!met(&number, body), "{body}");
        }
    }

    #[test]
    fn a_list_is_met_by_none_and_null() {
        let list = Trigger::EmptyList { path: path("events") };
        for body in [r#"{"events":[]}"#, "{\"events\" : [ \n ] }", r#"{"events":null}"#] {
            assert!(met(&list, body), "{body}");
        }
        for body in [
            r#"{"events":[{}]}"#,
            r#"{"events":[[]]}"#,
            r#"{"events":{}}"#,
            r#"{"events":""}"#,
            r#"{"x":[]}"#,
            "[]",
        ] {
            assert!(!met(&list, body), "{body}");
        }
    }

    #[test]
    fn a_header_is_met_by_one_line() {
        let name = HeaderName::from_static("x-kind");
        let trigger = Trigger::Header { name: name.clone(), value: HeaderValue::from_static("verify") };
        let with = |lines: &[&'static str]| {
            let lines = lines.iter().map(|line| (name.clone(), HeaderValue::from_static(line)));
            trigger.is_met(&lines.collect(), "{}")
        };
        assert!(with(&["verify"]));
        assert!(!with(&[]) && !with(&["verify", "verify"]) && !with(&["notification"]) && !with(&["Verify"]));
    }

    #[test]
    fn a_token_cannot_be_a_request() {
        for token in ["a", "pv-plainToken-abc123", &"a".repeat(256)] {
            assert!(may_be_signed(token), "{token}");
        }
        for token in ["", ":", "v0:1700000000:{}", "abc:", &"a".repeat(257)] {
            assert!(!may_be_signed(token), "{token}");
        }
    }

    #[test]
    fn what_cannot_be_answered_is_said() {
        let nobody = || None;
        let challenge = Answer::Challenge { path: path("challenge"), member: None };
        for body in ["{}", r#"{"challenge":""}"#, r#"{"challenge":7}"#, r#"{"challenge":"a\u0000"}"#] {
            assert_eq!(challenge.give(body, nobody).unwrap_err(), HandshakeError::Challenge, "{body}");
        }
        let token = Answer::Token { path: path("token") };
        assert_eq!(token.give(r#"{"token":"a:b"}"#, nobody).unwrap_err(), HandshakeError::Token);
        assert_eq!(token.give(r#"{"token":"ab"}"#, nobody).unwrap_err(), HandshakeError::NoSigner);
    }
}
