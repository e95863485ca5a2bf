//! Deliveries: attempt after attempt, until the schedule has no more of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::dice::Dice;
use super::log::{Attempt, Record};
use super::platform::Platform;
use super::schedule::Verdict;
use super::shared::{Pending, Shared};
use super::state::{Endpoint, Event, Progress, Signals, State, Traffic};
use super::wire::{self, Answered, How, Outgoing};
use crate::testing::SignedRequest;

/// An event on its way to an endpoint.
pub(super) struct Delivery {
    platform: Platform,
    event: String,
    /// The event's place among all of them.
    number: u64,
    endpoint: String,
    attempt: u32,
    /// When the first attempt was signed, in Unix seconds.
    first_signed: Option<u64>,
    signals: Signals,
    _pending: Pending,
}

impl Delivery {
    pub(super) fn is_to(&self, endpoint: &str) -> bool {
        self.endpoint == endpoint
    }
}

/// What [`emit`](super::Simulator::emit) has set going.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Emitted {
    /// The event's id.
    pub event: String,
    /// The ids of the endpoints it is being sent to.
    pub endpoints: Vec<String>,
    /// The ids of the endpoints that are subscribed but disabled: there it counts as undelivered.
    pub disabled: Vec<String>,
}

/// Something happens at a platform.
pub(super) fn emit(
    shared: &Arc<Shared>,
    platform: Platform,
    event_type: &str,
    payload: Value,
    livemode: bool,
) -> Emitted {
    let mut state = shared.lock();
    // CasaPay alone keeps the two modes apart, by the key that created the endpoint.
    let subscribed = |endpoint: &&Endpoint| {
        (platform != Platform::CasaPay || endpoint.livemode == livemode)
            && endpoint.is_subscribed_to(event_type)
    };
    let (enabled, disabled): (Vec<_>, Vec<_>) =
        state.endpoints_of(platform).filter(subscribed).partition(|endpoint| endpoint.enabled);
    let ids = |endpoints: Vec<&Endpoint>| endpoints.into_iter().map(|endpoint| endpoint.id.clone()).collect();
    let (endpoints, disabled): (Vec<String>, Vec<String>) = (ids(enabled), ids(disabled));
    let with = |progress| move |id: &String| (id.clone(), progress);
    let event = format!("evt_{}", uuid::Uuid::new_v4().simple());
    let number = state.remember(Event {
        platform,
        id: event.clone(),
        event_type: event_type.to_owned(),
        livemode,
        created: shared.settings.now(),
        request: format!("req_{}", uuid::Uuid::new_v4().simple()),
        payload,
        progress: endpoints
            .iter()
            .map(with(Progress::Pending))
            .chain(disabled.iter().map(with(Progress::Failed)))
            .collect(),
    });
    let deliveries =
        endpoints.iter().filter_map(|id| state.endpoint(platform, id)).map(|endpoint| Delivery {
            platform,
            event: event.clone(),
            number,
            endpoint: endpoint.id.clone(),
            attempt: 0,
            first_signed: None,
            signals: endpoint.traffic.signals.clone(),
            _pending: shared.one_more(),
        });
    let deliveries: Vec<_> = deliveries.collect();
    match state.behaviour[platform.index()].out_of_order() {
        None => {
            for delivery in deliveries {
                shared.spawn(deliver(Arc::clone(shared), delivery));
            }
        }
        Some(order) => {
            state.held[platform.index()].extend(deliveries);
            if state.held[platform.index()].len() >= order.batch {
                release(shared, &mut state, platform);
            }
        }
    }
    Emitted { event, endpoints, disabled }
}

/// Sends what is held back.
pub(super) fn release(shared: &Arc<Shared>, state: &mut State, platform: Platform) {
    let mut held = std::mem::take(&mut state.held[platform.index()]);
    if held.is_empty() {
        return;
    }
    if state.schedules[platform.index()].is_one_at_a_time() {
        // Each waits for its turn, which no seed decides.
        for delivery in held {
            shared.spawn(deliver(Arc::clone(shared), delivery));
        }
        return;
    }
    let seed = state.behaviour[platform.index()].out_of_order().map_or(0, |order| order.seed);
    Dice::new(seed).shuffle(&mut held);
    let shared = Arc::clone(shared);
    shared.clone().spawn(async move {
        for mut delivery in held {
            if let Some(delay) = attempt(&shared, &mut delivery).await {
                shared.clone().spawn(deliver_again(Arc::clone(&shared), delivery, delay));
            }
        }
    });
}

async fn deliver(shared: Arc<Shared>, mut delivery: Delivery) {
    its_turn(&shared, &delivery).await;
    if let Some(delay) = attempt(&shared, &mut delivery).await {
        deliver_again(shared, delivery, delay).await;
    }
}

