//! Secrets: from a variable, a file, or a prompt that shows nothing. Never from the command line, which is in the list
//! of processes and in the shell's history.

use std::env::{self, VarError};
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::Args;
use tower_webhook::testing::{development_secret, verifying_secret};
use tower_webhook::{ConfigError, Secret};
use zeroize::Zeroizing;

use crate::exit::Failure;
use crate::interrupt::Busy;
use crate::output::Output;
use crate::platform::Platform;
use crate::written::secret_in;

/// Longer than any secret or key in PEM.
const MAX_FILE_BYTES: u64 = 65_536;

/// Where the secret is.
#[derive(Args, Debug)]
pub(crate) struct SecretArgs {
    /// Environment variable that holds the secret [default: <NAME>_WEBHOOK_SECRET; to sign with a key pair
    /// <NAME>_SIGNING_SEED]
    #[arg(long, value_name = "VARIABLE", conflicts_with = "secret_file")]
    secret_env: Option<String>,

    /// File that holds the secret; line ends after it are not a part of it
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Take the public development secret, which the example `receiver` takes on loopback
    #[arg(long, conflicts_with_all = ["secret_env", "secret_file"])]
    development: bool,

    /// Accept a secret under 16 bytes
    #[arg(long)]
    weak_secret: bool,
}

/// Where the key of an API is.
#[derive(Args, Debug)]
pub(crate) struct KeyArgs {
    /// Environment variable that holds the API key [default: <NAME>_API_KEY]
    #[arg(long, value_name = "VARIABLE", conflicts_with = "key_file")]
    key_env: Option<String>,

    /// File that holds the API key; line ends after it are not a part of it
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
}

impl KeyArgs {
    /// The key, by default from the variable of this name.
    pub(crate) fn read(&self, variable: &str, output: &Output) -> Result<Secret, Failure> {
        let of_variable = |name: &str, shown: &str| {
            read_variable(name).map_err(|why| Failure::configuration(format!("{shown} {why}")))
        };
        let mut text = match (&self.key_file, &self.key_env) {
            (Some(path), _) => read_file(path, output)?,
            (None, Some(name)) => {
                let shown = "the variable that --key-env names";
                let missing = || Failure::configuration(format!("{shown} is not set"));
                of_variable(name, shown)?.ok_or_else(missing)?
            }
            (None, None) => match of_variable(variable, variable)? {
                Some(text) => text,
                None if is_anybody_there() => ask("API key (not shown): ")?,
                None => {
                    return Err(Failure::configuration(format!(
                        "there is no API key: set {variable}, or give --key-env VARIABLE or --key-file FILE; at a \
                         terminal it is asked for"
                    )));
                }
            },
        };
        // An API key may be as short as its provider likes.
        let key = Secret::weak(std::mem::take(&mut *text));
        key.map_err(|_| Failure::configuration("the API key is empty, or begins or ends with white space"))
    }
}

/// What the secret is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    Signing,
    /// Signing for a receiver on this machine: the public secret will do where there is none.
    SigningForLoopback,
    /// Signing from now on, by somebody who is told it.
    Choosing,
    Verifying,
}

/// A text, and where it comes from, in words.
pub(crate) struct Found {
    pub(crate) text: Zeroizing<String>,
    pub(crate) source: String,
}

impl SecretArgs {
    /// Whether the command line says anything of a secret.
    pub(crate) fn is_given(&self) -> bool {
        self.secret_env.is_some() || self.secret_file.is_some() || self.development || self.weak_secret
    }

