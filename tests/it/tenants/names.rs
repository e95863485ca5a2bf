//! Whose request it is, and what a request learns that says it is nobody's.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use axum::Router;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use http_body::Frame;
use http_body_util::{Full, StreamBody};
use tower::ServiceExt as _;
use tower_webhook::testing::SignedRequest;
use tower_webhook::{
    Authentic, Body, ConfigError, Delivery, EventRouter, Provider, RejectionReason as R, Secret,
    SignatureScheme, TenantKey, Tenants, Unverified, Verify, WebhookLayer, caspay,
};

use super::{Platform, Vault, secret_of, to};
use crate::stage::{DUPLICATE, HANDLED, verdict};
use crate::support::{Receiver, caspay_body};

/// Platforms whose requests name their tenant in the header `x-tenant`.
fn by_header() -> Platform {
    Platform::of(caspay::provider(), TenantKey::header("x-tenant").unwrap(), |tenants| tenants)
}

fn with_tenants(values: &[&[u8]]) -> Request<Body> {
    let mut request = to("", &secret_of("acme"), "evt_1");
    for value in values {
        let name = HeaderName::from_static("x-tenant");
        request.headers_mut().append(name, HeaderValue::from_bytes(value).unwrap());
    }
    request
}

#[tokio::test]
async fn t007_an_unknown_tenant_is_answered_as_a_wrong_signature() {
    let platform = Platform::new();
    let wrong = secret_of("a-stranger");
    platform.refuses(to("acme", &wrong, "evt_1"), R::SignatureMismatch).await;
    platform.refuses(to("nobody", &wrong, "evt_1"), R::UnknownTenant).await;
    platform.refuses(to("nobody", &secret_of("acme"), "evt_1"), R::UnknownTenant).await;
    platform.refuses(to("nobody", &wrong, "evt_1"), R::UnknownTenant).await; // known to be nobody
    platform.handles("acme", "evt_1").await;

    // Either body is read to its end.
    for tenant in ["acme", "nobody"] {
        let frames = [Ok(Frame::data(Bytes::from_static(b"{"))), Err("broken off")];
        let request = to(tenant, &wrong, "evt_1").map(|_| StreamBody::new(stream::iter(frames)));
        platform.receiver.turns_away(request, StatusCode::BAD_REQUEST, R::BodyIncomplete).await;
    }
    // And neither where the signature header is not there.
    for tenant in ["acme", "nobody"] {
        let mut request = to(tenant, &wrong, "evt_1").map(|_| crate::body::Untouchable);
        request.headers_mut().remove("x-caspay-signature");
        platform.receiver.refuses(request, R::MissingHeader).await;
    }
}

#[tokio::test]
async fn t007_what_is_no_name_is_looked_up_nowhere() {
    let platform = Platform::new();
    let long = "a".repeat(129);
    let secret = secret_of("acme");
    for path in ["", ".", "..", "../acme", ".acme", "%61cme", "acme%2f", "acme;a", "acme@b", "acme:1", &long]
    {
        platform.refuses(to(path, &secret, "evt_1"), R::UnknownTenant).await;
    }
    assert_eq!(platform.vault.asked(), [""; 0]);

    let platform = by_header();
    let lines: [&[&[u8]]; 7] = [
        &[],
        &[b""],
        &[b"acme", b"acme"],
        &[b"acme", b"zorg"],
        &[b"acme,zorg"],
        &[b"\xc3\xa4cme"],
        &[long.as_bytes()],
    ];
    for values in lines {
        platform.refuses(with_tenants(values), R::UnknownTenant).await;
    }
    assert_eq!(platform.vault.asked(), [""; 0]);
    platform.receiver.handles(with_tenants(&[b"acme"])).await;
}

#[tokio::test]
async fn t037_a_tenants_secret_opens_no_other_path() {
    let platform = Platform::new();
    platform.handles("zorg", "evt_0").await;
    platform.refuses(to("zorg", &secret_of("acme"), "evt_1"), R::SignatureMismatch).await;
    platform.refuses(to("ACME", &secret_of("acme"), "evt_1"), R::UnknownTenant).await;
    platform.handles("acme", "evt_1").await;
    platform.refuses(to("zorg", &secret_of("acme"), "evt_1"), R::SignatureMismatch).await;
}

#[tokio::test]
async fn t082_one_id_of_two_tenants_is_two_events() {
    let seen = Arc::new(Mutex::new(BTreeSet::new()));
    let spy = Arc::clone(&seen);
    let events = EventRouter::new().fallback(move |delivery: Delivery| {
        let tenant = delivery.tenant().map(str::to_owned);
        spy.lock().unwrap().insert((tenant, delivery.scope().to_owned(), delivery.id().to_owned()));
        async {}
    });
    let mut platform = Platform::new();
    let Receiver { layer, calls, clock, store } = platform.receiver;
    let layer = layer.with_endpoint("eu").unwrap().with_dispatch(events);
    platform.receiver = Receiver { layer, calls, clock, store };
    for expected in [HANDLED, DUPLICATE] {
        for tenant in ["acme", "zorg"] {
            let answer = platform.receiver.send(to(tenant, &secret_of(tenant), "evt_1")).await;
            assert_eq!(verdict(&answer), expected, "{tenant}");
        }
    }
    let event = |tenant: &str| (Some(tenant.to_owned()), format!("caspay/eu@{tenant}"), "evt_1".to_owned());
    assert_eq!(*seen.lock().unwrap(), BTreeSet::from([event("acme"), event("zorg")]));
}

