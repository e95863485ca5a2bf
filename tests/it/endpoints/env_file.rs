//! A file of environment variables: the newest secret and the one before.

use std::fs;

use tower_webhook::Secret;
use tower_webhook::endpoints::{EnvFileSink, SecretSink as _};

use super::api::{WHSEC, assert_discreet};
use super::sinks::{mode, names};

fn secret(text: &str) -> Secret {
    Secret::weak(text).unwrap()
}

struct File {
    directory: tempfile::TempDir,
    sink: EnvFileSink,
}

impl File {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let sink = EnvFileSink::new(directory.path().join("hooks.env"), "HOOK_SECRET");
        Self { directory, sink }
    }

    fn text(&self) -> String {
        fs::read_to_string(self.directory.path().join("hooks.env")).unwrap()
    }
}

#[tokio::test]
async fn the_newest_and_the_one_before_have_the_names_that_are_read() {
    let file = File::new();
    assert!(!file.sink.contains("casapay", "we_1").await.unwrap(), "there is no file yet");
    file.sink.store("casapay", "we_1", &secret("whsec_aaaaaaaaaaaaaaaa")).await.unwrap();
    assert_eq!(file.text(), "# casapay we_1\nHOOK_SECRET=whsec_aaaaaaaaaaaaaaaa\n");
    file.sink.store("casapay", "we_2", &secret("whsec_bbbbbbbbbbbbbbbb")).await.unwrap();
    let both = "# casapay we_2\nHOOK_SECRET=whsec_bbbbbbbbbbbbbbbb\n# casapay we_1\nHOOK_SECRET_PREVIOUS=whsec_aaaaaaaaaaaaaaaa\n";
    assert_eq!(file.text(), both);
    assert_eq!(mode(&file.directory.path().join("hooks.env")), 0o600);
    assert_eq!(names(file.directory.path()), ["hooks.env"]);
    for (provider, id, has) in
        [("casapay", "we_1", true), ("casapay", "we_3", false), ("diddo", "we_1", false)]
    {
        assert_eq!(file.sink.contains(provider, id).await.unwrap(), has, "{provider} {id}");
    }

    // The older one goes, and the newer stays what it is; or the newer one, and the older takes its name.
    file.sink.remove("casapay", "we_1").await.unwrap();
    assert_eq!(file.text(), "# casapay we_2\nHOOK_SECRET=whsec_bbbbbbbbbbbbbbbb\n");
    file.sink.store("casapay", "we_3", &secret("whsec_cccccccccccccccc")).await.unwrap();
    file.sink.remove("casapay", "we_3").await.unwrap();
    assert_eq!(file.text(), "# casapay we_2\nHOOK_SECRET=whsec_bbbbbbbbbbbbbbbb\n");
}

/// Which would take what is in it for its own, and give it another name.
#[tokio::test]
async fn a_file_with_another_variable_is_left_alone() {
    let file = File::new();
    let path = file.directory.path().join("hooks.env");
    for id in ["we_1", "we_2"] {
        file.sink.store("casapay", id, &secret("whsec_aaaaaaaaaaaaaaaa")).await.unwrap();
        let before = file.text();
        for variable in ["DIDDO_SECRET", "HOOK", "HOOK_SECRET_", "OOK_SECRET", "HOOK_SECRET_PREVIOUS", ""] {
            let other = EnvFileSink::new(&path, variable);
            for error in [
                other.announce("diddo", "https://shop.example/").await.unwrap_err(),
                other.store("diddo", "x", &secret(WHSEC)).await.unwrap_err(),
                other.contains("casapay", "we_1").await.unwrap_err(),
                other.remove("casapay", "we_1").await.unwrap_err(),
            ] {
                assert!(error.to_string().contains("a file of its own"), "{variable}: {error}");
            }
            assert_eq!(file.text(), before, "{variable}");
        }
    }
    // A name that stands there twice is read in different ways.
    let twice = file.text().replace("_PREVIOUS", "");
    fs::write(&path, &twice).unwrap();
    assert!(file.sink.remove("casapay", "we_1").await.is_err());
    assert_eq!(file.text(), twice);

    // A person has taken the newest one out.
    fs::write(&path, "# casapay we_1\nHOOK_SECRET_PREVIOUS=whsec_aaaaaaaaaaaaaaaa\n").unwrap();
    file.sink.store("casapay", "we_3", &secret("whsec_bbbbbbbbbbbbbbbb")).await.unwrap();
    assert!(file.text().ends_with("# casapay we_1\nHOOK_SECRET_PREVIOUS=whsec_aaaaaaaaaaaaaaaa\n"));
}

/// `Secrets::from_env` would refuse it, and the receiver would not start again. The manager's error has the secret.
#[tokio::test]
async fn a_secret_that_the_next_start_refuses_is_given_back() {
    let file = File::new();
    let before = "# casapay we_1\nHOOK_SECRET=whsec_aaaaaaaaaaaaaaaa\n";
    file.sink.store("casapay", "we_1", &secret("whsec_aaaaaaaaaaaaaaaa")).await.unwrap();
    for short in ["short-one", "whsec_0123456789abcde"] {
        let error = file.sink.store("casapay", "we_2", &secret(short)).await.unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Secret::new(short).unwrap_err()));
        assert_eq!(file.text(), before);
    }
}

