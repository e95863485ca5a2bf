//! Stores on real servers: what they keep, and what of it is left when a server fails.

mod receiver;
mod redis;
