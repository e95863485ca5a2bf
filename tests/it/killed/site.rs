//! Everything together: a platform, its receiver, the traffic between them, and what must be true when a rotation or a
//! subscription has come to its end, whoever was killed on the way.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tower_webhook::endpoints::Registered;
use tower_webhook::testing::simulator::Platform;
use tower_webhook::{Secret, testing};

use super::account::{Account, preset};
use super::checkpoint::{Checkpoint, Point};
use super::gate::{Call, Gate, Held, When};
use super::provider::{Provider, Sent};
use super::traffic::{Effects, Traffic};
use super::worker::{self, Configuration, Said};
use crate::conversation::process::Process;
use crate::servers::free_port;
use crate::stage::within_a_minute;

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

/// A worker that goes no further while this is kept.
pub(super) enum Stopped {
    AtCall(Held),
    AtPoint { _test: TcpStream },
}

pub(super) struct Site {
    pub(super) platform: Platform,
    pub(super) account: Account,
    pub(super) configuration: Configuration,
    provider: Arc<Provider>,
    pub(super) gate: Gate,
    checkpoint: Checkpoint,
    traffic: Traffic,
    effects: Effects,
    worker: Option<Process>,
    /// Endpoints whose secret was lost with the worker that was to store it.
    pub(super) lost: BTreeSet<String>,
    /// What has been looked at of what was sent.
    checked: u64,
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

    /// The endpoints of the URL.
    pub(super) async fn endpoints(&self) -> Vec<Registered> {
        self.account.endpoints(&self.configuration.url()).await
    }

    fn secret_file(&self, endpoint: &str) -> String {
        format!("{}.{endpoint}.secret", self.platform.name())
    }

    /// Those of them whose secret is not in the directory.
    pub(super) async fn without_secret(&self) -> Vec<String> {
        let files = self.files();
        let ids = self.endpoints().await.into_iter().map(|endpoint| endpoint.id().to_owned());
        ids.filter(|id| !files.contains(&self.secret_file(id))).collect()
    }

