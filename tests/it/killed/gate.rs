//! What stands between a client and a platform's API: it passes calls on, and holds the one that the test names, before
//! the platform has executed it or after.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::{Method, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::sync::{RwLock, oneshot};

use crate::stage::within_a_minute;

/// A call that changes something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    Create,
    Update,
    Delete,
}

impl Call {
    fn of(method: &Method, path: &str) -> Option<Self> {
        let is_collection = path.ends_with("/webhook_endpoints") || path.ends_with("/webhook");
        match (method.as_str(), is_collection) {
            ("POST", true) => Some(Self::Create),
            ("POST" | "PUT", false) => Some(Self::Update),
            ("DELETE", false) => Some(Self::Delete),
            _ => None,
        }
    }
}

/// When a call is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// The platform has not heard of it yet.
    Sent,
    /// The platform has done it, and its answer is on its way.
    Executed,
}

struct Planned {
    call: Call,
    when: When,
    reached: oneshot::Sender<oneshot::Sender<()>>,
}

struct Inner {
    upstream: String,
    planned: Mutex<Option<Planned>>,
    /// Held by each call that passes.
    passing: Arc<RwLock<()>>,
}

pub(super) struct Gate {
    inner: Arc<Inner>,
    pub(super) port: u16,
}

impl Gate {
    pub(super) async fn start(upstream: u16) -> Self {
        let upstream = format!("http://127.0.0.1:{upstream}");
        let inner = Arc::new(Inner { upstream, planned: Mutex::default(), passing: Arc::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let passing = Arc::clone(&inner);
        // In a task of its own: a client that is killed takes nothing back that is on its way.
        let passes = async move |request| tokio::spawn(pass(Arc::clone(&passing), request)).await.unwrap();
        let app = Router::new().fallback(passes);
        tokio::spawn(async { axum::serve(listener, app).await });
        Self { inner, port }
    }

    /// Holds the next call of this kind.
    pub(super) fn hold(&self, call: Call, when: When) -> Held {
        let (reached, holding) = oneshot::channel();
        *self.inner.planned.lock().unwrap() = Some(Planned { call, when, reached });
        Held { holding, go: None }
    }

    /// Waits until no call is on its way, not even one of those who are dead.
    pub(super) async fn idle(&self) {
        drop(self.inner.passing.write().await);
    }
}

/// A call that is held until this is dropped, which is to say for ever.
pub(super) struct Held {
    holding: oneshot::Receiver<oneshot::Sender<()>>,
    go: Option<oneshot::Sender<()>>,
}

impl Held {
    /// Waits until it is there.
    pub(super) async fn reached(&mut self) {
        self.go = Some(within_a_minute(&mut self.holding).await.unwrap());
    }

    /// Passes it on after all, whoever waits for the answer.
    pub(super) fn go_on(self) {
        self.go.unwrap().send(()).unwrap();
    }
}

async fn pass(inner: Arc<Inner>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let _passing = inner.passing.read().await;
    let call = Call::of(&head.method, head.uri.path());
    let planned = inner.planned.lock().unwrap().take_if(|planned| Some(planned.call) == call);
    let Some(Planned { when, reached, .. }) = planned else { return ask(&inner, head, body).await };
    let (go, may_go) = oneshot::channel();
    if when == When::Sent {
        _ = reached.send(go);
        return if may_go.await.is_ok() { ask(&inner, head, body).await } else { never() };
    }
    let answer = ask(&inner, head, body).await;
    _ = reached.send(go);
    if may_go.await.is_ok() { answer } else { never() }
}

/// Nobody is there to hear it.
fn never() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}

async fn ask(inner: &Inner, head: http::request::Parts, body: Bytes) -> Response {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut request = http::Request::builder().method(head.method).uri(format!("{}{path}", inner.upstream));
    for (name, value) in head.headers.iter().filter(|(name, _)| *name != http::header::HOST) {
        request = request.header(name, value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.body(Full::new(body)).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    Response::from_parts(head, Body::from(body.collect().await.unwrap().to_bytes()))
}
