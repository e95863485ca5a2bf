//! A layer on its own that would verify everything and do nothing.

use tower_webhook::WebhookLayer;

fn mount(layer: WebhookLayer) {
    let _ = layer.into_service();
}

fn main() {}
