//! A receiver whose verifier is fed from a directory: what it goes by, for how long, and what it does about files that it
//! cannot read. Clocks are paused, and files are aged in their places.

use std::fs;
use std::path::Path;
use std::time::Duration;

use tower_webhook::endpoints::{EndpointErrorKind as Kind, EndpointManager, FileSink, SecretSink as _};
use tower_webhook::{Secret, Secrets};

use super::api::{URL, failure};
use super::memory::Memory;
use super::sinks::{ACCEPTED, AWAITED, NEW, OLD, OTHER, REFUSED, age, receiver, secret};
use crate::stage::within_a_minute;

const EVERY: Duration = Duration::from_secs(10);

/// Until the directory has been read again.
async fn a_while() {
    tokio::time::sleep(EVERY + EVERY / 2).await;
}

fn bad(directory: &Path) -> std::path::PathBuf {
    directory.join("casapay.we_old.secret")
}

#[tokio::test(start_paused = true)]
async fn a_follower_takes_what_another_process_does() {
    let directory = tempfile::tempdir().unwrap();
    let other = FileSink::new(directory.path());
    other.store("casapay", "we_1", &secret(OLD)).await.unwrap();
    let (layer, answers) = receiver(other.secrets("casapay").unwrap());
    let verifier = layer.verifier();
    let following = FileSink::new(directory.path()).feeding("casapay", verifier.clone()).follow(EVERY);
    a_while().await;
    assert_eq!((answers(OLD).await, answers(NEW).await), (ACCEPTED[0], REFUSED));
    let before = verifier.secret_usage("we_1").unwrap();
    assert!(before.last_used().is_some());

    other.announce("casapay", URL).await.unwrap();
    assert_eq!(answers(NEW).await, REFUSED, "it is not read yet");
    a_while().await;
    assert_eq!(answers(NEW).await, AWAITED);
    other.store("casapay", "we_2", &secret(NEW)).await.unwrap();
    other.withdraw("casapay", URL).await.unwrap();
    a_while().await;
    assert_eq!((answers(NEW).await, answers(OTHER).await), (ACCEPTED[1], REFUSED));
    // Which is how a rotation is finished that another process has begun.
    assert_eq!(verifier.secret_usage("we_1"), Some(before), "it goes on being watched");

    other.remove("casapay", "we_1").await.unwrap();
    a_while().await;
    assert_eq!((answers(OLD).await, verifier.secret_usage("we_1")), (REFUSED, None));

    drop(following);
    other.store("casapay", "we_3", &secret(OLD)).await.unwrap();
    tokio::time::sleep(100 * EVERY).await;
    assert_eq!(answers(OLD).await, REFUSED, "it ended");
}

/// Left by hand, by a disk that was full, or not for this user to read.
#[tokio::test(start_paused = true)]
async fn a_file_that_cannot_be_read_keeps_no_other_from_being_followed() {
    for content in [&b""[..], b" \n", b"a secret \n", &[0xff, 0xfe]] {
        let directory = tempfile::tempdir().unwrap();
        let other = FileSink::new(directory.path());
        other.store("casapay", "we_0", &secret(OLD)).await.unwrap();
        let (layer, answers) = receiver(other.secrets("casapay").unwrap());
        fs::write(bad(directory.path()), content).unwrap();
        let sink = FileSink::new(directory.path()).feeding("casapay", layer.verifier());
        let _following = sink.follow(EVERY);
        a_while().await;
        // What is signed by the secret that was meant to be there is to come again.
        assert_eq!((answers(OLD).await, answers(NEW).await), (ACCEPTED[0], AWAITED), "{content:?}");

        let (api, new) = (Memory::of("casapay"), Memory::secret("we_1"));
        EndpointManager::new(api, other.clone()).ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
        assert_eq!(answers(new.expose()).await, AWAITED, "{content:?}");
        a_while().await;
        assert_eq!(answers(new.expose()).await, ACCEPTED[1], "{content:?}");
        assert_eq!(answers(OLD).await, ACCEPTED[1], "{content:?}");

        // What is removed meanwhile may be what cannot be read, under another name: it is kept until that is mended.
        other.remove("casapay", "we_0").await.unwrap();
        a_while().await;
        assert_eq!(answers(OLD).await, ACCEPTED[1], "{content:?}");
        fs::remove_file(bad(directory.path())).unwrap();
        a_while().await;
        assert_eq!((answers(OLD).await, answers(OTHER).await), (REFUSED, REFUSED), "{content:?}");
        assert_eq!(answers(new.expose()).await, ACCEPTED[1], "{content:?}");
    }
}

/// A secret that is none of this provider's, whose keys are encoded.
#[tokio::test]
async fn a_secret_that_does_not_decode_keeps_no_other_out() {
    let directory = tempfile::tempdir().unwrap();
    let scheme = tower_webhook::SignatureScheme::hmac_sha256("x-signature")
        .with_key_encoding(tower_webhook::KeyEncoding::Base64);
    let provider = tower_webhook::Provider::builder("acme").signature(scheme).build().unwrap();
    let encoded = || secret("MDEyMzQ1Njc4OWFiY2RlZg==");
    let verifier = provider.verifier(encoded()).unwrap();
    let sink = FileSink::new(directory.path()).feeding("acme", verifier.clone());
    fs::write(directory.path().join("acme.we_0.secret"), "no base64, but long enough").unwrap();
    sink.store("acme", "we_1", &encoded()).await.unwrap();
    assert!(verifier.secret_usage("we_1").is_some() && verifier.secret_usage("we_0").is_none());
    assert!(verifier.secret_usage("current").is_some(), "nothing is given up");
    sink.remove("acme", "we_0").await.unwrap();
    assert!(verifier.secret_usage("we_1").is_some() && verifier.secret_usage("current").is_none());
}

