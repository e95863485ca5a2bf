//! The simulator as a process is driven: JSON over HTTP, on loopback and from no browser.

use serde_json::{Value, json};
use tower_webhook::testing::simulator::{Platform, Simulator};

use super::stand::{Receiver, Reply, Say, casapay, settled, simulator, subscribed, try_call};

async fn control(simulator: &Simulator, method: &str, path: &str, body: &Value) -> Reply {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    try_call(method, &format!("{}/_control{path}", simulator.url()), &[], &text).await.unwrap()
}

#[tokio::test]
async fn emit_wait_and_look() {
    let simulator = simulator().await;
    let receiver = Receiver::start([Say::Status(503)]).await;
    let (endpoint, secret) = subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;

    let emit = json!({"platform": "casapay", "type": "invoice.paid", "payload": {"id": "in_1"}});
    let emitted = control(&simulator, "POST", "/emit", &emit).await.json();
    assert_eq!((&emitted["endpoints"], &emitted["disabled"]), (&json!([endpoint]), &json!([])));
    let settled = control(&simulator, "GET", "/settled", &Value::Null).await.json();
    assert_eq!(settled, json!({"settled": true, "pending": 0}));

    let attempts = control(&simulator, "GET", "/attempts", &Value::Null).await;
    let list = attempts.json()["attempts"].clone();
    assert_eq!(
        list[0],
        json!({
            "sequence": 2, "platform": "casapay", "endpoint": endpoint, "event": emitted["event"],
            "event_type": "invoice.paid", "attempt": 1, "copy": 1, "status": 503, "why": null,
            "verdict": "retried", "retry_in_ms": 5_000,
        })
    );
    assert_eq!((&list[1]["status"], &list[1]["verdict"]), (&json!(200), &json!("accepted")));
    let rest = control(&simulator, "GET", "/attempts?after=2", &Value::Null).await.json();
    assert_eq!(rest["attempts"], json!([list[1]]));
    let calls = control(&simulator, "GET", "/calls", &Value::Null).await;
    assert_eq!(
        calls.json()["calls"],
        json!([{
            "sequence": 1, "platform": "casapay", "operation": "create", "method": "POST",
            "path": "/v1/webhook_endpoints", "status": 200,
        }])
    );
    for reply in [attempts, calls] {
        let text = String::from_utf8(reply.bytes.to_vec()).unwrap();
        assert!(!text.contains("whsec_") && !text.contains(secret.expose()) && !text.contains("sk_live"));
    }

    let test = json!({"platform": "casapay", "type": "invoice.paid", "payload": {}, "test": true});
    assert_eq!(control(&simulator, "POST", "/emit", &test).await.json()["endpoints"], json!([]));
}

#[tokio::test]
async fn what_is_pending_is_said_and_waited_for_no_longer_than_asked() {
    let simulator = Simulator::builder().start().await.unwrap();
    let receiver = Receiver::start([Say::Status(503)]).await;
    subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
    receiver.has(1).await;
    // The next attempt is five seconds away.
    assert_eq!(control(&simulator, "GET", "/pending", &Value::Null).await.json(), json!({"pending": 1}));
    let settled = control(&simulator, "GET", "/settled?timeout_ms=1", &Value::Null).await.json();
    assert_eq!(settled, json!({"settled": false, "pending": 1}));
}

