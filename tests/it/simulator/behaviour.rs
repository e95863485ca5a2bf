//! Deliveries that misbehave, at a receiver that is the library's own.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use serde_json::json;
use tower_webhook::testing::simulator::{Behaviour, Platform, Simulator, Verdict};
use tower_webhook::{Delivery, EventRouter, WebhookLayer, casapay};

use super::stand::{Receiver, Say, settled, simulator, subscribed};

/// A layer that writes down the ids of the events it handles, subscribed to invoices.
async fn library(simulator: &Simulator) -> (Receiver, Arc<Mutex<Vec<String>>>) {
    // The endpoint must be there before its secret is known: it is mounted when it is.
    let handled = Arc::<Mutex<Vec<String>>>::default();
    let slot = Arc::new(Mutex::new(None::<Router>));
    let mounted = Arc::clone(&slot);
    let app = Router::new().fallback(async move |request: axum::extract::Request| {
        let router = mounted.lock().unwrap().clone().unwrap();
        tower::ServiceExt::oneshot(router, request).await.unwrap()
    });
    let receiver = Receiver::of(app).await;
    let (_, secret) = subscribed(simulator, &receiver.url, &["invoice.paid"]).await;
    let ids = Arc::clone(&handled);
    let layer = WebhookLayer::new(casapay::provider(), secret).unwrap().with_dispatch(
        EventRouter::new().fallback(move |delivery: Delivery| {
            ids.lock().unwrap().push(delivery.id().to_owned());
            async {}
        }),
    );
    *slot.lock().unwrap() = Some(Router::new().route_service("/hook", layer.into_service()));
    (receiver, handled)
}

fn emit(simulator: &Simulator) -> String {
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1", "object": "invoice"})).event
}

#[tokio::test]
async fn concurrent_duplicates_are_handled_once() {
    let simulator = simulator().await;
    let (_receiver, handled) = library(&simulator).await;
    simulator.set_behaviour(Platform::CasaPay, Behaviour::default().with_copies(8));
    let ids: Vec<_> = (0..10).map(|_| emit(&simulator)).collect();
    settled(&simulator).await;

    let mut handled = handled.lock().unwrap().clone();
    handled.sort();
    let mut expected = ids.clone();
    expected.sort();
    assert_eq!(handled, expected);
    let attempts = simulator.attempts();
    assert_eq!(attempts.len(), 80);
    for id in &ids {
        let copies: Vec<_> =
            attempts.iter().filter(|attempt| attempt.event == *id).map(|attempt| attempt.copy).collect();
        assert_eq!(copies, [1, 2, 3, 4, 5, 6, 7, 8]);
    }
    assert!(attempts.iter().all(|attempt| attempt.verdict == Verdict::Accepted));
}

#[tokio::test]
async fn one_good_answer_among_copies_is_enough() {
    let simulator = simulator().await;
    let receiver = Receiver::start([Say::Status(503), Say::Status(503), Say::Status(200)]).await;
    subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    simulator.set_behaviour(Platform::CasaPay, Behaviour::default().with_copies(3));
    emit(&simulator);
    settled(&simulator).await;
    assert_eq!(receiver.received().len(), 3);
    let bodies: Vec<_> = receiver.received().iter().map(|received| received.body.clone()).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "copies are the same bytes");
    assert!(simulator.attempts().iter().all(|attempt| attempt.verdict == Verdict::Accepted));
}

#[tokio::test]
async fn a_sender_that_hangs_up_delivers_again() {
    let simulator = simulator().await;
    let (_receiver, handled) = library(&simulator).await;
    simulator.set_behaviour(Platform::CasaPay, Behaviour::default().with_disconnects(2));
    let id = emit(&simulator);
    settled(&simulator).await;
    let attempts = simulator.attempts();
    let answers: Vec<_> = attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!((answers[..2].iter().flatten().count(), answers[answers.len() - 1]), (0, Some(200)));
    // A retry may find the event in the works.
    assert!(answers[2..answers.len() - 1].iter().all(|status| *status == Some(503)));
    assert_eq!(attempts[0].why.as_deref(), Some("broken off before the answer"));
    assert_eq!(*handled.lock().unwrap(), [id], "handled, and once");
}

#[tokio::test]
async fn a_request_that_is_broken_off_is_whole() {
    let simulator = simulator().await;
    let receiver = Receiver::start([]).await;
    let (_, secret) = subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    simulator.set_behaviour(Platform::CasaPay, Behaviour::default().with_disconnects(u32::MAX));
    emit(&simulator);
    settled(&simulator).await;
    receiver.has(8).await;
    assert!(receiver.received().iter().all(|received| received.verifies(&casapay::provider(), &secret)));
    assert!(simulator.attempts().iter().all(|attempt| attempt.status.is_none()));
}

#[tokio::test]
async fn a_batch_is_held_back_and_sent_in_the_order_of_its_seed() {
    let mut orders = Vec::new();
    for seed in [7, 7, 8] {
        let simulator = simulator().await;
        let receiver = Receiver::start([]).await;
        subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
        simulator.set_behaviour(Platform::CasaPay, Behaviour::default().with_out_of_order(10, seed));
        let ids: Vec<_> = (0..9).map(|_| emit(&simulator)).collect();
        assert_eq!((simulator.pending(), receiver.received().len()), (9, 0), "held back");
        let ids = [ids, vec![emit(&simulator)]].concat();
        receiver.has(10).await;
        settled(&simulator).await;
        let order: Vec<_> = receiver
            .received()
            .iter()
            .map(|received| ids.iter().position(|id| received.json()["id"] == **id).unwrap())
            .collect();
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        assert_ne!(order, sorted, "shuffled");
        orders.push(order);
    }
    assert_eq!(orders[0], orders[1]);
    assert_ne!(orders[0], orders[2]);
}

#[tokio::test]
async fn what_is_held_back_is_sent_when_somebody_waits_or_behaves() {
    let simulator = simulator().await;
    let receiver = Receiver::start([]).await;
    subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    simulator.set_behaviour(Platform::CasaPay, Behaviour::default().with_out_of_order(100, 1));
    emit(&simulator);
    settled(&simulator).await;
    assert_eq!(receiver.received().len(), 1);
    emit(&simulator);
    simulator.set_behaviour(Platform::CasaPay, Behaviour::default());
    receiver.has(2).await;
}

#[tokio::test]
async fn a_trickled_body_verifies() {
    let simulator = simulator().await;
    let (_receiver, handled) = library(&simulator).await;
    let trickle = Behaviour::default().with_trickle(32, Duration::from_millis(20));
    simulator.set_behaviour(Platform::CasaPay, trickle);
    let started = std::time::Instant::now();
    let id = emit(&simulator);
    settled(&simulator).await;
    assert_eq!(*handled.lock().unwrap(), [id]);
    // Some 350 bytes are ten pieces at least.
    assert!(started.elapsed() >= Duration::from_millis(200));
}
