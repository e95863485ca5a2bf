//! `WebhookLayer::warnings`: each for its cause, none without one, logged once.

use std::convert::Infallible;
use std::time::Duration;

use http::{Request, Response};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_webhook::dedup::{Claim, ClaimRequest, Completion, DedupKey, Lease, StoreError, StoreInfo};
use tower_webhook::dispatch::Dispatch;
use tower_webhook::{
    Body, ConfigWarning, DeadLetter, DedupStore, Delivery, EventRouter, LruStore, Provider, Retries,
    SignatureScheme, WebhookLayer, caspay,
};
use tracing::Level;

use super::log::Log;
use crate::support::{caspay_body, from_caspay, secrets};

const DAY: Duration = Duration::from_secs(86_400);

/// Nothing to warn about: timestamps are signed, retries documented.
fn careful() -> Provider {
    let scheme = SignatureScheme::hmac_sha256("x-signature");
    let scheme = scheme.with_pairs("t", "v1").with_tolerance(Duration::from_secs(300));
    let retries = Retries::Documented { horizon: 3 * DAY, resigned: true };
    Provider::builder("acme")
        .signature(scheme)
        .retries(retries)
        .event_types(["order.paid", "order.refund.*"])
        .build()
        .unwrap()
}

fn with_retries(retries: Retries) -> Provider {
    let scheme = SignatureScheme::hmac_sha256("x-signature");
    let scheme = scheme.with_pairs("t", "v1").with_tolerance(Duration::from_secs(300));
    Provider::builder("acme").signature(scheme).retries(retries).build().unwrap()
}

fn layer(provider: Provider) -> WebhookLayer {
    WebhookLayer::new(provider, secrets()).unwrap()
}

async fn ignore(_: serde_json::Value) {}

async fn keep(_: DeadLetter) -> Result<(), std::io::Error> {
    Ok(())
}

/// Says that it is durable; holds nothing.
#[derive(Debug)]
struct Durable(LruStore);

impl DedupStore for Durable {
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        self.0.claim(request).await
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, StoreError> {
        self.0.complete(lease, retain).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.0.release(lease).await
    }

    async fn forget(&self, key: &DedupKey) -> Result<(), StoreError> {
        self.0.forget(key).await
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new(true, true)
    }
}

#[test]
fn none_without_a_cause() {
    assert_eq!(layer(careful()).warnings(), []);
    let events = EventRouter::new()
        .on_type("order.paid", ignore)
        .on_type("order.*", ignore)
        .on_type("order.refund.*", ignore)
        .on_type("order.refund.begun", ignore)
        .fallback(async |_: Delivery| ());
    assert_eq!(layer(careful()).with_dispatch(events).warnings(), []);
}

#[test]
fn a_type_that_the_provider_does_not_list() {
    let events = || EventRouter::new().on_type("order.payed", ignore).on_type("refund.*", ignore);
    let warnings = layer(careful()).with_dispatch(events()).warnings();
    let expected = ["order.payed", "refund.*"]
        .map(|event_type| ConfigWarning::UnlistedEventType { event_type: event_type.to_owned() });
    assert_eq!(warnings, expected);
    // A provider that lists nothing leaves nothing to compare with.
    let unlisted = with_retries(Retries::Documented { horizon: DAY, resigned: true });
    assert_eq!(layer(unlisted).with_dispatch(events()).warnings(), []);
}

#[test]
fn a_sender_that_never_retries_without_a_hook() {
    let never = || layer(with_retries(Retries::Never));
    assert_eq!(never().warnings(), [ConfigWarning::NeverRedelivered]);
    assert_eq!(never().with_dead_letter(keep).warnings(), []);
}

#[test]
fn an_undocumented_horizon() {
    let undocumented = layer(with_retries(Retries::Undocumented));
    assert_eq!(undocumented.warnings(), [ConfigWarning::UndocumentedHorizon { retention: 7 * DAY }]);
    let timing = undocumented.timing().clone().with_retention(30 * DAY);
    let longer = undocumented.with_timing(timing).unwrap();
    assert_eq!(longer.warnings(), [ConfigWarning::UndocumentedHorizon { retention: 30 * DAY }]);
}

/// What is not signed, or cannot be told apart, is said of the presets that it holds for.
#[test]
fn what_a_provider_does_not_sign() {
    let warned = |name: &str| {
        let provider = tower_webhook::provider::find(name).unwrap().provider();
        let secret = tower_webhook::testing::verifying_secret(
            &provider,
            &tower_webhook::Secret::new("0123456789abcdef".repeat(4)).unwrap(),
        );
        let warnings = WebhookLayer::new(provider, secret.unwrap()).unwrap().warnings();
        [
            ConfigWarning::BodyNotSigned,
            ConfigWarning::UnsignedEventType,
            ConfigWarning::Unidentified,
            ConfigWarning::RetriesRunAgain,
        ]
        .map(|warning| warnings.contains(&warning))
    };
    assert_eq!(warned("stripe"), [false; 4]);
    assert_eq!(warned("telegram"), [true, false, false, false]);
    assert_eq!(warned("mailomat"), [true, false, false, false]);
    assert_eq!(warned("github"), [false, true, false, false]);
    assert_eq!(warned("dropbox"), [false, false, true, false]);
    assert_eq!(warned("outpost"), [false, true, true, false]);
    assert_eq!(warned("revolut"), [false, false, false, true]);
    let trusting = tower_webhook::provider::find("woocommerce").unwrap().provider();
    let trusting = trusting.identify_by_unsigned_header().unwrap();
    assert!(!layer(trusting).warnings().contains(&ConfigWarning::Unidentified));
}

