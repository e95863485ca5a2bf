//! Several instances that start together: one endpoint, as long as there is a lock.

use std::time::Duration;

use tower_webhook::dedup::RedisStore;
use tower_webhook::endpoints::{
    CasaPay, Change, ClientOptions, EndpointErrorKind as Kind, EndpointLock, EndpointManager, FileSink,
    NoLock, StoreLock,
};
use tower_webhook::testing::faulty::{Fault, FaultyStore, Operation};
use tower_webhook::{LruStore, SharedStore};

use super::api::{URL, failure};
use super::memory::{Memory, Vault};
use crate::servers::redis_url;

const INSTANCES: usize = 4;

/// Starts instances together, each with a lock of its own; how many endpoints were created.
async fn start<L: EndpointLock>(lock: impl Fn() -> L, url: &str) -> (Memory, Vault) {
    let api = Memory::new();
    let vault = Vault::beside(&api);
    let ensured = (0..INSTANCES).map(|_| {
        let manager = EndpointManager::new(api.clone(), vault.clone()).with_lock(lock());
        let url = url.to_owned();
        async move { manager.ensure_endpoint(&url, ["invoice.paid"]).await.unwrap().change }
    });
    let changes = futures_util::future::join_all(ensured).await;
    let created = changes.iter().filter(|change| **change == Change::Created).count();
    assert_eq!(created, api.journal.count("create"));
    (api, vault)
}

#[tokio::test]
async fn a_store_lets_one_instance_create_and_the_others_find() {
    let store = SharedStore::new(LruStore::new(10));
    let (api, vault) = start(|| StoreLock::new(store.clone()), URL).await;
    assert_eq!(api.ids(), ["we_1"]);
    assert!(vault.get("we_1").is_some());
}

#[tokio::test]
async fn so_does_redis() {
    let client = redis::Client::open(redis_url()).unwrap();
    let store = RedisStore::new(client.get_multiplexed_async_connection().await.unwrap());
    // The server is everybody's.
    let url = format!("https://shop.example/{}", crate::servers::random());
    let (api, _) = start(|| StoreLock::new(SharedStore::new(store.clone())), &url).await;
    assert_eq!(api.ids(), ["we_1"]);
    // And again, under the lock that was given back.
    let (api, _) = start(|| StoreLock::new(store.clone()), &url).await;
    assert_eq!(api.ids(), ["we_1"]);
}

/// What the lock is for, and what a forgotten one comes to: found out by the next one.
#[tokio::test]
async fn without_a_lock_each_creates_one() {
    let (api, vault) = start(|| NoLock, URL).await;
    assert_eq!(api.ids().len(), INSTANCES);
    let manager = EndpointManager::new(api.clone(), vault);
    assert_eq!(
        failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await).kind(),
        Kind::DuplicateEndpoints
    );
}

#[tokio::test]
async fn locks_are_of_one_url_however_it_is_written() {
    let store = SharedStore::new(LruStore::new(10));
    let held =
        StoreLock::new(store.clone()).acquire(&format!("acme {URL}"), Duration::from_secs(60)).await.unwrap();
    let api = Memory::new();
    let lock = StoreLock::new(store.clone()).with_patience(Duration::ZERO);
    let manager = EndpointManager::new(api.clone(), Vault::beside(&api)).with_lock(lock);
    for same in [URL, "HTTPS://shop.EXAMPLE:443/hooks"] {
        let error = failure(manager.ensure_endpoint(same, ["invoice.paid"]).await);
        assert_eq!(error.kind(), Kind::Lock);
        assert!(error.to_string().contains("try again"), "{error}");
        assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "another instance holds the lock");
    }
    assert!(api.journal.read().is_empty(), "nothing is looked at without the lock");
    manager.ensure_endpoint("https://shop.example/other", ["invoice.paid"]).await.unwrap();

    StoreLock::new(store).release(held).await;
    manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
}

/// The runtime's time is paused, so that nobody waits for it.
#[tokio::test(start_paused = true)]
async fn a_lock_is_waited_for() {
    let store = SharedStore::new(LruStore::new(10));
    let lock = StoreLock::new(store.clone()).with_patience(Duration::from_secs(60));
    let held = lock.acquire("name", Duration::from_secs(600)).await.unwrap();
    let waits = tokio::spawn(async move { lock.acquire("name", Duration::from_secs(600)).await.is_ok() });
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(!waits.is_finished());
    StoreLock::new(store.clone()).release(held).await;
    assert!(waits.await.unwrap());
    let impatient = StoreLock::new(store).with_patience(Duration::from_secs(3));
    assert!(impatient.acquire("name", Duration::from_secs(600)).await.is_err());
}

