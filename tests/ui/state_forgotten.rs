//! A router whose state was never given.

use serde::Deserialize;
use tower_webhook::{Event, EventRouter};

#[derive(Deserialize)]
struct Paid {}

impl Event for Paid {
    const TYPE: &'static str = "payment.completed";
}

#[derive(Clone)]
struct Database;

async fn on_paid(_event: Paid, _db: tower_webhook::State<Database>) {}

fn mount(layer: tower_webhook::WebhookLayer) {
    let events: EventRouter<Database> = EventRouter::new().on(on_paid);
    let _ = layer.with_dispatch(events);
}

fn main() {}
