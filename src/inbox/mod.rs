//! The transactional inbox: mark and effect in one transaction.
//!
//! It stands between the layer's claim and the handlers, as tower middleware of the dispatch. The mark is inserted
//! first, the handler works in the same transaction, and one commit makes both durable, or neither.

mod database;
mod held;
mod service;
mod tx;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Pool;
use tokio::sync::Semaphore;
use tower_layer::Layer;

pub use self::database::InboxDatabase;
pub use self::service::{InboxFuture, InboxService};
pub use self::tx::Tx;

use crate::dedup::{DedupKey, StoreError};
use crate::delivery::Delivery;
use crate::error::ConfigError;
use crate::provider::check_name;

/// A tower layer for the dispatch, with which the effect of a handler and the mark of its event are **one** commit.
///
/// From `PostgresStore::inbox` or `SqliteStore::inbox`, for [`EventRouter::layer`](crate::EventRouter::layer). For each
/// event it begins a transaction, inserts the event's mark, and runs the handler, which takes the transaction as
/// [`Tx`]. `Ok` commits mark and effect together. `Err`, a panic, a timeout, a lost connection, a crash at any point
/// rolls both back. What a handler does through `Tx` is thereby done **exactly once**; what it does elsewhere (another
/// database, a mail) at least once, as without an inbox.
///
/// A redelivery of a committed event is a duplicate and runs nothing, also in another instance and after a restart.
/// One that comes while the event is handled waits for the transaction, for
/// [`with_lock_timeout`](Self::with_lock_timeout): it then is a duplicate (committed), takes the event over (rolled
/// back), or is answered 503.
///
/// The store of the [`WebhookLayer`](crate::WebhookLayer) stays in front: an `LruStore`, the default, keeps this
/// process's duplicates from waiting in the database. It decides nothing any more.
///
/// # Connections
///
/// Transactions and duplicates that wait hold a connection each. Together they never take the last one of the pool:
/// further events wait for two seconds at the most, and are then answered 503. Inboxes that are made from clones of one
/// store share this limit, so make **one store a pool**.
///
/// # When an attempt fails
///
/// It is rolled back, and recorded afterwards in a transaction of its own: the row's `attempts` and `last_error` are
/// for operators to read. (A process that is killed records nothing, nor does a handler that runs into the layer's
/// timeout, nor an attempt that another one has overtaken.) An event that is dead-lettered commits nothing: the hook has it.
///
/// # What a handler must not do
///
/// End the transaction by a `COMMIT` or `ROLLBACK` of its own: the attempt then counts as failed. Savepoints
/// (`tx.begin()`) are fine. In PostgreSQL a failed statement spoils the transaction until a rollback to a savepoint; a
/// handler that ignores its error and returns `Ok` has failed all the same.
///
/// ```
/// use sqlx::{Sqlite, sqlite::SqlitePoolOptions};
/// use tower_webhook::caspay::events::PaymentCompleted;
/// use tower_webhook::dedup::SqliteStore;
/// use tower_webhook::inbox::Tx;
/// use tower_webhook::{EventRouter, Secret, WebhookLayer, caspay};
/// # use tower::ServiceExt as _;
/// # use tower_webhook::testing;
///
/// async fn on_paid(event: PaymentCompleted, mut tx: Tx<Sqlite>) -> Result<(), sqlx::Error> {
///     sqlx::query("UPDATE accounts SET motes = motes + ? WHERE name = 'shop'")
///         .bind(event.payment.amount as i64)
///         .execute(&mut *tx)
///         .await?;
///     Ok(())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("shop.db");
/// let pool = SqlitePoolOptions::new().max_connections(4).connect_with(SqliteStore::options(&path)).await?;
/// sqlx::raw_sql("CREATE TABLE accounts (name TEXT, motes INTEGER); INSERT INTO accounts VALUES ('shop', 0)")
///     .execute(&pool)
///     .await?;
/// let store = SqliteStore::new(pool.clone());
/// store.migrate().await?;
///
/// let webhook = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?
///     .with_dispatch(EventRouter::new().on(on_paid).layer(store.inbox()?));
/// # let service = webhook.into_service();
/// # let body = r#"{"id":"evt_1","type":"payment.completed","data":
/// #     {"payment":{"id":"pay_1","amount":7,"currency":"CSPR","status":"completed"}}}"#;
/// # for _ in 0..3 {
/// #     let request = testing::sign(&caspay::provider(), &Secret::new("a-signing-secret")?, body);
/// #     assert_eq!(service.clone().oneshot(request).await?.status(), 200);
/// # }
///
/// // After three deliveries of one event:
/// let motes: i64 = sqlx::query_scalar("SELECT motes FROM accounts").fetch_one(&pool).await?;
/// assert_eq!(motes, 7);
/// # Ok(())
/// # }
/// ```
#[must_use]
pub struct Inbox<DB: InboxDatabase> {
    pool: Pool<DB>,
    transactions: Arc<Semaphore>,
    stage: Arc<str>,
    settings: Settings,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    lock_timeout: Duration,
    idle_timeout: Duration,
    retention: Duration,
}

