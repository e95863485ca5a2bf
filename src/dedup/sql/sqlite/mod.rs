//! Marks in SQLite.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Sqlite, SqliteConnection, SqlitePool};
use tokio::sync::Semaphore;

use super::{
    CLAIM_ROUNDS, CONTENDED, acquired, code, column, failed, found, left, readable, units, unknown_state,
};
use crate::dedup::warning::logged;
use crate::dedup::{
    Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease, StoreError, StoreInfo, StoreWarning,
};
use crate::error::ConfigError;
use crate::inbox::Inbox;

const MILLISECOND: Duration = Duration::from_millis(1);

const SQLITE_BUSY: u32 = 5;

/// Ended rows that one statement of a purge removes, while other writers wait.
const PURGE_BATCH: i64 = 500;

/// How long a statement waits for another writer: less than the 2 s that a store is given, so that the answer is
/// SQLite's.
const BUSY_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Remembers events in a table of SQLite, through a pool of yours: marks that survive restarts, on one machine and
/// without a server. Several processes of that machine may share the file.
///
/// Every transition is one statement, decided by the machine's clock; a claim that was not acquired takes a second one,
/// to learn why. SQLite has one writer at a time: others wait for [1.5 s](Self::options), then the delivery is answered
/// 503. Where your effect is in the same file, the [inbox](Self::inbox) commits mark and effect together.
///
/// # Setting up
///
/// [`SCHEMA`](Self::SCHEMA) makes the table; put it into a migration of yours, or call [`migrate`](Self::migrate) at
/// start-up. Rows whose time is over stay until [`purge`](Self::purge) removes them: call it every few minutes. The
/// table is for reading, too, as that of `PostgresStore` is.
///
/// # What it relies on
///
/// - WAL and `synchronous = FULL`, as [`options`](Self::options) sets them. With `NORMAL` a power failure takes the last
///   marks, and their events run again. [`check`](Self::check) warns of both.
/// - A local disk. Network file systems do not lock as SQLite needs it.
/// - The system's clock: one that is set forward ends leases early. Let it be slewed, as NTP daemons do.
///
/// ```
/// use sqlx::sqlite::SqlitePoolOptions;
/// use tower_webhook::dedup::{Claim, ClaimRequest, DedupStore, SqliteStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("shop.db");
/// let pool = SqlitePoolOptions::new().max_connections(4).connect_with(SqliteStore::options(&path)).await?;
/// let store = SqliteStore::new(pool);
/// store.migrate().await?;
/// assert!(store.check().await?.is_empty());
///
/// let lease = std::time::Duration::from_secs(30);
/// let request = ClaimRequest::new("caspay", "payment.completed", "evt_123", lease);
/// let Claim::Acquired(lease) = store.claim(&request).await? else { panic!("somebody has it") };
/// store.complete(&lease, std::time::Duration::from_secs(604_800)).await?;
/// assert_eq!(store.claim(&request).await?, Claim::Done);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct SqliteStore {
    pool: SqlitePool,
    /// Shared by the inboxes of this pool.
    transactions: Arc<Semaphore>,
}

impl SqliteStore {
    /// The statements that make the table `tower_webhook_events` and its index, where they are missing.
    ///
    /// ```
    /// use tower_webhook::dedup::SqliteStore;
    ///
    /// assert!(SqliteStore::SCHEMA.contains("CREATE TABLE IF NOT EXISTS tower_webhook_events"));
    /// ```
    pub const SCHEMA: &'static str = include_str!("schema.sql");

    /// How to open the file at `path`, which is made where it is missing: WAL, `synchronous = FULL`, and 1.5 s of
    /// waiting for another writer, less than the 2 s that the layer waits for a store.
    #[must_use]
    pub fn options(path: impl AsRef<Path>) -> SqliteConnectOptions {
        SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
    }

    /// A store in the file of `pool`. Nothing is done yet.
    #[must_use]
    pub fn new(pool: SqlitePool) -> Self {
        // SQLite has one writer at a time. Waiting for a place is fair; waiting for SQLite's lock is not.
        Self { pool, transactions: Arc::new(Semaphore::new(1)) }
    }

    /// The transactional inbox: a layer for the dispatch that commits an event's mark and its handler's effect together.
    /// Its transactions write, and are therefore one at a time, in the order of their arrival: keep handlers short, and
    /// an `LruStore`, the default, as the layer's own store: a claim in this file would have to wait for every handler.
    ///
    /// # Errors
    ///
    /// [`ConfigError::PoolTooSmall`] where the pool has fewer than two connections: one stays free for everything else.
    pub fn inbox(&self) -> Result<Inbox<Sqlite>, ConfigError> {
        Inbox::new(&self.pool, &self.transactions)
    }

