//! A sink, a list or a lock that never answers: what waits for it gives up, and what does not need it goes on. In a
//! paused clock.

use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Semaphore;
use tower_webhook::endpoints::{
    Change, EndpointErrorKind as Kind, EndpointLock, EndpointManager, Registered, RotationPolicy, StoreLock,
};
use tower_webhook::{BoxError, LruStore, SecretUsage, SharedStore};

use super::api::{URL, failure, types};
use super::memory::{Memory, Mood, Vault, managed, managed_with_one};

const OTHER: &str = "https://other.example/hooks";

const AT_ONCE: RotationPolicy = RotationPolicy::new(Duration::ZERO, Duration::ZERO);

/// Fails where the test would hang.
async fn at_last<T>(ends: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(86_400), ends).await.expect("it hangs")
}

fn source(error: &tower_webhook::endpoints::EndpointError) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_fails() {
    for (what, made) in [("announce", 0), ("withdraw", 1)] {
        let (api, vault, manager) = managed();
        vault.set(Mood::Hangs(what));
        let error = failure(at_last(manager.ensure_endpoint(URL, ["invoice.paid"])).await);
        assert_eq!((error.kind(), &*source(&error)), (Kind::Sink, "the sink took too long"), "{what}");
        assert_eq!((api.ids().len(), vault.get("we_1").is_some()), (made, made == 1), "{what}");
    }
    let (_, vault, manager) = managed_with_one(&["invoice.paid"]);
    vault.set(Mood::Hangs("contains"));
    for error in [
        failure(at_last(manager.ensure_endpoint(URL, ["invoice.paid"])).await),
        failure(at_last(manager.begin_rotation(URL)).await),
    ] {
        assert_eq!((error.kind(), &*source(&error)), (Kind::Sink, "the sink took too long"));
    }
    // What is only tidied up is in nobody's way.
    vault.set(Mood::Hangs("tidy"));
    assert_eq!(
        at_last(manager.ensure_endpoint(URL, ["invoice.paid"])).await.unwrap().change,
        Change::Unchanged
    );
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_not_removed_is_removed_later() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    at_last(manager.begin_rotation(URL)).await.unwrap();
    let used = |_: &str| {
        Some(SecretUsage::new(std::time::SystemTime::UNIX_EPOCH, Some(std::time::SystemTime::UNIX_EPOCH)))
    };
    at_last(manager.advance_rotation(URL, AT_ONCE, used)).await.unwrap();
    vault.set(Mood::Hangs("remove"));
    for _ in 0..2 {
        let error = failure(at_last(manager.advance_rotation(URL, AT_ONCE, used)).await);
        assert_eq!((error.kind(), error.endpoint_ids()), (Kind::Sink, &types(&["old"])[..]));
        assert_eq!(api.ids(), ["we_1"]);
    }
    vault.set(Mood::Keeps);
    at_last(manager.ensure_endpoint(URL, ["invoice.paid"])).await.unwrap();
    assert_eq!(vault.get("old"), None);
}

/// And frees the lock, for which another instance waits.
#[tokio::test(start_paused = true)]
async fn a_list_that_never_ends_fails() {
    let store = SharedStore::new(LruStore::new(10));
    let api = Memory::new();
    let manager =
        || EndpointManager::new(api.clone(), Vault::beside(&api)).with_lock(StoreLock::new(store.clone()));
    api.list_slowly(Duration::MAX);
    let error = failure(at_last(manager().ensure_endpoint(URL, ["invoice.paid"])).await);
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.to_string().contains("listing the endpoints took longer than 60 s"), "{error}");
    assert_eq!(api.journal.read(), ["list"]);
    api.list_slowly(Duration::ZERO);
    let impatient = StoreLock::new(store.clone()).with_patience(Duration::ZERO);
    let manager = EndpointManager::new(api.clone(), Vault::beside(&api)).with_lock(impatient);
    assert_eq!(
        at_last(manager.ensure_endpoint(URL, ["invoice.paid"])).await.unwrap().change,
        Change::Created
    );
}

#[tokio::test]
async fn one_url_does_not_wait_for_another() {
    let (api, vault, manager) = managed();
    api.add(Registered::new("other", OTHER, types(&["invoice.paid"])));
    vault.put("other");
    let may_store = Arc::new(Semaphore::new(0));
    vault.set(Mood::Waits(Arc::clone(&may_store)));
    let mut ensuring = std::pin::pin!(manager.ensure_endpoint(URL, ["invoice.paid"]));
    api.journal.until("store acme we_1", ensuring.as_mut()).await;
    assert_eq!(manager.ensure_endpoint(OTHER, ["invoice.paid"]).await.unwrap().change, Change::Unchanged);
    may_store.add_permits(1);
    assert_eq!(ensuring.await.unwrap().change, Change::Created);
}

/// It is not for whoever waits to hear of the endpoint.
#[tokio::test(start_paused = true)]
async fn a_lock_that_is_not_given_back_keeps_nothing() {
    struct Sticky;

    impl EndpointLock for Sticky {
        type Held = ();

        async fn acquire(&self, _: &str, _: Duration) -> Result<(), BoxError> {
            Ok(())
        }

        async fn release(&self, (): ()) {
            pending().await
        }
    }

    let api = Memory::new();
    let manager = EndpointManager::new(api.clone(), Vault::beside(&api)).with_lock(Sticky);
    assert_eq!(
        at_last(manager.ensure_endpoint(URL, ["invoice.paid"])).await.unwrap().change,
        Change::Created
    );
    assert_eq!(
        at_last(manager.ensure_endpoint(URL, ["invoice.paid"])).await.unwrap().change,
        Change::Unchanged
    );
}

/// One that somebody has written may, and its creation is not cut off, whose answer has the secret.
#[tokio::test(start_paused = true)]
async fn an_api_that_hangs_keeps_others_waiting_no_longer_than_a_lock() {
    let (api, _, manager) = managed();
    let begun = Arc::new(Semaphore::new(0));
    let told = Arc::clone(&begun);
    api.during_creation(move |_| {
        told.add_permits(1);
        pending().boxed()
    });
    let hangs = tokio::spawn({
        let manager = manager.clone();
        async move { manager.ensure_endpoint(URL, ["invoice.paid"]).await.map(drop) }
    });
    begun.acquire().await.unwrap().forget();
    let error = failure(at_last(manager.ensure_endpoint(URL, ["invoice.paid"])).await);
    assert_eq!(error.kind(), Kind::Lock);
    assert!(error.to_string().contains("an earlier call for this URL has not ended"), "{error}");
    assert!(!hangs.is_finished());
}
