//! Rotation, step by step: a second endpoint beside the first, until nothing is signed the old way.

use std::time::{Duration, SystemTime};

use tower_webhook::endpoints::{
    Change, EndpointApi as _, EndpointErrorKind as Kind, Registered, RotationPolicy, RotationStep,
};
use tower_webhook::testing::ManualClock;
use tower_webhook::{Clock as _, SecretUsage};

use super::api::{URL, failure, types};
use super::memory::{Memory, Mood, managed, managed_with_one};

/// When the secret of an endpoint was used last.
type Usage = Box<dyn Fn(&str) -> Option<SecretUsage> + Send + Sync>;

const HOUR: Duration = Duration::from_secs(3600);
const AT_ONCE: RotationPolicy = RotationPolicy::new(Duration::ZERO, Duration::ZERO);

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
    let asked = ["list", "announce acme", "create", "store acme we_1", "withdraw acme"];
    assert_eq!(api.journal.read(), asked);
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
    vault.set(Mood::Sealed);
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

    // The old one alone is mended as well, and that is told.
    api.set_events("old", &types(&["invoice.paid"])).await.unwrap();
    let ensured = manager.ensure_endpoint(URL, ["charge.failed"]).await.unwrap();
    assert!(matches!(ensured.change, Change::Updated { .. }), "{ensured}");
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
        vault.put("a");
        let error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
        assert_eq!((error.kind(), error.endpoint_ids()), (Kind::SecretUnknown, &types(&["b"])[..]));
        assert!(error.to_string().contains("begin the rotation again"), "{error}");
        vault.put("b");
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
    let clock = ManualClock::at_unix(1_800_000_000);
    let manager = manager.with_clock(clock.clone());
    let now = || clock.now();
    let used = |ago| SecretUsage::new(now() - 100 * HOUR, Some(now() - ago));
    let both_used = |ago| {
        let used = used(ago);
        move |_: &str| Some(used)
    };
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
    let then = used(HOUR);
    let old_alone = move |label: &str| (label == "old").then_some(then);
    assert_eq!(advance(at_once, Box::new(old_alone)).await, RotationStep::NewUnused);
    assert!(api.endpoints().iter().all(Registered::is_active));

    assert_eq!(advance(at_once, Box::new(both_used(Duration::ZERO))).await, RotationStep::Paused);
    assert_eq!(api.endpoints().iter().map(Registered::is_active).collect::<Vec<_>>(), [false, true]);

    let step = advance(at_once, Box::new(both_used(Duration::ZERO))).await;
    assert!(matches!(step, RotationStep::NotQuiet { until: Some(_) }), "{step:?}");
    // That its secret was used long ago does not count: what was sent before the pause may still come.
    let step = advance(at_once, Box::new(both_used(2 * HOUR))).await;
    assert_eq!(step, RotationStep::NotQuiet { until: Some(now() + HOUR) });
    let new_alone = move |label: &str| (label != "old").then_some(then);
    let forever = RotationPolicy::new(Duration::ZERO, Duration::MAX);
    assert_eq!(advance(forever, Box::new(new_alone)).await, RotationStep::NotQuiet { until: None });
    assert_eq!(api.ids(), ["old", "we_1"]);

    api.journal.read();
    clock.advance(HOUR);
    let retired = advance(at_once, Box::new(both_used(2 * HOUR))).await;
    assert_eq!(retired, RotationStep::Retired { old: "old".to_owned() });
    assert_eq!(api.journal.read(), ["list", "delete old", "remove acme old"], "delivered before refused");
    assert_eq!((api.ids(), vault.get("old")), (types(&["we_1"]), None));
    assert_eq!(advance(at_once, Box::new(both_used(HOUR))).await, RotationStep::NotRotating);

    // And from there to the next one.
    assert_eq!(manager.begin_rotation(URL).await.unwrap().old, "we_1");
}

/// The provider, or somebody, has paused the new one: the old one is all there is.
#[tokio::test]
async fn a_new_endpoint_that_is_paused_replaces_nothing() {
    let (api, _, manager) = managed_with_one(&["invoice.paid"]);
    manager.begin_rotation(URL).await.unwrap();
    api.set_active("we_1", false).await.unwrap();
    for _ in 0..2 {
        let step = manager.advance_rotation(URL, AT_ONCE, both_used(HOUR)).await.unwrap();
        assert_eq!(step, RotationStep::NewPaused);
    }
    assert_eq!(api.endpoints().iter().map(Registered::is_active).collect::<Vec<_>>(), [true, false]);
}

