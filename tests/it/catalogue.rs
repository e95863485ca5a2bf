//! Every preset: it verifies what its provider would sign and nothing else, reads its provider's bodies, and stands in
//! the tables of the documentation as what it is.

mod bodies;
mod signing;
mod tables;

use tower_webhook::Provider;
use tower_webhook::provider::catalogue;

/// Every preset with its name, under the URL that some of them sign.
fn presets() -> impl Iterator<Item = (&'static str, Provider)> {
    catalogue().iter().map(|preset| {
        let provider = preset.provider().with_public_url("https://shop.example/hooks?tenant=7").unwrap();
        (preset.name(), provider)
    })
}
