//! What the documentation of the platforms leaves open: [`DiddoSettings`], [`CasPaySettings`], [`ListOrder`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use super::log::Record;
use crate::clock::{Clock, SystemClock, unix_seconds};
use crate::envelope::Envelope;
use crate::error::ConfigError;
use crate::provider::{Provider, casapay, caspay, diddo};
use crate::signature::{Authenticator, Secret, SignatureScheme};
use crate::testing::verifying_secret;

/// The key of CasaPay's test mode that a simulator accepts unless it is given others. It is public.
pub const CASAPAY_TEST_KEY: &str = "sk_test_public_key_of_the_simulator";
/// The key of CasaPay's live mode that a simulator accepts unless it is given others. It is public.
pub const CASAPAY_LIVE_KEY: &str = "sk_live_public_key_of_the_simulator";
/// The header in which Diddo's API key is expected unless [`DiddoSettings::with_auth`] says otherwise. It is invented.
pub const DIDDO_AUTH_HEADER: &str = "x-invented-diddo-key";
/// The API key of Diddo that a simulator accepts unless it is given another. It is public.
pub const DIDDO_KEY: &str = "diddo_public_key_of_the_simulator";
/// The header in which CasPay's API key is expected unless [`CasPaySettings::with_auth`] says otherwise. It is invented.
pub const CASPAY_AUTH_HEADER: &str = "x-invented-caspay-key";
/// The API key of CasPay that a simulator accepts unless it is given another. It is public.
pub const CASPAY_KEY: &str = "caspay_public_key_of_the_simulator";
/// Where CasPay's endpoints are created unless [`CasPaySettings::with_path`] says otherwise. It is invented.
pub const CASPAY_CREATE_PATH: &str = "/invented/webhooks";

/// In which order CasaPay lists; the documentation does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListOrder {
    /// What was created last comes first: the default, as elsewhere.
    #[default]
    NewestFirst,
    /// What was created first comes first.
    OldestFirst,
}

/// When Diddo answers 409 to a create or an update; the documentation knows the status, not the rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conflicts {
    /// Never: the default, since a rotation needs two endpoints with one URL and the same events.
    #[default]
    Never,
    /// Where another endpoint has the same URL and the same events, in whatever order.
    SameUrlAndEvents,
    /// Where another endpoint has the same URL.
    SameUrl,
}

type Compose = dyn Fn(&str, &str, u64, &Value) -> Value + Send + Sync;

/// What Diddo's documentation leaves open. **Every default here is invented**, and named so where it has a name:
/// whoever knows better says so.
///
/// ```
/// use tower_webhook::testing::simulator::{Conflicts, DiddoSettings};
///
/// let settings = DiddoSettings::new()
///     .with_auth("authorization", "Bearer a-key-of-diddo")
///     .with_filters("is_active", "event_type")
///     .with_conflicts(Conflicts::SameUrlAndEvents);
/// assert!(!format!("{settings:?}").contains("a-key-of-diddo"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct DiddoSettings {
    auth: (String, String),
    pub(super) active_filter: String,
    pub(super) event_filter: String,
    pub(super) secret_field: String,
    pub(super) list_field: Option<String>,
    pub(super) conflicts: Conflicts,
    provider: Option<Provider>,
    compose: Arc<Compose>,
}

impl Default for DiddoSettings {
    fn default() -> Self {
        Self::new()
    }
}

impl DiddoSettings {
    /// The invented defaults: the key [`DIDDO_KEY`] in the header [`DIDDO_AUTH_HEADER`], the filters `active` and
    /// `event`, the secret in `secret`, lists in `data`, no conflicts, [`provider`](Self::provider) as the signature, and
    /// events `{"id", "type", "created", "data"}`.
    pub fn new() -> Self {
        Self {
            auth: (DIDDO_AUTH_HEADER.to_owned(), DIDDO_KEY.to_owned()),
            active_filter: "active".to_owned(),
            event_filter: "event".to_owned(),
            secret_field: "secret".to_owned(),
            list_field: Some("data".to_owned()),
            conflicts: Conflicts::Never,
            provider: None,
            compose: Arc::new(
                |id, event_type, created, data| json!({"id": id, "type": event_type, "created": created, "data": data}),
            ),
        }
    }

