//! The receiver process: the test binary, which executes itself to run one ignored test.

use std::convert::Infallible;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::routing::get;
use redis::aio::ConnectionManagerConfig;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use sqlx::sqlite::SqlitePoolOptions;
use tokio::signal::unix::{SignalKind, signal};
use tower::{Layer as _, ServiceExt as _};
use tower_webhook::dedup::{DedupStore, LruStore, PostgresStore, SqliteStore};

use tower_webhook::inbox::{Inbox, InboxDatabase, Tx};
use tower_webhook::{
    Delivery, EventRouter, HandlerError, Handles, Outcome, RedisStore, Timing, WebhookLayer, caspay,
};

use super::effects::{Effect, Ledger, Part};
use super::failpoint::{Armed, Failpoints, Point};
use super::journal::{Incarnation, Journal, What};
use super::planted::{Planted, Wrong};
use super::watched::Watched;
use crate::support::secrets;

/// The sender is told after this time that its event is not done yet.
pub(super) const RESPOND_BY: Duration = Duration::from_millis(400);
pub(super) const STORE_TIMEOUT: Duration = Duration::from_millis(300);
pub(super) const LEASE: Duration = Duration::from_millis(1_600);
/// How long a slow handler takes: longer than the sender is kept waiting, within what a handler may take.
const SLOW: Duration = Duration::from_millis(450);
const HANDLER_TIMEOUT: Duration = Duration::from_millis(800);
/// How long a shutdown waits for what runs.
pub(super) const DRAIN: Duration = Duration::from_secs(3);

/// The variable that a receiver reads its configuration from.
pub(super) const CONFIGURATION: &str = "TOWER_WEBHOOK_HOSTILE_RECEIVER";

/// Where a receiver keeps its marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    Lru,
    Redis,
    Postgres,
    Sqlite,
    /// In the transaction of the handler.
    PostgresInbox,
    SqliteInbox,
    /// Planted: marks in Redis before it processes.
    MarkFirst,
    /// Planted: looks into Redis before, marks after.
    CheckThenMark,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Configuration {
    pub(super) kind: Kind,
    /// Of the server, or the file, of the store.
    pub(super) url: String,
    pub(super) port: u16,
    pub(super) incarnation: Incarnation,
    pub(super) armed: Vec<Armed>,
    pub(super) journal: PathBuf,
    pub(super) ledger: PathBuf,
    /// A file that is there once a stop is over.
    pub(super) resumed: PathBuf,
}

/// What a delivery tells the handler to do with the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Order {
    Do,
    /// Take longer than the sender is kept waiting.
    Slowly,
    /// Return an error.
    Fail,
}

#[derive(Deserialize)]
struct Payload {
    order: Order,
}

/// What a receiver says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Said {
    pub(super) incarnation: Incarnation,
    pub(super) in_flight: u64,
    pub(super) pending: usize,
    pub(super) leases_lost: u64,
    pub(super) without_claim: u64,
}

#[test]
#[ignore = "the receiver process of the hostile sender"]
fn receiver_process() {
    // Started by hand with all other ignored tests it has nothing to do.
    let Ok(configuration) = std::env::var(CONFIGURATION) else { return };
    end_with_the_parent();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(serve(serde_json::from_str(&configuration).unwrap()));
}

/// The parent holds the other end of the input, however it ends.
fn end_with_the_parent() {
    std::thread::spawn(|| {
        _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(1);
    });
}

async fn serve(configuration: Configuration) {
    let url = &*configuration.url;
    match configuration.kind {
        Kind::Lru => with_store(LruStore::new(100_000), &configuration).await,
        Kind::Redis => with_store(RedisStore::new(redis(url)), &configuration).await,
        Kind::Postgres => with_store(PostgresStore::new(postgres(url)), &configuration).await,
        Kind::Sqlite => with_store(SqliteStore::new(sqlite(url)), &configuration).await,
        Kind::PostgresInbox => {
            let inbox = PostgresStore::new(postgres(url)).inbox().unwrap();
            let receiver = Receiver::new(&configuration);
            receiver.run(LruStore::new(100_000), receiver.handlers_in(inbox)).await;
        }
        Kind::SqliteInbox => {
            let inbox = SqliteStore::new(sqlite(url)).inbox().unwrap();
            let receiver = Receiver::new(&configuration);
            receiver.run(LruStore::new(100_000), receiver.handlers_in(inbox)).await;
        }
        Kind::MarkFirst | Kind::CheckThenMark => {
            let first = configuration.kind == Kind::MarkFirst;
            let wrong = if first { Wrong::MarkFirst } else { Wrong::CheckThenMark };
            with_store(Planted { wrong, connection: redis(url) }, &configuration).await;
        }
    }
}

