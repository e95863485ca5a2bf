//! The source fails: 503, or what is at hand; never 401, never 200 for nobody.

use futures_util::FutureExt as _;
use futures_util::future::{join_all, join3};
use tokio::time::{Instant, sleep};
use tower::ServiceExt as _;
use tower_webhook::{
    KeyEncoding, Provider, RejectionReason as R, Secret, SignatureScheme, TenantKey, Timing, caspay,
};

use super::{MINUTE, Mood, Platform, SECOND, secret_of, to};
use crate::body::Untouchable;
use crate::stage::verdict;

#[tokio::test(start_paused = true)]
async fn t008_an_outage_is_a_503() {
    for mood in [Mood::Fails, Mood::Panics, Mood::Hangs] {
        let platform = Platform::new();
        platform.vault.set_mood(mood);
        platform.cannot_tell("acme").await;
        platform.cannot_tell("nobody").await;
        assert_eq!(platform.receiver.stats().secret_lookup_failures(), 2);
        assert_eq!(platform.macs(), 0);
        platform.vault.set_mood(Mood::Answers);
        platform.handles("acme", "evt_1").await;
        platform.refuses(to("nobody", &secret_of("acme"), "evt_1"), R::UnknownTenant).await;
        assert_eq!(platform.receiver.stats().rejected(R::SecretsUnavailable), 2);
    }
}

#[tokio::test]
async fn t008_keys_at_hand_outlive_an_outage_for_the_grace() {
    let platform = Platform::with(|tenants| tenants.with_grace(20 * MINUTE));
    platform.handles("acme", "evt_1").await;
    platform.vault.set_mood(Mood::Fails);
    platform.receiver.clock.advance(5 * MINUTE);
    platform.handles("acme", "evt_2").await;
    platform.cannot_judge(to("acme", &secret_of("x"), "evt_3")).await;
    assert_eq!(platform.vault.asked_for("acme"), 2, "the source is left alone for a moment");
    platform.receiver.clock.advance(5 * SECOND);
    platform.handles("acme", "evt_4").await;
    assert_eq!(platform.vault.asked_for("acme"), 3);
    assert_eq!(platform.receiver.stats().secret_lookup_failures(), 2);
    platform.cannot_tell("zorg").await; // nothing is at hand

    platform.receiver.clock.advance(20 * MINUTE - 6 * SECOND);
    platform.handles("acme", "evt_5").await;
    platform.receiver.clock.advance(SECOND);
    platform.cannot_tell("acme").await;
}

#[tokio::test]
async fn t008_without_grace_expired_keys_are_worth_nothing() {
    let platform = Platform::with(|tenants| tenants.with_grace(std::time::Duration::ZERO));
    platform.handles("acme", "evt_1").await;
    platform.vault.set_mood(Mood::Fails);
    platform.receiver.clock.advance(5 * MINUTE);
    platform.cannot_tell("acme").await;
}

#[tokio::test]
async fn refreshed_keys_may_be_used_in_an_outage_and_forgotten_ones_may_not() {
    let platform = Platform::new();
    platform.handles("acme", "evt_1").await;
    platform.vault.set_mood(Mood::Fails);
    platform.cache().refresh("acme");
    platform.handles("acme", "evt_2").await;
    assert_eq!(platform.vault.asked_for("acme"), 2);
    platform.cache().forget("acme");
    platform.cannot_tell("acme").await;
}

#[tokio::test]
async fn t008_a_rotation_in_an_outage_loses_no_delivery() {
    let platform = Platform::new();
    let (old, new) = (|| secret_of("acme"), || secret_of("acme-from-now-on"));
    platform.handles("acme", "evt_1").await;
    platform.vault.set("acme", move || new().into());
    platform.cache().refresh("acme");
    platform.vault.set_mood(Mood::Fails);
    // First the look-up fails, then the source is left alone for a moment: none of it makes a 401.
    for (delivery, asked) in [("evt_2", 2), ("evt_3", 2)] {
        platform.cannot_judge(to("acme", &new(), delivery)).await;
        platform.receiver.handles(to("acme", &old(), &format!("{delivery}_by_old"))).await;
        assert_eq!(platform.vault.asked_for("acme"), asked);
    }
    platform.vault.set_mood(Mood::Answers);
    platform.receiver.clock.advance(5 * SECOND);
    platform.receiver.handles(to("acme", &new(), "evt_2")).await;
    platform.receiver.handles(to("acme", &new(), "evt_3")).await;
    platform.refuses(to("acme", &old(), "evt_4"), R::SignatureMismatch).await;
    assert_eq!(platform.vault.asked_for("acme"), 3);
}

