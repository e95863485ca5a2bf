//! The one integration binary: the service through `oneshot`, stores, and servers on loopback.
#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod server;
mod stage;
mod support;

mod axum_extractors;
mod body;
mod conformance;
mod disconnects;
mod envelope;
mod faults;
mod framing;
mod middleware;
mod observability;
mod pipeline;
mod responses;
mod secrets;
mod signature_header;
mod timestamps;
mod ui;
mod vectors;
mod verify_trait;
