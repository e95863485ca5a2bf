//! Endpoints as they should be: created, brought up to date, left alone.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::time::Instant;
use tower_webhook::EventRouter;
use tower_webhook::endpoints::{Change, EndpointErrorKind as Kind, EndpointManager, Registered};

use super::api::{URL, failure, types};
use super::memory::{Memory, Vault, managed, managed_with_one};

#[tokio::test]
async fn an_endpoint_is_created_once_and_its_secret_stored() {
    let (api, vault, manager) = managed();
    let ensured = manager.ensure_endpoint(URL, ["invoice.paid", "charge.failed"]).await.unwrap();
    assert_eq!(
        (&*ensured.endpoint_id, &ensured.change, ensured.is_paused),
        ("we_1", &Change::Created, false)
    );
    assert_eq!((ensured.replaces.as_deref(), &*ensured.to_string()), (None, "endpoint we_1: created"));
    assert_eq!(vault.get("we_1").unwrap(), Memory::secret("we_1").expose());
    let [endpoint] = &api.endpoints()[..] else { panic!("one") };
    assert_eq!((endpoint.url(), endpoint.events()), (URL, &types(&["charge.failed", "invoice.paid"])[..]));
    assert_eq!(endpoint.description(), Some("managed by tower-webhook"));
    let asked = ["list", "announce acme", "create", "store acme we_1", "withdraw acme"];
    assert_eq!(api.journal.read(), asked);

    let again = manager.ensure_endpoint(URL, ["charge.failed", "invoice.paid"]).await.unwrap();
    assert_eq!((&*again.endpoint_id, again.change), ("we_1", Change::Unchanged));
    assert_eq!(api.journal.read(), ["list"]);
}

#[tokio::test]
async fn it_is_called_what_the_user_calls_it() {
    let api = Memory::new();
    let manager = EndpointManager::new(api.clone(), Vault::beside(&api)).with_description("shop 7");
    manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
    assert_eq!(api.endpoints()[0].description(), Some("shop 7"));
}

#[tokio::test]
async fn types_that_drifted_are_added_and_removed_and_told() {
    let (api, _, manager) = managed_with_one(&["invoice.paid", "charge.failed"]);
    let ensured = manager.ensure_endpoint(URL, ["charge.failed", "charge.refunded"]).await.unwrap();
    let change = Change::Updated { added: types(&["charge.refunded"]), removed: types(&["invoice.paid"]) };
    assert_eq!((&*ensured.endpoint_id, &ensured.change), ("old", &change));
    assert_eq!(ensured.to_string(), "endpoint old: updated +charge.refunded -invoice.paid");
    assert_eq!(api.journal.read(), ["list", "events old charge.failed charge.refunded"]);
    assert_eq!(api.endpoints()[0].events(), types(&["charge.failed", "charge.refunded"]));
}

#[tokio::test]
async fn the_order_of_types_is_no_drift() {
    let (api, _, manager) = managed_with_one(&["invoice.paid", "charge.failed", "invoice.paid"]);
    let ensured = manager.ensure_endpoint(URL, ["charge.failed", "invoice.paid"]).await.unwrap();
    assert_eq!(ensured.change, Change::Unchanged);
    assert_eq!(api.journal.read(), ["list"]);
}

#[tokio::test]
async fn one_that_is_paused_stays_so() {
    let (api, vault, manager) = managed();
    api.add(Registered::new("old", URL, types(&["invoice.paid"])).with_active(false));
    vault.put("old");
    let ensured = manager.ensure_endpoint(URL, ["charge.failed"]).await.unwrap();
    assert!(ensured.is_paused && !api.endpoints()[0].is_active());
    assert_eq!(ensured.to_string(), "endpoint old: updated +charge.failed -invoice.paid, paused");
}