    /// The text that is configured, whatever it is.
    pub(crate) fn find(
        &self,
        platform: &Platform,
        purpose: Purpose,
        output: &Output,
    ) -> Result<Found, Failure> {
        if let Some(path) = &self.secret_file {
            let text = read_file(path, output)?;
            return Ok(Found { text, source: format!("the secret in {}", shown(path)) });
        }
        if let Some(variable) = &self.secret_env {
            // The name is not repeated: who gives the secret in its place shall not see it in a log.
            let source = "the variable that --secret-env names".to_owned();
            return read_variable(variable)
                .map_err(|why| Failure::configuration(format!("{source} {why}")))?
                .map(|text| Found { text, source: source.clone() })
                .ok_or_else(|| Failure::configuration(format!("{source} is not set")));
        }
        if self.development {
            return development(platform, purpose);
        }
        let is_seed = purpose != Purpose::Verifying && platform.signs_by_key_pair();
        let variable = platform.preset.variable(if is_seed { "SIGNING_SEED" } else { "WEBHOOK_SECRET" });
        match read_variable(&variable) {
            Ok(Some(text)) => return Ok(Found { text, source: variable }),
            Ok(None) => {}
            Err(why) => return Err(Failure::configuration(format!("{variable} {why}"))),
        }
        if purpose == Purpose::SigningForLoopback {
            output.warning(&format!(
                "{variable} is not set: signing with the public development secret, for loopback only"
            ));
            return development(platform, purpose);
        }
        if is_anybody_there() {
            let what = if is_seed { "signing seed" } else { "webhook secret" };
            let text = ask(&format!("{} {what} (not shown): ", platform.name()))?;
            // A slip would be registered, and every delivery refused.
            if purpose == Purpose::Choosing && *ask("once more: ")? != *text {
                return Err(Failure::configuration("the two differ: nothing was sent"));
            }
            return Ok(Found { text, source: "the secret".to_owned() });
        }
        Err(Failure::configuration(format!(
            "there is no secret: set {variable}, or give --secret-env VARIABLE or --secret-file FILE; at a terminal it \
             is asked for"
        )))
    }

    /// The name of the variable that a shell takes the secret from, later and by itself.
    pub(crate) fn variable(&self, platform: &Platform) -> Result<String, Failure> {
        if self.secret_file.is_some() || self.development {
            return Err(Failure::usage(format!(
                "{} sends the secret itself, which the command takes from a variable: give --secret-env VARIABLE, or set \
                 {}",
                platform.name(),
                platform.preset.variable("WEBHOOK_SECRET")
            )));
        }
        let Some(name) = &self.secret_env else { return Ok(platform.preset.variable("WEBHOOK_SECRET")) };
        // It is printed. A name that is set is one, and no secret in its place.
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let shown = "the variable that --secret-env names";
        if !is_name {
            return Err(Failure::configuration(format!("{shown} has no name that a shell takes")));
        }
        match read_variable(name) {
            Ok(Some(_)) => Ok(name.clone()),
            Ok(None) => Err(Failure::configuration(format!("{shown} is not set"))),
            Err(why) => Err(Failure::configuration(format!("{shown} {why}"))),
        }
    }

    /// The secret before the present one, which receivers accept beside it. Whoever says where the secret is means that
    /// one alone.
    pub(crate) fn previous(&self, platform: &Platform) -> Result<Option<Found>, Failure> {
        if self.secret_env.is_some() || self.secret_file.is_some() || self.development {
            return Ok(None);
        }
        let variable = platform.preset.variable("WEBHOOK_SECRET_PREVIOUS");
        let text = read_variable(&variable);
        let text = text.map_err(|why| Failure::configuration(format!("{variable} {why}")))?;
        Ok(text.filter(|text| !text.is_empty()).map(|text| Found { text, source: variable }))
    }

    /// A secret that signs.
    pub(crate) fn signing(
        &self,
        platform: &Platform,
        purpose: Purpose,
        output: &Output,
    ) -> Result<Secret, Failure> {
        let Found { mut text, source } = self.find(platform, purpose, output)?;
        let text = std::mem::take(&mut *text);
        let secret = if self.weak_secret { Secret::weak(text) } else { Secret::new(text) };
        let secret = secret.map_err(|error| Failure::configuration(format!("{source}: {}", said(&error))))?;
        platform.check_signing(&secret)?;
        Ok(secret)
    }
}

/// How the secrets and keys of providers begin.
const PREFIXES: [&str; 16] = [
    "whsec_",
    "whsk_",
    "sk_",
    "rk_",
    "pk_",
    "sk-",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "xox",
    "shpss_",
    "shpat_",
    "EAA",
    "SG.",
    "-----BEGIN",
];

/// So long a word of letters and digits is made by a machine.
const MIN_MADE: usize = 24;

/// Whether a text is likely a secret in the wrong place, where it would be repeated.
pub(crate) fn looks_secret(text: &str) -> bool {
    let is_prefixed = |prefix: &str| text.strip_prefix(prefix).is_some_and(|rest| rest.len() >= 4);
    let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte));
    let has = |is: fn(&u8) -> bool| text.as_bytes().iter().any(is);
    // What has a slash is base64 or a path: where it begins with none, and ends in no name, nobody can tell.
    let is_made = is_word
        && text.len() >= MIN_MADE
        && has(u8::is_ascii_digit)
        && has(u8::is_ascii_alphabetic)
        && !text.starts_with(['/', '-']);
    is_made || PREFIXES.into_iter().any(is_prefixed)
}

