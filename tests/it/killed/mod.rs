//! SIGKILL at every step of ensuring and rotating an endpoint, while the platform delivers: no secret is lost, nothing
//! is half created silently, and no delivery is answered 401.
//!
//! The platform is a process, and so is the receiver that subscribes itself and rotates, which is killed. Between the two
//! stands a [`gate`] that holds a call before the platform has executed it or after, and the receiver's sink stops at
//! [checkpoints](checkpoint), so that the kill comes exactly where it is meant to.

mod account;
mod chances;
mod checkpoint;
mod ensuring;
mod gate;
mod provider;
mod rotating;
mod said;
mod seen;
mod site;
mod stranger;
mod traffic;
mod whole;
mod worker;
