//! What `receiver` and `send` must agree on: the platforms, their secrets, and what an event looks like.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::value::RawValue;
use tower_webhook::{Provider, casapay, caspay};

/// The platforms that both examples know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Platform {
    Caspay,
    Casapay,
}

impl Platform {
    pub(crate) fn provider(self) -> Provider {
        match self {
            Self::Caspay => caspay::provider(),
            Self::Casapay => casapay::provider(),
        }
    }

    /// The environment variable that holds the signing secret. Secrets come from nowhere else: what is given
    /// on a command line shows up in the list of processes and in the shell's history.
    pub(crate) fn variable(self) -> &'static str {
        match self {
            Self::Caspay => "CASPAY_WEBHOOK_SECRET",
            Self::Casapay => "CASAPAY_WEBHOOK_SECRET",
        }
    }

    /// Used where the variable is not set. It is public, and so worth nothing.
    pub(crate) fn development_secret(self) -> &'static str {
        match self {
            Self::Caspay => "caspay-development-secret",
            Self::Casapay => "whsec_casapay-development-secret",
        }
    }

    /// The type that `receiver` has a handler for.
    pub(crate) fn default_type(self) -> &'static str {
        match self {
            Self::Caspay => "payment.completed",
            Self::Casapay => "invoice.paid",
        }
    }

    /// A payload for an event type: the provider's documented example where there is one, else the least that
    /// its documentation lets one expect.
    pub(crate) fn sample(self, event_type: &str) -> String {
        match (self, event_type.split('.').next().unwrap_or_default()) {
            (Self::Caspay, "payment") => r#"{"payment":{"id":"pay_123","amount":100000000000,"currency":"CSPR","status":"completed","metadata":{"orderId":"order_456"}}}"#.to_owned(),
            (Self::Caspay, _) => "{}".to_owned(),
            (Self::Casapay, "payment_intent") => r#"{"id":"pi_123","object":"payment_intent","amount":120000,"currency":"eur","status":"succeeded","customer":"cus_123","payment_method":"pm_123"}"#.to_owned(),
            (Self::Casapay, object) => {
                format!(r#"{{"id":"obj_123","object":{},"amount":120000}}"#, quoted(object))
            }
        }
    }

    /// The body of a delivery: `payload` in the provider's envelope, on one line.
    pub(crate) fn body(self, id: &str, event_type: &str, payload: &RawValue) -> String {
        let (id, event_type) = (quoted(id), quoted(event_type));
        let created = unix_now();
        match self {
            Self::Caspay => {
                format!(r#"{{"id":{id},"type":{event_type},"created":{created},"data":{payload}}}"#)
            }
            Self::Casapay => format!(
                r#"{{"id":{id},"object":"event","type":{event_type},"data":{{"object":{payload}}},"api_version":"2025-01-15","request":{{"id":null,"idempotency_key":null}},"pending_webhooks":1,"livemode":false,"created":{created}}}"#
            ),
        }
    }
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
