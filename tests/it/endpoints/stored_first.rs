//! A secret is stored before anything else, and lost by nothing: not by a sink that fails or panics, not by a caller
//! that goes away.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tower_webhook::LruStore;
use tower_webhook::endpoints::{
    Change, EndpointErrorKind as Kind, EndpointManager, EnvFileSink, FileSink, SecretSink as _, StoreLock,
};

use super::api::{URL, failure, types};
use super::hidden::Log;
use super::memory::{Memory, Mood, Quirk, Vault, managed, managed_with_one};
use crate::stage::within_a_minute;

/// In a paused clock, since it is tried again before.
#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_leaves_the_secret_in_the_error() {
    let (api, vault, manager) = managed();
    vault.set(Mood::FailsToStore);
    let mut error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    assert_eq!((error.kind(), error.endpoint_ids()), (Kind::SecretNotStored, &types(&["we_1"])[..]));
    assert!(error.to_string().contains("store the secret that this error holds"), "{error}");
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "the vault is sealed");
    assert_eq!(error.take_secret().unwrap().expose(), Memory::secret("we_1").expose());
    assert!(error.take_secret().is_none());

    // Not stored after all: it is found out, and nothing is created beside it.
    vault.set(Mood::Keeps);
    let error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    assert_eq!((error.kind(), error.endpoint_ids()), (Kind::SecretUnknown, &types(&["we_1"])[..]));
    assert_eq!(api.journal.count("create"), 1);

    vault.put("we_1");
    assert_eq!(manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap().change, Change::Unchanged);
}

#[tokio::test]
async fn an_endpoint_whose_secret_is_nowhere_is_named_before_anything_is_changed() {
    let (api, vault, manager) = managed();
    api.add(tower_webhook::endpoints::Registered::new("old", URL, types(&["invoice.paid"])));
    let error = failure(manager.ensure_endpoint(URL, ["charge.failed"]).await);
    assert_eq!((error.kind(), error.endpoint_ids()), (Kind::SecretUnknown, &types(&["old"])[..]));
    assert!(error.to_string().contains("delete the endpoint and run this again"), "{error}");
    assert_eq!(api.journal.read(), ["list"]);

    api.lose("old");
    assert_eq!(manager.ensure_endpoint(URL, ["charge.failed"]).await.unwrap().change, Change::Created);
    assert!(vault.get("we_1").is_some());
}

#[tokio::test]
async fn a_sink_that_cannot_say_what_it_has_is_an_error() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    vault.set(Mood::Sealed);
    assert_eq!(failure(manager.ensure_endpoint(URL, ["charge.failed"]).await).kind(), Kind::Sink);
    assert_eq!(api.journal.read(), ["list"]);
}

/// Else every other instance would wait for the lock to run out.
#[tokio::test]
async fn a_sink_that_panics_keeps_neither_the_lock_nor_the_secret() {
    let api = Memory::new();
    let vault = Vault::beside(&api);
    let lock = StoreLock::new(LruStore::new(10)).with_patience(std::time::Duration::ZERO);
    let manager = EndpointManager::new(api.clone(), vault.clone()).with_lock(lock);
    vault.set(Mood::PanicsInStore);
    let mut error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    assert_eq!((error.kind(), error.endpoint_ids()), (Kind::SecretNotStored, &types(&["we_1"])[..]));
    assert_eq!(error.take_secret().unwrap().expose(), Memory::secret("we_1").expose());
    vault.set(Mood::Keeps);
    // The lock is free, and what happened is found out.
    assert_eq!(failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await).kind(), Kind::SecretUnknown);
    assert_eq!(api.journal.count("create"), 1);
}

/// A sink that could not store is asked before there is anything to store.
#[tokio::test]
async fn what_a_sink_cannot_take_is_not_created() {
    let (api, vault, manager) = managed();
    vault.set(Mood::Sealed);
    assert_eq!(failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await).kind(), Kind::Sink);
    let asked = ["list", "announce acme", "withdraw acme"];
    assert_eq!(api.journal.read(), asked, "an announcement that was half done is taken back");

    let directory = tempfile::tempdir().unwrap();
    let api = Memory::of("casapay");
    let missing = FileSink::new(directory.path().join("missing"));
    let manager = EndpointManager::new(api.clone(), missing);
    assert_eq!(failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await).kind(), Kind::Sink);

    let full = EnvFileSink::new(directory.path().join("env"), "X");
    for id in ["we_8", "we_9"] {
        full.store("casapay", id, &Memory::secret(id)).await.unwrap();
    }
    let manager = EndpointManager::new(api.clone(), full);
    assert_eq!(failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await).kind(), Kind::Sink);
    assert_eq!((api.journal.count("create"), api.ids()), (0, vec![]));
}

