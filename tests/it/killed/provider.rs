//! The platforms' process: the simulator, which tries again and again, without ever giving up in the time of a test.

use std::time::Duration;

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_webhook::testing::simulator::{Platform, Schedule, Simulator};

use crate::conversation::process::{Process, end_with_the_parent, runtime};
use crate::servers::free_port;

const CONFIGURATION: &str = "TOWER_WEBHOOK_KILLED_PROVIDER";

/// Between two attempts, so many of them that every event outlives its receivers.
const PAUSE: Duration = Duration::from_millis(50);
const ATTEMPTS: usize = 10_000;

#[test]
#[ignore = "the platforms' process of those that are killed"]
fn provider_process() {
    // Started by hand with all other ignored tests it has nothing to do.
    let Ok(configuration) = std::env::var(CONFIGURATION) else { return };
    end_with_the_parent();
    let configuration: Value = serde_json::from_str(&configuration).unwrap();
    let port = u16::try_from(configuration["port"].as_u64().unwrap()).unwrap();
    let patient = |platform| Schedule::of(platform).with_delays([PAUSE; ATTEMPTS]);
    runtime().block_on(async {
        let mut simulator =
            Simulator::builder().bind(([127, 0, 0, 1], port).into()).with_log_limit(1_000_000);
        for platform in [Platform::CasaPay, Platform::Diddo] {
            simulator = simulator.with_schedule(platform, patient(platform));
        }
        let _simulator = simulator.start().await.unwrap();
        std::future::pending::<()>().await;
    });
}

/// What was sent, and how it was answered.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sent {
    pub(super) sequence: u64,
    pub(super) endpoint: String,
    pub(super) status: Option<u16>,
}

pub(super) struct Provider {
    process: Process,
    platform: Platform,
}

impl Provider {
    pub(super) async fn start(platform: Platform) -> Self {
        let port = free_port();
        let name = "killed::provider::provider_process";
        let process = Process::start(name, CONFIGURATION, &json!({ "port": port }), port).await;
        Self { process, platform }
    }

    pub(super) fn port(&self) -> u16 {
        self.process.port
    }

    /// Lets something happen, and returns the event's id and the endpoints that it goes to.
    pub(super) async fn emit(&self) -> (String, Vec<String>) {
        let (event_type, is_test) = match self.platform {
            Platform::CasaPay => ("invoice.paid", true),
            _ => ("order.submitted", false),
        };
        let name = self.platform.name();
        let event =
            json!({ "platform": name, "type": event_type, "payload": { "id": "1" }, "test": is_test });
        let emitted = self.process.ask(Method::POST, "/_control/emit", event).await;
        let event = emitted["event"].as_str().unwrap().to_owned();
        (event, serde_json::from_value(emitted["endpoints"].clone()).unwrap())
    }

    /// Waits until nothing is on its way.
    pub(super) async fn settled(&self) {
        let answer = self.process.ask(Method::GET, "/_control/settled?timeout_ms=60000", Value::Null).await;
        assert_eq!(answer["settled"], true, "{answer}");
    }

    /// Everything that was sent after this, and has ended.
    pub(super) async fn sent(&self, after: u64) -> Vec<Sent> {
        let path = format!("/_control/attempts?after={after}");
        let answer = self.process.ask(Method::GET, &path, Value::Null).await;
        serde_json::from_value(answer["attempts"].clone()).unwrap()
    }
}
