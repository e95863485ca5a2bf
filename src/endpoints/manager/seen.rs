//! What this process has seen of rotations, where their markers do not say it.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use super::marker::Marker;
use crate::endpoints::api::Registered;

/// By an endpoint's id, when it was seen for the first time.
type Times = Mutex<HashMap<String, SystemTime>>;

#[derive(Default)]
pub(super) struct Seen {
    /// New endpoints whose markers have a time that cannot be.
    begun: Times,
    /// Old endpoints that were paused.
    paused: Times,
}

impl Seen {
    /// When a rotation began: for this process it has just begun, where the marker has no time that can be.
    pub(super) fn begun(&self, new: &Registered, marker: &Marker, now: SystemTime) -> SystemTime {
        marker.begun(now).unwrap_or_else(|| first(&self.begun, new.id(), now))
    }

    /// Since when the old endpoint is paused, if it is. Where the API does not say whether it is, it is when we did it.
    pub(super) fn paused(&self, old: &Registered, marker: &Marker, now: SystemTime) -> Option<SystemTime> {
        let told = marker.paused(now);
        match old.active() {
            Some(false) => Some(told.unwrap_or_else(|| self.pause(old, now))),
            None => told.or_else(|| locked(&self.paused).get(old.id()).copied()),
            // It was paused perhaps, and is no longer.
            Some(true) => {
                locked(&self.paused).remove(old.id());
                None
            }
        }
    }

    /// It is paused now, at the latest.
    pub(super) fn pause(&self, old: &Registered, now: SystemTime) -> SystemTime {
        first(&self.paused, old.id(), now)
    }

    /// The rotation is over.
    pub(super) fn forget(&self, old: &Registered, new: &Registered) {
        locked(&self.paused).remove(old.id());
        locked(&self.begun).remove(new.id());
    }
}

fn first(times: &Times, id: &str, now: SystemTime) -> SystemTime {
    *locked(times).entry(id.to_owned()).or_insert(now)
}

fn locked(times: &Times) -> std::sync::MutexGuard<'_, HashMap<String, SystemTime>> {
    times.lock().unwrap_or_else(PoisonError::into_inner)
}
