//! What goes wrong between a receiver and its database.
#![allow(clippy::duplicate_mod, reason = "the same tests for PostgreSQL and SQLite")]

mod inbox;
mod postgres;
mod proxy;
mod sqlite;
