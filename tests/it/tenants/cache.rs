//! How often the source is asked.

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::{join, join_all};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;
use tower_webhook::{RejectionReason as R, Secrets};

use super::{MINUTE, Mood, Platform, SECOND, secret_of, to};
use crate::stage::{HANDLED, verdict};

#[tokio::test]
async fn keys_are_asked_for_once_until_they_expire() {
    let platform = Platform::with(|tenants| tenants.with_expiry(10 * MINUTE));
    for (event, asked, passes) in [
        ("evt_1", 1, SECOND),
        ("evt_2", 1, 10 * MINUTE - 2 * SECOND),
        ("evt_3", 1, SECOND),
        ("evt_4", 2, SECOND),
    ] {
        platform.handles("acme", event).await;
        assert_eq!(platform.vault.asked_for("acme"), asked, "{event}");
        platform.receiver.clock.advance(passes);
    }
    assert_eq!(platform.receiver.stats().secret_lookups(), 2);
}

#[tokio::test]
async fn a_tenant_who_has_just_been_created_is_let_in_soon() {
    let platform = Platform::new();
    let request = || to("young", &secret_of("young"), "evt_1");
    platform.refuses(request(), R::UnknownTenant).await;
    platform.vault.set("young", || secret_of("young").into());
    platform.receiver.clock.advance(29 * SECOND);
    platform.refuses(request(), R::UnknownTenant).await;
    assert_eq!(platform.vault.asked_for("young"), 1);
    platform.receiver.clock.advance(SECOND);
    platform.receiver.handles(request()).await;

    // Or at once, where it is told.
    platform.refuses(to("younger", &secret_of("younger"), "evt_1"), R::UnknownTenant).await;
    platform.vault.set("younger", || secret_of("younger").into());
    platform.cache().refresh("younger");
    platform.handles("younger", "evt_1").await;
}

#[tokio::test]
async fn t007_a_flood_of_names_evicts_no_tenant() {
    let platform = Platform::with(|tenants| tenants.with_capacity(2));
    platform.handles("acme", "evt_1").await;
    platform.handles("zorg", "evt_1").await;
    for made_up in 0..100 {
        platform.refuses(to(&format!("made-up-{made_up}"), &secret_of("x"), "evt_1"), R::UnknownTenant).await;
    }
    platform.refuses(to("made-up-99", &secret_of("x"), "evt_1"), R::UnknownTenant).await;
    assert_eq!(platform.vault.asked_for("made-up-99"), 1);
    platform.handles("acme", "evt_2").await;
    platform.handles("zorg", "evt_2").await;
    assert_eq!((platform.vault.asked_for("acme"), platform.vault.asked_for("zorg")), (1, 1));
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let platform = Platform::with(|tenants| tenants.with_capacity(1));
    for asked in 1..=2 {
        platform.handles("acme", &format!("evt_{asked}")).await;
        platform.handles("zorg", &format!("evt_{asked}")).await;
        assert_eq!((platform.vault.asked_for("acme"), platform.vault.asked_for("zorg")), (asked, asked));
    }
}

#[tokio::test]
async fn requests_of_one_tenant_share_a_look_up() {
    let (platform, opens) = (Platform::new(), Arc::new(Semaphore::new(0)));
    platform.vault.set_mood(Mood::Waits(Arc::clone(&opens)));
    let deliveries = (0..16).map(|n| {
        let tenant = if n % 2 == 0 { "acme" } else { "zorg" };
        let service = platform.receiver.layer.clone().into_service();
        service.oneshot(to(tenant, &secret_of(tenant), &format!("evt_{n}")))
    });
    let (answers, ()) = join(join_all(deliveries), async {
        assert_eq!(platform.vault.asked(), ["acme", "zorg"]);
        opens.add_permits(2);
    })
    .await;
    for answer in answers {
        assert_eq!(verdict(&answer.unwrap()), HANDLED);
    }
    assert_eq!(platform.vault.asked(), ["acme", "zorg"]);
}

#[tokio::test]
async fn who_hangs_up_takes_no_look_up_from_those_who_wait() {
    let (platform, opens) = (Platform::new(), Arc::new(Semaphore::new(0)));
    platform.vault.set_mood(Mood::Waits(Arc::clone(&opens)));
    let deliver = |id: &str| {
        let service = platform.receiver.layer.clone().into_service();
        service.oneshot(to("acme", &secret_of("acme"), id))
    };
    let mut first = Box::pin(deliver("evt_1"));
    let mut second = pin!(deliver("evt_2"));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    drop(first);
    assert!(second.as_mut().now_or_never().is_none());
    assert_eq!(platform.vault.asked_for("acme"), 2, "the second begins anew");
    opens.add_permits(1);
    assert_eq!(verdict(&second.await.unwrap()), HANDLED);
    // All have gone: the next one does not wait for a look-up that nobody runs.
    platform.cache().forget_all();
    let mut third = Box::pin(deliver("evt_3"));
    assert!(third.as_mut().now_or_never().is_none());
    drop(third);
    opens.add_permits(1);
    platform.handles("acme", "evt_4").await;
}

#[tokio::test]
async fn a_change_takes_effect_when_it_is_told() {
    let platform = Platform::new();
    let (old, new) = (|| secret_of("acme"), || secret_of("acme-from-now-on"));
    platform.handles("acme", "evt_1").await;
    platform.vault.set("acme", move || new().into());
    platform.receiver.handles(to("acme", &old(), "evt_2")).await; // nobody has told
    platform.cache().forget("zorg");
    platform.receiver.handles(to("acme", &old(), "evt_3")).await; // of another
    platform.cache().forget("acme");
    platform.refuses(to("acme", &old(), "evt_4"), R::SignatureMismatch).await;
    platform.receiver.handles(to("acme", &new(), "evt_4")).await;
    assert_eq!(platform.vault.asked_for("acme"), 2);

    // A tenant who has gone.
    platform.vault.inside().secrets.remove("acme");
    platform.cache().refresh("acme");
    platform.refuses(to("acme", &new(), "evt_5"), R::UnknownTenant).await;
}

#[tokio::test]
async fn every_secret_of_a_tenant_verifies_and_costs_a_mac() {
    let platform = Platform::new();
    platform
        .vault
        .set("acme", || Secrets::new(secret_of("new")).with_secret("previous", secret_of("acme")).unwrap());
    platform.handles("acme", "evt_1").await;
    platform.receiver.handles(to("acme", &secret_of("new"), "evt_2")).await;
    assert_eq!(platform.macs(), 4);
}
