//! A state that is not the one which the handlers ask for.

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
    let _ = EventRouter::new().on(on_paid).with_state(Database);
}
