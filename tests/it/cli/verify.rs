//! `verify`: each class of broken request, by its name.

use bytes::Bytes;
use http::{HeaderValue, Request};
use serde_json::Value;

use super::capture::{raw, signed, signed_by};
use super::program::{Program, program};
use super::recorder::{Recorder, answer};
use crate::support::{NOW, SECRET, casapay_body, caspay_body};

const CASAPAY: &str = "x-casapay-signature";

fn verify(preset: &str, secret: &str, request: impl AsRef<[u8]>) -> Program {
    let arguments = format!("verify --provider {preset} --at {NOW} --request - --secret-env KEY");
    program(&arguments).env("KEY", secret).stdin(request)
}

fn body() -> String {
    casapay_body("evt_1", "invoice.paid")
}

fn with_body(request: &Request<Bytes>, body: impl AsRef<[u8]>) -> Request<Bytes> {
    request.clone().map(|_| Bytes::copy_from_slice(body.as_ref()))
}

fn with_header(request: &Request<Bytes>, name: &'static str, value: &str) -> Request<Bytes> {
    let mut request = request.clone();
    request.headers_mut().insert(name, HeaderValue::try_from(value).unwrap());
    request
}

/// Runs `verify` on a request that it must refuse, and checks what holds for all of them.
async fn refused(preset: &str, secret: &str, request: &Request<Bytes>) -> Value {
    let ran = verify(preset, secret, raw(request)).run().await;
    let found = ran.json(3);
    assert_eq!(found["verified"], false);
    for said in ["explanation", "advice"] {
        assert!(found[said].as_str().unwrap().len() > 20, "{found}");
    }
    ran.hides(secret);
    let signature = request.headers().get(CASAPAY).and_then(|value| value.to_str().ok());
    if let Some((_, mac)) =
        signature.and_then(|value| value.rsplit_once('=')).filter(|(_, mac)| mac.len() > 8)
    {
        ran.hides(mac);
    }
    found
}

async fn is_refused(secret: &str, request: &Request<Bytes>, cause: &str, proven: bool, says: &str) {
    let found = refused("casapay", secret, request).await;
    assert_eq!((&found["cause"], &found["proven"]), (&cause.into(), &proven.into()), "{found}");
    assert!(found["explanation"].as_str().unwrap().contains(says), "{found}");
}

#[tokio::test]
async fn what_is_right_verifies_and_shows_its_event() {
    let found = verify("casapay", SECRET, raw(&signed("casapay", &body()))).run().await.json(0);
    assert_eq!((&found["verified"], &found["cause"]), (&true.into(), &"verified".into()));
    assert_eq!(found["event"], serde_json::json!({ "id": "evt_1", "type": "invoice.paid" }));
    assert_eq!(found["signed_at"], NOW);

    let text = verify("casapay", SECRET, raw(&signed("casapay", &body()))).arg("--text").run().await;
    assert!(
        text.text(0).starts_with("verified: ") && text.stdout.contains("event: invoice.paid evt_1"),
        "{text:?}"
    );
}

/// A receiver answers 500, and the provider sends it again in vain.
#[tokio::test]
async fn what_verifies_and_holds_no_event_has_a_code_of_its_own() {
    let found = verify("casapay", SECRET, raw(&signed("casapay", "{}"))).run().await.json(7);
    assert_eq!((&found["verified"], &found["handshake"]), (&true.into(), &false.into()));
    assert!(found["event"]["unreadable"].as_str().unwrap().contains("no id"), "{found}");
    // The type is in a header that is not signed, and that somebody has left out.
    let mut github = signed("github", "{}");
    verify("github", SECRET, raw(&github)).run().await.json(7);
    github.headers_mut().insert("x-github-event", HeaderValue::from_static("ping"));
    verify("github", SECRET, raw(&github)).run().await.json(0);

    // A handshake holds none either, and is answered.
    let asks = r#"{"type":"url_verification","token":"x","challenge":"3eZbrw1aBm2rZgRNFdxV2595"}"#;
    let ran = verify("slack", SECRET, raw(&signed("slack", asks))).run().await;
    assert_eq!((&ran.json(0)["handshake"], &ran.json(0)["event"]), (&true.into(), &Value::Null));
    // Not one that asks for nothing.
    let asks = r#"{"type":"url_verification","token":"x"}"#;
    assert_eq!(verify("slack", SECRET, raw(&signed("slack", asks))).run().await.json(7)["handshake"], false);
}

