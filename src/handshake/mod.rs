//! What some providers ask for before they deliver anything: data in, an answer out.
//!
//! A [`Handshake`] describes one, [`Handshakes`] answers those of a provider. Those that come as GET, HEAD or OPTIONS
//! are answered from the head of the request ([`head`]), those that come as a signed POST once the signature holds
//! ([`signed`]). None is stored, claimed or handled.

mod challenge;
mod checks;
mod head;
mod resolved;
mod signed;

use std::num::NonZeroU32;

use serde_json::Value;

pub(crate) use self::resolved::Handshakes;
pub(crate) use self::signed::HandshakeError;

/// What is answered: it is small enough to be made at once.
pub(crate) type Reply = Box<http::Response<bytes::Bytes>>;

/// A request by which a provider finds out, before it delivers events or from time to time, whether the endpoint is
/// the right one. Given to [`ProviderBuilder::handshake`](crate::ProviderBuilder::handshake), as often as there are
/// handshakes.
///
/// | the provider sends | it wants | constructor | such as |
/// |---|---|---|---|
/// | a signed POST with a challenge | the challenge | [`challenge`](Self::challenge), [`challenge_by_header`](Self::challenge_by_header) | Slack, Twitch |
/// | a signed POST with a token | the token's signature | [`sign_token`](Self::sign_token) | Zoom |
/// | a signed POST without events | 200 | [`empty_list`](Self::empty_list) | Xero, LINE |
/// | a signed POST of some kind | a fixed answer | [`constant`](Self::constant), [`no_content`](Self::no_content) | Discord |
/// | GET with a challenge | the challenge | [`echo_query`](Self::echo_query) | Dropbox |
/// | GET with a challenge and a token of yours | the challenge | [`hub_verify_token`](Self::hub_verify_token) | Meta |
/// | GET with a challenge and a topic | the challenge | [`hub_topics`](Self::hub_topics) | WebSub |
/// | OPTIONS with its origin | leave to deliver | [`origins`](Self::origins), [`any_origin`](Self::any_origin) | CloudEvents |
/// | HEAD | 200 | [`head`](Self::head) | Trello, Mandrill |
///
/// A handshake is answered before its request is taken for an event: nothing is claimed, stored, or handed to a
/// handler or an inner service, and it counts as [`Accepted::Handshake`](crate::Accepted::Handshake). Its status is the
/// provider's protocol, which [`Answers`](crate::Answers) cannot change. What is signed, is verified first, and what
/// is not authentic is the ordinary 401; what is not signed tells a stranger nothing but that the endpoint exists.
///
/// A challenge that is echoed has 1 to 1,024 printable ASCII characters: more than any provider sends, and nothing that
/// could be taken for something else than text. It goes out as `text/plain` with `X-Content-Type-Options: nosniff`, or
/// as a JSON string.
///
/// ```
/// use tower::ServiceExt as _;
/// use tower_webhook::{EventRouter, Handshake, Provider, Secret, SignatureScheme, WebhookLayer, testing};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_webhook::BoxError> {
/// let acme = Provider::builder("acme")
///     .signature(SignatureScheme::hmac_sha256("x-acme-signature"))
///     .handshake(Handshake::challenge("/type", "url_verification", "/challenge").in_member("challenge"))
///     .build()?;
/// let secret = || Secret::new("a-signing-secret");
/// let receiver = WebhookLayer::new(acme.clone(), secret()?)?.with_dispatch(EventRouter::new()).into_service();
///
/// let asked = testing::sign(&acme, &secret()?, r#"{"type":"url_verification","challenge":"3eZbrw1aB"}"#);
/// let answer = receiver.oneshot(asked).await?;
/// assert_eq!(answer.status(), 200);
/// assert_eq!(answer.headers()["content-type"], "application/json");
/// let body = http_body_util::BodyExt::collect(answer.into_body()).await?.to_bytes();
/// assert_eq!(body, r#"{"challenge":"3eZbrw1aB"}"#);
/// # Ok(())
/// # }
/// ```
///
/// # What is not offered
///
/// X (Twitter) sends `GET ?crc_token=<text>`, which anybody can, and wants the text's HMAC under the secret that signs
/// its events. Answering would sign whatever a stranger asks for: `crc_token` can be the body of an event, and the
/// answer is the signature that makes it authentic. No check on the text helps, since X does not say what its tokens
/// look like. Braintree's `bt_challenge` uses the key of its events in the same way. Answer such a request on a
/// route of its own, behind something that lets only the provider through, or do without.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Handshake {
    kind: Kind,
    /// A setting that does not belong to this kind.
    problem: Option<&'static str>,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Signed { trigger: Trigger, answer: Answer },
    EchoQuery { parameter: String },
    HubVerifyToken,
    HubTopics,
    Origins { origins: Option<Vec<String>>, rate: Option<NonZeroU32> },
    Head,
}

