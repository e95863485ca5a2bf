//! Everything a user configures.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tower_layer::Layer;

use crate::clock::{Clock, SystemClock};
use crate::dedup::{DedupStore, LruStore};
use crate::dispatch::{Dispatch, NoDispatch};
use crate::envelope::Identity;
use crate::error::{BoxError, ConfigError};
use crate::observe::{Observer, Stats};
use crate::process::{Core, DeadLetter, DeadLetterHook, OnStoreFailure, Processor, Shutdown, Source, Tasks};
use crate::provider::{Provider, Retries, check_name};
use crate::response::Answers;
use crate::service::{Unmounted, WebhookService};
use crate::signature::{Secrets, Verifier};
use crate::tenants::{Registry, TenantCache, Tenants};
use crate::timing::Timing;

/// One mebibyte: more than any documented event, little enough that a thousand strangers cannot fill a machine.
pub(crate) const DEFAULT_BODY_LIMIT: usize = 1024 * 1024;

/// Handlers at once. Those that outlived their request count, which an outer concurrency limit would miss.
const DEFAULT_MAX_IN_FLIGHT: usize = 1024;

/// Bodies that are being read from senders who have not proved anything yet: times the body limit, 256 MiB that
/// strangers can make this process hold at the most.
const DEFAULT_MAX_UNVERIFIED: usize = 256;

/// Done marks of the default store: 8 MB, and more than a day of one event a second.
const DEFAULT_LRU_CAPACITY: usize = 100_000;

/// Verifies, deduplicates and dispatches webhooks in front of any `tower::Service<http::Request<_>>`.
///
/// Built with defaults that are safe as they are; every `with_` method changes one. Clones share the store, the
/// counters and the limits.
///
/// ```
/// use axum::Router;
/// use tower::ServiceExt as _;
/// use tower_webhook::{EventRouter, Secret, WebhookLayer, caspay, testing};
///
/// async fn on_paid(event: caspay::events::PaymentCompleted) -> Result<(), std::io::Error> {
///     println!("{} motes", event.payment.amount);
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let webhook = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?
///     .with_dispatch(EventRouter::new().on(on_paid));
/// let stats = webhook.stats();
///
/// let app: Router = Router::new().route_service("/webhooks/caspay", webhook.into_service());
///
/// let forged = testing::SignedRequest::new(&caspay::provider(), &Secret::new("somebody-elses-secret")?, "{}")
///     .with_uri("/webhooks/caspay")
///     .build();
/// assert_eq!(app.oneshot(forged).await?.status(), 401);
/// assert_eq!(stats.rejected(tower_webhook::RejectionReason::SignatureMismatch), 1);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct WebhookLayer<D = NoDispatch, St = LruStore> {
    config: Config<St>,
    dispatch: D,
}

/// What the pipeline reads.
pub(crate) struct Config<St> {
    pub(crate) core: Arc<Core<St>>,
    pub(crate) provider: Arc<Provider>,
    pub(crate) provider_name: Arc<str>,
    pub(crate) scope: Arc<str>,
    pub(crate) verifier: Verifier,
    pub(crate) tenants: Option<Arc<Registry>>,
    pub(crate) body_limit: usize,
    pub(crate) unverified: Arc<Semaphore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) answers: Answers,
    pub(crate) json_only: bool,
    pub(crate) expected_api_version: Option<String>,
    pub(crate) max_event_age: Option<Duration>,
    pub(crate) reason_extensions: bool,
    warned: Arc<AtomicBool>,
}

impl<St> Clone for Config<St> {
    fn clone(&self) -> Self {
        Self {
            core: Arc::clone(&self.core),
            provider: Arc::clone(&self.provider),
            provider_name: Arc::clone(&self.provider_name),
            scope: Arc::clone(&self.scope),
            verifier: self.verifier.clone(),
            tenants: self.tenants.clone(),
            unverified: Arc::clone(&self.unverified),
            clock: Arc::clone(&self.clock),
            answers: self.answers.clone(),
            expected_api_version: self.expected_api_version.clone(),
            warned: Arc::clone(&self.warned),
            ..*self
        }
    }
}

