//! The process that is killed: a receiver that subscribes itself when it starts, and rotates when it is told to.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::extract::{Json, State as Shared};
use axum::routing::{get, post};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::Sqlite;
use sqlx::sqlite::SqlitePoolOptions;
use tokio::net::TcpListener;
use tower_webhook::dedup::SqliteStore;
use tower_webhook::dispatch::Layered;
use tower_webhook::endpoints::{
    CasaPay, CatchUp, EndpointApi, EndpointError, EndpointManager, FileSink, RotationPolicy,
};
use tower_webhook::inbox::{InboxService, Tx};
use tower_webhook::testing::simulator::Platform;
use tower_webhook::{
    Delivery, EventRouter, HandlerError, LruStore, Processor, SecretUsage, Verifier, WebhookLayer,
};

use super::account::{casapay, diddo, preset};
use super::checkpoint::{Point, Stopping};
use crate::conversation::process::{Process, end_with_the_parent, runtime};
use crate::servers::free_port;

const CONFIGURATION: &str = "TOWER_WEBHOOK_KILLED_WORKER";

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Role {
    /// Subscribes itself, receives, and rotates.
    Both,
    /// Subscribes and rotates for a receiver in another process.
    Operator,
    /// Receives, with the secrets that it finds.
    Receiver,
}

/// Where it is, with whom, and where it keeps what.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Configuration {
    pub(super) platform: Platform,
    pub(super) role: Role,
    /// Where it receives.
    pub(super) port: u16,
    /// Where it is told what to do.
    pub(super) control: u16,
    /// Where the platform's API is.
    pub(super) api: u16,
    pub(super) types: Vec<String>,
    pub(super) secrets: PathBuf,
    pub(super) database: PathBuf,
    pub(super) report_to: u16,
    /// Where it stops while it starts.
    pub(super) stop_at: Option<Point>,
}

impl Configuration {
    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/webhooks", self.port)
    }

    async fn bind(&self) -> TcpListener {
        TcpListener::bind(("127.0.0.1", self.port)).await.unwrap()
    }

    fn stopping(&self, sink: &FileSink, point: &Arc<Mutex<Option<Point>>>) -> Stopping {
        Stopping {
            sink: sink.clone(),
            directory: self.secrets.clone(),
            point: Arc::clone(point),
            report_to: self.report_to,
            // Before the first endpoint there is no receiver.
            heard_by: (self.role == Role::Operator && sink.secrets(self.platform.name()).is_ok())
                .then(|| (self.platform, self.url())),
        }
    }
}

/// How often a receiver that does not rotate reads the directory.
const FOLLOWING: Duration = Duration::from_millis(20);

/// The table of effects. Nothing of it is unique, so that a double shows.
pub(super) const EFFECTS: &str = "CREATE TABLE IF NOT EXISTS effects (event TEXT, label TEXT)";

#[test]
#[ignore = "the process that is killed"]
fn worker_process() {
    // Started by hand with all other ignored tests it has nothing to do.
    let Ok(configuration) = std::env::var(CONFIGURATION) else { return };
    end_with_the_parent();
    let configuration: Configuration = serde_json::from_str(&configuration).unwrap();
    runtime().block_on(async {
        let api = configuration.api;
        match configuration.platform {
            Platform::CasaPay => work(configuration, casapay(api), Some(casapay(api))).await,
            _ => work(configuration, diddo(api), None).await,
        }
    });
}

async fn on_event(_: Value, delivery: Delivery, mut tx: Tx<Sqlite>) -> Result<(), HandlerError> {
    let label = if delivery.is_fetched() { "fetched" } else { delivery.secret_label().unwrap_or("nobody") };
    let effect = sqlx::query("INSERT INTO effects VALUES (?, ?)").bind(delivery.id()).bind(label);
    effect.execute(&mut *tx).await?;
    Ok(())
}

/// What it answers to those who tell it what to do.
fn told<T: std::fmt::Debug>(result: Result<T, EndpointError>, text: impl FnOnce(T) -> String) -> Json<Value> {
    Json(match result {
        Ok(done) => json!({ "ok": text(done) }),
        Err(error) => json!({
            "error": format!("{:?}", error.kind()),
            "endpoints": error.endpoint_ids(),
            "text": error.to_string(),
        }),
    })
}

struct Worker<A> {
    manager: EndpointManager<A, Stopping>,
    url: String,
    events: EventRouter,
    point: Arc<Mutex<Option<Point>>>,
    started: Value,
    /// Where it receives itself.
    verifier: Option<Verifier>,
}

