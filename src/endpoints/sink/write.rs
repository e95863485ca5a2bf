//! Files that only their owner reads, and that are whole or not there.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::Path;

/// How the name of a file ends that is being written.
const LEFTOVER: &str = ".new";

/// Replaces the file at `path`, 0600, so that it survives a crash at any point: as it was, or as it becomes.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory =
        directory_of(path).ok_or_else(|| io::Error::other("the path of a file has a directory"))?;
    let mut name =
        path.file_name().ok_or_else(|| io::Error::other("the path of a file has a name"))?.to_owned();
    // Another with each call, in whatever container: processes there share their ids.
    name.push(format!(".{:016x}{LEFTOVER}", RandomState::new().hash_one(std::process::id())));
    let temporary = directory.join(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&temporary).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)
    });
    if let Err(error) = written {
        _ = fs::remove_file(&temporary);
        return Err(error);
    }
    sync(directory)
}

/// Removes the file at `path`, and what a crash has left of writing it; that it is not there is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let name = path.file_name().and_then(OsStr::to_str);
    if let (Some(directory), Some(name)) = (directory_of(path), name) {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let is_leftover = |other: &str| {
                other.strip_prefix(name).is_some_and(|rest| rest.starts_with('.') && rest.ends_with(LEFTOVER))
            };
            if entry.file_name().to_str().is_some_and(is_leftover) {
                removed(fs::remove_file(entry.path()))?;
            }
        }
    }
    removed(fs::remove_file(path))?;
    directory_of(path).map_or(Ok(()), sync)
}

/// What is not there need not be removed.
fn removed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// That of a bare name is where the process is, which `Path` writes as nothing and systems do not open.
fn directory_of(path: &Path) -> Option<&Path> {
    path.parent().map(|parent| if parent.as_os_str().is_empty() { Path::new(".") } else { parent })
}

/// Makes what happened to the names in a directory durable.
fn sync(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

/// Runs what waits for a disk where that blocks nobody.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_has_a_directory_that_can_be_synced() {
        assert_eq!(directory_of(Path::new("a/b")), Some(Path::new("a")));
        assert_eq!(directory_of(Path::new("/b")), Some(Path::new("/")));
        assert_eq!(directory_of(Path::new("/")), None);
        sync(directory_of(Path::new("webhooks.env")).unwrap()).unwrap();
    }
}
