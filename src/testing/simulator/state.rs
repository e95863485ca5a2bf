//! What a simulator remembers: endpoints, events, and who has had which.

use std::collections::VecDeque;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::behaviour::Behaviour;
use super::faults::Plan;
use super::log::Log;
use super::platform::{Platform, covers};
use super::schedule::Schedule;
use super::sender::Delivery;
use crate::signature::Secret;

/// Endpoints that each platform takes: a loop that creates them without end is a mistake.
pub(super) const MOST_ENDPOINTS: usize = 1_000;

/// Events that are kept after their deliveries have ended.
const MOST_EVENTS: usize = 10_000;

/// Where a platform delivers.
pub(super) struct Endpoint {
    pub(super) platform: Platform,
    pub(super) id: String,
    pub(super) livemode: bool,
    pub(super) url: String,
    pub(super) events: Vec<String>,
    pub(super) enabled: bool,
    pub(super) description: Option<String>,
    pub(super) api_version: String,
    pub(super) metadata: Map<String, Value>,
    pub(super) created: u64,
    pub(super) secret: Arc<Secret>,
    /// Attempts in a row that failed.
    pub(super) failures: u32,
}

impl Endpoint {
    pub(super) fn is_subscribed_to(&self, event_type: &str) -> bool {
        self.events.iter().any(|pattern| covers(pattern, event_type))
    }
}

/// How far an event has come at an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Pending,
    Accepted,
    /// Given up, or never tried since the endpoint was disabled.
    Failed,
}

/// What happened at a platform.
pub(super) struct Event {
    pub(super) platform: Platform,
    pub(super) id: String,
    pub(super) event_type: String,
    pub(super) livemode: bool,
    pub(super) created: u64,
    pub(super) request: String,
    pub(super) payload: Value,
    /// Every endpoint that was subscribed when it happened and has not been deleted since.
    pub(super) progress: Vec<(String, Progress)>,
}

impl Event {
    pub(super) fn pending(&self) -> usize {
        self.progress.iter().filter(|(_, progress)| *progress == Progress::Pending).count()
    }

    /// Whether every endpoint has accepted it, and there is one.
    pub(super) fn is_delivered(&self) -> bool {
        !self.progress.is_empty() && self.progress.iter().all(|(_, progress)| *progress == Progress::Accepted)
    }

    /// CasaPay's event object, as it is now: `pending_webhooks` changes.
    pub(super) fn casapay_object(&self) -> Value {
        json!({
            "id": self.id,
            "object": "event",
            "type": self.event_type,
            "api_version": super::casapay::API_VERSION,
            "created": self.created,
            "livemode": self.livemode,
            "pending_webhooks": self.pending(),
            "request": {"id": self.request, "idempotency_key": null},
            "data": {"object": self.payload},
        })
    }
}

/// Everything that changes.
pub(super) struct State {
    pub(super) endpoints: Vec<Endpoint>,
    pub(super) events: VecDeque<Event>,
    pub(super) held: [Vec<Delivery>; 3],
    pub(super) behaviour: [Behaviour; 3],
    pub(super) schedules: [Schedule; 3],
    pub(super) faults: Plan,
    pub(super) log: Log,
}

impl State {
    pub(super) fn new(schedules: [Schedule; 3], log: Log) -> Self {
        Self {
            endpoints: Vec::new(),
            events: VecDeque::new(),
            held: Default::default(),
            behaviour: Default::default(),
            schedules,
            faults: Plan::default(),
            log,
        }
    }

    pub(super) fn endpoint(&self, platform: Platform, id: &str) -> Option<&Endpoint> {
        self.endpoints.iter().find(|endpoint| endpoint.platform == platform && endpoint.id == id)
    }

    pub(super) fn endpoint_mut(&mut self, platform: Platform, id: &str) -> Option<&mut Endpoint> {
        self.endpoints.iter_mut().find(|endpoint| endpoint.platform == platform && endpoint.id == id)
    }

    pub(super) fn endpoints_of(&self, platform: Platform) -> impl DoubleEndedIterator<Item = &Endpoint> {
        self.endpoints.iter().filter(move |endpoint| endpoint.platform == platform)
    }

