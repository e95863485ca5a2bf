//! A worker that rotates its secret, and is killed.

use tower_webhook::testing::simulator::Platform;

use super::checkpoint::Point;
use super::gate::{Call, When};
use super::site::{CREATING, Site, Step};

const ENDING: [Step; 6] = [
    Step::Call(Call::Update, When::Sent),
    Step::Call(Call::Update, When::Executed),
    Step::Call(Call::Delete, When::Sent),
    Step::Call(Call::Delete, When::Executed),
    Step::Sink(Point::BeforeRemove),
    Step::Sink(Point::AfterRemove),
];

/// The endpoint that there is.
async fn only(site: &Site) -> String {
    let endpoints = site.endpoints().await;
    assert_eq!(endpoints.len(), 1, "{endpoints:?}");
    endpoints[0].id().to_owned()
}

async fn dies_while_it_begins(site: &mut Site, step: Step) {
    let what = format!("{}, {step:?}", site.platform);
    let (old, before) = (only(site).await, site.last().await);
    let stopped = site.say_until("begin", step).await;
    if step.loses_a_secret() {
        let [new] = &site.without_secret().await[..] else { panic!("{what}: no secret is missing") };
        assert_eq!(site.answer_to(new, before).await, 503, "{what}: while its secret is on its way");
    }
    site.kill().await;
    drop(stopped);
    let lost = site.without_secret().await;
    assert_eq!(lost.len(), usize::from(step.loses_a_secret()), "{what}: {lost:?}");
    assert!(!lost.contains(&old), "{what}");
    site.lost.extend(lost.iter().cloned());

    let after = site.last().await;
    let started = site.start().await;
    if let [lost] = &lost[..] {
        assert_eq!(started.failed("SecretUnknown"), [lost.as_str()], "{what}");
        assert_eq!(site.answer_to(lost, after).await, 503, "{what}: when it can no longer come");
        assert_eq!(site.say("begin").await.failed("SecretUnknown"), [lost.as_str()], "{what}");
        site.account.delete(lost).await;
    } else {
        started.done();
    }
    let new = site.say("begin").await.done();
    assert!(new != old && !lost.contains(&new), "{what}");
    site.until_accepted(&new, after).await;
    site.retires(&old).await;
    assert_eq!(only(site).await, new, "{what}");
    site.is_whole(&what).await;
}

/// The platform carries out what it was sent when whoever sent it is dead, and its successor has done the same.
async fn is_rotated_late(site: &mut Site) {
    let what = format!("{}, created late", site.platform);
    let old = only(site).await;
    let stopped = site.say_until("begin", Step::Call(Call::Create, When::Sent)).await;
    site.kill().await;
    assert_eq!(only(site).await, old, "{what}");
    site.start().await.done();
    let new = site.say("begin").await.done();
    site.is_created_late(stopped, &what).await;
    site.retires(&old).await;
    assert_eq!(only(site).await, new, "{what}");
    site.is_whole(&what).await;
}

async fn dies_while_it_ends(site: &mut Site, step: Step) {
    let what = format!("{}, {step:?}", site.platform);
    let old = only(site).await;
    let after = site.last().await;
    let new = site.say("begin").await.done();
    site.until_accepted(&new, after).await;
    site.settled().await;
    if !matches!(step, Step::Call(Call::Update, _)) {
        assert_eq!(site.say("advance").await.done(), "Paused", "{what}");
        site.settled().await;
    }
    drop(site.say_until("advance", step).await);
    site.kill().await;
    assert!(site.without_secret().await.is_empty(), "{what}: an endpoint is there without its secret");

    site.start().await.done();
    site.retires(&old).await;
    assert_eq!(only(site).await, new, "{what}");
    site.is_whole(&what).await;
}

async fn dies_at_every_step(mut site: Site) {
    for step in CREATING {
        dies_while_it_begins(&mut site, step).await;
    }
    is_rotated_late(&mut site).await;
    for step in ENDING {
        dies_while_it_ends(&mut site, step).await;
    }
}

async fn receives_and_rotates(platform: Platform) {
    let mut site = Site::open(platform).await;
    assert!(site.start().await.done().ends_with(": created"));
    dies_at_every_step(site).await;
}

/// The receiver lives on, and answers while nobody rotates.
async fn rotates_beside_a_receiver(platform: Platform) {
    let mut site = Site::open(platform).await;
    assert!(site.start_beside_a_receiver().await.done().ends_with(": created"));
    dies_at_every_step(site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_of_casapay_is_rotated_whoever_is_killed() {
    receives_and_rotates(Platform::CasaPay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_of_diddo_is_rotated_whoever_is_killed() {
    receives_and_rotates(Platform::Diddo).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_of_casapay_outlives_those_who_rotate() {
    rotates_beside_a_receiver(Platform::CasaPay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receiver_of_diddo_outlives_those_who_rotate() {
    rotates_beside_a_receiver(Platform::Diddo).await;
}
