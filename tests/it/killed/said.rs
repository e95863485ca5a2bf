//! A worker is told to do something, and says what came of it.

use http::Method;
use serde::Deserialize;
use serde_json::Value;

use crate::conversation::process::Process;

/// What a worker says to a command.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Said {
    pub(super) ok: Option<String>,
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) endpoints: Vec<String>,
    #[serde(default)]
    pub(super) text: String,
}

impl Said {
    pub(super) async fn to(worker: &Process, command: &str) -> Self {
        let method = if command.is_empty() { Method::GET } else { Method::POST };
        let said = worker.ask(method, &format!("/{command}"), Value::Null).await;
        serde_json::from_value(said).unwrap()
    }

    /// What was done.
    pub(super) fn done(self) -> String {
        assert_eq!(self.error, None, "{}", self.text);
        self.ok.unwrap()
    }

    /// The endpoints that an error of this kind names.
    pub(super) fn failed(self, kind: &str) -> Vec<String> {
        assert_eq!(self.error.as_deref(), Some(kind), "{self:?}");
        self.endpoints
    }
}