    /// The invented signature: lower-case hex of HMAC-SHA256 over the body, in `x-invented-diddo-signature`. Events have
    /// their id at `/id`, their type at `/type` and their payload at `/data`.
    ///
    /// # Errors
    ///
    /// None in practice; the scheme is checked like any other.
    pub fn provider() -> Result<Provider, ConfigError> {
        diddo::provider(
            SignatureScheme::hmac_sha256("x-invented-diddo-signature"),
            Envelope::json("/id").with_event_type("/type").with_payload("/data"),
        )
    }

    /// The header in which the API key is expected, and its whole value.
    pub fn with_auth(mut self, header: impl Into<String>, value: impl Into<String>) -> Self {
        self.auth = (header.into(), value.into());
        self
    }

    /// The names of the parameters by which lists are filtered: by the active status (`true` or `false`), and by event
    /// type.
    pub fn with_filters(mut self, active: impl Into<String>, event: impl Into<String>) -> Self {
        self.active_filter = active.into();
        self.event_filter = event.into();
        self
    }

    /// The member of the answer to a create that holds the secret.
    pub fn with_secret_field(mut self, name: impl Into<String>) -> Self {
        self.secret_field = name.into();
        self
    }

    /// The member of the answer to a list that holds the endpoints; `None` where the answer is the array itself.
    pub fn with_list_field(mut self, name: Option<&str>) -> Self {
        self.list_field = name.map(str::to_owned);
        self
    }

    /// When 409 is answered.
    pub fn with_conflicts(mut self, conflicts: Conflicts) -> Self {
        self.conflicts = conflicts;
        self
    }

    /// How events are signed: the very provider that the receiver is given.
    pub fn with_provider(mut self, provider: Provider) -> Self {
        self.provider = Some(provider);
        self
    }

    /// How an event's body is made of its id, type, time in Unix seconds and payload. It is asked anew for every attempt,
    /// and may ask the simulator in turn. An event for which it panics is given up.
    pub fn with_body(
        mut self,
        compose: impl Fn(&str, &str, u64, &Value) -> Value + Send + Sync + 'static,
    ) -> Self {
        self.compose = Arc::new(compose);
        self
    }

    pub(super) fn compose(&self, id: &str, event_type: &str, created: u64, payload: &Value) -> Value {
        (self.compose)(id, event_type, created, payload)
    }
}

impl fmt::Debug for DiddoSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiddoSettings").field("conflicts", &self.conflicts).finish_non_exhaustive()
    }
}

/// What CasPay's documentation leaves open. **Every default here is invented.**
///
/// ```
/// use tower_webhook::testing::simulator::CasPaySettings;
///
/// let settings = CasPaySettings::new().with_path("/v1/hooks").with_auth("authorization", "Bearer a-key-of-caspay");
/// assert!(!format!("{settings:?}").contains("a-key-of-caspay"));
/// ```
#[derive(Clone)]
#[must_use]
pub struct CasPaySettings {
    auth: (String, String),
    pub(super) path: String,
}

impl Default for CasPaySettings {
    fn default() -> Self {
        Self::new()
    }
}

impl CasPaySettings {
    /// The invented defaults: the key [`CASPAY_KEY`] in the header [`CASPAY_AUTH_HEADER`], and endpoints created at
    /// [`CASPAY_CREATE_PATH`].
    pub fn new() -> Self {
        let auth = (CASPAY_AUTH_HEADER.to_owned(), CASPAY_KEY.to_owned());
        Self { auth, path: CASPAY_CREATE_PATH.to_owned() }
    }

    /// The header in which the API key is expected, and its whole value.
    pub fn with_auth(mut self, header: impl Into<String>, value: impl Into<String>) -> Self {
        self.auth = (header.into(), value.into());
        self
    }