    /// Runs [`SCHEMA`](Self::SCHEMA). Processes may do so at the same time.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        sqlx::raw_sql(Self::SCHEMA).execute(&self.pool).await.map_err(failed)?;
        Ok(())
    }

    /// Removes rows that ended more than an hour ago, in batches of 500; says how many. An event whose row is gone is
    /// a new one.
    ///
    /// # Errors
    ///
    /// Where the file cannot be written. What was removed so far stays removed.
    pub async fn purge(&self) -> Result<u64, StoreError> {
        let mut purged = 0;
        loop {
            let batch = sqlx::query(include_str!("purge.sql")).bind(PURGE_BATCH).execute(&self.pool);
            let removed = batch.await.map_err(failed)?.rows_affected();
            purged += removed;
            if removed < PURGE_BATCH.unsigned_abs() {
                return Ok(purged);
            }
        }
    }

    /// Looks, at start-up, for settings under which a 200 means less than it says, or writers get into each other's
    /// way.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, and where the table is missing.
    pub async fn check(&self) -> Result<Vec<StoreWarning>, StoreError> {
        // Settings are a connection's: all are asked of one.
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        let statement = "SELECT \
            (SELECT journal_mode FROM pragma_journal_mode), (SELECT synchronous FROM pragma_synchronous), \
            (SELECT timeout FROM pragma_busy_timeout), \
            (SELECT count(*) FROM (SELECT 1 FROM tower_webhook_events LIMIT 1))";
        let (journal, synchronous, busy, _): (String, i64, i64, i64) =
            sqlx::query_as(statement).fetch_one(&mut *connection).await.map_err(failed)?;
        let mut warnings = Vec::new();
        if synchronous < 2 {
            warnings.push(StoreWarning::CommitsNotDurable);
        }
        if journal != "wal" || busy == 0 {
            warnings.push(StoreWarning::WritersCollide);
        }
        Ok(logged(warnings))
    }
}

impl DedupStore for SqliteStore {
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        claim(&mut connection, request).await
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, StoreError> {
        let mut connection = self.pool.acquire().await.map_err(failed)?;
        if complete(&mut connection, lease, retain).await.map_err(failed)? {
            return Ok(Completion::Completed);
        }
        let done: Vec<i64> = sqlx::query_scalar(include_str!("complete_lost.sql"))
            .bind(lease.key().as_bytes().as_slice())
            .bind(column(lease.fence()))
            .bind(units(retain, MILLISECOND))
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        if done.is_empty() { Err(unknown_state()) } else { Ok(Completion::LeaseLost) }
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let release = sqlx::query(include_str!("release.sql"))
            .bind(lease.key().as_bytes().as_slice())
            .bind(column(lease.fence()));
        release.execute(&self.pool).await.map_err(failed)?;
        Ok(())
    }

    async fn forget(&self, key: &DedupKey) -> Result<(), StoreError> {
        forget(&self.pool, key).await
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new(true, false)
    }
}

/// Claims an event on this connection, within its transaction if it has one.
pub(crate) async fn claim(
    connection: &mut SqliteConnection,
    request: &ClaimRequest<'_>,
) -> Result<Claim, StoreError> {
    let (scope, event_type, id) =
        (readable(request.scope()), readable(request.event_type()), readable(request.id()));
    for _ in 0..CLAIM_ROUNDS {
        // All rows are fetched, although there is one at most: the statement commits with its last step, and an error
        // of that step must not be lost.
        let fences: Vec<i64> = sqlx::query_scalar(include_str!("claim.sql"))
            .bind(request.key().as_bytes().as_slice())
            .bind(units(request.lease(), MILLISECOND))
            .bind(&*scope)
            .bind(&*event_type)
            .bind(&*id)
            .fetch_all(&mut *connection)
            .await
            .map_err(failed)?;
        if let Some(fence) = fences.first() {
            return acquired(request.key(), *fence);
        }
        let row: Option<(String, i64)> = sqlx::query_as(include_str!("read.sql"))
            .bind(request.key().as_bytes().as_slice())
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
        if let Some((state, milliseconds)) = row
            && let Some(claim) = found(&state, left(milliseconds, MILLISECOND))?
        {
            return Ok(claim);
        }
    }
    Ok(CONTENDED)
}

/// Marks a claimed event done; `false` where the lease is not the current one.
pub(crate) async fn complete(
    connection: &mut SqliteConnection,
    lease: &Lease,
    retain: Duration,
) -> Result<bool, sqlx::Error> {
    let completed = sqlx::query(include_str!("complete.sql"))
        .bind(lease.key().as_bytes().as_slice())
        .bind(column(lease.fence()))
        .bind(units(retain, MILLISECOND))
        .execute(connection)
        .await?;
    Ok(completed.rows_affected() == 1)
}

/// Gives a claimed event back, and says what happened.
pub(crate) async fn fail(
    connection: &mut SqliteConnection,
    lease: &Lease,
    error: &str,
) -> Result<(), sqlx::Error> {
    let fail = sqlx::query(include_str!("fail.sql"))
        .bind(lease.key().as_bytes().as_slice())
        .bind(column(lease.fence()))
        .bind(&*readable(error));
    fail.execute(connection).await?;
    Ok(())
}

pub(crate) async fn forget(pool: &SqlitePool, key: &DedupKey) -> Result<(), StoreError> {
    let forget = sqlx::query(include_str!("forget.sql")).bind(key.as_bytes().as_slice());
    forget.execute(pool).await.map_err(failed)?;
    Ok(())
}

/// Whether another writer was in the way for longer than the busy timeout. Extended codes have the plain one in their
/// lowest byte.
pub(crate) fn is_busy(error: &StoreError) -> bool {
    code(error).and_then(|code| code.parse::<u32>().ok()).is_some_and(|code| code & 0xff == SQLITE_BUSY)
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("connections", &self.pool.size()).finish_non_exhaustive()
    }
}
