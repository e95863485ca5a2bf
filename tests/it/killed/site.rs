//! Everything together: a platform, its receiver, the traffic between them, and how a worker is started, stopped at a
//! step, and killed.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use http::Method;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tower_webhook::testing::simulator::Platform;

use super::account::Account;
use super::checkpoint::{Checkpoint, Point};
use super::gate::{Call, Gate, Held, When};
use super::provider::Provider;
use super::said::Said;
use super::traffic::{Effects, Traffic};
use super::worker::{self, Configuration, Role};
use crate::conversation::process::Process;
use crate::servers::free_port;

/// Where a worker is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Sink(Point),
    Call(Call, When),
}

impl Step {
    /// Whether there is an endpoint now whose secret nobody has.
    pub(super) fn loses_a_secret(self) -> bool {
        matches!(
            self,
            Self::Call(Call::Create, When::Executed) | Self::Sink(Point::BeforeStore | Point::HalfStored)
        )
    }
}

/// The steps until there is an endpoint, and its secret is stored.
pub(super) const CREATING: [Step; 8] = [
    Step::Sink(Point::BeforeAnnounce),
    Step::Sink(Point::AfterAnnounce),
    Step::Call(Call::Create, When::Sent),
    Step::Call(Call::Create, When::Executed),
    Step::Sink(Point::BeforeStore),
    Step::Sink(Point::HalfStored),
    Step::Sink(Point::AfterStore),
    Step::Sink(Point::AfterWithdraw),
];

/// A worker that goes no further while this is kept.
pub(super) enum Stopped {
    AtCall(Held),
    AtPoint { _test: TcpStream },
}

pub(super) struct Site {
    pub(super) platform: Platform,
    pub(super) account: Account,
    pub(super) configuration: Configuration,
    pub(super) provider: Arc<Provider>,
    pub(super) gate: Gate,
    checkpoint: Checkpoint,
    pub(super) traffic: Traffic,
    pub(super) effects: Effects,
    worker: Option<Process>,
    /// Where the worker does not receive itself.
    receiver: Option<Process>,
    /// Endpoints whose secret was lost with the worker that was to store it.
    pub(super) lost: BTreeSet<String>,
    /// What has been looked at of what was sent.
    pub(super) checked: u64,
    _home: TempDir,
}

impl Site {
    /// Without a worker, and without an endpoint.
    pub(super) async fn open(platform: Platform) -> Self {
        let home = tempfile::tempdir().unwrap();
        let secrets = home.path().join("secrets");
        fs::create_dir(&secrets).unwrap();
        let database = home.path().join("shop.db");
        let effects = Effects::open(&database).await;
        let provider = Arc::new(Provider::start(platform).await);
        let (gate, checkpoint) = (Gate::start(provider.port()).await, Checkpoint::new().await);
        let configuration = Configuration {
            platform,
            port: free_port(),
            control: 0,
            api: gate.port,
            role: Role::Both,
            types: types(platform, 1),
            secrets,
            database,
            report_to: checkpoint.port(),
            stop_at: None,
        };
        Self {
            platform,
            account: Account::new(platform, provider.port()),
            configuration,
            gate,
            checkpoint,
            traffic: Traffic::start(Arc::clone(&provider)),
            provider,
            effects,
            worker: None,
            receiver: None,
            lost: BTreeSet::new(),
            checked: 0,
            _home: home,
        }
    }

    /// Back to nothing, with nothing on its way.
    pub(super) async fn reset(&mut self) {
        let _halted = self.traffic.halted().await;
        self.provider.settled().await;
        if let Some(worker) = self.worker.take() {
            worker.kill().await;
        }
        for endpoint in self.account.endpoints(&self.configuration.url()).await {
            self.account.delete(endpoint.id()).await;
        }
        for file in self.files() {
            fs::remove_file(self.configuration.secrets.join(file)).unwrap();
        }
    }

    fn worker(&self) -> &Process {
        self.worker.as_ref().unwrap()
    }

    /// SIGKILL.
    pub(super) async fn kill(&mut self) {
        self.worker.take().unwrap().kill().await;
    }

    /// Starts a worker, which subscribes itself, and returns what came of that.
    pub(super) async fn start(&mut self) -> Said {
        assert!(self.worker.is_none());
        self.worker = Some(worker::start(&self.configuration).await);
        self.say("").await
    }

    pub(super) async fn say(&self, command: &str) -> Said {
        Said::to(self.worker(), command).await
    }

    /// Starts a worker that subscribes another process, which receives, follows the directory, and outlives it.
    pub(super) async fn start_beside_a_receiver(&mut self) -> Said {
        self.configuration.role = Role::Operator;
        let said = self.start().await;
        let receiver = Configuration { role: Role::Receiver, ..self.configuration.clone() };
        self.receiver = Some(worker::start(&receiver).await);
        said
    }

    /// Starts a worker that comes as far as this.
    pub(super) async fn start_until(&mut self, step: Step) -> Stopped {
        assert!(self.worker.is_none());
        match step {
            Step::Call(call, when) => {
                let mut held = self.gate.hold(call, when);
                self.launch();
                held.reached().await;
                Stopped::AtCall(held)
            }
            Step::Sink(point) => {
                self.worker = Some(worker::launch(&Configuration {
                    stop_at: Some(point),
                    ..self.configuration.clone()
                }));
                Stopped::AtPoint { _test: self.checkpoint.reached().await }
            }
        }
    }

    /// Starts a worker, and does not wait for it.
    pub(super) fn launch(&mut self) {
        self.worker = Some(worker::launch(&self.configuration));
    }

    /// Has the worker do something that comes as far as this.
    pub(super) async fn say_until(&self, command: &str, step: Step) -> Stopped {
        let held = match step {
            Step::Call(call, when) => Some(self.gate.hold(call, when)),
            Step::Sink(point) => {
                self.worker().ask(Method::POST, "/stop_at", json!(point)).await;
                None
            }
        };
        let reached = async {
            let Some(mut held) = held else {
                return Stopped::AtPoint { _test: self.checkpoint.reached().await };
            };
            held.reached().await;
            Stopped::AtCall(held)
        };
        tokio::select! {
            stopped = reached => stopped,
            said = self.say(command) => panic!("{step:?}: {command} did not come there: {said:?}"),
        }
    }
}

/// So many of the types that are documented.
pub(super) fn types(platform: Platform, number: usize) -> Vec<String> {
    let types = match platform {
        Platform::CasaPay => ["invoice.paid", "charge.failed"],
        _ => ["order.submitted", "checkout.failed"],
    };
    let mut types: Vec<_> = types[..number].iter().map(|&one| one.to_owned()).collect();
    types.sort_unstable();
    types
}
