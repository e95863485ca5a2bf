//! `sign`: headers to paste, commands to run.

use std::process::Command;

use super::program::program;
use crate::support::{SECRET, casapay_body};

/// By `printf %s '1700000000.{}' | openssl dgst -sha256 -hmac whsec_a-signing-secret-for-tests`.
const BY_OPENSSL: &str = "273b98ab66ff3f42e17453b2ee30d4809ecf8ca34fef03a3d7651f57b78541bf";

#[tokio::test]
async fn the_headers_are_those_that_the_provider_sends() {
    let sign = || program("sign --provider casapay --at 1700000000").env("CASAPAY_WEBHOOK_SECRET", SECRET);
    let value = format!("t=1700000000,v1={BY_OPENSSL}");
    let ran = sign().stdin("{}").run().await;
    assert_eq!(ran.json(0)["headers"], serde_json::json!({ "x-casapay-signature": value }));
    ran.hides(SECRET);

    let ran = sign().arg("--text").arg("--data").arg("body.json").file("body.json", "{}").run().await;
    assert_eq!(ran.text(0), format!("x-casapay-signature: {value}\n"));
}

#[tokio::test]
async fn signed_headers_are_taken_and_all_that_is_needed_is_printed() {
    let ran = program("sign --provider standard-webhooks --development --at 1700000000 -H")
        .arg("webhook-id: msg_1")
        .stdin("{}")
        .run()
        .await;
    let headers = &ran.json(0)["headers"];
    assert_eq!(
        (&headers["webhook-id"], &headers["webhook-timestamp"]),
        (&"msg_1".into(), &"1700000000".into())
    );
    assert!(headers["webhook-signature"].as_str().unwrap().starts_with("v1,"));
}

#[tokio::test]
async fn a_command_is_ready_and_holds_no_secret() {
    let body = "{\"a\":\"it's $HOME\\n\"}\n";
    let ran = program("sign --text --provider caspay --curl http://127.0.0.1:9/hook")
        .env("CASPAY_WEBHOOK_SECRET", SECRET)
        .stdin(body)
        .run()
        .await;
    let command = ran.text(0).trim_end();
    assert!(command.starts_with("curl -i 'http://127.0.0.1:9/hook'"), "{command}");
    ran.hides(SECRET);
    // A shell hands the arguments on as they are meant.
    let script = format!("curl() {{ for last; do :; done; printf %s \"$last\"; }}; {command}");
    let output = Command::new("sh").arg("-c").arg(script).output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), body);

    let in_file = program("sign --provider caspay --curl http://127.0.0.1:9/hook --data body.bin")
        .env("CASPAY_WEBHOOK_SECRET", SECRET)
        .file("body.bin", [0xff, 0])
        .run()
        .await;
    assert!(in_file.json(0)["curl"].as_str().unwrap().ends_with("--data-binary '@body.bin'"));

    let binary = program("sign --provider caspay --curl http://127.0.0.1:9/hook")
        .env("CASPAY_WEBHOOK_SECRET", SECRET)
        .stdin([0xff, 0])
        .run()
        .await;
    assert_eq!(binary.error(6).0, "input");
}

#[tokio::test]
async fn a_provider_that_sends_its_secret_gets_no_print_of_it() {
    let sign = |arguments: &str| {
        program(&format!("sign --provider telegram {arguments}"))
            .env("TELEGRAM_WEBHOOK_SECRET", SECRET)
            .stdin("{}")
    };
    let ran = sign("").run().await;
    assert!(ran.error(2).1.contains("telegram signs nothing"));
    ran.hides(SECRET);
    let ran = sign("--text --curl http://127.0.0.1:9/").run().await;
    ran.hides(SECRET);
    // The shell puts the secret in, and no program is given it as an argument.
    let script = format!("curl() {{ printf '%s\\n' \"$@\"; cat; }}; {}", ran.text(0));
    let mut shell = Command::new("sh");
    let output = shell.arg("-c").arg(script).env("TELEGRAM_WEBHOOK_SECRET", SECRET).output().unwrap();
    let shown = String::from_utf8(output.stdout).unwrap();
    let (arguments, piped) = shown.split_at(shown.rfind("x-telegram").unwrap());
    assert_eq!(piped, format!("x-telegram-bot-api-secret-token: {SECRET}\n"));
    assert!(
        arguments.contains("-H\n@-\n") && arguments.contains("{}") && !arguments.contains(SECRET),
        "{shown}"
    );
    // The variable that is named is the one that is read.
    let ran = sign("--text --curl http://127.0.0.1:9/ --secret-env SHOP_TOKEN")
        .env("SHOP_TOKEN", "another")
        .run()
        .await;
    let command = ran.text(0);
    assert!(command.contains("\"$SHOP_TOKEN\"") && !command.contains("TELEGRAM_WEBHOOK_SECRET"), "{command}");
    ran.hides("another");
    // What is no name may be the secret itself, or make the shell do something else.
    for name in [SECRET, "whsec_0123456789", "A\"$(id)\"", "1A"] {
        let ran = sign("--curl http://127.0.0.1:9/ --secret-env").arg(name).run().await;
        assert_eq!(ran.error(4).0, "configuration");
        ran.hides(name);
    }
    for ignored in ["--secret-file key", "--development"] {
        let ran = sign(&format!("--curl http://127.0.0.1:9/ {ignored}")).file("key", SECRET).run().await;
        let (kind, message) = ran.error(2);
        assert!(kind == "usage" && message.contains("--secret-env"), "{message}");
    }
    let ran = sign("--curl http://shop.example/").run().await;
    assert!(ran.error(2).1.contains("over http"), "{ran:?}");
    sign("--curl https://shop.example/").run().await.json(0);
}

#[tokio::test]
async fn the_url_is_asked_for_where_it_is_signed() {
    let sign =
        |arguments: &str| program(&format!("sign --provider square --development {arguments}")).stdin("{}");
    let (kind, message) = sign("").run().await.error(4);
    assert!(kind == "configuration" && message.contains("SQUARE_PUBLIC_URL"), "{message}");
    let by_argument = sign("--public-url https://shop.example/hook").run().await.json(0);
    let by_variable = sign("").env("SQUARE_PUBLIC_URL", "https://shop.example/hook").run().await.json(0);
    let by_curl = sign("--public-url https://other.example/").run().await.json(0);
    assert_eq!(by_argument, by_variable);
    assert_ne!(by_argument, by_curl);
    assert_eq!(sign("--public-url shop").run().await.error(4).0, "configuration");
}

#[tokio::test]
async fn what_is_signed_verifies() {
    let body = casapay_body("evt_1", "invoice.paid");
    for preset in ["caspay", "casapay", "github", "standard-webhooks", "discord", "shopify", "hubspot"] {
        let public_url = "--public-url https://shop.example/hook";
        let ran = program(&format!("sign --text --provider {preset} --development {public_url}"));
        let headers = ran.stdin(&body).run().await;
        let verify =
            format!("verify --provider {preset} --development {public_url} --headers headers --body body");
        let ran = program(&verify).file("headers", headers.text(0)).file("body", &body).run().await;
        // The type of some is in a header that is not signed, without which there is no event.
        let found: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        assert_eq!(found["verified"], true, "{preset}: {ran:?}");
    }
}