#[tokio::test]
async fn a_body_that_a_receiver_does_not_take_is_named() {
    let long = |bytes: usize| {
        let event = body();
        format!("{event}{}", " ".repeat(bytes - event.len()))
    };
    let most = signed("casapay", &long(1024 * 1024));
    assert_eq!(verify("casapay", SECRET, raw(&most)).run().await.json(0)["cause"], "verified");
    let more = signed("casapay", &long(1024 * 1024 + 1));
    is_refused(SECRET, &more, "body_too_large", true, "answers 413").await;
}

/// It is refused by receivers, unless they say otherwise.
#[tokio::test]
async fn a_short_secret_draws_a_warning() {
    let provider = tower_webhook::caspay::provider();
    let request = |secret: &str| {
        let secret = tower_webhook::Secret::weak(secret).unwrap();
        let request = tower_webhook::testing::sign(&provider, &secret, caspay_body("evt_1"));
        raw(&request.map(|body| body.into_bytes()))
    };
    for (secret, warns) in [("fifteen-bytes-.", true), ("sixteen-bytes-..", false)] {
        let ran = verify("caspay", secret, request(secret)).run().await;
        ran.json(0);
        let is_said = ran.warnings().iter().any(|warning| warning.contains("a receiver refuses the secret"));
        assert_eq!(is_said, warns, "{ran:?}");
        ran.hides(secret);
    }
}

#[tokio::test]
async fn lines_of_json_are_requests_too() {
    let request = signed("casapay", &body());
    let value = request.headers()[CASAPAY].to_str().unwrap();
    let line = serde_json::json!({ "headers": { CASAPAY: value }, "body": body() }).to_string();
    assert_eq!(verify("casapay", SECRET, &line).run().await.json(0)["verified"], true);
    let (_, message) = verify("casapay", SECRET, format!("{line}\n{line}")).run().await.error(6);
    assert!(message.contains("several requests"), "{message}");
    let headers = request.headers().clone();
    let provider = tower_webhook::casapay::provider();
    let stored = tower_webhook::testing::delivery_with_headers(&provider, headers, body()).unwrap();
    let stored = serde_json::to_string(&stored).unwrap();
    let (_, message) = verify("casapay", SECRET, stored).run().await.error(2);
    assert!(message.contains("keeps no signature"), "{message}");
}

/// By a program that is not this one: see `tests/vectors`.
#[tokio::test]
async fn recorded_requests_verify() {
    let vectors: Value = serde_json::from_str(include_str!("../../vectors/casapay.json")).unwrap();
    let right = &vectors[0];
    let mut headers = String::new();
    for header in right["headers"].as_array().unwrap() {
        headers.push_str(&format!("{}: {}\n", header[0].as_str().unwrap(), header[1].as_str().unwrap()));
    }
    let at = right["now"].as_u64().unwrap();
    let secret = right["secrets"][0].as_str().unwrap();
    let ran = program(&format!("verify --provider casapay --at {at} --headers h --body b"))
        .file("h", headers)
        .file("b", right["body"].as_str().unwrap())
        .env("CASAPAY_WEBHOOK_SECRET", secret)
        .run()
        .await;
    assert_eq!(ran.json(0)["verified"], true);
}

#[tokio::test]
async fn the_wrong_header() {
    let caspay = signed("caspay", &body());
    let found = refused("casapay", SECRET, &caspay).await;
    assert_eq!(
        (&found["cause"], &found["presets"]),
        (&"wrong_header".into(), &serde_json::json!(["caspay"]))
    );
    let mut unsigned = signed("casapay", &body());
    unsigned.headers_mut().remove(CASAPAY);
    is_refused(SECRET, &unsigned, "wrong_header", true, "missing").await;
}

#[tokio::test]
async fn a_malformed_header() {
    let request = signed("casapay", &body());
    for value in ["", "hello", "t=1700000000,v1=", "t=1700000000,v1=zz", "v1=00", "t=01,v1=00", "t=a,v1=00"] {
        is_refused(SECRET, &with_header(&request, CASAPAY, value), "malformed_header", true, "").await;
    }
    let mut twice = request;
    twice.headers_mut().append(CASAPAY, HeaderValue::from_static("t=1,v1=00"));
    is_refused(SECRET, &twice, "malformed_header", true, "twice").await;
}

