//! Requests as they stand in files.

use bytes::Bytes;
use http::Request;
use tower_webhook::testing::SignedRequest;
use tower_webhook::{Secret, provider};

use crate::support::{NOW, SECRET};

/// A request of a preset, signed at [`NOW`] with [`SECRET`].
pub(crate) fn signed(preset: &str, body: &str) -> Request<Bytes> {
    signed_by(preset, SECRET, body)
}

pub(crate) fn signed_by(preset: &str, secret: &str, body: &str) -> Request<Bytes> {
    let provider = provider::find(preset).unwrap().provider();
    let secret = Secret::new(secret).unwrap();
    let request = SignedRequest::new(&provider, &secret, body.to_owned()).at_unix(NOW).build();
    request.map(|body| body.into_bytes())
}

/// As it is on the wire.
pub(crate) fn raw(request: &Request<Bytes>) -> Vec<u8> {
    let mut raw =
        b"POST /webhooks HTTP/1.1\r\nHost: shop.example\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\n".to_vec();
    for (name, value) in request.headers() {
        raw.extend_from_slice(format!("{name}: ").as_bytes());
        raw.extend_from_slice(value.as_bytes());
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(format!("Content-Length: {}\r\n\r\n", request.body().len()).as_bytes());
    raw.extend_from_slice(request.body());
    raw
}
