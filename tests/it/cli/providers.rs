//! `providers`, and what every command has: help, formats, mistakes.

use tower_webhook::provider::catalogue;

use super::program::{path, program};

#[tokio::test]
async fn every_preset_is_listed_and_can_be_described() {
    let listed = program("providers").run().await.json(0);
    let names: Vec<_> =
        listed.as_array().unwrap().iter().map(|preset| preset["name"].as_str().unwrap()).collect();
    assert!(names.iter().copied().eq(catalogue().iter().map(|preset| preset.name())), "{names:?}");

    let text = program("providers --text").run().await;
    assert!(catalogue().iter().all(|preset| text.text(0).contains(preset.name())));

    let casapay = program("providers casapay").run().await.json(0);
    assert_eq!(casapay["header_value"], "t=<timestamp>,v1=<hex>");
    assert_eq!(
        (casapay["tolerance_seconds"].as_u64(), &casapay["signed"]),
        (Some(300), &"{timestamp}.{body}".into())
    );
    assert_eq!(casapay["secret_variable"], "CASAPAY_WEBHOOK_SECRET");

    let text = program("providers casapay --text").run().await;
    for line in ["x-casapay-signature: t=<timestamp>,v1=<hex>", "CASAPAY_WEBHOOK_SECRET", "invoice.paid"] {
        assert!(text.text(0).contains(line), "{line}");
    }
}

#[tokio::test]
async fn mistakes_of_the_command_line_end_with_2() {
    for arguments in [
        "",
        "unknown",
        "providers nobody",
        "verify --provider casapay",
        "verify --request x",
        "verify --provider casapay --headers x",
        "verify --provider casapay --request x --headers x --body x",
        "send http://127.0.0.1:1",
        "send ftp://127.0.0.1 --provider casapay",
        "send http://user:pw@127.0.0.1 --provider casapay",
        "sign --provider casapay --development --curl http://user:pw@127.0.0.1",
        "send http://127.0.0.1:1 --provider casapay --count 0",
        "send http://127.0.0.1:1 --provider caspay --tamper timestamp",
        "replay file",
        "replay file --to http://127.0.0.1:1 --resign",
        "replay file --to http://127.0.0.1:1 --provider casapay",
        "sign --provider casapay --at never",
        "sign --provider casapay --development --header none",
        "providers --json --text",
    ] {
        let (kind, message) = program(arguments).run().await.error(2);
        assert_eq!(kind, "usage", "{arguments}");
        assert!(!message.is_empty() && !message.contains("pw"), "{arguments}: {message}");
    }
    let (_, message) = program("providers nobody").run().await.error(2);
    assert!(message.contains("there is no preset `nobody`; there are adyen, "), "{message}");
}

#[tokio::test]
async fn the_help_has_the_exit_codes_and_text_is_for_people() {
    let help = program("--help").run().await;
    for code in 0..=6 {
        assert!(help.text(0).contains(&format!("\n  {code}  ")), "{code}");
    }
    assert!(program("--version").run().await.text(0).starts_with("tower-webhook "));

    let ran = program("providers nobody --text").run().await;
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.stderr.starts_with("error: ") && ran.stderr.contains("there is no preset `nobody`"),
        "{ran:?}"
    );
}

#[test]
fn whoever_stops_reading_hears_no_complaint() {
    use std::process::{Command, Stdio};

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output =
        Command::new(path()).arg("providers").stdout(writer).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}