/// What tells a signed handshake from an event.
#[derive(Clone, Debug, PartialEq)]
enum Trigger {
    Member { path: String, value: Value },
    EmptyList { path: String },
    Header { name: String, value: String },
}

/// What a signed handshake is answered with.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Challenge { path: String, member: Option<String> },
    Token { path: String },
    Constant(Value),
    NoContent,
    Empty,
}

impl Kind {
    /// What is asked, and by what.
    fn in_words(&self) -> &'static str {
        match self {
            Self::Signed { answer: Answer::Challenge { .. }, .. } => "signed challenge",
            Self::Signed { answer: Answer::Token { .. }, .. } => "token to sign",
            Self::Signed { trigger: Trigger::EmptyList { .. }, .. } => "signed empty list",
            Self::Signed { .. } => "signed ping",
            Self::EchoQuery { .. } => "GET with a challenge",
            Self::HubVerifyToken => "GET with your token",
            Self::HubTopics => "GET with your topic",
            Self::Origins { .. } => "OPTIONS with its origin",
            Self::Head => "HEAD",
        }
    }
}

impl Handshake {
    fn new(kind: Kind) -> Self {
        Self { kind, problem: None }
    }

    fn signed(path: impl Into<String>, value: impl Into<Value>, answer: Answer) -> Self {
        Self::new(Kind::Signed {
            trigger: Trigger::Member { path: path.into(), value: value.into() },
            answer,
        })
    }

    /// A signed POST whose JSON body has `value`, a string, a number or a boolean, at the pointer `path`, and a
    /// challenge at the pointer `challenge`: 200 with the challenge, as text unless it goes [into a
    /// member](Self::in_member). Slack: `/type`, `url_verification`, `/challenge`.
    ///
    /// A body without a challenge that can be echoed is answered like any other that is
    /// [unreadable](crate::RejectionReason::Unreadable).
    pub fn challenge(path: impl Into<String>, value: impl Into<Value>, challenge: impl Into<String>) -> Self {
        Self::signed(path, value, Answer::Challenge { path: challenge.into(), member: None })
    }

    /// As [`challenge`](Self::challenge), told from events by a header. Twitch: `Twitch-Eventsub-Message-Type`,
    /// `webhook_callback_verification`, `/challenge`.
    ///
    /// The header need not be signed. Whoever captured a request could add it, and would be told a string that stands in
    /// the body which they have; without one, the answer is that of an unreadable body. In neither case is anything
    /// claimed, so that the event itself still runs when the provider delivers it.
    pub fn challenge_by_header(
        name: impl Into<String>,
        value: impl Into<String>,
        challenge: impl Into<String>,
    ) -> Self {
        let trigger = Trigger::Header { name: name.into(), value: value.into() };
        let answer = Answer::Challenge { path: challenge.into(), member: None };
        Self::new(Kind::Signed { trigger, answer })
    }

    /// Answers a [`challenge`](Self::challenge) with a JSON object that has it as its one member, of this name.
    pub fn in_member(mut self, name: impl Into<String>) -> Self {
        match &mut self.kind {
            Kind::Signed { answer: Answer::Challenge { member, .. }, .. } => *member = Some(name.into()),
            _ => self.problem = Some("`in_member` belongs to a challenge in a signed body"),
        }
        self
    }

    /// A signed POST whose JSON body has `value` at the pointer `path`, and a token at the pointer `token`: 200 with
    /// `{"plainToken":<token>,"encryptedToken":<HMAC-SHA256 of the token in lower-case hex>}`, under the secret by which
    /// the request was verified. Zoom: `/event`, `endpoint.url_validation`, `/payload/plainToken`; it asks again every
    /// 72 hours.
    ///
    /// The same secret signs events, so that this signs what it is sent, and could be made to sign an event. Three things
    /// stand against it: the request's own signature holds; a token is 1 to 256 bytes without a colon; and the provider
    /// is one that signs a text with a colon beside the body (Zoom's `v0:<timestamp>:<body>`), which is checked when it
    /// is built, so that no token is what it signs. Anything else is
    /// [unreadable](crate::RejectionReason::Unreadable).
    pub fn sign_token(path: impl Into<String>, value: impl Into<Value>, token: impl Into<String>) -> Self {
        Self::signed(path, value, Answer::Token { path: token.into() })
    }

