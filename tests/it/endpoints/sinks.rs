//! A directory of secrets: who may read them, what a crash leaves, and where ids lead.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tower::ServiceExt as _;
use tower_webhook::endpoints::{FileSink, SecretSink as _};
use tower_webhook::{Secret, Secrets, WebhookLayer, casapay, testing};

use super::api::{URL, WHSEC, assert_discreet};
use crate::stage::{Verdict, verdict};
use crate::support::{Calls, casapay_body};

pub(super) fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

pub(super) const OLD: &str = "whsec_the-old-one-0123456789";
pub(super) const NEW: &str = "whsec_the-new-one-0123456789";

pub(super) fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

pub(super) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_secret_is_for_its_owner_alone_and_labelled_with_its_endpoint() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::new(directory.path());
    sink.store("casapay", "we_2", &secret(NEW)).await.unwrap();
    sink.store("casapay", "we_1", &secret(OLD)).await.unwrap();
    sink.store("casa", "we_3", &secret(WHSEC)).await.unwrap();
    let files = ["casa.we_3.secret", "casapay.we_1.secret", "casapay.we_2.secret"];
    assert_eq!(names(directory.path()), files);
    assert_eq!(fs::read_to_string(directory.path().join(files[2])).unwrap(), NEW);
    assert!(files.iter().all(|file| mode(&directory.path().join(file)) == 0o600));
    let labels = |provider| sink.secrets(provider).unwrap().labels().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(
        (labels("casapay"), labels("casa")),
        (vec!["we_1".to_owned(), "we_2".to_owned()], vec!["we_3".to_owned()])
    );
    for (id, has) in [("we_1", true), ("we_3", false), ("we_", false)] {
        assert_eq!(sink.contains("casapay", id).await.unwrap(), has, "{id}");
    }

    sink.remove("casapay", "we_1").await.unwrap();
    sink.remove("casapay", "we_1").await.unwrap();
    assert_eq!(labels("casapay"), ["we_2"]);
    assert_discreet(&format!("{sink:?}"));
}

/// A reader that has the file open reads on what it opened: it is replaced, not rewritten; also where it was open to
/// others, or is a link to elsewhere.
#[tokio::test]
async fn a_file_is_replaced_as_a_whole() {
    use std::io::Read as _;

    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::new(directory.path());
    let path = directory.path().join("casapay.we_1.secret");
    fs::write(&path, OLD).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut open = fs::File::open(&path).unwrap();
    sink.store("casapay", "we_1", &secret(NEW)).await.unwrap();
    let mut read = String::new();
    open.read_to_string(&mut read).unwrap();
    assert_eq!((&*read, &*fs::read_to_string(&path).unwrap(), mode(&path)), (OLD, NEW, 0o600));

    let elsewhere = directory.path().join("elsewhere");
    fs::write(&elsewhere, "untouched").unwrap();
    let link = directory.path().join("casapay.we_2.secret");
    std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
    sink.store("casapay", "we_2", &secret(NEW)).await.unwrap();
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "untouched");
    assert!(fs::symlink_metadata(&link).unwrap().is_file());
    assert_eq!(names(directory.path()), ["casapay.we_1.secret", "casapay.we_2.secret", "elsewhere"]);
}

#[tokio::test]
async fn what_a_crash_has_left_is_in_nobodys_way() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::new(directory.path());
    for pid in [std::process::id(), 1] {
        fs::write(directory.path().join(format!("casapay.we_1.secret.{pid}.new")), "whsec_half").unwrap();
    }
    sink.store("casapay", "we_1", &secret(NEW)).await.unwrap();
    assert_eq!(sink.secrets("casapay").unwrap().labels().collect::<Vec<_>>(), ["we_1"]);
}

