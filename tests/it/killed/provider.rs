//! The platforms' process: the simulator, which tries again and again, without ever giving up in the time of a test.

use std::time::Duration;

use http::Method;
use serde_json::json;
use tower_webhook::testing::simulator::{Platform, Schedule};

use crate::conversation::process::Process;
use crate::conversation::provider::{Sent, sent, settled, simulate};
use crate::servers::free_port;

const CONFIGURATION: &str = "TOWER_WEBHOOK_KILLED_PROVIDER";

/// Between two attempts, so many of them that every event outlives its receivers.
const PAUSE: Duration = Duration::from_millis(50);
const ATTEMPTS: usize = 10_000;

#[test]
#[ignore = "the platforms' process of those that are killed"]
fn provider_process() {
    let patient = |platform| Schedule::of(platform).with_delays([PAUSE; ATTEMPTS]);
    simulate(CONFIGURATION, |simulator| {
        [Platform::CasaPay, Platform::Diddo]
            .into_iter()
            .fold(simulator.with_log_limit(1_000_000), |simulator, platform| {
                simulator.with_schedule(platform, patient(platform))
            })
    });
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

    pub(super) async fn settled(&self) {
        settled(&self.process).await;
    }

    pub(super) async fn sent(&self, after: u64) -> Vec<Sent> {
        sent(&self.process, after).await
    }
}
