//! Stores on real servers and files.

mod postgres;
mod sqlite;
