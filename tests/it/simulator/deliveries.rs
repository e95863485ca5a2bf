//! What is sent, to whom, and how often.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use serde_json::{Value, json};
use tower_webhook::testing::simulator::{
    CASAPAY_TEST_KEY, DiddoSettings, Platform, Record, Schedule, Simulator, Verdict,
};
use tower_webhook::{Envelope, Secret, SignatureScheme, casapay as casa, caspay as cas, diddo as shop};

use super::stand::{
    FAST, Receiver, Say, call, casapay, caspay, diddo, settled, simulator, subscribed, with_schedule,
};
use crate::servers::free_port;

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn every_platform_signs_as_its_preset_verifies() {
    let simulator = simulator().await;
    let receiver = Receiver::start([]).await;

    let (_, secret) = subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
    settled(&simulator).await;
    assert!(receiver.received()[0].verifies(&casa::provider(), &secret));

    let body = json!({"url": receiver.url, "events": ["payment.completed"], "secret": "of-the-merchant"});
    assert_eq!(caspay(&simulator, body).await.status, 201);
    let payment = json!({"payment": {"id": "pay_1", "amount": 100_000_000_000_u64}});
    let emitted = simulator.emit(Platform::CasPay, "payment.completed", payment.clone());
    settled(&simulator).await;
    let received = &receiver.received()[1];
    assert!(received.verifies(&cas::provider(), &Secret::weak("of-the-merchant").unwrap()));
    assert_eq!(received.json()["id"], emitted.event);
    assert_eq!(received.json()["data"], payment);

    let body = json!({"url": receiver.url, "events": ["order.submitted"]});
    let created = diddo(&simulator, "POST", "/webhook", body).await.json();
    simulator.emit(Platform::Diddo, "order.submitted", json!({"order": 7}));
    settled(&simulator).await;
    let secret = Secret::new(created["secret"].as_str().unwrap()).unwrap();
    let received = &receiver.received()[2];
    assert!(received.verifies(&DiddoSettings::provider().unwrap(), &secret));
    assert_eq!(received.path, "/hook");
    assert_eq!(received.headers["content-type"], "application/json");
    assert!(!received.verifies(&DiddoSettings::provider().unwrap(), &Secret::new("x".repeat(64)).unwrap()));
}

#[tokio::test]
async fn diddo_signs_and_composes_as_configured() {
    let scheme = SignatureScheme::hmac_sha256("x-diddo").with_pairs("t", "v1");
    let envelope = Envelope::json("/meta/id").with_event_type("/meta/kind").with_payload("/body");
    let provider = shop::provider(scheme, envelope).unwrap();
    let settings = DiddoSettings::new().with_provider(provider.clone()).with_body(|id, kind, created, payload| {
        json!({"meta": {"id": id, "kind": kind, "at": created}, "body": payload})
    });
    let simulator = Simulator::builder().with_diddo(settings).start().await.unwrap();
    let receiver = Receiver::start([]).await;
    let body = json!({"url": receiver.url, "events": ["order.submitted"]});
    let created = diddo(&simulator, "POST", "/webhook", body).await.json();
    simulator.emit(Platform::Diddo, "order.submitted", json!({"order": 7}));
    settled(&simulator).await;
    let received = &receiver.received()[0];
    assert!(received.verifies(&provider, &Secret::new(created["secret"].as_str().unwrap()).unwrap()));
    assert_eq!(received.json()["body"], json!({"order": 7}));
}

/// A simulator whose Diddo composes by this, and a receiver that is subscribed.
async fn composing(
    compose: impl Fn(&str, &str, u64, &Value) -> Value + Send + Sync + 'static,
) -> (Simulator, Receiver) {
    let settings = DiddoSettings::new().with_body(compose);
    let simulator = Simulator::builder().with_speed(FAST).with_diddo(settings).start().await.unwrap();
    let receiver = Receiver::start([]).await;
    let body = json!({"url": receiver.url, "events": ["order.submitted"]});
    assert_eq!(diddo(&simulator, "POST", "/webhook", body).await.status, 201);
    (simulator, receiver)
}

#[tokio::test]
async fn an_event_that_cannot_be_composed_is_given_up() {
    let (simulator, receiver) = composing(|id, kind, _, payload| {
        assert_ne!(payload["order"], 7, "no such order");
        json!({"id": id, "type": kind, "data": payload})
    })
    .await;
    for order in [7, 8] {
        simulator.emit(Platform::Diddo, "order.submitted", json!({"order": order}));
        settled(&simulator).await;
    }
    assert_eq!(simulator.pending(), 0);
    let [given_up, accepted] = &simulator.attempts()[..] else { panic!("{:?}", simulator.attempts()) };
    assert_eq!((given_up.verdict, given_up.status, given_up.retry_in), (Verdict::GivenUp, None, None));
    assert!(given_up.why.as_deref().is_some_and(|why| why.contains("panicked")), "{given_up:?}");
    assert_eq!(accepted.verdict, Verdict::Accepted);
    assert_eq!(receiver.received().len(), 1);
}