impl WebhookLayer {
    /// A receiver for `provider` that accepts what is signed with any of `secrets`, deduplicates in an
    /// [`LruStore`] of 100,000 events, and hands every verified event to the inner service.
    ///
    /// # Errors
    ///
    /// As [`Provider::verifier`]; and where the defaults do not fit the provider, such as a retry horizon that is no
    /// duration.
    pub fn new(provider: Provider, secrets: impl Into<Secrets>) -> Result<Self, ConfigError> {
        let verifier = provider.verifier(secrets)?;
        Self::with_keys(provider, verifier, None)
    }

    /// A receiver as [`new`](Self::new) makes one, whose senders all have secrets of their own: the merchants of a
    /// platform, each with an account at the provider. A request says [somewhere](crate::TenantKey) whose it is, a
    /// [`SecretSource`] is asked for that tenant's secrets, and [`Tenants`] says how long they are kept.
    ///
    /// Whoever names an unknown tenant is answered as one with a wrong signature, after the same work. The tenant is
    /// [on the delivery](crate::Delivery::tenant) and part of every event's identity, so that two tenants' events of one
    /// id are two. Counters and metrics are the endpoint's, for tenants are too many.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ZeroLimit`] for a capacity, timeout or number of look-ups of 0; [`ConfigError::NoPublicUrl`] where
    /// the scheme signs the URL and none was given; and where the defaults do not fit the provider, as in `new`.
    ///
    /// [`SecretSource`]: crate::SecretSource
    ///
    /// ```
    /// use axum::Router;
    /// use tower::ServiceExt as _;
    /// use tower_webhook::testing::SignedRequest;
    /// use tower_webhook::{
    ///     BoxError, Delivery, EventRouter, Secret, SecretSource, Secrets, TenantKey, Tenants, WebhookLayer, caspay,
    /// };
    ///
    /// struct Vault;
    ///
    /// impl SecretSource for Vault {
    ///     async fn secrets(&self, tenant: &str) -> Result<Option<Secrets>, BoxError> {
    ///         Ok(match tenant {
    ///             "acme" => Some(Secret::new("the-secret-of-acme")?.into()),
    ///             "zorg" => Some(Secret::new("the-secret-of-zorg")?.into()),
    ///             _ => None,
    ///         })
    ///     }
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let tenants = Tenants::new(TenantKey::path_after("/webhooks/caspay/")?, Vault);
    /// let webhook = WebhookLayer::for_tenants(caspay::provider(), tenants)?
    ///     .with_dispatch(EventRouter::new().fallback(async |delivery: Delivery| {
    ///         println!("{:?} has {}", delivery.tenant(), delivery.id());
    ///     }));
    /// let app: Router = Router::new().route_service("/webhooks/caspay/{tenant}", webhook.into_service());
    ///
    /// let body = r#"{"id":"evt_1","type":"payment.completed","data":{}}"#;
    /// let send = async |tenant: &str| {
    ///     let secret = Secret::new("the-secret-of-acme")?;
    ///     let request = SignedRequest::new(&caspay::provider(), &secret, body)
    ///         .with_uri(format!("/webhooks/caspay/{tenant}"))
    ///         .build();
    ///     Ok::<_, Box<dyn std::error::Error>>(app.clone().oneshot(request).await?.status())
    /// };
    /// assert_eq!(send("acme").await?, 200);
    /// assert_eq!(send("zorg").await?, 401); // another's secret
    /// assert_eq!(send("nobody").await?, 401);
    /// # Ok(())
    /// # }
    /// ```
    pub fn for_tenants(provider: Provider, tenants: Tenants) -> Result<Self, ConfigError> {
        let tenants = tenants.resolve(provider.authenticator())?;
        let verifier = Verifier::decoy(provider.authenticator().clone())?;
        Self::with_keys(provider, verifier, Some(Arc::new(tenants)))
    }

