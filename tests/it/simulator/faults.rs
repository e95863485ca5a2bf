//! APIs that fail on command.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tower_webhook::testing::simulator::{CASAPAY_LIVE_KEY, Fault, Operation, Platform, Simulator};

use super::stand::{casapay, diddo, simulator, try_call};

fn create() -> Value {
    json!({"url": "https://shop.example/", "enabled_events": ["invoice.paid"]})
}

/// How many endpoints there are.
async fn count(simulator: &Simulator) -> usize {
    let listed = casapay(simulator, "GET", "/webhook_endpoints", Value::Null).await.json();
    listed["data"].as_array().unwrap().len()
}

/// A create whose answer may not come.
async fn try_create(simulator: &Simulator) -> Result<super::stand::Reply, Box<dyn std::error::Error>> {
    let (auth, url) =
        (format!("Bearer {CASAPAY_LIVE_KEY}"), format!("{}/v1/webhook_endpoints", simulator.casapay_url()));
    let headers = [("authorization", auth.as_str()), ("content-type", "application/json")];
    try_call("POST", &url, &headers, &create().to_string()).await
}

#[tokio::test]
async fn statuses_and_redirects_do_nothing() {
    let simulator = simulator().await;
    let later = Fault::Status { status: 429, retry_after: Some(3) };
    simulator.plan_fault(Platform::CasaPay, Operation::Create, 2, later);
    let elsewhere = Fault::Redirect("https://elsewhere.example/".to_owned());
    simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, elsewhere);
    simulator.plan_fault(Platform::CasaPay, None, 1, Fault::Status { status: 7, retry_after: None });
    for _ in 0..2 {
        let reply = try_create(&simulator).await.unwrap();
        assert_eq!((reply.status, &reply.headers["retry-after"]), (429, &"3".parse().unwrap()));
    }
    let reply = try_create(&simulator).await.unwrap();
    assert_eq!(
        (reply.status, &reply.headers["location"]),
        (307, &"https://elsewhere.example/".parse().unwrap())
    );
    assert_eq!(try_create(&simulator).await.unwrap().status, 500);
    assert_eq!(count(&simulator).await, 0);
    assert_eq!(try_create(&simulator).await.unwrap().status, 200);
    let statuses: Vec<_> = simulator.calls().iter().map(|call| call.status.unwrap()).collect();
    assert_eq!(statuses, [429, 429, 307, 500, 200, 200]);
}

#[tokio::test]
async fn a_lost_answer_leaves_an_endpoint_behind() {
    let simulator = simulator().await;
    for fault in [Fault::LostAnswer, Fault::Truncated] {
        simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, fault.clone());
        let before = count(&simulator).await;
        assert!(try_create(&simulator).await.is_err(), "{fault:?}");
        assert_eq!(count(&simulator).await, before + 1, "{fault:?}");
    }
    let creates: Vec<_> = simulator.calls();
    let creates = creates.iter().filter(|call| call.operation == Some(Operation::Create));
    assert_eq!(creates.map(|call| call.status).collect::<Vec<_>>(), [None, Some(200)]);
}

#[tokio::test]
async fn a_truncated_answer_begins_like_a_whole_one() {
    let simulator = simulator().await;
    simulator.plan_fault(Platform::CasaPay, Operation::List, 1, Fault::Truncated);
    let request = format!(
        "GET /casapay/v1/webhook_endpoints HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {CASAPAY_LIVE_KEY}\r\n\r\n",
        simulator.address()
    );
    let mut stream = tokio::net::TcpStream::connect(simulator.address()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Whether it is closed or reset is the operating system's to say.
    _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"));
    assert!(!body.is_empty() && body.len() < length.parse().unwrap(), "{answer}");
}

#[tokio::test]
async fn answers_that_are_not_what_they_should_be() {
    let simulator = simulator().await;
    simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, Fault::MalformedJson);
    simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, Fault::WithoutSecret);
    simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, Fault::HugeBody(3_000_000));
    simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, Fault::Slow(Duration::from_millis(20)));

    let reply = try_create(&simulator).await.unwrap();
    assert_eq!(reply.status, 200);
    assert!(serde_json::from_slice::<Value>(&reply.bytes).is_err());
    let reply = try_create(&simulator).await.unwrap().json();
    assert!(reply["id"].is_string() && reply["secret"].is_null());
    let reply = try_create(&simulator).await.unwrap();
    assert!(reply.bytes.len() > 3_000_000 && reply.json()["secret"].is_string());
    let started = Instant::now();
    assert!(try_create(&simulator).await.unwrap().json()["secret"].is_string());
    assert!(started.elapsed() >= Duration::from_millis(20));
    assert_eq!(count(&simulator).await, 4);
}

#[tokio::test]
async fn faults_keep_to_their_platform_and_operation() {
    let simulator = simulator().await;
    let down = Fault::Status { status: 503, retry_after: None };
    simulator.plan_fault(Platform::Diddo, Operation::Delete, 9, down.clone());
    simulator.plan_fault(Platform::CasaPay, Operation::ListEvents, 9, down);
    assert_eq!(diddo(&simulator, "GET", "/webhook", Value::Null).await.status, 200);
    assert_eq!(diddo(&simulator, "DELETE", "/webhook/x", Value::Null).await.status, 503);
    assert_eq!(casapay(&simulator, "GET", "/events", Value::Null).await.status, 503);
    assert_eq!(casapay(&simulator, "GET", "/events/evt_1", Value::Null).await.status, 404);
    simulator.clear_faults();
    assert_eq!(diddo(&simulator, "DELETE", "/webhook/x", Value::Null).await.status, 400);
    assert_eq!(casapay(&simulator, "GET", "/events", Value::Null).await.status, 200);
}

/// Without its secret means that alone: an answer that has none is as it was.
#[tokio::test]
async fn every_other_answer_stays_without_a_secret() {
    let simulator = simulator().await;
    let created = try_create(&simulator).await.unwrap().json();
    let secret = created["secret"].as_str().unwrap();
    let path = format!("/webhook_endpoints/{}", created["id"].as_str().unwrap());
    for (method, path, body) in [
        ("GET", path.as_str(), Value::Null),
        ("POST", &path, json!({"description": "x"})),
        ("GET", "/webhook_endpoints", Value::Null),
        ("DELETE", &path, Value::Null),
    ] {
        let reply = casapay(&simulator, method, path, body).await;
        assert_eq!(reply.status, 200);
        let text = String::from_utf8(reply.bytes.to_vec()).unwrap();
        assert!(!text.contains("secret") && !text.contains(secret), "{method}: {text}");
    }
}
