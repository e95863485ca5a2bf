//! What tells one sender from another, beyond the times of its retries.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tower_webhook::testing::ManualClock;
use tower_webhook::testing::simulator::{Behaviour, Platform, Schedule, Simulator, Verdict};
use tower_webhook::{Clock as _, casapay as casa};

use super::stand::{FAST, Receiver, Say, casapay, caspay, settled, simulator, subscribed, with_schedule};

fn emit(simulator: &Simulator) -> String {
    simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"})).event
}

#[tokio::test]
async fn caspay_retries_whatever_is_not_200() {
    let simulator = simulator().await;
    let receiver = Receiver::start([410, 404, 401, 202].map(Say::Status)).await;
    let body = json!({"url": receiver.url, "events": ["payment.failed"], "secret": "of-the-merchant"});
    caspay(&simulator, body).await;
    simulator.emit(Platform::CasPay, "payment.failed", json!({}));
    settled(&simulator).await;
    use Verdict::{Accepted, Retried};
    let verdicts: Vec<_> = simulator.attempts().iter().map(|attempt| attempt.verdict).collect();
    assert_eq!(verdicts, [Retried, Retried, Retried, Retried, Accepted]);
    // Nothing of it counts against the endpoint.
    assert_eq!(simulator.emit(Platform::CasPay, "payment.failed", json!({})).disabled, [""; 0]);
    settled(&simulator).await;
}

#[tokio::test]
async fn events_have_the_api_version_of_their_endpoint() {
    let simulator = simulator().await;
    let (old, usual) = (Receiver::start([]).await, Receiver::start([]).await);
    let body = json!({"url": old.url, "enabled_events": ["invoice.paid"], "api_version": "2024-06-30"});
    assert_eq!(casapay(&simulator, "POST", "/webhook_endpoints", body).await.status, 200);
    subscribed(&simulator, &usual.url, &["invoice.paid"]).await;
    let id = emit(&simulator);
    settled(&simulator).await;
    assert_eq!(old.received()[0].json()["api_version"], "2024-06-30");
    assert_eq!(usual.received()[0].json()["api_version"], "2025-01-15");
    // What is fetched belongs to no endpoint.
    let fetched = casapay(&simulator, "GET", &format!("/events/{id}"), Value::Null).await.json();
    assert_eq!(fetched["api_version"], "2025-01-15");
}

#[tokio::test]
async fn retry_after_may_be_a_date() {
    let clock = ManualClock::at_unix(1_800_000_000);
    let simulator = Simulator::builder()
        .with_speed(FAST)
        .with_clock(clock)
        .with_schedule(Platform::CasaPay, Schedule::named("kit").unwrap())
        .start()
        .await
        .unwrap();
    // An hour after the clock's time, and long before it: that is at once, which is a second at Kit.
    let receiver = Receiver::start([
        Say::At(429, SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_003_600)),
        Say::At(503, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)),
    ])
    .await;
    subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    emit(&simulator);
    settled(&simulator).await;
    let waits: Vec<_> = simulator.attempts().iter().map(|attempt| attempt.retry_in).collect();
    assert_eq!(waits, [Some(Duration::from_secs(3_600)), Some(Duration::from_secs(1)), None]);
}

/// The `t=` of each delivery's signature.
fn timestamps(receiver: &Receiver) -> Vec<String> {
    let of = |headers: &http::HeaderMap| {
        let signature = headers["x-casapay-signature"].to_str().unwrap();
        signature.split(',').find_map(|part| part.strip_prefix("t=")).unwrap().to_owned()
    };
    receiver.received().iter().map(|received| of(&received.headers)).collect()
}

#[tokio::test]
async fn some_keep_the_timestamp_of_the_first_attempt() {
    for (schedule, expected) in [
        (Schedule::named("mailgun").unwrap(), "1800000000"),
        (Schedule::named("bird").unwrap(), "1800000000"),
        (Schedule::named("svix").unwrap(), "1800000600"),
        (Schedule::named("svix").unwrap().with_original_timestamp(), "1800000000"),
    ] {
        let clock = ManualClock::at_unix(1_800_000_000);
        let simulator = Simulator::builder()
            .with_speed(FAST)
            .with_clock(clock.clone())
            .with_schedule(Platform::CasaPay, schedule.clone())
            .start()
            .await
            .unwrap();
        let receiver = Receiver::start([Say::Held(503)]).await;
        let (_, secret) = subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
        emit(&simulator);
        receiver.has(1).await;
        // Ten minutes pass before the receiver says that it failed.
        clock.advance(Duration::from_secs(600));
        receiver.let_go();
        settled(&simulator).await;
        assert_eq!(timestamps(&receiver), ["1800000000", expected], "{schedule:?}");
        // Signed in earnest, and for a receiver with a tolerance too late where the timestamp is old.
        let verifier = casa::provider().verifier(secret).unwrap();
        let (received, now) = (receiver.received(), clock.now());
        let is_fresh = verifier.verify(&received[1].headers, &received[1].body, now).is_ok();
        assert_eq!(is_fresh, expected == "1800000600", "{schedule:?}");
        let then = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_001);
        assert!(verifier.verify(&received[0].headers, &received[0].body, then).is_ok());
    }
}