#[tokio::test]
async fn no_id_and_no_provider_leads_out_of_the_directory() {
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("secrets");
    fs::create_dir(&directory).unwrap();
    let sink = FileSink::new(&directory);
    for (provider, id) in [
        ("casapay", "../x"),
        ("casapay", ".."),
        ("casapay", ""),
        ("casapay", "a/b"),
        ("casapay", "a.b"),
        ("casapay", "a\0b"),
        ("..", "we_1"),
        ("../casapay", "we_1"),
        ("", "we_1"),
        (".casapay", "we_1"),
        ("Casa/pay", "we_1"),
    ] {
        assert!(sink.store(provider, id, &secret(NEW)).await.is_err(), "{provider} {id}");
        assert!(sink.contains(provider, id).await.is_err(), "{provider} {id}");
        assert!(sink.remove(provider, id).await.is_err(), "{provider} {id}");
    }
    for provider in ["../casapay", "", "Casa/pay"] {
        assert!(
            sink.announce(provider, URL).await.is_err() && sink.withdraw(provider, URL).await.is_err(),
            "{provider}"
        );
        assert!(sink.secrets(provider).is_err(), "{provider}");
    }
    assert_eq!((names(parent.path()), names(&directory)), (vec!["secrets".to_owned()], vec![]));
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    // As where a volume is not mounted: what is in it nobody can say.
    let sink = FileSink::new(directory.path().join("missing"));
    for error in [
        sink.store("casapay", "we_1", &secret(WHSEC)).await.unwrap_err(),
        sink.announce("casapay", URL).await.unwrap_err(),
        sink.withdraw("casapay", URL).await.unwrap_err(),
        sink.tidy("casapay", URL).await.unwrap_err(),
        sink.contains("casapay", "we_1").await.unwrap_err(),
        sink.remove("casapay", "we_1").await.unwrap_err(),
        sink.secrets("casapay").unwrap_err(),
    ] {
        assert_discreet(&format!("{error} {error:?}"));
    }
}

/// As an editor leaves one that a person puts there, when the sink could not take it.
#[tokio::test]
async fn a_file_that_was_written_by_hand_has_what_editors_add() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::new(directory.path());
    for (begin, end) in [("", ""), ("", "\n"), ("", "\r\n"), ("\u{feff}", ""), ("\u{feff}", "\r\n")] {
        fs::write(directory.path().join("casapay.we_1.secret"), format!("{begin}{NEW}{end}")).unwrap();
        let verifier = casapay::provider().verifier(sink.secrets("casapay").unwrap()).unwrap();
        let request = testing::sign(&casapay::provider(), &secret(NEW), "{}");
        verifier.verify(request.headers(), b"{}", SystemTime::now()).unwrap();
    }
    // The last one as a shell of Windows writes it: two bytes to a character, and a mark of its own before them.
    let wide: Vec<_> = "\u{feff}whsec_".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for broken in [&b""[..], b"\n", b"a secret \n\n", b" x", "\u{feff}".as_bytes(), &wide] {
        fs::write(directory.path().join("casapay.we_1.secret"), broken).unwrap();
        let error = sink.secrets("casapay").unwrap_err().to_string();
        assert!(error.contains("casapay.we_1.secret"), "{broken:?}: {error}");
    }
}

/// A receiver with these secrets, and what it answers to what is signed with one.
pub(super) fn receiver(secrets: impl Into<Secrets>) -> (WebhookLayer, impl AsyncFn(&str) -> Verdict) {
    let layer = WebhookLayer::new(casapay::provider(), secrets).unwrap();
    let service = layer.clone().with_dispatch(Calls::default().router()).into_service();
    let answers = async move |text: &str| {
        let body = casapay_body("evt_1", "invoice.paid");
        let request = testing::sign(&casapay::provider(), &secret(text), body);
        verdict(&service.clone().oneshot(request).await.unwrap())
    };
    (layer, answers)
}

/// A secret of nobody.
pub(super) const OTHER: &str = "whsec_nobody-has-ever-heard-of-this";

fn announced(directory: &Path) -> usize {
    names(directory).iter().filter(|name| name.ends_with(".announced")).count()
}

pub(super) const ACCEPTED: [Verdict; 2] = [(200, "handled"), (200, "duplicate")];
pub(super) const REFUSED: Verdict = (401, "signature_mismatch");
pub(super) const AWAITED: Verdict = (503, "secrets_unavailable");

