//! TLS as the clients of the APIs speak it: whose certificate they take, and what those learn whose they do not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tower_webhook::endpoints::{CasaPay, ClientOptions, EndpointErrorKind as Kind};

use super::api::{KEY, casapay, failure, key, options};
use super::calls::{CALLS, creates, make};
use crate::tls::{Authority, Identity, TlsServer};

/// Beside the system's authorities, and with no leave for http.
fn trusting(authority: &Authority) -> ClientOptions {
    ClientOptions::default().with_root_certificates(authority.pem())
}

#[tokio::test]
async fn an_authority_of_ones_own_is_trusted_where_it_is_named() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let server = TlsServer::start(ours.issue("localhost")).await;
    let url = server.url("localhost", "");
    let bundle = format!("# both\n{}\n{}", theirs.pem(), ours.pem());
    for options in [
        trusting(&ours),
        trusting(&theirs).with_root_certificates(ours.pem()),
        trusting(&ours).with_root_certificates(theirs.pem()),
        ClientOptions::default().with_root_certificates(bundle),
    ] {
        assert!(casapay(&url, options).list().await.unwrap().is_empty());
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 4);
    for (line, headers) in requests {
        assert_eq!(line, "GET /v1/webhook_endpoints");
        assert_eq!(headers["authorization"], format!("Bearer {KEY}"));
    }
}

/// A server that is not to be trusted, with what is wrong about it.
fn impostors(ours: &Authority) -> [(&'static str, Identity); 4] {
    [
        ("UnknownIssuer", Authority::new("theirs").issue("localhost")),
        ("not valid for name \"localhost\"", ours.issue("other.example")),
        ("expired", ours.issue_for_years("localhost", 2020, 2021)),
        ("not valid yet", ours.issue_for_years("localhost", 2119, 2120)),
    ]
}

/// Every call names the reason, is made once, and ends before a byte of a request.
#[tokio::test]
async fn who_is_not_trusted_gets_no_request_and_no_key() {
    let ours = Authority::new("ours");
    for (wrong, identity) in impostors(&ours) {
        let server = TlsServer::start(identity).await;
        for (before, call) in CALLS.iter().enumerate() {
            let options = trusting(&ours).with_first_pause(Duration::ZERO);
            let error = make(call, &server.url("localhost", ""), options).await;
            assert_eq!((error.kind(), error.may_have_created()), (Kind::Tls, false), "{call}: {error}");
            let text = error.to_string();
            assert!(text.contains(wrong) && text.contains("nothing was sent"), "{call}: {text}");
            assert_eq!(server.refused(before + 1).await.len(), before + 1, "{call} was tried again");
        }
        assert!(server.requests().is_empty(), "{wrong}");
    }
}

/// By the system's authorities alone, of which none has issued this.
#[tokio::test]
async fn an_authority_that_nobody_named_is_not_trusted() {
    let ours = Authority::new("ours");
    let server = TlsServer::start(ours.issue("localhost")).await;
    for options in [ClientOptions::default(), ClientOptions::default().allow_loopback()] {
        let error = failure(casapay(&server.url("localhost", ""), options).list().await);
        assert_eq!(error.kind(), Kind::Tls);
        assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    }
    server.refused(2).await;
    assert!(server.requests().is_empty());
}

#[tokio::test]
async fn a_certificate_can_be_for_an_address() {
    let ours = Authority::new("ours");
    let server = TlsServer::start(ours.issue("127.0.0.1")).await;
    casapay(&server.url("127.0.0.1", ""), trusting(&ours)).list().await.unwrap();
    let error = failure(casapay(&server.url("localhost", ""), trusting(&ours)).list().await);
    assert_eq!(error.kind(), Kind::Tls);
    assert_eq!(server.requests().len(), 1);
}

/// A server of plain HTTP behind https, say, or of something else.
#[tokio::test]
async fn what_speaks_no_tls_hears_no_key() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let heard: Arc<Mutex<Vec<u8>>> = Arc::default();
    let shared = Arc::clone(&heard);
    let server = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut bytes = vec![0; 16 << 10];
            let read = stream.read(&mut bytes).await.unwrap();
            stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            shared.lock().unwrap().extend_from_slice(&bytes[..read]);
            // To the end, so that nothing is missed.
            bytes.clear();
            _ = stream.read_to_end(&mut bytes).await;
            shared.lock().unwrap().extend_from_slice(&bytes);
        }
    });
    for call in CALLS {
        let error = make(call, &url, options()).await;
        assert_eq!((error.kind(), error.may_have_created()), (Kind::Tls, false), "{call}: {error}");
    }
    let heard = heard.lock().unwrap();
    let contains = |text: &str| heard.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(contains("localhost"), "the name of the host is in the clear, and was heard");
    assert!(!contains(KEY) && !contains("webhook"));
    server.abort();
}

/// That may pass, as any broken connection.
#[tokio::test]
async fn a_connection_that_breaks_in_the_handshake_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    for (call, attempts) in CALLS.iter().map(|call| (call, if creates(call) { 1 } else { 3 })) {
        let calling = make(call, &url, options().with_attempts(3));
        let closing = async {
            for _ in 0..attempts {
                drop(listener.accept().await.unwrap());
            }
        };
        let (error, ()) = tokio::join!(calling, closing);
        assert_eq!((error.kind(), error.may_have_created()), (Kind::Unreachable, false), "{call}: {error}");
    }
}

#[tokio::test]
async fn what_is_no_certificate_makes_no_client() {
    let ours = Authority::new("ours");
    let key_alone = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let broken = ours.pem().replacen("MII", "!!!", 1);
    let empty = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for mistaken in ["", "/etc/ssl/company.pem", &key_alone, &broken, empty] {
        // Beside a right one, too.
        let options = trusting(&ours).with_root_certificates(mistaken);
        let shown = format!("{options:?}");
        let error = failure(CasaPay::new("https://localhost", key(), options));
        assert_eq!(error.kind(), Kind::InvalidRequest, "{mistaken}");
        assert!(error.to_string().contains("root certificates"), "{error}");
        let text = format!("{shown} {error} {error:?}");
        assert!(!text.contains("PRIVATE") && !text.contains("BEGIN"), "{text}");
    }
}
