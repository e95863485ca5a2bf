//! The provider's process: the simulator, driven over HTTP.

use http::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tower_webhook::testing::simulator::Simulator;

use super::process::{Process, end_with_the_parent, runtime};
use crate::servers::free_port;

const CONFIGURATION: &str = "TOWER_WEBHOOK_CONVERSATION_PROVIDER";

/// Five seconds become 25 milliseconds, half an hour 9 seconds.
const SPEED: u32 = 200;

#[test]
#[ignore = "the provider's process of the conversation"]
fn provider_process() {
    // Started by hand with all other ignored tests it has nothing to do.
    let Ok(configuration) = std::env::var(CONFIGURATION) else { return };
    end_with_the_parent();
    let configuration: Value = serde_json::from_str(&configuration).unwrap();
    let port = u16::try_from(configuration["port"].as_u64().unwrap()).unwrap();
    runtime().block_on(async {
        let simulator = Simulator::builder().bind(([127, 0, 0, 1], port).into()).with_speed(SPEED);
        let _simulator = simulator.with_log_limit(100_000).start().await.unwrap();
        std::future::pending::<()>().await;
    });
}

/// What was sent, and how it was answered.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Sent {
    pub(super) sequence: u64,
    pub(super) endpoint: String,
    pub(super) event: String,
    pub(super) status: Option<u16>,
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

    /// Waits until nothing is on its way.
    pub(super) async fn settled(&self) {
        let answer = self.process.ask(Method::GET, "/_control/settled?timeout_ms=60000", Value::Null).await;
        assert_eq!(answer["settled"], true, "{answer}");
    }

    /// Everything that was sent after this.
    pub(super) async fn sent(&self, after: u64) -> Vec<Sent> {
        let path = format!("/_control/attempts?after={after}");
        let answer = self.process.ask(Method::GET, &path, Value::Null).await;
        serde_json::from_value(answer["attempts"].clone()).unwrap()
    }
}
