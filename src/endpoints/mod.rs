//! Webhook endpoints at the provider: subscribe to what you handle, rotate secrets, catch up on what was missed.
//!
//! | | client | manage ([`EndpointManager`]) | fetch missed events |
//! |---|---|---|---|
//! | CasaPay | [`CasaPay`]: create, retrieve, update, delete, list | yes | [`CatchUp`] |
//! | Diddo | [`Diddo`]: create, retrieve, update, delete, list | yes | not documented |
//! | CasPay | [`CasPay`]: create | only creating is documented | not documented |
//!
//! [`docs::endpoints`](crate::docs::endpoints) goes from nothing to a subscribed receiver, with a simulator in the place
//! of the provider.
//!
//! What all clients do alike:
//!
//! - URLs are https, those called and those subscribed; [`ClientOptions::allow_loopback`] is for a simulator.
//! - A certificate is one that the system trusts, or that
//!   [you do](ClientOptions::with_root_certificates). To any other nothing is sent.
//! - Redirects are not followed, since the API key would go along.
//! - Each attempt and each call ends in time. Calls that do no harm when repeated are, with growing pauses or when the
//!   API says (`Retry-After`). Creating is not: an endpoint too many delivers every event a second time.
//! - A signing secret is a [`Secret`](crate::Secret) from the first moment; neither it nor the API key is in any error,
//!   log or `Debug` output.
//! - An [`EndpointError`] says what to do.

mod api;
mod casapay;
mod caspay;
mod catch_up;
mod check;
mod diddo;
mod error;
mod http;
mod lock;
mod manager;
mod sink;
mod subscription;

pub use self::api::{EndpointApi, Registered, Wanted};
pub use self::casapay::{
    CasaPay, CasaPayEndpoint, EndpointStatus, EndpointUpdate, EventQuery, EventStream, FetchedEvent,
    ListStyle, NewEndpoint,
};
pub use self::caspay::{CasPay, CasPayEndpoint, CasPaySettings};
pub use self::catch_up::{CatchUp, CatchUpError, CaughtUp, Unsettled};
pub use self::diddo::{Diddo, DiddoEndpoint, DiddoEndpoints, DiddoList, DiddoSettings, DiddoUpdate};
pub use self::error::{EndpointError, EndpointErrorKind};
pub use self::http::ClientOptions;
pub use self::lock::{EndpointLock, NoLock, StoreLock};
pub use self::manager::{Change, EndpointManager, Ensured, Rotation, RotationPolicy, RotationStep};
pub use self::sink::{EnvFileSink, FileSink, Following, SecretSink};