#[tokio::test]
async fn the_wrong_kind_of_secret() {
    let request = signed("casapay", &body());
    let bare = SECRET.trim_start_matches("whsec_");
    is_refused(bare, &request, "secret_kind", true, "with `whsec_` before it").await;
    is_refused(&format!(" {SECRET}"), &request, "secret_kind", true, "white space or quotes").await;
    is_refused(&format!("\"{SECRET}\""), &request, "secret_kind", true, "white space or quotes").await;
    for key in ["sk_live_0123456789", "pk_test_0123456789", "we_0123456789abcdef"] {
        is_refused(key, &request, "secret_kind", false, "looks like").await;
    }
    // Base64 of the same bytes that are text for this provider.
    let decoded = signed_by("caspay", "0123456789abcdef", "{}");
    let found = refused("caspay", "whsec_MDEyMzQ1Njc4OWFiY2RlZg==", &decoded).await;
    assert_eq!(found["cause"], "secret_kind");
    assert!(
        found["explanation"].as_str().unwrap().contains("decoded from base64 without `whsec_`"),
        "{found}"
    );

    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let found = refused("discord", seed, &signed_by("discord", seed, "{}")).await;
    assert_eq!((&found["cause"], &found["proven"]), (&"secret_kind".into(), &true.into()));
    assert!(found["explanation"].as_str().unwrap().contains("it is the private one"), "{found}");
}

