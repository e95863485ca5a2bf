//! The steps of a delivery at which a receiver can be made to kill itself.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};
use serde::{Deserialize, Serialize};

use super::journal::{Incarnation, Journal, What};

/// In the order in which a delivery passes them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Point {
    /// The request's head has come, its body not yet.
    BeforeBody,
    BeforeClaim,
    AfterClaim,
    HandlerBegin,
    /// Half of the effect is written.
    MidEffect,
    AfterEffect,
    /// The handler's transaction is about to be committed.
    BeforeCommit,
    AfterCommit,
    BeforeComplete,
    AfterComplete,
    BeforeRelease,
    AfterRelease,
    BeforeResponse,
}

impl Point {
    /// Those of a lease: claim, effect, completion or release.
    pub(super) const LEASE: [Self; 11] = [
        Self::BeforeBody,
        Self::BeforeClaim,
        Self::AfterClaim,
        Self::HandlerBegin,
        Self::MidEffect,
        Self::AfterEffect,
        Self::BeforeComplete,
        Self::AfterComplete,
        Self::BeforeRelease,
        Self::AfterRelease,
        Self::BeforeResponse,
    ];
}

/// What befalls a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Fate {
    /// SIGKILL.
    Die,
    /// SIGSTOP, until [`Process::resume`](super::fleet::Process::resume).
    Stop,
}

/// What befalls the process when it comes to this point for the `nth` time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Armed {
    pub(super) point: Point,
    pub(super) nth: u64,
    pub(super) fate: Fate,
}

impl Armed {
    pub(super) fn at(point: Point, fate: Fate) -> Self {
        Self { point, nth: 1, fate }
    }
}

/// What is armed in this process.
#[derive(Debug)]
pub(super) struct Failpoints {
    armed: Mutex<HashMap<Point, Armed>>,
    incarnation: Incarnation,
    journal: Journal,
    /// A file that is there once a stop is over.
    resumed: PathBuf,
}

impl Failpoints {
    pub(super) fn new(armed: &[Armed], incarnation: Incarnation, journal: Journal, resumed: PathBuf) -> Self {
        let armed = armed.iter().map(|armed| (armed.point, *armed)).collect();
        Self { armed: Mutex::new(armed), incarnation, journal, resumed }
    }

    /// Dies here, or stops, if it is time.
    pub(super) fn hit(&self, point: Point) {
        let mut armed = self.armed.lock().unwrap();
        let Some(Armed { nth, fate, .. }) = armed.get_mut(&point) else { return };
        *nth -= 1;
        if *nth > 0 {
            return;
        }
        let fate = *fate;
        armed.remove(&point);
        match fate {
            Fate::Die => {
                self.journal.add(What::Killing(self.incarnation, point));
                kill_process(getpid(), Signal::KILL).unwrap();
                loop {
                    std::thread::park();
                }
            }
            Fate::Stop => {
                self.journal.add(What::Stopping(self.incarnation, point));
                kill_process(getpid(), Signal::STOP).unwrap();
                // The signal may reach this thread a little later than the others.
                while !self.resumed.exists() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
    }
}