impl<DB: InboxDatabase> Inbox<DB> {
    /// An inbox in the database of `pool`, whose transactions take permits of `transactions`.
    pub(crate) fn new(pool: &Pool<DB>, transactions: &Arc<Semaphore>) -> Result<Self, ConfigError> {
        let connections = pool.options().get_max_connections();
        if connections < 2 {
            return Err(ConfigError::PoolTooSmall { connections });
        }
        let settings = Settings {
            lock_timeout: Duration::from_millis(500),
            idle_timeout: Duration::from_secs(30),
            retention: Duration::from_secs(35 * 24 * 60 * 60),
        };
        Ok(Self {
            pool: pool.clone(),
            transactions: Arc::clone(transactions),
            stage: Arc::from("inbox"),
            settings,
        })
    }

    /// How long a done event is remembered. Default: 35 days, longer than any sender in the
    /// [catalogue](crate::docs::catalogue) is documented to retry. It is apart from [`Timing`](crate::Timing)'s, which
    /// the layer's own store follows.
    pub fn with_retention(mut self, retention: Duration) -> Self {
        self.settings.retention = retention;
        self
    }

    /// Names the stage of processing whose marks these are, where one event passes several inboxes of one database:
    /// a queue's, and its workers'. Default: `inbox`. Keep it: another name is another identity for every event.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidName`] unless the name has 1 to 64 characters of `a-z`, `0-9`, `-`, `_` and `.`.
    pub fn with_stage(mut self, name: &str) -> Result<Self, ConfigError> {
        check_name(name)?;
        self.stage = name.into();
        Ok(self)
    }

    /// Forgets that an event is done, so that a redelivery of it runs again: for the operator whose handler was wrong
    /// when the event came. The layer's own store has a mark of its own, which
    /// [`Processor::forget`](crate::Processor::forget) removes: do both.
    ///
    /// # Errors
    ///
    /// Where the database cannot answer.
    pub async fn forget(&self, delivery: &Delivery) -> Result<(), StoreError> {
        let scope = self.scope(delivery);
        let key = DedupKey::new(&scope, delivery.event_type(), delivery.id());
        DB::forget(&self.pool, &key).await
    }

    /// Apart from what a store in the same table claims, for a receiver or for a worker's stage (`#name`).
    fn scope(&self, delivery: &Delivery) -> String {
        format!("{}##{}", delivery.scope(), self.stage)
    }
}

/// What PostgreSQL waits for.
#[cfg(feature = "postgres")]
impl Inbox<sqlx::Postgres> {
    /// How long a statement of the transaction waits for a lock: a redelivery for the attempt before it, but also your
    /// handler for a row of yours. Default: 500 ms, for a sender waits too, and its next attempt finds the event done.
    /// A redelivery waits for two seconds at the most, whatever this says.
    ///
    /// SQLite has one lock, and waits for it as long as the connection's `busy_timeout` says.
    pub fn with_lock_timeout(mut self, timeout: Duration) -> Self {
        self.settings.lock_timeout = timeout;
        self
    }

    /// How long the transaction of a handler may be idle before the server ends it, which frees the event of a machine
    /// that has vanished. Default: 30 s, longer than a handler's timeout of 20 s; raise it with that. A machine that
    /// vanishes in the middle of a statement is noticed by TCP keep-alive: set `tcp_keepalives_idle` on the server.
    /// A process that ends is noticed at once, here and in SQLite.
    pub fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.settings.idle_timeout = timeout;
        self
    }
}

impl<DB: InboxDatabase> Clone for Inbox<DB> {
    fn clone(&self) -> Self {
        Self {
            pool: self.pool.clone(),
            transactions: Arc::clone(&self.transactions),
            stage: Arc::clone(&self.stage),
            settings: self.settings,
        }
    }
}

impl<DB: InboxDatabase, S> Layer<S> for Inbox<DB> {
    type Service = InboxService<S, DB>;

    fn layer(&self, inner: S) -> Self::Service {
        InboxService::new(inner, self.clone())
    }
}

impl<DB: InboxDatabase> fmt::Debug for Inbox<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox")
            .field("stage", &self.stage)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
