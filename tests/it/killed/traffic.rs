//! Events that happen at a platform all the time, and what must have become of them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use sqlx::SqlitePool;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::task::JoinHandle;
use tower_webhook::dedup::SqliteStore;

use super::provider::Provider;

/// Events that were sent, and the endpoints that each was sent to.
pub(super) type Events = BTreeMap<String, BTreeSet<String>>;

pub(super) struct Traffic {
    events: Arc<Mutex<Events>>,
    task: JoinHandle<()>,
}

impl Traffic {
    /// An event every few milliseconds.
    pub(super) fn start(provider: Arc<Provider>) -> Self {
        let events = Arc::new(Mutex::new(Events::new()));
        let happening = Arc::clone(&events);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(15));
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let mut events = happening.lock().await;
                let (event, endpoints) = provider.emit().await;
                // Where nobody is subscribed nothing is sent.
                if !endpoints.is_empty() {
                    events.insert(event, endpoints.into_iter().collect());
                }
            }
        });
        Self { events, task }
    }

    /// What happened. While this is held nothing more does.
    pub(super) async fn halted(&self) -> OwnedMutexGuard<Events> {
        Arc::clone(&self.events).lock_owned().await
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the handlers did, by event: the labels of the secrets that it was verified by.
pub(super) struct Effects {
    pool: SqlitePool,
}

impl Effects {
    pub(super) async fn open(database: &std::path::Path) -> Self {
        let pool = SqlitePool::connect_with(SqliteStore::options(database)).await.unwrap();
        sqlx::raw_sql(super::worker::EFFECTS).execute(&pool).await.unwrap();
        Self { pool }
    }

    pub(super) async fn read(&self) -> BTreeMap<String, Vec<String>> {
        let rows: Vec<(String, String)> =
            sqlx::query_as("SELECT event, label FROM effects").fetch_all(&self.pool).await.unwrap();
        let mut effects = BTreeMap::<_, Vec<_>>::new();
        for (event, label) in rows {
            effects.entry(event).or_default().push(label);
        }
        effects
    }
}
