//! What is held back for a batch: it ends when somebody waits, and with its endpoint.

use serde_json::{Value, json};
use tower_webhook::testing::simulator::{Behaviour, Platform, Simulator};

use super::stand::{Receiver, Say, casapay, diddo, settled, simulator, subscribed, until};

fn emit(simulator: &Simulator) -> String {
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"})).event
}

#[tokio::test]
async fn what_is_emitted_while_somebody_waits_is_not_held() {
    let simulator = simulator().await;
    let receiver = Receiver::start([Say::Held(200)]).await;
    subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    simulator.set_behaviour(Platform::CasaPay, Behaviour::default().with_out_of_order(5, 1));
    let first = emit(&simulator);
    let waiting = tokio::spawn({
        let simulator = simulator.clone();
        async move { settled(&simulator).await }
    });
    // The wait has begun, and has released what was held.
    receiver.has(1).await;
    let second = emit(&simulator);
    receiver.has(2).await;
    receiver.let_go();
    waiting.await.unwrap();
    assert_eq!(simulator.pending(), 0);
    let ids: Vec<_> = receiver.received().iter().map(|received| received.json()["id"].clone()).collect();
    assert_eq!(ids, [json!(first), json!(second)]);

    // Nobody waits any more: the next is held again.
    emit(&simulator);
    assert_eq!((simulator.pending(), receiver.received().len()), (1, 2));
}

#[tokio::test]
async fn what_is_held_ends_with_its_endpoint() {
    for end in ["delete", "disable"] {
        let simulator = simulator().await;
        let receiver = Receiver::start([]).await;
        let (endpoint, _) = subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
        let (other, _) = subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
        simulator.set_behaviour(Platform::CasaPay, Behaviour::default().with_out_of_order(3, 1));
        emit(&simulator);
        assert_eq!(simulator.pending(), 2, "{end}");
        let path = format!("/webhook_endpoints/{endpoint}");
        let status = match end {
            "delete" => casapay(&simulator, "DELETE", &path, Value::Null).await.status,
            _ => casapay(&simulator, "POST", &path, json!({"status": "disabled"})).await.status,
        };
        assert_eq!(status, 200, "{end}");
        assert_eq!(simulator.pending(), 1, "{end}: the other's alone");
        assert!(receiver.received().is_empty(), "{end}");

        // Nor does it count for the batch: the second event makes two, the third three.
        emit(&simulator);
        assert_eq!((simulator.pending(), receiver.received().len()), (2, 0), "{end}");
        emit(&simulator);
        until(|| simulator.pending() == 0).await;
        let attempts = simulator.attempts();
        assert!(attempts.iter().all(|attempt| attempt.endpoint == other), "{end}");
        assert_eq!(attempts.len(), 3, "{end}");
    }
}

#[tokio::test]
async fn of_a_deleted_endpoint_of_diddo_nothing_is_held() {
    let simulator = simulator().await;
    let body = json!({"url": "http://127.0.0.1:9/", "events": ["order.submitted"]});
    let created = diddo(&simulator, "POST", "/webhook", body).await.json();
    simulator.set_behaviour(Platform::Diddo, Behaviour::default().with_out_of_order(5, 1));
    simulator.emit(Platform::Diddo, "order.submitted", json!({"order": 7}));
    assert_eq!(simulator.pending(), 1);
    let path = format!("/webhook/{}", created["id"].as_str().unwrap());
    assert_eq!(diddo(&simulator, "DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(simulator.pending(), 0);
    assert!(simulator.attempts().is_empty());
}
