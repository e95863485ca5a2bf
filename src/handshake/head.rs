//! Handshakes that are answered from the head of a request. Nothing of it is signed.

use std::borrow::Cow;

use http::header::ALLOW;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

use super::Reply;
use super::challenge::{as_text, empty, is_plain};
use super::checks::Checks;
use crate::error::RejectionReason;

const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

type Answered = Result<Reply, RejectionReason>;

/// A description that has been checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum AtHead {
    EchoQuery {
        parameter: String,
    },
    HubVerifyToken,
    HubTopics,
    Origins {
        /// Every origin, where there is no list.
        origins: Option<Vec<HeaderValue>>,
        rate: HeaderValue,
    },
    Head,
}

impl AtHead {
    pub(super) fn method(&self) -> Method {
        match self {
            Self::EchoQuery { .. } | Self::HubVerifyToken | Self::HubTopics => Method::GET,
            Self::Origins { .. } => Method::OPTIONS,
            Self::Head => Method::HEAD,
        }
    }

    /// `None` where the request is not this handshake's.
    pub(super) fn answer(
        &self,
        checks: &Checks,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Option<Answered> {
        if *method != self.method() {
            return None;
        }
        let query = Query(uri.query().unwrap_or_default());
        match self {
            Self::EchoQuery { parameter } => Some(query.present(parameter)?.echoed()),
            Self::HubVerifyToken => {
                let mode = query.present("hub.mode")?;
                Some(mode.value().and_then(|mode| verify_token(checks, &query, &mode)))
            }
            Self::HubTopics => {
                let mode = query.present("hub.mode")?;
                Some(mode.value().and_then(|mode| topic(checks, &query, &mode)))
            }
            Self::Origins { origins, rate } => {
                let mut lines = headers.get_all(REQUEST_ORIGIN).iter();
                let origin = lines.next()?;
                if lines.next().is_some() {
                    return Some(Err(RejectionReason::HandshakeMalformed));
                }
                Some(allow(origins.as_deref(), rate, origin))
            }
            Self::Head => Some(Ok(empty())),
        }
    }
}

/// The token comes first: strangers are echoed nothing.
fn verify_token(checks: &Checks, query: &Query<'_>, mode: &str) -> Answered {
    let token = query.find("hub.verify_token").value()?;
    let challenge = query.find("hub.challenge");
    if !checks.is_token(&token) || mode != "subscribe" {
        return Err(RejectionReason::HandshakeRefused);
    }
    challenge.echoed()
}

fn topic(checks: &Checks, query: &Query<'_>, mode: &str) -> Answered {
    let topic = query.find("hub.topic").value()?;
    let (wanted, left) = (checks.wants(&topic), checks.leaves(&topic));
    match mode {
        "subscribe" if wanted => query.find("hub.challenge").echoed(),
        "unsubscribe" if left => query.find("hub.challenge").echoed(),
        "denied" if wanted || left => Ok(empty()),
        "subscribe" | "unsubscribe" | "denied" => Err(RejectionReason::UnknownTopic),
        _ => Err(RejectionReason::HandshakeMalformed),
    }
}

/// Says what was configured, never what was sent.
fn allow(origins: Option<&[HeaderValue]>, rate: &HeaderValue, origin: &HeaderValue) -> Answered {
    let same = |allowed: &&HeaderValue| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
    let allowed = match origins {
        None => HeaderValue::from_static("*"),
        Some(origins) => origins.iter().find(same).cloned().ok_or(RejectionReason::HandshakeRefused)?,
    };
    let mut reply = empty();
    let headers = reply.headers_mut();
    headers.insert(ALLOWED_ORIGIN, allowed);
    headers.insert(ALLOWED_RATE, rate.clone());
    headers.insert(ALLOW, HeaderValue::from_static("POST"));
    Ok(reply)
}

/// The part of a URI after the question mark.
struct Query<'q>(&'q str);

/// What a query says of one parameter.
enum Parameter<'q> {
    Absent,
    Once(Cow<'q, str>),
    /// Two readers could disagree about which one counts.
    Twice,
}

impl<'q> Query<'q> {
    fn find(&self, name: &str) -> Parameter<'q> {
        let mut values = form_urlencoded::parse(self.0.as_bytes()).filter(|(found, _)| found == name);
        match (values.next(), values.next()) {
            (None, _) => Parameter::Absent,
            (Some((_, value)), None) => Parameter::Once(value),
            (Some(_), Some(_)) => Parameter::Twice,
        }
    }

    fn present(&self, name: &str) -> Option<Parameter<'q>> {
        Some(self.find(name)).filter(|parameter| !matches!(parameter, Parameter::Absent))
    }
}

impl<'q> Parameter<'q> {
    /// Its value, empty where it is absent.
    fn value(self) -> Result<Cow<'q, str>, RejectionReason> {
        match self {
            Self::Absent => Ok(Cow::Borrowed("")),
            Self::Once(value) => Ok(value),
            Self::Twice => Err(RejectionReason::HandshakeMalformed),
        }
    }

    fn echoed(self) -> Answered {
        let value = self.value()?;
        if is_plain(&value) { Ok(as_text(&value)) } else { Err(RejectionReason::HandshakeMalformed) }
    }
}