#[tokio::test]
async fn behaviour_schedules_and_faults() {
    let simulator = simulator().await;
    let receiver = Receiver::start([Say::Status(401)]).await;
    subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;

    let behave = json!({"platform": "casapay", "behaviour": {
        "copies": 2, "disconnects": 1, "out_of_order": {"batch": 3, "seed": 1},
        "trickle": {"bytes": 100, "pause_ms": 0},
    }});
    assert_eq!(control(&simulator, "POST", "/behaviour", &behave).await.status, 200);
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
    assert_eq!(simulator.pending(), 1, "held back");
    settled(&simulator).await;
    let seen: Vec<_> =
        simulator.attempts().iter().map(|attempt| (attempt.attempt, attempt.copy, attempt.status)).collect();
    assert_eq!(seen[..2], [(1, 1, None), (1, 2, None)]);
    assert!(seen.len() == 4 && seen[2].2.is_some() && seen[3].2.is_some());

    let usual = json!({"platform": "casapay", "behaviour": {}});
    assert_eq!(control(&simulator, "POST", "/behaviour", &usual).await.status, 200);
    let follow = json!({"platform": "casapay", "schedule": "pennylane", "answer_timeout_ms": 5_000});
    assert_eq!(control(&simulator, "POST", "/schedule", &follow).await.status, 200);
    receiver.say([Say::Status(401)]);
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
    settled(&simulator).await;
    let listed = casapay(&simulator, "GET", "/webhook_endpoints", Value::Null).await.json();
    assert_eq!(listed["data"][0]["status"], "disabled");
    let follow = json!({"platform": "casapay", "schedule": "default"});
    assert_eq!(control(&simulator, "POST", "/schedule", &follow).await.status, 200);

    for (fault, status) in [
        (json!({"status": {"status": 429, "retry_after": 2}}), 429),
        (json!({"redirect": "/elsewhere"}), 307),
        (json!({"slow_ms": 1}), 200),
        (json!("malformed_json"), 200),
        (json!("without_secret"), 200),
        (json!({"huge_body": 10}), 200),
    ] {
        let plan = json!({"platform": "casapay", "operation": "list", "fault": fault});
        assert_eq!(control(&simulator, "POST", "/faults", &plan).await.status, 200, "{fault}");
        let reply = casapay(&simulator, "GET", "/webhook_endpoints", Value::Null).await;
        assert_eq!(reply.status, status, "{fault}");
    }
    for fault in ["lost_answer", "truncated"] {
        let plan = json!({"platform": "casapay", "times": 2, "fault": fault});
        assert_eq!(control(&simulator, "POST", "/faults", &plan).await.status, 200, "{fault}");
        let url = format!("{}/v1/events", simulator.casapay_url());
        assert!(try_call("GET", &url, &[], "").await.is_err(), "{fault}");
        assert_eq!(control(&simulator, "DELETE", "/faults", &Value::Null).await.status, 200);
        assert_eq!(try_call("GET", &url, &[], "").await.unwrap().status, 401, "{fault}");
    }
}

#[tokio::test]
async fn nonsense_is_refused() {
    let simulator = simulator().await;
    for (method, path, body, status) in [
        ("POST", "/emit", json!({"platform": "casapay"}), 400),
        ("POST", "/emit", json!({"platform": "stripe", "type": "x", "payload": {}}), 400),
        ("POST", "/emit", json!([1]), 400),
        ("POST", "/emit", Value::Null, 400),
        ("POST", "/behaviour", json!({"platform": "diddo", "behaviour": {"copy": 2}}), 400),
        ("POST", "/behaviour", json!({"platform": "diddo", "behaviour": {"copies": -2}}), 400),
        ("POST", "/schedule", json!({"platform": "diddo", "schedule": "nobody"}), 400),
        ("POST", "/faults", json!({"platform": "diddo", "fault": "earthquake"}), 400),
        ("GET", "/settled?timeout_ms=600000", Value::Null, 400),
        ("GET", "/calls?before=3", Value::Null, 400),
        ("GET", "/emit", Value::Null, 405),
        ("PUT", "/faults", Value::Null, 405),
        ("POST", "/pending", Value::Null, 405),
        ("GET", "/secrets", Value::Null, 404),
        ("GET", "", Value::Null, 404),
    ] {
        assert_eq!(control(&simulator, method, path, &body).await.status, status, "{method} {path} {body}");
    }
    let deep = "[".repeat(200_000);
    let url = format!("{}/_control/emit", simulator.url());
    assert_eq!(try_call("POST", &url, &[], &deep).await.unwrap().status, 400);
    let large = "x".repeat(300_000);
    assert_eq!(try_call("POST", &url, &[], &large).await.unwrap().status, 400);
    assert_eq!(try_call("GET", &format!("{}/other", simulator.url()), &[], "").await.unwrap().status, 404);
}

#[tokio::test]
async fn neither_browsers_nor_other_names_are_answered() {
    let simulator = simulator().await;
    let pending = format!("{}/_control/pending", simulator.url());
    let events = format!("{}/v1/events", simulator.casapay_url());
    for url in [&pending, &events] {
        for header in [
            ("host", "rebound.example"),
            ("host", "rebound.example:4000"),
            ("host", "127.0.0.1.rebound.example"),
            ("origin", "https://rebound.example"),
            ("origin", "null"),
        ] {
            assert_eq!(try_call("GET", url, &[header], "").await.unwrap().status, 403, "{url} {header:?}");
        }
    }
    for host in ["localhost:1", "127.0.0.1", "[::1]:80"] {
        assert_eq!(try_call("GET", &pending, &[("host", host)], "").await.unwrap().status, 200, "{host}");
    }
    // The log of the APIs has no trace of who was turned away at the door.
    assert!(simulator.calls().is_empty());
}
