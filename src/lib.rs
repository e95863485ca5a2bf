//! A tower [`Layer`](WebhookLayer) that receives webhooks: it verifies the provider's signature over the exact bytes
//! of a request, recognises redeliveries, and hands each event to the typed handler registered for it.
//!
//! - **Verified first.** Nothing in a body is parsed, looked up or stored before its signature holds, and handlers see
//!   the bytes that were signed. Wrong, missing or stale is 401, without saying which.
//! - **Handled once at a time.** An event is claimed before its handler runs and marked done afterwards. A redelivery
//!   of a done event is answered 200 without running anything, one that comes too early 503.
//! - **200 means done.** The sender hears it when your handler has returned `Ok`, never while the work is still in
//!   memory. What was not accepted is answered 503 or 500, which senders retry.
//! - **Typed handlers.** An `async fn` whose first argument says which event it takes; state and delivery as further
//!   arguments. A mistake in its signature is reported where it is registered.
//! - **Providers are data.** [Presets](docs::catalogue) for some seventy, from Stripe and GitHub to [CasPay](caspay) and
//!   [CasaPay](casapay); [another one](docs::providers) is a few declarative lines.
//!
//! It mounts on axum, hyper, or anything else that speaks `tower::Service<http::Request<B>>`.
//!
//! # The pipeline
//!
//! ```text
//!  request     a POST with a well-formed signature header      else 405 413 415 401, body unread
//!     |
//!  body        the exact bytes, bounded in size and time       else 408 413 400
//!     |
//!  signature   a MAC for each secret, then the timestamp       else 401
//!     |
//!  envelope    id, type and payload in one pass over JSON      else 500
//!     |
//!  dedup       claim the event                                 done before 200, in flight 503
//!     |
//!  dispatch    your handler, or the service inside             not done 503
//!     |
//!  response    complete or release the claim, then answer      done 200
//! ```
//!
//! Each step is a file or a folder of that name in the source, and knows nothing of those below it.
//!
//! # The smallest program
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use tower::ServiceExt as _;
//! use tower_webhook::caspay::events::PaymentCompleted;
//! use tower_webhook::{EventRouter, Secret, State, WebhookLayer, caspay, testing};
//!
//! /// Commit first, then return `Ok`. An error means: not done, deliver it again.
//! async fn on_paid(event: PaymentCompleted, State(till): State<Arc<AtomicU64>>) -> Result<(), std::io::Error> {
//!     till.fetch_add(event.payment.amount, Ordering::Relaxed);
//!     Ok(())
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let till = Arc::new(AtomicU64::new(0));
//! let webhook = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?
//!     .with_dispatch(EventRouter::new().on(on_paid).with_state(Arc::clone(&till)));
//!
//! // To serve it: Router::new().route_service("/webhooks/caspay", webhook.into_service())
//! let service = webhook.into_service();
//!
//! // What CasPay sends, and then sends again.
//! let body = r#"{"id":"evt_123","type":"payment.completed","created":1640000000,"data":
//!     {"payment":{"id":"pay_123","amount":100000000000,"currency":"CSPR","status":"completed"}}}"#;
//! for _ in ["handled", "duplicate"] {
//!     let request = testing::sign(&caspay::provider(), &Secret::new("a-signing-secret")?, body);
//!     assert_eq!(service.clone().oneshot(request).await?.status(), 200);
//! }
//! // What somebody else sends.
//! let forged = testing::sign(&caspay::provider(), &Secret::new("another-signing-secret")?, body);
//! assert_eq!(service.oneshot(forged).await?.status(), 401);
//!
//! assert_eq!(till.load(Ordering::Relaxed), 100_000_000_000); // motes, booked once
//! # Ok(())
//! # }
//! ```
//!
//! [`Secrets::from_env`] reads the secret from the environment. The folder `examples` of the repository has a program
//! for each question that comes next.
//!
//! # Concepts, in the order of the pipeline
//!
//! - A [`Provider`] is data: how the sender signs ([`SignatureScheme`]), where its events keep what
//!   ([`Envelope`]), how long it waits and whether it retries ([`Retries`]). [`docs::providers`] writes one, and
//!   [`Provider::describe`] puts one into words.
//! - A [`Handshake`] is what some providers ask for before they deliver: a challenge to echo, a token to sign.
//! - A [`Secret`] is checked when it is made and never printed. [`Secrets`] holds several for a rotation; the label of
//!   the one that matched is [on the delivery](Delivery::secret_label), and they can be
//!   [replaced](Verifier::replace_secrets) while the layer runs.
//! - [`Tenants`] stand in the place of secrets where senders have secrets of their own: a [`TenantKey`] says whose a
//!   request is, a [`SecretSource`] looks them up. [`docs::secrets`] has it, with rotation.
//! - A [`WebhookLayer`] joins the two with everything else that can be set. Its durations are one checked value,
//!   [`Timing`], its status codes another, [`Answers`].
//! - A [`Verifier`] is the signature step alone, for a function that is handed headers and a body. [`Verify`] is code of
//!   yours in its place.
//! - A [`Delivery`] is what a verified request becomes: id, type, payload, raw body, headers. It serialises, so that it
//!   can wait in a queue of yours.
//! - A [`DedupStore`] remembers which events are being handled and which are done. [`LruStore`] is the default.
//! - An [`Inbox`](inbox::Inbox) commits an event's mark and its handler's effect in one transaction.
//! - An [`EventRouter`] holds a [`Handler`] for each [`Event`] type, pattern or fallback. Handlers return `()`, a
//!   `Result` or an [`Outcome`]; a [`HandlerError`] says whether a retry can help. Tower middleware wraps the router
//!   with [`EventRouter::layer`], and [`dispatch::TakesAll`] puts any other service in its place.
//! - A [`DeadLetter`] is an event that no retry can help. [`WebhookLayer::with_dead_letter`] says where it goes.
//! - A [`Processor`] is claim, dispatch and completion without HTTP, for deliveries out of a queue.
//! - An [`EndpointManager`](endpoints::EndpointManager) subscribes a receiver to what it handles at CasaPay and Diddo,
//!   rotates its secret, and a [`CatchUp`](endpoints::CatchUp) fetches what was missed: [`docs::endpoints`] goes from
//!   zero to subscribed.
//! - [`Accepted`] and [`Rejection`] say why an answer is what it is: in the response's extensions, in logs and
//!   [counters](Stats), never to the sender.
//!
//! # Where to mount it
//!
//! On the route. The layer then guards this route and no other. `Router::layer` guards every route that was added
//! before it, a health check too, which is no signed POST:
//!
//! ```
//! use axum::Router;
//! use axum::routing::{get, post};
//! use tower::ServiceExt as _;
//! use tower_webhook::{Delivery, Secret, WebhookLayer, casapay};
//!
//! async fn on_webhook(delivery: Delivery) {
//!     println!("{} {}", delivery.event_type(), delivery.id());
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let webhook = WebhookLayer::new(casapay::provider(), Secret::new("whsec_a-signing-secret")?)?;
//! let health = || http::Request::get("/health").body(String::new());
//!
//! let app = Router::new()
//!     .route("/webhooks/casapay", post(on_webhook).layer(webhook.clone()))
//!     .route("/health", get(async || "ok"));
//! assert_eq!(app.oneshot(health()?).await?.status(), 200);
//!
//! let app = Router::new()
//!     .route("/webhooks/casapay", post(on_webhook))
//!     .route("/health", get(async || "ok"))
//!     .layer(webhook); // guards /health as well
//! assert_eq!(app.oneshot(health()?).await?.status(), 405);
//! # Ok(())
//! # }
//! ```
//!
//! Around a service the layer hands on what no handler takes: the request as it came, its body verified, the
//! [`Delivery`] in its extensions. A 2xx of that service marks the event done, any other answer gives it back, and
//! either reaches the sender unchanged. Alone, from [`WebhookLayer::into_service`], it acknowledges such events.
//!
//! What stands around the layer sees requests that nobody has verified. A layer there that changes the body, such as
//! a decompression, changes what the signature is checked over: see [`docs::threats`].
//!
//! # Stores
//!
//! | store | feature | survives a restart | seen by all instances | needs |
//! |---|---|---|---|---|
//! | [`LruStore`], the default | | no | no | nothing |
//! | [`SqliteStore`] | `sqlite` | yes | on one machine | a file |
//! | [`RedisStore`] | `redis` | with AOF | yes | Redis or Valkey, without eviction |
//! | [`PostgresStore`] | `postgres` | yes | yes | PostgreSQL |
//!
//! [`SharedStore`] is one of them, chosen at run time; [`docs::stores`] shows how to write another, and the conformance
//! suite of the feature `testing` checks it. Stores take a pool or a connection of yours.
//!
//! With each of them a handler runs **at least** once. The [`inbox`] of PostgreSQL and SQLite makes it exactly once for
//! what the handler does in the same database: it hands it the transaction in which the mark is inserted.
//! [`docs::capacity`] says how much room and time marks take.
//!
//! # When something fails
//!
//! A 200 means that one of these is true, and the sender need not deliver the event again:
//!
//! - your handler returned `Ok`: what that stands for is yours, so commit first and return then;
//! - the event was done before;
//! - your dead-letter hook has stored it;
//! - nobody takes its type, or it is a test event that you do [not want](WebhookLayer::require_live_mode).
//!
//! Everything else that is verified is answered 503 or 500, which every documented sender retries, whereas several
//! stop for good on a 4xx. [`Answers`] has the whole table. [`docs::guarantees`] says what you can rely on, what
//! provides it, and what nothing provides: above all, events arrive **at least** once, in no order.
//!
//! # Handlers that outlive their request
//!
//! Once an event is claimed, nothing is cancelled. Where the sender hangs up, or
//! [`respond_by`](Timing::respond_by) passes, the running handler is moved, with its claim, into a task of its own and
//! goes on there, at most for its [`handler_timeout`](Timing::handler_timeout); the retry finds the event done. Such
//! tasks are not the server's any more. When it has stopped accepting and has finished its connections, wait for
//! them:
//!
//! ```
//! # use std::time::Duration;
//! # use tower_webhook::{Secret, WebhookLayer, caspay};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), tower_webhook::ConfigError> {
//! # let webhook = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?;
//! let shutdown = webhook.shutdown(); // before the layer is mounted
//! // axum::serve(listener, app).with_graceful_shutdown(signal).await?;
//! let drained = shutdown.drain(Duration::from_secs(20)).await;
//! assert!(drained.is_complete());
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! | feature | default | with it |
//! |---|---|---|
//! | `tracing` | yes | each delivery has a span, and each refusal a log line with a hint, at most one a second for a reason |
//! | `metrics` | | counters and histograms reach the recorder that your program installed |
//! | `axum` | | axum handlers behind the layer take [`Delivery`] and `Verified<T>`; event handlers take axum's own `State` |
//! | `ed25519` | | Ed25519 signatures: Discord, Telnyx, and `v1a` of Standard Webhooks |
//! | `redis` | | [`RedisStore`] over a connection of the crate `redis` |
//! | `postgres` | | [`PostgresStore`] and its [`inbox`] over a pool of the crate `sqlx`; Rust 1.94 |
//! | `sqlite` | | [`SqliteStore`] and its [`inbox`] over a pool of the crate `sqlx`; Rust 1.94; compiles SQLite |
//! | `endpoints` | | clients for the endpoint APIs of CasaPay, Diddo and CasPay; [subscribing](docs::endpoints), rotating, catching up |
//! | `testing` | | tests sign requests, set the clock, make a store fail on command, and check a store of yours |
//! | `simulator` | | CasaPay, Diddo and CasPay [on loopback](testing::simulator), for tests of the whole conversation; brings `testing` |
//! | `full` | | all of the above |
//! | `cli` | | the program `tower-webhook`: sign, verify, send, replay and manage endpoints from a terminal; nothing for libraries |
//!
//! TLS to Redis or PostgreSQL is a feature of the crates `redis` and `sqlx`, for your own `Cargo.toml`.
//!
//! A feature only adds: enabling one changes no default. Without any, the counters of [`WebhookLayer::stats`] remain.
//!
//! # Rust version
//!
//! 1.88 or later, and 1.94 with `postgres` or `sqlite`, as sqlx demands. Raising it is a minor release.
//!
//! # What it does not do
//!
//! It does not send webhooks, beyond what tests need. It keeps no queue: a slow effect goes into yours, before the
//! 200. It does not terminate TLS, limit rates or addresses, or time out connections: your server and tower's
//! middleware do, and [`docs::threats`] says what is left to them. Schemes that no data
//! can [describe](docs::providers#what-cannot-be-described) take code.
#![cfg_attr(docsrs, feature(doc_cfg))]
// The chapters speak of all features. Without some of them their links have nowhere to go.
#![cfg_attr(
    not(all(
        feature = "redis",
        feature = "postgres",
        feature = "sqlite",
        feature = "endpoints",
        feature = "simulator"
    )),
    allow(rustdoc::broken_intra_doc_links)
)]

