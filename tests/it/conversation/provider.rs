//! The provider's process: the simulator, driven over HTTP.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_webhook::testing::simulator::{Simulator, SimulatorBuilder};

use super::process::{Process, end_with_the_parent, runtime};
use crate::servers::free_port;

const CONFIGURATION: &str = "TOWER_WEBHOOK_CONVERSATION_PROVIDER";

/// Five seconds become 25 milliseconds, half an hour 9 seconds.
const SPEED: u32 = 200;

#[test]
#[ignore = "the provider's process of the conversation"]
fn provider_process() {
    simulate(CONFIGURATION, |simulator| simulator.with_speed(SPEED).with_log_limit(100_000));
}

/// The simulator as a process, at the port that the variable names, until it is killed.
pub(crate) fn simulate(variable: &str, configure: impl FnOnce(SimulatorBuilder) -> SimulatorBuilder) {
    // Started by hand with all other ignored tests it has nothing to do.
    let Ok(configuration) = std::env::var(variable) else { return };
    end_with_the_parent();
    let configuration: Value = serde_json::from_str(&configuration).unwrap();
    let port = u16::try_from(configuration["port"].as_u64().unwrap()).unwrap();
    runtime().block_on(async {
        let simulator = Simulator::builder().bind(([127, 0, 0, 1], port).into());
        let _simulator = configure(simulator).start().await.unwrap();
        std::future::pending::<()>().await;
    });
}

/// What was sent, and how it was answered.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Sent {
    pub(crate) sequence: u64,
    pub(crate) endpoint: String,
    pub(crate) event: String,
    pub(crate) status: Option<u16>,
}

/// Waits until nothing is on its way.
pub(crate) async fn settled(simulator: &Process) {
    let answer = simulator.ask(Method::GET, "/_control/settled?timeout_ms=60000", Value::Null).await;
    assert_eq!(answer["settled"], true, "{answer}");
}

/// Everything that was sent after this, and has ended.
pub(crate) async fn sent(simulator: &Process, after: u64) -> Vec<Sent> {
    let path = format!("/_control/attempts?after={after}");
    let answer = simulator.ask(Method::GET, &path, Value::Null).await;
    serde_json::from_value(answer["attempts"].clone()).unwrap()
}

pub(super) struct Provider {
    process: Process,
}

impl Provider {
    pub(super) async fn start() -> Self {
        let port = free_port();
        let name = "conversation::provider::provider_process";
        Self { process: Process::start(name, CONFIGURATION, &json!({ "port": port }), port).await }
    }

    /// The base URL of CasaPay's API.
    pub(super) fn casapay_url(&self) -> String {
        format!("http://127.0.0.1:{}/casapay", self.process.port)
    }

    /// Lets a payment happen, and returns the event's id.
    pub(super) async fn emit(&self, payload: Value) -> String {
        let event =
            json!({ "platform": "casapay", "type": "invoice.paid", "payload": payload, "test": true });
        let emitted = self.process.ask(Method::POST, "/_control/emit", event).await;
        emitted["event"].as_str().unwrap().to_owned()
    }

    pub(super) async fn behave(&self, behaviour: Value) {
        let body = json!({ "platform": "casapay", "behaviour": behaviour });
        self.process.ask(Method::POST, "/_control/behaviour", body).await;
    }

    pub(super) async fn plan_fault(&self, operation: &str, fault: Value) {
        let body = json!({ "platform": "casapay", "operation": operation, "times": 1, "fault": fault });
        self.process.ask(Method::POST, "/_control/faults", body).await;
    }

    pub(super) async fn settled(&self) {
        settled(&self.process).await;
    }

    pub(super) async fn sent(&self, after: u64) -> Vec<Sent> {
        sent(&self.process, after).await
    }
}
