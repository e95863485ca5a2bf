//! The receiver's process: it subscribes itself when it starts, and does what its operator asks for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Json, Query};
use axum::routing::{get, post};
use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::postgres::PgPoolOptions;
use sqlx::{PgPool, Postgres};
use tower_webhook::dedup::PostgresStore;
use tower_webhook::endpoints::{
    CasaPay, CatchUp, ClientOptions, EndpointManager, FileSink, RotationPolicy, RotationStep, StoreLock,
};
use tower_webhook::inbox::Tx;
use tower_webhook::testing::simulator::CASAPAY_TEST_KEY;
use tower_webhook::{Delivery, EventRouter, HandlerError, Secret, State, Timing, WebhookLayer, casapay};

use super::process::{Process, end_with_the_parent, runtime};

const CONFIGURATION: &str = "TOWER_WEBHOOK_CONVERSATION_RECEIVER";

/// Where it starts, with whom and where it keeps what.
#[derive(Clone, Deserialize, serde::Serialize)]
pub(super) struct Configuration {
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) casapay_url: String,
    pub(super) secrets: PathBuf,
}

#[test]
#[ignore = "the receiver's process of the conversation"]
fn receiver_process() {
    // Started by hand with all other ignored tests it has nothing to do.
    let Ok(configuration) = std::env::var(CONFIGURATION) else { return };
    end_with_the_parent();
    runtime().block_on(serve(serde_json::from_str(&configuration).unwrap()));
}

/// The table of effects. Nothing of it is unique, so that a double shows.
pub(super) const TABLES: [&str; 2] =
    ["CREATE TABLE effects (event text, label text)", "CREATE TABLE failures (event text)"];

#[derive(Deserialize)]
struct Order {
    /// How often the handler fails before it does its work.
    #[serde(default)]
    fail: i64,
}

/// The effect is committed with the mark of its event: a receiver that is killed between two commits would double it.
async fn on_invoice(
    order: Value,
    delivery: Delivery,
    mut tx: Tx<Postgres>,
    State(pool): State<PgPool>,
) -> Result<(), HandlerError> {
    let Order { fail } = serde_json::from_value(order)?;
    let failures = "SELECT count(*) FROM failures WHERE event = $1";
    let failures: i64 = sqlx::query_scalar(failures).bind(delivery.id()).fetch_one(&pool).await?;
    if failures < fail {
        sqlx::query("INSERT INTO failures VALUES ($1)").bind(delivery.id()).execute(&pool).await?;
        return Err(std::io::Error::other("asked to fail").into());
    }
    let label = if delivery.is_fetched() { "fetched" } else { delivery.secret_label().unwrap() };
    let effect = sqlx::query("INSERT INTO effects VALUES ($1, $2)").bind(delivery.id()).bind(label);
    effect.execute(&mut *tx).await?;
    Ok(())
}

#[derive(Deserialize)]
struct Advance {
    overlap_ms: u64,
    quiet_ms: u64,
}

#[derive(Deserialize)]
struct Since {
    seconds_ago: u64,
}

