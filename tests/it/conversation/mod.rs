//! The whole conversation, as three kinds of processes have it: a provider, a receiver that subscribes itself, and a
//! PostgreSQL that keeps its marks and effects.

pub(crate) mod process;
pub(crate) mod provider;
mod receiver;
mod story;
