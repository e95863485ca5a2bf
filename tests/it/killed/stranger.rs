//! Somebody who has no secret.

use bytes::Bytes;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tower_webhook::testing::simulator::Platform;
use tower_webhook::{Secret, testing};

use super::account::preset;
use crate::stage::within_a_minute;

/// Delivers until the receiver answers this: 401, or 503 as long as it awaits another secret.
pub(super) async fn is_answered(platform: Platform, url: &str, status: u16) {
    let answered = async { while delivers(platform, url).await != status {} };
    within_a_minute(answered).await;
}

async fn delivers(platform: Platform, url: &str) -> u16 {
    let secret = Secret::new(format!("whsec_{}", "0".repeat(64))).unwrap();
    let body = r#"{"id":"evt_forged","type":"invoice.paid","created":1,"data":{"object":{}}}"#;
    let (head, _) = testing::sign(&preset(platform), &secret, body).into_parts();
    let mut request = http::Request::post(url);
    for (name, value) in &head.headers {
        request = request.header(name, value);
    }
    let client = Client::builder(TokioExecutor::new()).build_http();
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    client.request(request).await.unwrap().status().as_u16()
}
