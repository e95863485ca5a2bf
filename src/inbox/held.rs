//! A transaction, and its place among those that the pool has room for.

use std::ops::{Deref, DerefMut};

use sqlx::{AssertSqlSafe, Pool, SqlSafeStr as _, Transaction};
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::{JoinError, JoinHandle};

use super::database::InboxDatabase;

/// The place is given back when the transaction has ended, not before: the pool's last connection stays free.
///
/// Beginnings and ends run in tasks of their own, which are never cut off in the middle. sqlx 0.9 gives a connection
/// whose `BEGIN` was cut off back to its pool with the transaction open, and whatever it is used for next is committed
/// by nobody.
pub(super) struct Held<DB: InboxDatabase> {
    /// Taken at the end only.
    transaction: Option<Transaction<'static, DB>>,
    place: Option<OwnedSemaphorePermit>,
    /// It may be dropped where there is none, by a thread of the handler's.
    runtime: Handle,
}

impl<DB: InboxDatabase> Held<DB> {
    pub(super) async fn begin(
        pool: &Pool<DB>,
        place: OwnedSemaphorePermit,
        statement: AssertSqlSafe<String>,
    ) -> Result<Self, sqlx::Error> {
        // The wait for a connection may be cut off, and does not keep the place then.
        let connection = pool.acquire().await?;
        // Where nobody waits any more, what comes of it is dropped, and thereby rolled back.
        let begun = tokio::spawn(async move {
            let transaction = Transaction::begin(connection, Some(statement.into_sql_str())).await?;
            Ok(Self { transaction: Some(transaction), place: Some(place), runtime: Handle::current() })
        });
        begun.await.map_err(stopped)?
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        let (transaction, place) = (self.transaction.take(), self.place.take());
        let Some(transaction) = transaction else { return Ok(()) };
        let committed = tokio::spawn(async move {
            let committed = DB::commit(transaction).await;
            drop(place);
            committed
        });
        committed.await.map_err(stopped)?
    }

    pub(super) async fn roll_back(mut self) {
        if let Some(rolled_back) = self.start_rollback() {
            let _ = rolled_back.await;
        }
    }

    /// Waits for a statement that was cut off, then rolls back. A runtime that has ended closes the connection.
    fn start_rollback(&mut self) -> Option<JoinHandle<()>> {
        let (transaction, place) = (self.transaction.take()?, self.place.take());
        let _entered = self.runtime.enter();
        Some(tokio::spawn(async move {
            DB::roll_back(transaction).await;
            drop(place);
        }))
    }
}

/// The runtime ended, or a driver panicked.
fn stopped(error: JoinError) -> sqlx::Error {
    sqlx::Error::Io(error.into())
}

impl<DB: InboxDatabase> Deref for Held<DB> {
    type Target = DB::Connection;

    #[expect(clippy::expect_used, reason = "taken by methods that take all of it")]
    fn deref(&self) -> &DB::Connection {
        self.transaction.as_ref().expect("a transaction until the end")
    }
}

impl<DB: InboxDatabase> DerefMut for Held<DB> {
    #[expect(clippy::expect_used, reason = "taken by methods that take all of it")]
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.transaction.as_mut().expect("a transaction until the end")
    }
}

impl<DB: InboxDatabase> Drop for Held<DB> {
    fn drop(&mut self) {
        let _ = self.start_rollback();
    }
}