mod body;
mod clock;
pub mod dedup;
mod delivery;
pub mod dispatch;
pub mod docs;
#[cfg(feature = "endpoints")]
pub mod endpoints;
mod envelope;
mod error;
mod future;
mod handshake;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub mod inbox;
mod layer;
mod member;
mod observe;
mod panic;
mod pointer;
mod process;
pub mod provider;
mod response;
mod run;
mod service;
mod signature;
mod tenants;
mod timer;
mod timing;

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::body::Body;
pub use self::clock::{Clock, SystemClock};
#[cfg(feature = "postgres")]
pub use self::dedup::PostgresStore;
#[cfg(feature = "redis")]
#[doc(inline)]
pub use self::dedup::RedisStore;
#[cfg(feature = "sqlite")]
pub use self::dedup::SqliteStore;
#[doc(inline)]
pub use self::dedup::{DedupStore, LruStore, SharedStore};
pub use self::delivery::Delivery;
#[doc(inline)]
pub use self::dispatch::{Event, EventRouter, FromDelivery, FromRef, Handler, HandlerError, Outcome, State};
pub use self::envelope::Envelope;
pub use self::error::{BoxError, ConfigError, Rejection, RejectionReason};
pub use self::future::ResponseFuture;
pub use self::handshake::Handshake;
pub use self::layer::{ConfigWarning, Handles, WebhookLayer};
pub use self::observe::Stats;
pub use self::process::{DeadLetter, Drained, OnStoreFailure, Processor, Shutdown};
#[doc(inline)]
pub use self::provider::{Provider, ProviderBuilder, Retries, casapay, caspay, diddo};
pub use self::response::{Accepted, Answer, Answers, ResponseBody};
pub use self::service::{Unmounted, WebhookService};
pub use self::signature::{
    Authentic, Encoding, HeaderGrammar, HeaderNames, KeyEncoding, List, Pairs, Part, Proof, Secret,
    SecretUsage, Secrets, SignatureScheme, TimestampUnit, Unverified, Verifier, Verify,
};
pub use self::tenants::{SecretSource, TenantCache, TenantKey, Tenants};
pub use self::timing::Timing;

/// Compiles the programs of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
