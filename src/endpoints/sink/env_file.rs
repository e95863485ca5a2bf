//! A file of environment variables, for a receiver that reads its secrets from the environment.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::sync::Mutex;
use zeroize::Zeroizing;

use super::{SecretSink, write};
use crate::endpoints::check::is_id;
use crate::error::BoxError;
use crate::signature::Secret;

/// Hands secrets over to the environment of a later start: a file `NAME=secret`, readable by its owner alone (0600), for
/// `EnvironmentFile=` of systemd or `--env-file` of a container. The newest is `NAME`, the one before it
/// `NAME_PREVIOUS`, as [`Secrets::from_env`](crate::Secrets::from_env) reads them.
///
/// A receiver learns of a new secret when it is restarted. During a rotation that is too late for what is delivered at
/// once, which it refuses with 401: where that matters, use a [`FileSink`](super::FileSink).
///
/// ```
/// use tower_webhook::Secret;
/// use tower_webhook::endpoints::{EnvFileSink, SecretSink as _};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_webhook::BoxError> {
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("webhooks.env");
/// let sink = EnvFileSink::new(&path, "CASAPAY_WEBHOOK_SECRET");
/// sink.store("casapay", "we_1", &Secret::new("whsec_0123456789abcdef")?).await?;
/// sink.store("casapay", "we_2", &Secret::new("whsec_fedcba9876543210")?).await?;
/// assert_eq!(
///     std::fs::read_to_string(path)?.lines().collect::<Vec<_>>(),
///     [
///         "# casapay we_2",
///         "CASAPAY_WEBHOOK_SECRET=whsec_fedcba9876543210",
///         "# casapay we_1",
///         "CASAPAY_WEBHOOK_SECRET_PREVIOUS=whsec_0123456789abcdef",
///     ]
/// );
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct EnvFileSink {
    path: PathBuf,
    variable: String,
    /// One change at a time: each reads the file that it replaces.
    changing: Mutex<()>,
}

/// The secret of an endpoint, newest first in the file.
struct Entry {
    endpoint: String,
    secret: Zeroizing<String>,
}

/// What the name of the variable has after it, the newest secret's first.
const SUFFIXES: [&str; 2] = ["", "_PREVIOUS"];

impl EnvFileSink {
    /// The file at `path`, of which this is the only writer, for the variable of one endpoint's secrets. Another variable
    /// needs another file: with one in it that is not `variable`, every call fails, and leaves it as it is.
    pub fn new(path: impl Into<PathBuf>, variable: &str) -> Self {
        Self { path: path.into(), variable: variable.to_owned(), changing: Mutex::new(()) }
    }

    async fn change(
        &self,
        change: impl FnOnce(&mut Vec<Entry>) -> io::Result<()> + Send + 'static,
    ) -> Result<(), BoxError> {
        let _changing = self.changing.lock().await;
        let (path, variable) = (self.path.clone(), self.variable.clone());
        let work = move || {
            let mut entries = read(&path, &variable)?;
            change(&mut entries)?;
            write::replace(&path, &text(&variable, &entries)?)
        };
        Ok(write::blocking(work).await?)
    }
}

/// The entries of this variable, and an error where there are others.
fn read(path: &Path, variable: &str) -> io::Result<Vec<Entry>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Where the directory is not there either, nobody can say what is in it.
            write::directory_of(path).map_or(Ok(()), |directory| fs::metadata(directory).map(drop))?;
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut entries = Vec::new();
    // As `text` has written them; but a person may have taken the newest one out.
    let mut suffixes = SUFFIXES.into_iter();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let endpoint = line.strip_prefix("# ");
        let secret = lines.next().and_then(|line| line.split_once('='));
        let (Some(endpoint), Some((name, secret))) = (endpoint, secret) else {
            return Err(io::Error::other("the file of secrets has lines that are not its own"));
        };
        let Some(rest) = name.strip_prefix(variable) else { return Err(foreign_variable()) };
        if !suffixes.any(|suffix| suffix == rest) {
            return Err(foreign_variable());
        }
        let (endpoint, secret) = (endpoint.to_owned(), Zeroizing::new(secret.to_owned()));
        entries.push(Entry { endpoint, secret });
    }
    Ok(entries)
}

