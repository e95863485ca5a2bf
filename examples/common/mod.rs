//! What `receiver` and `send` must agree on: the providers, their secrets, and what an event looks like.

use std::env::{self, VarError};
use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use tower_webhook::provider::{self, Preset};
use tower_webhook::testing::{SampleEvent, verifying_secret};
use tower_webhook::{Provider, Secret};

/// Used where no secret is set. They are public, and so worth nothing: the first that is a key of the provider is
/// taken. The digits are a key in every encoding that HMAC keys come in, the base64 is one of 32 bytes.
const DEVELOPMENT_SECRETS: [&str; 2] = [
    "646576656c6f706d656e742d7365637265742d6e6f742d666f722d7573652121",
    "ZGV2ZWxvcG1lbnQtc2VjcmV0LW5vdC1mb3ItdXNlISE=",
];

/// A preset, and what these examples add to it.
#[derive(Debug)]
pub(crate) struct Platform {
    name: &'static str,
    pub(crate) provider: Provider,
}

impl Platform {
    /// The preset called `name`. Where it signs the endpoint's URL, that is `<NAME>_PUBLIC_URL`, or else `url`.
    pub(crate) fn new(name: &str, url: &str) -> Result<Self, Box<dyn Error>> {
        let preset = provider::find(name).ok_or_else(|| {
            let names: Vec<_> = provider::catalogue().iter().map(Preset::name).collect();
            format!("there is no preset `{name}`; there are {}", names.join(", "))
        })?;
        let mut platform = Self { name: preset.name(), provider: preset.provider() };
        let variable = platform.variable("PUBLIC_URL");
        let url = match env::var(&variable) {
            Ok(url) => url,
            Err(VarError::NotPresent) => url.to_owned(),
            Err(error) => return Err(format!("{variable}: {error}").into()),
        };
        platform.provider = platform.provider.with_public_url(&url)?;
        // What a hub's handshake has to bring, such as META_VERIFY_TOKEN.
        if let Ok(token) = env::var(platform.variable("VERIFY_TOKEN")) {
            platform.provider = platform.provider.with_verify_token(Secret::new(token)?)?;
        }
        Ok(platform)
    }

    /// The preset's name, which is the end of its path too.
    pub(crate) fn name(&self) -> &'static str {
        self.name
    }

    /// An environment variable of this platform: `STRIPE_WEBHOOK_SECRET` holds the signing secret. Secrets come from
    /// nowhere else: what is given on a command line shows up in the list of processes and in the shell's history.
    pub(crate) fn variable(&self, what: &str) -> String {
        format!("{}_{what}", self.name.replace(['-', '.'], "_").to_uppercase())
    }

    /// What signs where no secret is set.
    pub(crate) fn development_secret(&self) -> Result<Secret, Box<dyn Error>> {
        match self.name {
            "caspay" => Ok(Secret::new("caspay-development-secret")?),
            "casapay" => Ok(Secret::new("whsec_casapay-development-secret")?),
            _ => {
                let is_key = |secret: &Secret| {
                    let verifying = verifying_secret(&self.provider, secret);
                    verifying.and_then(|secret| self.provider.verifier(secret)).is_ok()
                };
                let mut secrets = DEVELOPMENT_SECRETS.into_iter().map(Secret::new);
                let found = secrets.find(|secret| secret.as_ref().is_ok_and(is_key));
                Ok(found.ok_or_else(|| format!("there is no development secret for {}", self.name))??)
            }
        }
    }

    /// The type that `receiver` has a typed handler for, if it has one.
    pub(crate) fn default_type(&self) -> &'static str {
        match self.name {
            "caspay" => "payment.completed",
            "casapay" => "invoice.paid",
            _ => "example",
        }
    }

    /// A payload for an event type: the provider's documented example where there is one, else the least that
    /// its documentation lets one expect.
    pub(crate) fn payload(&self, event_type: &str) -> String {
        match (self.name, event_type.split('.').next().unwrap_or_default()) {
            ("caspay", "payment") => r#"{"payment":{"id":"pay_123","amount":100000000000,"currency":"CSPR","status":"completed","metadata":{"orderId":"order_456"}}}"#.to_owned(),
            ("casapay", "payment_intent") => r#"{"id":"pi_123","object":"payment_intent","amount":120000,"currency":"eur","status":"succeeded","customer":"cus_123","payment_method":"pm_123"}"#.to_owned(),
            ("casapay", object) => {
                let object = serde_json::Value::from(object);
                format!(r#"{{"id":"obj_123","object":{object},"amount":120000}}"#)
            }
            _ => "{}".to_owned(),
        }
    }

    /// An event in the provider's envelope.
    pub(crate) fn event(
        &self,
        id: &str,
        event_type: &str,
        payload: &str,
    ) -> Result<SampleEvent, tower_webhook::BoxError> {
        SampleEvent::new(&self.provider, id, event_type, payload)
    }
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
