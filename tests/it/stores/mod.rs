//! Stores on real servers and files, and what holds for every store after any sequence of operations.

mod model;
mod postgres;
mod sqlite;
