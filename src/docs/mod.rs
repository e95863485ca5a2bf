//! The longer chapters: what you can rely on, who can attack it, and how to add to it. There is no code here.

#[doc = include_str!("guarantees.md")]
pub mod guarantees {}

#[doc = include_str!("threats.md")]
pub mod threats {}

#[doc = include_str!("stores.md")]
pub mod stores {}

#[doc = include_str!("capacity.md")]
pub mod capacity {}

#[doc = include_str!("providers.md")]
pub mod providers {}

#[doc = include_str!("catalogue.md")]
pub mod catalogue {}

#[doc = include_str!("secrets.md")]
pub mod secrets {}

#[cfg(feature = "endpoints")]
#[doc = include_str!("endpoints.md")]
pub mod endpoints {}

#[doc = include_str!("observability.md")]
pub mod observability {}
