//! Where secrets come from, and that they go nowhere else.

use std::sync::{Arc, Mutex};

use super::program::{Program, program};
use super::recorder::{Recorder, answer};
use crate::support::SECRET;

fn sign(arguments: &str) -> Program {
    program(&format!("sign --provider caspay --data body {arguments}")).file("body", "{}")
}

#[cfg(unix)]
fn with_mode(program: Program, mode: u32) -> Program {
    use std::os::unix::fs::PermissionsExt as _;

    std::fs::set_permissions(program.path("key"), std::fs::Permissions::from_mode(mode)).unwrap();
    program
}

#[tokio::test]
async fn a_secret_is_no_argument() {
    for given in ["--secret", "--secret=", "--api-key=", "--token="] {
        let ran = sign(&format!("{given}{}", if given.ends_with('=') { SECRET } else { "" }))
            .arg(SECRET)
            .run()
            .await;
        let (kind, message) = ran.error(2);
        assert!(kind == "usage" && message.contains("list of processes"), "{message}");
        ran.hides(SECRET);
    }
}

#[tokio::test]
async fn variables_files_and_nothing_else() {
    let by_default = sign("").env("CASPAY_WEBHOOK_SECRET", SECRET).run().await.json(0);
    let by_name = sign("--secret-env KEY").env("KEY", SECRET).run().await.json(0);
    let other = sign("").env("CASPAY_WEBHOOK_SECRET", "another-signing-secret").run().await.json(0);
    assert_eq!(by_default, by_name);
    assert_ne!(by_default, other);
    for end in ["", "\n", "\r\n", "\n\n"] {
        let file = sign("--secret-file key").file("key", format!("{SECRET}{end}"));
        let ran = with_mode(file, 0o600).run().await;
        assert_eq!(ran.json(0), by_default);
        assert!(ran.stderr.is_empty(), "{ran:?}");
    }
    let marked = sign("--secret-file key").file("key", format!("\u{feff}{SECRET}\r\n"));
    let ran = with_mode(marked, 0o600).run().await;
    assert_eq!(ran.json(0), by_default);
    assert!(matches!(&ran.warnings()[..], [warning] if warning.contains("byte order mark")), "{ran:?}");
    ran.hides(SECRET);
    let (kind, message) = sign("").run().await.error(4);
    assert!(kind == "configuration" && message.contains("set CASPAY_WEBHOOK_SECRET"), "{message}");
}

#[tokio::test]
async fn a_file_that_others_can_read_draws_a_warning() {
    for mode in [0o640, 0o604, 0o644] {
        let ran = with_mode(sign("--secret-file key").file("key", SECRET), mode).run().await;
        ran.json(0);
        assert!(ran.warnings().iter().any(|warning| warning.contains("chmod 600")), "{mode:o}: {ran:?}");
        ran.hides(SECRET);
    }
}

#[tokio::test]
async fn what_is_no_secret_is_refused_without_a_print_of_it() {
    for (secret, says) in [
        ("", "empty"),
        ("short", "--weak-secret"),
        (" a-signing-secret-with-blanks ", "white space"),
        ("a-signing-secret-with-a-blank \n", "white space"),
        ("\u{feff}\n", "empty"),
    ] {
        let ran = with_mode(sign("--secret-file key").file("key", secret), 0o600).run().await;
        let (kind, message) = ran.error(4);
        assert!(kind == "configuration" && message.contains(says), "{message}");
        if secret.len() > 10 {
            ran.hides(secret.trim());
        }
    }
    let ran = program("sign --provider standard-webhooks --secret-env KEY")
        .env("KEY", "whsec_no key at all, whoever reads it")
        .run()
        .await;
    assert!(ran.error(4).1.contains("base64"));
    ran.hides("no key at all");
    sign("--secret-env KEY --weak-secret").env("KEY", "short").run().await.json(0);
    // A secret in the place of a name is not repeated either.
    for name in [SECRET, "a=b"] {
        let ran = sign("--secret-env").arg(name).run().await;
        assert_eq!(ran.error(4).0, "configuration");
        ran.hides(name);
    }
    assert_eq!(sign("--secret-file nowhere").run().await.error(4).0, "configuration");
    let long = with_mode(sign("--secret-file key").file("key", "x".repeat(70_000)), 0o600);
    assert!(long.run().await.error(4).1.contains("longer than any secret"));
}