#[tokio::test]
async fn what_a_router_handles_is_subscribed_to_with_patterns_resolved() {
    let (api, _, manager) = managed();
    let router = EventRouter::<()>::new()
        .on_type("charge.*", async |_: serde_json::Value| ())
        .on_type("score.*", async |_: serde_json::Value| ())
        .on_type("brand.new", async |_: serde_json::Value| ())
        .fallback(async |_: tower_webhook::Delivery| ());
    manager.ensure_endpoint(URL, router.event_types()).await.unwrap();
    let expected = types(&["brand.new", "charge.failed", "charge.refunded", "score.*"]);
    assert_eq!(api.endpoints()[0].events(), expected);

    let fallback = EventRouter::<()>::new().fallback(async |_: tower_webhook::Delivery| ());
    let error = failure(manager.ensure_endpoint(URL, fallback.event_types()).await);
    assert_eq!(error.kind(), Kind::InvalidRequest);
    let error = failure(manager.ensure_endpoint(URL, ["chrage.*"]).await);
    assert_eq!(error.kind(), Kind::InvalidRequest);
    assert!(error.to_string().contains("chrage.*"), "{error}");
}

#[tokio::test]
async fn a_url_that_may_not_be_is_not_even_looked_for() {
    let (api, _, manager) = managed();
    assert_eq!(
        failure(manager.ensure_endpoint("http://shop.example/", ["invoice.paid"]).await).kind(),
        Kind::InvalidUrl
    );
    assert_eq!(failure(manager.begin_rotation("http://shop.example/").await).kind(), Kind::InvalidUrl);
    assert!(api.journal.read().is_empty());
}

#[tokio::test]
async fn urls_are_compared_as_urls_and_others_are_left_alone() {
    for same in
        ["HTTPS://Shop.Example/hooks", "https://shop.example:443/hooks", "https://shop.example/x/../hooks"]
    {
        let (api, vault, manager) = managed();
        api.add(Registered::new("other", "https://shop.example/hooks/", types(&["score.*"])));
        api.add(Registered::new("broken", "no URL", types(&["score.*"])));
        api.add(Registered::new("same", same, types(&["invoice.paid"])));
        vault.put("same");
        let ensured = manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
        assert_eq!((&*ensured.endpoint_id, ensured.change), ("same", Change::Unchanged), "{same}");
        assert_eq!(api.journal.read(), ["list"]);
    }
    let (api, vault, manager) = managed();
    for (id, url) in [("slash", "https://shop.example/hooks/"), ("query", "https://shop.example/hooks?a=b")] {
        api.add(Registered::new(id, url, types(&["invoice.paid"])));
        vault.put(id);
    }
    assert_eq!(manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap().change, Change::Created);
}

#[tokio::test]
async fn several_endpoints_for_one_url_are_named_and_nothing_is_done() {
    for ids in [["old", "a", ""], ["old", "a", "b"]] {
        let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
        for id in ids.iter().skip(1).filter(|id| !id.is_empty()) {
            api.add(Registered::new(*id, URL, types(&["invoice.paid"])));
            vault.put(id);
        }
        let error = failure(manager.ensure_endpoint(URL, ["charge.failed"]).await);
        assert_eq!(error.kind(), Kind::DuplicateEndpoints);
        let mut named = error.endpoint_ids().to_vec();
        named.sort();
        let mut there = api.ids();
        there.sort();
        assert_eq!(named, there);
        assert!(error.to_string().contains("delete all but one"), "{error}");
        assert_eq!(failure(manager.begin_rotation(URL).await).kind(), Kind::DuplicateEndpoints);
        assert_eq!(api.journal.read(), ["list", "list"]);
    }
}

/// In a paused clock, and longer than the lock is held for looking: receivers hear of a secret before anything is signed
/// with it, whether there was an endpoint before or not.
#[tokio::test(start_paused = true)]
async fn an_announcement_leads_every_creation() {
    const LEAD: Duration = Duration::from_secs(100);
    for is_rotation in [false, true] {
        let (api, _, manager) = if is_rotation { managed_with_one(&["invoice.paid"]) } else { managed() };
        let (manager, begun) = (manager.with_announcement_lead(LEAD), Instant::now());
        let created: Arc<Mutex<Option<Duration>>> = Arc::default();
        let seen = Arc::clone(&created);
        api.during_creation(move |_| {
            *seen.lock().unwrap() = Some(begun.elapsed());
            async {}.boxed()
        });
        if is_rotation {
            manager.begin_rotation(URL).await.unwrap();
        } else {
            manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
        }
        assert!(created.lock().unwrap().unwrap() >= LEAD);
        assert_eq!(api.journal.read()[..3], ["list", "announce acme", "create"]);
    }
}