    fn with_keys(
        provider: Provider,
        verifier: Verifier,
        tenants: Option<Arc<Registry>>,
    ) -> Result<Self, ConfigError> {
        let timing = Timing::for_provider(&provider);
        timing.check(&provider)?;
        let name: Arc<str> = provider.name().into();
        let on_store_failure = match provider.retries() {
            Retries::Never => OnStoreFailure::Process,
            Retries::Documented { .. } | Retries::Undocumented => OnStoreFailure::Reject,
        };
        let core = Core {
            store: Arc::new(LruStore::new(DEFAULT_LRU_CAPACITY)),
            timing,
            on_store_failure,
            live_only: false,
            dead_letter: None,
            in_flight: Arc::new(Semaphore::new(DEFAULT_MAX_IN_FLIGHT)),
            stage: None,
            tasks: Tasks::new(),
            observer: Arc::new(Observer::new(Arc::clone(&name))),
        };
        let config = Config {
            core: Arc::new(core),
            verifier,
            tenants,
            body_limit: provider.body_limit().unwrap_or(DEFAULT_BODY_LIMIT),
            expected_api_version: provider.api_version().map(str::to_owned),
            provider: Arc::new(provider),
            provider_name: Arc::clone(&name),
            scope: name,
            unverified: Arc::new(Semaphore::new(DEFAULT_MAX_UNVERIFIED)),
            clock: Arc::new(SystemClock),
            answers: Answers::default(),
            json_only: false,
            max_event_age: None,
            reason_extensions: true,
            warned: Arc::default(),
        };
        Ok(Self { config, dispatch: NoDispatch::new() })
    }
}

impl<D, St> WebhookLayer<D, St> {
    /// Hands events to `dispatch`, usually an [`EventRouter`](crate::EventRouter), in place of the one before. What
    /// it does not take goes to the inner service. Default: none, so that everything does.
    pub fn with_dispatch<T: Dispatch>(mut self, dispatch: T) -> WebhookLayer<T, St> {
        // Other handlers, other warnings.
        self.config.warned = Arc::default();
        WebhookLayer { config: self.config, dispatch }
    }

    /// Remembers events in `store`. Default: an [`LruStore`] of 100,000 events, which protects one instance and
    /// forgets when it restarts.
    ///
    /// Hand it an `Arc` to keep a handle, or to share one store between layers.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use tower_webhook::{LruStore, Secret, WebhookLayer, caspay};
    ///
    /// let store = Arc::new(LruStore::new(1_209_600)); // two events a second for 7 days
    /// let layer = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?
    ///     .with_store(Arc::clone(&store));
    /// assert_eq!(store.evicted_young(), 0); // for an alarm: anything else says that it is too small
    /// # drop(layer);
    /// # Ok::<(), tower_webhook::ConfigError>(())
    /// ```
    pub fn with_store<T: DedupStore>(self, store: T) -> WebhookLayer<D, T> {
        let Core {
            timing, on_store_failure, live_only, dead_letter, in_flight, stage, tasks, observer, ..
        } = (*self.config.core).clone();
        let store = Arc::new(store);
        let core = Core {
            store,
            timing,
            on_store_failure,
            live_only,
            dead_letter,
            in_flight,
            stage,
            tasks,
            observer,
        };
        let config = Config {
            core: Arc::new(core),
            provider: self.config.provider,
            provider_name: self.config.provider_name,
            scope: self.config.scope,
            verifier: self.config.verifier,
            tenants: self.config.tenants,
            body_limit: self.config.body_limit,
            unverified: self.config.unverified,
            clock: self.config.clock,
            answers: self.config.answers,
            json_only: self.config.json_only,
            expected_api_version: self.config.expected_api_version,
            max_event_age: self.config.max_event_age,
            reason_extensions: self.config.reason_extensions,
            // Another store, other warnings.
            warned: Arc::default(),
        };
        WebhookLayer { config, dispatch: self.dispatch }
    }

    /// Names the endpoint, so that two endpoints of one provider that share a store keep their events apart. The
    /// name is part of every event's identity: choose it once, and give each endpoint a secret of its own, since
    /// the signature does not cover the name. Counters begin anew: ask for [`stats`](Self::stats) afterwards.
    /// Default: no name; the scope is the provider's.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidName`] unless the name has 1 to 64 characters of `a-z`, `0-9`, `-`, `_` and `.`.
    ///
    /// ```
    /// use tower_webhook::{ConfigError, Secret, WebhookLayer, caspay};
    ///
    /// let layer = || WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?);
    /// assert!(layer()?.with_endpoint("shop-eu").is_ok());
    /// let error = layer()?.with_endpoint("Shop EU").unwrap_err();
    /// assert_eq!(error, ConfigError::InvalidName { name: "Shop EU".to_owned() });
    /// # Ok::<(), ConfigError>(())
    /// ```
    pub fn with_endpoint(mut self, name: &str) -> Result<Self, ConfigError> {
        check_name(name)?;
        let scope: Arc<str> = format!("{}/{name}", self.config.provider_name).into();
        self.config.scope = Arc::clone(&scope);
        self.config.warned = Arc::default();
        self.core_mut().observer = Arc::new(Observer::new(scope));
        Ok(self)
    }