/// Nothing is locked while somebody else's code runs.
#[tokio::test]
async fn what_composes_a_body_may_ask_the_simulator() {
    static SIMULATOR: OnceLock<Simulator> = OnceLock::new();

    let (simulator, receiver) = composing(|id, kind, _, _| {
        let attempts = SIMULATOR.get().map_or(0, |simulator| simulator.attempts().len());
        json!({"id": id, "type": kind, "data": {"attempts_before": attempts}})
    })
    .await;
    let simulator = SIMULATOR.get_or_init(|| simulator);
    for _ in 0..2 {
        simulator.emit(Platform::Diddo, "order.submitted", json!({}));
        settled(simulator).await;
    }
    let before =
        receiver.received().into_iter().map(|received| received.json()["data"]["attempts_before"].clone());
    assert_eq!(before.collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test]
async fn an_observer_is_told_of_everything_and_may_panic() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let observed = Arc::clone(&told);
    let simulator = Simulator::builder().with_speed(FAST).with_observer(move |record| {
        let line = match record {
            Record::Call(call) => format!("{} {}", call.method, call.path),
            Record::Attempt(attempt) => format!("{} {:?}", attempt.event_type, attempt.verdict),
            _ => String::new(),
        };
        observed.lock().unwrap().push(line);
        panic!("an observer of a test");
    });
    let simulator = simulator.start().await.unwrap();
    let receiver = Receiver::start([Say::Status(500)]).await;
    subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
    settled(&simulator).await;
    assert_eq!(receiver.received().len(), 2);
    assert_eq!(
        *told.lock().unwrap(),
        ["POST /v1/webhook_endpoints", "invoice.paid Retried", "invoice.paid Accepted"]
    );
}

#[tokio::test]
async fn whoever_is_subscribed_gets_the_event_under_one_id() {
    let simulator = simulator().await;
    let (one, two, other) = (Receiver::start([]).await, Receiver::start([]).await, Receiver::start([]).await);
    let types = ["identity_check.*", "invoice.paid"];
    let (first, first_secret) = subscribed(&simulator, &one.url, &types).await;
    let (second, second_secret) = subscribed(&simulator, &two.url, &["identity_check.passed"]).await;
    subscribed(&simulator, &other.url, &["charge.failed", "score_report.*"]).await;

    let emitted = simulator.emit(Platform::CasaPay, "identity_check.passed", json!({"id": "ic_1"}));
    assert_eq!(emitted.endpoints, [first, second]);
    assert!(simulator.emit(Platform::CasaPay, "identity_check", json!({})).endpoints.is_empty());
    assert!(simulator.emit(Platform::CasPay, "invoice.paid", json!({})).endpoints.is_empty());
    settled(&simulator).await;
    assert_eq!((one.received().len(), two.received().len(), other.received().len()), (1, 1, 0));
    let (one, two) = (&one.received()[0], &two.received()[0]);
    assert_eq!((&one.json()["id"], &two.json()["id"]), (&json!(emitted.event), &json!(emitted.event)));
    // Each is signed with the secret of its own endpoint.
    assert!(
        one.verifies(&casa::provider(), &first_secret) && two.verifies(&casa::provider(), &second_secret)
    );
    assert!(!one.verifies(&casa::provider(), &second_secret));
}

#[tokio::test]
async fn test_events_go_to_test_endpoints() {
    let simulator = simulator().await;
    let (live, test) = (Receiver::start([]).await, Receiver::start([]).await);
    subscribed(&simulator, &live.url, &["invoice.paid"]).await;
    let url = format!("{}/v1/webhook_endpoints", simulator.casapay_url());
    let body = json!({"url": test.url, "enabled_events": ["invoice.paid"]});
    call("POST", &url, ("authorization", &format!("Bearer {CASAPAY_TEST_KEY}")), &body).await;

    let of_live = simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"})).event;
    let of_test = simulator.emit_test(Platform::CasaPay, "invoice.paid", json!({"id": "in_2"})).event;
    settled(&simulator).await;
    for (receiver, id, livemode) in [(&live, of_live, true), (&test, of_test, false)] {
        let received: Vec<Value> = receiver.received().iter().map(|received| received.json()).collect();
        assert_eq!(received.len(), 1);
        assert_eq!((&received[0]["id"], &received[0]["livemode"]), (&json!(id), &json!(livemode)));
    }

    caspay(&simulator, json!({"url": live.url, "events": ["payment.failed"], "secret": "of-the-merchant"}))
        .await;
    simulator.emit(Platform::CasPay, "payment.failed", json!({}));
    settled(&simulator).await;
    simulator.emit_test(Platform::CasPay, "payment.failed", json!({}));
    settled(&simulator).await;
    let received = live.received();
    assert_eq!(received[1].json()["invented_test_mode"], Value::Null);
    assert_eq!(received[2].json()["invented_test_mode"], true);
}

