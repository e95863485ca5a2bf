//! What an inbox needs of a database, beyond what sqlx says of all.

use std::future::Future;
use std::time::Duration;

use sqlx::{Database, Pool, Transaction};

use crate::dedup::{Claim, ClaimRequest, DedupKey, Lease, StoreError};

/// A database that an [`Inbox`](crate::inbox::Inbox) can be in: `sqlx::Postgres` and `sqlx::Sqlite`, with the features of
/// these names. It cannot be implemented elsewhere.
pub trait InboxDatabase: Database + Sealed {}

/// The connection of a database.
type Connection<DB> = <DB as Database>::Connection;

/// The steps of an attempt, each within the transaction of `connection`.
#[expect(unnameable_types, reason = "sealed")]
pub trait Sealed: Database {
    #[doc(hidden)]
    fn begin(lock_timeout: Duration, idle_timeout: Duration) -> String;

    #[doc(hidden)]
    fn claim<'a>(
        connection: &'a mut Connection<Self>,
        request: &'a ClaimRequest<'_>,
    ) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Marks the event done; `false` where this is no more the transaction that inserted the mark. A mark that the
    /// handler has committed by itself is made a done one all the same, for its effect is committed as well.
    #[doc(hidden)]
    fn complete<'a>(
        connection: &'a mut Connection<Self>,
        lease: &'a Lease,
        retain: Duration,
    ) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Whether this is still a transaction. Fails where it can only be rolled back.
    #[doc(hidden)]
    fn probe(connection: &mut Connection<Self>) -> impl Future<Output = Result<bool, sqlx::Error>> + Send;

    /// Commits. An error leaves the connection without a transaction, too.
    #[doc(hidden)]
    fn commit(
        transaction: Transaction<'static, Self>,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    #[doc(hidden)]
    fn roll_back(transaction: Transaction<'static, Self>) -> impl Future<Output = ()> + Send;

    /// Records that an attempt failed, and why.
    #[doc(hidden)]
    fn fail<'a>(
        connection: &'a mut Connection<Self>,
        lease: &'a Lease,
        error: &'a str,
    ) -> impl Future<Output = Result<(), sqlx::Error>> + Send;

    #[doc(hidden)]
    fn forget<'a>(
        pool: &'a Pool<Self>,
        key: &'a DedupKey,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Whether another transaction was in the way for too long.
    #[doc(hidden)]
    fn is_contention(error: &StoreError) -> bool;
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::fmt::Write as _;

    use sqlx::Postgres;

    use super::*;
    use crate::dedup::sql::{code, postgres};

    impl InboxDatabase for Postgres {}

    impl Sealed for Postgres {
        fn begin(lock_timeout: Duration, idle_timeout: Duration) -> String {
            // Zero would switch the timeout off.
            let milliseconds = |time: Duration| time.as_millis().clamp(1, i32::MAX as u128);
            let mut begin = "BEGIN".to_owned();
            for (setting, time) in
                [("lock_timeout", lock_timeout), ("idle_in_transaction_session_timeout", idle_timeout)]
            {
                // Cannot fail: it writes to memory.
                let _ = write!(begin, "; SET LOCAL {setting} = {}", milliseconds(time));
            }
            begin
        }

        async fn claim(
            connection: &mut Connection<Self>,
            request: &ClaimRequest<'_>,
        ) -> Result<Claim, StoreError> {
            postgres::claim(connection, request).await
        }

        async fn complete(
            connection: &mut Connection<Self>,
            lease: &Lease,
            retain: Duration,
        ) -> Result<bool, sqlx::Error> {
            if postgres::complete_claimed_here(connection, lease, retain).await? {
                return Ok(true);
            }
            postgres::complete(connection, lease, retain).await.map(|_| false)
        }

        async fn probe(connection: &mut Connection<Self>) -> Result<bool, sqlx::Error> {
            // Refused in a transaction that has failed, and outside of one: sqlx ends all of it where a handler's
            // savepoint could not be set.
            sqlx::raw_sql("SAVEPOINT tower_webhook").execute(connection).await.map(|_| true)
        }

        async fn commit(transaction: Transaction<'static, Self>) -> Result<(), sqlx::Error> {
            transaction.commit().await
        }

        async fn roll_back(transaction: Transaction<'static, Self>) {
            // One that cannot be reached is rolled back by its server.
            let _ = transaction.rollback().await;
        }

        async fn fail(
            connection: &mut Connection<Self>,
            lease: &Lease,
            error: &str,
        ) -> Result<(), sqlx::Error> {
            postgres::fail(connection, lease, error).await
        }

        async fn forget(pool: &Pool<Self>, key: &DedupKey) -> Result<(), StoreError> {
            postgres::forget(pool, key).await
        }

        fn is_contention(error: &StoreError) -> bool {
            code(error).as_deref() == Some(postgres::LOCK_NOT_AVAILABLE) || postgres::is_conflict(error)
        }
    }
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use sqlx::Sqlite;

    use super::*;
    use crate::dedup::sql::sqlite;

    impl InboxDatabase for Sqlite {}

    /// Whether a transaction is open. Afterwards one is in any case. SQLite ends one by itself, where the disk is full for
    /// instance, and a handler may.
    async fn is_open(connection: &mut Connection<Sqlite>) -> bool {
        sqlx::raw_sql("BEGIN").execute(connection).await.is_err()
    }

    impl Sealed for Sqlite {
        fn begin(_lock_timeout: Duration, _idle_timeout: Duration) -> String {
            // A transaction that reads first and writes then could not wait for another writer.
            "BEGIN IMMEDIATE".to_owned()
        }

        async fn claim(
            connection: &mut Connection<Self>,
            request: &ClaimRequest<'_>,
        ) -> Result<Claim, StoreError> {
            sqlite::claim(connection, request).await
        }

        async fn complete(
            connection: &mut Connection<Self>,
            lease: &Lease,
            retain: Duration,
        ) -> Result<bool, sqlx::Error> {
            let open = is_open(connection).await;
            let completed = sqlite::complete(connection, lease, retain).await?;
            if !open {
                sqlx::raw_sql("COMMIT").execute(connection).await?;
            }
            Ok(open && completed)
        }

        async fn probe(connection: &mut Connection<Self>) -> Result<bool, sqlx::Error> {
            Ok(is_open(connection).await)
        }

        async fn commit(mut transaction: Transaction<'static, Self>) -> Result<(), sqlx::Error> {
            let committed = sqlx::raw_sql("COMMIT").execute(&mut *transaction).await;
            Self::roll_back(transaction).await;
            committed.map(drop)
        }

        async fn roll_back(mut transaction: Transaction<'static, Self>) {
            // Without a transaction sqlx 0.9 cannot roll back, goes on counting it, and never begins another on this
            // connection.
            let _ = is_open(&mut transaction).await;
            let _ = transaction.rollback().await;
        }

        async fn fail(
            connection: &mut Connection<Self>,
            lease: &Lease,
            error: &str,
        ) -> Result<(), sqlx::Error> {
            sqlite::fail(connection, lease, error).await
        }

        async fn forget(pool: &Pool<Self>, key: &DedupKey) -> Result<(), StoreError> {
            sqlite::forget(pool, key).await
        }

        fn is_contention(error: &StoreError) -> bool {
            sqlite::is_busy(error)
        }
    }
}
