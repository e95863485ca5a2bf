//! Marks in PostgreSQL.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres};
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

const MICROSECOND: Duration = Duration::from_micros(1);

const SERIALIZATION_FAILURE: &str = "40001";
const DEADLOCK: &str = "40P01";
pub(crate) const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Ended rows that one statement of a purge removes: few enough that it is over in milliseconds.
const PURGE_BATCH: i64 = 1_000;

/// Remembers events in a table of PostgreSQL, through a pool of yours: marks that survive restarts and that every
/// instance sees.
///
/// Every transition is one statement, decided by the server's clock. A claim that finds the event known takes a second
/// one, to learn what of it, and leaves the row alone; taking over what became free is a third. No connection is held while a
/// handler runs, so that handlers can use the same pool. Where your effect is in the same database, the
/// [inbox](Self::inbox) commits mark and effect together.
///
/// # Setting up
///
/// [`SCHEMA`](Self::SCHEMA) makes the table; put it into a migration of yours, or call [`migrate`](Self::migrate) at
/// start-up. The table is found by the connection's `search_path`. Rows whose time is over stay until
/// [`purge`](Self::purge) removes them: call it every few minutes, from any instance.
///
/// The table is for reading, too: `scope`, `event_type`, `event_id` (escaped, at most 200 characters), `first_seen`,
/// `attempts`, `state`, `completed_at`, and `last_error` where an inbox is used.
///
/// # What it relies on
///
/// - `synchronous_commit` on (PostgreSQL's default) makes a 200 durable; [`check`](Self::check) warns where it is not.
///   After a failover to a replica that had not received the last marks, their events run again; none is lost.
/// - The layer gives a store 2 s for every operation ([`Timing::store_timeout`](crate::Timing::store_timeout)), the wait
///   for a connection included, whatever the pool's `acquire_timeout` is. A connection on which an operation was cut off
///   is closed, not used again.
/// - PgBouncer in transaction mode needs `max_prepared_statements` (1.21 and later): without it, one client's statement
///   may be performed as another's of the same name. That is also so with sqlx's `statement_cache_capacity(0)`.
/// - A database host that vanishes without a word is noticed by TCP alone, after a quarter of an hour as Linux is set up:
///   `net.ipv4.tcp_retries2 = 5` on this side makes it 13 seconds. Keep sqlx's `test_before_acquire`, which is on by
///   default: an idle connection that is broken then costs a new one, and no event.
///
/// ```no_run
/// use sqlx::postgres::PgPoolOptions;
/// use tower_webhook::dedup::PostgresStore;
/// use tower_webhook::{EventRouter, Secret, WebhookLayer, caspay};
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = PgPoolOptions::new().max_connections(20).connect("postgres://localhost/shop").await?;
/// let store = PostgresStore::new(pool);
/// store.migrate().await?;
/// for warning in store.check().await? {
///     eprintln!("{warning}");
/// }
/// let webhook = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?
///     .with_store(store.clone())
///     .with_dispatch(EventRouter::new().on(async |event: caspay::events::PaymentCompleted| drop(event)));
///
/// tokio::spawn(async move {
///     let mut every = tokio::time::interval(std::time::Duration::from_secs(300));
///     loop {
///         every.tick().await;
///         if let Err(error) = store.purge().await {
///             eprintln!("{error}");
///         }
///     }
/// });
/// # drop(webhook);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct PostgresStore {
    pool: PgPool,
    /// Shared by the inboxes of this pool.
    transactions: Arc<Semaphore>,
}

impl PostgresStore {
    /// The statements that make the table `tower_webhook_events`, its index and its sequence, where they are missing.
    ///
    /// ```
    /// use tower_webhook::dedup::PostgresStore;
    ///
    /// assert!(PostgresStore::SCHEMA.contains("CREATE TABLE IF NOT EXISTS tower_webhook_events"));
    /// ```
    pub const SCHEMA: &'static str = include_str!("schema.sql");

