//! `replay`: what was captured comes again, byte for byte, or signed anew.

use bytes::Bytes;
use tower_webhook::testing::delivery_with_headers;
use tower_webhook::{WebhookLayer, casapay};

use super::capture::{raw, signed};
use super::program::{Program, program};
use super::recorder::{Recorder, answer};
use crate::server::Server;
use crate::servers::free_port;
use crate::support::{Calls, SECRET, casapay_body, caspay_body, secret};

fn replay(server: &Server, file: impl AsRef<[u8]>, arguments: &str) -> Program {
    program(&format!("replay file --to {} {arguments}", server.url("/hook"))).file("file", file)
}

#[tokio::test]
async fn bytes_and_headers_are_those_that_were_captured() {
    let recorder = Recorder::default();
    let server = recorder.start(|_| answer(200, "")).await;
    let bodies = [" {\"a\":1}\r\n", "{}", ""];
    let requests = bodies.map(|body| signed("caspay", body));
    let file: Vec<u8> = requests.iter().flat_map(raw).collect();
    let ran = replay(&server, file, "").run().await;
    assert_eq!(ran.text(0).lines().count(), 3);
    for line in ran.stdout.lines() {
        assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap()["status"], 200);
    }
    let received = recorder.requests();
    assert_eq!(received.len(), 3);
    for ((headers, body), sent) in received.iter().zip(&requests) {
        assert_eq!(body, sent.body());
        assert_eq!(headers["x-caspay-signature"], sent.headers()["x-caspay-signature"]);
        assert!(!headers.contains_key("x-hop") && !headers.contains_key("connection"), "{headers:?}");
        assert_ne!(headers["host"], "shop.example");
    }
}