    /// Changes durations: see [`Timing`] for each default and its reason.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidTiming`] where two of them do not fit together.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_webhook::{ConfigError, Secret, Timing, WebhookLayer, caspay};
    ///
    /// let timing = Timing::for_provider(&caspay::provider());
    /// let layer = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?;
    /// let error = layer.with_timing(timing.with_lease(Duration::from_secs(10))).unwrap_err();
    /// assert!(matches!(error, ConfigError::InvalidTiming { .. }));
    /// # Ok::<(), ConfigError>(())
    /// ```
    pub fn with_timing(mut self, timing: Timing) -> Result<Self, ConfigError> {
        timing.check(&self.config.provider)?;
        self.core_mut().timing = timing;
        Ok(self)
    }

    /// The longest body that is read, in bytes; a longer one is answered 413. Default: 1 MiB, unless the preset
    /// says otherwise: more than any documented event, little enough that a crowd of strangers cannot fill a
    /// machine.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ZeroLimit`] for 0.
    pub fn with_body_limit(mut self, bytes: usize) -> Result<Self, ConfigError> {
        self.config.body_limit = at_least_one("body_limit", bytes)?;
        Ok(self)
    }

    /// How many handlers run at once, those that outlived their request among them, which a concurrency limit
    /// around the layer would miss. Beyond that events are answered 503. Default: 1,024.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ZeroLimit`] for 0.
    pub fn with_max_in_flight(mut self, handlers: usize) -> Result<Self, ConfigError> {
        self.core_mut().in_flight = Arc::new(semaphore("max_in_flight", handlers)?);
        Ok(self)
    }

    /// How many bodies are read at once whose sender has proved nothing yet. Beyond that requests are answered
    /// 503. Times the body limit, it bounds what strangers can make this process hold. Default: 256, which with
    /// bodies of 1 MiB are 256 MiB. Requests that wait for the secrets of a [tenant](crate::Tenants) have no body yet, and
    /// are bounded apart.
    ///
    /// # Errors
    ///
    /// [`ConfigError::ZeroLimit`] for 0.
    pub fn with_max_unverified_in_flight(mut self, requests: usize) -> Result<Self, ConfigError> {
        self.config.unverified = Arc::new(semaphore("max_unverified_in_flight", requests)?);
        Ok(self)
    }

    /// Changes the status codes of answers: see [`Answers`] for the table, and for what it does not let you change.
    pub fn with_answers(mut self, answers: Answers) -> Self {
        self.config.answers = answers;
        self
    }

