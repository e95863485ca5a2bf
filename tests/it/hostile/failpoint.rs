//! The steps of a delivery at which a receiver can be made to kill itself.

use std::collections::HashMap;
use std::sync::Mutex;

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

/// The process dies when it comes to this point for the `nth` time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Armed {
    pub(super) point: Point,
    pub(super) nth: u64,
}

/// What is armed in this process.
#[derive(Debug)]
pub(super) struct Failpoints {
    left: Mutex<HashMap<Point, u64>>,
    incarnation: Incarnation,
    journal: Journal,
}

impl Failpoints {
    pub(super) fn new(armed: &[Armed], incarnation: Incarnation, journal: Journal) -> Self {
        let left = armed.iter().map(|armed| (armed.point, armed.nth)).collect();
        Self { left: Mutex::new(left), incarnation, journal }
    }

    /// Dies here if it is time.
    pub(super) fn hit(&self, point: Point) {
        let mut left = self.left.lock().unwrap();
        let Some(left) = left.get_mut(&point) else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            self.journal.add(What::Killing(self.incarnation, point));
            kill_process(getpid(), Signal::KILL).unwrap();
            loop {
                std::thread::park();
            }
        }
    }
}
