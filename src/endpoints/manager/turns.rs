//! One at a time for each URL, among the clones of a manager, whatever the lock is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

#[derive(Default)]
pub(super) struct Turns {
    /// Of those who have one, and who wait for one.
    of: Mutex<HashMap<String, Arc<Turn<()>>>>,
}

impl Turns {
    pub(super) async fn take(&self, name: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(name.to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn a_turn_is_of_one_name_and_forgotten_afterwards() {
        let turns = Turns::default();
        let held = turns.take("a").now_or_never().unwrap();
        assert!(turns.take("a").now_or_never().is_none());
        assert!(turns.take("b").now_or_never().is_some(), "another name waits for nobody");
        drop(held);
        let _held = turns.take("a").now_or_never().unwrap();
        assert_eq!(turns.of.lock().unwrap().keys().collect::<Vec<_>>(), ["a"]);
    }
}