/// A receiver takes another one for something else, and what it answers says nothing of the request that was captured.
#[tokio::test]
async fn methods_are_those_that_were_captured() {
    let recorder = Recorder::default();
    let server = recorder.start(|_| answer(200, "")).await;
    let file =
        "GET /hook HTTP/1.1\r\ncontent-length: 0\r\n\r\nPUT /hook HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}";
    replay(&server, file, "").run().await.text(0);
    replay(&server, r#"{"body":"{}"}"#, "").run().await.text(0);
    assert_eq!(recorder.methods(), ["GET", "PUT", "POST"]);
    // Nobody signs a GET.
    let (kind, message) =
        replay(&server, file, "--resign --provider caspay --development").run().await.error(2);
    assert!(kind == "usage" && message.contains("request 1 is no POST"), "{message}");
    assert_eq!(recorder.requests().len(), 3);
}

#[tokio::test]
async fn requests_without_a_length_are_not_sent_as_one() {
    let recorder = Recorder::default();
    let server = recorder.start(|_| answer(200, "")).await;
    let one = "POST /hook HTTP/1.1\r\nx-caspay-signature: 00\r\n\r\n{}";
    let (kind, message) = replay(&server, format!("{one}{one}"), "").run().await.error(6);
    assert!(kind == "input" && message.contains("request 1: nothing says where its body ends"), "{message}");
    assert!(recorder.requests().is_empty());
    replay(&server, one, "").run().await.text(0);
}

#[tokio::test]
async fn lines_of_json_are_requests_too() {
    let recorder = Recorder::default();
    let server = recorder.start(|_| answer(200, "")).await;
    let file = "{\"headers\":{\"x-a\":\"1\"},\"body\":\"{}\\n\"}\n\n{\"headers\":[[\"x-a\",\"2\"]],\"body_base64\":\"/wA=\"}\n";
    replay(&server, file, "").run().await.text(0);
    let received = recorder.requests();
    assert_eq!((&received[0].0["x-a"], &received[0].1), (&"1".parse().unwrap(), &Bytes::from("{}\n")));
    assert_eq!((&received[1].0["x-a"], &received[1].1[..]), (&"2".parse().unwrap(), &[0xff, 0][..]));
}

#[tokio::test]
async fn stale_requests_are_signed_anew() {
    let calls = Calls::default();
    let layer = WebhookLayer::new(casapay::provider(), secret()).unwrap().with_dispatch(calls.router());
    let server = Server::start(layer.into_service()).await;
    let file = raw(&signed("casapay", &casapay_body("evt_1", "invoice.paid")));

    let ran = replay(&server, &file, "").run().await;
    assert!(ran.text(1).contains("401"), "{ran:?}");
    assert_eq!(calls.count(), 0);
    let ran = replay(&server, &file, "--resign --provider casapay")
        .env("CASAPAY_WEBHOOK_SECRET", SECRET)
        .run()
        .await;
    assert!(ran.text(0).contains("200"), "{ran:?}");
    assert_eq!(calls.count(), 1);
    ran.hides(SECRET);
}

#[tokio::test]
async fn stored_deliveries_are_signed_anew_or_not_sent() {
    let calls = Calls::default();
    let layer = WebhookLayer::new(casapay::provider(), secret()).unwrap().with_dispatch(calls.router());
    let server = Server::start(layer.into_service()).await;
    let lines = ["evt_1", "evt_2"].map(|id| {
        let request = signed("casapay", &casapay_body(id, "invoice.paid"));
        let headers = request.headers().clone();
        let delivery = delivery_with_headers(&casapay::provider(), headers, request.into_body()).unwrap();
        serde_json::to_string(&delivery).unwrap()
    });
    let file = lines.join("\n");
    let (kind, message) = replay(&server, &file, "").run().await.error(2);
    assert!(kind == "usage" && message.contains("--resign"), "{message}");
    let ran = replay(&server, &file, "--resign --provider casapay")
        .env("CASAPAY_WEBHOOK_SECRET", SECRET)
        .run()
        .await;
    ran.text(0);
    assert_eq!(calls.count(), 2);
}

#[tokio::test]
async fn the_first_failure_stops_or_does_not() {
    let three = [1, 2, 3].map(|n| raw(&signed("caspay", &caspay_body(&format!("evt_{n}"))))).concat();
    let second_fails = |number| if number == 1 { answer(503, "busy \u{1b}[2J") } else { answer(200, "") };
    let all = Recorder::default();
    let ran = replay(&all.start(second_fails).await, &three, "").run().await;
    assert_eq!((ran.text(1).lines().count(), all.requests().len()), (3, 3));

    let some = Recorder::default();
    let ran = replay(&some.start(second_fails).await, &three, "--stop --text").run().await;
    assert_eq!(some.requests().len(), 2);
    assert!(ran.text(1).contains("503") && ran.stdout.contains("2 of 3 requests sent"), "{ran:?}");
    // The answer's text is shown, and does not clear the screen.
    assert!(ran.stdout.contains("busy \\u{1b}[2J") && !ran.stdout.contains('\u{1b}'), "{ran:?}");
}

#[tokio::test]
async fn what_cannot_be_replayed_is_not_sent_in_part() {
    let recorder = Recorder::default();
    let server = recorder.start(|_| answer(200, "")).await;
    let whole = raw(&signed("caspay", "{}"));
    let cut = [&whole[..], &whole[..whole.len() - 1]].concat();
    let (kind, message) = replay(&server, cut, "").run().await.error(6);
    assert!(kind == "input" && message.contains("request 2"), "{message}");
    for file in ["", "{\"body\":\"\"}\n{\"nothing\":1}\n"] {
        assert_eq!(replay(&server, file, "").run().await.error(6).0, "input");
    }
    assert_eq!(replay(&server, &whole, "--development").run().await.error(2).0, "usage");
    assert!(recorder.requests().is_empty());
    let nobody = format!("127.0.0.1:{}", free_port());
    let ran = program(&format!("replay file --to http://{nobody}/")).file("file", &whole).run().await;
    assert_eq!(ran.code, Some(5), "{ran:?}");
}

#[tokio::test]
async fn a_timestamp_in_the_body_draws_a_warning() {
    let recorder = Recorder::default();
    let server = recorder.start(|_| answer(200, "")).await;
    for (preset, warns) in [("linear", true), ("casapay", false)] {
        let replay =
            program(&format!("replay requests --to {} --resign --provider {preset}", server.url("/")));
        let body = r#"{"webhookTimestamp":1700000000000}"#;
        let ran = replay.file("requests", format!("POST / HTTP/1.1\r\n\r\n{body}")).run().await;
        let said = ran.warnings().iter().any(|warning| warning.contains("timestamp in the body"));
        assert_eq!((ran.code, said), (Some(0), warns), "{preset}: {ran:?}");
    }
}

/// What is sent to another machine arrives at a proxy here.
#[tokio::test]
async fn what_was_captured_is_not_sent_where_others_can_read_it() {
    let token = "a-token-that-was-captured";
    let file =
        format!("POST / HTTP/1.1\r\nX-Gitlab-Token: {token}\r\nAuthorization: Bearer {token}\r\n\r\n{{}}");
    let recorder = Recorder::default();
    let proxy = recorder.start(|_| answer(200, "")).await;
    let replay = |to: &str, more: &str| {
        program(&format!("replay file --to {to} {more}"))
            .file("file", &file)
            .env("http_proxy", &proxy.url(""))
            .env("https_proxy", "http://127.0.0.1:1")
            .env("GITLAB_WEBHOOK_SECRET", SECRET)
    };
    // Whatever it is, and whoever signs it.
    for more in ["", "--resign --provider gitlab", "--resign --provider caspay --development"] {
        for to in ["http://shop.example/hook", "http://10.9.8.7/", "http://localhost.example/"] {
            let ran = replay(to, more).run().await;
            let (kind, message) = ran.error(2);
            assert!(kind == "usage" && message.contains("--allow-http"), "{to} {more}: {message}");
            ran.hides(token);
        }
    }
    assert!(recorder.requests().is_empty());

    replay("http://shop.example/hook", "--allow-http").run().await.text(0);
    let received = recorder.requests();
    assert_eq!((received.len(), &received[0].0["x-gitlab-token"]), (1, &token.parse().unwrap()));
    assert_eq!(received[0].0["host"], "shop.example");
    // By https it is sent, and here nobody answers.
    let ran = replay("https://shop.example/hook", "").run().await;
    assert_eq!((ran.code, recorder.requests().len()), (Some(5), 1), "{ran:?}");
}
