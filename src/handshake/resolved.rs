//! The handshakes of one provider, checked when it is built.

use std::mem::discriminant;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde_json::Value;

use super::checks::Checks;
use super::head::AtHead;
use super::signed::{self, HandshakeError, Signed};
use super::{Answer, Handshake, Kind, Reply, Trigger};
use crate::error::{ConfigError, RejectionReason};
use crate::pointer;
use crate::signature::{Authenticator, Signer};

/// What a provider asks for before it delivers.
#[derive(Clone, Debug)]
pub(crate) struct Handshakes {
    head: Vec<AtHead>,
    signed: Vec<Signed>,
    allow: &'static str,
    checks: Checks,
    in_words: Vec<&'static str>,
}

impl Handshakes {
    pub(crate) fn resolve(
        handshakes: Vec<Handshake>,
        authenticator: &Authenticator,
    ) -> Result<Self, ConfigError> {
        check_distinct(&handshakes)?;
        let in_words = handshakes.iter().map(|handshake| handshake.kind.in_words()).collect();
        let (mut head, mut signed) = (Vec::new(), Vec::new());
        for handshake in handshakes {
            if let Some(problem) = handshake.problem {
                return Err(ConfigError::InvalidHandshake { problem });
            }
            match resolve(handshake.kind, authenticator)? {
                Resolved::AtHead(handshake) => head.push(handshake),
                Resolved::Signed(handshake) => signed.push(handshake),
            }
        }
        let allow = allow(|method| head.iter().any(|handshake| handshake.method() == method));
        Ok(Self { head, signed, allow, checks: Checks::default(), in_words })
    }

    /// What each of them asks for.
    pub(crate) fn in_words(&self) -> &[&'static str] {
        &self.in_words
    }

    /// The methods that are answered, for the header `Allow`.
    pub(crate) fn allow(&self) -> &'static str {
        self.allow
    }

    /// Answers what is no POST.
    pub(crate) fn at_head(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<Reply, RejectionReason> {
        let answer = |handshake: &AtHead| handshake.answer(&self.checks, method, uri, headers);
        self.head.iter().find_map(answer).unwrap_or(Err(RejectionReason::MethodNotAllowed))
    }

    /// Answers what is authentic; `None` where it is no handshake.
    pub(crate) fn signed(
        &self,
        headers: &HeaderMap,
        body: &[u8],
        signer: impl Fn() -> Option<Signer>,
    ) -> Option<Result<Reply, HandshakeError>> {
        if self.signed.is_empty() {
            return None;
        }
        let body = std::str::from_utf8(body).ok()?;
        self.signed.iter().find_map(|handshake| handshake.answer(headers, body, &signer))
    }

    /// What a hub's request is held against, where the provider is one that such a request comes from.
    pub(crate) fn token_check(&mut self) -> Result<&mut Checks, ConfigError> {
        self.checks(&AtHead::HubVerifyToken, "a verify token needs `Handshake::hub_verify_token`")
    }

    pub(crate) fn topic_check(&mut self) -> Result<&mut Checks, ConfigError> {
        self.checks(&AtHead::HubTopics, "topics need `Handshake::hub_topics`")
    }

    fn checks(&mut self, handshake: &AtHead, problem: &'static str) -> Result<&mut Checks, ConfigError> {
        if self.head.contains(handshake) {
            Ok(&mut self.checks)
        } else {
            Err(ConfigError::InvalidHandshake { problem })
        }
    }

    /// Whether a handshake waits for something that nobody has configured, so that each is refused.
    pub(crate) fn lacks_check(&self) -> bool {
        self.head.iter().any(|handshake| match handshake {
            AtHead::HubVerifyToken => !self.checks.has_token(),
            AtHead::HubTopics => !self.checks.has_topics(),
            _ => false,
        })
    }
}

/// Of two that answer the same request one would never be asked.
fn check_distinct(handshakes: &[Handshake]) -> Result<(), ConfigError> {
    for (index, handshake) in handshakes.iter().enumerate() {
        if handshakes[..index].iter().any(|other| answer_the_same(&other.kind, &handshake.kind)) {
            return Err(ConfigError::InvalidHandshake { problem: "two handshakes answer the same request" });
        }
    }
    Ok(())
}

fn answer_the_same(one: &Kind, other: &Kind) -> bool {
    let is_hub = |kind: &Kind| matches!(kind, Kind::HubVerifyToken | Kind::HubTopics);
    match (one, other) {
        (Kind::Signed { trigger, .. }, Kind::Signed { trigger: other, .. }) => trigger == other,
        (Kind::EchoQuery { parameter }, Kind::EchoQuery { parameter: other }) => parameter == other,
        _ => is_hub(one) && is_hub(other) || discriminant(one) == discriminant(other),
    }
}