    /// The clock that signed timestamps, and the age of events, are judged by. The store has its own, and timeouts
    /// follow tokio's. Default: [`SystemClock`]; tests take `testing::ManualClock`.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.config.clock = Arc::new(clock);
        self
    }

    /// Where events go that no retry can help: those a handler calls
    /// [`permanent`](crate::HandlerError::permanent), and authentic ones that cannot be read.
    ///
    /// The hook is awaited (for 5 s, see [`Timing`]); once it has stored the event, the sender is answered 200.
    /// Without a hook, or where it fails, the answer is 500, and the sender's retries go on. Default: no hook, for
    /// only you know a durable place; until then the sender's retries are the only copy.
    ///
    /// ```
    /// use tower::ServiceExt as _;
    /// use tower_webhook::caspay::events::PaymentCompleted;
    /// use tower_webhook::{DeadLetter, EventRouter, HandlerError, Secret, WebhookLayer, caspay, testing};
    ///
    /// async fn on_paid(event: PaymentCompleted) -> Result<(), HandlerError> {
    ///     Err(HandlerError::permanent(format!("no order for {}", event.payment.id)))
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let service = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?
    ///     .with_dispatch(EventRouter::new().on(on_paid))
    ///     .with_dead_letter(async |letter: DeadLetter| {
    ///         assert_eq!(letter.error().to_string(), "no order for pay_1");
    ///         // Store it durably with the delivery, which serialises; then:
    ///         serde_json::to_vec(letter.delivery()).map(drop)
    ///     })
    ///     .into_service();
    ///
    /// let body = r#"{"id":"evt_1","type":"payment.completed","data":
    ///     {"payment":{"id":"pay_1","amount":7,"currency":"CSPR","status":"completed"}}}"#;
    /// let request = testing::sign(&caspay::provider(), &Secret::new("a-signing-secret")?, body);
    /// assert_eq!(service.oneshot(request).await?.status(), 200);
    /// # Ok(())
    /// # }
    /// ```
    pub fn with_dead_letter<F, Fut, E>(mut self, hook: F) -> Self
    where
        F: Fn(DeadLetter) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError> + 'static,
    {
        self.core_mut().dead_letter = Some(DeadLetterHook::new(hook));
        self
    }

    /// What to do while the store cannot be asked: see [`OnStoreFailure`] for the default.
    pub fn with_on_store_failure(mut self, policy: OnStoreFailure) -> Self {
        self.core_mut().on_store_failure = policy;
        self
    }

    /// Refuses events whose signed `created` is older than `age`, with 401. Off by default: dashboards resend old
    /// events, and samples carry old dates. Set to the retention it closes the replay window of a scheme that
    /// signs no timestamp.
    ///
    /// An event without `created` is then unreadable. One that says it was created further in the future than `age` is
    /// refused as well: milliseconds in the place of seconds, for instance, would never grow old.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidPath`] where the provider's envelope has no `created`, [`ConfigError::ZeroLimit`] under one
    /// second.
    ///
    /// ```
    /// use tower_webhook::{ConfigWarning, Secret, WebhookLayer, caspay};
    ///
    /// let layer = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?;
    /// let warned = |warnings: &[_]| warnings.iter().any(|w| matches!(w, ConfigWarning::ReplayWindow { .. }));
    /// assert!(warned(&layer.warnings()));
    ///
    /// let retention = layer.timing().retention();
    /// assert!(!warned(&layer.with_max_event_age(retention)?.warnings()));
    /// # Ok::<(), tower_webhook::ConfigError>(())
    /// ```
    pub fn with_max_event_age(mut self, age: Duration) -> Result<Self, ConfigError> {
        needs(self.config.provider.envelope().has_created(), "created")?;
        if age.as_secs() == 0 {
            return Err(ConfigError::ZeroLimit { setting: "max_event_age" });
        }
        self.config.max_event_age = Some(age);
        Ok(self)
    }

    /// Keeps test events from the handlers: they are acknowledged and counted. An event that does not say what it
    /// is counts as unreadable. Off by default: an endpoint under test receives nothing else.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidPath`] where the provider's envelope has no `livemode`.
    ///
    /// ```
    /// use tower_webhook::{ConfigError, Secret, WebhookLayer, casapay, caspay};
    ///
    /// let layer = |provider| WebhookLayer::new(provider, Secret::new("a-signing-secret")?);
    /// assert!(layer(casapay::provider())?.require_live_mode().is_ok());
    /// assert!(layer(caspay::provider())?.require_live_mode().is_err()); // its events do not say
    /// # Ok::<(), ConfigError>(())
    /// ```
    pub fn require_live_mode(mut self) -> Result<Self, ConfigError> {
        needs(self.config.provider.envelope().has_livemode(), "livemode")?;
        self.core_mut().live_only = true;
        Ok(self)
    }

    /// Counts events of another `api_version` than this. They are handled all the same. Default: the version that
    /// the preset's typed events were written for.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidPath`] where the provider's envelope has no `api_version`.
    pub fn expect_api_version(mut self, version: impl Into<String>) -> Result<Self, ConfigError> {
        needs(self.config.provider.envelope().has_api_version(), "api_version")?;
        self.config.expected_api_version = Some(version.into());
        Ok(self)
    }

    /// Answers 415 to a request whose `Content-Type` is neither `application/json` nor ends in `+json`. Off by
    /// default: the bytes are what counts, and the header is not signed.
    pub fn require_json_content_type(mut self) -> Self {
        self.config.json_only = true;
        self
    }

    /// Leaves [`Accepted`](crate::Accepted) and [`Rejection`](crate::Rejection) out of the extensions of responses,
    /// which saves three small allocations a request. Logs, metrics and counters are not affected.
    pub fn without_reason_extensions(mut self) -> Self {
        self.config.reason_extensions = false;
        self
    }

    /// The counters, read live. Take it before the layer is mounted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.config.core.observer.stats()
    }

    /// Verifies by this layer's secrets, and [replaces](Verifier::replace_secrets) them while it runs. Take it before
    /// the layer is mounted.
    ///
    /// Of a layer [for tenants](Self::for_tenants) it verifies nothing, and replaces nothing: see
    /// [`tenants`](Self::tenants).
    #[must_use]
    pub fn verifier(&self) -> Verifier {
        self.config.verifier.clone()
    }

    /// Says that secrets of tenants have changed. `None` unless the layer is one [for tenants](Self::for_tenants). Take
    /// it before the layer is mounted.
    #[must_use]
    pub fn tenants(&self) -> Option<TenantCache> {
        self.config.tenants.clone().map(TenantCache::new)
    }

    /// The store.
    #[must_use]
    pub fn store(&self) -> &Arc<St> {
        &self.config.core.store
    }

    /// The durations in force.
    pub fn timing(&self) -> &Timing {
        &self.config.core.timing
    }

    /// Waits at shutdown for handlers that outlived their request. Take it before the layer is mounted.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        Shutdown::new(Arc::clone(&self.config.core.tasks))
    }

    fn core_mut(&mut self) -> &mut Core<St> {
        Arc::make_mut(&mut self.config.core)
    }
}