#[tokio::test]
async fn a_verifier_is_fed_with_what_comes_and_goes_and_is_announced() {
    let directory = tempfile::tempdir().unwrap();
    let (layer, answers) = receiver(secret(OLD));
    let verifier = layer.verifier();
    let sink = FileSink::new(directory.path()).feeding("casapay", verifier.clone());
    // A sink that has nothing takes nothing away, but says what is on its way.
    sink.announce("casapay", URL).await.unwrap();
    assert!(ACCEPTED.contains(&answers(OLD).await));
    assert_eq!(answers(NEW).await, AWAITED);
    sink.withdraw("casapay", URL).await.unwrap();

    sink.store("casapay", "we_1", &secret(OLD)).await.unwrap();
    assert!(ACCEPTED.contains(&answers(OLD).await) && verifier.secret_usage("we_1").is_some());
    assert_eq!(answers(NEW).await, REFUSED);
    sink.store("diddo", "we_9", &secret(NEW)).await.unwrap();
    assert_eq!(answers(NEW).await, REFUSED, "another provider's");

    sink.announce("casapay", URL).await.unwrap();
    assert_eq!(answers(NEW).await, AWAITED);
    assert!(ACCEPTED.contains(&answers(OLD).await));
    assert_eq!(announced(directory.path()), 1);
    // Another process reads the same.
    let (_, other) = receiver(FileSink::new(directory.path()).secrets("casapay").unwrap());
    assert_eq!(other(NEW).await, AWAITED);

    sink.withdraw("casapay", URL).await.unwrap();
    assert_eq!(answers(NEW).await, REFUSED);
    sink.announce("casapay", URL).await.unwrap();
    sink.store("casapay", "we_2", &secret(NEW)).await.unwrap();
    assert!(ACCEPTED.contains(&answers(NEW).await) && ACCEPTED.contains(&answers(OLD).await));
    // What is announced for one URL is not withdrawn for another.
    sink.withdraw("casapay", "https://shop.example/other").await.unwrap();
    assert_eq!(answers(OTHER).await, AWAITED);
    sink.withdraw("casapay", URL).await.unwrap();
    assert_eq!((answers(OTHER).await, announced(directory.path())), (REFUSED, 0));

    sink.remove("casapay", "we_1").await.unwrap();
    assert_eq!(answers(OLD).await, REFUSED);
    sink.remove("casapay", "we_2").await.unwrap();
    assert!(ACCEPTED.contains(&answers(NEW).await), "a receiver keeps its last secret");
}

/// Of a process that was killed between the announcement and what it announced.
#[tokio::test]
async fn an_announcement_that_nobody_withdraws_expires() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::new(directory.path());
    sink.store("casapay", "we_1", &secret(OLD)).await.unwrap();
    sink.announce("casapay", URL).await.unwrap();
    let name = names(directory.path()).into_iter().find(|name| name.ends_with(".announced")).unwrap();
    let file = fs::File::options().write(true).open(directory.path().join(name)).unwrap();
    for (age, expected) in [(59, AWAITED), (61, REFUSED)] {
        file.set_modified(SystemTime::now() - minutes(age)).unwrap();
        let (_, answers) = receiver(sink.secrets("casapay").unwrap());
        assert_eq!(answers(NEW).await, expected, "{age}");
    }
}

/// Makes the files whose names end so as old as this.
pub(super) fn age(directory: &Path, end: &str, age: Duration) {
    for name in names(directory).into_iter().filter(|name| name.ends_with(end)) {
        let file = fs::File::options().write(true).open(directory.join(name)).unwrap();
        file.set_modified(SystemTime::now() - age).unwrap();
    }
}

fn minutes(number: u64) -> Duration {
    Duration::from_secs(number * 60)
}

/// What was announced by a process that was killed, or whose creation was never answered, may be created when the next
/// one has created its own.
#[tokio::test]
async fn what_was_announced_before_is_awaited_though_the_next_is_withdrawn() {
    let directory = tempfile::tempdir().unwrap();
    let killed = FileSink::new(directory.path());
    killed.store("casapay", "we_1", &secret(OLD)).await.unwrap();
    let (layer, answers) = receiver(secret(OLD));
    let next = FileSink::new(directory.path()).feeding("casapay", layer.verifier());
    for sink in [&killed, &next] {
        killed.announce("casapay", URL).await.unwrap();
        for _ in 0..2 {
            sink.announce("casapay", URL).await.unwrap();
            sink.withdraw("casapay", URL).await.unwrap();
            sink.withdraw("casapay", URL).await.unwrap();
            assert_eq!(announced(directory.path()), 1);
        }
        next.tidy("casapay", URL).await.unwrap();
        assert_eq!((answers(NEW).await, announced(directory.path())), (AWAITED, 1));

        // Until it has run out: then the next is withdrawn as ever.
        age(directory.path(), ".announced", minutes(61));
        sink.announce("casapay", URL).await.unwrap();
        sink.withdraw("casapay", URL).await.unwrap();
        next.tidy("casapay", URL).await.unwrap();
        assert_eq!((answers(NEW).await, announced(directory.path())), (REFUSED, 0));
    }
}

