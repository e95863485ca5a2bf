//! The simulated platforms, spoken to with a plain HTTP client and with handwritten requests.

mod apis;
mod behaviour;
mod control;
mod deliveries;
mod events;
mod faults;
mod held;
mod senders;
mod stand;