    /// Deletes an endpoint; nobody waits for it any more.
    pub(super) fn delete(&mut self, platform: Platform, id: &str) {
        self.endpoints.retain(|endpoint| endpoint.platform != platform || endpoint.id != id);
        for event in self.events.iter_mut().filter(|event| event.platform == platform) {
            event.progress.retain(|(endpoint, progress)| endpoint != id || *progress == Progress::Accepted);
        }
    }

    /// Disables an endpoint: what has not been accepted by now will not be sent, not even when it is enabled again.
    pub(super) fn disable(&mut self, platform: Platform, id: &str) {
        if let Some(endpoint) = self.endpoint_mut(platform, id) {
            endpoint.enabled = false;
        }
        for event in self.events.iter_mut().filter(|event| event.platform == platform) {
            for (endpoint, progress) in &mut event.progress {
                if endpoint == id && *progress == Progress::Pending {
                    *progress = Progress::Failed;
                }
            }
        }
    }

    /// Whether an event is still to be delivered to an endpoint.
    pub(super) fn is_pending(&self, platform: Platform, event: &str, endpoint: &str) -> bool {
        let pending = |(id, progress): &(String, Progress)| id == endpoint && *progress == Progress::Pending;
        self.event(platform, event).is_some_and(|event| event.progress.iter().any(pending))
    }

    pub(super) fn event(&self, platform: Platform, id: &str) -> Option<&Event> {
        self.events.iter().find(|event| event.platform == platform && event.id == id)
    }

    pub(super) fn set_progress(
        &mut self,
        platform: Platform,
        event: &str,
        endpoint: &str,
        progress: Progress,
    ) {
        let event = self.events.iter_mut().find(|known| known.platform == platform && known.id == event);
        let entry = event.and_then(|event| event.progress.iter_mut().find(|(id, _)| id == endpoint));
        if let Some((_, known)) = entry {
            *known = progress;
        }
    }

    /// Remembers an event, and forgets the oldest of those that nobody waits for.
    pub(super) fn remember(&mut self, event: Event) {
        if self.events.len() >= MOST_EVENTS
            && let Some(at) = self.events.iter().position(|event| event.pending() == 0)
        {
            self.events.remove(at);
        }
        self.events.push_back(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(progress: &[(&str, Progress)]) -> Event {
        Event {
            platform: Platform::CasaPay,
            id: "evt_1".to_owned(),
            event_type: "invoice.paid".to_owned(),
            livemode: true,
            created: 1,
            request: "req_1".to_owned(),
            payload: json!({"id": "in_1"}),
            progress: progress.iter().map(|(id, progress)| ((*id).to_owned(), *progress)).collect(),
        }
    }

    #[test]
    fn delivered_means_accepted_by_everybody() {
        use Progress::{Accepted, Failed, Pending};

        for (progress, delivered, pending) in [
            (&[][..], false, 0),
            (&[("a", Pending)], false, 1),
            (&[("a", Failed)], false, 0),
            (&[("a", Accepted)], true, 0),
            (&[("a", Accepted), ("b", Pending)], false, 1),
            (&[("a", Accepted), ("b", Failed)], false, 0),
            (&[("a", Accepted), ("b", Accepted)], true, 0),
        ] {
            let event = event(progress);
            assert_eq!((event.is_delivered(), event.pending()), (delivered, pending), "{progress:?}");
        }
    }

    #[test]
    fn nobody_waits_for_a_deleted_endpoint() {
        let schedules = Platform::ALL.map(Schedule::of);
        let mut state = State::new(schedules, Log::new(1));
        state.remember(event(&[("a", Progress::Accepted), ("b", Progress::Pending)]));
        state.delete(Platform::CasPay, "b");
        assert!(!state.events[0].is_delivered());
        state.delete(Platform::CasaPay, "b");
        assert!(state.events[0].is_delivered());
    }

    #[test]
    fn events_that_are_pending_are_not_forgotten() {
        let mut state = State::new(Platform::ALL.map(Schedule::of), Log::new(1));
        state.remember(event(&[("a", Progress::Pending)]));
        for _ in 0..MOST_EVENTS {
            state.remember(event(&[("a", Progress::Accepted)]));
        }
        assert_eq!(state.events.len(), MOST_EVENTS);
        assert_eq!(state.events[0].pending(), 1);
    }
}