#[tokio::test]
async fn every_schedule_is_followed_to_its_end() {
    for name in Schedule::NAMES {
        let schedule = Schedule::named(name).unwrap();
        let simulator = with_schedule(Platform::CasaPay, schedule.clone()).await;
        let receiver = Receiver::start([Say::Status(500); 20]).await;
        subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
        simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
        settled(&simulator).await;

        let attempts = simulator.attempts();
        let delays: Vec<_> = attempts.iter().filter_map(|attempt| attempt.retry_in).collect();
        assert_eq!(delays, schedule.delays(), "{name}");
        assert_eq!(receiver.received().len(), delays.len() + 1, "{name}");
        let numbers: Vec<_> = attempts.iter().map(|attempt| attempt.attempt).collect();
        assert_eq!(numbers, (1..=u32::try_from(attempts.len()).unwrap()).collect::<Vec<_>>(), "{name}");
        let disabling = ["podium", "shopify"].contains(&name);
        let last = if disabling { Verdict::EndpointDisabled } else { Verdict::GivenUp };
        assert_eq!(attempts.last().unwrap().verdict, last, "{name}");
        assert_eq!(attempts.last().unwrap().retry_in, None, "{name}");
    }
}

#[tokio::test]
async fn every_schedule_makes_of_each_answer_what_it_says() {
    for name in Schedule::NAMES {
        for status in [204, 302, 400, 401, 403, 404, 410, 429, 503] {
            let schedule = Schedule::named(name).unwrap();
            let simulator = with_schedule(Platform::CasaPay, schedule.clone()).await;
            let receiver = Receiver::start([Say::Status(status)]).await;
            let (endpoint, _) = subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
            simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
            settled(&simulator).await;
            let verdict = schedule.verdict(Some(status));
            assert_eq!(simulator.attempts()[0].verdict, verdict, "{name} {status}");
            let requests = if verdict == Verdict::Retried { 2 } else { 1 };
            assert_eq!(receiver.received().len(), requests, "{name} {status}");
            let path = format!("/webhook_endpoints/{endpoint}");
            let state = casapay(&simulator, "GET", &path, Value::Null).await.json();
            let expected = if verdict == Verdict::EndpointDisabled { "disabled" } else { "enabled" };
            assert_eq!(state["status"], expected, "{name} {status}");
        }
    }
}

#[tokio::test]
async fn retry_after_is_honoured_by_who_honours_it() {
    for (name, delay) in [("kit", 7 * SECOND), ("svix", 5 * SECOND)] {
        let simulator = with_schedule(Platform::CasPay, Schedule::named(name).unwrap()).await;
        let receiver = Receiver::start([Say::Later(503, 7)]).await;
        let body = json!({"url": receiver.url, "events": ["payment.failed"], "secret": "of-the-merchant"});
        caspay(&simulator, body).await;
        simulator.emit(Platform::CasPay, "payment.failed", json!({}));
        settled(&simulator).await;
        assert_eq!(simulator.attempts()[0].retry_in, Some(delay), "{name}");
        assert_eq!(simulator.attempts()[1].verdict, Verdict::Accepted, "{name}");
    }
}

#[tokio::test]
async fn no_answer_and_no_receiver_are_retried() {
    let schedule = Schedule::new("impatient").with_answer_timeout(Duration::from_millis(200));
    let simulator = with_schedule(Platform::CasaPay, schedule).await;
    let receiver = Receiver::start([Say::Nothing]).await;
    subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
    settled(&simulator).await;
    let attempts = simulator.attempts();
    assert_eq!((attempts[0].status, attempts[0].why.as_deref()), (None, Some("no answer in time")));
    // A machine under load may be late once more.
    assert_eq!(attempts.last().unwrap().status, Some(200));
    let before = attempts.len();

    // A port that nobody listens on.
    let gone = format!("127.0.0.1:{}", free_port());
    subscribed(&simulator, &format!("http://{gone}/"), &["charge.failed"]).await;
    simulator.emit(Platform::CasaPay, "charge.failed", json!({"id": "ch_1"}));
    settled(&simulator).await;
    let attempts = simulator.attempts();
    assert_eq!(attempts.len(), before + 8);
    assert!(attempts[before..].iter().all(|attempt| attempt.status.is_none() && attempt.why.is_some()));
}

