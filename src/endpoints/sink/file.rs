//! A directory with a file for each secret.

use std::fs;
use std::io;
use std::path::PathBuf;

use zeroize::Zeroizing;

use super::{SecretSink, write};
use crate::endpoints::url::is_id;
use crate::error::{BoxError, ConfigError};
use crate::signature::{Secret, Secrets, Verifier};

/// Keeps each endpoint's secret in a file of its own, readable by its owner alone (0600), in a directory that exists.
/// A secret's label is its endpoint's id.
///
/// Receivers read the secrets with [`secrets`](Self::secrets), at the start and, where rotations happen while they run,
/// again and again; the one that rotates [feeds](Self::feeding) its verifier at once.
///
/// ```
/// use tower_webhook::Secret;
/// use tower_webhook::endpoints::{FileSink, SecretSink as _};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_webhook::BoxError> {
/// let directory = tempfile::tempdir()?;
/// let sink = FileSink::new(directory.path());
/// sink.store("casapay", "we_1", &Secret::new("whsec_0123456789abcdef")?).await?;
/// assert!(sink.contains("casapay", "we_1").await?);
/// assert_eq!(sink.secrets("casapay")?.labels().collect::<Vec<_>>(), ["we_1"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct FileSink {
    directory: PathBuf,
    fed: Vec<(String, Verifier)>,
}

const SUFFIX: &str = ".secret";

impl FileSink {
    /// Files in `directory`. Let nobody else write there.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), fed: Vec::new() }
    }

    /// Gives `verifier` the secrets of `provider` whenever they change here, so that the receiver of this process needs
    /// no restart: from [`WebhookLayer::verifier`](crate::WebhookLayer::verifier).
    #[must_use]
    pub fn feeding(mut self, provider: &str, verifier: Verifier) -> Self {
        self.fed.push((provider.to_owned(), verifier));
        self
    }

    /// The secrets of a provider's endpoints, labelled with the endpoints' ids. While one more is
    /// [announced](SecretSink::announce), they [await](Secrets::awaiting_another) it.
    ///
    /// # Errors
    ///
    /// Where the directory or a file cannot be read, and [`ConfigError::NoSecrets`] where there is none.
    pub fn secrets(&self, provider: &str) -> Result<Secrets, BoxError> {
        let mut found = Vec::new();
        // Looked for first: a secret is stored before its announcement goes.
        let is_announced = self.announcement(provider)?.try_exists()?;
        for entry in fs::read_dir(&self.directory)? {
            let entry = entry?;
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else { continue };
            let Some(id) = id.strip_prefix(provider).and_then(|id| id.strip_prefix('.')) else { continue };
            if is_id(id) {
                let text = Zeroizing::new(fs::read_to_string(entry.path())?);
                // One that was put there by hand ends as editors end files.
                let text = text.trim_end_matches(['\r', '\n']);
                // One that the provider made short is better than none.
                found.push((id.to_owned(), Secret::weak(text)?));
            }
        }
        found.sort_by(|(one, _), (other, _)| one.cmp(other));
        if found.is_empty() {
            return Err(ConfigError::NoSecrets.into());
        }
        let secrets = Secrets::labelled(found)?;
        Ok(if is_announced { secrets.awaiting_another() } else { secrets })
    }

    fn path(&self, provider: &str, endpoint_id: &str) -> io::Result<PathBuf> {
        // Both come from outside, and shall lead nowhere else.
        crate::provider::check_name(provider).map_err(io::Error::other)?;
        if provider.starts_with('.') || !is_id(endpoint_id) {
            return Err(io::Error::other("an endpoint's id that cannot name a file"));
        }
        Ok(self.directory.join(format!("{provider}.{endpoint_id}{SUFFIX}")))
    }

    fn announcement(&self, provider: &str) -> io::Result<PathBuf> {
        crate::provider::check_name(provider).map_err(io::Error::other)?;
        Ok(self.directory.join(format!("{provider}.announced")))
    }

    fn feed(&self, provider: &str) -> Result<(), BoxError> {
        for (_, verifier) in self.fed.iter().filter(|(name, _)| name == provider) {
            match self.secrets(provider) {
                Ok(secrets) => verifier.replace_secrets(secrets)?,
                // A receiver without any secret cannot be: it keeps those that it has.
                Err(error) if error.downcast_ref() == Some(&ConfigError::NoSecrets) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl SecretSink for FileSink {
    async fn announce(&self, provider: &str) -> Result<(), BoxError> {
        let path = self.announcement(provider)?;
        write::blocking(move || write::replace(&path, "")).await?;
        self.feed(provider)
    }

    async fn withdraw(&self, provider: &str) -> Result<(), BoxError> {
        let path = self.announcement(provider)?;
        write::blocking(move || write::remove(&path)).await?;
        self.feed(provider)
    }

    async fn store(&self, provider: &str, endpoint_id: &str, secret: &Secret) -> Result<(), BoxError> {
        let (path, announcement) = (self.path(provider, endpoint_id)?, self.announcement(provider)?);
        let text = Zeroizing::new(secret.expose().to_owned());
        write::blocking(move || write::replace(&path, &text)).await?;
        write::blocking(move || write::remove(&announcement)).await?;
        self.feed(provider)
    }

    async fn contains(&self, provider: &str, endpoint_id: &str) -> Result<bool, BoxError> {
        let path = self.path(provider, endpoint_id)?;
        Ok(write::blocking(move || path.try_exists()).await?)
    }

    async fn remove(&self, provider: &str, endpoint_id: &str) -> Result<(), BoxError> {
        let path = self.path(provider, endpoint_id)?;
        write::blocking(move || write::remove(&path)).await?;
        self.feed(provider)
    }
}