/// In a paused clock.
#[tokio::test(start_paused = true)]
async fn a_sink_that_hangs_gives_the_secret_back() {
    let (_, vault, manager) = managed();
    vault.set(Mood::Waits(Arc::new(Semaphore::new(0))));
    let mut error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    assert_eq!(error.kind(), Kind::SecretNotStored);
    assert!(error.take_secret().is_some());
}

/// As a service does that is told to stop while it starts.
#[tokio::test]
async fn a_caller_that_goes_away_ends_nothing_half_way() {
    let (api, vault, manager) = managed();
    let may_store = Arc::new(Semaphore::new(0));
    vault.set(Mood::Waits(Arc::clone(&may_store)));
    {
        let mut ensuring = std::pin::pin!(manager.ensure_endpoint(URL, ["invoice.paid"]));
        api.journal.until("store acme we_1", ensuring.as_mut()).await;
    }
    assert_eq!(vault.get("we_1"), None);
    may_store.add_permits(1);
    within_a_minute(async {
        while vault.get("we_1").is_none() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    vault.set(Mood::Keeps);
    assert_eq!(manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap().change, Change::Unchanged);
    assert_eq!(api.journal.count("create"), 1);
}

/// In a paused clock. Whoever gets the error may be gone, and nobody else has the secret.
#[tokio::test(start_paused = true)]
async fn a_sink_that_fails_for_a_while_is_asked_again() {
    let (api, vault, manager) = managed();
    vault.set(Mood::FailsToStore);
    {
        let mut ensuring = std::pin::pin!(manager.ensure_endpoint(URL, ["invoice.paid"]));
        while api.journal.count("store acme we_1") < 3 {
            assert!(futures_util::poll!(&mut ensuring).is_pending());
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
    vault.set(Mood::Keeps);
    assert_eq!(manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap().change, Change::Unchanged);
    assert_eq!(vault.get("we_1").as_deref(), Some(Memory::secret("we_1").expose()));
    assert_eq!(api.journal.count("create"), 1);
}

/// In a paused clock. There is nothing else to hear it by.
#[tokio::test(start_paused = true)]
async fn what_fails_when_the_caller_has_gone_is_logged() {
    let (log, (api, vault, manager)) = (Log::default(), managed());
    let _listening = log.listen();
    vault.set(Mood::FailsToStore);
    {
        let mut ensuring = std::pin::pin!(manager.ensure_endpoint(URL, ["invoice.paid"]));
        api.journal.until("store acme we_1", ensuring.as_mut()).await;
        assert_eq!(log.text(), "");
    }
    // It waits for its turn, and so for the end of the first.
    failure(manager.begin_rotation(URL).await);
    assert!(
        log.text().contains("ERROR") && log.text().contains("nobody waits for the error"),
        "{}",
        log.text()
    );
    assert!(log.text().contains("(endpoints: we_1)"), "{}", log.text());
    super::api::assert_discreet(&log.text());
}

/// The secret that is in use would be written over.
#[tokio::test]
async fn what_was_there_before_is_not_stored_as_new() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    let before = vault.get("old");
    api.set(Quirk::CreatesNone);
    for url in [URL, "https://shop.example/another"] {
        let mut error = if url == URL {
            failure(manager.begin_rotation(url).await)
        } else {
            failure(manager.ensure_endpoint(url, ["invoice.paid"]).await)
        };
        assert_eq!((error.kind(), error.endpoint_ids()), (Kind::Conflict, &types(&["old"])[..]));
        assert!(error.to_string().contains("that was there before"), "{error}");
        assert_eq!(error.take_secret().unwrap().expose(), Memory::secret("another").expose());
        assert_eq!((vault.get("old"), api.journal.count("store acme old")), (before.clone(), 0));
    }
}

/// In a paused clock; an API and a sink that take a minute may take another to create, and the lock would be gone.
#[tokio::test(start_paused = true)]
async fn what_takes_too_long_creates_nothing() {
    use std::time::Duration;

    let (api, vault, manager) = managed();
    api.list_slowly(Duration::from_secs(59));
    vault.set(Mood::AnnouncesAfter(Duration::from_secs(2)));
    let error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    assert_eq!(error.kind(), Kind::Lock);
    assert_eq!(api.journal.read(), ["list", "announce acme", "withdraw acme"]);

    api.add(tower_webhook::endpoints::Registered::new("old", URL, types(&["invoice.paid"])));
    vault.put("old");
    assert_eq!(failure(manager.begin_rotation(URL).await).kind(), Kind::Lock);
    let asked = ["list", "announce acme", "withdraw acme"];
    assert_eq!(api.journal.read(), asked, "nothing is awaited that does not come");

    vault.set(Mood::Keeps);
    manager.begin_rotation(URL).await.unwrap();
}
