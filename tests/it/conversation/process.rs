//! Child processes: the test binary, which executes itself to run one ignored test.

use std::process::Stdio;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::Value;
use tokio::process::{Child, ChildStdin, Command};

/// A process that ends with the test, whatever becomes of that.
pub(crate) struct Process {
    child: Child,
    /// The process ends when this closes.
    _lifeline: Option<ChildStdin>,
    pub(crate) port: u16,
}

impl Process {
    /// Runs the ignored test `name` with a configuration, and waits until it answers at its port.
    pub(crate) async fn start(name: &str, variable: &str, configuration: &Value, port: u16) -> Self {
        let mut process = Self::launch(name, variable, configuration, port);
        let start = Instant::now();
        while process.try_ask(Method::GET, "/", &Value::Null).await.is_none() {
            assert_eq!(process.child.try_wait().unwrap(), None, "{name} has ended");
            assert!(start.elapsed() < Duration::from_secs(60), "{name} does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        process
    }

    /// As [`start`](Self::start), without waiting.
    pub(crate) fn launch(name: &str, variable: &str, configuration: &Value, port: u16) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([name, "--exact", "--ignored", "--nocapture"])
            .env(variable, configuration.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        Self { _lifeline: child.stdin.take(), child, port }
    }

    /// SIGKILL, and to its end.
    pub(crate) async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }

    /// Asks for JSON.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = self.try_ask(method, path, &body).await.expect("an answer");
        assert!(status.is_success(), "{path}: {status} {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap()
    }

    /// As [`ask`](Self::ask); `None` where no answer comes.
    pub(crate) async fn try_ask(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Option<(StatusCode, Bytes)> {
        let request = Request::builder()
            .method(method)
            .uri(format!("http://127.0.0.1:{}{path}", self.port))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::from(if body.is_null() { String::new() } else { body.to_string() })))
            .unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let response = client.request(request).await.ok()?;
        let status = response.status();
        Some((status, response.into_body().collect().await.ok()?.to_bytes()))
    }
}

/// What a child does beside its work: the parent holds the other end of its input, however it ends.
pub(crate) fn end_with_the_parent() {
    std::thread::spawn(|| {
        _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