impl<D: Dispatch, St: DedupStore> WebhookLayer<D, St> {
    /// The layer alone, as a service: for `route_service`, or a server without a router. Events that no handler
    /// takes are acknowledged with 200.
    ///
    /// Meant for a layer with a dispatch; without one it would acknowledge everything and do nothing, so that it
    /// does not compile:
    ///
    /// ```compile_fail,E0277
    /// use tower_webhook::{Secret, WebhookLayer, caspay};
    ///
    /// let service = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret").unwrap())
    ///     .unwrap()
    ///     .into_service();
    /// ```
    pub fn into_service(self) -> WebhookService<Unmounted, D, St>
    where
        D: Handles,
    {
        self.warn_once();
        WebhookService::new(None, self.dispatch, Arc::new(self.config))
    }

    /// Claim, dispatch and completion without HTTP.
    #[must_use]
    pub fn processor(&self) -> Processor<D, St> {
        let Config { core, provider, provider_name, scope, clock, tenants, .. } = &self.config;
        let source = Source {
            provider: Arc::clone(provider),
            provider_name: Arc::clone(provider_name),
            scope: Arc::clone(scope),
            clock: Arc::clone(clock),
            has_tenants: tenants.is_some(),
        };
        Processor::new(Arc::clone(core), source, self.dispatch.clone())
    }

    /// What is allowed but worth a look. Logged at WARN when the layer is mounted for the first time.
    ///
    /// ```
    /// use tower_webhook::{ConfigWarning, EventRouter, Secret, WebhookLayer, casapay};
    ///
    /// let layer = WebhookLayer::new(casapay::provider(), Secret::new("whsec_a-signing-secret")?)?
    ///     .with_dispatch(EventRouter::new().on_type("invoice.payed", async |_: serde_json::Value| ()));
    /// let misspelt = ConfigWarning::UnlistedEventType { event_type: "invoice.payed".to_owned() };
    /// assert!(layer.warnings().contains(&misspelt));
    /// # Ok::<(), tower_webhook::ConfigError>(())
    /// ```
    #[must_use]
    pub fn warnings(&self) -> Vec<ConfigWarning> {
        let Config { core, provider, .. } = &self.config;
        let (info, retention) = (core.store.info(), core.timing.retention());
        let mut warnings: Vec<_> = self
            .dispatch
            .event_types()
            .into_iter()
            .filter(|event_type| !lists(provider, event_type))
            .map(|event_type| ConfigWarning::UnlistedEventType { event_type })
            .collect();
        if provider.retries() == Retries::Never && core.dead_letter.is_none() {
            warnings.push(ConfigWarning::NeverRedelivered);
        }
        if provider.retries() == Retries::Undocumented {
            warnings.push(ConfigWarning::UndocumentedHorizon { retention });
        }
        if let (Retries::Documented { horizon, resigned: false }, Some(tolerance)) =
            (provider.retries(), provider.tolerance())
            && tolerance < horizon
        {
            warnings.push(ConfigWarning::StaleRetries { horizon, tolerance });
        }
        if !provider.signs_timestamp() && self.config.max_event_age.is_none_or(|age| age > retention) {
            let forgets = !info.durable() || info.capacity().is_some();
            warnings.push(ConfigWarning::ReplayWindow { retention, forgets });
        }
        if provider.handshakes().lacks_check() {
            warnings.push(ConfigWarning::HandshakeWithoutCheck);
        }
        if !provider.authenticator().covers_body() {
            warnings.push(ConfigWarning::BodyNotSigned);
        }
        if !provider.signs_event_type() && provider.authenticator().covers_body() {
            warnings.push(ConfigWarning::UnsignedEventType);
        }
        match provider.envelope().identity() {
            _ if provider.envelope().trusts_unsigned_id() => {}
            Identity::Nowhere => warnings.push(ConfigWarning::Unidentified),
            Identity::Digest if provider.signs_timestamp() && signs_anew(provider) => {
                warnings.push(ConfigWarning::RetriesRunAgain);
            }
            _ => {}
        }
        warnings
    }

