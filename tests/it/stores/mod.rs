//! Stores on real servers and files: what they keep, what is left of it when a server fails, and what holds for every
//! store after any sequence of operations.

mod every;
mod model;
mod postgres;
mod receiver;
mod redis;
mod sqlite;