/// Two tasks of one service have one manager.
#[tokio::test]
async fn one_manager_does_one_thing_at_a_time() {
    let api = Memory::new();
    let manager = EndpointManager::new(api.clone(), Vault::beside(&api));
    let ensured = (0..INSTANCES).map(|_| {
        let manager = manager.clone();
        async move { manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap() }
    });
    futures_util::future::join_all(ensured).await;
    assert_eq!(api.ids(), ["we_1"]);
}

/// In a paused clock; neither is it waited for without end, nor does it keep what was done.
#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_is_a_lock_that_is_not_had() {
    let store = FaultyStore::new(LruStore::new(10));
    let faults = store.faults();
    faults.always(Operation::Claim, Fault::Hang);
    let api = Memory::new();
    let manager = EndpointManager::new(api.clone(), Vault::beside(&api)).with_lock(StoreLock::new(store));
    assert_eq!(failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await).kind(), Kind::Lock);
    assert_eq!(api.ids(), Vec::<String>::new());

    faults.heal();
    faults.always(Operation::Release, Fault::Hang);
    let ensured = manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
    assert_eq!(ensured.change, Change::Created);
}

/// Notes for how long it is held.
#[derive(Clone, Default)]
struct Noted(std::sync::Arc<std::sync::Mutex<Duration>>);

impl Noted {
    fn hold(&self) -> Duration {
        *self.0.lock().unwrap()
    }
}

impl EndpointLock for Noted {
    type Held = ();

    async fn acquire(&self, _: &str, hold: Duration) -> Result<(), tower_webhook::BoxError> {
        *self.0.lock().unwrap() = hold;
        Ok(())
    }

    async fn release(&self, (): ()) {}
}

/// For how long a manager holds its lock whose calls and whose announcements may take so long.
async fn hold(deadline: Duration, lead: Duration) -> Duration {
    let options = ClientOptions::default().allow_loopback().with_deadline(deadline);
    let key = tower_webhook::Secret::new("sk_test_0123456789abcdef").unwrap();
    // Nobody listens there.
    let patient = CasaPay::new("http://127.0.0.1:9", key, options.with_attempts(1)).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let noted = Noted::default();
    let manager = EndpointManager::new(patient, FileSink::new(directory.path())).with_lock(noted.clone());
    failure(manager.with_announcement_lead(lead).ensure_endpoint(URL, ["invoice.paid"]).await);
    noted.hold()
}

/// A lock that passes on while an endpoint is being created would be none.
#[tokio::test]
async fn a_lock_is_held_for_longer_than_all_that_is_done_under_it() {
    let held = hold(Duration::from_secs(20), Duration::from_secs(1000)).await;
    // A minute to list, the lead, the creation, half a minute to store and another one to withdraw.
    assert!(held > Duration::from_secs(60 + 1000 + 20 + 30 + 30), "{held:?}");
    let held = hold(Duration::from_secs(500), Duration::ZERO).await;
    assert!(held > Duration::from_secs(500 + 500 + 30 + 30), "{held:?}");
}

/// Whoever wants no deadline gets none, and an hour is not too late for the lock of one who died.
#[tokio::test]
async fn a_deadline_without_end_is_no_lock_without_end() {
    let week = Duration::from_secs(7 * 86_400);
    let (max, none) = (Duration::MAX, Duration::ZERO);
    for lead in [none, max] {
        assert_eq!(hold(max, lead).await, week);
    }
    // A lead is half an hour at most, since an announcement does not hold for longer than one.
    let second = Duration::from_secs(1);
    assert_eq!(hold(second, max).await, hold(second, Duration::from_secs(1_800)).await);
}

/// In a paused clock: the lock of one who was killed a moment ago.
#[tokio::test(start_paused = true)]
async fn whoever_waits_outlasts_one_who_was_killed() {
    for lead in [0, 60, 1000].map(Duration::from_secs) {
        let store = SharedStore::new(LruStore::new(10));
        let (api, noted) = (Memory::new(), Noted::default());
        let killed = EndpointManager::new(api.clone(), Vault::beside(&api)).with_lock(noted.clone());
        killed.with_announcement_lead(lead).ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
        StoreLock::new(store.clone()).acquire(&format!("acme {URL}"), noted.hold()).await.unwrap();

        let api = Memory::new();
        let next = EndpointManager::new(api.clone(), Vault::beside(&api)).with_lock(StoreLock::new(store));
        let ensured = next.with_announcement_lead(lead).ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
        assert_eq!(ensured.change, Change::Created);
    }
}
