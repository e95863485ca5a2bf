//! A handler that is a plain function.

use serde::Deserialize;
use tower_webhook::{Event, EventRouter};

#[derive(Deserialize)]
struct Paid {}

impl Event for Paid {
    const TYPE: &'static str = "payment.completed";
}

fn on_paid(_event: Paid) {}

fn main() {
    let _: EventRouter = EventRouter::new().on(on_paid);
}