    /// A store in the database of `pool`. Nothing is sent yet.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        // All connections but one, which stays for claims and for handlers that use the pool beside their transaction.
        let connections = usize::try_from(pool.options().get_max_connections()).unwrap_or(usize::MAX);
        let transactions = Semaphore::new(connections.saturating_sub(1).min(Semaphore::MAX_PERMITS));
        Self { pool, transactions: Arc::new(transactions) }
    }

    /// The transactional inbox: a layer for the dispatch that commits an event's mark and its handler's effect together.
    ///
    /// # Errors
    ///
    /// [`ConfigError::PoolTooSmall`] where the pool has fewer than two connections: one stays free for everything else.
    pub fn inbox(&self) -> Result<Inbox<Postgres>, ConfigError> {
        Inbox::new(&self.pool, &self.transactions)
    }

    /// Runs [`SCHEMA`](Self::SCHEMA) where something of it is missing. Instances may do so at the same time, and while
    /// others work: where all is there, nothing is locked. (`SCHEMA` itself would wait for every open inbox, and claims
    /// for it: run it once.)
    ///
    /// # Errors
    ///
    /// Where the database cannot be reached, or the role may not create tables.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        const COMPLETE: &str = "SELECT to_regclass('tower_webhook_events') IS NOT NULL \
            AND to_regclass('tower_webhook_events_ends_at') IS NOT NULL \
            AND to_regclass('tower_webhook_events_fence') IS NOT NULL";
        if sqlx::query_scalar(COMPLETE).fetch_one(&self.pool).await.map_err(failed)? {
            return Ok(());
        }
        // One query of several statements is one transaction; without the lock two of them collide in the catalogue.
        const LOCKED: &str =
            concat!("SELECT pg_advisory_xact_lock(7453010373645639282);", include_str!("schema.sql"));
        sqlx::raw_sql(LOCKED).execute(&self.pool).await.map_err(failed)?;
        Ok(())
    }

    /// Removes rows that ended more than an hour ago, in batches of 1,000; says how many. An event whose row is gone
    /// is a new one. Several instances may purge at the same time.
    ///
    /// # Errors
    ///
    /// Where the database cannot be reached. What was removed so far stays removed.
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

    /// Looks, at start-up, for settings of the server under which a 200 means less than it says.
    ///
    /// # Errors
    ///
    /// Where the database cannot be reached, and where the table is missing.
    pub async fn check(&self) -> Result<Vec<StoreWarning>, StoreError> {
        let statement = "SELECT current_setting('fsync') = 'on', current_setting('synchronous_commit') <> 'off', \
            (SELECT count(*) FROM (SELECT 1 FROM tower_webhook_events LIMIT 1) AS any_row)";
        let (fsync, waits, _): (bool, bool, i64) =
            sqlx::query_as(statement).fetch_one(&self.pool).await.map_err(failed)?;
        let mut warnings = Vec::new();
        if !fsync || !waits {
            warnings.push(StoreWarning::CommitsNotDurable);
        }
        Ok(logged(warnings))
    }
}

impl DedupStore for PostgresStore {
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        let mut connection = Operation::on(&self.pool).await?;
        let answer = claim(&mut connection, request).await;
        connection.ended();
        match answer {
            Err(error) if is_conflict(&error) => Ok(CONTENDED),
            answer => answer,
        }
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, StoreError> {
        let mut connection = Operation::on(&self.pool).await?;
        let answer = complete_always(&mut connection, lease, retain).await;
        connection.ended();
        answer
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let release =
            sqlx::query(include_str!("release.sql")).bind(lease.key().as_bytes()).bind(column(lease.fence()));
        let mut connection = Operation::on(&self.pool).await?;
        let released = release.execute(&mut **connection).await;
        connection.ended();
        released.map(drop).map_err(failed)
    }

    async fn forget(&self, key: &DedupKey) -> Result<(), StoreError> {
        forget(&self.pool, key).await
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new(true, true)
    }
}

/// A connection for one operation. It is closed where the operation was cut off: sqlx would wait for the answer before it
/// gives the connection's place in the pool to another, and a server that has vanished never answers.
struct Operation {
    connection: PoolConnection<Postgres>,
    ended: bool,
}

impl Operation {
    async fn on(pool: &PgPool) -> Result<Self, StoreError> {
        Ok(Self { connection: pool.acquire().await.map_err(failed)?, ended: false })
    }

    fn ended(&mut self) {
        self.ended = true;
    }
}

impl Deref for Operation {
    type Target = PoolConnection<Postgres>;

    fn deref(&self) -> &PoolConnection<Postgres> {
        &self.connection
    }
}

