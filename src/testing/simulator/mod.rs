//! CasaPay, CasPay and Diddo on loopback, for tests of the whole conversation: [`Simulator`].
//!
//! Each platform's endpoint API answers as its documentation says, over real HTTP; what is subscribed is sent, signed, and
//! sent again as a [`Schedule`] has it. Deliveries can be made to [misbehave](Behaviour), and the APIs to
//! [fail](Fault).
//!
//! ```
//! use axum::Router;
//! use serde_json::json;
//! use tower_webhook::testing::simulator::{CASPAY_AUTH_HEADER, CASPAY_CREATE_PATH, CASPAY_KEY, Platform, Simulator};
//! use tower_webhook::{Accepted, EventRouter, Secret, WebhookLayer, caspay};
//! # use bytes::Bytes;
//! # use http_body_util::Full;
//! # use hyper_util::client::legacy::Client;
//! # use hyper_util::rt::TokioExecutor;
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), tower_webhook::BoxError> {
//! // A receiver, as it is in production.
//! let webhook = WebhookLayer::new(caspay::provider(), Secret::new("a-secret-of-the-merchant")?)?
//!     .with_dispatch(EventRouter::new().on_type("payment.completed", async |_: serde_json::Value| ()));
//! let app = Router::new().route_service("/webhooks/caspay", webhook.clone().into_service());
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("http://{}/webhooks/caspay", listener.local_addr()?);
//! tokio::spawn(async { axum::serve(listener, app).await });
//!
//! // It subscribes, as a service does at its start.
//! let simulator = Simulator::builder().start().await?;
//! let body = json!({"url": url, "events": ["payment.completed"], "secret": "a-secret-of-the-merchant"});
//! let request = http::Request::post(format!("{}{CASPAY_CREATE_PATH}", simulator.caspay_url()))
//!     .header(CASPAY_AUTH_HEADER, CASPAY_KEY)
//!     .header("content-type", "application/json")
//!     .body(Full::new(Bytes::from(body.to_string())))?;
//! let client = Client::builder(TokioExecutor::new()).build_http();
//! assert_eq!(client.request(request).await?.status(), 201);
//!
//! // A payment.
//! let payment = json!({"payment": {"id": "pay_1", "amount": 100_000_000_000_u64, "currency": "CSPR"}});
//! let emitted = simulator.emit(Platform::CasPay, "payment.completed", payment);
//! simulator.settled().await;
//!
//! let attempts = simulator.attempts();
//! assert_eq!((attempts[0].event.as_str(), attempts[0].status), (emitted.event.as_str(), Some(200)));
//! assert_eq!(webhook.stats().accepted(Accepted::Handled), 1);
//! # Ok(())
//! # }
//! ```
//!
//! # What is documented, and what is chosen
//!
//! | | CasaPay | Diddo | CasPay |
//! |---|---|---|---|
//! | base URL | [`casapay_url`](Simulator::casapay_url) | [`diddo_url`](Simulator::diddo_url) | [`caspay_url`](Simulator::caspay_url) |
//! | calls | endpoints and events below `/v1` | `/webhook` | create alone |
//! | key | bearer, [`CASAPAY_TEST_KEY`] | *invented*: [`DiddoSettings`] | *invented*: [`CasPaySettings`] |
//! | secret | in the answer to create | in the answer to create | the merchant's |
//! | signature, event | documented | *invented*: [`DiddoSettings`] | documented |
//! | payload of [`emit`](Simulator::emit) | goes into `data.object` | goes into `data` | goes into `data` |
//! | test mode | endpoints of a test key, `livemode: false` | *invented*: `invented_test_mode` | *invented*: `invented_test_mode` |
//! | schedule | *undocumented*: [`Schedule::of`] | *undocumented* | *undocumented* |
//!
//! What an API does not document is refused: unknown fields and parameters are 400, so that a misunderstanding shows.
//! Errors are JSON, `{"error": {"message": ".."}}`, which no documentation shows either. For CasaPay these are choices
//! too: create is answered 200 and delete with `"deleted": true`; each key sees the endpoints and events of its own mode;
//! lists have an [order](ListOrder); `types` may be separated by commas or repeated; without `limit` up to 100 events
//! are listed; `delivery_success` is true of an event that every subscribed endpoint has accepted, if there was one;
//! a delivery has the `api_version` of its endpoint, and an event that is fetched has 2025-01-15. Of all three: what is
//! pending when an endpoint is disabled is never sent to it, not even when it is enabled again.
//!
//! # Over HTTP
//!
//! A simulator that runs as a process, as `cargo run --example provider` does, is driven by JSON at the same port:
//!
//! | request below `/_control` | body | answer |
//! |---|---|---|
//! | `POST /emit` | `{"platform":"casapay","type":"invoice.paid","payload":{..},"test":false}` | [`Emitted`] |
//! | `POST /behaviour` | `{"platform":"casapay","behaviour":{"copies":3,"disconnects":1,"out_of_order":{"batch":5,"seed":7},"trickle":{"bytes":64,"pause_ms":5}}}` | `{}` |
//! | `POST /schedule` | `{"platform":"diddo","schedule":"brevo","answer_timeout_ms":2000}`, or `"default"` | `{}` |
//! | `POST /faults` | `{"platform":"casapay","operation":"create","times":1,"fault":"lost_answer"}` | `{}` |
//! | `DELETE /faults` | | `{}` |
//! | `GET /calls?after=0` | | `{"calls":[..]}`, those with a larger [`sequence`](Call::sequence) |
//! | `GET /attempts?after=0` | | `{"attempts":[..]}` |
//! | `GET /pending` | | `{"pending":0}` |
//! | `GET /settled?timeout_ms=30000` | | `{"settled":true,"pending":0}`, after at most a minute |
//!
//! Faults are `{"status":{"status":429,"retry_after":2}}`, `{"redirect":"https://example.com/"}`, `{"slow_ms":50}`,
//! `"malformed_json"`, `"truncated"`, `"lost_answer"`, `"without_secret"` and `{"huge_body":1000000}`.
//!
//! Nobody is asked for a key there. The simulator listens on loopback only, refuses requests whose `Host` is anything
//! else or that carry an `Origin`, as those of a browser do, and shows no secret. Deliveries stay on loopback too, unless
//! [allowed elsewhere](SimulatorBuilder::allow_remote_deliveries).

mod answer;
mod behaviour;
mod builder;
mod casapay;
mod caspay;
mod control;
mod dice;
mod diddo;
mod faults;
mod handle;
mod log;
mod platform;
mod request;
mod schedule;
mod sender;
mod server;
mod settings;
mod shared;
mod state;
mod table;
mod wire;

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::Value;

pub use self::behaviour::Behaviour;
pub use self::builder::SimulatorBuilder;
pub use self::faults::Fault;
pub use self::log::{Attempt, Call, Record};
pub use self::platform::{Operation, Platform};
pub use self::schedule::{Schedule, Verdict};
pub use self::sender::Emitted;
pub use self::settings::{
    CASAPAY_LIVE_KEY, CASAPAY_TEST_KEY, CASPAY_AUTH_HEADER, CASPAY_CREATE_PATH, CASPAY_KEY, CasPaySettings,
    Conflicts, DIDDO_AUTH_HEADER, DIDDO_KEY, DiddoSettings, ListOrder,
};
use self::shared::Shared;

/// A running simulator. Clones are the same one; it stops, whatever is on its way, when the last is dropped.
///
/// [The module](self) has an example.
#[derive(Clone)]
pub struct Simulator {
    running: Arc<Running>,
}

struct Running {
    shared: Arc<Shared>,
    address: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl Simulator {
    /// Settings, all of which have a default.
    pub fn builder() -> SimulatorBuilder {
        SimulatorBuilder::new()
    }

    fn new(shared: Arc<Shared>, address: SocketAddr) -> Self {
        Self { running: Arc::new(Running { shared, address }) }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.running.shared
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.running.address
    }

    /// Where it listens, such as `http://127.0.0.1:4000`: the control API is below.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// The base URL of CasaPay's API; its endpoints are at `/v1/webhook_endpoints` below.
    #[must_use]
    pub fn casapay_url(&self) -> String {
        format!("{}/casapay", self.url())
    }

    /// The base URL of CasPay's API.
    #[must_use]
    pub fn caspay_url(&self) -> String {
        format!("{}/caspay", self.url())
    }

    /// The base URL of Diddo's API; its endpoints are at `/webhook` below.
    #[must_use]
    pub fn diddo_url(&self) -> String {
        format!("{}/diddo", self.url())
    }

    /// Lets something happen at a platform, in live mode: every enabled endpoint that is subscribed to `event_type` is
    /// sent an event with `payload`. Any type will do, but only documented ones can be subscribed to.
    ///
    /// Must be called on a tokio runtime.
    pub fn emit(&self, platform: Platform, event_type: &str, payload: impl Into<Value>) -> Emitted {
        sender::emit(self.shared(), platform, event_type, payload.into(), true)
    }

    /// As [`emit`](Self::emit), in test mode. At CasaPay it goes to the endpoints that a test key created; how the others
    /// mark test events is undocumented, so theirs have an invented member, `"invented_test_mode": true`.
    pub fn emit_test(&self, platform: Platform, event_type: &str, payload: impl Into<Value>) -> Emitted {
        sender::emit(self.shared(), platform, event_type, payload.into(), false)
    }

    /// The types and families that enabled endpoints of a platform are subscribed to, sorted, each once.
    #[must_use]
    pub fn subscribed_types(&self, platform: Platform) -> Vec<String> {
        let state = self.shared().lock();
        let enabled = state.endpoints_of(platform).filter(|endpoint| endpoint.enabled);
        let types: BTreeSet<&String> = enabled.flat_map(|endpoint| &endpoint.events).collect();
        types.into_iter().cloned().collect()
    }

    /// Changes how a platform delivers, from the next attempt on.
    ///
    /// Must be called on a tokio runtime.
    pub fn set_behaviour(&self, platform: Platform, behaviour: Behaviour) {
        handle::set_behaviour(self.shared(), platform, behaviour);
    }

    /// Changes what a platform makes of answers, from the next on.
    pub fn set_schedule(&self, platform: Platform, schedule: Schedule) {
        handle::set_schedule(self.shared(), platform, schedule);
    }

    /// Plans a fault for the next `times` requests to an API, or to one operation of it. Requests take the faults that
    /// fit them in the order in which they were planned, one each.
    pub fn plan_fault(
        &self,
        platform: Platform,
        operation: impl Into<Option<Operation>>,
        times: u32,
        fault: Fault,
    ) {
        self.shared().lock().faults.add(platform, operation.into(), times, fault);
    }

    /// Forgets the faults that are planned.
    pub fn clear_faults(&self) {
        self.shared().lock().faults.clear();
    }

    /// The requests to the APIs, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared().lock().log.calls()
    }

    /// The deliveries that have ended, with an answer or without, oldest first.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.shared().lock().log.attempts()
    }

    /// How many deliveries, of one event to one endpoint each, have not come to their end.
    #[must_use]
    pub fn pending(&self) -> usize {
        *self.shared().pending().borrow()
    }

    /// Sends what [is held back](Behaviour::with_out_of_order), and waits until there is nothing left to send: everything
    /// is accepted or given up.
    pub async fn settled(&self) {
        handle::settled(self.shared()).await;
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").field("address", &self.running.address).finish_non_exhaustive()
    }
}
