//! One run at a time with a directory of secrets: several that start together would each create an endpoint.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use fs4::{FileExt, TryLockError};
use tower_webhook::BoxError;
use tower_webhook::endpoints::EndpointLock;

use crate::interrupt::Busy;
use crate::output::Output;

/// Longer than a run takes by an API that answers at all.
const PATIENCE: Duration = Duration::from_secs(180);

const POLL: Duration = Duration::from_millis(50);

/// The system's lock of a file, which ends with the process that has it, however that ends. The file stays: were it
/// removed, one run could lock what another one no longer finds.
pub(super) struct FileLock {
    path: PathBuf,
    patience: Duration,
    output: Output,
}

/// While it is held, Ctrl-C and other signals wait.
pub(super) struct Held {
    _file: File,
    _busy: Busy,
}

impl FileLock {
    pub(super) fn new(directory: &Path, output: Output) -> Self {
        Self { path: directory.join(".tower-webhook.lock"), patience: PATIENCE, output }
    }

    /// Waits for the lock, which is free again when what this returns is dropped.
    pub(super) async fn wait(&self) -> Result<Held, BoxError> {
        let (begun, shown) = (Instant::now(), self.path.display());
        let failed = |error: io::Error| format!("{shown}: {error}");
        let file = File::options().write(true).create(true).truncate(false).open(&self.path);
        // Another user may have made it. To lock it, reading is enough.
        let file = file.or_else(|error| File::open(&self.path).map_err(|_| error)).map_err(failed)?;
        let mut is_told = false;
        // By its name: newer standard libraries have a method of the same one.
        while let Err(error) = FileExt::try_lock(&file) {
            if let TryLockError::Error(error) = error {
                return Err(failed(error).into());
            }
            if begun.elapsed() > self.patience {
                return Err(format!("another run has had the lock {shown} for long: does it hang?").into());
            }
            if !is_told && begun.elapsed() > Duration::from_secs(1) {
                is_told = true;
                self.output.warning(&format!("waiting for another run, which has the lock {shown}"));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(Held { _file: file, _busy: Busy::creating() })
    }
}

impl EndpointLock for FileLock {
    type Held = Held;

    /// The time is for locks that outlive who has them.
    async fn acquire(&self, _: &str, _: Duration) -> Result<Held, BoxError> {
        self.wait().await
    }

    async fn release(&self, held: Held) {
        drop(held);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// It tries once.
    fn lock() -> (tempfile::TempDir, FileLock) {
        let directory = tempfile::tempdir().unwrap();
        let arguments = ["--json".into()];
        let lock =
            FileLock { patience: Duration::ZERO, ..FileLock::new(directory.path(), Output::new(&arguments)) };
        (directory, lock)
    }

    #[tokio::test]
    async fn one_has_it_at_a_time() {
        let (_directory, lock) = lock();
        let held = lock.acquire("", Duration::ZERO).await.unwrap();
        for _ in 0..2 {
            let error = lock.wait().await.err().unwrap().to_string();
            assert!(error.contains("another run") && error.contains(".tower-webhook.lock"), "{error}");
        }
        lock.release(held).await;
        lock.wait().await.unwrap();
        lock.wait().await.unwrap();
    }

    #[tokio::test]
    async fn a_file_alone_is_no_lock() {
        let (directory, lock) = lock();
        fs::write(&lock.path, "left").unwrap();
        let held = lock.wait().await.unwrap();
        assert!(lock.wait().await.is_err());
        drop(held);
        lock.wait().await.unwrap();
        assert_eq!(fs::read_to_string(&lock.path).unwrap(), "left");
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_directory_that_is_gone_is_an_error() {
        let (directory, lock) = lock();
        drop(directory);
        let error = lock.wait().await.err().unwrap().to_string();
        assert!(error.contains(".tower-webhook.lock") && !error.contains("another run"), "{error}");
    }
}