/// Connects with the first operation: a server that is down while the receiver starts is no reason not to start.
fn redis(url: &str) -> redis::aio::ConnectionManager {
    let timeout = Some(STORE_TIMEOUT);
    let settings = ConnectionManagerConfig::new()
        .set_response_timeout(timeout)
        .set_connection_timeout(timeout)
        .set_max_delay(STORE_TIMEOUT);
    redis::Client::open(url).unwrap().get_connection_manager_lazy(settings).unwrap()
}

fn postgres(url: &str) -> sqlx::PgPool {
    PgPoolOptions::new().max_connections(16).acquire_timeout(STORE_TIMEOUT).connect_lazy(url).unwrap()
}

fn sqlite(path: &str) -> sqlx::SqlitePool {
    let options = SqliteStore::options(path).busy_timeout(STORE_TIMEOUT);
    SqlitePoolOptions::new().max_connections(4).connect_lazy_with(options)
}

async fn with_store<St: DedupStore>(store: St, configuration: &Configuration) {
    let receiver = Receiver::new(configuration);
    let events = receiver.handlers();
    receiver.run(store, events).await;
}

#[derive(Clone)]
struct Receiver {
    points: Arc<Failpoints>,
    incarnation: Incarnation,
    journal: Journal,
    ledger: Ledger,
    port: u16,
}

impl Receiver {
    fn new(configuration: &Configuration) -> Self {
        let Configuration { incarnation, port, .. } = *configuration;
        let journal = Journal::open(&configuration.journal);
        journal.add(What::Started(incarnation));
        let resumed = configuration.resumed.clone();
        let points = Failpoints::new(&configuration.armed, incarnation, journal.clone(), resumed);
        let points = Arc::new(points);
        Self { points, incarnation, journal, ledger: Ledger::open(&configuration.ledger), port }
    }

    /// The effect goes into a file, the mark into the store.
    fn handlers(&self) -> EventRouter {
        let receiver = self.clone();
        EventRouter::new().on_type("payment.*", move |payload: Payload, delivery: Delivery| {
            let receiver = receiver.clone();
            async move { receiver.handle(payload.order, delivery.id()).await }
        })
    }

    async fn handle(&self, order: Order, id: &str) -> Result<(), HandlerError> {
        self.points.hit(Point::HandlerBegin);
        obey(order).await?;
        let dropped = Dropped { receiver: self, id, ended: false };
        self.ledger.half(id, self.incarnation);
        // The step at which a handler may be dropped with half of its effect done.
        tokio::task::yield_now().await;
        self.points.hit(Point::MidEffect);
        self.ledger.whole(id, self.incarnation);
        self.points.hit(Point::AfterEffect);
        dropped.ended();
        Ok(())
    }

    /// The effect goes into a table, in the transaction that holds the mark.
    fn handlers_in<DB: InboxDatabase>(&self, inbox: Inbox<DB>) -> impl Handles + Sync + use<DB>
    where
        for<'c> &'c mut DB::Connection: sqlx::Executor<'c, Database = DB>,
        DB::Arguments: sqlx::IntoArguments<DB>,
        for<'q> String: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
        for<'q> i64: sqlx::Encode<'q, DB> + sqlx::Type<DB>,
    {
        let receiver = self.clone();
        let handler = move |payload: Payload, delivery: Delivery, mut tx: Tx<DB>| {
            let receiver = receiver.clone();
            async move {
                receiver.points.hit(Point::HandlerBegin);
                obey(payload.order).await?;
                let effect = |part| Effect::now(delivery.id(), part, receiver.incarnation);
                effect(Part::Half).insert(&mut tx).await?;
                receiver.points.hit(Point::MidEffect);
                effect(Part::Whole).insert(&mut tx).await?;
                receiver.points.hit(Point::AfterEffect);
                Ok::<_, HandlerError>(())
            }
        };
        let hit = |point| Hit { points: Arc::clone(&self.points), point };
        let around = (hit(Point::AfterCommit), inbox, hit(Point::BeforeCommit));
        EventRouter::new().on_type("payment.*", handler).layer(around)
    }

