//! What the next process knows of a rotation, by the description of the newer endpoint: each step is another process.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tower_webhook::endpoints::{
    EndpointApi, EndpointErrorKind as Kind, EndpointManager, FileSink, Registered, RotationPolicy,
    RotationStep,
};
use tower_webhook::testing::ManualClock;
use tower_webhook::{Clock as _, SecretUsage};
use uuid::Uuid;
use wiremock::{Request, ResponseTemplate};

use super::api::{Api, URL, WHSEC, answer, failure, types};
use super::memory::{Memory, Quirk, Vault, managed_with_one};

const DAY: Duration = Duration::from_secs(86_400);
const HALF: Duration = Duration::from_secs(43_200);

/// Watched for years. The new one was used an hour ago, the old one long before.
fn usage(now: SystemTime) -> impl Fn(&str) -> Option<SecretUsage> + Send + Sync + 'static {
    move |id| {
        let ago = if id.contains("old") { 900 * DAY } else { DAY / 24 };
        Some(SecretUsage::new(now - 1000 * DAY, Some(now - ago)))
    }
}

/// A process that is started, takes one step and ends.
async fn step(
    api: impl EndpointApi,
    vault: &Vault,
    clock: &ManualClock,
    policy: RotationPolicy,
) -> RotationStep {
    let manager = EndpointManager::new(api, vault.clone()).with_clock(clock.clone());
    manager.advance_rotation(URL, policy, usage(clock.now())).await.unwrap()
}

fn retired() -> RotationStep {
    RotationStep::Retired { old: "old".to_owned() }
}

fn description(api: &Memory) -> String {
    api.endpoints()[1].description().unwrap().to_owned()
}

/// As a job does that is run twice a day.
#[tokio::test]
async fn a_rotation_that_each_process_takes_one_step_of_ends() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    let clock = ManualClock::at_unix(1_800_000_000);
    manager.with_description("shop 7").with_clock(clock.clone()).begin_rotation(URL).await.unwrap();
    let policy = RotationPolicy::new(DAY, DAY);
    let mut steps = vec![];
    for _ in 0..5 {
        clock.advance(HALF);
        steps.push(step(api.clone(), &vault, &clock, policy).await);
    }
    let begun = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let expected = [
        RotationStep::Overlapping { until: begun + DAY },
        RotationStep::Paused,
        RotationStep::NotQuiet { until: Some(begun + 2 * DAY) },
        retired(),
        RotationStep::NotRotating,
    ];
    assert_eq!(steps, expected);
    assert_eq!((api.ids(), vault.get("old")), (types(&["we_1"]), None));
    let left = api.endpoints()[0].description().unwrap().to_owned();
    assert_eq!(left, "shop 7 [replaces old since 1800000000 paused 1800086400]");
    assert_eq!(api.journal.count("describe we_1"), 1, "what has not changed is not written again");
}

/// Whoever paused it, and however often the secret is used: it ends.
#[tokio::test]
async fn nobody_keeps_a_secret_valid_across_processes() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    let clock = ManualClock::at_unix(1_800_000_000);
    manager.with_clock(clock.clone()).begin_rotation(URL).await.unwrap();
    api.set_active("old", false).await.unwrap();
    let policy = RotationPolicy::new(DAY, DAY);
    let mut steps = vec![];
    for _ in 0..4 {
        clock.advance(DAY);
        let manager = EndpointManager::new(api.clone(), vault.clone()).with_clock(clock.clone());
        let now = clock.now();
        let used = move |_: &str| Some(SecretUsage::new(now - 1000 * DAY, Some(now)));
        steps.push(manager.advance_rotation(URL, policy, used).await.unwrap());
    }
    assert!(
        matches!(steps[..2], [RotationStep::NotQuiet { .. }, RotationStep::NotQuiet { .. }]),
        "{steps:?}"
    );
    // An overlap and a quiet time after it was first seen so.
    assert_eq!(steps[2..], [retired(), RotationStep::NotRotating]);
}

