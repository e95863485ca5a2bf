//! A return value that says nothing about what became of the event.

use serde::Deserialize;
use tower_webhook::{Event, EventRouter};

#[derive(Deserialize)]
struct Paid {}

impl Event for Paid {
    const TYPE: &'static str = "payment.completed";
}

async fn on_paid(_event: Paid) -> u64 {
    7
}

fn main() {
    let _: EventRouter = EventRouter::new().on(on_paid);
}
