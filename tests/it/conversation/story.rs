//! What happens, in its order, and what must be true in the end: nothing lost, nothing doubled, no 401.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::PgPool;
use tower_webhook::Secret;
use tower_webhook::endpoints::{CasaPay, ClientOptions, EndpointStatus, EndpointUpdate};
use tower_webhook::testing::simulator::CASAPAY_TEST_KEY;

use super::provider::{Provider, Sent};
use super::receiver::{Configuration, Receiver, TABLES, secrets_in};
use crate::servers::{free_port, postgres_database};

/// What a handler wrote down, by event.
async fn effects(pool: &PgPool) -> BTreeMap<String, Vec<String>> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT event, label FROM effects").fetch_all(pool).await.unwrap();
    let mut effects = BTreeMap::<_, Vec<_>>::new();
    for (event, label) in rows {
        effects.entry(event).or_default().push(label);
    }
    effects
}

fn answers(sent: &[Sent], event: &str) -> Vec<Option<u16>> {
    sent.iter().filter(|sent| sent.event == event).map(|sent| sent.status).collect()
}

fn answers_of<'s>(sent: &'s [Sent], endpoint: &str) -> impl Iterator<Item = u16> + use<'s> {
    let endpoint = endpoint.to_owned();
    sent.iter().filter(move |sent| sent.endpoint == endpoint).filter_map(|sent| sent.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receiver_subscribes_rotates_pauses_and_catches_up_without_loss_or_double() {
    let database = postgres_database().await;
    let pool = PgPool::connect(&database).await.unwrap();
    for table in TABLES {
        sqlx::query(table).execute(&pool).await.unwrap();
    }
    let secrets = tempfile::tempdir().unwrap();
    let provider = Arc::new(Provider::start().await);
    let configuration = Configuration {
        port: free_port(),
        database,
        casapay_url: provider.casapay_url(),
        secrets: secrets.path().to_owned(),
    };
    let options = ClientOptions::default().allow_loopback();
    let api =
        CasaPay::new(&configuration.casapay_url, Secret::new(CASAPAY_TEST_KEY).unwrap(), options).unwrap();
    let mut emitted = BTreeSet::new();

    // It subscribes itself to what it handles, and finds its endpoint again after a crash.
    let receiver = Receiver::start(&configuration).await;
    let endpoints = api.list().await.unwrap();
    let [first] = &endpoints[..] else { panic!("{endpoints:?}") };
    assert_eq!(first.enabled_events, ["invoice.paid"]);
    assert_eq!(receiver.did().await, format!("endpoint {}: created", first.id));
    receiver.kill().await;
    emitted.insert(provider.emit(json!({ "while": "it is down" })).await);
    let receiver = Receiver::start(&configuration).await;
    assert_eq!(receiver.did().await, format!("endpoint {}: unchanged", first.id));
    assert_eq!(api.list().await.unwrap(), endpoints);

    // A handler that fails is tried again until it has done its work.
    let failing = provider.emit(json!({ "fail": 2 })).await;
    provider.settled().await;
    assert_eq!(answers(&provider.sent(0).await, &failing), [Some(503), Some(503), Some(200)]);
    emitted.insert(failing);

    // Every event three times at once.
    provider.behave(json!({ "copies": 3 })).await;
    let before = provider.sent(0).await.last().unwrap().sequence;
    for number in 0..10 {
        emitted.insert(provider.emit(json!({ "number": number })).await);
    }
    provider.settled().await;
    provider.behave(json!({})).await;
    let copies = provider.sent(before).await;
    assert!(copies.len() >= 30, "{copies:?}");
    assert!(effects(&pool).await.values().all(|labels| *labels == [first.id.clone()]));
    assert_eq!(effects(&pool).await.keys().cloned().collect::<BTreeSet<_>>(), emitted);

    // The secret is replaced while events come in. The answer to the creation is late: meanwhile the new endpoint
    // delivers what nobody here can verify.
    let before = provider.sent(0).await.last().unwrap().sequence;
    let is_over = Arc::new(AtomicBool::new(false));
    let traffic = tokio::spawn({
        let (provider, is_over) = (Arc::clone(&provider), Arc::clone(&is_over));
        async move {
            let mut emitted = BTreeSet::new();
            while !is_over.load(Ordering::Relaxed) {
                emitted.insert(provider.emit(json!({ "during": "the rotation" })).await);
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
            emitted
        }
    });
    provider.plan_fault("create", json!({ "slow_ms": 2_000 })).await;
    let (old, new) = receiver.begin_rotation().await;
    assert_eq!(old, first.id);
    assert_eq!(receiver.begin_rotation().await, (old.clone(), new.clone()), "it goes on where it was");
    // Both deliver, and a receiver that starts anew accepts both.
    receiver.kill().await;
    let receiver = Receiver::start(&configuration).await;
    assert_eq!(receiver.did().await, format!("endpoint {new}: unchanged, replaces {old}"));

    let (overlap, quiet) = (Duration::from_secs(2), Duration::from_secs(2));
    let mut steps = Vec::new();
    let retired = loop {
        let step = receiver.advance(overlap, quiet).await;
        if let Some(retired) = step.get("retired") {
            break retired.clone();
        }
        if steps.last() != Some(&step) {
            steps.push(step);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(retired, Value::from(old.clone()));
    let paused = steps.iter().position(|step| step == "paused").unwrap();
    assert!(steps[paused + 1..].iter().all(|step| step == "not quiet"), "{steps:?}");
    is_over.store(true, Ordering::Relaxed);
    emitted.extend(traffic.await.unwrap());
    provider.settled().await;

    let sent = provider.sent(before).await;
    assert!(
        answers_of(&sent, &new).any(|status| status == 503),
        "the new secret was needed before it was there"
    );
    let refused: Vec<_> = sent.iter().filter(|sent| !matches!(sent.status, None | Some(200 | 503))).collect();
    assert!(refused.is_empty(), "{refused:?}");
    let by = |endpoint: &str| -> BTreeSet<_> {
        let accepted = sent.iter().filter(|sent| sent.endpoint == endpoint && sent.status == Some(200));
        accepted.map(|sent| sent.event.clone()).collect()
    };
    assert!(by(&old).intersection(&by(&new)).count() > 10, "both delivered the same events");
    assert_eq!(secrets_in(secrets.path()), [format!("casapay.{new}.secret")]);
    let endpoints = api.list().await.unwrap();
    assert_eq!(endpoints.iter().map(|endpoint| &endpoint.id).collect::<Vec<_>>(), [&new]);

    // Somebody pauses the endpoint. What happens meanwhile is fetched, beside one event that comes both ways.
    let pause = |status| EndpointUpdate::new().with_status(status);
    api.update(&new, &pause(EndpointStatus::Disabled)).await.unwrap();
    let before = provider.sent(0).await.last().unwrap().sequence;
    let mut missed = BTreeSet::new();
    for number in 0..10 {
        missed.insert(provider.emit(json!({ "number": number })).await);
    }
    provider.settled().await;
    assert!(provider.sent(before).await.is_empty());
    let caught_up = receiver.replay_missed().await;
    assert!(caught_up["done"].as_u64().unwrap() >= 10, "{caught_up}");
    let again = receiver.replay_missed().await;
    assert_eq!(again["done"], 0, "{again}");
    assert!(again["duplicates"].as_u64().unwrap() >= 10, "{again}");
    let fetched = effects(&pool).await;
    assert!(missed.iter().all(|event| fetched[event] == ["fetched"]), "{fetched:?}");
    emitted.extend(missed);
    api.update(&new, &pause(EndpointStatus::Enabled)).await.unwrap();
    for number in 0..5 {
        emitted.insert(provider.emit(json!({ "number": number })).await);
    }
    provider.settled().await;

    // Nothing lost, nothing doubled.
    let effects = effects(&pool).await;
    let doubled: Vec<_> = effects.iter().filter(|(_, labels)| labels.len() != 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
    assert_eq!(effects.into_keys().collect::<BTreeSet<_>>(), emitted);
}
