//! Stores on real servers and files, and every store beside a model.

mod model;
mod postgres;
mod sqlite;