async fn work<A: EndpointApi + Clone>(configuration: Configuration, api: A, fetch: Option<CasaPay>) {
    let control = TcpListener::bind(("127.0.0.1", configuration.control)).await.unwrap();
    // What is delivered from now on waits until there is somebody to answer.
    let receives = configuration.role != Role::Operator;
    let receiving = if receives { Some(configuration.bind().await) } else { None };
    let mut events = EventRouter::new();
    for event_type in &configuration.types {
        events = events.on_type(event_type, on_event);
    }
    let sink = FileSink::new(&configuration.secrets);
    if configuration.role == Role::Receiver {
        let (_, _, verifier) = receive(&configuration, receiving.unwrap(), &sink, events).await.unwrap();
        let _following = sink.feeding(configuration.platform.name(), verifier).follow(FOLLOWING);
        let app = Router::new().route("/", get(async || Json(json!({ "ok": "it receives" }))));
        axum::serve(control, app).await.unwrap();
        return;
    }

    let url = configuration.url();
    let point = Arc::new(Mutex::new(configuration.stop_at));
    let stopping = |sink: &FileSink| configuration.stopping(sink, &point);
    let at_start = EndpointManager::new(api.clone(), stopping(&sink));
    let started = at_start.ensure_endpoint(&url, events.event_types()).await;
    let Json(started) = told(started, |ensured| ensured.to_string());
    let mut worker = Worker {
        manager: at_start,
        url,
        events: events.clone(),
        point: Arc::clone(&point),
        started,
        verifier: None,
    };
    let mut app = Router::new();
    if let Some(receiving) = receiving
        && let Some((processor, sink, verifier)) = receive(&configuration, receiving, &sink, events).await
    {
        worker.manager = EndpointManager::new(api, stopping(&sink));
        worker.verifier = Some(verifier);
        if let Some(client) = fetch {
            let catch_up = Arc::new(CatchUp::new(client, processor));
            let replay = move || {
                let catch_up = Arc::clone(&catch_up);
                async move {
                    let hour = Duration::from_secs(3600);
                    let caught_up = catch_up.replay_missed(SystemTime::now() - hour).await.unwrap();
                    assert!(caught_up.is_complete(), "{caught_up}");
                    Json(json!({ "ok": caught_up.to_string() }))
                }
            };
            app = app.route("/replay", post(replay));
        }
    }
    let app = app
        .route("/", get(async |Shared(worker): Shared<Arc<Worker<A>>>| Json(worker.started.clone())))
        .route("/stop_at", post(stop_at))
        .route("/ensure", post(ensure))
        .route("/begin", post(begin))
        .route("/replace", post(replace))
        .route("/advance", post(advance))
        .with_state(Arc::new(worker));
    axum::serve(control, app).await.unwrap();
}

type Receiving = Processor<Layered<InboxService<EventRouter, Sqlite>>, LruStore>;

/// Receives with the secrets that there are; without any it cannot.
async fn receive(
    configuration: &Configuration,
    receiving: TcpListener,
    sink: &FileSink,
    events: EventRouter,
) -> Option<(Receiving, FileSink, Verifier)> {
    let name = configuration.platform.name();
    let secrets = sink.secrets(name).ok()?;
    let database = SqliteStore::options(&configuration.database);
    let pool = SqlitePoolOptions::new().max_connections(4).connect_with(database).await.unwrap();
    let store = SqliteStore::new(pool);
    store.migrate().await.unwrap();
    let layer = WebhookLayer::new(preset(configuration.platform), secrets).unwrap();
    let layer = layer.with_dispatch(events.layer(store.inbox().unwrap()));
    let (processor, verifier) = (layer.processor(), layer.verifier());
    let app = Router::new().route_service("/webhooks", layer.into_service());
    tokio::spawn(async { axum::serve(receiving, app).await });
    Some((processor, sink.clone().feeding(name, verifier.clone()), verifier))
}

async fn stop_at<A>(Shared(worker): Shared<Arc<Worker<A>>>, Json(point): Json<Point>) -> Json<Value> {
    *worker.point.lock().unwrap() = Some(point);
    Json(json!({ "ok": "stopping" }))
}

async fn ensure<A: EndpointApi>(Shared(worker): Shared<Arc<Worker<A>>>) -> Json<Value> {
    let ensured = worker.manager.ensure_endpoint(&worker.url, worker.events.event_types()).await;
    told(ensured, |ensured| ensured.to_string())
}

async fn begin<A: EndpointApi>(Shared(worker): Shared<Arc<Worker<A>>>) -> Json<Value> {
    told(worker.manager.begin_rotation(&worker.url).await, |rotation| rotation.new)
}

async fn replace<A: EndpointApi>(Shared(worker): Shared<Arc<Worker<A>>>) -> Json<Value> {
    told(worker.manager.replace_lost_secret(&worker.url).await, |rotation| rotation.new)
}

/// At once: the test has seen to it that the new secret is used, and that nothing more comes by the old one.
async fn advance<A: EndpointApi>(Shared(worker): Shared<Arc<Worker<A>>>) -> Json<Value> {
    let verifier = worker.verifier.clone();
    let usage = move |label: &str| match &verifier {
        Some(verifier) => verifier.secret_usage(label),
        // Elsewhere, at some time.
        None => Some(SecretUsage::new(SystemTime::UNIX_EPOCH, Some(SystemTime::UNIX_EPOCH))),
    };
    let policy = RotationPolicy::new(Duration::ZERO, Duration::ZERO);
    told(worker.manager.advance_rotation(&worker.url, policy, usage).await, |step| format!("{step:?}"))
}

/// Starts one.
pub(super) async fn start(configuration: &Configuration) -> Process {
    let configuration = Configuration { control: free_port(), ..configuration.clone() };
    let json = serde_json::to_value(&configuration).unwrap();
    Process::start("killed::worker::worker_process", CONFIGURATION, &json, configuration.control).await
}

/// Starts one without waiting for it to be there: it is not meant to get so far.
pub(super) fn launch(configuration: &Configuration) -> Process {
    let configuration = Configuration { control: free_port(), ..configuration.clone() };
    let json = serde_json::to_value(&configuration).unwrap();
    Process::launch("killed::worker::worker_process", CONFIGURATION, &json, configuration.control)
}