async fn deliver_again(shared: Arc<Shared>, mut delivery: Delivery, mut delay: Duration) {
    loop {
        pause(&shared, &delivery, delay).await;
        its_turn(&shared, &delivery).await;
        match attempt(&shared, &mut delivery).await {
            Some(next) => delay = next,
            None => return,
        }
    }
}

/// Waits for a retry. Whoever disables or deletes an endpoint need not wait for its retries to come to nothing.
async fn pause(shared: &Shared, delivery: &Delivery, delay: Duration) {
    // Made before the look: a signal between the two is not lost.
    let ended = delivery.signals.ended.notified();
    if is_wanted(&shared.lock(), delivery) {
        tokio::select! {
            () = tokio::time::sleep(delay / shared.settings.speed) => {}
            () = ended => {}
        }
    }
}

/// Waits until nothing older is pending at the endpoint, where the schedule wants that, or nobody wants the delivery.
async fn its_turn(shared: &Shared, delivery: &Delivery) {
    loop {
        // As above, before the look.
        let turn = delivery.signals.turn.notified();
        let may_go = {
            let state = shared.lock();
            !state.schedules[delivery.platform.index()].is_one_at_a_time()
                || !is_wanted(&state, delivery)
                || state.is_oldest(delivery.platform, delivery.number, &delivery.endpoint)
        };
        if may_go {
            return;
        }
        turn.await;
    }
}

fn is_wanted(state: &State, delivery: &Delivery) -> bool {
    state.is_pending(delivery.platform, delivery.number, &delivery.endpoint)
}

/// One attempt, all of its copies. Returns after which time another follows.
async fn attempt(shared: &Shared, delivery: &mut Delivery) -> Option<Duration> {
    delivery.attempt += 1;
    let (outgoing, how, copies) = match prepare(shared, delivery) {
        Prepared::Request(outgoing, how, copies) => (outgoing, how, copies),
        Prepared::Unwanted => return None,
        Prepared::Panicked => {
            let why = "the code that composes the body panicked".to_owned();
            let nothing = Answered { status: None, retry_after: None, why: Some(why) };
            return conclude(shared, delivery, vec![(1, nothing)], Some(Verdict::GivenUp));
        }
    };
    let mut sending = JoinSet::new();
    for copy in 1..=copies {
        let outgoing = Arc::clone(&outgoing);
        sending.spawn(async move { (copy, wire::send(&outgoing, how).await) });
    }
    let mut answers = Vec::new();
    while let Some(answered) = sending.join_next().await {
        answers.extend(answered);
    }
    conclude(shared, delivery, answers, None)
}

enum Prepared {
    /// Composed and signed, how to send it, and how often.
    Request(Arc<Outgoing>, How, u32),
    /// The endpoint no longer wants it.
    Unwanted,
    /// Code of the simulator's user did.
    Panicked,
}

fn prepare(shared: &Shared, delivery: &mut Delivery) -> Prepared {
    let Some((event, api_version)) = wanted(shared, delivery) else { return Prepared::Unwanted };
    // Not under the lock: the code that composes a body may ask the simulator something. One that panics must not take
    // the delivery with it, which would be pending for ever.
    match catch_unwind(AssertUnwindSafe(|| body(shared, &event, &api_version).to_string())) {
        Ok(body) => request(shared, delivery, body.into()).unwrap_or(Prepared::Unwanted),
        Err(_) => Prepared::Panicked,
    }
}

/// What a body is made of: the event, and the version that the endpoint is sent.
fn wanted(shared: &Shared, delivery: &Delivery) -> Option<(Event, String)> {
    let state = shared.lock();
    let endpoint = state.endpoint(delivery.platform, &delivery.endpoint);
    let endpoint = endpoint.filter(|_| is_wanted(&state, delivery))?;
    let event = state.event(delivery.platform, &delivery.event)?;
    Some((event.clone(), endpoint.api_version.clone()))
}

