//! A preset, with what the command line and the environment say of it.

use std::env::{self, VarError};

use clap::Args;
use http::{HeaderMap, HeaderValue};
use reqwest::Url;
use tower_webhook::provider::{self, Preset};
use tower_webhook::testing::{SignedRequest, development_secret, verifying_secret};
use tower_webhook::{ConfigError, Provider, Secret};

use crate::client::is_private;
use crate::exit::Failure;

/// Which provider.
#[derive(Args, Debug)]
pub(crate) struct ProviderArgs {
    /// Whose webhooks these are: the name of a preset, such as stripe
    #[arg(long, value_name = "NAME", value_parser = preset)]
    provider: Preset,

    /// The endpoint's URL, letter for letter as the provider has it on record, for those that sign it [default:
    /// <NAME>_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
}

/// The preset of this name.
pub(crate) fn preset(name: &str) -> Result<Preset, String> {
    provider::find(name).copied().ok_or_else(|| {
        let names: Vec<_> = provider::catalogue().iter().map(Preset::name).collect();
        format!("there is no preset `{name}`; there are {}", names.join(", "))
    })
}

#[derive(Debug)]
pub(crate) struct Platform {
    pub(crate) preset: Preset,
    pub(crate) provider: Provider,
}

impl Platform {
    /// Where the provider signs the endpoint's URL, that is `--public-url`, or what the environment says, or `otherwise`.
    pub(crate) fn new(args: &ProviderArgs, otherwise: Option<&str>) -> Result<Self, Failure> {
        Self::of(args.provider, args.public_url.as_deref(), otherwise)
    }

    pub(crate) fn of(
        preset: Preset,
        public_url: Option<&str>,
        otherwise: Option<&str>,
    ) -> Result<Self, Failure> {
        let variable = preset.variable("PUBLIC_URL");
        let url = match (public_url, env::var(&variable)) {
            (Some(url), _) => Some(url.to_owned()),
            (None, Ok(url)) => Some(url),
            (None, Err(VarError::NotPresent)) => otherwise.map(str::to_owned),
            (None, Err(error)) => return Err(Failure::configuration(format!("{variable}: {error}"))),
        };
        let mut provider = preset.provider();
        if let Some(url) = url {
            provider =
                provider.with_public_url(&url).map_err(|error| Failure::configuration(error.to_string()))?;
        }
        Ok(Self { preset, provider })
    }

    /// What the environment calls the secret (`<NAME>_WEBHOOK_KEY_ID`), where the provider sends it.
    pub(crate) fn key_id(&self) -> Result<Option<String>, Failure> {
        let variable = self.preset.variable("WEBHOOK_KEY_ID");
        let wrong = |why: &str| Failure::configuration(format!("{variable} {why}"));
        match env::var(&variable) {
            Ok(id) if id.is_empty() || HeaderValue::try_from(&id).is_err() => {
                Err(wrong("is nothing that a header can hold"))
            }
            Ok(id) => Ok(Some(id)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(wrong("is not UTF-8")),
        }
    }

    pub(crate) fn name(&self) -> &'static str {
        self.preset.name()
    }

    /// Whether the signing key is another than the one that verifies.
    pub(crate) fn signs_by_key_pair(&self) -> bool {
        self.provider.describe().algorithm() == "Ed25519"
    }

    /// Whether the provider sends the secret itself.
    pub(crate) fn sends_token(&self) -> bool {
        self.provider.describe().algorithm() == "token"
    }

    /// Refuses to send the secret itself where others can read it: over http to another machine.
    pub(crate) fn check_transport(&self, url: &Url) -> Result<(), Failure> {
        if !self.sends_token() || is_private(url) {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "{} sends the secret itself, which everybody on the way can read over http: https, or this machine",
            self.name()
        )))
    }

    /// Whether another body makes another signature.
    pub(crate) fn signs_body(&self, secret: &Secret) -> bool {
        self.signed(secret, "[1]", 0) != self.signed(secret, "[2]", 0)
    }

    /// Whether the timestamp that is signed is in the body, which is not this program's to change.
    pub(crate) fn has_timestamp_in_body(&self, secret: &Secret) -> bool {
        self.provider.signs_timestamp() && self.signed(secret, "", 1) == self.signed(secret, "", 100_000)
    }

    fn signed(&self, secret: &Secret, body: &'static str, at: u64) -> HeaderMap {
        let request = SignedRequest::new(&self.provider, secret, body).at_unix(at).build();
        request.into_parts().0.headers
    }

    /// Checks that this secret can sign: what follows may rely on it.
    pub(crate) fn check_signing(&self, secret: &Secret) -> Result<(), Failure> {
        let verifying = verifying_secret(&self.provider, secret);
        verifying.and_then(|secret| self.provider.verifier(secret)).map(drop).map_err(|error| match error {
            ConfigError::NoPublicUrl => self.no_url(),
            ConfigError::UndecodableSecret { expected, .. } => Failure::configuration(format!(
                "the secret is no signing key of {}: expected {expected}",
                self.name()
            )),
            error => Failure::configuration(error.to_string()),
        })
    }

    /// What to say where the URL is signed, and nobody said which it is.
    pub(crate) fn lacks_url(&self) -> Option<Failure> {
        let secret = development_secret(&self.provider)?;
        let secret = verifying_secret(&self.provider, &secret).ok()?;
        let error = self.provider.verifier(secret).err()?;
        (error == ConfigError::NoPublicUrl).then(|| self.no_url())
    }

    fn no_url(&self) -> Failure {
        Failure::configuration(format!(
            "{} signs the endpoint's URL: give it with --public-url, or in {}",
            self.name(),
            self.preset.variable("PUBLIC_URL")
        ))
    }
}
