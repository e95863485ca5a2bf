//! Files that only their owner reads, and that are whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// Replaces the file at `path`, 0600, so that it survives a crash at any point: as it was, or as it becomes.
pub(super) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory =
        directory_of(path).ok_or_else(|| io::Error::other("the path of a file has a directory"))?;
    let mut name =
        path.file_name().ok_or_else(|| io::Error::other("the path of a file has a name"))?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = directory.join(name);
    // What a crash has left there is nobody's.
    if let Err(error) = fs::remove_file(&temporary)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
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

/// Removes the file at `path`; that it is not there is no error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => directory_of(path).map_or(Ok(()), sync),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
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
