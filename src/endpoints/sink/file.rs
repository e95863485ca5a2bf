//! A directory with a file for each secret.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use zeroize::Zeroizing;

use super::written::secret_in;
use super::{SecretSink, write};
use crate::endpoints::check::is_id;
use crate::error::{BoxError, ConfigError};
use crate::signature::{Awaiting, Fed, Secret, Secrets, Verifier};

/// Keeps each endpoint's secret in a file of its own, readable by its owner alone (0600), in a directory that exists.
/// A secret's label is its endpoint's id.
///
/// A secret can be put there by hand, as `<provider>.<endpoint's id>.secret`: a UTF-8 byte order mark at its beginning
/// and line ends at its end, which editors add, are not taken for a part of it.
///
/// Receivers read the secrets with [`secrets`](Self::secrets) at their start. The one that rotates
/// [feeds](Self::feeding) its verifier, others [follow](Self::follow) the directory.
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
    /// Announcements that were there before one of this sink's: what they announced may come yet.
    unfinished: Arc<Mutex<HashSet<PathBuf>>>,
}

const SECRET: &str = ".secret";
const ANNOUNCED: &str = ".announced";

/// An announcement that nobody has withdrawn, since its process was killed, holds for so long: no creation takes longer.
const ANNOUNCEMENT_EXPIRY: Duration = write::LONGEST;

