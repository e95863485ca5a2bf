//! The metrics, as a recorder is given them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;

use futures_util::future::join;
use metrics::LocalRecorderGuard;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use tower::ServiceExt as _;
use tower_webhook::testing::faulty::{Fault, Operation};
use tower_webhook::{
    Accepted, Delivery, EventRouter, LruStore, OnStoreFailure, RejectionReason as R, WebhookLayer, casapay,
    caspay,
};

use super::stats::{Gate, lose_a_lease};
use super::{SECOND, event, event_signed_at, forged, from, receiver, refusals, with_handler};
use crate::support::{
    Calls, NOW, Receiver, accepted, casapay_body, caspay_body, from_caspay, reason, secrets,
};

/// Each metric with its labels as it would be written down, and what was recorded since the last look.
type Metered = BTreeMap<String, DebugValue>;

fn read(snapshotter: &Snapshotter) -> Metered {
    let all = snapshotter.snapshot().into_vec().into_iter();
    all.map(|(key, _, _, value)| {
        let (_, key) = key.into_parts();
        let labels = key.labels().map(|label| format!("{}={:?}", label.key(), label.value()));
        (format!("{}{{{}}}", key.name(), labels.collect::<Vec<_>>().join(",")), value)
    })
    .collect()
}

/// Lives as long as the test: a guard for this thread alone needs a recorder that does.
fn record() -> (LocalRecorderGuard<'static>, Snapshotter) {
    let recorder: &'static DebuggingRecorder = Box::leak(Box::default());
    (metrics::set_default_local_recorder(recorder), recorder.snapshotter())
}

fn count(counts: u64) -> DebugValue {
    DebugValue::Counter(counts)
}

fn gauge(value: f64) -> DebugValue {
    DebugValue::Gauge(value.into())
}

fn values(values: impl IntoIterator<Item = f64>) -> DebugValue {
    DebugValue::Histogram(values.into_iter().map(Into::into).collect())
}

