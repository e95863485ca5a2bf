//! Secrets that change, and secrets of tenants: a vault that does what the test says, and a layer that asks it.

mod cache;
mod names;
mod outages;
mod rotation;

use std::collections::HashMap;
use std::future::pending;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use http::Request;
use tokio::sync::Semaphore;
use tower_webhook::testing::faulty::FaultyStore;
use tower_webhook::testing::{ManualClock, SignedRequest};
use tower_webhook::{
    Body, BoxError, LruStore, Provider, RejectionReason, Secret, SecretSource, Secrets, TenantCache,
    TenantKey, Tenants, WebhookLayer, caspay,
};

use crate::support::{Calls, NOW, Receiver, caspay_body};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What the vault does when it is asked.
#[derive(Clone)]
enum Mood {
    Answers,
    Fails,
    Panics,
    Hangs,
    /// Answers once it may.
    Waits(Arc<Semaphore>),
}

/// Secrets of tenants. Clones share them.
#[derive(Clone)]
struct Vault(Arc<Mutex<Inside>>);

struct Inside {
    secrets: HashMap<String, Make>,
    asked: Vec<String>,
    mood: Mood,
}

type Make = Box<dyn Fn() -> Secrets + Send>;

impl Vault {
    /// `acme` and `zorg` with a secret each: see [`secret_of`].
    fn new() -> Self {
        let inside = Inside { secrets: HashMap::new(), asked: Vec::new(), mood: Mood::Answers };
        let vault = Self(Arc::new(Mutex::new(inside)));
        for tenant in ["acme", "zorg"] {
            vault.set(tenant, move || secret_of(tenant).into());
        }
        vault
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap()
    }

    fn set(&self, tenant: &str, secrets: impl Fn() -> Secrets + Send + 'static) {
        self.inside().secrets.insert(tenant.to_owned(), Box::new(secrets));
    }

    fn set_mood(&self, mood: Mood) {
        self.inside().mood = mood;
    }

    /// For whom it was asked, from the beginning.
    fn asked(&self) -> Vec<String> {
        self.inside().asked.clone()
    }

    fn asked_for(&self, tenant: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == tenant).count()
    }
}

impl SecretSource for Vault {
    async fn secrets(&self, tenant: &str) -> Result<Option<Secrets>, BoxError> {
        let mood = {
            let mut inside = self.inside();
            inside.asked.push(tenant.to_owned());
            inside.mood.clone()
        };
        match mood {
            Mood::Answers => {}
            Mood::Fails => return Err("the vault is sealed".into()),
            Mood::Panics => panic!("in the vault"),
            Mood::Hangs => pending().await,
            Mood::Waits(semaphore) => semaphore.acquire().await?.forget(),
        }
        Ok(self.inside().secrets.get(tenant).map(|secrets| secrets()))
    }
}

fn secret_of(tenant: &str) -> Secret {
    Secret::new(format!("the-signing-secret-of-{tenant}")).unwrap()
}

/// A platform whose tenants are at `/hooks/{tenant}`.
struct Platform {
    vault: Vault,
    receiver: Receiver,
}

impl Platform {
    fn new() -> Self {
        Self::with(|tenants| tenants)
    }

    fn with(configure: impl FnOnce(Tenants) -> Tenants) -> Self {
        Self::of(caspay::provider(), TenantKey::path_after("/hooks/").unwrap(), configure)
    }

    fn of(provider: Provider, key: TenantKey, configure: impl FnOnce(Tenants) -> Tenants) -> Self {
        let vault = Vault::new();
        let (calls, clock) = (Calls::default(), ManualClock::at_unix(NOW));
        let store = FaultyStore::new(LruStore::with_clock(1_000, clock.clone()));
        let faults = store.faults();
        let layer = WebhookLayer::for_tenants(provider, configure(Tenants::new(key, vault.clone())))
            .unwrap()
            .with_clock(clock.clone())
            .with_store(store)
            .with_dispatch(calls.router());
        Self { vault, receiver: Receiver { layer, calls, clock, store: faults } }
    }

    fn cache(&self) -> TenantCache {
        self.receiver.layer.tenants().unwrap()
    }

    fn macs(&self) -> u64 {
        self.receiver.stats().macs()
    }

    /// Delivers an event of the tenant, which must be handled.
    async fn handles(&self, tenant: &str, id: &str) {
        self.receiver.handles(to(tenant, &secret_of(tenant), id)).await;
    }

    /// Sends what must be refused with 401, after one MAC.
    async fn refuses<B>(&self, request: Request<B>, reason: RejectionReason)
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    {
        let macs = self.macs();
        self.receiver.refuses(request, reason).await;
        assert_eq!(self.macs(), macs + 1, "one MAC, whoever the tenant is");
    }

    /// Sends what must be answered 503 after one MAC: the keys at hand may be outdated.
    async fn cannot_judge<B>(&self, request: Request<B>)
    where
        B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    {
        let (macs, reason) = (self.macs(), RejectionReason::SecretsUnavailable);
        let answer = self.receiver.turns_away(request, http::StatusCode::SERVICE_UNAVAILABLE, reason).await;
        assert!(answer.headers().contains_key("retry-after"), "{:?}", answer.headers());
        assert_eq!(self.macs(), macs + 1);
    }

    /// Sends an event of the tenant that must be answered 503, its body unread.
    async fn cannot_tell(&self, tenant: &str) {
        let request = to(tenant, &secret_of(tenant), "evt_unavailable").map(|_| crate::body::Untouchable);
        let reason = RejectionReason::SecretsUnavailable;
        let answer = self.receiver.turns_away(request, http::StatusCode::SERVICE_UNAVAILABLE, reason).await;
        assert!(answer.headers().contains_key("retry-after"), "{:?}", answer.headers());
    }
}

/// A delivery to `/hooks/{tenant}`, signed with this secret.
fn to(tenant: &str, secret: &Secret, id: &str) -> Request<Body> {
    let provider = caspay::provider();
    let request = SignedRequest::new(&provider, secret, caspay_body(id));
    request.with_uri(format!("/hooks/{tenant}")).build()
}
