//! How do I test my handlers?
//!
//!     cargo run --example test_handlers
//!
//! In your `Cargo.toml`, for tests only:
//!
//! ```toml
//! [dev-dependencies]
//! tower-webhook = { path = "../tower-webhook", features = ["testing"] }
//! ```
//!
//! Each function below is a test; put `#[tokio::test]` above it.
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tower::{Service as _, ServiceExt as _};
use tower_webhook::caspay::events::PaymentCompleted;
use tower_webhook::dedup::LruStore;
use tower_webhook::testing::faulty::{Fault, FaultyStore, Operation};
use tower_webhook::testing::{self, ManualClock, SignedRequest};
use tower_webhook::{
    EventRouter, HandlerError, Outcome, Rejection, RejectionReason, Secret, State, WebhookLayer, casapay,
    caspay,
};

// The code under test.

#[derive(Clone, Default)]
struct Till(Arc<AtomicU64>);

async fn on_paid(event: PaymentCompleted, State(till): State<Till>) -> Result<(), HandlerError> {
    if event.payment.currency != "CSPR" {
        return Err(HandlerError::permanent("we do not know this currency"));
    }
    till.0.fetch_add(event.payment.amount, Ordering::Relaxed);
    Ok(())
}

fn router(till: &Till) -> EventRouter {
    EventRouter::new().on(on_paid).with_state(till.clone())
}

// The tests.

type Tested = Result<(), tower_webhook::BoxError>;

fn paid(currency: &str) -> String {
    format!(
        r#"{{"id":"evt_1","type":"payment.completed","data":{{"payment":
        {{"id":"pay_1","amount":7,"currency":"{currency}","status":"completed"}}}}}}"#
    )
}

/// A handler is a function: call it.
async fn the_function_alone() -> Tested {
    let till = Till::default();
    let event = serde_json::from_str(r#"{"payment":{"id":"pay_1","amount":7,"currency":"EUR"}}"#)?;
    let error = on_paid(event, State(till)).await.err().ok_or("it was booked")?;
    assert!(error.is_permanent());
    Ok(())
}

/// The router as a service: is the event read, and by the right handler? No signature, no deduplication.
async fn the_router() -> Tested {
    let till = Till::default();
    let delivery = testing::delivery(&caspay::provider(), paid("CSPR"))?;
    assert!(matches!(router(&till).ready().await?.call(delivery).await?, Outcome::Done));
    assert_eq!(till.0.load(Ordering::Relaxed), 7);
    Ok(())
}

/// With deduplication, without HTTP.
async fn a_duplicate_books_once() -> Tested {
    let till = Till::default();
    let processor = WebhookLayer::new(caspay::provider(), Secret::new("a-secret-for-this-example")?)?
        .with_dispatch(router(&till))
        .processor();
    let delivery = testing::delivery(&caspay::provider(), paid("CSPR"))?;
    assert!(matches!(processor.process(delivery.clone()).await, Outcome::Done));
    assert!(matches!(processor.process(delivery).await, Outcome::Duplicate));
    assert_eq!(till.0.load(Ordering::Relaxed), 7);
    Ok(())
}

/// The whole receiver, with a signed request and a clock that stands still.
async fn a_stale_signature_is_refused() -> Tested {
    let secret = Secret::new("whsec_a-secret-for-this-example")?;
    let clock = ManualClock::at_unix(1_700_000_000);
    let request = SignedRequest::new(&casapay::provider(), &secret, "{}").at_unix(1_700_000_000).build();
    let service = WebhookLayer::new(casapay::provider(), secret)?
        .with_clock(clock.clone())
        .with_dispatch(router(&Till::default()))
        .into_service();
    clock.advance(Duration::from_secs(301));
    let answer = service.oneshot(request).await?;
    assert_eq!(answer.status(), 401);
    let rejection = answer.extensions().get::<Rejection>().ok_or("not rejected")?;
    assert_eq!(rejection.reason(), RejectionReason::TimestampTooOld);
    Ok(())
}

/// What if the store is down? Nothing is booked, and the sender is asked to come again.
async fn a_store_that_is_down() -> Tested {
    let (till, store) = (Till::default(), FaultyStore::new(LruStore::new(100)));
    store.faults().next(Operation::Claim, 1, Fault::Unavailable);
    let secret = Secret::new("a-secret-for-this-example")?;
    let service = WebhookLayer::new(caspay::provider(), Secret::new("a-secret-for-this-example")?)?
        .with_store(store)
        .with_dispatch(router(&till))
        .into_service();
    for (status, booked) in [(503, 0), (200, 7)] {
        let request = testing::sign(&caspay::provider(), &secret, paid("CSPR"));
        assert_eq!(service.clone().oneshot(request).await?.status(), status);
        assert_eq!(till.0.load(Ordering::Relaxed), booked);
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Tested {
    the_function_alone().await?;
    the_router().await?;
    a_duplicate_books_once().await?;
    a_stale_signature_is_refused().await?;
    a_store_that_is_down().await?;
    println!("ok");
    Ok(())
}