/// That it is paused already says nothing of how long both have delivered.
#[tokio::test]
async fn an_old_endpoint_that_somebody_pauses_is_not_deleted_for_it() {
    let (api, _, manager) = managed_with_one(&["invoice.paid"]);
    api.set_active("old", false).await.unwrap();
    manager.begin_rotation(URL).await.unwrap();
    let policy = RotationPolicy::new(HOUR, Duration::ZERO);
    let step = manager.advance_rotation(URL, policy, both_used(2 * HOUR)).await.unwrap();
    assert!(matches!(step, RotationStep::Overlapping { .. }), "{step:?}");
    let step = manager.advance_rotation(URL, AT_ONCE, |_: &str| None).await.unwrap();
    assert_eq!(step, RotationStep::NewUnused);
    assert_eq!(api.ids(), ["old", "we_1"]);
}

#[tokio::test]
async fn a_secret_that_nobody_has_is_replaced_on_request_and_not_waited_for() {
    let (api, vault, manager) = managed();
    api.add(Registered::new("old", URL, types(&["invoice.paid"])));
    let error = failure(manager.begin_rotation(URL).await);
    assert_eq!((error.kind(), api.journal.count("create")), (Kind::SecretUnknown, 0));
    assert!(error.to_string().contains("replace_lost_secret"), "{error}");

    let rotation = manager.replace_lost_secret(URL).await.unwrap();
    assert_eq!((&*rotation.old, &*rotation.new), ("old", "we_1"));
    assert!(vault.get("we_1").is_some());
    let years = RotationPolicy::new(10_000 * HOUR, 10_000 * HOUR);
    assert_eq!(manager.advance_rotation(URL, years, |_: &str| None).await.unwrap(), RotationStep::NewUnused);
    let new_alone = |label: &str| (label == "we_1").then(|| used(Duration::ZERO));
    let retired = manager.advance_rotation(URL, years, new_alone).await.unwrap();
    assert_eq!((retired, api.ids()), (RotationStep::Retired { old: "old".to_owned() }, types(&["we_1"])));
}

/// A crash, or a sink that fails, between the two.
#[tokio::test]
async fn a_secret_whose_endpoint_is_gone_is_removed_later() {
    for by_ensuring in [false, true] {
        let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
        manager.begin_rotation(URL).await.unwrap();
        manager.advance_rotation(URL, AT_ONCE, both_used(Duration::ZERO)).await.unwrap();
        vault.set(Mood::FailsToRemove);
        let error = failure(manager.advance_rotation(URL, AT_ONCE, both_used(HOUR)).await);
        assert_eq!((error.kind(), error.endpoint_ids()), (Kind::Sink, &types(&["old"])[..]));
        assert_eq!((api.ids(), vault.get("old").is_some()), (types(&["we_1"]), true));

        vault.set(Mood::Keeps);
        if by_ensuring {
            manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
        } else {
            let step = manager.advance_rotation(URL, AT_ONCE, |_: &str| None).await.unwrap();
            assert_eq!(step, RotationStep::Retired { old: "old".to_owned() });
        }
        assert_eq!(vault.get("old"), None);
        let step = manager.advance_rotation(URL, AT_ONCE, |_: &str| None).await.unwrap();
        assert_eq!(step, RotationStep::NotRotating);
    }
}

#[tokio::test]
async fn duplicates_say_whose_secret_there_is() {
    let (api, vault, manager) = managed();
    for id in ["a", "b", "c"] {
        api.add(Registered::new(id, URL, types(&["invoice.paid"])));
    }
    vault.put("b");
    let error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    assert!(error.to_string().contains("secret in the sink: b, not there: a, c"), "{error}");
    // Of a sink that does not answer nobody can say which endpoints can be deleted.
    vault.set(Mood::Sealed);
    let error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    assert_eq!(error.kind(), Kind::Sink);
    assert!(!error.to_string().contains("not there"), "{error}");
}