    fn warn_once(&self) {
        if !self.config.warned.swap(true, Ordering::Relaxed) {
            for warning in self.warnings() {
                self.config.core.observer.warn(&warning);
            }
        }
    }
}

/// A dispatch that has handlers: all but [`NoDispatch`]. Implement it for a [`Dispatch`] of your own.
#[diagnostic::on_unimplemented(
    message = "this layer has no dispatch, so that nothing would handle what it verifies",
    label = "no dispatch",
    note = "give it one with `with_dispatch`, or put it around a service with `.layer(..)`"
)]
pub trait Handles: Dispatch {}

impl Handles for crate::dispatch::EventRouter {}
impl<T> Handles for crate::dispatch::Layered<T> where Self: Dispatch {}
impl<T> Handles for crate::dispatch::TakesAll<T> where Self: Dispatch {}

fn at_least_one(setting: &'static str, limit: usize) -> Result<usize, ConfigError> {
    if limit == 0 { Err(ConfigError::ZeroLimit { setting }) } else { Ok(limit) }
}

fn semaphore(setting: &'static str, permits: usize) -> Result<Semaphore, ConfigError> {
    Ok(Semaphore::new(at_least_one(setting, permits)?.min(Semaphore::MAX_PERMITS)))
}

fn needs(configured: bool, member: &'static str) -> Result<(), ConfigError> {
    if configured {
        return Ok(());
    }
    let problem = "the provider's envelope does not say where this is";
    Err(ConfigError::InvalidPath { path: member.to_owned(), problem })
}

/// Whether a retry brings another timestamp than the first attempt did.
fn signs_anew(provider: &Provider) -> bool {
    matches!(provider.retries(), Retries::Documented { resigned: true, .. })
}

/// Whether the provider documents a type, or a member of a family.
fn lists(provider: &Provider, event_type: &str) -> bool {
    let mut listed = provider.event_types().peekable();
    listed.peek().is_none()
        || listed.any(|known| {
            let family = |pattern: &str, member: &str| {
                pattern.strip_suffix('*').is_some_and(|prefix| member.starts_with(prefix))
            };
            known == event_type || family(known, event_type) || family(event_type, known)
        })
}

