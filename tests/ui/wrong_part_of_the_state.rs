//! A handler that asks for a state which the router does not have, and the router says so.

use serde::Deserialize;
use tower_webhook::{Event, EventRouter};

#[derive(Deserialize)]
struct Paid {}

impl Event for Paid {
    const TYPE: &'static str = "payment.completed";
}

#[derive(Clone)]
struct Database;

#[derive(Clone)]
struct Mailer;

async fn on_paid(_event: Paid, _mailer: tower_webhook::State<Mailer>) {}

fn main() {
    let _ = EventRouter::<Database>::new().on(on_paid);
}
