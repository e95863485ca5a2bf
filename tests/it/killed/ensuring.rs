//! A worker that subscribes itself for the first time, or to other types, and is killed.

use tower_webhook::testing::simulator::Platform;

use super::gate::{Call, When};
use super::site::{CREATING, Site, Step, types};

/// What an operator does about an endpoint whose secret is lost: the two ways that the error names.
#[derive(Clone, Copy, Debug)]
enum Remedy {
    Delete,
    Replace,
}

async fn dies_while_it_subscribes(site: &mut Site, step: Step, remedy: Remedy) {
    let what = format!("{}, {step:?}, {remedy:?}", site.platform);
    site.reset().await;
    let stopped = site.start_until(step).await;
    if let (true, [endpoint]) = (step.loses_a_secret(), &site.endpoints().await[..]) {
        site.until_emitted(endpoint.id()).await;
    }
    site.kill().await;
    drop(stopped);
    let lost = site.without_secret().await;
    assert_eq!(lost.len(), usize::from(step.loses_a_secret()), "{what}: {lost:?}");
    site.lost.extend(lost.iter().cloned());

    let after = site.last().await;
    let started = site.start().await;
    let [lost] = &lost[..] else {
        let done = started.done();
        assert!(done.ends_with(": created") || done.ends_with(": unchanged"), "{what}: {done}");
        site.is_whole(&what).await;
        return;
    };
    // Nothing is created beside it, and its name is told.
    assert_eq!(started.failed("SecretUnknown"), [lost.as_str()], "{what}");
    assert_eq!(site.endpoints().await.len(), 1, "{what}");
    match remedy {
        Remedy::Delete => site.account.delete(lost).await,
        Remedy::Replace => drop(site.say("replace").await.done()),
    }
    site.kill().await;
    let done = site.start().await.done();
    match remedy {
        Remedy::Delete => assert!(done.ends_with(": created"), "{what}: {done}"),
        Remedy::Replace => {
            assert!(done.ends_with(&format!(": unchanged, replaces {lost}")), "{what}: {done}");
            // It delivers, and nobody here can verify that.
            assert_eq!(site.answer_to(lost, after).await, 503, "{what}");
            site.retires(lost).await;
        }
    }
    site.is_whole(&what).await;
}

/// The platform carries out what it was sent when whoever sent it is dead, and its successor has done the same.
async fn is_subscribed_late(site: &mut Site) {
    let what = format!("{}, created late", site.platform);
    site.reset().await;
    let stopped = site.start_until(Step::Call(Call::Create, When::Sent)).await;
    site.kill().await;
    assert!(site.endpoints().await.is_empty(), "{what}");
    assert!(site.start().await.done().ends_with(": created"), "{what}");
    site.is_created_late(stopped, &what).await;
    site.is_whole(&what).await;
}

async fn dies_while_it_changes_types(site: &mut Site) {
    for when in [When::Sent, When::Executed] {
        let what = format!("{}, update {when:?}", site.platform);
        site.reset().await;
        assert!(site.start().await.done().ends_with(": created"), "{what}");
        site.kill().await;
        site.configuration.types = types(site.platform, 2);
        drop(site.start_until(Step::Call(Call::Update, when)).await);
        site.kill().await;
        assert!(site.without_secret().await.is_empty(), "{what}");
        let done = site.start().await.done();
        assert_eq!(done.contains(": updated +"), when == When::Sent, "{what}: {done}");
        site.is_whole(&what).await;
        site.configuration.types = types(site.platform, 1);
    }
}

async fn dies_at_every_step(platform: Platform) {
    let mut site = Site::open(platform).await;
    for step in CREATING {
        dies_while_it_subscribes(&mut site, step, Remedy::Delete).await;
    }
    dies_while_it_subscribes(&mut site, Step::Call(Call::Create, When::Executed), Remedy::Replace).await;
    is_subscribed_late(&mut site).await;
    dies_while_it_changes_types(&mut site).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn casapay_is_subscribed_to_whoever_is_killed() {
    dies_at_every_step(Platform::CasaPay).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn diddo_is_subscribed_to_whoever_is_killed() {
    dies_at_every_step(Platform::Diddo).await;
}