fn metered<const N: usize>(expected: [(&str, DebugValue); N]) -> Metered {
    expected.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// The whole of what one delivery records, and nothing else.
#[tokio::test(start_paused = true)]
async fn an_accepted_delivery() {
    let receiver = with_handler(receiver(), async |_| tokio::time::sleep(SECOND * 3 / 2).await);
    let (_guard, snapshotter) = record();
    receiver.clock.advance(7 * SECOND);
    receiver.send(event("evt_1")).await;
    let bytes = casapay_body("evt_1", "invoice.paid").len();
    let expected = metered([
        (r#"webhook_body_bytes{provider="casapay"}"#, values([f64::from(u32::try_from(bytes).unwrap())])),
        (r#"webhook_clock_skew_seconds{provider="casapay"}"#, values([7.0])),
        (r#"webhook_deliveries_total{provider="casapay",outcome="accepted",reason="handled"}"#, count(1)),
        (r#"webhook_handler_seconds{provider="casapay"}"#, values([1.5])),
        (r#"webhook_handlers_in_flight{provider="casapay"}"#, gauge(0.0)),
        (r#"webhook_verified_total{provider="casapay",secret="current"}"#, count(1)),
    ]);
    assert_eq!(read(&snapshotter), expected);
}

#[tokio::test]
async fn refusals_by_reason() {
    for (reason, request) in refusals() {
        let receiver = receiver();
        let (_guard, snapshotter) = record();
        receiver.send(request).await;
        receiver.send(forged("evt_1")).await;
        let mut all = read(&snapshotter);
        all.retain(|name, _| name.starts_with("webhook_deliveries_total"));
        let name = |reason: R| {
            format!(r#"webhook_deliveries_total{{provider="casapay",outcome="rejected",reason="{reason}"}}"#)
        };
        let mut expected = BTreeMap::from([(name(R::SignatureMismatch), count(1))]);
        let both = reason == R::SignatureMismatch;
        expected.insert(name(reason), count(if both { 2 } else { 1 }));
        assert_eq!(all, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates_that_are_done_and_that_are_in_flight() {
    let (gate, receiver) = Gate::before(receiver());
    let (_guard, snapshotter) = record();
    let second = async {
        let answer = receiver.send(event("evt_1")).await;
        gate.open();
        answer
    };
    let (_, in_flight) = join(receiver.send(event("evt_1")), second).await;
    assert_eq!(reason(&in_flight), Some(R::InFlight));
    for _ in 0..2 {
        assert_eq!(accepted(&receiver.send(event("evt_1")).await), Some(Accepted::Duplicate));
    }
    let all = read(&snapshotter);
    assert_eq!(all[r#"webhook_duplicates_total{provider="casapay",state="in_flight"}"#], count(1));
    assert_eq!(all[r#"webhook_duplicates_total{provider="casapay",state="done"}"#], count(2));
}

/// A look at the recorder takes what it finds: what is down by one then was up by one before.
#[tokio::test(start_paused = true)]
async fn handlers_in_flight_until_they_end_however_they_end() {
    let (gate, receiver) = Gate::before(receiver());
    let (_guard, snapshotter) = record();
    assert_eq!(reason(&receiver.send(event("evt_1")).await), Some(R::RespondByPassed));
    let name = r#"webhook_handlers_in_flight{provider="casapay"}"#;
    let seconds = r#"webhook_handler_seconds{provider="casapay"}"#;
    let all = read(&snapshotter);
    assert_eq!(all[name], gauge(1.0), "it goes on after its request");
    assert!(!all.contains_key(seconds));
    gate.open();
    assert!(receiver.layer.shutdown().drain(SECOND).await.is_complete());
    let all = read(&snapshotter);
    assert_eq!(all[name], gauge(-1.0));
    assert_eq!(all[seconds], values([4.0]), "as long as `respond_by`");

    let panicking = with_handler(receiver, |_| {
        async fn panics() {
            panic!("out of range")
        }
        panics()
    });
    panicking.send(event("evt_2")).await;
    let stuck = with_handler(panicking, |_| pending::<()>());
    stuck.send(event("evt_3")).await;
    assert!(stuck.layer.shutdown().drain(60 * SECOND).await.is_complete());
    let all = read(&snapshotter);
    assert_eq!(all[name], gauge(0.0));
    assert_eq!(all[seconds], values([0.0, 20.0]), "one panicked at once, one ran into its timeout");
}

/// Positive where the sender is behind. Only authentic deliveries say anything about the clocks.
#[tokio::test]
async fn clock_skew_with_its_sign() {
    let receiver = receiver();
    let (_guard, snapshotter) = record();
    receiver.send(event_signed_at("evt_1", NOW - 100)).await;
    receiver.send(event_signed_at("evt_2", NOW + 100)).await;
    receiver.send(event_signed_at("evt_3", NOW - 4_000)).await;
    receiver.send(event_signed_at("evt_4", NOW + 4_000)).await;
    receiver.send(forged("evt_5")).await;
    let skews = values([100.0, -100.0, 4_000.0, -4_000.0]);
    assert_eq!(read(&snapshotter)[r#"webhook_clock_skew_seconds{provider="casapay"}"#], skews);

    let receiver = Receiver::new(caspay::provider());
    receiver.handles(from_caspay(caspay_body("evt_1"))).await;
    let all = read(&snapshotter);
    assert!(!all.keys().any(|name| name.starts_with("webhook_clock_skew") && name.contains("caspay")));
}

#[tokio::test]
async fn young_marks_that_were_evicted() {
    let calls = Calls::default();
    let layer = WebhookLayer::new(caspay::provider(), secrets())
        .unwrap()
        .with_store(LruStore::new(1))
        .with_dispatch(calls.router());
    let (_guard, snapshotter) = record();
    let receive = async |id: &str| {
        let request = from_caspay(caspay_body(id));
        layer.clone().into_service().oneshot(request).await.unwrap();
    };
    receive("evt_1").await;
    assert!(!read(&snapshotter).contains_key("webhook_dedup_evicted_young_total{}"));
    receive("evt_2").await;
    assert_eq!(read(&snapshotter)["webhook_dedup_evicted_young_total{}"], count(1));
    receive("evt_1").await;
    assert_eq!(calls.count(), 3, "what was evicted runs again");
}

#[tokio::test]
async fn failures_of_the_store_by_operation() {
    let mut receiver = with_handler(receiver(), async |_| Err::<(), _>("in vain"));
    receiver.layer = receiver.layer.with_on_store_failure(OnStoreFailure::Reject);
    let (_guard, snapshotter) = record();
    receiver.store.next(Operation::Claim, 2, Fault::Unavailable);
    receiver.store.next(Operation::Release, 1, Fault::Unavailable);
    for id in ["evt_1", "evt_2", "evt_3"] {
        receiver.send(event(id)).await;
    }
    let receiver = with_handler(receiver, async |_| ());
    receiver.store.next(Operation::Complete, 1, Fault::Unavailable);
    receiver.send(event("evt_4")).await;
    let mut all = read(&snapshotter);
    all.retain(|name, _| name.starts_with("webhook_store_failures_total"));
    let expected = metered([
        (r#"webhook_store_failures_total{provider="casapay",operation="claim"}"#, count(2)),
        (r#"webhook_store_failures_total{provider="casapay",operation="complete"}"#, count(1)),
        (r#"webhook_store_failures_total{provider="casapay",operation="release"}"#, count(1)),
    ]);
    assert_eq!(all, expected);
}

#[tokio::test]
async fn leases_that_were_lost() {
    let (_guard, snapshotter) = record();
    lose_a_lease().await;
    assert_eq!(read(&snapshotter)[r#"webhook_leases_lost_total{provider="casapay"}"#], count(1));
}

#[tokio::test]
async fn api_versions_that_drifted() {
    let receiver = receiver();
    let (_guard, snapshotter) = record();
    receiver.handles(event("evt_1")).await;
    let drifted = casapay_body("evt_2", "invoice.paid").replace("2025-01-15", "2026-02-01");
    receiver.handles(from(&casapay::provider(), drifted)).await;
    assert_eq!(read(&snapshotter)[r#"webhook_api_version_drift_total{provider="casapay"}"#], count(1));
}

/// What a sender chooses must not become a label: it could fill the memory of whoever keeps the series.
#[tokio::test]
async fn a_hostile_event_adds_no_label() {
    let mut receiver = receiver();
    receiver.layer = receiver.layer.with_endpoint("eu").unwrap().with_dispatch(
        EventRouter::new()
            .on_type("invoice.paid", async |_: serde_json::Value| ())
            .on_type("hostile.*", async |_: serde_json::Value| Err::<(), _>("no")),
    );
    let (_guard, snapshotter) = record();
    let events = |index: usize, hostile: &str| {
        ["invoice.paid", "other", "hostile.x"].map(|event_type| {
            let event_type = if event_type == "invoice.paid" {
                event_type.to_owned()
            } else {
                format!("{event_type}{hostile}")
            };
            let body = casapay_body(&format!("evt_{index}{hostile}"), &event_type);
            from(&casapay::provider(), body.replace("2025-01-15", &format!("2026{hostile}")))
        })
    };
    for request in events(0, "") {
        receiver.send(request).await;
    }
    let benign: Vec<_> = read(&snapshotter).into_keys().collect();
    assert!(benign.iter().any(|name| name.contains("unhandled")), "{benign:?}");
    assert!(benign.iter().any(|name| name.contains("handler_failed")), "{benign:?}");
    assert!(benign.iter().all(|name| name.contains(r#"{provider="casapay/eu""#)), "{benign:?}");
    for index in 1..20 {
        for request in events(index, &format!(r#"\"}} 1\nforged_total{{id=\"{index}"#)) {
            receiver.send(request).await;
        }
    }
    let hostile = read(&snapshotter);
    assert_eq!(hostile.keys().collect::<Vec<_>>(), benign.iter().collect::<Vec<_>>());
    let handled = r#"webhook_deliveries_total{provider="casapay/eu",outcome="accepted",reason="handled"}"#;
    assert_eq!(hostile[handled], count(19), "they came that far");
}

/// Handles to metrics are not kept: whichever recorder is there is given what happens.
#[tokio::test]
async fn a_recorder_may_be_installed_late() {
    let receiver = receiver();
    receiver.handles(event("evt_1")).await;
    let handled = r#"webhook_deliveries_total{provider="casapay",outcome="accepted",reason="handled"}"#;
    for id in ["evt_2", "evt_3"] {
        let (_guard, snapshotter) = record();
        receiver.handles(event(id)).await;
        assert_eq!(read(&snapshotter)[handled], count(1));
    }
}

#[tokio::test]
async fn each_endpoint_has_its_own_series() {
    let receiver = receiver();
    let (_guard, snapshotter) = record();
    let eu = receiver
        .layer
        .clone()
        .with_endpoint("eu")
        .unwrap()
        .with_dispatch(EventRouter::new().fallback(async |_: Delivery| ()));
    receiver.handles(event("evt_1")).await;
    eu.into_service().oneshot(event("evt_1")).await.unwrap();
    let all = read(&snapshotter);
    for scope in ["casapay", "casapay/eu"] {
        let name =
            format!(r#"webhook_deliveries_total{{provider="{scope}",outcome="accepted",reason="handled"}}"#);
        assert_eq!(all[&name], count(1));
    }
}

/// The reference names every metric that there is, and no other.
#[tokio::test]
async fn the_reference_is_complete() {
    let (_guard, snapshotter) = record();
    let receiver = lose_a_lease().await;
    receiver.store.next(Operation::Claim, 1, Fault::Unavailable);
    receiver.send(event("evt_2")).await;
    receiver.send(event("evt_1")).await;
    let drifted = casapay_body("evt_3", "invoice.paid").replace("2025-01-15", "2026-02-01");
    receiver.send(from(&casapay::provider(), drifted)).await;
    let small = receiver.layer.clone().with_store(LruStore::new(1));
    for id in ["evt_1", "evt_2"] {
        small.clone().into_service().oneshot(event(id)).await.unwrap();
    }
    let recorded: BTreeSet<_> =
        read(&snapshotter).into_keys().map(|name| name.split_once('{').unwrap().0.to_owned()).collect();
    let reference = include_str!("../../../src/docs/observability.md");
    let rows = reference.lines().filter_map(|line| line.strip_prefix("| `webhook_")?.split_once('`'));
    let named: BTreeSet<_> = rows.map(|(name, _)| format!("webhook_{name}")).collect();
    assert_eq!(recorded, named);
}
