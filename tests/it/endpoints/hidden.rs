//! Neither a key nor a secret is in what clients, managers, sinks and errors show, nor in a log at its loudest.

use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::json;
use tower_webhook::endpoints::{
    EndpointManager, EnvFileSink, FileSink, NewEndpoint, SecretSink as _, StoreLock,
};
use tower_webhook::{LruStore, Secret};
use tracing::Dispatch;
use tracing::subscriber::{DefaultGuard, NoSubscriber};
use wiremock::ResponseTemplate;

use super::api::{
    Api, KEY, URL, UUID, WHSEC, answer, assert_discreet, casapay_created, diddo_created, failure, options,
    told, types,
};
use super::calls::{CALLS, Clients, make};
use super::memory::{Memory, Mood, Vault};
use super::raw::{Raw, Step};

/// What this thread logs.
#[derive(Clone, Default)]
pub(super) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// At its loudest, while what it returns lives.
    pub(super) fn listen(&self) -> (DefaultGuard, Dispatch) {
        let writer = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        // With one dispatcher alone, a thread without one would decide for all of them what is heard.
        (tracing::subscriber::set_default(subscriber), Dispatch::new(NoSubscriber::new()))
    }

    pub(super) fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Every failure of every call, by an API that repeats all that it was told.
async fn fail_in_every_way(shown: &mut String) {
    let chatty =
        json!({"error": {"message": format!("Bearer {KEY}, Token {KEY}: {WHSEC}?")}, "secret": WHSEC});
    for status in [301, 400, 401, 403, 404, 409, 418, 429, 500, 503] {
        // Of an endpoint's secret the client knows nothing but in CasPay's creation.
        let body = if status == 400 { json!({"message": format!("{KEY}{KEY}")}) } else { chatty.clone() };
        let answer = ResponseTemplate::new(status).set_body_json(body).insert_header("retry-after", "0");
        let api = Api::always(answer).await;
        let clients = Clients::new(&api.url(), options().with_attempts(2));
        for call in CALLS {
            *shown += &told(&clients.fail(call).await);
        }
    }
    let garbage = format!("{{\"id\":\"{WHSEC}\",\"secret\":[\"{WHSEC}\"],\"a\":[\"{KEY}\"],\"b\":[");
    for step in [Step::json(200, &garbage), Step::Cut(garbage.into_bytes()), Step::Close] {
        for call in CALLS.into_iter().filter(|call| !call.ends_with("delete") && *call != "caspay create") {
            let api = Raw::in_turn([step.clone()]).await;
            *shown += &told(&make(call, &api.url(), options().with_attempts(1)).await);
        }
    }
}

#[tokio::test]
async fn nothing_shows_a_key_or_a_secret() {
    let log = Log::default();
    let _listening = log.listen();
    tracing::trace!("listening");

    let mut shown = String::new();
    fail_in_every_way(&mut shown).await;

    // What works is shown as little.
    let directory = tempfile::tempdir().unwrap();
    let api = Api::in_turn([answer(200, casapay_created("we_1")), answer(201, diddo_created(UUID))]).await;
    let (casapay, diddo, caspay) = (api.casapay(), api.diddo(), api.caspay());
    let (endpoint, secret) = casapay.create(&NewEndpoint::new(URL, ["invoice.paid"])).await.unwrap();
    shown += &format!("{casapay:?} {diddo:?} {caspay:?} {endpoint:?} {secret:?}");
    let (endpoint, secret) = diddo.create(URL, &types(&["order.submitted"]), None).await.unwrap();
    shown += &format!("{endpoint:?} {secret:?}");
    let file = FileSink::new(directory.path());
    file.store("casapay", "we_1", &secret).await.unwrap();
    let env = EnvFileSink::new(directory.path().join("env"), "SECRET");
    env.store("casapay", "we_1", &secret).await.unwrap();
    shown += &format!("{file:?} {env:?} {:?}", file.secrets("casapay").unwrap());

    // And a manager whose sink fails, with the secret in the error.
    let api = Memory::new();
    let vault = Vault::beside(&api);
    let lock = StoreLock::new(LruStore::new(10));
    shown += &format!("{lock:?}");
    let manager = EndpointManager::new(api.clone(), vault.clone()).with_lock(lock);
    vault.set(Mood::FailsToStore);
    tokio::time::pause(); // it is tried again before it fails
    let mut error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    shown += &format!("{manager:?} {} {:?}", told(&error), error.take_secret());

    tokio::time::resume();

    // A receiver's log has what it is about.
    let key = Secret::new(WHSEC).unwrap();
    let layer = tower_webhook::WebhookLayer::new(tower_webhook::casapay::provider(), key).unwrap();
    let layer = layer.with_dispatch(crate::support::Calls::default().router());
    let other = Secret::new("whsec_another-secret-0123456789").unwrap();
    let request = tower_webhook::testing::sign(&tower_webhook::casapay::provider(), &other, "{}");
    tower::ServiceExt::oneshot(layer.into_service(), request).await.unwrap();

    let logged = log.text();
    assert!(logged.contains("listening") && logged.contains("casapay"), "{logged}");
    assert!(shown.contains("(hidden)") && shown.contains("redacted"), "{shown}");
    assert_discreet(&shown);
    assert_discreet(&logged);
}
