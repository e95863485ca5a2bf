//! `send`: a real receiver on loopback is sent whole and broken events.

use tower_webhook::testing::{development_secret, verifying_secret};
use tower_webhook::{Secret, WebhookLayer, provider};

use super::program::{Program, program};
use super::recorder::{Recorder, answer};
use crate::server::Server;
use crate::servers::free_port;
use crate::support::{Calls, SECRET};

/// A receiver of one preset, with the clock of this machine.
async fn receiver(preset: &str, secret: Option<&str>) -> (Server, Calls) {
    let provider = provider::find(preset).unwrap().provider();
    let secret = match secret {
        Some(secret) => Secret::new(secret).unwrap(),
        None => {
            let secret = development_secret(&provider).unwrap();
            verifying_secret(&provider, &secret).unwrap()
        }
    };
    let calls = Calls::default();
    let layer = WebhookLayer::new(provider, secret).unwrap().with_dispatch(calls.router());
    (Server::start(layer.into_service()).await, calls)
}

fn send(server: &Server, arguments: &str) -> Program {
    program(&format!("send {} {arguments}", server.url("/webhooks")))
}

#[tokio::test]
async fn events_are_handled_once_and_duplicates_recognised() {
    let (server, calls) = receiver("casapay", None).await;
    let ran = send(&server, "--provider casapay --count 120 --concurrency 8 --duplicate").run().await;
    let sent = ran.json(0);
    assert_eq!((&sent["requests"], &sent["as_expected"]), (&240.into(), &true.into()));
    assert_eq!((&sent["answers"][0]["status"], &sent["answers"][0]["requests"]), (&200.into(), &240.into()));
    assert_eq!(calls.count(), 120);
    assert!(ran.warnings().iter().any(|warning| warning.contains("public development secret")), "{ran:?}");

    let ran = send(&server, "--provider casapay --id evt_same --count 3 --text").run().await;
    assert!(ran.text(0).contains("200 OK") && ran.stdout.contains("3 requests in"), "{ran:?}");
    assert_eq!(calls.count(), 121);
}

#[tokio::test]
async fn every_way_to_break_a_request_is_refused() {
    let (server, calls) = receiver("casapay", None).await;
    for tamper in ["signature", "body", "timestamp", "missing"] {
        let ran = send(&server, &format!("--provider casapay --tamper {tamper}")).run().await;
        assert_eq!(ran.json(0)["answers"][0]["status"], 401, "{tamper}");
    }
    assert_eq!(calls.count(), 0);
    // Whole requests that are refused are not what was expected, and neither are broken ones that are taken.
    let wrong = send(&server, "--provider caspay").run().await;
    assert_eq!(
        (wrong.json(1)["as_expected"].as_bool(), wrong.json(1)["answers"][0]["status"].as_u64()),
        (Some(false), Some(401))
    );
    let careless = Recorder::default().start(|_| answer(200, "")).await;
    assert_eq!(send(&careless, "--provider casapay --tamper body").run().await.code, Some(1));
}

#[tokio::test]
async fn a_secret_of_ones_own_and_a_key_pair() {
    let (server, calls) = receiver("caspay", Some(SECRET)).await;
    let ran = send(&server, "--provider caspay").env("CASPAY_WEBHOOK_SECRET", SECRET).run().await;
    ran.json(0);
    assert!(ran.warnings().is_empty());
    ran.hides(SECRET);
    assert_eq!(calls.count(), 1);
    send(&server, "--provider caspay").run().await.json(1);

    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    let (server, calls) = receiver("discord", Some(public)).await;
    send(&server, "--provider discord").env("DISCORD_SIGNING_SEED", seed).run().await.json(0);
    assert_eq!(calls.count(), 1);
}

