//! Section A of the catalogue of hostile input: configuration and secrets.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tower::{Layer as _, Service, ServiceExt as _};
use tower_webhook::testing::{ManualClock, SignedRequest};
use tower_webhook::{
    Body, ConfigError, DeadLetter, Delivery, Event, EventRouter, Provider, RejectionReason, Secret, Secrets,
    SignatureScheme, WebhookLayer, casapay, caspay,
};
use tracing::subscriber::{DefaultGuard, NoSubscriber, set_default};
use tracing::{Dispatch, Level};
use tracing_subscriber::fmt::format::FmtSpan;

use crate::signature_header::{hmac_sha256, with_signature};
use crate::support::{
    NOW, Receiver, SECRET, casapay_body, caspay_body, from_casapay, from_caspay, secret, secrets,
};

/// Both ways to make a secret, which differ in the length that they demand.
const CONSTRUCTORS: [fn(String) -> Result<Secret, ConfigError>; 2] = [Secret::new, Secret::weak];

#[track_caller]
fn every_constructor_refuses(text: &str, expected: &ConfigError) {
    for constructor in CONSTRUCTORS {
        assert_eq!(constructor(text.to_owned()).unwrap_err(), *expected, "{text:?}");
    }
}

/// A receiver with this secret takes what is signed with it.
async fn verifies(text: &str) {
    let receiver = Receiver::with_secrets(caspay::provider(), Secret::weak(text).unwrap().into());
    let body = caspay_body("evt_1");
    let right = const_hex::encode(hmac_sha256(text, body.as_bytes()));
    receiver.handles(with_signature(from_caspay(body), &caspay::provider(), right)).await;
}

#[tokio::test]
async fn t001_empty_secret() {
    every_constructor_refuses("", &ConfigError::EmptySecret);
    verifies("a").await;
}

#[tokio::test]
async fn t002_secret_of_nothing() {
    for text in [" ", "\t", "\n", " \r\n ", "\u{a0}", "whsec_", "whsec_\n", " whsec_ "] {
        every_constructor_refuses(text, &ConfigError::EmptySecret);
    }
    verifies("whsec_a").await;
}

#[tokio::test]
async fn t003_white_space_around_a_secret() {
    let good = "a-good-signing-secret";
    for (before, after) in [("", "\n"), ("", "\r\n"), ("", " "), (" ", ""), ("\t", "\t"), ("", "\u{a0}")] {
        every_constructor_refuses(&format!("{before}{good}{after}"), &ConfigError::WhitespaceInSecret);
    }
    for text in [good, "a good signing secret"] {
        assert!(Secret::new(text).is_ok(), "{text}");
        verifies(text).await;
    }
}

/// As a file has it that some editors and shells write: it would become part of the key, and nothing would verify.
#[tokio::test]
async fn a_byte_order_mark_before_a_secret() {
    let marked = "\u{feff}a-good-signing-secret";
    every_constructor_refuses(marked, &ConfigError::ByteOrderMarkInSecret);
    every_constructor_refuses("\u{feff}", &ConfigError::ByteOrderMarkInSecret);
    let told = ConfigError::ByteOrderMarkInSecret.to_string();
    assert!(told.contains("byte order mark") && told.is_ascii(), "{told}");
    // Elsewhere nobody puts it by mistake.
    verifies("a-good-\u{feff}signing-secret").await;
}

#[tokio::test]
async fn t004_short_secret() {
    for (text, length) in [("0123456789abcde", 15), ("whsec_0123456789abcde", 15), ("a", 1)] {
        assert_eq!(Secret::new(text).unwrap_err(), ConfigError::ShortSecret { length });
        verifies(text).await;
    }
    for text in ["0123456789abcdef", "whsec_0123456789abcdef"] {
        assert!(Secret::new(text).is_ok(), "{text}");
    }
}

#[test]
fn t005_missing_variable() {
    let error = Secrets::from_env("TOWER_WEBHOOK_NEVER_SET").unwrap_err();
    assert_eq!(error, ConfigError::MissingVariable { name: "TOWER_WEBHOOK_NEVER_SET".to_owned() });
    // The twin is a variable that cargo sets for tests, with a text that may be a secret.
    let secrets = Secrets::from_env("CARGO_PKG_DESCRIPTION").unwrap();
    assert_eq!(secrets.labels().collect::<Vec<_>>(), ["current"]);
}

