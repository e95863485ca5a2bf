//! A server that keeps what it is sent, and answers as it is told.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tower::service_fn;

use crate::server::Server;

/// Requests in the order of their arrival.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    requests: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    methods: Arc<Mutex<Vec<Method>>>,
}

impl Recorder {
    /// Starts a server that answers the request of this number, beginning with 0.
    pub(crate) async fn start(
        &self,
        answer: impl Fn(usize) -> Response<Full<Bytes>> + Clone + Send + Sync + 'static,
    ) -> Server {
        let recorder = self.clone();
        Server::start(service_fn(move |request: Request<Incoming>| {
            let (recorder, answer) = (recorder.clone(), answer.clone());
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let number = {
                    recorder.methods.lock().unwrap().push(parts.method);
                    let mut requests = recorder.requests.lock().unwrap();
                    requests.push((parts.headers, body));
                    requests.len() - 1
                };
                Ok::<_, Infallible>(answer(number))
            }
        }))
        .await
    }

    pub(crate) fn requests(&self) -> Vec<(HeaderMap, Bytes)> {
        self.requests.lock().unwrap().clone()
    }

    pub(crate) fn methods(&self) -> Vec<Method> {
        self.methods.lock().unwrap().clone()
    }
}

/// An answer with a text.
pub(crate) fn answer(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(body.into()).unwrap()
}
