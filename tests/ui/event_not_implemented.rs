//! A payload that does not say which event type it belongs to.

use serde::Deserialize;
use tower_webhook::EventRouter;

#[derive(Deserialize)]
struct Paid {}

async fn on_paid(_event: Paid) {}

fn main() {
    let _: EventRouter = EventRouter::new().on(on_paid);
}