#[tokio::test]
async fn a_changed_body() {
    let (body, request) = (body(), signed("casapay", &body()));
    for (changed, says) in [
        (format!("{body}\n"), "was given a line end"),
        (format!("{body}\r\n"), "was given a line end"),
        (format!("  {body}"), "white space at an end"),
        (format!("\u{feff}{body}"), "byte order mark"),
    ] {
        is_refused(SECRET, &with_body(&request, changed), "changed_body", true, says).await;
    }
    let lines = signed("casapay", "{\r\n}\r\n");
    is_refused(SECRET, &with_body(&lines, "{\n}\n"), "changed_body", true, "line ends of LF").await;
    is_refused(SECRET, &with_body(&lines, "{\r\n}"), "changed_body", true, "lost the line end").await;
    let accents = signed("casapay", "\"é\"");
    is_refused(SECRET, &with_body(&accents, b"\"\xe9\""), "changed_body", true, "UTF-8 to ISO 8859-1").await;
    is_refused(SECRET, &with_body(&accents, "\"Ã©\""), "changed_body", true, "read as ISO 8859-1").await;
    let form = signed("github", "payload=%7B%22a%22%3A+%22%2F%22%7D");
    let found = refused("github", SECRET, &with_body(&form, r#"{"a": "/"}"#)).await;
    assert_eq!((&found["cause"], &found["proven"]), (&"changed_body".into(), &true.into()), "{found}");
    assert!(found["explanation"].as_str().unwrap().contains("field `payload` of a form"), "{found}");
    // Cut off: the declared length tells, though no signature can.
    let whole = String::from_utf8(raw(&request)).unwrap();
    let cut = verify("casapay", SECRET, &whole[..whole.len() - 20]).run().await.json(3);
    assert_eq!((&cut["cause"], &cut["proven"]), (&"changed_body".into(), &false.into()), "{cut}");
    assert!(cut["explanation"].as_str().unwrap().contains("content-length"), "{cut}");
}

#[tokio::test]
async fn rewritten_json() {
    let signed_text = r#"{"b":[1,2.0],"a":"é/x","c":{}}"#;
    let request = signed("casapay", signed_text);
    for (rewritten, says) in [
        (r#"{"b": [1, 2.0], "a": "\u00e9/x", "c": {}}"#, "compact"),
        ("{\n  \"b\": [\n    1,\n    2.0\n  ],\n  \"a\": \"é/x\",\n  \"c\": {}\n}", "compact"),
    ] {
        is_refused(SECRET, &with_body(&request, rewritten), "reserialised_json", true, says).await;
    }
    for (original, says) in [
        (r#"{"b": [1, 2.0], "a": "é/x", "c": {}}"#, "as Python writes it"),
        (r#"{"b": [1, 2.0], "a": "\u00e9/x", "c": {}}"#, "other characters than ASCII escaped"),
        (r#"{"a":"é/x","b":[1,2.0],"c":{}}"#, "its keys sorted"),
        (r#"{"b":[1,2.0],"a":"\u00e9\/x","c":{}}"#, "as PHP writes it"),
        ("{\n  \"b\": [\n    1,\n    2.0\n  ],\n  \"a\": \"é/x\",\n  \"c\": {}\n}", "indented by 2 blanks"),
        (
            "{\n    \"b\": [\n        1,\n        2.0\n    ],\n    \"a\": \"é/x\",\n    \"c\": {}\n}",
            "indented by 4",
        ),
        (
            "{\n    \"b\": [\n        1,\n        2.0\n    ],\n    \"a\": \"\\u00e9\\/x\",\n    \"c\": {}\n}",
            "indented by 4 blanks, slashes and other characters than ASCII escaped, as PHP",
        ),
        (r#"{"b":[1,2.0],"a":"\u00E9/x","c":{}}"#, "as .NET writes it"),
    ] {
        let request = with_body(&signed("casapay", original), signed_text);
        is_refused(SECRET, &request, "reserialised_json", true, says).await;
    }
}

#[tokio::test]
async fn late_early_and_in_milliseconds() {
    let request = raw(&signed("casapay", &body()));
    let at = |at: u64| {
        let arguments = format!("verify --provider casapay --at {at} --request - --secret-env KEY");
        program(&arguments).env("KEY", SECRET).stdin(&request).run()
    };
    assert_eq!(at(NOW + 300).await.json(0)["cause"], "verified");
    let stale = at(NOW + 301).await.json(3);
    assert_eq!((&stale["cause"], &stale["proven"]), (&"stale".into(), &true.into()));
    assert!(
        stale["explanation"].as_str().unwrap().contains(": 1 s more than the tolerance of 300 s"),
        "{stale}"
    );
    let early = at(NOW - 301).await.json(3);
    assert_eq!(early["cause"], "clock");
    assert!(early["explanation"].as_str().unwrap().contains("5 min 1 s ahead"), "{early}");
    // Now, which is years later.
    let now = program("verify --provider casapay --request - --secret-env KEY").env("KEY", SECRET);
    let found = now.stdin(&request).run().await.json(3);
    assert_eq!(found["cause"], "stale");
    assert!(found["advice"].as_str().unwrap().contains("--at"), "{found}");
    assert!(!stale["advice"].as_str().unwrap().contains("--at"), "{stale}");
    for millis in [NOW * 1_000, 100_000_000_000] {
        let (kind, message) = at(millis).await.error(2);
        assert!(kind == "usage" && message.contains("looks like milliseconds"), "{message}");
    }
    assert_eq!(at(99_999_999_999).await.json(3)["cause"], "stale");

    let provider = tower_webhook::casapay::provider();
    let secret = crate::support::secret();
    let millis = tower_webhook::testing::SignedRequest::new(&provider, &secret, "{}")
        .with_timestamp_text(format!("{NOW}000"))
        .build()
        .map(|body| body.into_bytes());
    is_refused(SECRET, &millis, "clock", true, "is in milliseconds").await;
}

#[tokio::test]
async fn another_event_another_scheme_another_secret() {
    let request = signed("casapay", &body());
    let value = request.headers()[CASAPAY].to_str().unwrap().to_owned();
    let moved = value.replace(&format!("t={NOW}"), &format!("t={}", NOW + 2));
    is_refused(SECRET, &with_header(&request, CASAPAY, &moved), "other_event", true, "another timestamp")
        .await;

    let alone = signed("caspay", &body()).headers()["x-caspay-signature"].to_str().unwrap().to_owned();
    let other = with_header(&request, CASAPAY, &format!("t={NOW},v1={alone}"));
    is_refused(SECRET, &other, "other_scheme", true, "the body alone").await;

    is_refused("whsec_another-secret-altogether", &request, "other_secret", false, "no usual mistake").await;
}

#[tokio::test]
async fn the_url_is_a_setting() {
    let request = signed_by_square();
    let verify = |arguments: &str| {
        program(&format!("verify --provider square --request - --secret-env KEY {arguments}"))
            .env("KEY", SECRET)
            .stdin(&request)
    };
    let (kind, message) = verify("").run().await.error(4);
    assert!(kind == "configuration" && message.contains("SQUARE_PUBLIC_URL"), "{message}");
    assert_eq!(verify("--public-url https://shop.example/hook").run().await.json(7)["cause"], "verified");
    let found = verify("").env("SQUARE_PUBLIC_URL", "http://shop.example/hook").run().await.json(3);
    assert_eq!(found["cause"], "public_url");

    // That which the request was sent to, where another is configured: the host of a machine behind a proxy, say.
    let path = String::from_utf8(request.clone()).unwrap();
    let named = path.replacen("POST /webhooks ", "POST /hook ", 1);
    let named = |arguments: &str| {
        program(&format!("verify --provider square --request - --secret-env KEY {arguments}"))
            .env("KEY", SECRET)
            .stdin(&named)
            .run()
    };
    for other in ["http://10.0.0.7:3000/hook", "https://shop.example:8443/hook", "https://shop.example/other"]
    {
        let found = named(&format!("--public-url {other}")).await.json(3);
        assert_eq!((&found["cause"], &found["proven"]), (&"public_url".into(), &true.into()), "{other}");
        assert!(found["explanation"].as_str().unwrap().contains("that the request names"), "{found}");
    }
    // Where the request does not name it either, it is said to be signed.
    let found = verify("--public-url https://10.0.0.7/hook").run().await.json(3);
    assert_eq!(found["cause"], "other_secret");
    assert!(found["advice"].as_str().unwrap().contains("The URL is signed, too"), "{found}");
}

#[tokio::test]
async fn headers_that_are_signed_are_named() {
    let key = "whsec_MDEyMzQ1Njc4OWFiY2RlZg==";
    let request = with_header(&signed_by("standard-webhooks", key, "{}"), "webhook-id", "msg_other");
    let found = refused("standard-webhooks", key, &request).await;
    assert_eq!(found["cause"], "other_secret");
    assert!(found["advice"].as_str().unwrap().contains("`webhook-id`"), "{found}");
    let other = refused("casapay", "whsec_another-secret-altogether", &signed("casapay", &body())).await;
    let advice = other["advice"].as_str().unwrap();
    assert!(!advice.contains("URL") && !advice.contains("headers"), "{advice}");
}

fn signed_by_square() -> Vec<u8> {
    let provider =
        tower_webhook::provider::square::provider().with_public_url("https://shop.example/hook").unwrap();
    let request = tower_webhook::testing::sign(&provider, &crate::support::secret(), "{}");
    raw(&request.map(|body| body.into_bytes()))
}

#[tokio::test]
async fn what_is_no_request_is_an_error_of_its_own() {
    for request in
        ["", "no request", "POST / HTTP/1.1\r\nx: 1\r\n", "POST / HTTP/1.1\r\nbad header\r\n\r\n{}"]
    {
        assert_eq!(verify("casapay", SECRET, request).run().await.error(6).0, "input", "{request}");
    }
    let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{}";
    let (_, message) = verify("casapay", SECRET, chunked).run().await.error(6);
    assert!(message.contains("--headers") && message.contains("--body"), "{message}");
    let missing = program("verify --provider casapay --development --request nowhere").run().await;
    assert_eq!(missing.error(6).0, "input");
    let both = program("verify --provider casapay --development --headers - --body -").run().await;
    assert_eq!(both.error(2).0, "usage");
}

#[tokio::test]
async fn text_of_strangers_does_not_steer_the_terminal() {
    let evil = "{\"id\":\"evt_\\u001b[31m\\r\",\"type\":\"a\\u202eb\",\"data\":{\"object\":{}}}";
    let ran = verify("casapay", SECRET, raw(&signed("casapay", evil))).arg("--text").run().await;
    assert!(ran.text(0).contains("event: a\\u{202e}b evt_\\u{1b}[31m\\u{d}"), "{ran:?}");
    assert!(!ran.stdout.contains('\u{1b}') && !ran.stdout.contains('\u{202e}'));
}

/// A receiver chooses the secret by the key that the request names.
#[tokio::test]
async fn a_key_id_is_part_of_the_configuration() {
    let recorder = Recorder::default();
    let server = recorder.start(|_| answer(200, "")).await;
    let send = program(&format!("send {} --provider pusher", server.url("/")));
    send.env("PUSHER_WEBHOOK_SECRET", SECRET).env("PUSHER_WEBHOOK_KEY_ID", "app_1").run().await.json(0);
    let [(headers, body)] = &recorder.requests()[..] else { panic!("one request") };
    assert_eq!(headers["x-pusher-key"], "app_1");
    let request = Request::post("/").body(body.clone()).unwrap();
    let (mut parts, body) = request.into_parts();
    parts.headers = headers.clone();
    parts.headers.remove("content-length");
    let request = raw(&Request::from_parts(parts, body));

    assert_eq!(verify("pusher", SECRET, &request).run().await.json(3)["cause"], "key_id");
    let labelled = |id: &str| verify("pusher", SECRET, &request).env("PUSHER_WEBHOOK_KEY_ID", id);
    assert_eq!(labelled("app_1").run().await.json(0)["cause"], "verified");
    assert_eq!(labelled("app_2").run().await.json(3)["cause"], "key_id");
    assert_eq!(labelled("a\nb").run().await.error(4).0, "configuration");

    // It replaces the one that was captured.
    let replay = program(&format!("replay requests --to {} --provider pusher --resign", server.url("/")));
    let replay = replay.file("requests", &request).env("PUSHER_WEBHOOK_SECRET", SECRET);
    replay.env("PUSHER_WEBHOOK_KEY_ID", "app_3").run().await;
    assert_eq!(recorder.requests()[1].0["x-pusher-key"], "app_3");
}

#[tokio::test]
async fn what_a_receiver_answers_405_or_415_is_refused() {
    let request = signed("casapay", &body());
    let get = String::from_utf8(raw(&request)).unwrap().replacen("POST ", "GET ", 1);
    assert_eq!(verify("casapay", SECRET, get).run().await.json(3)["cause"], "method");
    let encoded = with_header(&request, "content-encoding", "gzip");
    is_refused(SECRET, &encoded, "encoded_body", true, "415").await;
    let identity = with_header(&request, "content-encoding", "identity");
    verify("casapay", SECRET, raw(&identity)).run().await.json(0);
}

#[tokio::test]
async fn the_secret_before_counts_as_it_does_for_receivers() {
    let request = raw(&signed("casapay", &body()));
    let ask = |current: &str, previous: &str, arguments: &str| {
        program(&format!("verify --provider casapay --at {NOW} --request - {arguments}"))
            .env("CASAPAY_WEBHOOK_SECRET", current)
            .env("CASAPAY_WEBHOOK_SECRET_PREVIOUS", previous)
            .stdin(&request)
            .run()
    };
    let other = "whsec_another-secret-altogether";
    let found = ask(other, SECRET, "").await;
    assert_eq!((&found.json(0)["cause"], &found.json(0)["secret"]), (&"verified".into(), &"previous".into()));
    found.hides(SECRET);
    let text = ask(other, SECRET, "--text").await;
    assert!(text.text(0).contains("CASAPAY_WEBHOOK_SECRET_PREVIOUS"), "{text:?}");
    assert_eq!(ask(SECRET, other, "").await.json(0)["secret"], "current");
    assert_eq!(ask(other, other, "").await.json(3)["secret"], "current");
    assert_eq!(ask(other, "", "").await.json(3)["cause"], "other_secret");
    // Whoever names the variable means that one.
    ask(other, SECRET, "--secret-env CASAPAY_WEBHOOK_SECRET").await.json(3);
}

#[tokio::test]
async fn what_curl_prints_has_all_but_the_body() {
    let request = signed("casapay", &body());
    let value = request.headers()[CASAPAY].to_str().unwrap();
    let printed = format!(
        "*   Trying 127.0.0.1:3000...\n> POST /webhooks HTTP/1.1\r\n> Host: a\r\n> {CASAPAY}: {value}\r\n> \r\n\
         * upload completely sent off\n< HTTP/1.1 401 Unauthorized\r\n< \r\n"
    );
    let (_, message) = verify("casapay", SECRET, &printed).run().await.error(6);
    assert!(message.contains("curl -v") && message.contains("--headers"), "{message}");
    let verify =
        program(&format!("verify --provider casapay --at {NOW} --headers h --body b --secret-env KEY"));
    let ran = verify.env("KEY", SECRET).file("h", printed).file("b", body()).run().await;
    assert_eq!(ran.json(0)["verified"], true);
}
