//! A plain client, and a receiver that answers as it is told and checks what it gets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tower_webhook::testing::simulator::{
    CASAPAY_LIVE_KEY, CASPAY_AUTH_HEADER, CASPAY_CREATE_PATH, CASPAY_KEY, DIDDO_AUTH_HEADER, DIDDO_KEY,
    Platform, Schedule, Simulator,
};
use tower_webhook::{Provider, Secret};

/// The ten hours between late attempts pass in a fraction of a millisecond.
pub(super) const FAST: u32 = 100_000_000;

/// A simulator whose retries follow at once.
pub(super) async fn simulator() -> Simulator {
    Simulator::builder().with_speed(FAST).start().await.unwrap()
}

/// A simulator one of whose platforms has this schedule.
pub(super) async fn with_schedule(platform: Platform, schedule: Schedule) -> Simulator {
    Simulator::builder().with_speed(FAST).with_schedule(platform, schedule).start().await.unwrap()
}

/// An answer of an API.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) bytes: Bytes,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.bytes).unwrap()
    }
}

/// A request, which may go wrong.
pub(super) async fn try_call(
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Reply, Box<dyn std::error::Error>> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::from(body.to_owned())))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let (head, body) = client.request(request).await?.into_parts();
    let bytes = body.collect().await?.to_bytes();
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, bytes })
}

/// A request with a JSON body, or none where that is `null`.
pub(super) async fn call(method: &str, url: &str, key: (&str, &str), body: &Value) -> Reply {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    let headers = [key, ("content-type", "application/json")];
    try_call(method, url, if body.is_null() { &headers[..1] } else { &headers }, &text).await.unwrap()
}

pub(super) const DIDDO: (&str, &str) = (DIDDO_AUTH_HEADER, DIDDO_KEY);
pub(super) const CASPAY: (&str, &str) = (CASPAY_AUTH_HEADER, CASPAY_KEY);

/// A call of CasaPay's API with the live key; `path` is below `/v1`.
pub(super) async fn casapay(simulator: &Simulator, method: &str, path: &str, body: Value) -> Reply {
    let url = format!("{}/v1{path}", simulator.casapay_url());
    call(method, &url, ("authorization", &format!("Bearer {CASAPAY_LIVE_KEY}")), &body).await
}

/// A call of Diddo's API.
pub(super) async fn diddo(simulator: &Simulator, method: &str, path: &str, body: Value) -> Reply {
    call(method, &format!("{}{path}", simulator.diddo_url()), DIDDO, &body).await
}

/// A create at CasPay.
pub(super) async fn caspay(simulator: &Simulator, body: Value) -> Reply {
    call("POST", &format!("{}{CASPAY_CREATE_PATH}", simulator.caspay_url()), CASPAY, &body).await
}

/// An endpoint at CasaPay, and its secret.
pub(super) async fn subscribed(simulator: &Simulator, url: &str, events: &[&str]) -> (String, Secret) {
    let reply =
        casapay(simulator, "POST", "/webhook_endpoints", json!({"url": url, "enabled_events": events})).await;
    let endpoint = reply.json();
    let text = |name: &str| endpoint[name].as_str().unwrap().to_owned();
    (text("id"), Secret::new(text("secret")).unwrap())
}

/// What a receiver got.
#[derive(Clone, Debug)]
pub(super) struct Received {
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Received {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Whether the library takes it for authentic.
    pub(super) fn verifies(&self, provider: &Provider, secret: &Secret) -> bool {
        let secret = Secret::weak(secret.expose()).unwrap();
        let verifier = provider.verifier(secret).unwrap();
        verifier.verify(&self.headers, &self.body, SystemTime::now()).is_ok()
    }
}

/// How a receiver answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Say {
    Status(u16),
    /// A status, with the seconds of a `Retry-After`.
    Later(u16, u64),
    /// A status, with a `Retry-After` that is a date.
    At(u16, SystemTime),
    /// A status, when the test has [let it](Receiver::let_go).
    Held(u16),
    /// Never.
    Nothing,
}

/// Answers as planned, then 200 to everything.
pub(super) struct Receiver {
    pub(super) url: String,
    received: Arc<Mutex<Vec<Received>>>,
    planned: Arc<Mutex<VecDeque<Say>>>,
    gate: Arc<Semaphore>,
    server: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Receiver {
    pub(super) async fn start(planned: impl IntoIterator<Item = Say>) -> Self {
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let planned = Arc::new(Mutex::new(planned.into_iter().collect::<VecDeque<_>>()));
        let gate = Arc::new(Semaphore::new(0));
        let (seen, answers, held) = (Arc::clone(&received), Arc::clone(&planned), Arc::clone(&gate));
        let app = Router::new().fallback(async move |request: axum::extract::Request| {
            let (head, body) = request.into_parts();
            let body = body.collect().await.unwrap().to_bytes();
            seen.lock().unwrap().push(Received { path: head.uri.to_string(), headers: head.headers, body });
            let say = answers.lock().unwrap().pop_front().unwrap_or(Say::Status(200));
            let (status, later) = match say {
                Say::Status(status) => (status, None),
                Say::Later(status, seconds) => (status, Some(seconds.to_string())),
                Say::At(status, date) => (status, Some(httpdate::fmt_http_date(date))),
                Say::Held(status) => {
                    held.acquire().await.unwrap().forget();
                    (status, None)
                }
                Say::Nothing => std::future::pending().await,
            };
            let mut response = http::Response::builder().status(status);
            if let Some(later) = later {
                response = response.header("retry-after", later);
            }
            response.body(axum::body::Body::empty()).unwrap()
        });
        Self::serve(app, received, planned, gate).await
    }

    /// A receiver that is the library's own.
    pub(super) async fn of(app: Router) -> Self {
        Self::serve(app, Arc::default(), Arc::default(), Arc::new(Semaphore::new(0))).await
    }

    async fn serve(
        app: Router,
        received: Arc<Mutex<Vec<Received>>>,
        planned: Arc<Mutex<VecDeque<Say>>>,
        gate: Arc<Semaphore>,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let server = tokio::spawn(async { axum::serve(listener, app).await.unwrap() });
        Self { url, received, planned, gate, server }
    }

    pub(super) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Plans further answers.
    pub(super) fn say(&self, answers: impl IntoIterator<Item = Say>) {
        self.planned.lock().unwrap().extend(answers);
    }

    /// Lets one answer that is held go.
    pub(super) fn let_go(&self) {
        self.gate.add_permits(1);
    }

    /// Waits until so many requests have come.
    pub(super) async fn has(&self, count: usize) {
        until(|| self.received.lock().unwrap().len() >= count).await;
    }
}

/// Waits until nothing is left to send. A simulator that never ends must not stop the other tests.
pub(super) async fn settled(simulator: &Simulator) {
    let settled = tokio::time::timeout(Duration::from_secs(60), simulator.settled()).await;
    settled.expect("deliveries do not come to their end");
}

/// Waits for something that must come true.
pub(super) async fn until(come_true: impl Fn() -> bool) {
    let waiting = async {
        while !come_true() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting).await.expect("it does not come true");
}