#[tokio::test]
async fn where_there_is_no_directory_nobody_can_say_what_is_in_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let sink = EnvFileSink::new(directory.path().join("missing").join("hooks.env"), "HOOK_SECRET");
    let url = "https://shop.example/";
    assert!(sink.contains("casapay", "we_1").await.is_err() && sink.remove("casapay", "we_1").await.is_err());
    assert!(sink.announce("casapay", url).await.is_err() && sink.tidy("casapay", url).await.is_err());
    assert!(sink.store("casapay", "we_1", &secret(WHSEC)).await.is_err());
    // Where the file is where the process is.
    assert!(!EnvFileSink::new("no-such.env", "HOOK_SECRET").contains("casapay", "we_1").await.unwrap());
}

#[tokio::test]
async fn a_third_secret_would_push_one_out_that_is_in_use() {
    let file = File::new();
    for (id, text) in [("we_1", "whsec_aaaaaaaaaaaaaaaa"), ("we_2", "whsec_bbbbbbbbbbbbbbbb")] {
        file.sink.store("casapay", id, &secret(text)).await.unwrap();
    }
    let before = file.text();
    let error = file.sink.store("casapay", "we_3", &secret(WHSEC)).await.unwrap_err();
    assert!(error.to_string().contains("remove one of them"), "{error}");
    assert_eq!(file.text(), before);
    // The same endpoint's is another matter.
    file.sink.store("casapay", "we_1", &secret("whsec_dddddddddddddddd")).await.unwrap();
    assert!(
        file.text().starts_with("# casapay we_1\nHOOK_SECRET=whsec_dddddddddddddddd\n# casapay we_2\n"),
        "{}",
        file.text()
    );
}

#[tokio::test]
async fn characters_that_are_read_in_different_ways_are_refused() {
    let file = File::new();
    for text in ["a b", "a\nEVIL=1", "a\"b", "a'b", "a$b", "a\\b", "a#b", "a`b", "ä", "a\0b"] {
        let text = &format!("{text}0123456789abcdef");
        let error = file.sink.store("casapay", "we_1", &secret(text)).await.unwrap_err();
        assert!(error.to_string().contains("different ways") && !error.to_string().contains(text), "{error}");
        assert!(names(file.directory.path()).is_empty(), "{text}");
    }
    for text in ["whsec_AZaz09+/=0123456", "a-b.c:d-0123456789"] {
        file.sink.store("casapay", "we_1", &secret(text)).await.unwrap();
        assert!(file.text().ends_with(&format!("={text}\n")), "{text}");
    }
}

#[tokio::test]
async fn an_id_stays_in_its_line() {
    let file = File::new();
    for id in ["", "a b", "a\nHOOK_SECRET=x", "a/b"] {
        assert!(file.sink.store("casapay", id, &secret("whsec_aaaaaaaaaaaaaaaa")).await.is_err(), "{id}");
        assert!(
            file.sink.contains("casapay", id).await.is_err()
                && file.sink.remove("casapay", id).await.is_err()
        );
    }
    assert!(names(file.directory.path()).is_empty());
}

/// Which it could not keep, and may not drop.
#[tokio::test]
async fn a_file_with_lines_of_somebody_else_is_left_alone() {
    for foreign in [
        "DATABASE_URL=x\n",
        "# casapay we_1\n",
        "\n# casapay we_1\nHOOK_SECRET=whsec_aaaaaaaaaaaaaaaa\n",
        "# a b\nno\n",
    ] {
        let file = File::new();
        fs::write(file.directory.path().join("hooks.env"), foreign).unwrap();
        let error = file.sink.store("casapay", "we_2", &secret(WHSEC)).await.unwrap_err();
        assert_discreet(&format!("{error:?}"));
        assert!(file.sink.contains("casapay", "we_1").await.is_err(), "{foreign}");
        assert_eq!(file.text(), foreign);
    }
}

#[tokio::test]
async fn changes_that_come_together_are_all_made() {
    for _ in 0..20 {
        let file = File::new();
        let (one, other) = (secret("whsec_aaaaaaaaaaaaaaaa"), secret("whsec_bbbbbbbbbbbbbbbb"));
        let stored = tokio::join!(
            file.sink.store("casapay", "we_1", &one),
            file.sink.store("casapay", "we_2", &other)
        );
        stored.0.unwrap();
        stored.1.unwrap();
        assert_eq!(file.text().lines().count(), 4, "{}", file.text());
    }
}

/// It holds secrets, and nobody would look for it.
#[tokio::test]
async fn what_was_left_of_writing_the_file_is_tidied_up() {
    let file = File::new();
    file.sink.store("casapay", "we_1", &secret("whsec_aaaaaaaaaaaaaaaa")).await.unwrap();
    let directory = file.directory.path();
    for name in ["hooks.env.0123456789abcdef.new", "other.env.0123456789abcdef.new"] {
        fs::write(directory.join(name), "HOOK_SECRET=whsec_bbbbbbbbbbbbbbbb").unwrap();
    }
    file.sink.tidy("casapay", "https://shop.example/").await.unwrap();
    assert_eq!(names(directory).len(), 3);
    for name in names(directory) {
        let file = fs::File::options().write(true).open(directory.join(name)).unwrap();
        let hour = std::time::Duration::from_secs(3601);
        file.set_modified(std::time::SystemTime::now() - hour).unwrap();
    }
    file.sink.tidy("casapay", "https://shop.example/").await.unwrap();
    assert_eq!(names(directory), ["hooks.env", "other.env.0123456789abcdef.new"]);
    assert_eq!(file.text(), "# casapay we_1\nHOOK_SECRET=whsec_aaaaaaaaaaaaaaaa\n");
}