async fn serve(configuration: Configuration) {
    let Configuration { port, database, casapay_url, secrets } = configuration;
    let pool = PgPoolOptions::new().max_connections(16).connect(&database).await.unwrap();
    let store = PostgresStore::new(pool.clone());
    store.migrate().await.unwrap();
    let events = EventRouter::new().on_type("invoice.*", on_invoice).with_state(pool);
    let event_types = events.event_types();

    let key = Secret::new(CASAPAY_TEST_KEY).unwrap();
    let client = CasaPay::new(&casapay_url, key, ClientOptions::default().allow_loopback()).unwrap();
    let url = Arc::new(format!("http://127.0.0.1:{port}/webhooks/casapay"));
    let lock = || StoreLock::new(store.clone());
    let at_start = EndpointManager::new(client.clone(), FileSink::new(&secrets)).with_lock(lock());
    let ensured = at_start.ensure_endpoint(&url, event_types).await.unwrap();

    let webhook = WebhookLayer::new(casapay::provider(), FileSink::new(&secrets).secrets("casapay").unwrap());
    // What a receiver held that was killed is taken over soon.
    let timing = Timing::for_provider(&casapay::provider())
        .with_respond_by(Duration::from_secs(1))
        .with_handler_timeout(Duration::from_secs(1))
        .with_dead_letter_timeout(Duration::from_millis(100))
        .with_store_timeout(Duration::from_millis(800))
        .with_lease(Duration::from_secs(3));
    let events = events.layer(store.inbox().unwrap());
    let webhook =
        webhook.unwrap().with_store(store.clone()).with_dispatch(events).with_timing(timing).unwrap();
    let verifier = webhook.verifier();
    let sink = FileSink::new(&secrets).feeding("casapay", verifier.clone());
    let manager = EndpointManager::new(client.clone(), sink).with_lock(lock());
    let catch_up = CatchUp::new(client, webhook.processor());

    let begin = {
        let (manager, url) = (manager.clone(), Arc::clone(&url));
        async move || {
            let rotation = manager.begin_rotation(&url).await.unwrap();
            Json(json!({ "old": rotation.old, "new": rotation.new }))
        }
    };
    let advance = async move |Json(Advance { overlap_ms, quiet_ms }): Json<Advance>| {
        let policy = RotationPolicy::new(Duration::from_millis(overlap_ms), Duration::from_millis(quiet_ms));
        let usage = move |label: &str| verifier.secret_usage(label);
        Json(match manager.advance_rotation(&url, policy, usage).await.unwrap() {
            RotationStep::NotRotating => json!("not rotating"),
            RotationStep::Overlapping { .. } => json!("overlapping"),
            RotationStep::NewUnused => json!("new unused"),
            RotationStep::Paused => json!("paused"),
            RotationStep::NotQuiet { .. } => json!("not quiet"),
            RotationStep::Retired { old } => json!({ "retired": old }),
            other => panic!("{other:?}"),
        })
    };
    let replay = async move |Query(Since { seconds_ago }): Query<Since>| {
        let since = SystemTime::now() - Duration::from_secs(seconds_ago);
        let caught_up = catch_up.replay_missed(since).await.unwrap();
        assert!(caught_up.is_complete(), "{caught_up}");
        Json(json!({
            "done": caught_up.done,
            "duplicates": caught_up.duplicates,
            "unhandled": caught_up.unhandled,
        }))
    };
    let app = Router::new()
        .route_service("/webhooks/casapay", webhook.into_service())
        .route(
            "/",
            get(async move || Json(json!({ "endpoint": ensured.endpoint_id, "did": ensured.to_string() }))),
        )
        .route("/rotation", post(begin).put(advance))
        .route("/replay", post(replay));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    axum::serve(listener, app).await.unwrap();
}

pub(super) struct Receiver {
    process: Process,
}

impl Receiver {
    pub(super) async fn start(configuration: &Configuration) -> Self {
        let name = "conversation::receiver::receiver_process";
        let json = serde_json::to_value(configuration).unwrap();
        Self { process: Process::start(name, CONFIGURATION, &json, configuration.port).await }
    }

    pub(super) async fn kill(self) {
        self.process.kill().await;
    }

    /// What it did about its endpoint when it started.
    pub(super) async fn did(&self) -> String {
        self.process.ask(Method::GET, "/", Value::Null).await["did"].as_str().unwrap().to_owned()
    }

    /// The ids of the old endpoint and of the new one.
    pub(super) async fn begin_rotation(&self) -> (String, String) {
        let rotation = self.process.ask(Method::POST, "/rotation", Value::Null).await;
        let id = |name| rotation[name].as_str().unwrap().to_owned();
        (id("old"), id("new"))
    }

    pub(super) async fn advance(&self, overlap: Duration, quiet: Duration) -> Value {
        let body = json!({
            "overlap_ms": u64::try_from(overlap.as_millis()).unwrap(),
            "quiet_ms": u64::try_from(quiet.as_millis()).unwrap(),
        });
        self.process.ask(Method::PUT, "/rotation", body).await
    }

    pub(super) async fn replay_missed(&self) -> Value {
        self.process.ask(Method::POST, "/replay?seconds_ago=600", Value::Null).await
    }
}

/// The files of secrets.
pub(super) fn secrets_in(directory: &Path) -> Vec<String> {
    let names = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort_unstable();
    names
}
