//! Tenants in spans and lines: those that exist, and never a secret.

use tower::ServiceExt as _;
use tower_webhook::testing::{ManualClock, SignedRequest};
use tower_webhook::{
    BoxError, Delivery, EventRouter, KeyEncoding, Provider, Secret, SecretSource, Secrets, SignatureScheme,
    TenantKey, Tenants, WebhookLayer,
};
use tracing::Level;

use super::SECOND;
use super::log::Log;
use crate::support::{NOW, caspay_body, reason};

const KEY: &str = "00112233445566778899aabbccddeeff";
const NO_KEY: &str = "this-secret-is-not-hexadecimal";

/// `acme` has a key, `zorg` a secret that is none, `nobody` nothing.
struct Table;

impl SecretSource for Table {
    async fn secrets(&self, tenant: &str) -> Result<Option<Secrets>, BoxError> {
        Ok(match tenant {
            "acme" => Some(Secret::new(KEY)?.into()),
            "zorg" => Some(Secret::new(NO_KEY)?.into()),
            _ => None,
        })
    }
}

#[tokio::test]
async fn tenants_that_exist_are_named_and_failures_are_logged_once_a_second() {
    let scheme = SignatureScheme::hmac_sha256("x-signature").with_key_encoding(KeyEncoding::Hex);
    let provider = Provider::builder("acme-pay").signature(scheme).build().unwrap();
    let clock = ManualClock::at_unix(NOW);
    let tenants = Tenants::new(TenantKey::path_after("/").unwrap(), Table);
    let service = WebhookLayer::for_tenants(provider.clone(), tenants)
        .unwrap()
        .with_clock(clock.clone())
        .with_dispatch(EventRouter::new().fallback(async |_: Delivery| ()))
        .into_service();
    let send = async |tenant: &str, secret: &str| {
        let secret = Secret::new(secret).unwrap();
        let request = SignedRequest::new(&provider, &secret, caspay_body("evt_1"));
        let answer = service.clone().oneshot(request.with_uri(format!("/{tenant}")).build()).await.unwrap();
        reason(&answer).map(|reason| reason.as_str())
    };

    let log = Log::listen();
    let stranger = "ffeeddccbbaa99887766554433221100";
    assert_eq!(send("acme", KEY).await, None);
    assert_eq!(send("acme", stranger).await, Some("signature_mismatch"));
    assert_eq!(send("nobody", stranger).await, Some("unknown_tenant"));
    let named: Vec<_> = log.deliveries().iter().map(|span| span.fields.get("tenant").to_owned()).collect();
    assert_eq!(named, ["acme", "acme", ""], "the name of nobody is a stranger's text");

    log.clear();
    for _ in 0..3 {
        assert_eq!(send("zorg", stranger).await, Some("secrets_unavailable"));
    }
    clock.advance(SECOND);
    assert_eq!(send("zorg", stranger).await, Some("secrets_unavailable"));
    let lines = log.at(Level::ERROR);
    let suppressed: Vec<_> = lines.iter().map(|line| line.fields.get("suppressed").to_owned()).collect();
    assert_eq!(suppressed, ["0", "2"]);
    assert_eq!(lines[0].message(), "secrets of a webhook tenant could not be looked up");
    assert_eq!((lines[0].fields.get("provider"), lines[0].fields.get("tenant")), ("acme-pay", "zorg"));
    let error = lines[0].fields.get("error");
    assert!(error.contains("`current` does not decode"), "{error}");
    assert!(!format!("{lines:?}").contains(NO_KEY), "{lines:?}");
}