/// Not mounted at the moment.
#[tokio::test(start_paused = true)]
async fn a_directory_that_goes_costs_nothing_and_comes_back() {
    let parent = tempfile::tempdir().unwrap();
    let (directory, elsewhere) = (parent.path().join("secrets"), parent.path().join("elsewhere"));
    fs::create_dir(&directory).unwrap();
    let sink = FileSink::new(&directory);
    sink.store("casapay", "we_0", &secret(OLD)).await.unwrap();
    let (layer, answers) = receiver(sink.secrets("casapay").unwrap());
    let _following = sink.clone().feeding("casapay", layer.verifier()).follow(EVERY);
    fs::rename(&directory, &elsewhere).unwrap();
    a_while().await;
    assert_eq!((answers(OLD).await, answers(NEW).await), (ACCEPTED[0], AWAITED));
    fs::rename(&elsewhere, &directory).unwrap();
    a_while().await;
    assert_eq!((answers(OLD).await, answers(NEW).await), (ACCEPTED[1], REFUSED));
}

/// The receiver's own secret is from elsewhere.
#[tokio::test]
async fn what_was_announced_and_does_not_come_is_no_longer_awaited() {
    let directory = tempfile::tempdir().unwrap();
    let (layer, answers) = receiver(secret(OLD));
    let sink = FileSink::new(directory.path()).feeding("casapay", layer.verifier());
    let api = Memory::of("casapay");
    let manager = EndpointManager::new(api.clone(), sink.clone());
    api.fail_creation(Kind::Unauthorized, false);
    assert_eq!(failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await).kind(), Kind::Unauthorized);
    assert_eq!((answers(OLD).await, answers(NEW).await), (ACCEPTED[0], REFUSED));

    sink.announce("casapay", URL).await.unwrap();
    assert_eq!(answers(NEW).await, AWAITED);
    sink.withdraw("casapay", URL).await.unwrap();
    assert_eq!(answers(NEW).await, REFUSED);
}

/// What a program says of the secrets that it brings is not for a directory to take back that has none.
#[tokio::test]
async fn what_the_receiver_awaits_by_itself_it_goes_on_awaiting() {
    let directory = tempfile::tempdir().unwrap();
    let (layer, answers) = receiver(Secrets::new(secret(OLD)).awaiting_another());
    let sink = FileSink::new(directory.path()).feeding("casapay", layer.verifier());
    sink.announce("casapay", URL).await.unwrap();
    sink.withdraw("casapay", URL).await.unwrap();
    assert_eq!(answers(NEW).await, AWAITED);
    sink.store("casapay", "we_1", &secret(OLD)).await.unwrap();
    assert_eq!(answers(NEW).await, REFUSED);
    layer.verifier().await_another();
    assert_eq!(answers(NEW).await, AWAITED);
}

/// A creation of which nobody knows what came leaves its announcement, and nobody may read the directory again.
#[tokio::test]
async fn an_announcement_runs_out_though_nobody_reads_again() {
    for has_one in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let (layer, answers) = receiver(secret(OLD));
        let sink = FileSink::new(directory.path()).feeding("casapay", layer.verifier());
        if has_one {
            sink.store("casapay", "we_0", &secret(OLD)).await.unwrap();
        }
        let api = Memory::of("casapay");
        api.fail_creation(Kind::OutcomeUnknown, false);
        let ensured = EndpointManager::new(api, sink.clone()).ensure_endpoint(URL, ["invoice.paid"]).await;
        assert_eq!(failure(ensured).kind(), Kind::OutcomeUnknown);
        age(directory.path(), ".announced", Duration::from_secs(59 * 60));
        sink.tidy("casapay", URL).await.unwrap();
        assert_eq!(answers(NEW).await, AWAITED);
        // Of those that read it at their start, too.
        age(directory.path(), ".announced", Duration::from_millis(3_599_500));
        sink.tidy("casapay", URL).await.unwrap();
        within_a_minute(refuses(&answers)).await;
        if has_one {
            age(directory.path(), ".announced", Duration::from_millis(3_599_500));
            let (_, started) = receiver(sink.secrets("casapay").unwrap());
            within_a_minute(refuses(&started)).await;
        }
    }
}

/// Until this answers 401 to what nobody has signed.
async fn refuses(answers: &impl AsyncFn(&str) -> crate::stage::Verdict) {
    while answers(OTHER).await != REFUSED {
        tokio::task::yield_now().await;
    }
}

/// Its text is in no error.
#[test]
fn a_secret_of_a_file_that_is_refused_is_not_told() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(bad(directory.path()), format!("{OLD} ")).unwrap();
    let error = FileSink::new(directory.path()).secrets("casapay").unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("casapay.we_old.secret") && !text.contains(Secret::weak(OLD).unwrap().expose()),
        "{text}"
    );
}