/// Whoever mistakes the place of a secret shall not find it in a log as well.
#[tokio::test]
async fn a_secret_in_the_wrong_place_is_not_repeated() {
    let key = "sk_live_0123456789abcdef";
    for (arguments, code) in [
        (format!("sign --provider caspay --secret-file {SECRET}"), 4),
        (format!("sign --provider caspay --development --data {SECRET}"), 6),
        (format!("sign --provider {SECRET}"), 2),
        (format!("sign --provider={SECRET}"), 2),
        (format!("sign --provider caspay {SECRET}"), 2),
        (format!("providers {SECRET}"), 2),
        (format!("send {SECRET} --provider caspay"), 2),
        (format!("replay {SECRET} --to http://127.0.0.1:9/"), 6),
        (format!("verify --provider caspay --development --request {SECRET}"), 6),
        (format!("endpoints list --provider casapay --api-url https://api.example --key-file {key}"), 4),
        (format!("endpoints list --provider {key}"), 2),
    ] {
        for form in ["--json", "--text"] {
            let ran = program(&arguments).arg(form).run().await;
            assert_eq!((ran.code, ran.stdout.as_str()), (Some(code), ""), "{arguments}: {ran:?}");
            ran.hides(SECRET);
            ran.hides(key);
            assert!(ran.stderr.contains("looks like a secret"), "{arguments}: {ran:?}");
        }
    }
    let ran = program(&format!("sign --provider caspay --sekret={SECRET}")).run().await;
    assert!(ran.error(2).1.contains("'--sekret'"), "{ran:?}");
    ran.hides(SECRET);
    // What does not look like one is named.
    let ran = sign("--secret-file nowhere").run().await;
    assert!(ran.error(4).1.starts_with("nowhere: "), "{ran:?}");
    let ran = program("sign --provider casspay").run().await;
    assert!(ran.error(2).1.contains("no preset `casspay`"), "{ran:?}");
}

#[tokio::test]
async fn for_endpoints_it_is_a_key_that_is_asked_for() {
    let ran = program("endpoints list --provider casapay --api-key hunter2").run().await;
    let (kind, message) = ran.error(2);
    assert!(
        kind == "usage" && message.contains("<NAME>_API_KEY") && message.contains("--key-env"),
        "{message}"
    );
    assert!(!message.contains("WEBHOOK_SECRET"), "{message}");
    ran.hides("hunter2");
}

/// While a request is on its way, the list of processes is looked through. Other tests run beside this one, and some
/// put the secret that they share among arguments on purpose.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn no_secret_is_in_the_list_of_processes() {
    const ITS_OWN: &str = "whsec_of-a-test-that-reads-the-list-of-processes";
    let found = Arc::new(Mutex::new((0, 0)));
    let seen = Arc::clone(&found);
    let recorder = Recorder::default();
    let server = recorder
        .start(move |_| {
            for process in std::fs::read_dir("/proc").unwrap().flatten() {
                let Ok(arguments) = std::fs::read(process.path().join("cmdline")) else { continue };
                let arguments = String::from_utf8_lossy(&arguments);
                let mut seen = seen.lock().unwrap();
                seen.0 += usize::from(arguments.contains("tower-webhook\0send\0"));
                seen.1 += usize::from(arguments.contains(ITS_OWN));
            }
            answer(200, "")
        })
        .await;
    let ran = program(&format!("send {} --provider caspay --secret-file key", server.url("/")))
        .file("key", ITS_OWN);
    with_mode(ran, 0o600).run().await.json(0);
    let (programs, secrets) = *found.lock().unwrap();
    assert!(programs >= 1 && secrets == 0, "{programs} runs of the program, {secrets} with the secret");
}
