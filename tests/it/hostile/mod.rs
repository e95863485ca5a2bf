//! The hostile sender: real receiver processes that are killed with SIGKILL at every step, real servers that are
//! killed, restarted and paused, and a sender that delivers as senders do. What the processes wrote down decides
//! afterwards whether an event was lost or doubled.
//!
//! The [`chaos`] runs take all of it at once; the [`faults`] take one crash at a time.

mod chaos;
pub(crate) mod dice;
mod effects;
mod failpoint;
mod faults;

mod fleet;
mod journal;
mod oracle;
mod planted;
mod receiver;
mod report;
mod runs;
mod schedules;
mod sender;
mod traffic;
mod watched;
mod world;
