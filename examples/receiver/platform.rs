//! What `receiver` makes of a preset's name: the provider, its secrets, and what an event looks like.

use std::env::{self, VarError};
use std::time::{SystemTime, UNIX_EPOCH};

use tower_webhook::provider::{self, Preset};
use tower_webhook::testing::{self, SampleEvent};
use tower_webhook::{BoxError, Provider, Secret};

/// A preset, and what these examples add to it.
#[derive(Debug)]
pub(crate) struct Platform {
    preset: Preset,
    pub(crate) provider: Provider,
}

impl Platform {
    /// The preset called `name`. Where it signs the endpoint's URL, that is `<NAME>_PUBLIC_URL`, or else `url`.
    pub(crate) fn new(name: &str, url: &str) -> Result<Self, BoxError> {
        let preset = provider::find(name).ok_or_else(|| {
            let names: Vec<_> = provider::catalogue().iter().map(Preset::name).collect();
            format!("there is no preset `{name}`; there are {}", names.join(", "))
        })?;
        let mut platform = Self { preset: *preset, provider: preset.provider() };
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
        self.preset.name()
    }

    /// An environment variable of this platform: `STRIPE_WEBHOOK_SECRET` holds the signing secret. Secrets come from
    /// nowhere else: what is given on a command line shows up in the list of processes and in the shell's history.
    pub(crate) fn variable(&self, what: &str) -> String {
        self.preset.variable(what)
    }

    /// What signs where no secret is set: it is public.
    pub(crate) fn development_secret(&self) -> Result<Secret, BoxError> {
        let secret = testing::development_secret(&self.provider);
        Ok(secret.ok_or_else(|| format!("there is no development secret for {}", self.name()))?)
    }

    /// The secret to give to a provider whose merchants choose it: the variable's, or else the public one.
    pub(crate) fn signing_secret(&self) -> Result<Secret, BoxError> {
        match env::var(self.variable("WEBHOOK_SECRET")) {
            Ok(text) => Ok(Secret::new(text)?),
            Err(_) => self.development_secret(),
        }
    }

    /// An event in the provider's envelope.
    pub(crate) fn event(&self, id: &str, event_type: &str, payload: &str) -> Result<SampleEvent, BoxError> {
        SampleEvent::new(&self.provider, id, event_type, payload)
    }
}

pub(crate) fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
