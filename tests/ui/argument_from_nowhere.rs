//! A further argument that cannot be made from a delivery.

use serde::Deserialize;
use tower_webhook::{Event, EventRouter};

#[derive(Deserialize)]
struct Paid {}

impl Event for Paid {
    const TYPE: &'static str = "payment.completed";
}

async fn on_paid(_event: Paid, _amount: u32) {}

fn main() {
    let _: EventRouter = EventRouter::new().on(on_paid);
}