    /// A signed POST whose JSON body has an empty array, or `null`, at the pointer `path`: 200 with an empty body. Xero
    /// ("intent to receive") and LINE (the test of its console): `/events`. Xero sends some with a wrong signature on
    /// purpose, and wants the 401 that they get.
    pub fn empty_list(path: impl Into<String>) -> Self {
        let trigger = Trigger::EmptyList { path: path.into() };
        Self::new(Kind::Signed { trigger, answer: Answer::Empty })
    }

    /// A signed POST whose JSON body has `value`, a string, a number or a boolean, at the pointer `path`: 200 with
    /// `answer` as JSON. Discord's interactions: `/type`, 1, `{"type":1}`.
    pub fn constant(path: impl Into<String>, value: impl Into<Value>, answer: impl Into<Value>) -> Self {
        Self::signed(path, value, Answer::Constant(answer.into()))
    }

    /// As [`constant`](Self::constant), answered 204 with an empty body and a `Content-Type`, which Discord asks for.
    /// Discord's webhook events: `/type`, 0.
    pub fn no_content(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::signed(path, value, Answer::NoContent)
    }

    /// A GET whose query has this parameter: 200 with its value as text. Dropbox: `challenge`.
    ///
    /// It is not signed: strangers are told what they sent, as text that no browser takes for anything else. A value
    /// that is no [challenge](Self) is answered 400, and so is a parameter that stands there twice. A GET without it is
    /// answered 405.
    pub fn echo_query(parameter: impl Into<String>) -> Self {
        Self::new(Kind::EchoQuery { parameter: parameter.into() })
    }

    /// A GET with `hub.mode=subscribe`, `hub.challenge`, and a `hub.verify_token` equal to the one that
    /// [`Provider::with_verify_token`](crate::Provider::with_verify_token) has: 200 with the challenge as text. Meta.
    ///
    /// Another mode, another token or none is answered 403, and so is everything while no token is configured. A
    /// challenge that cannot be echoed and a parameter that stands there twice are answered 400.
    pub fn hub_verify_token() -> Self {
        Self::new(Kind::HubVerifyToken)
    }

    /// A GET with `hub.mode`, `hub.topic` and `hub.challenge`, as [WebSub](https://www.w3.org/TR/websub/) has it: 200
    /// with the challenge as text where the user asked for that, else 404.
    ///
    /// - `subscribe` is confirmed for the topics in [`Provider::with_hub_topics`](crate::Provider::with_hub_topics),
    /// - `unsubscribe` for those in
    ///   [`Provider::with_hub_topics_to_leave`](crate::Provider::with_hub_topics_to_leave) alone: a hub takes the wish
    ///   from anybody and relies on this answer, which for a topic that is wanted would end its deliveries;
    /// - `denied`, the hub's refusal, has no challenge, and is acknowledged for topics of either list.
    pub fn hub_topics() -> Self {
        Self::new(Kind::HubTopics)
    }

    /// An OPTIONS with `WebHook-Request-Origin`, as the abuse protection of
    /// [CloudEvents](https://github.com/cloudevents/spec/blob/main/cloudevents/http-webhook.md#4-abuse-protection) has
    /// it: 200 with `WebHook-Allowed-Origin`, `WebHook-Allowed-Rate` and `Allow: POST` where the origin is one of these,
    /// else 403. Azure Event Grid: `eventgrid.azure.net`.
    ///
    /// It protects others from being flooded by the provider, and authenticates nobody. `WebHook-Request-Callback` is
    /// not called: it is an address that a stranger chose.
    pub fn origins<O: Into<String>>(origins: impl IntoIterator<Item = O>) -> Self {
        let origins = origins.into_iter().map(Into::into).collect();
        Self::new(Kind::Origins { origins: Some(origins), rate: None })
    }

    /// As [`origins`](Self::origins), for every origin: `WebHook-Allowed-Origin: *`.
    pub fn any_origin() -> Self {
        Self::new(Kind::Origins { origins: None, rate: None })
    }

    /// How many requests a minute an [origin](Self::origins) is told that it may send. Nothing enforces it here. Default:
    /// no limit, `*`.
    pub fn with_rate(mut self, per_minute: NonZeroU32) -> Self {
        match &mut self.kind {
            Kind::Origins { rate, .. } => *rate = Some(per_minute),
            _ => self.problem = Some("`with_rate` belongs to `origins`"),
        }
        self
    }

    /// A HEAD: 200 with an empty body. Trello and Mandrill ask whether the address exists, before there is anything to
    /// sign with.
    pub fn head() -> Self {
        Self::new(Kind::Head)
    }
}
