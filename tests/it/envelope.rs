//! What an authentic body says it is: id, type, and nothing that two parsers could read differently.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_webhook::dedup::DedupKey;
use tower_webhook::testing::faulty::Operation;
use tower_webhook::testing::sign;
use tower_webhook::{
    Accepted, Answer, Answers, DeadLetter, Delivery, Envelope, EventRouter, LruStore, Provider,
    RejectionReason, SignatureScheme, WebhookLayer, caspay,
};

use crate::support::{Answered, Calls, Receiver, accepted, caspay_body, from_caspay, reason, secret};

fn receiver() -> Receiver {
    Receiver::new(caspay::provider())
}

fn acme(name: &str, envelope: Envelope) -> Provider {
    let scheme = SignatureScheme::hmac_sha256("x-acme-signature");
    Provider::builder(name).signature(scheme).envelope(envelope).build().unwrap()
}

/// An event with this JSON as id.
fn with_id(id: &str) -> String {
    format!(r#"{{"id":{id},"type":"payment.completed","data":{{}}}}"#)
}

/// An event with this JSON as type.
fn with_type(event_type: &str) -> String {
    format!(r#"{{"id":"evt_1","type":{event_type},"data":{{}}}}"#)
}

/// An event with this JSON as payload.
fn with_payload(payload: &str) -> String {
    format!(r#"{{"id":"evt_1","type":"payment.completed","data":{payload}}}"#)
}

/// `body` is unreadable, and `twin` is handled.
async fn only_the_twin(body: &str, twin: &str) {
    let receiver = receiver();
    receiver.cannot_read(from_caspay(body.to_owned())).await;
    receiver.handles(from_caspay(twin.to_owned())).await;
}

fn assert_accepted(response: &Answered, how: Accepted) {
    assert_eq!((response.status(), accepted(response)), (StatusCode::OK, Some(how)));
}

/// Sends an event that was done before.
async fn is_duplicate(receiver: &Receiver, body: &str) {
    let calls = receiver.calls.count();
    assert_accepted(&receiver.send(from_caspay(body.to_owned())).await, Accepted::Duplicate);
    assert_eq!(receiver.calls.count(), calls);
}

/// A receiver whose handler remembers what it was told.
fn remembering() -> (Receiver, Arc<Mutex<Vec<Delivery>>>) {
    let (mut receiver, told) = (receiver(), Arc::<Mutex<Vec<_>>>::default());
    let (calls, tell) = (receiver.calls.clone(), Arc::clone(&told));
    let router = EventRouter::new().fallback(move |delivery: Delivery| {
        tell.lock().unwrap().push(delivery);
        calls.add();
        async {}
    });
    receiver.layer = receiver.layer.with_dispatch(router);
    (receiver, told)
}

/// The id under which the handler of an event was told of it.
async fn told_id(body: &str) -> String {
    let (receiver, told) = remembering();
    receiver.handles(from_caspay(body.to_owned())).await;
    told.lock().unwrap()[0].id().to_owned()
}

/// A receiver with one handler, which takes the payload as `T`.
fn typed<T: DeserializeOwned + Send + 'static>() -> Receiver {
    let mut receiver = receiver();
    let calls = receiver.calls.clone();
    let router = EventRouter::new().on_type("payment.completed", move |_: T| {
        calls.add();
        async {}
    });
    receiver.layer = receiver.layer.with_dispatch(router);
    receiver
}

/// A payload that does not fit the handler's `T`, 500 and its claim given back, then one that does.
async fn only_the_twin_fits<T: DeserializeOwned + Send + 'static>(payload: &str, twin: &str) {
    let receiver = typed::<T>();
    let response = receiver.send(from_caspay(with_payload(payload))).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(reason(&response), Some(RejectionReason::Unreadable));
    assert_eq!(receiver.calls.count(), 0);
    let [claims, releases] = [Operation::Claim, Operation::Release].map(|call| receiver.store.calls(call));
    assert_eq!((claims, releases), (1, 1));
    receiver.handles(from_caspay(with_payload(twin))).await;
}

#[derive(Deserialize)]
struct Payment {
    #[serde(rename = "id")]
    _id: String,
}

#[derive(Deserialize)]
struct Amount {
    #[serde(rename = "amount")]
    _amount: u64,
}

#[tokio::test]
async fn t073_two_ids() {
    for body in [
        r#"{"id":"a","id":"b","type":"t","data":{}}"#,
        r#"{"id":"a","type":"t","data":{},"id":"a"}"#,
        r#"{"id":"a","type":"t","data":{},"\u0069d":"b"}"#,
    ] {
        only_the_twin(body, r#"{"id":"a","type":"t","data":{}}"#).await;
    }
}

#[tokio::test]
async fn t074_two_types_or_payloads() {
    for body in [
        r#"{"id":"a","type":"t","type":"u","data":{}}"#,
        r#"{"id":"a","type":"t","data":{},"data":{"refund":true}}"#,
    ] {
        only_the_twin(body, r#"{"id":"a","type":"t","data":{}}"#).await;
    }
}

#[tokio::test]
async fn t074_a_member_twice_in_a_typed_payload() {
    only_the_twin_fits::<Payment>(r#"{"id":"a","id":"b"}"#, r#"{"id":"a"}"#).await;
}

/// What was deduplicated is what the handler is told, for a handler of `Value` too.
#[tokio::test]
async fn t074_one_parse_for_everybody() {
    let (mut receiver, told) = (receiver(), Arc::new(Mutex::new(None)));
    let (calls, tell) = (receiver.calls.clone(), Arc::clone(&told));
    let router = EventRouter::new().on_type("payment.*", move |payload: Value, delivery: Delivery| {
        *tell.lock().unwrap() = Some((delivery.id().to_owned(), payload));
        calls.add();
        async {}
    });
    receiver.layer = receiver.layer.with_dispatch(router);
    let body = with_payload(r#"{"id":"evt_2","type":"payment.failed","amount":7}"#);
    receiver.handles(from_caspay(body.clone())).await;
    let payload = json!({"id": "evt_2", "type": "payment.failed", "amount": 7});
    assert_eq!(told.lock().unwrap().take(), Some(("evt_1".to_owned(), payload)));
    is_duplicate(&receiver, &body).await;
}

#[tokio::test]
async fn t075_an_array_is_no_event() {
    let twin = with_payload("{}");
    for body in [r#"["evt_1","payment.completed",{}]"#.to_owned(), format!("[{twin}]")] {
        only_the_twin(&body, &twin).await;
    }
}

#[tokio::test]
async fn t075_nor_stands_a_member_in_one() {
    let provider = || acme("acme", Envelope::json("/event/id"));
    let receiver = Receiver::new(provider());
    let request = |event: &str| {
        sign(&provider(), &secret(), format!(r#"{{"type":"payment.completed","event":{event}}}"#))
    };
    receiver.cannot_read(request(r#"["evt_1"]"#)).await;
    receiver.handles(request(r#"{"id":"evt_1"}"#)).await;
}

#[tokio::test]
async fn t076_member_names_are_exact() {
    assert_eq!(told_id(r#"{"\u0069d":"a","type":"t","data":{}}"#).await, "a");
    assert_eq!(told_id(r#"{"ID":"A","id":"a","Id":"b","type":"t","data":{}}"#).await, "a");
    for body in [
        r#"{"ID":"a","type":"t","data":{}}"#,
        r#"{"id ":"a","type":"t","data":{}}"#,
        r#"{"id\u0000":"a","type":"t","data":{}}"#,
    ] {
        only_the_twin(body, r#"{"id":"a","type":"t","data":{}}"#).await;
    }
}

#[tokio::test]
async fn t077_an_escaped_id() {
    assert_eq!(told_id(&with_id(r#""a\u0062""#)).await, "ab");
    let receiver = receiver();
    receiver.handles(from_caspay(with_id(r#""a\u0062""#))).await;
    is_duplicate(&receiver, &with_id(r#""ab""#)).await;
}

#[tokio::test]
async fn t078_ids_are_strings() {
    for id in ["123", "1.0", "1e0", "null", "true", "{}", "[]", r#"["evt_1"]"#] {
        only_the_twin(&with_id(id), &with_id(r#""evt_1""#)).await;
    }
    only_the_twin(r#"{"type":"payment.completed","data":{}}"#, &with_id(r#""evt_1""#)).await;
}

#[tokio::test]
async fn t078_or_canonical_integers_where_the_preset_says_so() {
    let provider = || acme("acme", Envelope::json("/id").with_numeric_ids());
    let request = |id: &str| sign(&provider(), &secret(), with_id(id));
    for id in ["1.0", "1e0", "1E2", "-1", "01", "+1", "18446744073709551616", "null", "true", "{}"] {
        let receiver = Receiver::new(provider());
        receiver.cannot_read(request(id)).await;
        receiver.handles(request("1")).await;
    }
}

#[tokio::test]
async fn t079_an_empty_id_is_no_identity() {
    only_the_twin(&with_id(r#""""#), &with_id(r#"" ""#)).await;
    only_the_twin(&with_type(r#""""#), &with_type(r#""t""#)).await;
}

/// Two events with empty ids are not taken for one, which would lose the second.
#[tokio::test]
async fn t079_every_empty_id_is_dead_lettered() {
    let (mut receiver, letters) = (receiver(), Arc::<Mutex<Vec<_>>>::default());
    let post = Arc::clone(&letters);
    receiver.layer = receiver.layer.with_dead_letter(move |letter: DeadLetter| {
        post.lock().unwrap().push(letter.delivery().body().clone());
        async { Ok::<_, std::io::Error>(()) }
    });
    let bodies = ["1", "2"].map(|amount| with_id(r#""""#).replace("{}", amount));
    for body in &bodies {
        assert_accepted(&receiver.send(from_caspay(body.clone())).await, Accepted::DeadLettered);
    }
    is_duplicate(&receiver, &bodies[0]).await;
    assert_eq!(*letters.lock().unwrap(), bodies);
    assert_eq!(receiver.calls.count(), 0);
}

/// Each of these ids is its own event, and known again.
async fn are_told_apart(ids: &[String]) {
    let receiver = receiver();
    for id in ids {
        receiver.handles(from_caspay(with_id(id))).await;
    }
    for id in ids {
        is_duplicate(&receiver, &with_id(id)).await;
    }
    assert_eq!(receiver.calls.count(), ids.len());
}

#[tokio::test]
async fn t080_ids_that_stores_choke_on() {
    let long = "x".repeat(10_000);
    are_told_apart(&[
        r#""\u0000""#.to_owned(),
        r#""a\u0000b""#.to_owned(),
        r#""a\u0000""#.to_owned(),
        r#""a""#.to_owned(),
        r#""\u001b[31m\r\n""#.to_owned(),
        format!(r#""{long}""#),
        format!(r#""{long}y""#),
        r#""😀""#.to_owned(),
        r#""\ud83d\ude01""#.to_owned(),
    ])
    .await;
    for surrogate in [r#""\ud83d""#, r#""\ude00\ud83d""#] {
        only_the_twin(&with_id(surrogate), &with_id(r#""\ud83d\ude00""#)).await;
    }
}

#[tokio::test]
async fn t081_ids_are_not_normalised() {
    are_told_apart(&[r#""café""#.to_owned(), "\"cafe\u{301}\"".to_owned(), r#""Café""#.to_owned()]).await;
}

#[tokio::test]
async fn t082_scopes_share_a_store_and_no_event() {
    let (store, calls) = (Arc::new(LruStore::new(100)), Calls::default());
    let [one, other] = ["acme-one", "acme-other"].map(|name| acme(name, Envelope::json("/id")));
    let layer = |provider: &Provider| {
        let layer = WebhookLayer::new(provider.clone(), secret()).unwrap();
        layer.with_store(Arc::clone(&store)).with_dispatch(calls.router())
    };
    let layers = [
        layer(&one),
        layer(&other),
        layer(&one).with_endpoint("eu").unwrap(),
        layer(&one).with_endpoint("us").unwrap(),
    ];
    for expected in [Accepted::Handled, Accepted::Duplicate] {
        for layer in &layers {
            let request = sign(&one, &secret(), with_id(r#""evt_1""#));
            assert_accepted(&layer.clone().into_service().oneshot(request).await.unwrap(), expected);
        }
    }
    assert_eq!(calls.count(), layers.len());
}

#[test]
fn t083_the_parts_of_a_key_keep_their_bounds() {
    let parts = [
        ("a", "t", "b:c"),
        ("a:b", "t", "c"),
        ("ab", "t", "c"),
        ("a", "t", "bc"),
        ("a", "tb", "c"),
        ("at", "", "bc"),
        ("", "at", "bc"),
        ("a", "tbc", ""),
        ("a\0", "t", "bc"),
        ("a", "\0t", "bc"),
    ];
    let keys: HashSet<_> = parts
        .iter()
        .map(|(scope, event_type, id)| *DedupKey::new(scope, event_type, id).as_bytes())
        .collect();
    assert_eq!(keys.len(), parts.len());
    assert_eq!(DedupKey::new("a", "t", "b:c"), DedupKey::new("a", "t", "b:c"));
}

/// A store never meets the id in its key, only a digest of fixed length.
#[tokio::test]
async fn t084_ids_with_a_meaning_in_redis() {
    let ids = ["{}", "{a}b", "*", "a b", "a", r"a\r\nDEL *\r\n", "webhook:{caspay}:a", "a:done"];
    are_told_apart(&ids.map(|id| format!("\"{id}\""))).await;
}

#[tokio::test]
async fn t085_depth_in_what_nobody_reads() {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let receiver = receiver();
    let extra = |value: &str| with_payload("{}").replacen('{', &format!(r#"{{"extra":{value},"#), 1);
    receiver.handles(from_caspay(extra(&deep))).await;
    receiver.cannot_read(from_caspay(extra(&deep[1..]))).await;
}

#[tokio::test]
async fn t085_depth_in_the_payload() {
    let deep = |depth| "[".repeat(depth) + &"]".repeat(depth);
    only_the_twin_fits::<Value>(&deep(100_000), &deep(100)).await;
    only_the_twin_fits::<Payment>(&format!(r#"{{"id":{}}}"#, deep(100_000)), r#"{"id":"pay_1"}"#).await;
}

#[tokio::test]
async fn t086_numbers_out_of_range() {
    only_the_twin_fits::<Value>(r#"{"amount":1e999}"#, r#"{"amount":1e99}"#).await;
    let huge = "9".repeat(400);
    only_the_twin_fits::<Value>(&format!(r#"{{"amount":{huge}}}"#), r#"{"amount":9}"#).await;
    let beyond = r#"{"amount":18446744073709551616}"#;
    only_the_twin_fits::<Amount>(beyond, r#"{"amount":18446744073709551615}"#).await;
    for illegal in ["NaN", "Infinity", "-Infinity", "0x1F", "1_000", "01"] {
        let payload = |number: &str| with_payload(&format!(r#"{{"amount":{number}}}"#));
        only_the_twin(&payload(illegal), &payload("1")).await;
    }
}

#[tokio::test]
async fn t087_one_document_and_nothing_else() {
    let event = with_payload("{}");
    for body in [
        format!("{event}x"),
        format!("{event},"),
        format!("{event}{event}"),
        format!("{event}\n{event}"),
        format!("{event}\0"),
        format!("\u{feff}{event}"),
        format!("/* */{event}"),
        format!("{event}//"),
        event[..event.len() - 1].to_owned(),
    ] {
        only_the_twin(&body, &event).await;
    }
    only_the_twin("", &format!(" \t\r\n{event}\n")).await;
}

#[tokio::test]
async fn t091_types_that_only_look_alike() {
    for look_alike in [
        "payment.completed ",
        " payment.completed",
        "Payment.Completed",
        "PAYMENT.COMPLETED",
        r"payment.completed\u0000",
        "payment.completed.",
        "payment\u{2024}completed",
        "p\u{430}yment.completed",
        "payment.complete\u{301}d",
    ] {
        let receiver = typed::<Value>();
        let response = receiver.send(from_caspay(with_type(&format!("\"{look_alike}\"")))).await;
        assert_accepted(&response, Accepted::Unhandled);
        assert_eq!((receiver.calls.count(), receiver.store_calls()), (0, 0), "{look_alike}");
        receiver.handles(from_caspay(with_type(r#""payment.completed""#))).await;
    }
}

#[tokio::test]
async fn t092_the_most_exact_handler_takes_an_event() {
    let (mut receiver, taken) = (receiver(), Arc::<Mutex<Vec<_>>>::default());
    let calls = receiver.calls.clone();
    let mark = |by: &'static str| {
        let (calls, taken) = (calls.clone(), Arc::clone(&taken));
        move |_: Value| {
            calls.add();
            taken.lock().unwrap().push(by);
            async {}
        }
    };
    // Whatever the order of registration.
    let router = EventRouter::new()
        .on_type("invoice.*", mark("invoice.*"))
        .on_type("invoice.payment.*", mark("invoice.payment.*"))
        .on_type("invoice.payment.failed", mark("invoice.payment.failed"));
    receiver.layer = receiver.layer.with_dispatch(router);
    let types = ["invoice.paid", "invoice.payment.failed", "invoice.payment.late", "invoice.payment"];
    for event_type in types {
        receiver.handles(from_caspay(with_type(&format!("\"{event_type}\"")))).await;
    }
    assert_eq!(
        *taken.lock().unwrap(),
        ["invoice.*", "invoice.payment.failed", "invoice.payment.*", "invoice.*"]
    );
}

#[test]
fn t092_a_second_handler_for_a_type_is_refused() {
    let router = || EventRouter::<()>::new().on_type("invoice.paid", async |_: Value| ());
    let again = |router: EventRouter| router.on_type("invoice.paid", async |_: Value| ());
    let panic = std::panic::catch_unwind(|| again(router())).unwrap_err();
    let message = panic.downcast_ref::<String>().unwrap();
    assert!(message.starts_with("a second handler for `invoice.paid` at "), "{message}");
    assert_eq!(message.matches(file!()).count(), 2, "both places are named: {message}");
    let beside = router().on_type("invoice.*", async |_: Value| ());
    assert_eq!(beside.event_types(), ["invoice.*", "invoice.paid"]);
}

/// Without a claim, so that a redelivery after the next deploy still runs.
#[tokio::test]
async fn t093_a_type_that_nobody_takes() {
    let mut receiver = typed::<Value>();
    let unknown = || from_caspay(with_type(r#""payment.unheard_of""#));
    assert_accepted(&receiver.send(unknown()).await, Accepted::Unhandled);
    assert_eq!(receiver.stats().accepted(Accepted::Unhandled), 1);
    assert_eq!((receiver.calls.count(), receiver.store_calls()), (0, 0));

    let deployed = receiver.calls.router();
    receiver.layer = receiver.layer.with_dispatch(deployed);
    receiver.handles(unknown()).await;
}

#[tokio::test]
async fn t093_its_answer_is_the_users_to_choose() {
    let mut receiver = typed::<Value>();
    let answers = Answers::default().with_status(Answer::Unhandled, StatusCode::NOT_FOUND).unwrap();
    receiver.layer = receiver.layer.with_answers(answers);
    let response = receiver.send(from_caspay(with_type(r#""payment.unheard_of""#))).await;
    assert_eq!((response.status(), accepted(&response)), (StatusCode::NOT_FOUND, Some(Accepted::Unhandled)));
    assert_eq!((receiver.calls.count(), receiver.store_calls()), (0, 0));
    receiver.handles(from_caspay(with_type(r#""payment.completed""#))).await;
}

#[tokio::test]
async fn t094_the_id_and_the_type_decide() {
    let receiver = receiver();
    let event = |event_type: &str, attempt: u32| {
        let fields = format!(r#""pending_webhooks":{attempt},"id":"evt_1","type":"{event_type}""#);
        format!(r#"{{{fields},"data":{{"attempt":{attempt}}}}}"#)
    };
    receiver.handles(from_caspay(event("payment.completed", 1))).await;
    is_duplicate(&receiver, &event("payment.completed", 2)).await;
    receiver.handles(from_caspay(event("payment.refunded", 2))).await;
    receiver.handles(from_caspay(caspay_body("evt_2"))).await;
}
