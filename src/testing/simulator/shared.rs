//! What the tasks of a simulator share, and how they end.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::log::Record;
use super::settings::Settings;
use super::state::State;

/// Settings and state, for the tasks.
pub(super) struct Shared {
    pub(super) settings: Settings,
    state: Mutex<State>,
    pending: Arc<watch::Sender<usize>>,
    stopped: watch::Sender<bool>,
}

/// One delivery that has not ended; its drop says that it has.
pub(super) struct Pending(Arc<watch::Sender<usize>>);

impl Drop for Pending {
    fn drop(&mut self) {
        self.0.send_modify(|pending| *pending -= 1);
    }
}

impl Shared {
    pub(super) fn new(settings: Settings, state: State) -> Self {
        Self {
            settings,
            state: Mutex::new(state),
            pending: Arc::default(),
            stopped: watch::Sender::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn one_more(&self) -> Pending {
        self.pending.send_modify(|pending| *pending += 1);
        Pending(Arc::clone(&self.pending))
    }

    pub(super) fn pending(&self) -> watch::Receiver<usize> {
        self.pending.subscribe()
    }

    /// Runs until it has ended or the simulator has.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut stopped = self.stopped.subscribe();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                _ = stopped.wait_for(|stopped| *stopped) => {}
                () = task => {}
            }
        });
    }

    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
        // Outside the lock: what is held tells others that it is gone.
        let held = std::mem::take(&mut self.lock().held);
        drop(held);
    }

    /// Tells the observer. One that panics must not take a delivery or a connection with it.
    pub(super) fn observe(&self, record: Record<'_>) {
        if let Some(observer) = &self.settings.observer {
            _ = catch_unwind(AssertUnwindSafe(|| observer(record)));
        }
    }
}
