//! What a simulator remembers: endpoints, events, and who has had which.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use super::behaviour::Behaviour;
use super::faults::Plan;
use super::log::Log;
use super::platform::{Platform, covers};
use super::schedule::Schedule;
use super::sender::Delivery;
use super::table::Table;
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
    pub(super) traffic: Traffic,
}

/// How deliveries to an endpoint go.
#[derive(Default)]
pub(super) struct Traffic {
    /// Attempts in a row that failed.
    pub(super) failures: u32,
    /// Events that were given up since one was accepted.
    pub(super) given_up: u32,
    /// The numbers of the events that are still to be delivered.
    pending: BTreeSet<u64>,
    pub(super) signals: Signals,
}

/// What those who wait to deliver to an endpoint are told. Each endpoint has its own: a change wakes nobody else.
#[derive(Clone, Default)]
pub(super) struct Signals {
    /// It was disabled or deleted.
    pub(super) ended: Arc<Notify>,
    /// Another event may be the oldest that is pending.
    pub(super) turn: Arc<Notify>,
}

impl Endpoint {
    /// Enables it. What it did before is forgotten.
    pub(super) fn enable(&mut self) {
        self.enabled = true;
        (self.traffic.failures, self.traffic.given_up) = (0, 0);
    }

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
#[derive(Clone)]
pub(super) struct Event {
    pub(super) platform: Platform,
    pub(super) id: String,
    pub(super) event_type: String,
    pub(super) livemode: bool,
    pub(super) created: u64,
    pub(super) request: String,
    pub(super) payload: Value,
    /// Every endpoint that was subscribed when it happened and has not been deleted since.
    pub(super) progress: HashMap<String, Progress>,
}

impl Event {
    pub(super) fn pending(&self) -> usize {
        self.progress.values().filter(|progress| **progress == Progress::Pending).count()
    }

    /// Whether every endpoint has accepted it, and there is one.
    pub(super) fn is_delivered(&self) -> bool {
        !self.progress.is_empty() && self.progress.values().all(|progress| *progress == Progress::Accepted)
    }