/// The numbers of the events, in the order in which they were received.
fn order(receiver: &Receiver, ids: &[String]) -> Vec<usize> {
    let received = receiver.received();
    let number = |id: &Value| ids.iter().position(|known| id == known).unwrap();
    received.iter().map(|received| number(&received.json()["id"])).collect()
}

#[tokio::test]
async fn all_others_wait_while_one_fails() {
    let simulator = with_schedule(Platform::CasaPay, Schedule::named("podium").unwrap()).await;
    let fail = Say::Status(503);
    let blocked = Receiver::start([Say::Held(503), fail, fail, Say::Status(200), fail]).await;
    let free = Receiver::start([]).await;
    subscribed(&simulator, &blocked.url, &["invoice.paid"]).await;
    subscribed(&simulator, &free.url, &["invoice.paid"]).await;
    // A batch that is held back is not shuffled either.
    simulator.set_behaviour(Platform::CasaPay, Behaviour::default().with_out_of_order(8, 7));
    let ids: Vec<_> = (0..4).map(|_| emit(&simulator)).collect();
    // The other endpoint does not wait for this one.
    free.has(4).await;
    assert_eq!(order(&blocked, &ids), [0]);
    blocked.let_go();
    settled(&simulator).await;
    assert_eq!(order(&blocked, &ids), [0, 0, 0, 0, 1, 1, 2, 3]);
    assert_eq!(order(&free, &ids), [0, 1, 2, 3]);
}

#[tokio::test]
async fn who_waits_for_a_turn_is_let_go_by_what_ends_the_wait() {
    for end in ["given up", "disabled at the last failure", "disabled", "deleted", "another schedule"] {
        let schedule =
            Schedule::new("in line").with_delays([Duration::from_secs(3_600)]).with_one_at_a_time();
        let schedule = match end {
            "given up" => schedule.with_given_up([400..=499]),
            "disabled at the last failure" => schedule.with_disabling([400..=499]),
            _ => schedule,
        };
        let simulator =
            Simulator::builder().with_schedule(Platform::CasaPay, schedule).start().await.unwrap();
        let receiver = Receiver::start([Say::Held(400)]).await;
        let (endpoint, _) = subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
        let ids: Vec<_> = (0..3).map(|_| emit(&simulator)).collect();
        receiver.has(1).await;
        let path = format!("/webhook_endpoints/{endpoint}");
        match end {
            "disabled" => _ = casapay(&simulator, "POST", &path, json!({"status": "disabled"})).await,
            "deleted" => _ = casapay(&simulator, "DELETE", &path, Value::Null).await,
            "another schedule" => {
                simulator.set_schedule(Platform::CasaPay, Schedule::new("all at once").with_delays([]));
                receiver.has(3).await;
            }
            _ => {}
        }
        receiver.let_go();
        settled(&simulator).await;
        let mut received = order(&receiver, &ids);
        received.sort_unstable();
        let sent = if end.starts_with("d") { 1 } else { 3 };
        assert_eq!(received, (0..sent).collect::<Vec<_>>(), "{end}");
    }
}

#[tokio::test]
async fn events_that_are_given_up_disable() {
    let schedule = Schedule::new("three events").with_delays([Duration::from_secs(1)]);
    let simulator = with_schedule(Platform::CasaPay, schedule.with_disabling_after_events(3)).await;
    let fails = |events: usize| vec![Say::Status(500); 2 * events];
    // Two events fail, the third is accepted at its second attempt, and three more fail.
    let receiver =
        Receiver::start([fails(2), fails(1)[..1].to_vec(), vec![Say::Status(200)], fails(9)].concat()).await;
    let (endpoint, _) = subscribed(&simulator, &receiver.url, &["invoice.paid"]).await;
    for _ in 0..8 {
        emit(&simulator);
        settled(&simulator).await;
    }
    use Verdict::{Accepted, EndpointDisabled, GivenUp};
    let verdicts = || -> Vec<_> {
        let attempts = simulator.attempts();
        attempts.iter().filter(|attempt| attempt.attempt == 2).map(|attempt| attempt.verdict).collect()
    };
    assert_eq!(verdicts(), [GivenUp, GivenUp, Accepted, GivenUp, GivenUp, EndpointDisabled]);

    // Whoever enables it again begins anew.
    let path = format!("/webhook_endpoints/{endpoint}");
    casapay(&simulator, "POST", &path, json!({"status": "enabled"})).await;
    emit(&simulator);
    settled(&simulator).await;
    assert_eq!(verdicts()[6..], [GivenUp]);
}

#[tokio::test]
async fn http_does_not_leave_loopback() {
    let url = "http://192.0.2.1/hook";
    let simulator = simulator().await;
    let body = json!({"url": url, "enabled_events": ["invoice.paid"]});
    assert_eq!(casapay(&simulator, "POST", "/webhook_endpoints", body.clone()).await.status, 400);
    let remote = Simulator::builder().allow_remote_deliveries().start().await.unwrap();
    assert_eq!(casapay(&remote, "POST", "/webhook_endpoints", body.clone()).await.status, 200);
    let strict = Simulator::builder().allow_remote_deliveries().require_https().start().await.unwrap();
    assert_eq!(casapay(&strict, "POST", "/webhook_endpoints", body).await.status, 400);
    let elsewhere = Simulator::builder().with_delivery_address("192.0.2.1:80".parse().unwrap());
    let refused = elsewhere.start().await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::InvalidInput);
}