/// Where it cannot be written, one process knows as long as it runs.
#[tokio::test]
async fn a_description_that_cannot_be_changed_holds_up_nobody() {
    let (api, _, manager) = managed_with_one(&["invoice.paid"]);
    let clock = ManualClock::at_unix(1_800_000_000);
    let manager = manager.with_clock(clock.clone());
    manager.begin_rotation(URL).await.unwrap();
    api.set(Quirk::FixedDescriptions);
    let policy = RotationPolicy::new(Duration::ZERO, DAY);
    let mut steps = vec![];
    for _ in 0..3 {
        steps.push(manager.advance_rotation(URL, policy, usage(clock.now())).await.unwrap());
        clock.advance(HALF);
    }
    assert_eq!(steps[0], RotationStep::Paused);
    assert_eq!(steps[2], retired());
}

/// Enabled by hand in between: it is paused anew, and waited for anew.
#[tokio::test]
async fn one_that_somebody_enables_again_is_not_taken_for_paused() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    let clock = ManualClock::at_unix(1_800_000_000);
    manager.with_clock(clock.clone()).begin_rotation(URL).await.unwrap();
    let policy = RotationPolicy::new(Duration::ZERO, DAY);
    for _ in 0..2 {
        assert_eq!(step(api.clone(), &vault, &clock, policy).await, RotationStep::Paused);
        clock.advance(2 * DAY);
        api.set_active("old", true).await.unwrap();
    }
    api.set_active("we_1", false).await.unwrap();
    assert_eq!(step(api.clone(), &vault, &clock, policy).await, RotationStep::NewPaused);
    assert!(!description(&api).contains("paused"), "{}", description(&api));
}

/// The directory with the secrets is not mounted where the rotation is advanced.
#[tokio::test]
async fn a_sink_that_has_nothing_deletes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let api = Memory::of("casapay");
    let manager = EndpointManager::new(api.clone(), FileSink::new(directory.path()));
    manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
    manager.begin_rotation(URL).await.unwrap();
    let empty = tempfile::tempdir().unwrap();
    let elsewhere = EndpointManager::new(api.clone(), FileSink::new(empty.path()));
    let at_once = RotationPolicy::new(Duration::ZERO, Duration::ZERO);
    for _ in 0..2 {
        let error = failure(elsewhere.advance_rotation(URL, at_once, usage(SystemTime::now())).await);
        assert_eq!((error.kind(), error.endpoint_ids()), (Kind::SecretUnknown, &types(&["we_2"])[..]));
    }
    assert_eq!(api.ids(), ["we_1", "we_2"]);
    assert!(api.endpoints().iter().all(Registered::is_active));
}

/// Its endpoint delivers all the same.
#[tokio::test]
async fn a_secret_that_is_lost_during_a_rotation_shortens_nothing() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    let clock = ManualClock::at_unix(1_800_000_000);
    manager.with_clock(clock.clone()).begin_rotation(URL).await.unwrap();
    vault.lose("old");
    let policy = RotationPolicy::new(DAY, DAY);
    let overlapping = step(api.clone(), &vault, &clock, policy).await;
    assert!(matches!(overlapping, RotationStep::Overlapping { .. }), "{overlapping:?}");
    assert_eq!(api.ids(), ["old", "we_1"]);
}

#[tokio::test]
async fn that_a_secret_was_lost_is_remembered_until_it_is_found() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    let clock = ManualClock::at_unix(1_800_000_000);
    vault.lose("old");
    manager.with_clock(clock.clone()).replace_lost_secret(URL).await.unwrap();
    assert!(description(&api).ends_with("[replaces old since 1800000000 lost]"), "{}", description(&api));
    let policy = RotationPolicy::new(DAY, DAY);
    vault.put("old");
    let found = step(api.clone(), &vault, &clock, policy).await;
    assert!(matches!(found, RotationStep::Overlapping { .. }), "{found:?}");
    vault.lose("old");
    assert_eq!(step(api.clone(), &vault, &clock, policy).await, retired());

    // Asked for where nothing was lost, it is a rotation like any other.
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    manager.with_clock(clock.clone()).replace_lost_secret(URL).await.unwrap();
    vault.lose("old");
    let overlapping = step(api.clone(), &vault, &clock, policy).await;
    assert!(matches!(overlapping, RotationStep::Overlapping { .. }), "{overlapping:?}");
}