#[tokio::test]
async fn t006_empty_list_of_secrets() {
    assert_eq!(Secrets::labelled([]).unwrap_err(), ConfigError::NoSecrets);
    let old = Secret::new("an-older-signing-secret").unwrap();
    let rotation = Secrets::labelled([("new".to_owned(), secret()), ("old".to_owned(), old)]).unwrap();
    let receiver = Receiver::with_secrets(caspay::provider(), rotation);
    receiver.handles(from_caspay(caspay_body("evt_1"))).await;
    let right = hmac_sha256("an-older-signing-secret", caspay_body("evt_2").as_bytes());
    let by_old =
        with_signature(from_caspay(caspay_body("evt_2")), &caspay::provider(), const_hex::encode(right));
    receiver.handles(by_old).await;
}

#[tokio::test]
async fn t009_provider_without_a_route() {
    let receiver = Receiver::new(caspay::provider());
    let app: Router = Router::new().route_service("/webhooks/caspay", receiver.layer.clone().into_service());
    let send = async |path: &str| {
        let mut request = from_caspay(caspay_body("evt_1")).map(axum::body::Body::new);
        *request.uri_mut() = path.parse().unwrap();
        app.clone().oneshot(request).await.unwrap().status()
    };
    for path in
        ["/", "/webhooks", "/webhooks/", "/webhooks/casapay", "/webhooks/caspay/", "/webhooks/caspay/x"]
    {
        assert_eq!(send(path).await, StatusCode::NOT_FOUND, "{path}");
    }
    assert_eq!((receiver.calls.count(), receiver.store_calls(), receiver.stats().macs()), (0, 0, 0));
    assert_eq!(send("/webhooks/caspay").await, StatusCode::OK);
    assert_eq!(receiver.calls.count(), 1);
}

#[test]
fn t010_no_layer_without_secrets() {
    crate::ui::fails_to_compile("tests/ui/t010/*.rs");
}

/// Texts that no output may contain: the secret in every likely spelling, the right MAC, the signature header.
pub(crate) struct Hidden(Vec<String>);

impl Hidden {
    pub(crate) fn new() -> Self {
        Self(vec![SECRET.to_owned(), const_hex::encode(SECRET), STANDARD.encode(SECRET)])
    }

    /// Also hides what was signed, and its MAC.
    pub(crate) fn and_signed(mut self, message: &[u8]) -> Self {
        let mac = hmac_sha256(SECRET, message);
        self.0.extend([const_hex::encode(mac), STANDARD.encode(mac), format!("{mac:?}")]);
        self
    }

    pub(crate) fn and(mut self, text: impl Into<String>) -> Self {
        self.0.push(text.into());
        self
    }

    #[track_caller]
    pub(crate) fn is_absent_from(&self, output: &str) {
        let lower = output.to_lowercase();
        for hidden in &self.0 {
            assert!(!lower.contains(&hidden.to_lowercase()), "`{hidden}` is in: {output}");
        }
    }
}

/// What was printed, for a look at it afterwards. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Printed(Arc<Mutex<Vec<u8>>>);

impl Printed {
    pub(crate) fn debug(&self, value: impl fmt::Debug) {
        let mut printed = self.0.lock().unwrap();
        writeln!(printed, "{value:?}\n{value:#?}").unwrap();
    }

