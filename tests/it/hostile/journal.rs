//! What happened and when, a line each, in a file that every process appends to and no crash of one tears.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::failpoint::Point;

/// A receiver process, from its start to its end. A restart is another one.
pub(super) type Incarnation = u64;

/// Microseconds since 1970, by the clock that all processes of a run share.
pub(super) type Micros = u64;

pub(super) fn now() -> Micros {
    micros(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap())
}

pub(super) fn micros(time: Duration) -> Micros {
    u64::try_from(time.as_micros()).unwrap()
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) at: Micros,
    pub(super) what: What,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    Started(Incarnation),
    /// The process is about to kill itself.
    Killing(Incarnation, Point),
    /// The process is about to stop itself.
    Stopping(Incarnation, Point),
    /// The process has ended, however it did.
    Ended(Incarnation),
    /// A signal from outside of the process.
    Signalled(Incarnation, String),
    /// Something was done to the server of the store.
    Server(String),
    /// A claim was acquired, which was asked for at this time.
    Claimed(Incarnation, String, Micros),
    /// A claim is about to be given back.
    Releasing(Incarnation, String),
    /// A completion was sent to the store.
    Completing(Incarnation, String),
    /// It was answered: the lease was held until then.
    Completed(Incarnation, String),
    /// It was answered: the lease was lost before.
    LeaseLost(Incarnation, String),
    /// The handler was dropped after its effect and before its end.
    Dropped(Incarnation, String),
}

/// A file of lines. Each is one write at the end of the file.
#[derive(Clone, Debug)]
pub(super) struct Lines(std::sync::Arc<File>);

impl Lines {
    pub(super) fn open(path: &Path) -> Self {
        Self(OpenOptions::new().create(true).append(true).open(path).unwrap().into())
    }

    pub(super) fn append(&self, line: &impl Serialize) {
        let mut text = serde_json::to_string(line).unwrap();
        text.push('\n');
        assert_eq!((&*self.0).write(text.as_bytes()).unwrap(), text.len(), "a torn line");
    }

    pub(super) fn sync(&self) {
        self.0.sync_data().unwrap();
    }
}

pub(super) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What one process writes down.
#[derive(Clone, Debug)]
pub(super) struct Journal(Lines);

impl Journal {
    pub(super) fn open(path: &Path) -> Self {
        Self(Lines::open(path))
    }

    pub(super) fn add(&self, what: What) {
        self.0.append(&Entry { at: now(), what });
    }
}
