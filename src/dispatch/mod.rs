//! Step 5: hand the event to its handler.
//!
//! [`EventRouter`] holds one handler an event type and is a `tower::Service<Delivery>`, so that tower's
//! middleware wraps it with [`EventRouter::layer`].

mod event;
mod extract;
mod handler;
mod outcome;
mod router;
mod service;

pub use self::event::Event;
pub use self::extract::{FromDelivery, FromRef, State};
pub use self::handler::Handler;
pub(crate) use self::outcome::ErrorKind;
pub use self::outcome::{HandlerError, IntoOutcome, Outcome};
pub use self::router::{EventRouter, RouterFuture};
pub use self::service::{Dispatch, Layered, NoDispatch, TakesAll};
