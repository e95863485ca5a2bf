//! Every form of a handler that is meant to compile.

use serde::Deserialize;
use tower_webhook::{
    Delivery, Event, EventRouter, FromRef, HandlerError, Outcome, Secret, State, WebhookLayer, caspay,
};

#[derive(Deserialize)]
struct Paid {}

impl Event for Paid {
    const TYPE: &'static str = "payment.completed";
}

#[derive(Deserialize)]
struct Failed {}

impl Event for Failed {
    const TYPE: &'static str = "payment.failed";
}

#[derive(Deserialize)]
struct Pending {}

impl Event for Pending {
    const TYPE: &'static str = "payment.pending";
}

#[derive(Clone)]
struct Database;

#[derive(Clone)]
struct Mailer;

#[derive(Clone)]
struct App {
    database: Database,
    mailer: Mailer,
}

impl FromRef<App> for Database {
    fn from_ref(app: &App) -> Self {
        app.database.clone()
    }
}

impl FromRef<App> for Mailer {
    fn from_ref(app: &App) -> Self {
        app.mailer.clone()
    }
}

async fn on_paid(_event: Paid) {}

async fn on_failed(
    _event: Failed,
    delivery: Delivery,
    State(_db): State<Database>,
) -> Result<(), HandlerError> {
    let _: u64 = delivery.id().parse()?;
    Ok(())
}

async fn on_pending(
    _event: Pending,
    _app: State<App>,
    _mailer: State<Mailer>,
    _delivery: Delivery,
    _again: Delivery,
) -> Outcome {
    Outcome::Done
}

async fn on_subscription(_payload: serde_json::Value) -> Result<Outcome, std::io::Error> {
    Ok(Outcome::Unhandled)
}

fn main() -> Result<(), tower_webhook::ConfigError> {
    let events = EventRouter::new()
        .on(on_paid)
        .on::<Failed, _>(on_failed)
        .on(on_pending)
        .on_type("subscription.*", on_subscription)
        .on_type("refund.created", async |_: serde_json::Value| ())
        .fallback(|_: Delivery| async { Err::<(), _>("nobody knows this type") })
        .with_state(App { database: Database, mailer: Mailer });
    let layer = WebhookLayer::new(caspay::provider(), Secret::new("a-good-signing-secret")?)?;
    let _ = layer.with_dispatch(events).into_service();
    Ok(())
}
