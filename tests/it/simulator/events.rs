//! CasaPay's events: what is listed, and what counts as delivered.

use serde_json::{Value, json};
use tower_webhook::testing::simulator::{
    CASAPAY_TEST_KEY, ListOrder, Platform, Schedule, Simulator, Verdict,
};

use super::stand::{Receiver, Say, call, casapay, settled, simulator, subscribed, until, with_schedule};

/// The ids that a query lists.
async fn listed(simulator: &Simulator, query: &str) -> Vec<String> {
    let reply = casapay(simulator, "GET", &format!("/events{query}"), Value::Null).await;
    assert_eq!(reply.status, 200, "{query}");
    let list = reply.json();
    assert_eq!(list["object"], "list");
    list["data"].as_array().unwrap().iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

fn emit(simulator: &Simulator, event_type: &str) -> String {
    simulator.emit(Platform::CasaPay, event_type, json!({"id": "obj_1", "object": "object"})).event
}

#[tokio::test]
async fn an_event_object_is_whole() {
    let simulator = simulator().await;
    let payload = json!({"id": "in_1", "object": "invoice", "amount": u64::MAX});
    let id = simulator.emit(Platform::CasaPay, "invoice.paid", payload.clone()).event;
    let reply = casapay(&simulator, "GET", &format!("/events/{id}"), Value::Null).await;
    assert_eq!(reply.status, 200);
    let mut event = reply.json();
    let mut taken = |name: &str| event.as_object_mut().unwrap().remove(name).unwrap();
    assert!(taken("created").as_u64().unwrap() > 1_700_000_000);
    let request = taken("request");
    assert!(request["id"].as_str().unwrap().starts_with("req_"));
    assert_eq!(request["idempotency_key"], Value::Null);
    assert!(id.starts_with("evt_"));
    assert_eq!(
        event,
        json!({
            "id": id, "object": "event", "type": "invoice.paid", "api_version": "2025-01-15", "livemode": true,
            "pending_webhooks": 0, "data": {"object": payload},
        })
    );
}

#[tokio::test]
async fn filters_and_limits() {
    let simulator = simulator().await;
    let ids: Vec<_> = ["invoice.paid", "charge.failed", "invoice.paid", "dispute.won"]
        .map(|event_type| emit(&simulator, event_type))
        .into_iter()
        .rev()
        .collect();
    let [won, paid, failed, first] = &ids[..] else { unreachable!() };
    let created = casapay(&simulator, "GET", &format!("/events/{first}"), Value::Null).await.json();
    let created = created["created"].as_u64().unwrap();

    assert_eq!(listed(&simulator, "").await, ids);
    assert_eq!(listed(&simulator, "?type=invoice.paid").await, [paid.clone(), first.clone()]);
    for types in [
        "types=charge.failed,dispute.won",
        "types=charge.failed&types=dispute.won",
        "types%5B%5D=charge.failed&types[]=dispute.won",
    ] {
        assert_eq!(listed(&simulator, &format!("?{types}")).await, [won.clone(), failed.clone()], "{types}");
    }
    assert!(listed(&simulator, "?types=").await.is_empty());
    assert!(listed(&simulator, "?type=invoice.paid&types=charge.failed").await.is_empty());
    assert_eq!(listed(&simulator, &format!("?created[gte]={created}")).await, ids);
    assert!(listed(&simulator, &format!("?created%5Blte%5D={}", created - 1)).await.is_empty());
    assert!(listed(&simulator, &format!("?created[gte]={}", created + 1_000)).await.is_empty());
    assert_eq!(listed(&simulator, "?delivery_success=false").await, ids);
    assert!(listed(&simulator, "?delivery_success=true").await.is_empty());
    assert_eq!(listed(&simulator, "?limit=2").await, ids[..2]);

    for (query, has_more) in [("?limit=3", true), ("?limit=4", false), ("?limit=100", false)] {
        let reply = casapay(&simulator, "GET", &format!("/events{query}"), Value::Null).await;
        assert_eq!(reply.json()["has_more"], has_more, "{query}");
    }
    for query in [
        "?limit=0",
        "?limit=101",
        "?limit=ten",
        "?created[gte]=yesterday",
        "?created=5",
        "?delivery_success=1",
        "?starting_after=evt_1",
        "?type=a&type=b",
    ] {
        let reply = casapay(&simulator, "GET", &format!("/events{query}"), Value::Null).await;
        assert_eq!(reply.status, 400, "{query}");
    }
}

#[tokio::test]
async fn the_order_is_a_setting_and_modes_are_apart() {
    let simulator = Simulator::builder().with_casapay_order(ListOrder::OldestFirst).start().await.unwrap();
    let (first, second) = (emit(&simulator, "invoice.paid"), emit(&simulator, "charge.failed"));
    let test = simulator.emit_test(Platform::CasaPay, "invoice.paid", json!({"id": "in_2"})).event;
    // Events of another platform are none of CasaPay's.
    simulator.emit(Platform::CasPay, "payment.completed", json!({}));
    assert_eq!(listed(&simulator, "").await, [first, second]);

    let key = format!("Bearer {CASAPAY_TEST_KEY}");
    let url = format!("{}/v1/events", simulator.casapay_url());
    let of_test = call("GET", &url, ("authorization", &key), &Value::Null).await.json();
    assert_eq!((&of_test["data"][0]["id"], &of_test["data"][1]), (&json!(test), &Value::Null));
    assert_eq!(of_test["data"][0]["livemode"], false);
    assert_eq!(casapay(&simulator, "GET", &format!("/events/{test}"), Value::Null).await.status, 404);
}

#[tokio::test]
async fn undelivered_until_everybody_has_accepted() {
    let simulator = with_schedule(Platform::CasaPay, Schedule::named("sanity").unwrap()).await;
    let (one, other) = (Receiver::start([]).await, Receiver::start([Say::Status(400)]).await);
    subscribed(&simulator, &one.url, &["invoice.paid"]).await;
    let (failing, _) = subscribed(&simulator, &other.url, &["invoice.paid", "charge.failed"]).await;

    let missed = emit(&simulator, "invoice.paid");
    settled(&simulator).await;
    let had = emit(&simulator, "invoice.paid");
    settled(&simulator).await;
    assert_eq!(listed(&simulator, "?delivery_success=true").await, std::slice::from_ref(&had));
    assert_eq!(listed(&simulator, "?delivery_success=false").await, std::slice::from_ref(&missed));

    // What happens while an endpoint is disabled is not sent to it, nor is it when the endpoint is back.
    let path = format!("/webhook_endpoints/{failing}");
    assert_eq!(casapay(&simulator, "POST", &path, json!({"status": "disabled"})).await.status, 200);
    let emitted = simulator.emit(Platform::CasaPay, "charge.failed", json!({"id": "ch_1"}));
    assert_eq!((emitted.endpoints.len(), &emitted.disabled), (0, &vec![failing.clone()]));
    assert_eq!(casapay(&simulator, "POST", &path, json!({"status": "enabled"})).await.status, 200);
    settled(&simulator).await;
    assert_eq!(other.received().len(), 2);
    let missing = [emitted.event.clone(), missed.clone()];
    assert_eq!(listed(&simulator, "?delivery_success=false").await, missing);

    // Of a deleted endpoint nobody asks whether it had the event.
    assert_eq!(casapay(&simulator, "DELETE", &path, Value::Null).await.status, 200);
    assert_eq!(listed(&simulator, "?delivery_success=true").await, [had, missed]);
    assert_eq!(listed(&simulator, "?delivery_success=false").await, [emitted.event]);
}

#[tokio::test]
async fn pending_webhooks_changes_between_attempts_of_one_event() {
    let simulator = simulator().await;
    let quick = Receiver::start([]).await;
    let slow = Receiver::start([Say::Held(503)]).await;
    subscribed(&simulator, &slow.url, &["invoice.paid"]).await;
    subscribed(&simulator, &quick.url, &["invoice.paid"]).await;
    let id = emit(&simulator, "invoice.paid");
    slow.has(1).await;
    until(|| simulator.attempts().len() == 1).await;
    slow.let_go();
    settled(&simulator).await;
    let bodies: Vec<_> = slow.received().iter().map(|received| received.json()).collect();
    let pending: Vec<_> = bodies.iter().map(|body| body["pending_webhooks"].as_u64().unwrap()).collect();
    assert_eq!((pending.len(), pending[1]), (2, 1), "the other has accepted meanwhile");
    assert_eq!(quick.received()[0].json()["pending_webhooks"].as_u64().max(Some(pending[0])), Some(2));
    assert!(bodies.iter().all(|body| body["id"] == *id));
    assert_eq!(quick.received()[0].json()["id"], *id);
    let event = casapay(&simulator, "GET", &format!("/events/{id}"), Value::Null).await.json();
    assert_eq!(event["pending_webhooks"], 0);
    assert!(simulator.attempts().iter().any(|attempt| attempt.verdict == Verdict::Retried));
}
