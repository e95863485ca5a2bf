//! The command line of `endpoints`.

use std::env::{self, VarError};
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::exit::Failure;
use crate::secret::{KeyArgs, SecretArgs};

/// Endpoints at the provider: where it delivers, and what. What a provider's documentation leaves open has no default:
/// it is asked for.
#[derive(Args, Debug)]
pub(crate) struct Endpoints {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// List all endpoints
    List(List),
    /// Create an endpoint; its secret goes into a file
    Create(Create),
    /// Change an endpoint: what is named, and nothing else
    Update(Update),
    /// Delete an endpoint, which cannot be undone
    Delete(Delete),
    /// Make sure that a URL has one endpoint for these events: create it, or change its events
    Ensure(Ensure),
}

/// Which API, and by which key.
#[derive(Args, Debug)]
pub(crate) struct ApiArgs {
    /// Whose endpoints
    #[arg(long, value_name = "NAME")]
    pub(crate) provider: Name,

    /// Base URL of the API, https [default: <NAME>_API_URL]
    #[arg(long, value_name = "URL")]
    pub(crate) api_url: Option<String>,

    #[command(flatten)]
    pub(crate) key: KeyArgs,

    /// diddo, caspay: the header that carries the API key, which is undocumented
    #[arg(long, value_name = "HEADER")]
    pub(crate) key_header: Option<String>,

    /// diddo, caspay: what stands before the API key in its header, such as 'Bearer ' [default: nothing]
    #[arg(long, value_name = "TEXT")]
    pub(crate) key_prefix: Option<String>,

    /// diddo: where the answer to a creation has the secret, as a JSON pointer, which is undocumented
    #[arg(long, value_name = "POINTER")]
    pub(crate) secret_at: Option<String>,

    /// caspay: the path that endpoints are created at, which is undocumented
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,

    /// Allow http to and for this machine, for the simulator
    #[arg(long)]
    pub(crate) allow_loopback: bool,
}

impl ApiArgs {
    /// The base URL, wherever it is said.
    pub(crate) fn url(&self) -> Result<Option<String>, Failure> {
        if let Some(url) = &self.api_url {
            return Ok(Some(url.clone()));
        }
        let variable = self.provider.variable("API_URL");
        match env::var(&variable) {
            Ok(url) => Ok(Some(url)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(Failure::configuration(format!("{variable} is not UTF-8"))),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Name {
    Casapay,
    Caspay,
    Diddo,
}

impl Name {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Casapay => "casapay",
            Self::Caspay => "caspay",
            Self::Diddo => "diddo",
        }
    }

    /// An environment variable of this provider.
    pub(crate) fn variable(self, what: &str) -> String {
        format!("{}_{what}", self.as_str().to_uppercase())
    }
}

#[derive(Args, Debug)]
pub(crate) struct List {
    #[command(flatten)]
    pub(crate) api: ApiArgs,
}

/// A secret that the provider makes is shown once. It is stored before anything else happens, and never printed.
#[derive(Args, Debug)]
pub(crate) struct Create {
    #[command(flatten)]
    pub(crate) api: ApiArgs,

    /// Where to deliver, https
    #[arg(long)]
    pub(crate) url: String,

    /// An event type to deliver; can be given several times
    #[arg(long = "event", value_name = "TYPE", required = true)]
    pub(crate) events: Vec<String>,

    /// What to call it
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,

    /// Directory for the secret: <provider>.<id>.secret, which its owner alone can read. Not for caspay, where the
    /// secret is yours to choose
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) save_to: Option<PathBuf>,

    /// Create it though there is one for this URL: every event is then delivered to both
    #[arg(long)]
    pub(crate) second: bool,

    /// caspay: the secret that it is to sign with
    #[command(flatten)]
    pub(crate) secret: SecretArgs,
}

#[derive(Args, Debug)]
pub(crate) struct Update {
    #[command(flatten)]
    pub(crate) api: ApiArgs,

    /// The endpoint's id
    pub(crate) id: String,

    /// Deliver to another URL, https
    #[arg(long)]
    pub(crate) url: Option<String>,

    /// Deliver this event type, and no others than are given; can be given several times
    #[arg(long = "event", value_name = "TYPE")]
    pub(crate) events: Vec<String>,

    /// Deliver, or pause
    #[arg(long, value_name = "true|false")]
    pub(crate) active: Option<bool>,

    /// Call it something else
    #[arg(long, value_name = "TEXT")]
    pub(crate) description: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct Delete {
    #[command(flatten)]
    pub(crate) api: ApiArgs,

    /// The endpoint's id
    pub(crate) id: String,

    /// Directory with the secrets, out of which that of this endpoint is removed, so that it is not accepted any more
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) save_to: Option<PathBuf>,
}

/// It deletes nothing, and leaves an endpoint paused that is. Several runs with one directory go one after the other;
/// those with others know nothing of it.
#[derive(Args, Debug)]
pub(crate) struct Ensure {
    #[command(flatten)]
    pub(crate) api: ApiArgs,

    /// Where to deliver, https
    #[arg(long)]
    pub(crate) url: String,

    /// An event type that is handled, or a pattern such as 'invoice.*'; can be given several times
    #[arg(long = "event", value_name = "TYPE", required = true)]
    pub(crate) events: Vec<String>,

    /// Directory for the secrets: <provider>.<id>.secret, which their owner alone can read
    #[arg(long, value_name = "DIRECTORY")]
    pub(crate) save_to: PathBuf,
}