/// The request with this body, if the endpoint wants it still.
fn request(shared: &Shared, delivery: &mut Delivery, body: Bytes) -> Option<Prepared> {
    let state = shared.lock();
    let platform = delivery.platform;
    let endpoint = state.endpoint(platform, &delivery.endpoint).filter(|_| is_wanted(&state, delivery))?;
    let (url, secret) = (endpoint.url.clone(), Arc::clone(&endpoint.secret));
    let behaviour = &state.behaviour[platform.index()];
    let how = How {
        deliver_to: shared.settings.deliver_to,
        remote: shared.settings.remote_deliveries,
        disconnect: behaviour.disconnects(delivery.attempt),
        trickle: behaviour.trickle(),
        answer_timeout: state.schedules[platform.index()].answer_timeout(),
    };
    let copies = behaviour.copies();
    let now = shared.settings.now();
    let first = *delivery.first_signed.get_or_insert(now);
    let original = state.schedules[platform.index()].has_original_timestamp();
    drop(state);
    let provider = &shared.settings.providers[platform.index()];
    let signed = SignedRequest::new(provider, &secret, body.clone())
        .with_uri(url.as_str())
        .at_unix(if original { first } else { now })
        .build();
    let outgoing = Outgoing { url, headers: signed.into_parts().0.headers, body };
    Some(Prepared::Request(Arc::new(outgoing), how, copies))
}

fn body(shared: &Shared, event: &Event, api_version: &str) -> Value {
    let mut body = match event.platform {
        Platform::CasaPay => return event.casapay_object(api_version),
        Platform::CasPay => json!({
            "id": event.id,
            "type": event.event_type,
            "created": event.created,
            "data": event.payload,
        }),
        Platform::Diddo => {
            let Event { id, event_type, created, payload, .. } = event;
            shared.settings.diddo.compose(id, event_type, *created, payload)
        }
    };
    // How either marks test events is undocumented; this member is invented.
    if let (false, Some(body)) = (event.livemode, body.as_object_mut()) {
        body.insert("invented_test_mode".to_owned(), true.into());
    }
    body
}

/// What the sender makes of the answers, unless that is decided.
fn conclude(
    shared: &Shared,
    delivery: &Delivery,
    mut answers: Vec<(u32, Answered)>,
    decided: Option<Verdict>,
) -> Option<Duration> {
    let Delivery { platform, event, number, endpoint, attempt, .. } = delivery;
    let (platform, number, attempt) = (*platform, *number, *attempt);
    let mut state = shared.lock();
    let schedule = state.schedules[platform.index()].clone();
    // Of copies the best answer counts; of equal ones the first.
    let rank = |answered: &Answered| match schedule.verdict(answered.status) {
        Verdict::Accepted => 0,
        Verdict::EndpointDisabled => 1,
        Verdict::Retried => 2,
        Verdict::GivenUp => 3,
    };
    let (_, best) = answers.iter().min_by_key(|(_, answered)| rank(answered))?;
    let mut verdict = decided.unwrap_or_else(|| schedule.verdict(best.status));
    let mut retry_in = None;
    if verdict == Verdict::Retried {
        let asked = best.retry_after.map(|asked| asked.since(shared.settings.clock.now()));
        retry_in = schedule.delay_after(attempt, best.status, asked);
        // The endpoint may have been disabled or deleted meanwhile.
        if retry_in.is_none() || !state.is_pending(platform, number, endpoint) {
            retry_in = None;
            verdict = Verdict::GivenUp;
        }
    }
    let mut disabled = false;
    if let Some(known) = state.endpoint_mut(platform, endpoint) {
        let Traffic { failures, given_up, .. } = &mut known.traffic;
        match verdict {
            Verdict::Accepted => (*failures, *given_up) = (0, 0),
            Verdict::GivenUp => {
                *failures = failures.saturating_add(1);
                *given_up = given_up.saturating_add(1);
            }
            Verdict::Retried | Verdict::EndpointDisabled => *failures = failures.saturating_add(1),
        }
        if schedule.is_fed_up(*failures, *given_up) {
            verdict = Verdict::EndpointDisabled;
        }
        if verdict == Verdict::EndpointDisabled {
            retry_in = None;
            disabled = true;
        }
    }
    let progress = match verdict {
        Verdict::Accepted => Progress::Accepted,
        Verdict::Retried => Progress::Pending,
        Verdict::GivenUp | Verdict::EndpointDisabled => Progress::Failed,
    };
    state.set_progress(platform, number, endpoint, progress);
    if disabled {
        state.disable(platform, endpoint);
    }
    let event_type = state.event(platform, event).map_or_else(String::new, |event| event.event_type.clone());

    answers.sort_by_key(|(copy, _)| *copy);
    let mut attempts = Vec::new();
    for (copy, answered) in answers {
        attempts.push(state.log.attempt(Attempt {
            sequence: 0,
            platform,
            endpoint: endpoint.clone(),
            event: event.clone(),
            event_type: event_type.clone(),
            attempt,
            copy,
            status: answered.status,
            why: answered.why,
            verdict,
            retry_in,
        }));
    }
    drop(state);
    for attempt in &attempts {
        shared.observe(Record::Attempt(attempt));
    }
    retry_in
}
