//! Files that only their owner reads, and that are whole or not there.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::hash::{BuildHasher as _, RandomState};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

/// How the name of a file ends that is being written.
const LEFTOVER: &str = ".new";

/// Nothing takes so long that is done with a directory of secrets: what is older was left by a process that was killed.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);

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

/// Removes the files of a directory that are so old that whoever was to remove them has gone: those whose names
/// `may_expire`, and what was left of writing files whose names are `ours`.
pub(super) fn tidy(
    directory: &Path,
    ours: impl Fn(&str) -> bool,
    may_expire: impl Fn(&str) -> bool,
) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        let written = name.strip_suffix(LEFTOVER).and_then(|name| name.rsplit_once('.'));
        let may_go = written.is_some_and(|(written, _)| ours(written)) || may_expire(name);
        if may_go && age(&entry.path())?.is_some_and(|age| age >= LONGEST) {
            removed(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

/// How long ago a file was written; `None` where there is none.
pub(super) fn age(path: &Path) -> io::Result<Option<Duration>> {
    match fs::symlink_metadata(path).and_then(|metadata| metadata.modified()) {
        // One from the future was written just now, unless it is from so far ahead that the clock was wrong then: that one
        // would be new for as long.
        Ok(modified) => Ok(Some(modified.elapsed().unwrap_or_else(|ahead| match ahead.duration() {
            ahead if ahead > LONGEST => Duration::MAX,
            _ => Duration::ZERO,
        }))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What is not there need not be removed.
fn removed(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

/// That of a bare name is where the process is, which `Path` writes as nothing and systems do not open.
pub(super) fn directory_of(path: &Path) -> Option<&Path> {
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

    #[test]
    fn a_file_of_a_clock_that_was_wrong_is_no_new_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x");
        assert_eq!(age(&path).unwrap(), None);
        let file = File::create(&path).unwrap();
        for (ahead, is_new) in [(Duration::from_secs(60), true), (2 * LONGEST, false)] {
            file.set_modified(std::time::SystemTime::now() + ahead).unwrap();
            assert_eq!(age(&path).unwrap().unwrap() < LONGEST, is_new, "{ahead:?}");
        }
    }
}
