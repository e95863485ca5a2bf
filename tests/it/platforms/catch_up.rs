//! Catching up on a simulated CasaPay that has more to tell than fits into its answers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::json;
use tower_webhook::endpoints::CatchUp;
use tower_webhook::testing::ManualClock;
use tower_webhook::testing::simulator::{CASAPAY_LIVE_KEY, Platform, Simulator};
use tower_webhook::{Delivery, EventRouter, Secret, State, WebhookLayer, casapay};

use super::casapay_with;

/// What was handled, by id.
type Handled = Arc<Mutex<BTreeSet<String>>>;

async fn on_any(_: serde_json::Value, delivery: Delivery, State(handled): State<Handled>) {
    assert!(handled.lock().unwrap().insert(delivery.id().to_owned()), "once");
}

async fn on_other(delivery: Delivery, State(handled): State<Handled>) {
    assert!(handled.lock().unwrap().insert(delivery.id().to_owned()), "once");
}

/// Handlers for these types, or a fallback where there are none.
fn router(types: &[&str], handled: &Handled) -> EventRouter {
    let router =
        types.iter().fold(EventRouter::new(), |router, event_type| router.on_type(event_type, on_any));
    let router = if types.is_empty() { router.fallback(on_other) } else { router };
    router.with_state(Arc::clone(handled))
}

/// A day on which all rents are paid at once: 130 events of one second, and what came before and after.
#[tokio::test]
async fn a_busy_second_hides_nothing_that_is_handled_by_name() {
    let then = SystemTime::now() - Duration::from_secs(3600);
    let seconds = then.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for (types, is_whole) in
        [(&["invoice.paid", "charge.failed"][..], true), (&["invoice.*", "charge.*"], false), (&[], false)]
    {
        let clock = ManualClock::at_unix(seconds);
        let simulator = Simulator::builder().with_clock(clock.clone()).start().await.unwrap();
        let mut emitted = BTreeSet::new();
        let mut emit = |event_type: &str| {
            emitted.insert(
                simulator.emit(Platform::CasaPay, event_type, json!({"id": "x", "object": "y"})).event,
            );
        };
        emit("invoice.paid");
        clock.advance(Duration::from_secs(5));
        (0..70).for_each(|_| emit("invoice.paid"));
        (0..60).for_each(|_| emit("charge.failed"));
        clock.advance(Duration::from_secs(5));
        emit("charge.failed");

        let handled = Handled::default();
        let secret = Secret::new("whsec_0123456789abcdef").unwrap();
        let layer = WebhookLayer::new(casapay::provider(), secret).unwrap();
        let processor = layer.with_dispatch(router(types, &handled)).processor();
        let catch_up = CatchUp::new(casapay_with(&simulator, CASAPAY_LIVE_KEY), processor);
        let caught_up = catch_up.replay_missed(then - Duration::from_secs(60)).await.unwrap();
        assert_eq!(*handled.lock().unwrap(), emitted, "{types:?}: {caught_up}");
        assert_eq!(
            caught_up.is_complete(),
            is_whole,
            "what a pattern or a fallback takes has no names to ask for: {caught_up}"
        );
        assert_eq!(caught_up.overfull, if is_whole { vec![] } else { vec![seconds + 5] });
    }
}

/// More of one type than fits: it is said, and what comes later is still handled.
#[tokio::test]
async fn a_second_that_cannot_be_read_whole_is_reported_and_passed() {
    let then = SystemTime::now() - Duration::from_secs(3600);
    let clock = ManualClock::at_unix(then.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs());
    let simulator = Simulator::builder().with_clock(clock.clone()).start().await.unwrap();
    for _ in 0..101 {
        simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "x", "object": "y"}));
    }
    clock.advance(Duration::from_secs(1));
    let later = simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "x", "object": "y"})).event;

    let handled = Handled::default();
    let layer =
        WebhookLayer::new(casapay::provider(), Secret::new("whsec_0123456789abcdef").unwrap()).unwrap();
    let processor = layer.with_dispatch(router(&["invoice.paid"], &handled)).processor();
    let catch_up = CatchUp::new(casapay_with(&simulator, CASAPAY_LIVE_KEY), processor);
    let caught_up = catch_up.replay_missed(then - Duration::from_secs(60)).await.unwrap();
    assert_eq!((caught_up.overfull.len(), caught_up.is_complete()), (1, false));
    assert!(caught_up.to_string().contains("not all events could be read"), "{caught_up}");
    let handled = handled.lock().unwrap();
    assert!(handled.contains(&later) && handled.len() == 101, "a hundred, and one: {caught_up}");
}
