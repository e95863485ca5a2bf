//! For your tests: signed requests, deliveries, a manual clock, faults, and the conformance suite for stores.
//!
//! A handler is a function: most of its tests call it. Where the event must be read, or claimed, or signed:
//!
//! | what is tested | with |
//! |---|---|
//! | the event is read, and by the right handler | [`delivery`] and the router as a `tower::Service` |
//! | a duplicate runs once | [`delivery`] and [`Processor::process`](crate::Processor::process) |
//! | the whole receiver | [`sign`] or [`SignedRequest`], and [`ManualClock`] for stale ones |
//! | a captured request, which is refused | [`diagnose`] |
//! | the store is down | [`faulty::FaultyStore`] |
//! | a store of your own | [`conformance::Suite`] |
//! | subscribing, retries, rotation, catching up | `simulator::Simulator`, with the feature of that name |
//!
//! Put the feature into your `dev-dependencies`: it can sign, which a receiver has no use for.

pub mod conformance;
mod development;
mod diagnosis;
pub mod faulty;
mod request;
mod sample;
#[cfg(feature = "simulator")]
#[cfg_attr(docsrs, doc(cfg(feature = "simulator")))]
pub mod simulator;

pub use self::development::{development_secret, sample_payload, sample_type};
pub use self::diagnosis::{Cause, Diagnosis, diagnose, diagnose_labelled};
pub use self::request::{SignedRequest, delivery, delivery_with_headers, sign, verifying_secret};
pub use self::sample::SampleEvent;
pub use crate::clock::manual::ManualClock;
