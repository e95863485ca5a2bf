//! A file for each command. They share what lies beside this folder, and nothing of each other.

pub(crate) mod endpoints;
pub(crate) mod providers;
pub(crate) mod replay;
pub(crate) mod send;
pub(crate) mod sign;
pub(crate) mod verify;
