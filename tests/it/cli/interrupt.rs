//! Signals: what they do to runs that create nothing.

use std::convert::Infallible;
use std::process::Stdio;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tower::service_fn;

use super::capture::{raw, signed};
use super::program::path;
use crate::server::Server;
use crate::support::SECRET;

pub(super) fn send(child: &Child, signal: Signal) {
    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
}

/// A server that answers when it is let, and says when it was asked.
struct Waiting {
    server: Server,
    asked: Arc<Semaphore>,
    leave: Arc<Semaphore>,
}

impl Waiting {
    async fn start() -> Self {
        let (asked, leave) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
        let (told, waited) = (Arc::clone(&asked), Arc::clone(&leave));
        let server = Server::start(service_fn(move |_: Request<Incoming>| {
            let (told, waited) = (Arc::clone(&told), Arc::clone(&waited));
            async move {
                told.add_permits(1);
                waited.acquire().await.unwrap().forget();
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        }))
        .await;
        Self { server, asked, leave }
    }

    /// A run that waits for an answer of this server.
    async fn asked_by(&self, mut command: Command) -> Child {
        command.env_clear().env("CASPAY_WEBHOOK_SECRET", SECRET).env("CASAPAY_API_KEY", "sk_test_of_nobody");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let child = command.spawn().unwrap();
        self.asked.acquire().await.unwrap().forget();
        child
    }
}

#[tokio::test]
async fn a_run_that_creates_nothing_ends_at_once() {
    let waiting = Waiting::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("requests");
    std::fs::write(&file, raw(&signed("caspay", "{}"))).unwrap();
    let (url, file) = (waiting.server.url("/"), file.to_str().unwrap());
    let base = url.trim_end_matches('/');
    for arguments in [
        &["send", &url, "--provider=caspay"][..],
        &["replay", file, "--to", &url],
        &["endpoints", "list", "--provider=casapay", "--allow-loopback", "--api-url", base],
    ] {
        for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
            let mut command = Command::new(path());
            command.args(arguments);
            let child = waiting.asked_by(command).await;
            send(&child, signal);
            let output = child.wait_with_output().await.unwrap();
            assert_eq!(output.status.code(), Some(130), "{arguments:?} {signal:?}: {output:?}");
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(said.contains(r#"{"error":{"kind":"interrupted""#), "{said}");
            assert!(output.stdout.is_empty());
        }
    }
}

/// As under `nohup`, and in the background of a script.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_signal_that_was_ignored_before_is_ignored() {
    let waiting = Waiting::start().await;
    for (name, signal) in [("HUP", Signal::HUP), ("INT", Signal::INT)] {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", &format!("trap '' {name}; exec \"$0\" \"$@\""), path()]);
        command.args(["send", &waiting.server.url("/"), "--provider=caspay", "--count=3"]);
        let child = waiting.asked_by(command).await;
        send(&child, signal);
        waiting.leave.add_permits(3);
        let output = child.wait_with_output().await.unwrap();
        assert_eq!(output.status.code(), Some(0), "{name}: {output:?}");
        waiting.asked.acquire_many(2).await.unwrap().forget();
    }
}
