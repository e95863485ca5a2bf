//! A handler that cannot move to another thread.

use std::rc::Rc;

use serde::Deserialize;
use tower_webhook::{Event, EventRouter};

#[derive(Deserialize)]
struct Paid {}

impl Event for Paid {
    const TYPE: &'static str = "payment.completed";
}

async fn on_paid(_event: Paid) {
    let ledger = Rc::new(7);
    std::future::ready(()).await;
    drop(ledger);
}

fn main() {
    let _: EventRouter = EventRouter::new().on(on_paid);
}
