//! The clients of the endpoint APIs against requests and answers as the providers document them, and against APIs that
//! do not keep to that.

mod api;
mod as_managed;
mod both;
mod busy_seconds;
mod calls;
mod casapay;
mod casapay_events;
mod caspay;
mod catch_up;
mod created;
mod diddo;
mod diddo_pages;
mod endless;
mod ensure;
mod env_file;
mod following;
mod forgotten;
mod hangs;
mod hidden;
mod leftovers;
mod lists;
mod marked;
mod memory;
mod proxy;
mod raw;
mod refused;
mod retries;
mod rotation;
mod several;
mod sinks;
mod statuses;
mod stored_first;
mod tls;
mod vault;
mod wire;
