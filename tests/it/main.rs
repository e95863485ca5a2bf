//! The one integration binary: the service through `oneshot`, stores, and servers on loopback.
#![allow(clippy::unwrap_used, reason = "a test that unwraps in vain has failed")]

mod server;
mod servers;
mod stage;
mod support;
mod tls;

mod advisories;
mod axum_extractors;
mod body;
mod catalogue;
mod cli;
mod conformance;
mod conversation;
mod disconnects;
mod endpoints;
mod envelope;
mod faults;
mod framing;
mod handshakes;
mod hostile;
mod inbox;
mod killed;
mod middleware;
mod observability;
mod pipeline;
mod platforms;
mod promises;
mod properties;
mod responses;
mod scheme_errors;
mod sdk;
mod secrets;
mod signature_header;
mod signed_headers;
mod simulator;
mod stores;
mod tenants;
mod timestamps;
mod ui;
mod vectors;
mod verify_trait;
