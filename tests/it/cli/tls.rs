//! Certificates: the program trusts what the system does, which here is what a variable says.

use tower_webhook::testing::simulator::CASAPAY_TEST_KEY;

use super::program::{Program, program};
use crate::tls::{Authority, TlsServer};

fn list(server: &TlsServer, trusted: &Authority) -> Program {
    let url = server.url("localhost", "");
    program(&format!("endpoints list --provider casapay --api-url {url}"))
        .file("authorities.pem", trusted.pem())
        .env("SSL_CERT_FILE", "authorities.pem")
        .env("CASAPAY_API_KEY", CASAPAY_TEST_KEY)
}

#[tokio::test]
async fn an_api_of_a_trusted_authority_is_called() {
    let ours = Authority::new("ours");
    let server = TlsServer::start(ours.issue("localhost")).await;
    let ran = list(&server, &ours).run().await;
    assert_eq!(ran.json(0), serde_json::json!([]));
    let [(line, headers)] = &server.requests()[..] else { panic!("one request") };
    assert_eq!(line, "GET /v1/webhook_endpoints");
    assert_eq!(headers["authorization"], format!("Bearer {CASAPAY_TEST_KEY}"));
}

#[tokio::test]
async fn any_other_is_not_and_the_reason_is_said() {
    let ours = Authority::new("ours");
    for (identity, wrong) in [
        (Authority::new("theirs").issue("localhost"), "UnknownIssuer"),
        (ours.issue("other.example"), "not valid for name"),
        (ours.issue_for_years("localhost", 2020, 2021), "expired"),
    ] {
        let server = TlsServer::start(identity).await;
        let ran = list(&server, &ours).run().await;
        let (kind, message) = ran.error(5);
        assert!(kind == "tls" && message.contains(wrong) && message.contains("SSL_CERT_FILE"), "{message}");
        ran.hides(CASAPAY_TEST_KEY);
        assert_eq!((server.refused(1).await.len(), server.requests().len()), (1, 0), "{wrong}");
    }
}

/// So are the receivers that are sent events.
#[tokio::test]
async fn a_receiver_is_held_to_the_same() {
    let ours = Authority::new("ours");
    let server = TlsServer::start(ours.issue("localhost")).await;
    let send = |authority: &Authority| {
        program(&format!("send {} --provider caspay", server.url("localhost", "/hook")))
            .file("authorities.pem", authority.pem())
            .env("SSL_CERT_FILE", "authorities.pem")
    };
    let refused = send(&Authority::new("theirs")).run().await;
    let answer = &refused.json(5)["answers"][0];
    assert!(answer["error"].as_str().unwrap().contains("UnknownIssuer"), "{answer}");
    assert!(server.requests().is_empty());
    assert_eq!(send(&ours).run().await.json(0)["answers"][0]["status"], 200);
    assert_eq!(server.requests()[0].0, "POST /hook");
}
