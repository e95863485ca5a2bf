//! What the handle and the control API both do.

use std::sync::Arc;

use super::behaviour::Behaviour;
use super::platform::Platform;
use super::schedule::Schedule;
use super::sender::release;
use super::shared::Shared;

pub(super) fn set_behaviour(shared: &Arc<Shared>, platform: Platform, behaviour: Behaviour) {
    let mut state = shared.lock();
    // What is held was held under the old behaviour, whose seed it is shuffled by.
    release(shared, &mut state, platform);
    state.behaviour[platform.index()] = behaviour;
}

pub(super) fn set_schedule(shared: &Shared, platform: Platform, schedule: Schedule) {
    let mut state = shared.lock();
    state.schedules[platform.index()] = schedule;
    // What waited for its turn need not do so any more.
    for endpoint in state.endpoints_of(platform) {
        endpoint.traffic.signals.turn.notify_waiters();
    }
}

/// Sends what is held back, and waits until nothing is left to send.
pub(super) async fn settled(shared: &Arc<Shared>) {
    let mut pending = shared.pending();
    loop {
        let left = *pending.borrow_and_update();
        // Again at each change: what is emitted meanwhile would be held until somebody else waited.
        for platform in Platform::ALL {
            release(shared, &mut shared.lock(), platform);
        }
        // An error would say that nobody counts any more.
        if left == 0 || pending.changed().await.is_err() {
            return;
        }
    }
}
