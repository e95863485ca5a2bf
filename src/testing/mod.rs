//! For your tests: signed requests, deliveries, a manual clock, faults, and the conformance suite for stores.

pub mod conformance;
pub mod faulty;
mod request;

pub use self::request::{SignedRequest, delivery, sign};
pub use crate::clock::manual::ManualClock;