fn foreign_variable() -> io::Error {
    io::Error::other("the file has a variable that is not this sink's: each needs a file of its own")
}

fn text(variable: &str, entries: &[Entry]) -> io::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    for (entry, suffix) in entries.iter().zip(SUFFIXES) {
        // Readers of such files differ in what quotes and escapes mean: what needs none is read alike by all.
        if !entry.secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+/=.:".contains(&byte)) {
            return Err(io::Error::other(
                "a secret with characters that environment files read in different ways",
            ));
        }
        text.push_str(&format!("# {}\n{variable}{suffix}=", entry.endpoint));
        text.push_str(&entry.secret);
        text.push('\n');
    }
    Ok(text)
}

fn has_room(entries: &[Entry]) -> io::Result<()> {
    if entries.len() >= 2 {
        return Err(io::Error::other("there are two secrets already: remove one of them"));
    }
    Ok(())
}

fn name(provider: &str, endpoint_id: &str) -> Result<String, BoxError> {
    if !is_id(endpoint_id) {
        return Err("an endpoint's id that cannot stand in a file".into());
    }
    Ok(format!("{provider} {endpoint_id}"))
}

impl SecretSink for EnvFileSink {
    /// Fails where there is no room for another secret, or the file cannot be replaced.
    async fn announce(&self, _: &str, _: &str) -> Result<(), BoxError> {
        self.change(|entries| has_room(entries)).await
    }

    /// Removes what was left of writing the file, when it is an hour old.
    async fn tidy(&self, _: &str, _: &str) -> Result<(), BoxError> {
        let path = self.path.clone();
        let tidy = move || {
            let (Some(directory), Some(file)) = (write::directory_of(&path), path.file_name()) else {
                return Ok(());
            };
            write::tidy(directory, |name| file == name, |_| false)
        };
        Ok(write::blocking(tidy).await?)
    }

    /// Two at most, as many as a rotation has: a third one is refused, since it would push out one that may be in use. So
    /// is one that [`Secrets::from_env`](crate::Secrets::from_env) refuses, for being short: with it in the file the
    /// receiver could not start again. The error of an [`EndpointManager`](crate::endpoints::EndpointManager) then has it.
    async fn store(&self, provider: &str, endpoint_id: &str, secret: &Secret) -> Result<(), BoxError> {
        let endpoint = name(provider, endpoint_id)?;
        Secret::new(secret.expose())?;
        let secret = Zeroizing::new(secret.expose().to_owned());
        self.change(move |entries| {
            entries.retain(|entry| entry.endpoint != endpoint);
            has_room(entries)?;
            entries.insert(0, Entry { endpoint, secret });
            Ok(())
        })
        .await
    }

    async fn contains(&self, provider: &str, endpoint_id: &str) -> Result<bool, BoxError> {
        let endpoint = name(provider, endpoint_id)?;
        let (path, variable) = (self.path.clone(), self.variable.clone());
        let entries = write::blocking(move || read(&path, &variable)).await?;
        Ok(entries.iter().any(|entry| entry.endpoint == endpoint))
    }

    async fn remove(&self, provider: &str, endpoint_id: &str) -> Result<(), BoxError> {
        let endpoint = name(provider, endpoint_id)?;
        self.change(move |entries| {
            entries.retain(|entry| entry.endpoint != endpoint);
            Ok(())
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    /// The one thread for what waits for a disk does one piece of work after the other.
    #[test]
    fn a_change_waits_for_the_one_before() {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        runtime.block_on(async {
            let directory = tempfile::tempdir().unwrap();
            let sink = EnvFileSink::new(directory.path().join("env"), "X");
            let secret = Secret::new("whsec_0123456789abcdef").unwrap();
            let under_way = sink.changing.lock().await;
            let mut storing = std::pin::pin!(sink.store("casapay", "we_1", &secret));
            assert!(poll!(&mut storing).is_pending());
            write::blocking(|| Ok(())).await.unwrap();
            assert!(!sink.path.exists());
            drop(under_way);
            storing.await.unwrap();
            assert!(sink.contains("casapay", "we_1").await.unwrap());
        });
    }
}