    pub(crate) fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A layer around a service that prints what it is given.
fn around_a_printer(
    printed: &Printed,
) -> impl Service<Request<Body>, Response: fmt::Debug, Error = Infallible> {
    let (inner, letters) = (printed.clone(), printed.clone());
    WebhookLayer::new(caspay::provider(), secrets())
        .unwrap()
        .with_dead_letter(move |letter: DeadLetter| {
            letters.debug(letter);
            async { Ok::<_, Infallible>(()) }
        })
        .layer(tower::service_fn(move |request: Request<Body>| {
            inner.debug(request.extensions().get::<Delivery>().unwrap());
            inner.debug(&request);
            async { Ok::<_, Infallible>(Response::new(Body::default())) }
        }))
}

#[tokio::test]
async fn t011_debug_shows_no_secret() {
    let (body, unreadable) = (caspay_body("evt_1"), "not JSON");
    let hidden = Hidden::new().and_signed(body.as_bytes()).and_signed(unreadable.as_bytes());
    let printed = Printed::default();
    let (provider, receiver) = (caspay::provider(), Receiver::new(caspay::provider()));
    let layer = &receiver.layer;
    printed.debug((secret(), secrets(), &provider, SignedRequest::new(&provider, &secret(), "{}")));
    printed.debug(Provider::builder("acme").signature(SignatureScheme::hmac_sha256("x-acme-signature")));
    printed.debug((layer, layer.clone().into_service(), layer.processor(), layer.shutdown(), layer.store()));
    printed.debug((layer.timing(), layer.warnings(), layer.stats()));
    printed.debug(Secret::new(format!(" {SECRET}")).unwrap_err());
    printed.debug(secrets().with_secret("current", secret()).unwrap_err());
    for body in [body.as_str(), unreadable] {
        let mut service = around_a_printer(&printed);
        printed.debug(service.call(from_caspay(body.to_owned())).await.unwrap());
    }
    let output = printed.take();
    hidden.is_absent_from(&output);
    // It is all there, redacted.
    for shown in ["Secret(redacted)", "current", "evt_1", "x-caspay-signature\": Sensitive", "DeadLetter"] {
        assert!(output.contains(shown), "`{shown}` is not in: {output}");
    }
}

/// Captures all that is logged at TRACE by this thread, fields of spans included.
fn capture(printed: &Printed) -> (DefaultGuard, Dispatch) {
    let writer = printed.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(Level::TRACE)
        .with_span_events(FmtSpan::FULL)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    // Beside a second dispatcher: the only one would be asked for its interest in a callsite by whichever
    // thread comes there first, and in that thread it is not set.
    let second = Dispatch::new(NoSubscriber::new());
    (set_default(subscriber), second)
}

#[derive(Debug, serde::Deserialize)]
struct Card {
    #[expect(dead_code, reason = "is there to be misfit")]
    number: u64,
}

impl Event for Card {
    const TYPE: &'static str = "card.charged";
}

#[tokio::test]
async fn t012_logs_hold_no_secret_and_no_content() {
    let private = "4111-1111-1111-1111";
    let event = |id: &str, event_type: &str, data: &str| {
        format!(r#"{{"id":"{id}","object":"event","type":"{event_type}","data":{{"object":{data}}}}}"#)
    };
    let good = event("evt_good", "invoice.paid", &format!(r#"{{"card":"{private}"}}"#));
    let misfit = event("evt_misfit", "card.charged", &format!(r#"{{"number":"{private}"}}"#));
    let failing = event("evt_failing", "invoice.failing", &format!(r#"{{"card":"{private}"}}"#));
    let unreadable = format!(r#"{{"id":{{"card":"{private}"}},"type":"{private}"}}"#);
    let not_json = format!("{private}, not JSON");

    let printed = Printed::default();
    let capture = capture(&printed);
    let events = EventRouter::new()
        .on(async |_: Card| ())
        .on_type("invoice.failing", async |_: serde_json::Value| {
            Err::<(), _>(io::Error::other("ledger is locked"))
        })
        .on_type("invoice.*", async |_: serde_json::Value| ());
    let service = WebhookLayer::new(casapay::provider(), secrets())
        .unwrap()
        .with_clock(ManualClock::at_unix(NOW))
        .with_dispatch(events)
        .into_service();

    let mut hidden = Hidden::new().and(private);
    let mut statuses = Vec::new();
    for body in [&good, &good, &misfit, &failing, &unreadable, &not_json] {
        hidden = hidden.and_signed(format!("{NOW}.{body}").as_bytes()).and(body);
        statuses.push(service.clone().oneshot(from_casapay(body.clone())).await.unwrap().status().as_u16());
    }
    let right = const_hex::encode(hmac_sha256(SECRET, format!("{NOW}.{good}").as_bytes()));
    let wrong = "5a".repeat(32);
    for header in [
        format!("t={},v1={right}", NOW - 1),
        format!("t={NOW},v1={wrong}"),
        format!("t={NOW},v1={right},v1="),
        format!("t={NOW},t={NOW},v1={right}"),
        format!("t=+{NOW},v1={right}"),
        right.clone(),
        String::new(),
    ] {
        let request = with_signature(from_casapay(good.clone()), &casapay::provider(), &header);
        statuses.push(service.clone().oneshot(request).await.unwrap().status().as_u16());
        hidden = if header.is_empty() { hidden } else { hidden.and(header) };
    }
    hidden = hidden.and(wrong);
    for signed in [NOW - 301, NOW + 301] {
        let request =
            SignedRequest::new(&casapay::provider(), &secret(), good.clone()).at_unix(signed).build();
        statuses.push(service.clone().oneshot(request).await.unwrap().status().as_u16());
        hidden = hidden.and_signed(format!("{signed}.{good}").as_bytes());
    }
    assert_eq!(statuses, [200, 200, 500, 503, 500, 500, 401, 401, 401, 401, 401, 401, 401, 401, 401]);
    drop(capture);

    let output = printed.take();
    hidden.is_absent_from(&output);
    for reason in ["signature_mismatch", "malformed_header", "malformed_timestamp", "timestamp_too_old"] {
        assert!(output.contains(reason), "`{reason}` is not in: {output}");
    }
    assert!(output.contains("ledger is locked"), "a handler's error is logged: {output}");
    // What the span says when it closes.
    let closed =
        output.lines().filter(|line| line.contains("close")).find(|line| line.contains("evt_good")).unwrap();
    for field in [
        "webhook_delivery{",
        r#"provider="casapay""#,
        "event_id=evt_good",
        "event_type=invoice.paid",
        r#"secret="current""#,
        r#"outcome="accepted""#,
        r#"reason="handled""#,
        "latency_ms=",
    ] {
        assert!(closed.contains(field), "`{field}` is not in: {closed}");
    }
}

#[tokio::test]
async fn t013_signature_header_is_sensitive() {
    let printed = Printed::default();
    let header = http::HeaderName::from_static("x-caspay-signature");
    let request = from_caspay(caspay_body("evt_1"));
    let right = request.headers()[&header].clone();
    assert!(!right.is_sensitive(), "the sender does not mark it");

    let inner = printed.clone();
    let service = WebhookLayer::new(caspay::provider(), secrets()).unwrap().layer(tower::service_fn(
        move |request: Request<Body>| {
            let delivered = request.extensions().get::<Delivery>().unwrap();
            for headers in [request.headers(), delivered.headers()] {
                assert!(headers["x-caspay-signature"].is_sensitive());
                assert_eq!(
                    headers["x-caspay-signature"].as_bytes(),
                    right.as_bytes(),
                    "it is kept as it came"
                );
                assert!(!headers["content-type"].is_sensitive());
                inner.debug(headers);
            }
            async { Ok::<_, Infallible>(Response::new(Body::default())) }
        },
    ));
    assert_eq!(service.oneshot(request).await.unwrap().status(), StatusCode::OK);
    let output = printed.take();
    assert_eq!(output.matches("\"x-caspay-signature\": Sensitive").count(), 4, "{output}");
    Hidden::new().and_signed(caspay_body("evt_1").as_bytes()).is_absent_from(&output);
}

/// The bytes that a server answers on the wire to a request with these lines in its head.
async fn answer_on_the_wire(receiver: &Receiver, lines: &[String], body: &str) -> String {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let service = TowerToHyperService::new(receiver.layer.clone().into_service());
    let connection = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .serve_connection(TokioIo::new(server), service);
    let connection = tokio::spawn(connection);
    let head = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
    let length = body.len();
    let request = format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n{head}\r\n{body}");
    client.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "the connection was closed");
    }
    // The answer has no body, and the connection is ready for the next request.
    drop(client);
    connection.await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn t015_every_refusal_is_the_same_bytes() {
    use RejectionReason as R;

    let body = casapay_body("evt_1", "invoice.paid");
    let mac = |secret: &str, seconds: u64, body: &str| {
        const_hex::encode(hmac_sha256(secret, format!("{seconds}.{body}").as_bytes()))
    };
    let right = mac(SECRET, NOW, &body);
    let line = |value: String| format!("x-casapay-signature: {value}");
    let signed = |signature: &str| vec![line(format!("t={NOW},v1={signature}"))];
    let at = |seconds: u64| vec![line(format!("t={seconds},v1={}", mac(SECRET, seconds, &body)))];
    let good = signed(&right);
    let old = body.replace(&format!(r#""created":{NOW}"#), &format!(r#""created":{}"#, NOW - 86_401));
    let faults = [
        ("no header", vec![], &body, R::MissingHeader),
        ("an empty header", vec![line(String::new())], &body, R::MalformedHeader),
        ("two headers", [good.clone(), good.clone()].concat(), &body, R::DuplicateHeader),
        ("another grammar", vec![line(right.clone())], &body, R::MalformedHeader),
        ("no signature", vec![line(format!("t={NOW}"))], &body, R::MalformedHeader),
        ("an empty signature", signed(""), &body, R::MalformedHeader),
        ("another version", vec![line(format!("t={NOW},v0={right}"))], &body, R::MalformedHeader),
        ("two timestamps", vec![line(format!("t={NOW},t={NOW},v1={right}"))], &body, R::MalformedHeader),
        ("too many candidates", signed(&["0"; 17].join(",v1=")), &body, R::MalformedHeader),
        ("no number", vec![line(format!("t=now,v1={right}"))], &body, R::MalformedTimestamp),
        ("no digits", signed(&"zz".repeat(32)), &body, R::SignatureMismatch),
        ("an odd digit", signed(&right[1..]), &body, R::SignatureMismatch),
        ("half a MAC", signed(&right[..32]), &body, R::SignatureMismatch),
        ("a wrong MAC", signed(&"00".repeat(32)), &body, R::SignatureMismatch),
        ("another secret", signed(&mac("another-secret", NOW, &body)), &body, R::SignatureMismatch),
        ("another body", signed(&right), &old, R::SignatureMismatch),
        ("stale", at(NOW - 301), &body, R::TimestampTooOld),
        ("from the future", at(NOW + 301), &body, R::TimestampInFuture),
        ("an old event", signed(&mac(SECRET, NOW, &old)), &old, R::EventTooOld),
    ];
    let mut receiver = Receiver::new(casapay::provider());
    receiver.layer = receiver.layer.with_max_event_age(Duration::from_secs(86_400)).unwrap();
    for (fault, lines, body, reason) in &faults {
        let before = receiver.stats().rejected(*reason);
        let answer = answer_on_the_wire(&receiver, lines, body).await;
        assert_eq!(answer, "HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n", "{fault}");
        assert_eq!(receiver.stats().rejected(*reason), before + 1, "{fault}");
    }
    assert_eq!((receiver.calls.count(), receiver.store_calls()), (0, 0));
    let answer = answer_on_the_wire(&receiver, &good, &body).await;
    assert_eq!(answer, "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(receiver.calls.count(), 1);
}

/// Whether a wrong MAC is refused sooner where its first byte is wrong than where its last is: Welch's t-test
/// over interleaved measurements, as dudect does it. A leak shows as |t| in the tens or more.
#[tokio::test]
#[ignore = "a measurement: run it alone, on a quiet machine"]
#[allow(clippy::print_stdout, reason = "the measurement is worth knowing when it passes, too")]
async fn t016_comparison_takes_constant_time() {
    const SAMPLES: usize = 200_000;
    let body = "x";
    let right = hmac_sha256(SECRET, body.as_bytes());
    let wrong_at = |byte: usize| {
        let mut mac = right;
        mac[byte] ^= 1;
        const_hex::encode(mac)
    };
    let headers = [wrong_at(0), wrong_at(31)];
    let service = Receiver::new(caspay::provider()).layer.into_service();
    let mut times: [Vec<f64>; 2] = Default::default();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    for sample in 0..SAMPLES {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let class = usize::from(random & 1 == 1);
        let request = with_signature(from_caspay(body), &caspay::provider(), &headers[class]);
        let future = service.clone().oneshot(request);
        let started = Instant::now();
        let response = future.await.unwrap();
        let elapsed = started.elapsed().as_secs_f64() * 1e9;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        if sample > SAMPLES / 10 {
            times[class].push(elapsed);
        }
    }
    let t = welch(&times);
    println!("t = {t:.2} over {SAMPLES} samples");
    assert!(t.abs() < 10.0, "the time tells where a MAC is wrong: t = {t:.2}");
}

/// Welch's t of two samples, each without the slowest tenth: interruptions say nothing about the code.
fn welch(times: &[Vec<f64>; 2]) -> f64 {
    let [first, second] = times.each_ref().map(|times| {
        let mut times = times.clone();
        times.sort_by(f64::total_cmp);
        times.truncate(times.len() * 9 / 10);
        let count = f64::from(u32::try_from(times.len()).unwrap());
        let mean = times.iter().sum::<f64>() / count;
        let variance = times.iter().map(|time| (time - mean).powi(2)).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (first.0 - second.0) / (first.1 + second.1).sqrt()
}