    pub(super) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.configuration.secrets).unwrap();
        let mut files: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort_unstable();
        files
    }

    fn path(&self, file: &str) -> PathBuf {
        self.configuration.secrets.join(file)
    }

    /// Waits until something has happened that goes to this endpoint.
    pub(super) async fn until_emitted(&self, endpoint: &str) {
        let emitted = async {
            while !self.traffic.halted().await.values().any(|to| to.contains(endpoint)) {
                tokio::task::yield_now().await;
            }
        };
        within_a_minute(emitted).await;
    }

    /// How many events were sent.
    pub(super) async fn happened(&self) -> usize {
        self.traffic.halted().await.len()
    }

    /// The number of the last delivery that has ended.
    pub(super) async fn last(&self) -> u64 {
        self.provider.sent(self.checked).await.last().map_or(self.checked, |sent| sent.sequence)
    }

    /// Waits for an answer to what was sent to this endpoint, and returns its status.
    pub(super) async fn answer_to(&self, endpoint: &str, after: u64) -> u16 {
        self.until_sent(after, |sent| sent.endpoint == endpoint && sent.status.is_some()).await.unwrap()
    }

    /// Waits until this endpoint has had something accepted.
    pub(super) async fn until_accepted(&self, endpoint: &str, after: u64) {
        self.until_sent(after, |sent| sent.endpoint == endpoint && sent.status == Some(200)).await;
    }

    async fn until_sent(&self, after: u64, is_it: impl Fn(&Sent) -> bool) -> Option<u16> {
        let found = async {
            loop {
                if let Some(sent) = self.provider.sent(after).await.into_iter().find(&is_it) {
                    return sent.status;
                }
            }
        };
        within_a_minute(found).await
    }

    /// Waits until all that has happened was accepted by all to whom it was sent.
    pub(super) async fn settled(&self) {
        let _halted = self.traffic.halted().await;
        self.provider.settled().await;
    }

    /// The same, but for an endpoint whose secret is lost: that accepts nothing.
    pub(super) async fn settled_but(&self, old: &str) {
        if !self.lost.contains(old) {
            self.settled().await;
        }
    }

    /// From two endpoints to one, however far it has come.
    pub(super) async fn retires(&self, old: &str) {
        let retired = async {
            loop {
                self.settled_but(old).await;
                match self.say("advance").await.done().as_str() {
                    "NewUnused" | "Paused" => {}
                    "NotRotating" => return,
                    last if last.starts_with("Retired") => return,
                    other => panic!("{other}"),
                }
            }
        };
        within_a_minute(retired).await;
    }

    /// What was sent late has been created, beside what there is already: that is told at the next look, and what an
    /// operator is to do about it.
    pub(super) async fn is_created_late(&mut self, stopped: Stopped, what: &str) {
        let known: BTreeSet<_> = self.endpoints().await.iter().map(|one| one.id().to_owned()).collect();
        let after = self.last().await;
        let Stopped::AtCall(held) = stopped else { panic!("{what}: it was not sent") };
        held.go_on();
        let created = async {
            loop {
                if let [late] = &self.without_secret().await[..] {
                    return late.clone();
                }
            }
        };
        let late = within_a_minute(created).await;
        assert_eq!(self.answer_to(&late, after).await, 503, "{what}: nobody here knows its secret");

        let said = self.say("ensure").await;
        let text = format!("not there: {late};");
        assert!(said.text.contains(&text), "{what}: {said:?}");
        let named: BTreeSet<_> = said.failed("DuplicateEndpoints").into_iter().collect();
        assert!(named.contains(&late) && named.is_superset(&known), "{what}: {named:?}");
        self.lost.insert(late.clone());
        self.account.delete(&late).await;
    }

    /// What must be true in the end, after `what`.
    pub(super) async fn is_whole(&mut self, what: &str) {
        let mut events = self.traffic.halted().await;
        self.provider.settled().await;

        let endpoints = self.endpoints().await;
        let [endpoint] = &endpoints[..] else { panic!("{what}: {endpoints:?}") };
        assert!(endpoint.is_active(), "{what}: {endpoint:?}");
        assert_eq!(endpoint.events(), self.configuration.types, "{what}");

        // No 401, and whatever else was not accepted could be sent again.
        let sent = self.provider.sent(self.checked).await;
        let refused = sent.iter().find(|sent| !matches!(sent.status, None | Some(200 | 503)));
        assert!(refused.is_none(), "{what}: {refused:?}");
        self.checked = sent.last().map_or(self.checked, |sent| sent.sequence);

        // What was sent to nobody but an endpoint whose secret was lost can be fetched, from a platform that lists it.
        let is_lost = |to: &BTreeSet<String>| to.is_subset(&self.lost);
        let fetches = self.platform == Platform::CasaPay;
        if fetches && events.values().any(is_lost) {
            self.say("replay").await.done();
        }
        let effects = self.effects.read().await;
        for (event, to) in events.iter() {
            let times = effects.get(event).map_or(0, Vec::len);
            let expected = usize::from(fetches || !is_lost(to));
            assert_eq!(times, expected, "{what}: {event}, sent to {to:?}");
        }
        assert!(effects.values().all(|labels| labels.len() == 1), "{what}: {effects:?}");

        // What is left in the directory besides the secret is gone an hour later, with the next start.
        let secret = self.secret_file(endpoint.id());
        let mut left = self.files();
        left.retain(|file| *file != secret);
        let may_be_left = |file: &String| file.ends_with(".announced") || file.ends_with(".new");
        assert!(left.iter().all(may_be_left) && left.len() <= 2, "{what}: {left:?}");
        for file in left {
            let file = fs::File::options().write(true).open(self.path(&file)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(3601)).unwrap();
        }
        let ensured = self.say("ensure").await.done();
        assert_eq!(ensured, format!("endpoint {}: unchanged", endpoint.id()), "{what}");
        assert_eq!(self.files(), [secret], "{what}");

        // And what is signed by a stranger is refused again, what the platform signs is handled.
        assert_eq!(self.forged().await, 401, "{what}");
        let (event, to) = self.provider.emit().await;
        self.provider.settled().await;
        assert_eq!(self.effects.read().await.get(&event), Some(&vec![endpoint.id().to_owned()]), "{what}");
        events.insert(event, to.into_iter().collect());
    }

    /// What a stranger is answered.
    async fn forged(&self) -> u16 {
        let secret = Secret::new(format!("whsec_{}", "0".repeat(64))).unwrap();
        let body = r#"{"id":"evt_forged","type":"invoice.paid","created":1,"data":{"object":{}}}"#;
        let (head, _) = testing::sign(&preset(self.platform), &secret, body).into_parts();
        let mut request = http::Request::post(self.configuration.url());
        for (name, value) in &head.headers {
            request = request.header(name, value);
        }
        let client = Client::builder(TokioExecutor::new()).build_http();
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        client.request(request).await.unwrap().status().as_u16()
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