impl DerefMut for Operation {
    fn deref_mut(&mut self) -> &mut PoolConnection<Postgres> {
        &mut self.connection
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

/// Claims an event on this connection, within its transaction if it has one.
pub(crate) async fn claim(
    connection: &mut PgConnection,
    request: &ClaimRequest<'_>,
) -> Result<Claim, StoreError> {
    for _ in 0..CLAIM_ROUNDS {
        if let Some(claim) = write(connection, include_str!("insert.sql"), request).await? {
            return Ok(claim);
        }
        // A statement of its own: the first one saw the table as it was before it waited for the row.
        let row: Option<(String, i64)> = sqlx::query_as(include_str!("read.sql"))
            .bind(request.key().as_bytes())
            .fetch_optional(&mut *connection)
            .await
            .map_err(failed)?;
        // A row that a purge has removed meanwhile is inserted in the next round.
        let Some((state, microseconds)) = row else { continue };
        if let Some(claim) = found(&state, left(microseconds, MICROSECOND))? {
            return Ok(claim);
        }
        if let Some(claim) = write(connection, include_str!("take_over.sql"), request).await? {
            return Ok(claim);
        }
    }
    Ok(CONTENDED)
}

/// Runs one of the two statements that claim.
async fn write(
    connection: &mut PgConnection,
    statement: &'static str,
    request: &ClaimRequest<'_>,
) -> Result<Option<Claim>, StoreError> {
    let fence: Option<i64> = sqlx::query_scalar(statement)
        .bind(request.key().as_bytes())
        .bind(units(request.lease(), MICROSECOND))
        .bind(&*readable(request.scope()))
        .bind(&*readable(request.event_type()))
        .bind(&*readable(request.id()))
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    fence.map(|fence| acquired(request.key(), fence)).transpose()
}

/// Marks a claimed event done; `false` where the lease is not the current one.
pub(crate) async fn complete(
    connection: &mut PgConnection,
    lease: &Lease,
    retain: Duration,
) -> Result<bool, sqlx::Error> {
    mark_done(connection, include_str!("complete.sql"), lease, retain).await
}

/// As [`complete`], and only in the transaction that claimed the event: one that the handler ended holds no mark.
pub(crate) async fn complete_claimed_here(
    connection: &mut PgConnection,
    lease: &Lease,
    retain: Duration,
) -> Result<bool, sqlx::Error> {
    const HERE: &str =
        concat!(include_str!("complete.sql"), " AND xmin::text::bigint = txid_current() % 4294967296");
    mark_done(connection, HERE, lease, retain).await
}

/// Marks an event done, whoever holds it.
async fn complete_always(
    connection: &mut PgConnection,
    lease: &Lease,
    retain: Duration,
) -> Result<Completion, StoreError> {
    if complete(connection, lease, retain).await.map_err(failed)? {
        return Ok(Completion::Completed);
    }
    let done: Option<i32> = sqlx::query_scalar(include_str!("complete_lost.sql"))
        .bind(lease.key().as_bytes())
        .bind(column(lease.fence()))
        .bind(units(retain, MICROSECOND))
        .fetch_optional(connection)
        .await
        .map_err(failed)?;
    done.map(|_| Completion::LeaseLost).ok_or_else(unknown_state)
}

async fn mark_done(
    connection: &mut PgConnection,
    statement: &'static str,
    lease: &Lease,
    retain: Duration,
) -> Result<bool, sqlx::Error> {
    let completed = sqlx::query(statement)
        .bind(lease.key().as_bytes())
        .bind(column(lease.fence()))
        .bind(units(retain, MICROSECOND))
        .execute(connection)
        .await?;
    Ok(completed.rows_affected() == 1)
}

/// Gives a claimed event back, and says what happened.
pub(crate) async fn fail(
    connection: &mut PgConnection,
    lease: &Lease,
    error: &str,
) -> Result<(), sqlx::Error> {
    let fail = sqlx::query(include_str!("fail.sql"))
        .bind(lease.key().as_bytes())
        .bind(column(lease.fence()))
        .bind(&*readable(error));
    fail.execute(connection).await?;
    Ok(())
}

pub(crate) async fn forget(pool: &PgPool, key: &DedupKey) -> Result<(), StoreError> {
    let forget = sqlx::query(include_str!("forget.sql")).bind(key.as_bytes());
    forget.execute(pool).await.map_err(failed)?;
    Ok(())
}

/// Whether another transaction was faster, where the pool's are stricter than READ COMMITTED.
pub(crate) fn is_conflict(error: &StoreError) -> bool {
    matches!(code(error).as_deref(), Some(SERIALIZATION_FAILURE | DEADLOCK))
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The pool would show its options, and with them the host and the user.
        f.debug_struct("PostgresStore").field("connections", &self.pool.size()).finish_non_exhaustive()
    }
}