/// Accepts what anybody sends.
#[derive(Debug)]
struct Credulous;

impl Verify for Credulous {
    fn signature_header(&self) -> &HeaderName {
        &header::AUTHORIZATION
    }

    fn verify(&self, _: &Unverified<'_>, _: &Secret) -> Result<Authentic, R> {
        Ok(Authentic::new())
    }
}

#[tokio::test]
async fn t007_nothing_verifies_by_the_key_of_nobody() {
    let key = || TenantKey::path_after("/hooks/").unwrap();
    let scheme = |scheme| Provider::builder("acme").signature(scheme).build().unwrap();
    let code = Provider::builder("acme").verify_with(Credulous).build().unwrap();
    let request = |tenant: &str, signature: &str| {
        let request = Request::post(format!("/hooks/{tenant}")).header(header::AUTHORIZATION, signature);
        request.body(Full::<Bytes>::from(caspay_body("evt_1"))).unwrap()
    };
    let platform = Platform::of(code, key(), |tenants| tenants);
    platform.refuses(request("nobody", "x"), R::UnknownTenant).await;
    platform.receiver.handles(request("acme", "x")).await;
    // Every kind of key has one.
    for (provider, bytes) in [
        (scheme(SignatureScheme::hmac_sha1("authorization")), 20),
        (scheme(SignatureScheme::hmac_sha512("authorization")), 64),
        (scheme(SignatureScheme::ed25519("authorization")), 64),
    ] {
        let platform = Platform::of(provider, key(), |tenants| tenants);
        platform.refuses(request("nobody", &"00".repeat(bytes)), R::UnknownTenant).await;
    }
}

/// Relies on what it has checked.
#[derive(Debug)]
struct Trusting;

impl Verify for Trusting {
    fn signature_header(&self) -> &HeaderName {
        &header::AUTHORIZATION
    }

    fn check_secret(&self, secret: &Secret) -> Result<(), &'static str> {
        secret.expose().strip_prefix("key-").map(drop).ok_or("key-..")
    }

    fn verify(&self, request: &Unverified<'_>, secret: &Secret) -> Result<Authentic, R> {
        let found =
            request.header(&header::AUTHORIZATION)?.strip_prefix(b"Key ").ok_or(R::MalformedHeader)?;
        let key = secret.expose().strip_prefix("key-").unwrap();
        if found == key.as_bytes() { Ok(Authentic::new()) } else { Err(R::SignatureMismatch) }
    }
}

#[tokio::test]
async fn t007_code_that_refuses_the_key_of_nobody_tells_no_tenant_from_nobody() {
    let provider = Provider::builder("acme").verify_with(Trusting).build().unwrap();
    let platform = Platform::of(provider, TenantKey::path_after("/hooks/").unwrap(), |tenants| tenants);
    platform.vault.set("acme", || Secret::new("key-of-the-tenant-acme").unwrap().into());
    let request = |tenant: &str, signature: &str| {
        let request = Request::post(format!("/hooks/{tenant}")).header(header::AUTHORIZATION, signature);
        request.body(Full::<Bytes>::from(caspay_body("evt_1"))).unwrap()
    };
    for (signature, reason) in [("Key of-another", R::SignatureMismatch), ("x", R::MalformedHeader)] {
        platform.refuses(request("acme", signature), reason).await;
        platform.refuses(request("nobody", signature), R::UnknownTenant).await;
    }
    platform.receiver.handles(request("acme", "Key of-the-tenant-acme")).await;
}

#[tokio::test]
async fn behind_axums_nest_the_path_is_the_whole_one() {
    let key = TenantKey::path_after("/v1/hooks/").unwrap();
    let platform = Platform::of(caspay::provider(), key, |tenants| tenants);
    let hooks =
        Router::new().route_service("/hooks/{tenant}", platform.receiver.layer.clone().into_service());
    let app: Router = Router::new().nest("/v1", hooks);
    let request = |tenant: &str| {
        let (provider, secret) = (caspay::provider(), secret_of("acme"));
        let request = SignedRequest::new(&provider, &secret, caspay_body("evt_1"));
        request.with_uri(format!("/v1/hooks/{tenant}")).build()
    };
    assert_eq!(verdict(&app.clone().oneshot(request("zorg")).await.unwrap()), (401, "signature_mismatch"));
    assert_eq!(verdict(&app.oneshot(request("acme")).await.unwrap()), HANDLED);
}

#[test]
fn what_makes_no_sense_is_refused_when_it_is_built() {
    let build = |configure: fn(Tenants) -> Tenants| {
        let tenants = Tenants::new(TenantKey::host(), Vault::new());
        WebhookLayer::for_tenants(caspay::provider(), configure(tenants)).map(drop)
    };
    let zero = |setting| Err(ConfigError::ZeroLimit { setting });
    assert_eq!(build(|tenants| tenants), Ok(()));
    assert_eq!(build(|tenants| tenants.with_capacity(0)), zero("capacity"));
    assert_eq!(build(|tenants| tenants.with_max_lookups(0)), zero("max_lookups"));
    assert_eq!(
        build(|tenants| tenants.with_lookup_timeout(std::time::Duration::ZERO)),
        zero("lookup_timeout")
    );
    let endless =
        |tenants: Tenants| tenants.with_expiry(std::time::Duration::MAX).with_grace(std::time::Duration::MAX);
    assert_eq!(build(endless), Ok(()));
}