/// A configuration that works but may surprise. From [`WebhookLayer::warnings`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigWarning {
    /// A handler is registered for a type that the provider does not document: a misspelling is never called.
    UnlistedEventType {
        /// The type.
        event_type: String,
    },
    /// The provider never redelivers, and there is no dead-letter hook: an event that fails once is lost.
    NeverRedelivered,
    /// The provider does not say for how long it retries: a retry after the retention would run again.
    UndocumentedHorizon {
        /// How long done events are remembered.
        retention: Duration,
    },
    /// The provider retries with its first timestamp: what it sends after the tolerance is refused as stale.
    StaleRetries {
        /// For how long it retries.
        horizon: Duration,
        /// How old a timestamp may be.
        tolerance: Duration,
    },
    /// The provider signs no timestamp: a captured request can be replayed once its event is forgotten.
    ReplayWindow {
        /// How long done events are remembered.
        retention: Duration,
        /// Whether the store may forget earlier: on a restart, or when it is full.
        forgets: bool,
    },
    /// The provider's handshake brings a verify token or a topic, and none is configured: each is refused, and
    /// nothing will be delivered that has not been subscribed to before.
    HandshakeWithoutCheck,
    /// The body is not signed: whoever sees one request can send any other body.
    BodyNotSigned,
    /// The type is not signed, and the id is not everything that tells events apart: a captured request that is sent
    /// as another type runs again.
    UnsignedEventType,
    /// Nothing tells the provider's events apart: every delivery runs, a retry and a replay too.
    Unidentified,
    /// Events are told apart by a digest with the timestamp in it, and the provider signs retries anew: each runs again.
    RetriesRunAgain,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnlistedEventType { event_type } => {
                write!(f, "a handler is registered for `{event_type}`, which the provider does not document")
            }
            Self::NeverRedelivered => f.write_str(
                "the provider never redelivers, and there is no dead-letter hook: an event that fails is lost",
            ),
            Self::UndocumentedHorizon { retention } => write!(
                f,
                "the provider does not document how long it retries; done events are remembered for {}",
                InDays(*retention)
            ),
            Self::StaleRetries { horizon, tolerance } => write!(
                f,
                "the provider retries for {} with its first timestamp, and what is older than {} is refused: widen the \
                 tolerance",
                InDays(*horizon),
                InDays(*tolerance)
            ),
            Self::HandshakeWithoutCheck => f.write_str(
                "the provider subscribes by a verify token or a topic, and none is configured: every handshake will be \
                 refused",
            ),
            Self::BodyNotSigned => f.write_str(
                "the provider does not sign the body: whoever sees one request can send any other, so ask the provider \
                 before anything moves",
            ),
            Self::UnsignedEventType => f.write_str(
                "the provider does not sign an event's type: a captured request that is sent as another type runs again",
            ),
            Self::Unidentified => f.write_str(
                "nothing that the provider signs tells its events apart: every delivery runs, a retry and a replay too",
            ),
            Self::RetriesRunAgain => f.write_str(
                "the provider's events have no id, and its retries bring a new timestamp: each retry runs again",
            ),
            Self::ReplayWindow { retention, forgets } => {
                write!(
                    f,
                    "the provider signs no timestamp: a captured request can be replayed after {}",
                    InDays(*retention)
                )?;
                if *forgets {
                    f.write_str(", OR AS SOON AS THIS STORE FORGETS ITS EVENT: on a restart, or when it is full")?;
                }
                Ok(())
            }
        }
    }
}

/// Shows what is whole days as days: nobody reads 604800s as a week.
struct InDays(Duration);

impl fmt::Display for InDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let days = self.0.as_secs() / 86_400;
        if days > 1 && self.0 == Duration::from_secs(days * 86_400) {
            write!(f, "{days} days")
        } else {
            write!(f, "{:?}", self.0)
        }
    }
}

impl<S, D: Dispatch, St: DedupStore> Layer<S> for WebhookLayer<D, St> {
    type Service = WebhookService<S, D, St>;

    fn layer(&self, inner: S) -> Self::Service {
        self.warn_once();
        WebhookService::new(Some(inner), self.dispatch.clone(), Arc::new(self.config.clone()))
    }
}

impl<D: Clone, St> Clone for WebhookLayer<D, St> {
    fn clone(&self) -> Self {
        Self { config: self.config.clone(), dispatch: self.dispatch.clone() }
    }
}

impl<D, St> fmt::Debug for WebhookLayer<D, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.config.fmt(f)
    }
}

impl<St> fmt::Debug for Config<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookLayer")
            .field("provider", &self.provider)
            .field("scope", &self.scope)
            .field("verifier", &self.verifier)
            .field("timing", &self.core.timing)
            .field("body_limit", &self.body_limit)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_show_whole_days_as_days() {
        for (seconds, shown) in [(604_800, "7 days"), (604_801, "604801s"), (86_400, "86400s"), (0, "0ns")] {
            assert_eq!(InDays(Duration::from_secs(seconds)).to_string(), shown);
        }
        let retention = Duration::from_millis(172_800_500);
        let warning = ConfigWarning::UndocumentedHorizon { retention }.to_string();
        assert!(warning.ends_with("172800.5s"), "{warning}");
    }
}
