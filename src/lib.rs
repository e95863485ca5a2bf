//! A tower layer that receives webhooks.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
mod clock;
pub mod dedup;
mod delivery;
pub mod dispatch;
mod envelope;
mod error;
mod future;
mod layer;
mod observe;
mod process;
pub mod provider;
mod response;
mod service;
mod signature;
mod timer;
mod timing;

#[cfg(feature = "axum")]
pub mod axum;
#[cfg(feature = "testing")]
pub mod testing;

pub use self::body::Body;
pub use self::clock::{Clock, SystemClock};
#[doc(inline)]
pub use self::dedup::{DedupStore, LruStore};
pub use self::delivery::Delivery;
#[doc(inline)]
pub use self::dispatch::{Event, EventRouter, FromDelivery, FromRef, Handler, HandlerError, Outcome, State};
pub use self::envelope::Envelope;
pub use self::error::{BoxError, ConfigError, Rejection, RejectionReason};
pub use self::future::ResponseFuture;
pub use self::layer::{ConfigWarning, Handles, WebhookLayer};
pub use self::observe::Stats;
pub use self::process::{DeadLetter, Drained, OnStoreFailure, Processor, Shutdown};
#[doc(inline)]
pub use self::provider::{Provider, ProviderBuilder, Retries, casapay, caspay};
pub use self::response::{Accepted, Answer, Answers, ResponseBody};
pub use self::service::{Unmounted, WebhookService};
pub use self::signature::{Encoding, Part, Proof, Secret, Secrets, SignatureScheme, Verifier};
pub use self::timing::Timing;

/// Compiles the programs of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
