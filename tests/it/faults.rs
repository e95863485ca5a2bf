//! What goes wrong around a handler, and what the sender and the next attempt see of it.

mod endings;
mod leases;
mod shutdown;
mod slow;
mod sql;
mod store;