    /// The path, below `/caspay`, to which endpoints are posted.
    pub fn with_path(mut self, path: impl Into<String>) -> Self {
        self.path = path.into();
        self
    }
}

impl fmt::Debug for CasPaySettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CasPaySettings").field("path", &self.path).finish_non_exhaustive()
    }
}

pub(super) type Observer = dyn Fn(Record<'_>) + Send + Sync;

/// A header that must be there, with a value that must be this.
pub(super) struct Auth {
    name: HeaderName,
    value: HeaderValue,
}

impl Auth {
    fn new((name, value): &(String, String)) -> io::Result<Self> {
        let name =
            HeaderName::try_from(name).map_err(|_| invalid("the name of an API key's header is none"))?;
        let value =
            HeaderValue::try_from(value).map_err(|_| invalid("an API key cannot stand in a header"))?;
        Ok(Self { name, value })
    }

    pub(super) fn allows(&self, headers: &http::HeaderMap) -> bool {
        let mut given = headers.get_all(&self.name).iter();
        given.next() == Some(&self.value) && given.next().is_none()
    }
}

/// Everything that does not change while a simulator runs.
pub(super) struct Settings {
    pub(super) speed: u32,
    pub(super) require_https: bool,
    pub(super) casapay_keys: Vec<String>,
    pub(super) casapay_order: ListOrder,
    pub(super) diddo: DiddoSettings,
    pub(super) diddo_auth: Auth,
    pub(super) diddo_secret_prefix: &'static str,
    pub(super) caspay: CasPaySettings,
    pub(super) caspay_auth: Auth,
    pub(super) providers: [Provider; 3],
    pub(super) deliver_to: Option<SocketAddr>,
    pub(super) remote_deliveries: bool,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) observer: Option<Arc<Observer>>,
}

impl Settings {
    /// The time in Unix seconds.
    pub(super) fn now(&self) -> u64 {
        unix_seconds(self.clock.now())
    }

    /// The parts that can be wrong.
    pub(super) fn checked(
        diddo: DiddoSettings,
        caspay: CasPaySettings,
        casapay_keys: Vec<String>,
    ) -> io::Result<Self> {
        if casapay_keys.iter().any(|key| !key.starts_with("sk_test_") && !key.starts_with("sk_live_")) {
            return Err(invalid("a key of CasaPay begins with sk_test_ or sk_live_"));
        }
        if !caspay.path.starts_with('/') {
            return Err(invalid("the path at CasPay begins with a slash"));
        }
        let provider = match &diddo.provider {
            Some(provider) => provider.clone(),
            None => DiddoSettings::provider().map_err(invalid)?,
        };
        let diddo_secret_prefix = secret_prefix(&provider)?;
        Ok(Self {
            speed: 1,
            require_https: false,
            casapay_keys,
            casapay_order: ListOrder::default(),
            diddo_auth: Auth::new(&diddo.auth)?,
            diddo,
            diddo_secret_prefix,
            caspay_auth: Auth::new(&caspay.auth)?,
            caspay,
            providers: [casapay::provider(), caspay::provider(), provider],
            deliver_to: None,
            remote_deliveries: false,
            clock: Arc::new(SystemClock),
            observer: None,
        })
    }
}

/// What stands before 64 hexadecimal digits to make them a secret of the provider: they are text, hexadecimal and
/// base64 at once.
fn secret_prefix(provider: &Provider) -> io::Result<&'static str> {
    if !matches!(provider.authenticator(), Authenticator::Data(_)) {
        return Err(invalid("the simulator cannot sign for a provider that is verified by code"));
    }
    let fits = |prefix: &&str| {
        let secret = Secret::new(format!("{prefix}{}", "0".repeat(64)));
        secret.is_ok_and(|secret| verifying_secret(provider, &secret).is_ok())
    };
    ["", "whsec_"]
        .into_iter()
        .find(fits)
        .ok_or_else(|| invalid("the simulator knows no secrets for the provider of Diddo"))
}

pub(super) fn invalid(problem: impl Into<crate::error::BoxError>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem)
}
