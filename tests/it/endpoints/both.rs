//! A rotation as its receiver lives through it: real requests by both endpoints to a real layer, which a sink feeds.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use serde_json::json;
use tempfile::TempDir;
use tower::ServiceExt as _;
use tower_webhook::endpoints::{EndpointManager, FileSink, RotationPolicy, RotationStep};
use tower_webhook::testing::SignedRequest;
use tower_webhook::{
    Accepted, EventRouter, LruStore, RejectionReason, Secret, SecretUsage, WebhookLayer, casapay,
};

use super::api::URL;
use super::memory::Memory;
use crate::stage::verdict;
use crate::support::{Calls, accepted, reason};

type Layer = WebhookLayer<EventRouter, LruStore>;

/// A service with one endpoint, `we_1`, whose secrets are in a directory and in its layer.
struct Shop {
    api: Memory,
    manager: EndpointManager<Memory, FileSink>,
    layer: Layer,
    calls: Calls,
    _directory: TempDir,
}

impl Shop {
    async fn open() -> Self {
        let (directory, api) = (tempfile::tempdir().unwrap(), Memory::of("casapay"));
        let sink = FileSink::new(directory.path());
        let first = EndpointManager::new(api.clone(), sink.clone());
        first.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
        let calls = Calls::default();
        let layer = WebhookLayer::new(casapay::provider(), sink.secrets("casapay").unwrap())
            .unwrap()
            .with_store(LruStore::new(100))
            .with_dispatch(calls.router());
        let sink = sink.feeding("casapay", layer.verifier());
        Self { manager: EndpointManager::new(api.clone(), sink), api, layer, calls, _directory: directory }
    }

    /// The event as the endpoint `by` delivers it.
    async fn deliver(&self, event: &str, by: &str) -> (u16, &'static str) {
        verdict(&deliver(&self.layer, event, &Memory::secret(by)).await)
    }

    fn usage(&self, label: &str) -> Option<SecretUsage> {
        self.layer.verifier().secret_usage(label)
    }

    async fn advance(&self, policy: RotationPolicy) -> RotationStep {
        let verifier = self.layer.verifier();
        let usage = move |label: &str| verifier.secret_usage(label);
        self.manager.advance_rotation(URL, policy, usage).await.unwrap()
    }
}

async fn deliver(layer: &Layer, event: &str, secret: &Secret) -> crate::support::Answered {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let body = json!({"id": event, "object": "event", "type": "invoice.paid", "created": now, "data": {"object": {}}});
    let provider = casapay::provider();
    let request = SignedRequest::new(&provider, secret, body.to_string()).build();
    layer.clone().into_service().oneshot(request).await.unwrap()
}

const HANDLED: (u16, &str) = (200, "handled");
const DUPLICATE: (u16, &str) = (200, "duplicate");

#[tokio::test]
async fn each_event_has_one_effect_by_whichever_endpoint_it_comes_first() {
    let shop = Shop::open().await;
    assert_eq!(shop.deliver("evt_0", "we_1").await, HANDLED);
    let rotation = shop.manager.begin_rotation(URL).await.unwrap();
    assert_eq!((&*rotation.old, &*rotation.new), ("we_1", "we_2"));
    for (event, first, second) in [("evt_1", "we_1", "we_2"), ("evt_2", "we_2", "we_1")] {
        assert_eq!(shop.deliver(event, first).await, HANDLED);
        assert_eq!(shop.deliver(event, second).await, DUPLICATE);
    }
    assert_eq!(shop.deliver("evt_0", "we_2").await, DUPLICATE, "from before the rotation");
    assert_eq!(shop.calls.count(), 3);

    // Together.
    let (one, other) = tokio::join!(shop.deliver("evt_3", "we_1"), shop.deliver("evt_3", "we_2"));
    assert!(one == HANDLED || other == HANDLED, "{one:?} {other:?}");
    assert_eq!(shop.calls.count(), 4);
}

#[tokio::test]
async fn what_comes_before_the_secret_does_is_answered_503_and_comes_again() {
    let shop = Shop::open().await;
    let early: Arc<Mutex<Vec<_>>> = Arc::default();
    let (layer, seen) = (shop.layer.clone(), Arc::clone(&early));
    shop.api.during_creation(move |secret| {
        let (layer, seen) = (layer.clone(), Arc::clone(&seen));
        async move {
            let answer = deliver(&layer, "evt_1", &secret).await;
            seen.lock().unwrap().push((answer.status().as_u16(), reason(&answer)));
            // What is signed the old way is none the worse for it.
            let answer = deliver(&layer, "evt_2", &Memory::secret("we_1")).await;
            assert_eq!(accepted(&answer), Some(Accepted::Handled));
        }
        .boxed()
    });
    assert_eq!(shop.deliver("evt_1", "we_2").await, (401, "signature_mismatch"), "nobody has announced it");
    shop.manager.begin_rotation(URL).await.unwrap();
    assert_eq!(*early.lock().unwrap(), [(503, Some(RejectionReason::SecretsUnavailable))]);
    assert_eq!(shop.deliver("evt_1", "we_2").await, HANDLED);
    assert_eq!(
        shop.deliver("evt_1", "we_3").await,
        (401, "signature_mismatch"),
        "nothing is awaited any more"
    );
}

#[tokio::test]
async fn a_rotation_ends_with_the_old_secret_refused() {
    let shop = Shop::open().await;
    shop.manager.begin_rotation(URL).await.unwrap();
    let hour = Duration::from_secs(3600);
    let policy = RotationPolicy::new(Duration::ZERO, hour);
    assert_eq!(shop.deliver("evt_1", "we_1").await, HANDLED);
    assert_eq!(shop.advance(policy).await, RotationStep::NewUnused);
    assert_eq!(shop.deliver("evt_1", "we_2").await, DUPLICATE);
    assert!(shop.usage("we_2").unwrap().last_used().is_some(), "labelled with the endpoint's id");
    assert_eq!(shop.advance(policy).await, RotationStep::Paused);
    // A retry of what the old one sent before it was paused.
    assert_eq!(shop.deliver("evt_2", "we_1").await, HANDLED);
    assert!(matches!(shop.advance(policy).await, RotationStep::NotQuiet { until: Some(_) }));
    assert_eq!(shop.deliver("evt_3", "we_1").await, HANDLED);

    let at_once = RotationPolicy::new(Duration::ZERO, Duration::ZERO);
    let retired = shop.advance(at_once).await;
    assert_eq!(retired, RotationStep::Retired { old: "we_1".to_owned() });
    assert_eq!(shop.deliver("evt_4", "we_1").await, (401, "signature_mismatch"));
    assert_eq!(shop.deliver("evt_4", "we_2").await, HANDLED);
    assert_eq!((shop.usage("we_1"), shop.api.ids()), (None, vec!["we_2".to_owned()]));
}