#[tokio::test]
async fn types_ids_and_payloads_are_those_that_are_given() {
    let recorder = Recorder::default();
    let server = recorder.start(|_| answer(204, "")).await;
    let ran = send(&server, "--provider casapay --type charge.refunded --id evt_7 --data payload.json")
        .file("payload.json", r#"{"id":"ch_1"}"#)
        .run()
        .await;
    assert_eq!(ran.json(0)["answers"][0]["status"], 204);
    let [(_, body)] = &recorder.requests()[..] else { panic!("one request") };
    let event: serde_json::Value = serde_json::from_slice(body).unwrap();
    assert_eq!((&event["id"], &event["type"]), (&"evt_7".into(), &"charge.refunded".into()));
    assert_eq!(event["data"]["object"], serde_json::json!({ "id": "ch_1" }));

    let ran =
        send(&server, "--provider casapay --data payload.json").file("payload.json", "{secret").run().await;
    let (kind, message) = ran.error(6);
    assert!(
        kind == "input" && message.contains("line 1, column 2") && !message.contains("secret"),
        "{message}"
    );
    let ran = send(&server, "--provider github --type").arg("a\nb").run().await;
    assert_eq!(ran.error(2).0, "usage");
    assert_eq!(recorder.requests().len(), 1);
}

#[tokio::test]
async fn nobody_there_and_a_redirect_are_told_apart() {
    let address = format!("127.0.0.1:{}", free_port());
    let ran = program(&format!("send http://{address}/ --provider caspay")).run().await;
    let sent = ran.json(5);
    assert!(sent["answers"][0]["error"].as_str().unwrap().contains("refused"), "{sent}");

    let elsewhere = Recorder::default();
    let target = elsewhere.start(|_| answer(200, "")).await.url("/");
    let moving = Recorder::default();
    let server = moving
        .start(move |_| {
            http::Response::builder().status(307).header("location", &target).body("".into()).unwrap()
        })
        .await;
    assert_eq!(send(&server, "--provider caspay").run().await.json(1)["answers"][0]["status"], 307);
    assert!(elsewhere.requests().is_empty());
}

/// A proxy would be shown what is signed, and cannot reach this machine.
#[tokio::test]
async fn what_is_for_this_machine_passes_no_proxy() {
    let (proxy, recorder) = (Recorder::default(), Recorder::default());
    let elsewhere = proxy.start(|_| answer(200, "")).await.url("");
    let server = recorder.start(|_| answer(200, "")).await;
    let names = ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"];
    for url in [server.url("/"), server.url("/").replace("127.0.0.1", "localhost")] {
        let send = program(&format!("send {url} --provider caspay"));
        let send = names.iter().fold(send, |send, name| send.env(name, &elsewhere));
        send.run().await.json(0);
    }
    assert_eq!((proxy.requests().len(), recorder.requests().len()), (0, 2));
}

#[tokio::test]
async fn https_is_spoken() {
    // What greets a plain server is a TLS handshake, which it does not understand.
    let recorder = Recorder::default();
    let server = recorder.start(|_| answer(200, "")).await;
    let url = server.url("/").replace("http://", "https://");
    let ran = program(&format!("send {url} --provider caspay")).run().await;
    assert_eq!(ran.code, Some(5), "{ran:?}");
    assert!(recorder.requests().is_empty());
}

/// It would be taken, and that rightly.
#[tokio::test]
async fn what_breaks_nothing_is_no_way_to_break_it() {
    let recorder = Recorder::default();
    let server = recorder.start(|_| answer(200, "")).await;
    for (preset, tamper) in [
        ("linear", "timestamp"),
        ("caspay", "timestamp"),
        ("plivo", "body"),
        ("mailomat", "body"),
        ("gitlab-token", "body"),
        ("telegram", "body"),
    ] {
        let ran = send(&server, &format!("--provider {preset} --tamper {tamper}")).run().await;
        assert!(ran.error(2).1.contains(preset), "{preset}: {ran:?}");
    }
    assert!(recorder.requests().is_empty());
    let (server, _) = receiver("linear", None).await;
    send(&server, "--provider linear --tamper body").run().await.json(0);
}

#[tokio::test]
async fn a_secret_that_is_sent_goes_nowhere_in_the_clear() {
    for preset in ["gitlab-token", "telegram"] {
        let variable = format!("{}_WEBHOOK_SECRET", preset.to_uppercase().replace('-', "_"));
        // Nobody is at this address, which stands for another machine.
        let url = "http://192.0.2.1:9/";
        let sent = program(&format!("send {url} --provider {preset}")).env(&variable, SECRET).run().await;
        assert!(sent.error(2).1.contains("over http"), "{sent:?}");
        let replay = program(&format!("replay requests --to {url} --resign --provider {preset}"));
        let replay = replay.file("requests", "POST / HTTP/1.1\r\n\r\n{}").env(&variable, SECRET);
        assert!(replay.run().await.error(2).1.contains("over http"));
        let (server, calls) = receiver(preset, Some(SECRET)).await;
        send(&server, &format!("--provider {preset}")).env(&variable, SECRET).run().await.json(0);
        assert_eq!(calls.count(), 1);
    }
}

#[tokio::test]
async fn a_password_in_a_url_is_not_repeated() {
    for url in
        ["http://shop:hunter2@127.0.0.1:99999/", "http://shop:hunter2@127.0.0.1:9/", "htp://hunter2@a/"]
    {
        let ran = program(&format!("send {url} --provider caspay")).run().await;
        assert!(ran.error(2).1.contains("list of processes"), "{ran:?}");
        ran.hides("hunter2");
    }
}
