//! Endpoints that a manager keeps as they should be, at CasaPay and at Diddo.

use tower_webhook::endpoints::{
    Change, EndpointApi, EndpointErrorKind, EndpointManager, FileSink, RotationPolicy, RotationStep,
    StoreLock,
};
use tower_webhook::testing::simulator::{DiddoSettings, Fault, Operation, Platform, Simulator};
use tower_webhook::{EventRouter, LruStore, SecretUsage, State, WebhookLayer};

use super::{URL, casapay, count, diddo, failed};
use crate::support::Calls;

/// From nothing over drift and rotation to one endpoint again.
async fn is_managed<A: EndpointApi + Clone>(simulator: &Simulator, api: A, types: [&str; 3]) {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::new(directory.path());
    let manager =
        EndpointManager::new(api.clone(), sink.clone()).with_lock(StoreLock::new(LruStore::new(100)));
    let provider = api.provider().to_owned();

    let created = manager.ensure_endpoint(URL, [types[0], types[1]]).await.unwrap();
    assert_eq!(created.change, Change::Created);
    let first = created.endpoint_id;
    assert_eq!(sink.secrets(&provider).unwrap().labels().collect::<Vec<_>>(), [&*first]);
    assert_eq!(manager.ensure_endpoint(URL, [types[1], types[0]]).await.unwrap().change, Change::Unchanged);
    let drifted = manager.ensure_endpoint(URL, [types[1], types[2]]).await.unwrap().change;
    let (added, removed) = (vec![types[2].to_owned()], vec![types[0].to_owned()]);
    assert_eq!(drifted, Change::Updated { added, removed });

    let rotation = manager.begin_rotation(URL).await.unwrap();
    assert_eq!(rotation.old, first);
    assert_eq!(sink.secrets(&provider).unwrap().labels().count(), 2);
    let ensured = manager.ensure_endpoint(URL, [types[0]]).await.unwrap();
    assert_eq!((&ensured.endpoint_id, &ensured.replaces), (&rotation.new, &Some(first.clone())));
    let listed = api.list().await.unwrap();
    assert!(
        listed.iter().all(|endpoint| endpoint.events() == [types[0]]),
        "both are kept in step: {listed:?}"
    );

    let used = |_: &str| {
        let then = std::time::SystemTime::UNIX_EPOCH;
        Some(SecretUsage::new(then, Some(then)))
    };
    let policy = RotationPolicy::new(std::time::Duration::ZERO, std::time::Duration::ZERO);
    assert_eq!(manager.advance_rotation(URL, policy, used).await.unwrap(), RotationStep::Paused);
    let retired = manager.advance_rotation(URL, policy, used).await.unwrap();
    assert_eq!(retired, RotationStep::Retired { old: first });
    assert_eq!(manager.advance_rotation(URL, policy, used).await.unwrap(), RotationStep::NotRotating);
    assert_eq!(sink.secrets(&provider).unwrap().labels().collect::<Vec<_>>(), [&*rotation.new]);
    assert_eq!(count(simulator, Operation::Create), 2);
}

#[tokio::test]
async fn casapay_is_managed() {
    let simulator = Simulator::builder().start().await.unwrap();
    let types = ["invoice.paid", "charge.failed", "charge.refunded"];
    is_managed(&simulator, casapay(&simulator), types).await;
}

#[tokio::test]
async fn diddo_is_managed() {
    let simulator = Simulator::builder().start().await.unwrap();
    let types = ["order.submitted", "checkout.failed", "checkout.succeeded"];
    is_managed(&simulator, diddo(&simulator), types).await;
}

/// The secret of an endpoint whose creation was not answered is known to nobody.
#[tokio::test]
async fn a_lost_creation_is_found_and_can_be_mended() {
    let simulator = Simulator::builder().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let client = casapay(&simulator);
    let manager = EndpointManager::new(client.clone(), FileSink::new(directory.path()));
    simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, Fault::LostAnswer);
    let error = failed(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    assert_eq!(error.kind(), EndpointErrorKind::OutcomeUnknown);
    let listed = client.list().await.unwrap();
    assert_eq!(error.endpoint_ids(), [listed[0].id.clone()]);

    let error = failed(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    assert_eq!(
        (error.kind(), error.endpoint_ids()),
        (EndpointErrorKind::SecretUnknown, &[listed[0].id.clone()][..])
    );
    assert_eq!(count(&simulator, Operation::Create), 1, "no second endpoint");

    // Either it is deleted by hand, or replaced by one whose secret is known.
    assert_eq!(failed(manager.begin_rotation(URL).await).kind(), EndpointErrorKind::SecretUnknown);
    let rotation = manager.replace_lost_secret(URL).await.unwrap();
    assert_eq!(rotation.old, listed[0].id);
    let ensured = manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
    assert_eq!(ensured.endpoint_id, rotation.new);
}

/// Instances that start at once make one endpoint.
#[tokio::test]
async fn instances_that_start_together_create_one_endpoint() {
    let simulator = Simulator::builder().start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(LruStore::new(100));
    let ensured = (0..5).map(|_| {
        let manager = EndpointManager::new(casapay(&simulator), FileSink::new(directory.path()));
        let manager = manager.with_lock(StoreLock::new(std::sync::Arc::clone(&store)));
        async move { manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap().change }
    });
    let changes = futures_util::future::join_all(ensured).await;
    assert_eq!(changes.iter().filter(|change| **change == Change::Created).count(), 1);
    assert_eq!(changes.iter().filter(|change| **change == Change::Unchanged).count(), 4);
    assert_eq!(count(&simulator, Operation::Create), 1);
}

/// A real receiver of what a rotation of Diddo delivers twice.
#[tokio::test]
async fn both_endpoints_of_diddo_deliver_and_each_event_has_one_effect() {
    let simulator = Simulator::builder().with_speed(1_000).start().await.unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/webhooks/diddo", listener.local_addr().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::new(directory.path());
    let first = EndpointManager::new(diddo(&simulator), sink.clone());
    first.ensure_endpoint(&url, ["order.submitted"]).await.unwrap();

    let calls = Calls::default();
    let events = EventRouter::new().on_type("order.submitted", on_order).with_state(calls.clone());
    let layer =
        WebhookLayer::new(DiddoSettings::provider().unwrap(), sink.secrets("diddo").unwrap()).unwrap();
    let layer = layer.with_dispatch(events);
    let app = axum::Router::new().route_service("/webhooks/diddo", layer.clone().into_service());
    let server = tokio::spawn(async { axum::serve(listener, app).await });

    let manager = EndpointManager::new(diddo(&simulator), sink.feeding("diddo", layer.verifier()));
    let rotation = manager.begin_rotation(&url).await.unwrap();
    for number in 0..10 {
        simulator.emit(Platform::Diddo, "order.submitted", serde_json::json!({ "order": number }));
    }
    simulator.settled().await;
    assert_eq!(calls.count(), 10);
    let attempts = simulator.attempts();
    for endpoint in [&rotation.old, &rotation.new] {
        let accepted = attempts.iter().filter(|one| one.endpoint == *endpoint && one.status == Some(200));
        assert_eq!(accepted.count(), 10, "{attempts:?}");
    }
    assert!(attempts.iter().all(|one| matches!(one.status, Some(200 | 503))), "{attempts:?}");
    server.abort();
}

async fn on_order(_: serde_json::Value, State(calls): State<Calls>) {
    calls.add();
}