impl FileSink {
    /// Files in `directory`. Let nobody else write there, and have one for each URL that events are delivered to: what is
    /// in it is accepted.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), fed: Vec::new(), unfinished: Arc::default() }
    }

    /// Gives `verifier` the secrets of `provider` whenever they change through this sink, so that the receiver of this
    /// process needs no restart: from [`WebhookLayer::verifier`](crate::WebhookLayer::verifier). Its other secrets are
    /// replaced, as soon as there is one here.
    ///
    /// While one more is [announced](SecretSink::announce), for an hour at most, it awaits that: what no secret verifies is
    /// [answered 503](Secrets::awaiting_another). So it is for an hour after something could not be read, which is logged:
    /// a file without a secret, or the directory. The others are taken, and nothing that the verifier has is given up.
    #[must_use]
    pub fn feeding(mut self, provider: &str, verifier: Verifier) -> Self {
        self.fed.push((provider.to_owned(), verifier));
        self
    }

    /// Reads the directory again in this interval, for the verifiers that this sink [feeds](Self::feeding), until what it
    /// returns is dropped: for receivers that do not rotate, beside one that does, which then gives them
    /// [time](crate::endpoints::EndpointManager::with_announcement_lead). What cannot be read is logged each time.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime, and where the interval is zero.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_webhook::endpoints::{FileSink, SecretSink as _};
    /// use tower_webhook::{Secret, casapay};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_webhook::BoxError> {
    /// # let directory = tempfile::tempdir()?;
    /// # let directory = directory.path();
    /// let one = FileSink::new(directory); // in a process that rotates
    /// one.store("casapay", "we_1", &Secret::new("whsec_0123456789abcdef")?).await?;
    ///
    /// let verifier = casapay::provider().verifier(one.secrets("casapay")?)?; // in another one, of its layer
    /// let other = FileSink::new(directory).feeding("casapay", verifier.clone());
    /// let following = other.follow(Duration::from_millis(10)); // in production: some seconds
    ///
    /// one.store("casapay", "we_2", &Secret::new("whsec_fedcba9876543210")?).await?;
    /// while verifier.secret_usage("we_2").is_none() {
    ///     tokio::task::yield_now().await;
    /// }
    /// # drop(following);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use = "it ends when this is dropped"]
    pub fn follow(&self, every: Duration) -> Following {
        let sink = self.clone();
        let mut ticks = tokio::time::interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let task = tokio::spawn(async move {
            // Several verifiers may be one provider's, and are fed together.
            let providers: BTreeSet<_> = sink.fed.iter().map(|(provider, _)| provider).collect();
            loop {
                ticks.tick().await;
                for provider in &providers {
                    if let Err(error) = sink.feed(provider).await {
                        unfed(&*error);
                    }
                }
            }
        });
        Following { task }
    }

    /// The secrets of a provider's endpoints, labelled with the endpoints' ids. While one more is
    /// [announced](SecretSink::announce), for an hour at most, they [await](Secrets::awaiting_another) it: a receiver does
    /// so until it reads them again, for which there is [`follow`](Self::follow), or until the hour is over.
    ///
    /// # Errors
    ///
    /// Where the directory or a file cannot be read, be it one of several: a receiver that starts has nobody's attention
    /// later. And [`ConfigError::NoSecrets`] where there is none.
    pub fn secrets(&self, provider: &str) -> Result<Secrets, BoxError> {
        let mut found = self.read(provider)?;
        if !found.unreadable.is_empty() {
            return Err(found.unreadable.swap_remove(0).into());
        }
        if found.secrets.is_empty() {
            return Err(ConfigError::NoSecrets.into());
        }
        let awaiting = found.awaiting();
        Ok(Secrets::labelled(found.secrets)?.with_awaiting(awaiting))
    }

    /// What can be read, and what cannot. An error where nothing can.
    fn read(&self, provider: &str) -> io::Result<Found> {
        let mut found = Found::default();
        // Looked for first: a secret is stored before its announcement goes.
        for entry in self.files(provider, ANNOUNCED)? {
            let (_, path) = entry?;
            match holds_for(&path) {
                Ok(time) => found.announced = found.announced.max(time),
                Err(error) => found.unreadable.push(format!("{}: {error}", path.display())),
            }
        }
        for entry in self.files(provider, SECRET)? {
            let (id, path) = entry?;
            if !is_id(&id) {
                continue;
            }
            match secret_of(&path) {
                Ok(Some(secret)) => found.secrets.push((id, secret)),
                Ok(None) => {}
                Err(error) => found.unreadable.push(format!("{}: {error}", path.display())),
            }
        }
        found.secrets.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(found)
    }

    /// The files of a provider whose names end so, with what stands between.
    fn files(
        &self,
        provider: &str,
        suffix: &'static str,
    ) -> io::Result<impl Iterator<Item = io::Result<(String, PathBuf)>> + use<>> {
        let provider = provider.to_owned();
        let named = move |name: &str| {
            let middle = name.strip_suffix(suffix)?.strip_prefix(&*provider)?.strip_prefix('.')?;
            Some(middle.to_owned())
        };
        Ok(fs::read_dir(&self.directory)?.filter_map(move |entry| match entry {
            Ok(entry) => Some(Ok((entry.file_name().to_str().and_then(&named)?, entry.path()))),
            Err(error) => Some(Err(error)),
        }))
    }

    fn path(&self, provider: &str, middle: &str, suffix: &str) -> io::Result<PathBuf> {
        // Both come from outside, and shall lead nowhere else.
        crate::provider::check_name(provider).map_err(io::Error::other)?;
        if provider.starts_with('.') || !is_id(middle) {
            return Err(io::Error::other("an endpoint's id that cannot name a file"));
        }
        Ok(self.directory.join(format!("{provider}.{middle}{suffix}")))
    }

    fn announcement(&self, provider: &str, url: &str) -> io::Result<PathBuf> {
        let url = const_hex::encode(&Sha256::digest(url)[..8]);
        self.path(provider, &url, ANNOUNCED)
    }

    async fn feed(&self, provider: &str) -> Result<(), BoxError> {
        if self.fed.is_empty() {
            return Ok(());
        }
        let (sink, provider) = (self.clone(), provider.to_owned());
        for problem in tokio::task::spawn_blocking(move || sink.feed_now(&provider)).await?? {
            unread(&problem);
        }
        Ok(())
    }

    /// Returns which files could not be read.
    fn feed_now(&self, provider: &str) -> Result<Vec<String>, BoxError> {
        let (mut problems, mut failure) = (Vec::new(), None);
        for (_, verifier) in self.fed.iter().filter(|(name, _)| name == provider) {
            let read = || {
                let awaiting_the_rest = Awaiting::AnotherUntil(Instant::now() + write::LONGEST);
                let found = self.read(provider).unwrap_or_else(|error| {
                    failure = Some(error);
                    Found::default()
                });
                let is_whole = failure.is_none() && found.unreadable.is_empty();
                let awaiting = found.awaiting();
                problems.extend(found.unreadable);
                Fed { secrets: found.secrets, is_whole, awaiting, awaiting_the_rest }
            };
            let refused = verifier.feed(read)?.into_iter();
            problems.extend(refused.map(|(id, error)| format!("{provider}.{id}{SECRET}: {error}")));
        }
        failure.map_or(Ok(problems), |error| Err(error.into()))
    }
}

/// What is in a directory for one provider.
#[derive(Default)]
struct Found {
    secrets: Vec<(String, Secret)>,
    /// For how long another one is awaited yet.
    announced: Option<Duration>,
    /// Which files could not be read, and why. Never what is in them.
    unreadable: Vec<String>,
}

impl Found {
    fn awaiting(&self) -> Awaiting {
        self.announced.map_or(Awaiting::Nothing, |time| Awaiting::AnotherUntil(Instant::now() + time))
    }
}

