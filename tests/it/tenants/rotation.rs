//! Secrets that change while deliveries arrive.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{RwLock, watch};
use tower_webhook::{ConfigError, RejectionReason as R, Secret, Secrets, caspay};

use super::{Platform, secret_of, to};
use crate::support::{NOW, Receiver};

const OLD: &str = "the-old-signing-secret";
const NEW: &str = "the-new-signing-secret";
const SENDERS: usize = 8;

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

fn list(texts: &[&str]) -> Secrets {
    Secrets::labelled(texts.iter().map(|text| ((*text).to_owned(), secret(text)))).unwrap()
}

/// Swaps the secrets of `acme` while eight senders deliver without a pause: every delivery is handled that is signed
/// with what the provider signs with at that moment.
async fn rotate_under_traffic(receiver: Receiver, accept: impl Fn(&[&str])) {
    let (receiver, signs_with) = (Arc::new(receiver), Arc::new(RwLock::new(OLD)));
    let (delivered, stop) = (watch::Sender::new(0_usize), watch::Sender::new(false));
    accept(&[OLD]);
    let senders: Vec<_> = (0..SENDERS)
        .map(|sender| {
            let (receiver, signs_with) = (Arc::clone(&receiver), Arc::clone(&signs_with));
            let (delivered, stop) = (delivered.clone(), stop.subscribe());
            tokio::spawn(async move {
                for event in 0.. {
                    if *stop.borrow() {
                        return;
                    }
                    // Held until the delivery is answered: the provider switches between deliveries.
                    let signs_with = signs_with.read().await;
                    let request = to("acme", &secret(*signs_with), &format!("evt_{sender}_{event}"));
                    let answer = receiver.send(request).await;
                    assert_eq!(answer.status(), 200, "signed with {signs_with}");
                    drop(signs_with);
                    delivered.send_modify(|count| *count += 1);
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let more = async || {
        let count = *delivered.borrow();
        let mut delivered = delivered.subscribe();
        let enough = delivered.wait_for(|now| *now >= count + 100);
        tokio::time::timeout(Duration::from_secs(60), enough).await.expect("a sender has failed").unwrap();
    };
    more().await;
    accept(&[NEW, OLD]);
    more().await;
    *signs_with.write().await = NEW;
    more().await;
    accept(&[NEW]);
    more().await;
    stop.send_replace(true);
    for sender in senders {
        sender.await.unwrap();
    }
    let stats = receiver.stats();
    assert_eq!(stats.rejected(R::SignatureMismatch) + stats.rejected(R::UnknownTenant), 0);
    assert_eq!(receiver.calls.count(), *delivered.borrow(), "each event was handled once");
    receiver.refuses(to("acme", &secret(OLD), "evt_late"), R::SignatureMismatch).await;
    receiver.handles(to("acme", &secret(NEW), "evt_late")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f49_secrets_are_replaced_under_traffic() {
    let receiver = Receiver::with_secrets(caspay::provider(), list(&[OLD]));
    let verifier = receiver.layer.verifier();
    rotate_under_traffic(receiver, |texts| verifier.replace_secrets(list(texts)).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f49_a_tenants_secrets_are_replaced_under_traffic() {
    let Platform { vault, receiver } = Platform::new();
    let cache = receiver.layer.tenants().unwrap();
    let accept = |texts: &[&str]| {
        let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
        vault.set("acme", move || list(&texts.iter().map(String::as_str).collect::<Vec<_>>()));
        cache.refresh("acme");
    };
    rotate_under_traffic(receiver, accept).await;
    assert!((1..=3 + SENDERS).contains(&vault.asked_for("acme")), "{}", vault.asked_for("acme"));
}

#[tokio::test]
async fn f49_windows_open_and_close_by_the_clock() {
    let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(NOW + seconds);
    let windows = move || {
        let old = secret(OLD).with_not_after(at(60));
        let new = secret(NEW).with_not_before(at(30));
        Secrets::labelled([("old".to_owned(), old), ("new".to_owned(), new)]).unwrap()
    };
    let platform = Platform::new();
    platform.vault.set("acme", windows);
    let fixed = Receiver::with_secrets(caspay::provider(), windows());
    for (seconds, old, new) in
        [(0, true, false), (29, true, false), (30, true, true), (60, true, true), (61, false, true)]
    {
        for receiver in [&platform.receiver, &fixed] {
            receiver.clock.set_unix(NOW + seconds);
            for (text, accepted) in [(OLD, old), (NEW, new)] {
                let request = to("acme", &secret(text), &format!("evt_{text}_{seconds}"));
                if accepted {
                    receiver.handles(request).await;
                } else {
                    receiver.refuses(request, R::SignatureMismatch).await;
                }
            }
        }
    }
    assert_eq!(platform.vault.asked_for("acme"), 1);
}

#[tokio::test]
async fn secrets_of_tenants_are_not_replaced_from_outside() {
    let platform = Platform::new();
    let verifier = platform.receiver.layer.verifier();
    assert_eq!(verifier.replace_secrets(secret(NEW)), Err(ConfigError::SecretsOfTenants));
    platform.refuses(to("nobody", &secret(NEW), "evt_1"), R::UnknownTenant).await;
    let request = to("acme", &secret_of("acme"), "evt_1");
    let (parts, body) = request.into_parts();
    let verified = verifier.verify(&parts.headers, &body.into_bytes(), SystemTime::now());
    assert_eq!(verified.unwrap_err().reason(), R::SignatureMismatch);
    assert!(Receiver::new(caspay::provider()).layer.tenants().is_none());
}
