//! A shop whose books and inbox are in one database.
#![allow(dead_code, reason = "not every database needs all of it")]

use std::time::Duration;

use sqlx::Pool;
use tokio::task::JoinHandle;
use tower::ServiceExt as _;
use tower_webhook::dedup::DedupKey;
use tower_webhook::dispatch::Layered;
use tower_webhook::inbox::{Inbox, InboxService};
use tower_webhook::{Delivery, EventRouter, HandlerError, Timing, WebhookLayer, caspay, testing};

use super::{Db, Home, Store, connect, fresh};
use crate::stage::{Run, Runs, SECOND, Verdict, timing, verdict};
use crate::support::{caspay_body, from_caspay, secrets};

pub(crate) type Tx = tower_webhook::inbox::Tx<Db>;
pub(crate) type Layer = WebhookLayer<Layered<InboxService<EventRouter, Db>>>;

/// What an operator reads of an event: its state, its attempts, and its last error.
pub(crate) type Row = (String, i32, Option<String>);

pub(crate) struct Shop {
    pub(crate) store: Store,
    pub(crate) pool: Pool<Db>,
    pub(crate) home: Home,
}

impl Shop {
    pub(crate) async fn new() -> Self {
        Self::with_connections(8).await
    }

    pub(crate) async fn with_connections(connections: u32) -> Self {
        Self::open(fresh().await, connections).await
    }

    /// In a database that has no shop yet.
    pub(crate) async fn open(home: Home, connections: u32) -> Self {
        let shop = Self::at(home, connections).await;
        shop.store.migrate().await.unwrap();
        // An effect is a line, so that two of one event are seen.
        shop.sql("CREATE TABLE ledger (id TEXT NOT NULL)").await;
        shop
    }

    /// Another process of the same shop, or the next one.
    pub(crate) async fn another(&self, connections: u32) -> Self {
        Self::at(self.home.clone(), connections).await
    }

    async fn at(home: Home, connections: u32) -> Self {
        let pool = connect(&home, connections).await;
        Self { store: Store::new(pool.clone()), pool, home }
    }

    pub(crate) async fn sql(&self, statement: &'static str) {
        sqlx::raw_sql(statement).execute(&self.pool).await.unwrap();
    }

    pub(crate) fn inbox(&self) -> Inbox<Db> {
        self.store.inbox().unwrap()
    }

    /// An instance of the receiver: it remembers nothing of its own yet.
    pub(crate) fn layer(&self, events: EventRouter) -> Layer {
        self.layer_with(self.inbox(), events)
    }

    pub(crate) fn layer_with(&self, inbox: Inbox<Db>, events: EventRouter) -> Layer {
        let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap();
        layer.with_dispatch(events.layer(inbox))
    }

    /// An instance whose handler books, then ends as the test says.
    pub(crate) fn booking(&self, runs: &Runs) -> Layer {
        self.layer(booking(runs))
    }

    pub(crate) async fn send(&self, layer: &Layer, id: &str) -> Verdict {
        self.post(layer, id).await.unwrap()
    }

    /// Delivers an event in a task of its own.
    pub(crate) fn post(&self, layer: &Layer, id: &str) -> JoinHandle<Verdict> {
        let (layer, request) = (layer.clone(), from_caspay(caspay_body(id)));
        tokio::spawn(async move { verdict(&layer.into_service().oneshot(request).await.unwrap()) })
    }

    /// Delivers an event, and waits until its handler has booked.
    pub(crate) async fn begin(&self, layer: &Layer, id: &str, runs: &Runs) -> (JoinHandle<Verdict>, Run) {
        let mut answer = self.post(layer, id);
        let run = tokio::select! {
            run = runs.next() => run,
            early = &mut answer => panic!("answered {early:?} without a handler"),
        };
        (answer, run)
    }

    /// Delivers an event whose handler succeeds.
    pub(crate) async fn handle(&self, layer: &Layer, id: &str, runs: &Runs) -> Verdict {
        let (answer, run) = self.begin(layer, id, runs).await;
        run.succeed();
        answer.await.unwrap()
    }

    /// Delivers an event whose handler ends in an error.
    pub(crate) async fn fail(&self, layer: &Layer, id: &str, runs: &Runs, error: HandlerError) -> Verdict {
        let (answer, run) = self.begin(layer, id, runs).await;
        run.fail(error);
        answer.await.unwrap()
    }

    /// What is booked of an event, as everybody sees it.
    pub(crate) async fn effects(&self, id: &str) -> i64 {
        let count = sqlx::query_scalar("SELECT count(*) FROM ledger WHERE id = $1");
        count.bind(id).fetch_one(&self.pool).await.unwrap()
    }

    pub(crate) async fn row(&self, id: &str) -> Option<Row> {
        let row = "SELECT state, attempts, last_error FROM tower_webhook_events WHERE key = $1";
        let key = DedupKey::new("caspay##inbox", "payment.completed", id);
        sqlx::query_as(row).bind(key.as_bytes().as_slice()).fetch_optional(&self.pool).await.unwrap()
    }

    /// A new instance, with connections of its own, finds the event not done: it runs, once and for all.
    pub(crate) async fn comes_back(&self, id: &str) {
        let (process, runs) = (self.another(4).await, Runs::new());
        assert_eq!(self.effects(id).await, 0, "rolled back");
        assert_eq!(process.handle(&process.booking(&runs), id, &runs).await, (200, "handled"));
        self.is_done(id).await;
    }

    /// The event's effect is there, once, and no instance runs it again.
    pub(crate) async fn is_done(&self, id: &str) {
        let (process, runs) = (self.another(4).await, Runs::new());
        assert_eq!(process.send(&process.booking(&runs), id).await, (200, "duplicate"));
        assert_eq!((runs.starts.count(), self.effects(id).await), (0, 1));
    }
}

pub(crate) fn delivery(id: &str) -> Delivery {
    testing::delivery(&caspay::provider(), caspay_body(id)).unwrap()
}

/// The effect of a handler.
pub(crate) async fn book(tx: &mut Tx, id: &str) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO ledger (id) VALUES ($1)").bind(id).execute(&mut **tx).await.map(drop)
}

/// Handlers that book, then end as the test says.
pub(crate) fn booking(runs: &Runs) -> EventRouter {
    let runs = runs.clone();
    EventRouter::new().fallback(move |delivery: Delivery, mut tx: Tx| {
        let run = runs.run();
        async move {
            book(&mut tx, delivery.id()).await?;
            run.await
        }
    })
}

/// For handlers that run into their timeout: as short as a test can wait, and no shorter than a machine stands still.
pub(crate) fn short() -> Timing {
    let millisecond = Duration::from_millis(1);
    let timing = timing().with_respond_by(1_000 * millisecond).with_handler_timeout(1_200 * millisecond);
    let timing = timing.with_dead_letter_timeout(100 * millisecond).with_store_timeout(600 * millisecond);
    timing.with_lease(20 * SECOND)
}