/// A header's value that a refusal needs no allocation for.
fn allow(takes: impl Fn(Method) -> bool) -> &'static str {
    match (takes(Method::GET), takes(Method::HEAD), takes(Method::OPTIONS)) {
        (false, false, false) => "POST",
        (true, false, false) => "GET, POST",
        (false, true, false) => "HEAD, POST",
        (false, false, true) => "OPTIONS, POST",
        (true, true, false) => "GET, HEAD, POST",
        (true, false, true) => "GET, OPTIONS, POST",
        (false, true, true) => "HEAD, OPTIONS, POST",
        (true, true, true) => "GET, HEAD, OPTIONS, POST",
    }
}

enum Resolved {
    AtHead(AtHead),
    Signed(Signed),
}

fn resolve(kind: Kind, authenticator: &Authenticator) -> Result<Resolved, ConfigError> {
    let invalid = |problem| ConfigError::InvalidHandshake { problem };
    Ok(match kind {
        Kind::EchoQuery { parameter } if parameter.is_empty() => {
            return Err(invalid("the query parameter has no name"));
        }
        Kind::EchoQuery { parameter } => Resolved::AtHead(AtHead::EchoQuery { parameter }),
        Kind::HubVerifyToken => Resolved::AtHead(AtHead::HubVerifyToken),
        Kind::HubTopics => Resolved::AtHead(AtHead::HubTopics),
        Kind::Head => Resolved::AtHead(AtHead::Head),
        Kind::Origins { origins, rate } => {
            let origin = |origin: String| match HeaderValue::try_from(origin) {
                Ok(value) if !value.is_empty() => Ok(value),
                _ => Err(invalid("an origin is empty, or no value of a header")),
            };
            let origins =
                origins.map(|origins| origins.into_iter().map(origin).collect::<Result<Vec<_>, _>>());
            let origins = origins.transpose()?;
            if origins.as_ref().is_some_and(Vec::is_empty) {
                return Err(invalid("no origin is allowed"));
            }
            let rate = rate.map_or(HeaderValue::from_static("*"), |rate| HeaderValue::from(rate.get()));
            Resolved::AtHead(AtHead::Origins { origins, rate })
        }
        Kind::Signed { trigger, answer } => {
            if !authenticator.covers_body() {
                return Err(invalid("what a handshake answers stands in the body, which is not signed"));
            }
            Resolved::Signed(Signed {
                trigger: resolve_trigger(trigger)?,
                answer: resolve_answer(answer, authenticator)?,
            })
        }
    })
}

fn resolve_trigger(trigger: Trigger) -> Result<signed::Trigger, ConfigError> {
    Ok(match trigger {
        Trigger::Member { value: Value::Null | Value::Array(_) | Value::Object(_), .. } => {
            let problem = "it is told from events by a string, a number or a boolean";
            return Err(ConfigError::InvalidHandshake { problem });
        }
        Trigger::Member { path, value } => signed::Trigger::Member { path: pointer::parse(&path)?, value },
        Trigger::EmptyList { path } => signed::Trigger::EmptyList { path: pointer::parse(&path)? },
        Trigger::Header { name, value } => {
            let Ok(header) = HeaderName::try_from(name.as_str()) else {
                return Err(ConfigError::InvalidHeaderName { name });
            };
            let Ok(value) = HeaderValue::try_from(value) else {
                return Err(ConfigError::InvalidHandshake { problem: "a header cannot have this value" });
            };
            signed::Trigger::Header { name: header, value }
        }
    })
}

fn resolve_answer(answer: Answer, authenticator: &Authenticator) -> Result<signed::Answer, ConfigError> {
    Ok(match answer {
        Answer::Challenge { path, member } => {
            signed::Answer::Challenge { path: pointer::parse(&path)?, member }
        }
        Answer::Token { path } => {
            if !authenticator.signs_apart(b':') {
                let problem = "to sign a token needs HMAC-SHA256 over a text with a colon beside the body: else a token \
                               could be a request";
                return Err(ConfigError::InvalidHandshake { problem });
            }
            signed::Answer::Token { path: pointer::parse(&path)? }
        }
        Answer::Constant(value) => signed::Answer::Constant(value),
        Answer::NoContent => signed::Answer::NoContent,
        Answer::Empty => signed::Answer::Empty,
    })
}
