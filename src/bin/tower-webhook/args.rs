//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};
use reqwest::Url;
use tower_webhook::provider::Preset;

use crate::client::{credentials_shown, http_url};
use crate::commands::endpoints::Endpoints;
use crate::exit::{self, Failure};
use crate::platform::{ProviderArgs, preset};
use crate::secret::{SecretArgs, looks_secret};

/// Signs, verifies, sends and replays webhooks of some seventy providers.
///
/// Secrets are read from the environment (<NAME>_WEBHOOK_SECRET, such as STRIPE_WEBHOOK_SECRET), from a file, or from a
/// prompt; never from the command line, which is in the list of processes.
#[derive(Debug, Parser)]
#[command(name = "tower-webhook", version, max_term_width = 100, after_help = exit::help())]
pub(crate) struct Args {
    /// Write JSON, as is done where standard output is no terminal
    #[arg(long, global = true)]
    json: bool,

    /// Write text for people, as is done at a terminal
    #[arg(long, global = true, conflicts_with = "json")]
    text: bool,

    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the presets, or describe one
    Providers(Providers),
    /// Manage webhook endpoints at CasaPay, CasPay and Diddo
    Endpoints(Endpoints),
    /// Sign a body, and print the headers or a curl command
    Sign(Sign),
    /// Verify a captured request, and say why where it does not
    Verify(Verify),
    /// Send signed events to a receiver, and show how it answers
    Send(Send),
    /// Send captured requests once more, in their order
    Replay(Replay),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Providers {
    /// The name of a preset, to describe it
    #[arg(value_name = "NAME", value_parser = preset)]
    pub(crate) name: Option<Preset>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Sign {
    #[command(flatten)]
    pub(crate) provider: ProviderArgs,

    #[command(flatten)]
    pub(crate) secret: SecretArgs,

    /// File with the body, byte for byte; - is standard input
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub(crate) data: PathBuf,

    /// A header that is signed, such as 'webhook-id: msg_1' [default: a value of no meaning]
    #[arg(long = "header", short = 'H', value_name = "NAME: VALUE")]
    pub(crate) headers: Vec<String>,

    /// Sign at this time, in Unix seconds [default: now]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) at: Option<u64>,

    /// Print a curl command that sends the body to this URL
    #[arg(long, value_name = "URL", value_parser = http_url)]
    pub(crate) curl: Option<Url>,
}

/// The request is given whole, or as headers and body.
#[derive(Debug, clap::Args)]
pub(crate) struct Verify {
    #[command(flatten)]
    pub(crate) provider: ProviderArgs,

    #[command(flatten)]
    pub(crate) secret: SecretArgs,

    /// File with the request as it was on the wire: request line, headers, an empty line, the body; or as a line of
    /// JSON, as `replay` takes it; - is standard input
    #[arg(long, value_name = "FILE", required_unless_present = "headers")]
    pub(crate) request: Option<PathBuf>,

    /// File with the headers, one a line; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "request", requires = "body")]
    pub(crate) headers: Option<PathBuf>,

    /// File with the body, byte for byte; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "request", requires = "headers")]
    pub(crate) body: Option<PathBuf>,

    /// When the request arrived, in Unix seconds [default: now]
    #[arg(long, value_name = "SECONDS")]
    pub(crate) at: Option<u64>,
}

/// A receiver on loopback for which no secret is set is sent what the public development secret signs.
///
/// Every request is expected to be answered 2xx, or 401 with --tamper.
#[derive(Debug, clap::Args)]
pub(crate) struct Send {
    /// Where to send to, such as http://127.0.0.1:3000/webhooks/caspay
    #[arg(value_parser = http_url)]
    pub(crate) url: Url,

    #[command(flatten)]
    pub(crate) provider: ProviderArgs,

    #[command(flatten)]
    pub(crate) secret: SecretArgs,

    /// Event type [default: payment.completed for caspay, invoice.paid for casapay, else example]
    #[arg(long = "type", value_name = "TYPE")]
    pub(crate) event_type: Option<String>,

    /// File with the payload, a JSON value: what goes where the provider has the payload, under `data` for instance
    /// [default: a sample for the type]
    #[arg(long, value_name = "FILE")]
    pub(crate) data: Option<PathBuf>,

    /// Event id, for all events [default: a new one for each]
    #[arg(long)]
    pub(crate) id: Option<String>,

    /// How many events
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) count: u32,

    /// How many requests at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) concurrency: u16,

    /// Send every event again once it has been answered
    #[arg(long)]
    pub(crate) duplicate: bool,

    /// Break every request
    #[arg(long, value_name = "WHAT")]
    pub(crate) tamper: Option<Tamper>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Tamper {
    /// Change a digit of the signature
    Signature,
    /// Add a space to the body after signing (not for gitlab-token and others that do not sign it)
    Body,
    /// Sign an hour ago (not for caspay and others that sign no timestamp, nor for linear, which has it in the body)
    Timestamp,
    /// Leave the signature out
    Missing,
}

/// FILE holds raw HTTP/1 requests one after the other, or lines of JSON: {"headers":{..},"body":".."} (or
/// "body_base64"), or a delivery as this library stores it.
///
/// Requests are sent with their method, their exact bytes, and their headers but for those of one connection (host, content-length,
/// connection and what it names, transfer-encoding and the like). So they go by https, or to this machine. Every one is
/// expected to be answered 2xx.
#[derive(Debug, clap::Args)]
pub(crate) struct Replay {
    /// The captured requests; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,

    /// Where to send them
    #[arg(long, value_name = "URL", value_parser = http_url)]
    pub(crate) to: Url,

    /// Sign anew, since providers' timestamps expire and stored deliveries have no signature
    #[arg(long, requires = "provider")]
    pub(crate) resign: bool,

    /// Whose webhooks these are, to sign them: the name of a preset, such as stripe
    #[arg(long, value_name = "NAME", value_parser = preset, requires = "resign")]
    pub(crate) provider: Option<Preset>,

    /// The endpoint's URL, for providers that sign it [default: <NAME>_PUBLIC_URL, or the URL of --to]
    #[arg(long, value_name = "URL", requires = "resign")]
    pub(crate) public_url: Option<String>,

    #[command(flatten)]
    pub(crate) secret: SecretArgs,

    /// Send over http to another machine, where everybody on the way can read tokens and customers' data
    #[arg(long)]
    pub(crate) allow_http: bool,

    /// Stop at the first request that is not answered 2xx
    #[arg(long)]
    pub(crate) stop: bool,
}

/// Why there are no arguments to work with.
pub(crate) enum Refused {
    /// Help or the version was asked for.
    Asked(String),
    Mistaken(Failure),
}

/// Options that other programs have for a secret, and that this one has not.
const SECRET_OPTIONS: [&str; 7] =
    ["--secret", "--signing-secret", "--webhook-secret", "--key", "--api-key", "--token", "--password"];

pub(crate) fn parse(arguments: &[OsString]) -> Result<Args, Refused> {
    let names_secret = |argument: &OsString| {
        let argument = argument.to_string_lossy();
        let name = argument.split('=').next().unwrap_or_default();
        SECRET_OPTIONS.iter().find(|option| **option == name).copied()
    };
    if let Some(option) = arguments.iter().skip(1).find_map(names_secret) {
        // Endpoints are managed with a key of the API; a secret of webhooks is another thing there, too.
        let is_key =
            arguments.iter().skip(1).any(|argument| argument == "endpoints") && !option.contains("secret");
        let instead = if is_key {
            "<NAME>_API_KEY, or give --key-env VARIABLE or --key-file FILE"
        } else {
            "<NAME>_WEBHOOK_SECRET, or give --secret-env VARIABLE or --secret-file FILE"
        };
        return Err(Refused::Mistaken(Failure::usage(format!(
            "there is no {option}: what stands on a command line is in the list of processes, where every user of this \
             machine can read it, and in the shell's history. Set the variable {instead}. If this was a real secret, \
             replace it"
        ))));
    }
    let parsed = Args::command().try_get_matches_from(arguments);
    parsed.and_then(|matches| Args::from_arg_matches(&matches)).map_err(|error| {
        let text = error.render().to_string();
        match error.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Refused::Asked(text),
            // It quotes what it does not take.
            _ if arguments.iter().any(|argument| has_credentials(&argument.to_string_lossy())) => {
                Refused::Mistaken(credentials_shown())
            }
            _ if arguments.iter().skip(1).any(|argument| repeats_secret(&text, &argument.to_string_lossy())) => {
                Refused::Mistaken(Failure::usage(
                    "the command line is mistaken, and something in it looks like a secret, so that it is not repeated \
                     here: what stands on a command line is in the list of processes. If it was a real one, replace it. \
                     --help says what is taken",
                ))
            }
            _ => {
                let text = text.strip_prefix("error: ").unwrap_or(&text);
                Refused::Mistaken(Failure::usage(text.trim_end()))
            }
        }
    })
}

/// Whether a text quotes an argument, or the value of an option, that is likely a secret.
fn repeats_secret(text: &str, argument: &str) -> bool {
    let value = argument.split_once('=').filter(|_| argument.starts_with('-')).map(|(_, value)| value);
    [Some(argument), value].into_iter().flatten().any(|given| looks_secret(given) && text.contains(given))
}

/// Whether there is a URL with a user or a password in it, well-formed or not.
fn has_credentials(argument: &str) -> bool {
    let authority = argument.split_once("://").and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    authority.is_some_and(|authority| authority.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_secret_is_no_option_and_is_not_repeated() {
        for option in SECRET_OPTIONS {
            for given in [vec![format!("{option}=hunter2")], vec![option.to_owned(), "hunter2".to_owned()]] {
                let arguments = ["tower-webhook".to_owned(), "send".to_owned()].into_iter().chain(given);
                let arguments: Vec<_> = arguments.map(OsString::from).collect();
                let Err(Refused::Mistaken(failure)) = parse(&arguments) else { panic!("{option} is taken") };
                assert!(failure.message.contains("list of processes"), "{}", failure.message);
                assert!(!failure.message.contains("hunter2"));
            }
        }
    }

    #[test]
    fn for_endpoints_a_key_is_what_the_api_takes() {
        let refused = |arguments: &[&str]| {
            let arguments: Vec<_> = arguments.iter().map(OsString::from).collect();
            let Err(Refused::Mistaken(failure)) = parse(&arguments) else {
                panic!("{arguments:?} are taken")
            };
            failure.message
        };
        for option in ["--key", "--api-key", "--token", "--password"] {
            let said = refused(&["tower-webhook", "--json", "endpoints", "list", option, "hunter2"]);
            assert!(said.contains("<NAME>_API_KEY") && said.contains("--key-file"), "{said}");
            assert!(!said.contains("WEBHOOK_SECRET"), "{said}");
            assert!(refused(&["tower-webhook", "send", option, "hunter2"]).contains("<NAME>_WEBHOOK_SECRET"));
        }
        let said = refused(&["tower-webhook", "endpoints", "create", "--secret=hunter2"]);
        assert!(said.contains("<NAME>_WEBHOOK_SECRET") && said.contains("--secret-file"), "{said}");
    }
}
