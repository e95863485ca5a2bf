//! The layer among tower's middleware, on both of its sides, and mounted on axum.

mod dispatch;
mod inner;
mod mounting;
mod outer;
mod processor;
mod readiness;
