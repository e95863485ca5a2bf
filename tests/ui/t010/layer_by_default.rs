//! A layer has no default: its secrets have none.

use tower_webhook::WebhookLayer;

fn main() {
    let _: WebhookLayer = WebhookLayer::default();
}