    async fn run<St: DedupStore, D: Handles + Sync>(&self, store: St, events: D) {
        let store = Watched::new(store, Arc::clone(&self.points), self.incarnation, self.journal.clone());
        let timing = Timing::for_provider(&caspay::provider())
            .with_respond_by(RESPOND_BY)
            .with_handler_timeout(HANDLER_TIMEOUT)
            .with_dead_letter_timeout(Duration::from_millis(100))
            .with_store_timeout(STORE_TIMEOUT)
            .with_lease(LEASE);
        let webhook = WebhookLayer::new(caspay::provider(), secrets()).unwrap();
        let webhook = webhook.with_store(store).with_dispatch(events).with_timing(timing).unwrap();
        let (stats, shutdown, incarnation) = (webhook.stats(), webhook.shutdown(), self.incarnation);
        let said = move || {
            let pending = shutdown.pending();
            axum::Json(Said {
                incarnation,
                in_flight: stats.in_flight(),
                pending,
                leases_lost: stats.leases_lost(),
                without_claim: stats.without_claim(),
            })
        };
        let shutdown = webhook.shutdown();
        let webhook = self.around(webhook.into_service());
        let app = Router::new().route_service("/", webhook).route("/said", get(async move || said()));

        let mut told = signal(SignalKind::terminate()).unwrap();
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", self.port)).await.unwrap();
        let server = axum::serve(listener, app).with_graceful_shutdown(async move { _ = told.recv().await });
        server.await.unwrap();
        let drained = shutdown.drain(DRAIN).await;
        self.journal.add(What::Signalled(incarnation, format!("drained, {} stopped", drained.stopped())));
    }

    /// What happens before the layer sees a request, and after it has answered.
    fn around<S, B>(
        &self,
        service: S,
    ) -> impl tower::Service<Request, Response = http::Response<B>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
    where
        S: tower::Service<Request, Response = http::Response<B>, Error = Infallible, Future: Send>,
        S: Clone + Send + Sync + 'static,
        B: 'static,
    {
        let points = Arc::clone(&self.points);
        tower::layer::layer_fn(move |service: S| {
            let points = Arc::clone(&points);
            tower::service_fn(move |request: Request| {
                let (points, service) = (Arc::clone(&points), service.clone());
                async move {
                    points.hit(Point::BeforeBody);
                    let answer = service.oneshot(request).await;
                    points.hit(Point::BeforeResponse);
                    answer
                }
            })
        })
        .layer(service)
    }
}

/// Dies where the dispatch inside of it has done its work.
#[derive(Clone)]
struct Hit {
    points: Arc<Failpoints>,
    point: Point,
}

impl<S> tower::Layer<S> for Hit {
    type Service = Hitting<S>;

    fn layer(&self, inner: S) -> Hitting<S> {
        Hitting { inner, hit: self.clone() }
    }
}

#[derive(Clone)]
struct Hitting<S> {
    inner: S,
    hit: Hit,
}

impl<S> tower::Service<Delivery> for Hitting<S>
where
    S: tower::Service<Delivery, Response = Outcome, Future: Send + 'static>,
{
    type Response = Outcome;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Outcome, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, delivery: Delivery) -> Self::Future {
        let (outcome, hit) = (self.inner.call(delivery), self.hit.clone());
        Box::pin(async move {
            let outcome = outcome.await;
            if matches!(outcome, Ok(Outcome::Done)) {
                hit.points.hit(hit.point);
            }
            outcome
        })
    }
}

async fn obey(order: Order) -> Result<(), HandlerError> {
    match order {
        Order::Do => Ok(()),
        Order::Slowly => {
            tokio::time::sleep(SLOW).await;
            Ok(())
        }
        Order::Fail => Err(HandlerError::retry("as it was told")),
    }
}

/// Writes it down where a handler is dropped between its effect and its end.
struct Dropped<'a> {
    receiver: &'a Receiver,
    id: &'a str,
    ended: bool,
}

impl Dropped<'_> {
    fn ended(mut self) {
        self.ended = true;
    }
}

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.receiver.journal.add(What::Dropped(self.receiver.incarnation, self.id.to_owned()));
        }
    }
}