#[tokio::test]
async fn what_was_left_is_tidied_up_when_nobody_can_need_it() {
    let directory = tempfile::tempdir().unwrap();
    let (layer, answers) = receiver(secret(OLD));
    let sink = FileSink::new(directory.path()).feeding("casapay", layer.verifier());
    sink.store("casapay", "we_1", &secret(OLD)).await.unwrap();
    FileSink::new(directory.path()).announce("casapay", URL).await.unwrap();
    let announcement = names(directory.path()).into_iter().find(|name| name.ends_with(".announced")).unwrap();
    let left = [
        announcement.clone(),
        format!("{announcement}.0123456789abcdef.new"),
        "casapay.we_2.secret.0123456789abcdef.new".to_owned(),
    ];
    let others =
        ["casa.we_2.secret.01.new", "casapay.we_1.secret", "casapay.we_2.new", "notes.new", "x.secret"];
    let mut all: Vec<_> = left.iter().map(String::as_str).chain(others).collect();
    all.sort_unstable();
    for name in &all {
        fs::write(directory.path().join(name), OLD).unwrap();
    }
    sink.tidy("casapay", URL).await.unwrap();
    assert_eq!(
        (names(directory.path()), answers(NEW).await),
        (all.iter().map(|&name| name.to_owned()).collect(), AWAITED)
    );
    age(directory.path(), "", minutes(59));
    sink.tidy("casapay", URL).await.unwrap();
    assert_eq!(names(directory.path()), all);

    age(directory.path(), "", minutes(61));
    sink.tidy("casapay", URL).await.unwrap();
    assert_eq!((names(directory.path()), answers(NEW).await), (others.map(str::to_owned).to_vec(), REFUSED));
    assert!(ACCEPTED.contains(&answers(OLD).await));
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_named_and_costs_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let (layer, answers) = receiver(secret(OLD));
    let sink = FileSink::new(directory.path()).feeding("casapay", layer.verifier());
    fs::write(directory.path().join("casapay.we_0.secret"), " ").unwrap();
    sink.store("casapay", "we_1", &secret(NEW)).await.unwrap();
    assert!(sink.contains("casapay", "we_1").await.unwrap());
    let error = sink.secrets("casapay").unwrap_err().to_string();
    assert!(error.contains("casapay.we_0.secret"), "{error}");
    assert!(ACCEPTED.contains(&answers(OLD).await), "what was in use stays so");
    assert!(ACCEPTED.contains(&answers(NEW).await), "what can be read is taken");
}

#[tokio::test]
async fn what_a_crash_left_of_a_file_goes_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let sink = FileSink::new(directory.path());
    sink.store("casapay", "we_1", &secret(OLD)).await.unwrap();
    fs::write(directory.path().join("casapay.we_1.secret.0123.new"), OLD).unwrap();
    sink.remove("casapay", "we_1").await.unwrap();
    assert_eq!(names(directory.path()), Vec::<String>::new());
}

/// Verifiers that are fed at once end with what was read last.
#[tokio::test(flavor = "multi_thread")]
async fn feeding_at_once_loses_no_secret() {
    let directory = tempfile::tempdir().unwrap();
    let (layer, _) = receiver(secret(OLD));
    let sink = FileSink::new(directory.path()).feeding("casapay", layer.verifier());
    for round in 0..50 {
        let ids: Vec<_> = (0..4).map(|number| format!("we_{round}_{number}")).collect();
        let stores = ids.iter().map(|id| {
            let (sink, id) = (sink.clone(), id.clone());
            tokio::spawn(async move { sink.store("casapay", &id, &secret(NEW)).await.unwrap() })
        });
        for stored in stores.collect::<Vec<_>>() {
            stored.await.unwrap();
        }
        let verifier = layer.verifier();
        assert!(ids.iter().all(|id| verifier.secret_usage(id).is_some()), "{round}");
        for id in ids {
            sink.remove("casapay", &id).await.unwrap();
        }
    }
}