#[tokio::test(start_paused = true)]
async fn a_look_up_takes_no_longer_than_it_may() {
    let take = async |platform: &Platform| {
        let start = Instant::now();
        platform.cannot_tell("acme").await;
        start.elapsed()
    };
    let platform = Platform::new();
    platform.vault.set_mood(Mood::Hangs);
    assert_eq!(take(&platform).await, 2 * SECOND);

    let platform = Platform::with(|tenants| tenants.with_lookup_timeout(SECOND / 2));
    platform.vault.set_mood(Mood::Hangs);
    assert_eq!(take(&platform).await, SECOND / 2);

    // Half of the time until the answer is left for those whose keys are at hand.
    let mut platform = Platform::with(|tenants| tenants.with_lookup_timeout(60 * SECOND));
    platform.handles("acme", "evt_1").await;
    let timing = Timing::for_provider(&caspay::provider()).with_respond_by(3 * SECOND);
    platform.receiver.layer = platform.receiver.layer.with_timing(timing).unwrap();
    platform.vault.set_mood(Mood::Hangs);
    platform.receiver.clock.advance(5 * MINUTE);
    let start = Instant::now();
    platform.handles("acme", "evt_2").await;
    assert_eq!(start.elapsed(), SECOND * 3 / 2);
}

#[tokio::test(start_paused = true)]
async fn t007_a_flood_of_names_takes_no_tenant_down() {
    let platform = Platform::with(|tenants| tenants.with_max_lookups(1));
    platform.handles("acme", "evt_1").await;
    platform.receiver.clock.advance(5 * MINUTE);
    platform.vault.set_mood(Mood::Hangs);
    // The only look-up at a time is taken by a made-up name. The tenant's waits for its turn, in vain.
    let meanwhile = async {
        sleep(SECOND).await;
        assert_eq!(platform.vault.asked(), ["acme", "made-up"]);
    };
    join3(platform.cannot_tell("made-up"), platform.handles("acme", "evt_2"), meanwhile).await;
}

#[tokio::test(start_paused = true)]
async fn t007_a_flood_of_names_takes_no_tenants_place() {
    const UNAVAILABLE: (u16, &str) = (503, "secrets_unavailable");
    let platform = Platform::new();
    platform.handles("acme", "evt_1").await;
    platform.vault.set_mood(Mood::Hangs);
    let flood = (0..400).map(|name| {
        let service = platform.receiver.layer.clone().into_service();
        let request = to(&format!("made-up-{name}"), &secret_of("x"), "evt_1").map(|_| Untouchable);
        Box::pin(service.oneshot(request))
    });
    let (mut waiting, mut refused) = (Vec::new(), 0);
    for mut request in flood {
        match request.as_mut().now_or_never() {
            None => waiting.push(request),
            Some(answer) => {
                assert_eq!(verdict(&answer.unwrap()), UNAVAILABLE);
                refused += 1;
            }
        }
    }
    assert_eq!((waiting.len(), refused), (256, 144));
    assert_eq!(platform.vault.asked().len(), 1 + 16);

    platform.handles("acme", "evt_2").await;
    platform.refuses(to("acme", &secret_of("x"), "evt_3"), R::SignatureMismatch).await;
    // Whose keys have expired finds no room to wait, and is served by what is at hand.
    platform.receiver.clock.advance(5 * MINUTE);
    platform.handles("acme", "evt_3").await;
    platform.cannot_judge(to("acme", &secret_of("x"), "evt_4")).await;
    platform.cannot_tell("zorg").await;
    assert_eq!(platform.vault.asked().len(), 1 + 16);

    // When those who wait have been answered, there is room again.
    for answer in join_all(waiting).await {
        assert_eq!(verdict(&answer.unwrap()), UNAVAILABLE);
    }
    platform.vault.set_mood(Mood::Answers);
    platform.handles("zorg", "evt_1").await;
    platform.handles("acme", "evt_5").await;
    assert_eq!((platform.vault.asked_for("acme"), platform.vault.asked_for("zorg")), (2, 1));
}

#[tokio::test]
async fn t008_secrets_that_are_no_keys_are_a_503() {
    let scheme = SignatureScheme::hmac_sha256("x-caspay-signature").with_key_encoding(KeyEncoding::Hex);
    let provider = Provider::builder("caspay").signature(scheme).build().unwrap();
    let platform = Platform::of(provider, TenantKey::path_after("/hooks/").unwrap(), |tenants| tenants);
    platform.cannot_tell("acme").await;
    assert_eq!(platform.receiver.stats().secret_lookup_failures(), 1);
    platform.vault.set("acme", || Secret::new("00112233445566778899aabbccddeeff").unwrap().into());
    platform.refuses(to("acme", &secret_of("acme"), "evt_1"), R::SignatureMismatch).await;
}

#[tokio::test]
async fn t008_a_name_that_cannot_be_told_is_a_503() {
    let key = TenantKey::from_fn(|request| {
        assert_ne!(request.uri.path(), "/hooks/acme", "a bug");
        Some("zorg".to_owned())
    });
    let platform = Platform::of(caspay::provider(), key, |tenants| tenants);
    platform.cannot_tell("acme").await;
    platform.handles("zorg", "evt_1").await;
}
