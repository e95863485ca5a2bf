//! What an operator sees: spans and log lines, metrics, `Stats`, warnings.

mod log;
#[cfg(feature = "metrics")]
mod meters;
mod spans;
mod stats;
mod tenants;
mod warnings;

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request};
use tower_webhook::dispatch::IntoOutcome;
use tower_webhook::testing::SignedRequest;
use tower_webhook::{Body, Delivery, EventRouter, Provider, RejectionReason as R, Secret, casapay};

use crate::support::{NOW, Receiver, casapay_body, from_casapay, secret};

const SECOND: Duration = Duration::from_secs(1);

/// A receiver of CasaPay, whose requests can be wrong in every way.
fn receiver() -> Receiver {
    Receiver::new(casapay::provider())
}

fn event(id: &str) -> Request<Body> {
    from_casapay(casapay_body(id, "invoice.paid"))
}

/// Signed at another time than [`NOW`].
fn event_signed_at(id: &str, seconds: u64) -> Request<Body> {
    let body = casapay_body(id, "invoice.paid");
    SignedRequest::new(&casapay::provider(), &secret(), body).at_unix(seconds).build()
}

/// Signed by a stranger.
fn forged(id: &str) -> Request<Body> {
    let stranger = Secret::new("a-secret-of-somebody-else").unwrap();
    let body = casapay_body(id, "invoice.paid");
    SignedRequest::new(&casapay::provider(), &stranger, body).at_unix(NOW).build()
}

fn with_header(name: &'static str, value: &'static str) -> Request<Body> {
    let mut request = event("evt_1");
    request.headers_mut().append(name, HeaderValue::from_static(value));
    request
}

fn without_signature() -> Request<Body> {
    let mut request = event("evt_1");
    request.headers_mut().remove("x-casapay-signature");
    request
}

fn malformed(signature: &'static str) -> Request<Body> {
    let mut request = event("evt_1");
    request.headers_mut().insert("x-casapay-signature", HeaderValue::from_static(signature));
    request
}

fn get() -> Request<Body> {
    let mut request = event("evt_1");
    *request.method_mut() = Method::GET;
    request
}

/// One request for each way to be refused that a request alone can bring about.
fn refusals() -> Vec<(R, Request<Body>)> {
    vec![
        (R::MethodNotAllowed, get()),
        (R::EncodedBody, with_header("content-encoding", "gzip")),
        (R::BodyTooLarge, with_header("content-length", "99999999")),
        (R::BodyIncomplete, with_header("content-length", "9999")),
        (R::MissingHeader, without_signature()),
        (R::DuplicateHeader, with_header("x-casapay-signature", "t=1,v1=00")),
        (R::MalformedHeader, malformed("t")),
        (R::MalformedTimestamp, malformed(TIMESTAMP_WITH_SIGN)),
        (R::SignatureMismatch, forged("evt_1")),
        (R::TimestampTooOld, event_signed_at("evt_1", NOW - 301)),
        (R::TimestampInFuture, event_signed_at("evt_1", NOW + 301)),
    ]
}

const TIMESTAMP_WITH_SIGN: &str = "t=+1,v1=0000000000000000000000000000000000000000000000000000000000000000";

/// The receiver with another handler.
fn with_handler<F, Fut>(mut receiver: Receiver, handler: F) -> Receiver
where
    F: Fn(Delivery) -> Fut + Send + Sync + 'static,
    Fut: Future<Output: IntoOutcome> + Send + 'static,
{
    receiver.layer = receiver.layer.with_dispatch(EventRouter::new().fallback(handler));
    receiver
}

/// A receiver of `provider` that takes what its envelope calls an event.
fn from(provider: &Provider, body: impl Into<Bytes>) -> Request<Body> {
    SignedRequest::new(provider, &secret(), body).at_unix(NOW).build()
}