/// The windows of replay among the warnings of a layer.
fn replay<D: Dispatch, St: DedupStore>(layer: &WebhookLayer<D, St>) -> Vec<bool> {
    let windows = layer.warnings().into_iter().filter_map(|warning| match warning {
        ConfigWarning::ReplayWindow { retention, forgets } => {
            assert_eq!(retention, 7 * DAY);
            Some(forgets)
        }
        _ => None,
    });
    windows.collect()
}

#[test]
fn a_scheme_that_signs_no_timestamp() {
    let caspay = || layer(caspay::provider());
    assert_eq!(replay(&caspay()), [true], "the default store forgets");
    assert_eq!(replay(&caspay().with_store(Durable(LruStore::new(1)))), [false]);
    assert!(replay(&caspay().with_max_event_age(7 * DAY).unwrap()).is_empty());
    let nanosecond = Duration::from_nanos(1);
    assert_eq!(replay(&caspay().with_max_event_age(7 * DAY + nanosecond).unwrap()), [true]);
}

/// Puts the layer around a service that is never called.
fn around_a_service<D: Dispatch>(webhook: &WebhookLayer<D>) {
    let inner = service_fn(async |_: Request<Body>| Ok::<_, Infallible>(Response::new(Body::default())));
    drop(webhook.layer(inner));
}

/// What was logged, in the order of `warnings`.
fn logged(log: &Log) -> Vec<String> {
    let lines = log.outside();
    log.clear();
    lines
        .iter()
        .map(|line| {
            assert_eq!((line.level, line.fields.get("provider")), (Level::WARN, "caspay"));
            line.message().to_owned()
        })
        .collect()
}

#[tokio::test]
async fn logged_once_when_mounted() {
    let log = Log::listen();
    let events = EventRouter::new().on_type("payment.complete", ignore);
    let webhook = layer(caspay::provider()).with_dispatch(events);
    let warnings: Vec<_> = webhook.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert!(logged(&log).is_empty(), "not mounted yet");
    let service = webhook.clone().into_service();
    assert_eq!(logged(&log), warnings);
    service.oneshot(from_caspay(caspay_body("evt_1"))).await.unwrap();
    drop(webhook.clone().into_service());
    around_a_service(&webhook);
    assert!(logged(&log).is_empty(), "once for all clones");
}

#[tokio::test]
async fn logged_when_put_around_a_service() {
    let log = Log::listen();
    let webhook = layer(caspay::provider());
    for expected in [2, 0] {
        around_a_service(&webhook);
        assert_eq!(logged(&log).len(), expected);
    }
}

/// What one layer is the base of are receivers of their own: each has its own handlers to misspell.
#[tokio::test]
async fn logged_for_each_endpoint_and_each_dispatch() {
    let log = Log::listen();
    let base = layer(caspay::provider());
    around_a_service(&base);
    assert_eq!(logged(&log).len(), 2);
    let misspelled = base.clone().with_dispatch(EventRouter::new().on_type("payment.complete", ignore));
    drop(misspelled.into_service());
    assert_eq!(logged(&log).len(), 3);
    around_a_service(&base.clone().with_endpoint("eu").unwrap());
    assert_eq!(log.outside()[0].fields.get("provider"), "caspay/eu");
    assert_eq!(log.outside().len(), 2);
    log.clear();
    around_a_service(&base);
    assert!(logged(&log).is_empty(), "the base has been mounted before");
}

#[test]
fn retries_with_the_first_timestamp_need_a_wide_tolerance() {
    let stale = |horizon, resigned, tolerance| {
        let provider =
            with_retries(Retries::Documented { horizon, resigned }).with_tolerance(tolerance).unwrap();
        layer(provider).warnings()
    };
    let (horizon, tolerance) = (DAY, DAY - Duration::from_secs(1));
    let warnings = stale(horizon, false, tolerance);
    assert_eq!(warnings, [ConfigWarning::StaleRetries { horizon, tolerance }]);
    assert!(warnings[0].to_string().contains("widen the tolerance"), "{}", warnings[0]);
    assert_eq!(stale(horizon, false, horizon), []);
    assert_eq!(stale(horizon, true, tolerance), []);
}
