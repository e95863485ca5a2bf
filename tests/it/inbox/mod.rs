//! The transactional inbox on real databases: what one needs not ask of a single one runs on both.
#![allow(clippy::duplicate_mod, reason = "the same tests for PostgreSQL and SQLite")]

pub(crate) mod postgres;
pub(crate) mod sqlite;
