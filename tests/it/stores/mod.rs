//! Stores on real servers and files: what they keep, what is left of it when a server fails, and what holds for every
//! store after any sequence of operations.

mod every;
mod model;
mod postgres;
mod receiver;
mod redis;
mod sqlite;

use tower_webhook::dedup::DedupStore;
use tower_webhook::testing::conformance::Suite;

/// The conformance suite over handles of one store.
fn suite<St: DedupStore + Clone>(store: St) -> Suite<St> {
    Suite::new(move || {
        let store = store.clone();
        async { store }
    })
}
