//! Can I use it without axum?
//!
//!     cargo run --example plain_hyper
//!
//! The layer is a `tower::Service`, so that hyper serves it as it is. Here it is the whole server: give it a path of
//! its own, with a router or in the proxy, once you serve anything else.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::server::conn::http1;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower_webhook::caspay::events::PaymentCompleted;
use tower_webhook::testing::SignedRequest;
use tower_webhook::{EventRouter, Secret, WebhookLayer, caspay};

async fn on_paid(event: PaymentCompleted) {
    println!("{}: {} motes", event.payment.id, event.payment.amount);
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let webhook = WebhookLayer::new(caspay::provider(), Secret::new("a-secret-for-this-example")?)?
        .with_dispatch(EventRouter::new().on(on_paid));
    let shutdown = webhook.shutdown();
    let service = TowerToHyperService::new(webhook.into_service());

    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move {
        let mut http = http1::Builder::new();
        // hyper arms no timeout without a timer.
        http.timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(5));
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(http.serve_connection(TokioIo::new(stream), service.clone()));
        }
    });

    // What follows plays the provider.
    let secret = Secret::new("a-secret-for-this-example")?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let body = r#"{"id":"evt_1","type":"payment.completed","data":{"payment":
        {"id":"pay_1","amount":100000000000,"currency":"CSPR","status":"completed"}}}"#;
    for _ in ["handled", "duplicate"] {
        let request = SignedRequest::new(&caspay::provider(), &secret, body)
            .with_uri(format!("http://{address}/"))
            .build()
            .map(|body| Full::new(body.into_bytes()));
        let answer = client.request(request).await?;
        assert_eq!(answer.status(), 200);
        assert!(answer.into_body().collect().await?.to_bytes().is_empty());
    }
    let unsigned = hyper::Request::post(format!("http://{address}/")).body(Full::from(body))?;
    assert_eq!(client.request(unsigned).await?.status(), 401);

    // Stop accepting, then wait for handlers that outlived their request. `receiver` waits for connections too.
    server.abort();
    assert!(shutdown.drain(Duration::from_secs(10)).await.is_complete());
    println!("ok");
    Ok(())
}
