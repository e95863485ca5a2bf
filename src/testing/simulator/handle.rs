//! What the handle and the control API both do.

use std::sync::Arc;

use super::behaviour::Behaviour;
use super::platform::Platform;
use super::sender::release;
use super::shared::Shared;

pub(super) fn set_behaviour(shared: &Arc<Shared>, platform: Platform, behaviour: Behaviour) {
    let mut state = shared.lock();
    // What is held was held under the old behaviour, whose seed it is shuffled by.
    release(shared, &mut state, platform);
    state.behaviour[platform.index()] = behaviour;
}

/// Sends what is held back, and waits until nothing is left to send.
pub(super) async fn settled(shared: &Arc<Shared>) {
    let mut pending = shared.pending();
    for platform in Platform::ALL {
        release(shared, &mut shared.lock(), platform);
    }
    // An error would say that nobody counts any more.
    _ = pending.wait_for(|pending| *pending == 0).await;
}