/// The secret in a file, unless that was removed a moment ago.
fn secret_of(path: &Path) -> Result<Option<Secret>, BoxError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    // One that the provider made short is better than none.
    Ok(Some(Secret::weak(secret_in(&text))?))
}

/// For how long an announcement holds yet, where it is there and young enough.
fn holds_for(path: &Path) -> io::Result<Option<Duration>> {
    let left = write::age(path)?.and_then(|age| ANNOUNCEMENT_EXPIRY.checked_sub(age));
    Ok(left.filter(|left| !left.is_zero()))
}

impl SecretSink for FileSink {
    /// Where an earlier announcement was never withdrawn, what that announced may still be created: this one then stays,
    /// for an hour, whether it is [withdrawn](SecretSink::withdraw) or not.
    async fn announce(&self, provider: &str, url: &str) -> Result<(), BoxError> {
        let (path, unfinished) = (self.announcement(provider, url)?, Arc::clone(&self.unfinished));
        let announce = move || {
            let is_unfinished = holds_for(&path)?.is_some();
            let mut unfinished = unfinished.lock().unwrap_or_else(PoisonError::into_inner);
            if is_unfinished {
                unfinished.insert(path.clone())
            } else {
                unfinished.remove(&path)
            };
            drop(unfinished);
            write::replace(&path, "")
        };
        write::blocking(announce).await?;
        self.feed(provider).await
    }

    async fn withdraw(&self, provider: &str, url: &str) -> Result<(), BoxError> {
        let (path, unfinished) = (self.announcement(provider, url)?, Arc::clone(&self.unfinished));
        let withdraw = move || {
            let is_unfinished = unfinished.lock().unwrap_or_else(PoisonError::into_inner).contains(&path);
            if is_unfinished && holds_for(&path)?.is_some() {
                return Ok(());
            }
            write::remove(&path)
        };
        write::blocking(withdraw).await?;
        self.feed(provider).await
    }

    /// Removes announcements that have run out, and what was left of writing files, when it is an hour old.
    async fn tidy(&self, provider: &str, _: &str) -> Result<(), BoxError> {
        let (directory, prefix) = (self.directory.clone(), format!("{provider}."));
        let tidy = move || {
            let is_announcement = |name: &str| name.starts_with(&prefix) && name.ends_with(ANNOUNCED);
            let is_secret = |name: &str| name.starts_with(&prefix) && name.ends_with(SECRET);
            write::tidy(&directory, |name| is_secret(name) || is_announcement(name), is_announcement)
        };
        write::blocking(tidy).await?;
        self.feed(provider).await
    }

    async fn store(&self, provider: &str, endpoint_id: &str, secret: &Secret) -> Result<(), BoxError> {
        let path = self.path(provider, endpoint_id, SECRET)?;
        let text = Zeroizing::new(secret.expose().to_owned());
        write::blocking(move || write::replace(&path, &text)).await?;
        // It is stored, whatever else is wrong in the directory.
        if let Err(error) = self.feed(provider).await {
            unfed(&*error);
        }
        Ok(())
    }

    async fn contains(&self, provider: &str, endpoint_id: &str) -> Result<bool, BoxError> {
        let path = self.path(provider, endpoint_id, SECRET)?;
        let directory = self.directory.clone();
        let contains = move || {
            let is_there = path.try_exists()?;
            if !is_there {
                // Where the directory is not there either, nobody can say what is in it.
                fs::metadata(directory)?;
            }
            Ok(is_there)
        };
        Ok(write::blocking(contains).await?)
    }

    async fn remove(&self, provider: &str, endpoint_id: &str) -> Result<(), BoxError> {
        let path = self.path(provider, endpoint_id, SECRET)?;
        write::blocking(move || write::remove(&path)).await?;
        self.feed(provider).await
    }
}

/// Follows a directory of secrets until it is dropped. From [`FileSink::follow`].
#[derive(Debug)]
pub struct Following {
    task: JoinHandle<()>,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A verifier keeps the secrets that it has, and takes those of other files.
fn unread(problem: &str) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: "tower_webhook", %problem, "a file of a signing secret cannot be read; what may be signed with it is answered 503");
    #[cfg(not(feature = "tracing"))]
    let _ = problem;
}

/// A verifier keeps the secrets that it has.
fn unfed(error: &(dyn std::error::Error + Send + Sync)) {
    #[cfg(feature = "tracing")]
    tracing::error!(target: "tower_webhook", error = %error, "signing secrets cannot be read; those before stay in use");
    #[cfg(not(feature = "tracing"))]
    let _ = error;
}
