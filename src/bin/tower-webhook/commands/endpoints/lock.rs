//! One run at a time with a directory of secrets: several that start together would each create an endpoint.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tower_webhook::BoxError;
use tower_webhook::endpoints::EndpointLock;

use crate::interrupt::Busy;
use crate::output::Output;

/// How long a run may keep the lock, and how long one that was killed keeps it.
pub(super) const HOLD: Duration = Duration::from_secs(120);

/// Longer than a run that was killed keeps others waiting.
const PATIENCE: Duration = Duration::from_secs(150);

const POLL: Duration = Duration::from_millis(50);

/// A file that one run alone creates, and removes in the end.
pub(super) struct FileLock {
    path: PathBuf,
    patience: Duration,
    output: Output,
}

impl FileLock {
    pub(super) fn new(directory: &Path, output: Output) -> Self {
        Self { path: directory.join(".tower-webhook.lock"), patience: PATIENCE, output }
    }

    /// Whether the lock could be taken now.
    fn take(&self, hold: Duration) -> io::Result<bool> {
        match File::create_new(&self.path) {
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        if !is_older(&self.path, hold)? {
            return Ok(false);
        }
        // Left by one that was killed. Of several that find it so, one alone can rename it.
        let aside = self.path.with_extension(format!("lock.{}", std::process::id()));
        match fs::rename(&self.path, &aside) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        }
        // Unless another was faster, and this is its new one, which it gets back.
        if !is_older(&aside, hold)? {
            _ = fs::hard_link(&aside, &self.path);
        }
        fs::remove_file(&aside)?;
        Ok(false)
    }
}

/// Whether a file is there that is older than this; one of the future is new.
fn is_older(path: &Path, age: Duration) -> io::Result<bool> {
    match fs::metadata(path).and_then(|meta| meta.modified()) {
        Ok(modified) => Ok(modified.elapsed().is_ok_and(|elapsed| elapsed > age)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

impl EndpointLock for FileLock {
    /// While it is held, Ctrl-C waits.
    type Held = Busy;

    async fn acquire(&self, _: &str, hold: Duration) -> Result<Busy, BoxError> {
        let (begun, shown) = (Instant::now(), self.path.display());
        let mut is_told = false;
        while !self.take(hold).map_err(|error| format!("{shown}: {error}"))? {
            if begun.elapsed() > self.patience {
                return Err(format!("another run has the lock: remove {shown} if there is none").into());
            }
            if !is_told && begun.elapsed() > Duration::from_secs(1) {
                is_told = true;
                self.output.warning(&format!("waiting for another run, which has the lock {shown}"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(Busy::creating())
    }

    async fn release(&self, _: Busy) {
        // What remains becomes free by its age.
        _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> (tempfile::TempDir, FileLock) {
        let directory = tempfile::tempdir().unwrap();
        let arguments = ["--json".into()];
        let lock =
            FileLock { patience: Duration::ZERO, ..FileLock::new(directory.path(), Output::new(&arguments)) };
        (directory, lock)
    }

    #[tokio::test]
    async fn one_has_it_at_a_time() {
        let (directory, lock) = lock();
        let held = lock.acquire("", HOLD).await.unwrap();
        let error = lock.acquire("", HOLD).await.unwrap_err();
        assert!(error.to_string().contains(".tower-webhook.lock"), "{error}");
        lock.release(held).await;
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        lock.acquire("", HOLD).await.unwrap();
    }

    #[test]
    fn what_a_run_left_that_was_killed_becomes_free() {
        let (directory, lock) = lock();
        assert!(lock.take(HOLD).unwrap());
        let past = std::time::SystemTime::now() - HOLD - Duration::from_secs(5);
        File::options().write(true).open(&lock.path).unwrap().set_modified(past).unwrap();
        assert!(!lock.take(HOLD).unwrap());
        assert!(lock.take(HOLD).unwrap() && !lock.take(HOLD).unwrap());
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_is_gone_is_an_error() {
        let (directory, lock) = lock();
        drop(directory);
        assert!(lock.take(HOLD).is_err());
    }
}
