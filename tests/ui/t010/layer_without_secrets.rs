//! Nothing to verify with: there is no constructor without secrets.

use tower_webhook::{WebhookLayer, caspay};

fn main() {
    let _ = WebhookLayer::new(caspay::provider());
}
