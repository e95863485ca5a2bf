//! What goes wrong between a platform and its receivers: [`Behaviour`].

use std::time::Duration;

use serde::Deserialize;

/// More copies of an attempt than any test needs, and few enough for one machine.
const MOST_COPIES: u32 = 64;

/// How a platform delivers. The default is: once, whole, at once, and waiting for the answer.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::testing::simulator::Behaviour;
///
/// let behaviour = Behaviour::default()
///     .with_copies(3) // every attempt three times, side by side
///     .with_disconnects(1) // the first attempt at each event is broken off before its answer
///     .with_out_of_order(5, 42) // five deliveries are held back, then sent in an order that 42 decides
///     .with_trickle(64, Duration::from_millis(1)); // bodies come in pieces of 64 bytes
/// assert_ne!(behaviour, Behaviour::default());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[must_use]
pub struct Behaviour {
    copies: u32,
    disconnects: u32,
    out_of_order: Option<OutOfOrder>,
    trickle: Option<Trickle>,
}

/// Deliveries held back until there are `batch`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct OutOfOrder {
    pub(super) batch: usize,
    #[serde(default)]
    pub(super) seed: u64,
}

/// A body sent in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Trickle {
    pub(super) bytes: usize,
    pause_ms: u64,
}

impl Trickle {
    #[cfg(test)]
    pub(super) fn new(bytes: usize, pause_ms: u64) -> Self {
        Self { bytes, pause_ms }
    }

    pub(super) fn pause(self) -> Duration {
        Duration::from_millis(self.pause_ms)
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self { copies: 1, disconnects: 0, out_of_order: None, trickle: None }
    }
}

impl Behaviour {
    /// Sends every attempt so many times at once, 1 to 64: the same bytes, each on a connection of its own. The event
    /// counts as accepted when one of them is.
    pub fn with_copies(mut self, copies: u32) -> Self {
        self.copies = copies;
        self
    }

    /// Breaks the first so many attempts at each event off: the request is sent whole, the connection closed before an
    /// answer is read. The sender then goes on as if there had been none.
    pub fn with_disconnects(mut self, attempts: u32) -> Self {
        self.disconnects = attempts;
        self
    }

    /// Holds deliveries back until there are `batch`, and begins them in an order that `seed` decides, each when the
    /// answer to the one before has come. Retries are not held. What is held when the behaviour changes is sent then, and
    /// while somebody waits until [everything is settled](super::Simulator::settled) nothing is held. What is held for an
    /// endpoint that is disabled or deleted is never sent.
    pub fn with_out_of_order(mut self, batch: usize, seed: u64) -> Self {
        self.out_of_order = Some(OutOfOrder { batch, seed });
        self
    }

    /// Sends bodies in pieces of `bytes` with a pause, of whole milliseconds, before each.
    pub fn with_trickle(mut self, bytes: usize, pause: Duration) -> Self {
        let pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.trickle = Some(Trickle { bytes, pause_ms });
        self
    }

    pub(super) fn copies(&self) -> u32 {
        self.copies.clamp(1, MOST_COPIES)
    }

    pub(super) fn disconnects(&self, attempt: u32) -> bool {
        attempt <= self.disconnects
    }

    pub(super) fn out_of_order(&self) -> Option<OutOfOrder> {
        self.out_of_order
    }

    pub(super) fn trickle(&self) -> Option<Trickle> {
        self.trickle
    }
}
