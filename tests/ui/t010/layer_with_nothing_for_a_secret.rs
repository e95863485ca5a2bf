//! What may hold no secret is none.

use tower_webhook::{Secret, WebhookLayer, caspay};

fn main() {
    let _ = WebhookLayer::new(caspay::provider(), None::<Secret>);
}
