//! How do I give each event type its handler, and what becomes of events that nobody can handle?
//!
//!     cargo run --example typed_dispatch
#![allow(clippy::print_stdout, reason = "a program for the terminal")]

use std::sync::{Arc, Mutex, PoisonError};

use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt as _;
use tower_webhook::caspay::events::{PaymentCompleted, PaymentFailed};
use tower_webhook::{
    Accepted, DeadLetter, Delivery, Event, EventRouter, FromRef, HandlerError, Rejection, Secret, State,
    WebhookLayer, caspay, testing,
};

/// Keeps what happened. Yours is a database.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<Vec<String>>>);

impl Ledger {
    fn write(&self, line: String) {
        println!("{line}");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }

    fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct App {
    ledger: Ledger,
    largest_amount: u64,
}

/// Lets a handler ask for a part of the state.
impl FromRef<App> for Ledger {
    fn from_ref(app: &App) -> Self {
        app.ledger.clone()
    }
}

#[derive(Clone, Copy)]
struct LargestAmount(u64);

impl FromRef<App> for LargestAmount {
    fn from_ref(app: &App) -> Self {
        Self(app.largest_amount)
    }
}

/// The first argument says which type this handler takes. An error means *not done*: the sender is answered 503 and
/// tries again, unless the error is permanent.
async fn on_paid(
    event: PaymentCompleted,
    State(ledger): State<Ledger>,
    State(LargestAmount(largest)): State<LargestAmount>,
) -> Result<(), HandlerError> {
    if event.payment.amount > largest {
        return Err(HandlerError::permanent("an amount that only a human may book"));
    }
    ledger.write(format!("{} paid {}", event.payment.id, event.payment.amount));
    Ok(())
}

/// An error that a later attempt may mend. Any error type will do, with `?`.
async fn on_failed(event: PaymentFailed) -> Result<(), std::io::Error> {
    Err(std::io::Error::other(format!(
        "cannot tell the buyer of {}: the mail server is down",
        event.payment.id
    )))
}

/// A type of your own, for a payload that the provider's documentation leaves open.
#[derive(Deserialize)]
struct SubscriptionCreated {
    plan: String,
}

impl Event for SubscriptionCreated {
    const TYPE: &'static str = "subscription.created";
}

async fn on_subscription_created(event: SubscriptionCreated, State(ledger): State<Ledger>) {
    ledger.write(format!("new subscription: {}", event.plan));
}

/// A family of types shares one handler; `Value` takes any payload.
async fn on_subscription(_: Value, delivery: Delivery, State(ledger): State<Ledger>) {
    ledger.write(format!("something about a subscription: {}", delivery.event_type()));
}

/// Told of every type that no other handler takes. Without a fallback they are acknowledged and forgotten.
async fn on_other(delivery: Delivery, State(ledger): State<Ledger>) {
    ledger.write(format!("unknown type: {}", delivery.event_type()));
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let ledger = Ledger::default();
    let events = EventRouter::new()
        .on(on_paid)
        .on(on_failed)
        .on(on_subscription_created)
        .on_type("subscription.*", on_subscription)
        .fallback(on_other)
        .with_state(App { ledger: ledger.clone(), largest_amount: 1_000_000_000_000 });
    // What to subscribe the endpoint to at the provider.
    println!("handled: {}", events.event_types().join(", "));

    let letters = ledger.clone();
    let secret = Secret::new("a-secret-for-this-example")?;
    let service = WebhookLayer::new(caspay::provider(), Secret::new("a-secret-for-this-example")?)?
        .with_dispatch(events)
        // Store the raw body durably: once this returns `Ok` the sender is answered 200 and never sends it again.
        .with_dead_letter(move |letter: DeadLetter| {
            let letters = letters.clone();
            async move {
                letters.write(format!("dead letter {}: {}", letter.delivery().id(), letter.error()));
                Ok::<_, std::io::Error>(())
            }
        })
        .into_service();

    let payment = |amount: u64| {
        format!(r#"{{"payment":{{"id":"pay_1","amount":{amount},"currency":"CSPR","status":"completed"}}}}"#)
    };
    let deliveries = [
        // id, type, payload, status, why
        ("evt_1", "payment.completed", payment(7), 200, "handled"),
        ("evt_1", "payment.completed", payment(7), 200, "duplicate"),
        ("evt_2", "payment.completed", payment(u64::MAX), 200, "dead_lettered"),
        ("evt_3", "payment.completed", r#"{"payment":"none"}"#.to_owned(), 200, "dead_lettered"),
        ("evt_4", "payment.failed", payment(7), 503, "handler_failed"),
        ("evt_5", "subscription.created", r#"{"plan":"gold"}"#.to_owned(), 200, "handled"),
        ("evt_6", "subscription.updated", "{}".to_owned(), 200, "handled"),
        ("evt_7", "invented.yesterday", "{}".to_owned(), 200, "handled"),
    ];
    for (id, event_type, data, status, why) in deliveries {
        let body = format!(r#"{{"id":"{id}","type":"{event_type}","data":{data}}}"#);
        let answer = service.clone().oneshot(testing::sign(&caspay::provider(), &secret, body)).await?;
        // For you alone: the sender sees a status and an empty body.
        let accepted = answer.extensions().get::<Accepted>().map(|accepted| accepted.as_str());
        let rejected = answer.extensions().get::<Rejection>().map(|rejection| rejection.reason().as_str());
        assert_eq!((answer.status().as_u16(), accepted.or(rejected)), (status, Some(why)), "{id}");
    }
    assert_eq!(
        ledger.lines(),
        [
            "pay_1 paid 7",
            "dead letter evt_2: an amount that only a human may book",
            "dead letter evt_3: the payload does not fit the type: Data error at line 1 column 17",
            "new subscription: gold",
            "something about a subscription: subscription.updated",
            "unknown type: invented.yesterday",
        ]
    );
    println!("ok");
    Ok(())
}