#[tokio::test]
async fn every_attempt_is_signed_anew() {
    let schedule = Schedule::new("next second").with_delays([2 * SECOND]);
    let simulator = Simulator::builder().with_schedule(Platform::CasaPay, schedule).start().await.unwrap();
    let receiver = Receiver::start([Say::Status(503)]).await;
    let (_, secret) = subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
    settled(&simulator).await;
    let received = receiver.received();
    assert!(received.iter().all(|received| received.verifies(&casa::provider(), &secret)));
    assert_ne!(received[0].headers["x-casapay-signature"], received[1].headers["x-casapay-signature"]);
}

/// Retries that would come in hours end when their endpoint does.
#[tokio::test]
async fn what_is_disabled_or_deleted_gets_nothing_more() {
    for end in ["disable", "disable and enable", "delete", "410 to another event"] {
        let simulator = Simulator::builder().start().await.unwrap();
        simulator.set_schedule(
            Platform::CasaPay,
            Schedule::new("hours").with_delays([3_600 * SECOND]).with_disabling([410..=410]),
        );
        let receiver = Receiver::start([Say::Status(503)]).await;
        let (endpoint, _) = subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
        let id = simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"})).event;
        receiver.has(1).await;
        assert_eq!(simulator.pending(), 1, "{end}");

        let path = format!("/webhook_endpoints/{endpoint}");
        match end {
            "delete" => assert_eq!(casapay(&simulator, "DELETE", &path, Value::Null).await.status, 200),
            "410 to another event" => {
                receiver.say([Say::Status(410)]);
                simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_2"}));
            }
            _ => {
                casapay(&simulator, "POST", &path, json!({"status": "disabled"})).await;
                if end == "disable and enable" {
                    casapay(&simulator, "POST", &path, json!({"status": "enabled"})).await;
                }
            }
        }
        settled(&simulator).await;
        let attempts = simulator.attempts();
        assert!(attempts.iter().filter(|attempt| attempt.event == id).count() == 1, "{end}");
        let undelivered = casapay(&simulator, "GET", "/events?delivery_success=false", Value::Null).await;
        assert!(
            undelivered.json()["data"].as_array().unwrap().iter().any(|event| event["id"] == *id),
            "{end}"
        );
    }
}

#[tokio::test]
async fn failures_in_a_row_disable_and_a_success_begins_anew() {
    let schedule = Schedule::new("three strikes").with_delays([]).with_disabling_after(3);
    let simulator = with_schedule(Platform::CasaPay, schedule).await;
    let fail = Say::Status(500);
    let receiver = Receiver::start([fail, fail, Say::Status(200), fail, fail, fail]).await;
    subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    for _ in 0..8 {
        simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
        settled(&simulator).await;
    }
    let verdicts: Vec<_> = simulator.attempts().iter().map(|attempt| attempt.verdict).collect();
    use Verdict::{Accepted, EndpointDisabled, GivenUp};
    assert_eq!(verdicts, [GivenUp, GivenUp, Accepted, GivenUp, GivenUp, EndpointDisabled]);
}

#[tokio::test]
async fn deliveries_stay_on_loopback_and_https_can_be_led_there() {
    let url = "https://shop.example/hook?tenant=7";
    let simulator = with_schedule(Platform::CasaPay, Schedule::new("once").with_delays([])).await;
    subscribed(&simulator, url, &["invoice.paid"]).await;
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
    settled(&simulator).await;
    assert!(simulator.attempts()[0].why.as_deref().unwrap().contains("no TLS"));

    let receiver = Receiver::start([]).await;
    let address = receiver.url.strip_prefix("http://").unwrap().strip_suffix("/hook").unwrap();
    let simulator = Simulator::builder()
        .with_speed(FAST)
        .require_https()
        .with_delivery_address(address.parse().unwrap())
        .start()
        .await
        .unwrap();
    subscribed(&simulator, url, &["invoice.paid"]).await;
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
    settled(&simulator).await;
    let received = &receiver.received()[0];
    assert_eq!(received.path, "/hook?tenant=7");
    assert_eq!(received.headers["host"], "shop.example");
}

#[tokio::test]
async fn a_simulator_stops_when_its_last_handle_does() {
    let simulator = Simulator::builder().start().await.unwrap();
    let receiver = Receiver::start([Say::Nothing]).await;
    subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"}));
    receiver.has(1).await;
    let (address, clone) = (simulator.address(), simulator.clone());
    drop(simulator);
    assert!(tokio::net::TcpStream::connect(address).await.is_ok());
    drop(clone);
    // The listener is closed by its task.
    let refused = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    tokio::time::timeout(30 * SECOND, refused).await.expect("it still listens");
}
