//! Rotation, step by step: a second endpoint beside the first, until nothing is signed the old way.

use std::time::{Duration, SystemTime};

use tower_webhook::SecretUsage;
use tower_webhook::endpoints::{Change, EndpointErrorKind as Kind, Registered, RotationPolicy, RotationStep};

use super::api::{URL, failure, types};
use super::memory::{Memory, Mood, managed, managed_with_one};

/// When the secret of an endpoint was used last.
type Usage = Box<dyn Fn(&str) -> Option<SecretUsage> + Send + Sync>;

const HOUR: Duration = Duration::from_secs(3600);

fn used(ago: Duration) -> SecretUsage {
    let now = SystemTime::now();
    SecretUsage::new(now - 100 * HOUR, Some(now - ago))
}

/// Both secrets were used so long ago.
fn both_used(ago: Duration) -> impl Fn(&str) -> Option<SecretUsage> + Send + Sync + 'static {
    move |_| Some(used(ago))
}

#[tokio::test]
async fn a_rotation_begins_with_an_announcement_and_a_second_endpoint() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid", "charge.failed"]);
    let rotation = manager.begin_rotation(URL).await.unwrap();
    assert_eq!((&*rotation.old, &*rotation.new), ("old", "we_1"));
    assert_eq!(api.journal.read(), ["list", "announce acme", "create", "store acme we_1"]);
    assert_eq!(vault.get("we_1").unwrap(), Memory::secret("we_1").expose());
    let new = &api.endpoints()[1];
    assert_eq!((new.url(), new.events()), (URL, &types(&["invoice.paid", "charge.failed"])[..]));
    let description = new.description().unwrap();
    assert!(description.starts_with("managed by tower-webhook [replaces old since "), "{description}");

    assert_eq!(manager.begin_rotation(URL).await.unwrap(), rotation, "it goes on");
    assert_eq!(api.journal.count("create"), 0);
}

#[tokio::test]
async fn there_must_be_something_to_rotate_and_somebody_to_tell() {
    let (_, _, manager) = managed();
    let error = failure(manager.begin_rotation(URL).await);
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("nothing to rotate"), "{error}");

    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    vault.set(Mood::Fails);
    assert_eq!(failure(manager.begin_rotation(URL).await).kind(), Kind::Sink);
    assert_eq!(api.journal.count("create"), 0, "nobody would know its secret");
}

#[tokio::test]
async fn both_endpoints_of_a_rotation_are_kept_in_step() {
    let (api, _, manager) = managed_with_one(&["invoice.paid"]);
    manager.begin_rotation(URL).await.unwrap();
    api.journal.read();
    let ensured = manager.ensure_endpoint(URL, ["charge.failed"]).await.unwrap();
    assert_eq!((&*ensured.endpoint_id, ensured.replaces.as_deref()), ("we_1", Some("old")));
    let change = Change::Updated { added: types(&["charge.failed"]), removed: types(&["invoice.paid"]) };
    assert_eq!(ensured.change, change);
    assert_eq!(ensured.to_string(), "endpoint we_1: updated +charge.failed -invoice.paid, replaces old");
    assert_eq!(api.journal.read(), ["list", "events old charge.failed", "events we_1 charge.failed"]);
    let unchanged = manager.ensure_endpoint(URL, ["charge.failed"]).await.unwrap();
    assert_eq!(unchanged.change, Change::Unchanged);
}

/// In whichever order they are listed; and with either secret lost it is said.
#[tokio::test]
async fn the_pair_is_told_by_its_marker() {
    for newer_first in [true, false] {
        let (api, vault, manager) = managed();
        let old = Registered::new("a", URL, types(&["invoice.paid"]));
        let marker = Some("x [replaces a since 1700000000]".to_owned());
        let new = Registered::new("b", URL, types(&["invoice.paid"])).with_description(marker);
        let pair = if newer_first { [new, old] } else { [old, new] };
        pair.into_iter().for_each(|endpoint| api.add(endpoint));
        vault.put("b");
        let error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
        assert_eq!((error.kind(), error.endpoint_ids()), (Kind::SecretUnknown, &types(&["a"])[..]));
        vault.put("a");
        let ensured = manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
        assert_eq!((&*ensured.endpoint_id, ensured.replaces.as_deref()), ("b", Some("a")));
        let rotation = manager.begin_rotation(URL).await.unwrap();
        assert_eq!(rotation.since, SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
    }
    // One that replaces another one is no partner of this.
    let (api, _, manager) = managed_with_one(&["invoice.paid"]);
    let marker = Some("x [replaces z since 1700000000]".to_owned());
    api.add(Registered::new("b", URL, types(&["invoice.paid"])).with_description(marker));
    assert_eq!(failure(manager.begin_rotation(URL).await).kind(), Kind::DuplicateEndpoints);
}

#[tokio::test]
async fn the_old_endpoint_is_paused_and_then_deleted_each_when_it_is_time() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    let advance = |policy, usage: Usage| {
        let manager = manager.clone();
        async move { manager.advance_rotation(URL, policy, move |label: &str| usage(label)).await.unwrap() }
    };
    let at_once = RotationPolicy::new(Duration::ZERO, HOUR);
    assert_eq!(advance(at_once, Box::new(both_used(HOUR))).await, RotationStep::NotRotating);

    let rotation = manager.begin_rotation(URL).await.unwrap();
    let later = RotationPolicy::new(HOUR, HOUR);
    let until = rotation.since + HOUR;
    assert_eq!(advance(later, Box::new(both_used(HOUR))).await, RotationStep::Overlapping { until });
    let old_alone = |label: &str| (label == "old").then(|| used(HOUR));
    assert_eq!(advance(at_once, Box::new(old_alone)).await, RotationStep::NewUnused);
    assert!(api.endpoints().iter().all(Registered::is_active));

    assert_eq!(advance(at_once, Box::new(both_used(Duration::ZERO))).await, RotationStep::Paused);
    assert_eq!(api.endpoints().iter().map(Registered::is_active).collect::<Vec<_>>(), [false, true]);

    let step = advance(at_once, Box::new(both_used(Duration::ZERO))).await;
    assert!(matches!(step, RotationStep::NotQuiet { until: Some(_) }), "{step:?}");
    assert_eq!(advance(at_once, Box::new(|_| None)).await, RotationStep::NotQuiet { until: None });
    assert_eq!(api.ids(), ["old", "we_1"]);

    api.journal.read();
    let retired = advance(at_once, Box::new(both_used(2 * HOUR))).await;
    assert_eq!(retired, RotationStep::Retired { old: "old".to_owned() });
    assert_eq!(api.journal.read(), ["list", "delete old", "remove acme old"], "delivered before refused");
    assert_eq!((api.ids(), vault.get("old")), (types(&["we_1"]), None));
    assert_eq!(advance(at_once, Box::new(both_used(HOUR))).await, RotationStep::NotRotating);

    // And from there to the next one.
    assert_eq!(manager.begin_rotation(URL).await.unwrap().old, "we_1");
}

#[tokio::test]
async fn a_secret_that_cannot_be_removed_is_named() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    manager.begin_rotation(URL).await.unwrap();
    let at_once = RotationPolicy::new(Duration::ZERO, HOUR);
    manager.advance_rotation(URL, at_once, both_used(Duration::ZERO)).await.unwrap();
    vault.set(Mood::Fails);
    let error = failure(manager.advance_rotation(URL, at_once, both_used(2 * HOUR)).await);
    assert_eq!((error.kind(), error.endpoint_ids()), (Kind::Sink, &types(&["old"])[..]));
    assert_eq!(api.ids(), ["we_1"]);
}
