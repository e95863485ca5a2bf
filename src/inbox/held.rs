//! A transaction, and its place among those that the pool has room for.

use std::ops::{Deref, DerefMut};

use sqlx::{Database, Transaction};
use tokio::sync::OwnedSemaphorePermit;

/// The place is given back when the transaction has ended, not before: the pool's last connection stays free.
pub(super) struct Held<DB: Database> {
    /// Taken at the end only.
    transaction: Option<Transaction<'static, DB>>,
    place: Option<OwnedSemaphorePermit>,
}

impl<DB: Database> Held<DB> {
    pub(super) fn new(transaction: Transaction<'static, DB>, place: OwnedSemaphorePermit) -> Self {
        Self { transaction: Some(transaction), place: Some(place) }
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        match self.transaction.take() {
            Some(transaction) => transaction.commit().await,
            None => Ok(()),
        }
    }

    /// A transaction that cannot be reached is rolled back by its server.
    pub(super) async fn roll_back(mut self) {
        if let Some(transaction) = self.transaction.take() {
            let _ = transaction.rollback().await;
        }
    }
}

impl<DB: Database> Deref for Held<DB> {
    type Target = DB::Connection;

    #[expect(clippy::expect_used, reason = "taken by methods that take all of it")]
    fn deref(&self) -> &DB::Connection {
        self.transaction.as_ref().expect("a transaction until the end")
    }
}

impl<DB: Database> DerefMut for Held<DB> {
    #[expect(clippy::expect_used, reason = "taken by methods that take all of it")]
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.transaction.as_mut().expect("a transaction until the end")
    }
}

impl<DB: Database> Drop for Held<DB> {
    /// A handler that was cut off may have a statement running: the connection is back when that has ended.
    fn drop(&mut self) {
        let (transaction, place) = (self.transaction.take(), self.place.take());
        if let Some(transaction) = transaction
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move {
                let _ = transaction.rollback().await;
                drop(place);
            });
        }
    }
}