/// By the time of 1970 every overlap is over, by that of 2100 none ever is.
#[tokio::test]
async fn an_overlap_begins_anew_where_the_clock_was_wrong() {
    for wrong in [3, 4_102_444_800] {
        let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
        manager.with_clock(ManualClock::at_unix(wrong)).begin_rotation(URL).await.unwrap();
        let clock = ManualClock::at_unix(1_800_000_000);
        let policy = RotationPolicy::new(DAY, DAY);
        let until = clock.now() + DAY;
        for _ in 0..2 {
            assert_eq!(step(api.clone(), &vault, &clock, policy).await, RotationStep::Overlapping { until });
            clock.advance(HALF);
        }
        assert!(description(&api).ends_with("[replaces old since 1800000000]"), "{}", description(&api));
        assert_eq!(step(api.clone(), &vault, &clock, policy).await, RotationStep::Paused);
    }
}

#[tokio::test]
async fn a_rotation_that_the_next_process_would_not_know_is_an_error() {
    let (api, vault, manager) = managed_with_one(&["invoice.paid"]);
    api.set(Quirk::NoDescriptions);
    let error = failure(manager.begin_rotation(URL).await);
    assert_eq!(
        (error.kind(), error.endpoint_ids()),
        (Kind::DuplicateEndpoints, &types(&["old", "we_1"])[..])
    );
    assert!(error.to_string().contains("we_1 was created to replace old, and its secret stored"), "{error}");
    assert!(vault.get("we_1").is_some(), "it delivers");

    // The answer to the creation alone says less.
    let (api, _, manager) = managed_with_one(&["invoice.paid"]);
    api.set(Quirk::CreatesWithoutDescription);
    assert_eq!(manager.begin_rotation(URL).await.unwrap().new, "we_1");
}

/// Diddo documents `active` for an update, and not for what it answers.
#[tokio::test]
async fn an_api_that_does_not_say_what_is_active_comes_to_an_end() {
    let account: Arc<Mutex<Vec<Value>>> = Arc::default();
    let shared = Arc::clone(&account);
    let api = Api::with(move |request| diddo(&mut shared.lock().unwrap(), request)).await;
    let (vault, clock) = (Vault::beside(&Memory::new()), ManualClock::at_unix(1_800_000_000));
    let manager = EndpointManager::new(api.diddo(), vault.clone()).with_clock(clock.clone());
    let old = manager.ensure_endpoint(URL, ["order.submitted"]).await.unwrap().endpoint_id;
    manager.begin_rotation(URL).await.unwrap();
    let mut steps = vec![];
    for _ in 0..3 {
        steps.push(step(api.diddo(), &vault, &clock, RotationPolicy::new(Duration::ZERO, DAY)).await);
        clock.advance(HALF);
    }
    let until = Some(clock.now() - HALF);
    assert_eq!(
        steps,
        [RotationStep::Paused, RotationStep::NotQuiet { until }, RotationStep::Retired { old }]
    );
    assert_eq!(account.lock().unwrap().len(), 1);
    let asked = api.asked().await;
    assert_eq!(asked.iter().filter(|asked| asked.body["active"] == false).count(), 1, "paused once");
}

fn diddo(account: &mut Vec<Value>, request: &Request) -> ResponseTemplate {
    let position =
        || account.iter().position(|one| request.url.path().ends_with(one["id"].as_str().unwrap()));
    match request.method.as_str() {
        "GET" => {
            let offset = request.url.query_pairs().find(|(name, _)| name == "offset");
            let offset = offset.map_or(0, |(_, offset)| offset.parse().unwrap());
            answer(200, json!({ "data": account.get(offset..).unwrap_or_default() }))
        }
        "POST" => {
            let mut made: Value = request.body_json().unwrap();
            made["id"] = Uuid::from_u128(account.len() as u128 + 1).to_string().into();
            account.push(made.clone());
            made["signing"] = json!({"secret": WHSEC});
            answer(201, made)
        }
        "PUT" => {
            let (at, change) = (position().unwrap(), request.body_json::<Value>().unwrap());
            if let Some(description) = change.get("description") {
                account[at]["description"] = description.clone();
            }
            answer(200, account[at].clone())
        }
        _ => {
            let at = position().unwrap();
            answer(200, account.remove(at))
        }
    }
}