    /// CasaPay's event object, as it is now: `pending_webhooks` changes.
    pub(super) fn casapay_object(&self, api_version: &str) -> Value {
        json!({
            "id": self.id,
            "object": "event",
            "type": self.event_type,
            "api_version": api_version,
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
    pub(super) endpoints: Table<Endpoint>,
    pub(super) events: Table<Event>,
    pub(super) held: [Vec<Delivery>; 3],
    pub(super) behaviour: [Behaviour; 3],
    pub(super) schedules: [Schedule; 3],
    pub(super) faults: Plan,
    pub(super) log: Log,
}

impl State {
    pub(super) fn new(schedules: [Schedule; 3], log: Log) -> Self {
        Self {
            endpoints: Table::default(),
            events: Table::default(),
            held: Default::default(),
            behaviour: Default::default(),
            schedules,
            faults: Plan::default(),
            log,
        }
    }

    pub(super) fn endpoint(&self, platform: Platform, id: &str) -> Option<&Endpoint> {
        self.endpoints.get(id).filter(|endpoint| endpoint.platform == platform)
    }

    pub(super) fn endpoint_mut(&mut self, platform: Platform, id: &str) -> Option<&mut Endpoint> {
        self.endpoints.get_mut(id).filter(|endpoint| endpoint.platform == platform)
    }

    pub(super) fn endpoints_of(&self, platform: Platform) -> impl DoubleEndedIterator<Item = &Endpoint> {
        self.endpoints.iter().filter(move |endpoint| endpoint.platform == platform)
    }

    /// Adds an endpoint.
    pub(super) fn add(&mut self, endpoint: Endpoint) {
        self.endpoints.push(endpoint.id.clone(), endpoint);
    }

    /// Deletes an endpoint; nobody waits for it any more.
    pub(super) fn delete(&mut self, platform: Platform, id: &str) {
        self.drop_pending(platform, id);
        if self.endpoint(platform, id).is_none() {
            return;
        }
        self.endpoints.remove(id);
        for event in self.events.iter_mut().filter(|event| event.platform == platform) {
            if event.progress.get(id).is_some_and(|progress| *progress != Progress::Accepted) {
                event.progress.remove(id);
            }
        }
    }

    /// Disables an endpoint: what has not been accepted by now will not be sent, not even when it is enabled again.
    pub(super) fn disable(&mut self, platform: Platform, id: &str) {
        if let Some(endpoint) = self.endpoint_mut(platform, id) {
            endpoint.enabled = false;
        }
        self.drop_pending(platform, id);
    }

    /// What is pending at an endpoint has failed. Whoever waits to deliver it is told.
    fn drop_pending(&mut self, platform: Platform, id: &str) {
        let Some(endpoint) = self.endpoint_mut(platform, id) else { return };
        let pending = std::mem::take(&mut endpoint.traffic.pending);
        endpoint.traffic.signals.ended.notify_waiters();
        endpoint.traffic.signals.turn.notify_waiters();
        for number in pending {
            let entry = self.events.at_mut(number).and_then(|event| event.progress.get_mut(id));
            if let Some(progress) = entry {
                *progress = Progress::Failed;
            }
        }
        self.held[platform.index()].retain(|delivery| !delivery.is_to(id));
    }

    /// Whether an event is still to be delivered to an endpoint.
    pub(super) fn is_pending(&self, platform: Platform, number: u64, endpoint: &str) -> bool {
        self.endpoint(platform, endpoint).is_some_and(|endpoint| endpoint.traffic.pending.contains(&number))
    }

    /// Whether no event that is older is still to be delivered to an endpoint.
    pub(super) fn is_oldest(&self, platform: Platform, number: u64, endpoint: &str) -> bool {
        let oldest = self.endpoint(platform, endpoint).and_then(|endpoint| endpoint.traffic.pending.first());
        oldest.is_none_or(|oldest| number <= *oldest)
    }

    pub(super) fn event(&self, platform: Platform, id: &str) -> Option<&Event> {
        self.events.get(id).filter(|event| event.platform == platform)
    }

    pub(super) fn set_progress(
        &mut self,
        platform: Platform,
        number: u64,
        endpoint: &str,
        progress: Progress,
    ) {
        let entry = self.events.at_mut(number).and_then(|event| event.progress.get_mut(endpoint));
        if let Some(known) = entry {
            *known = progress;
        }
        if progress != Progress::Pending
            && let Some(endpoint) = self.endpoint_mut(platform, endpoint)
        {
            endpoint.traffic.pending.remove(&number);
            endpoint.traffic.signals.turn.notify_waiters();
        }
    }

    /// Remembers an event, and forgets the oldest of those that nobody waits for. Returns its number.
    pub(super) fn remember(&mut self, event: Event) -> u64 {
        if self.events.len() >= MOST_EVENTS {
            self.events.remove_oldest(|event| event.pending() == 0);
        }
        let pending = event.progress.iter().filter(|(_, progress)| **progress == Progress::Pending);
        let endpoints: Vec<String> = pending.map(|(endpoint, _)| endpoint.clone()).collect();
        let number = self.events.push(event.id.clone(), event);
        for endpoint in endpoints {
            if let Some(endpoint) = self.endpoints.get_mut(&endpoint) {
                endpoint.traffic.pending.insert(number);
            }
        }
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(id: &str, progress: &[(&str, Progress)]) -> Event {
        Event {
            platform: Platform::CasaPay,
            id: id.to_owned(),
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
            let event = event("evt_1", progress);
            assert_eq!((event.is_delivered(), event.pending()), (delivered, pending), "{progress:?}");
        }
    }

    fn state_with(endpoints: &[&str]) -> State {
        let mut state = State::new(Platform::ALL.map(Schedule::of), Log::new(1));
        for id in endpoints {
            state.add(Endpoint {
                platform: Platform::CasaPay,
                id: (*id).to_owned(),
                livemode: true,
                url: "https://shop.example/".to_owned(),
                events: vec!["invoice.paid".to_owned()],
                enabled: true,
                description: None,
                api_version: String::new(),
                metadata: Map::new(),
                created: 1,
                secret: Arc::new(Secret::weak("x").unwrap()),
                traffic: Traffic::default(),
            });
        }
        state
    }

    #[test]
    fn nobody_waits_for_a_deleted_endpoint() {
        let mut state = state_with(&["a", "b"]);
        let progress = [("a", Progress::Accepted), ("b", Progress::Pending)];
        let number = state.remember(event("evt_1", &progress));
        state.delete(Platform::CasPay, "b");
        assert!(state.is_pending(Platform::CasaPay, number, "b"));
        assert!(!state.event(Platform::CasaPay, "evt_1").unwrap().is_delivered());
        state.delete(Platform::CasaPay, "b");
        assert!(!state.is_pending(Platform::CasaPay, number, "b"));
        assert!(state.event(Platform::CasaPay, "evt_1").unwrap().is_delivered());
    }

    #[test]
    fn the_oldest_that_is_pending_is_each_endpoints_own() {
        let mut state = state_with(&["a", "b"]);
        let both = [("a", Progress::Pending), ("b", Progress::Pending)];
        let [first, second] = ["evt_1", "evt_2"].map(|id| state.remember(event(id, &both)));
        let oldest = |state: &State| {
            [("a", first), ("a", second), ("b", first), ("b", second)]
                .map(|(endpoint, number)| state.is_oldest(Platform::CasaPay, number, endpoint))
        };
        assert_eq!(oldest(&state), [true, false, true, false]);
        state.set_progress(Platform::CasaPay, first, "a", Progress::Pending);
        assert_eq!(oldest(&state), [true, false, true, false]);
        state.set_progress(Platform::CasaPay, first, "a", Progress::Failed);
        assert_eq!(oldest(&state), [true, true, true, false]);
        state.disable(Platform::CasaPay, "b");
        assert_eq!(oldest(&state), [true; 4], "nothing is pending there");
        let pending = |id| state.event(Platform::CasaPay, id).unwrap().pending();
        assert_eq!((pending("evt_1"), pending("evt_2")), (0, 1));
    }

    #[test]
    fn a_change_wakes_the_deliveries_of_its_own_endpoint_alone() {
        let mut state = state_with(&["a", "b", "c"]);
        let all = ["a", "b", "c"].map(|id| (id, Progress::Pending));
        let number = state.remember(event("evt_1", &all));
        let signals = ["a", "b", "c"].map(|id| {
            state.endpoint(Platform::CasaPay, id).map(|endpoint| endpoint.traffic.signals.clone()).unwrap()
        });
        let mut waiting: Vec<_> = signals
            .iter()
            .flat_map(|signals| [Box::pin(signals.ended.notified()), Box::pin(signals.turn.notified())])
            .collect();
        let mut woken = || -> Vec<bool> { waiting.iter_mut().map(|told| told.as_mut().enable()).collect() };
        assert_eq!(woken(), [false; 6]);
        state.set_progress(Platform::CasaPay, number, "a", Progress::Accepted);
        assert_eq!(woken(), [false, true, false, false, false, false], "another may have its turn");
        state.disable(Platform::CasaPay, "b");
        assert_eq!(woken(), [false, true, true, true, false, false]);
        state.delete(Platform::CasaPay, "c");
        assert_eq!(woken(), [false, true, true, true, true, true]);
    }

    #[test]
    fn events_that_are_pending_are_not_forgotten() {
        let mut state = state_with(&["a"]);
        state.remember(event("evt_first", &[("a", Progress::Pending)]));
        for nth in 0..MOST_EVENTS {
            state.remember(event(&format!("evt_{nth}"), &[("a", Progress::Accepted)]));
        }
        assert_eq!(state.events.len(), MOST_EVENTS);
        assert_eq!(state.event(Platform::CasaPay, "evt_first").unwrap().pending(), 1);
        assert!(state.event(Platform::CasaPay, "evt_0").is_none());
    }
}