/// The name of a file for a message, unless it is likely a secret that was given in its place.
pub(crate) fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    if looks_secret(&text) {
        return "a file whose name is not repeated, since it looks like a secret".to_owned();
    }
    text.into_owned()
}

/// Asks at the terminal, which shows nothing of what is typed.
fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let busy = Busy::asking();
    let text = rpassword::prompt_password(prompt).map(Zeroizing::new);
    drop(busy);
    text.map_err(|error| match error.kind() {
        io::ErrorKind::Interrupted => Failure::interrupted("interrupted at the prompt"),
        _ => Failure::configuration(format!("the prompt: {error}")),
    })
}

/// Whether somebody is there to be asked: a prompt is at the terminal that the program belongs to. A body may be piped
/// into the program, and its result out of it; where errors go elsewhere, too, it is a script that runs it.
fn is_anybody_there() -> bool {
    if !io::stdin().is_terminal() && !io::stderr().is_terminal() {
        return false;
    }
    #[cfg(unix)]
    let terminal = File::options().read(true).write(true).open("/dev/tty");
    #[cfg(windows)]
    let terminal = File::options().read(true).write(true).open("CONIN$");
    terminal.is_ok_and(|terminal| terminal.is_terminal())
}

/// The library's advice for programs that call it, in terms of this one.
fn said(error: &ConfigError) -> String {
    match error {
        ConfigError::ShortSecret { length } => {
            format!("it has {length} bytes, expected at least 16; --weak-secret accepts it")
        }
        other => other.to_string(),
    }
}

fn development(platform: &Platform, purpose: Purpose) -> Result<Found, Failure> {
    let none = || Failure::configuration(format!("there is no development secret for {}", platform.name()));
    let mut secret = development_secret(&platform.provider).ok_or_else(none)?;
    if purpose == Purpose::Verifying {
        secret = verifying_secret(&platform.provider, &secret).map_err(|_| none())?;
    }
    let text = Zeroizing::new(secret.expose().to_owned());
    Ok(Found { text, source: "the development secret".to_owned() })
}

fn read_variable(name: &str) -> Result<Option<Zeroizing<String>>, &'static str> {
    // Neither could be the name of one, and both make the look-up panic.
    if name.is_empty() || name.contains(['=', '\0']) {
        return Err("has no name that a variable can have");
    }
    match env::var(name) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err("is not UTF-8"),
    }
}

fn read_file(path: &Path, output: &Output) -> Result<Zeroizing<String>, Failure> {
    let failed = |why: &dyn std::fmt::Display| Failure::configuration(format!("{}: {why}", shown(path)));
    let file = File::open(path).map_err(|error| failed(&error))?;
    if is_readable_by_others(&file) {
        output.warning(&format!(
            "{} can be read by others than its owner: chmod 600 it, and consider the secret known",
            shown(path)
        ));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    if text.len() as u64 > MAX_FILE_BYTES {
        return Err(failed(&"longer than any secret"));
    }
    if text.starts_with('\u{feff}') {
        // A receiver may read the file in another way.
        output.warning(&format!(
            "{} begins with a byte order mark, which is left out: other programs may take it for a part of the secret",
            shown(path)
        ));
    }
    Ok(Zeroizing::new(secret_in(&text).to_owned()))
}

#[cfg(unix)]
fn is_readable_by_others(file: &File) -> bool {
    use std::os::unix::fs::PermissionsExt as _;

    // Pipes have modes too, but nobody else gets at them.
    file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o077 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_others(_: &File) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_the_place_of_a_name_is_not_repeated() {
        for text in [
            "whsec_MDEyMzQ1Njc4OWFiY2RlZg==",
            "sk_live_0123456789",
            "-----BEGIN PRIVATE KEY-----",
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "MDEyMzQ1Njc4OWFiY2Rl/Zg+MDEyMzQ=",
        ] {
            assert!(looks_secret(text), "{text}");
            assert!(!shown(Path::new(text)).contains(text), "{text}");
        }
        for text in [
            "key",
            "webhook-secret.txt",
            "/run/secrets/casapay_webhook_secret_1",
            "secrets/casapay.we_0123456789abcdef.secret",
            "a-directory-with-a-long-name",
            "sk_",
            "--count=0000000000000000000000012a",
        ] {
            assert!(!looks_secret(text), "{text}");
            assert_eq!(shown(Path::new(text)), text);
        }
    }
}
