//! Missed events, from CasaPay's list to the handlers that deliveries have.

use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use tower_webhook::endpoints::{CatchUp, CatchUpError, EndpointErrorKind as Kind};
use tower_webhook::testing::SignedRequest;
use tower_webhook::{
    Body, BoxError, DeadLetter, Delivery, EventRouter, HandlerError, LruStore, Outcome, Timing, WebhookLayer,
    casapay,
};
use wiremock::ResponseTemplate;

use super::api::{Api, answer};
use super::casapay_events::event;
use crate::stage::verdict;
use crate::support::{secret, secrets};

const HOUR: Duration = Duration::from_secs(3600);

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Since when is asked.
fn since() -> SystemTime {
    SystemTime::now() - HOUR
}

/// Events of the last hour, a minute apart.
fn missed(ids: &[&str]) -> Vec<Value> {
    let first = seconds(since()) + 60;
    ids.iter().zip(0..).map(|(id, minute)| event(id, first + 60 * minute)).collect()
}

async fn listing(events: &[Value]) -> Api {
    Api::always(answer(200, json!({"data": events}))).await
}

type Layer = WebhookLayer<EventRouter, LruStore>;

/// A receiver that handles `invoice.paid`, as `handle` says, and keeps whether it was fetched.
struct Receiver {
    layer: Layer,
    handled: Arc<Mutex<Vec<(String, bool)>>>,
}

impl Receiver {
    fn new() -> Self {
        Self::handling(|_, _| Outcome::Done)
    }

    /// `handle` is told the id, and how often it came before.
    fn handling(handle: impl Fn(&str, usize) -> Outcome + Clone + Send + Sync + 'static) -> Self {
        let handled: Arc<Mutex<Vec<(String, bool)>>> = Arc::default();
        let kept = Arc::clone(&handled);
        let router = EventRouter::new().on_type("invoice.paid", move |_: Value, delivery: Delivery| {
            let mut kept = kept.lock().unwrap();
            let id = delivery.id().to_owned();
            let before = kept.iter().filter(|(one, _)| *one == id).count();
            let outcome = handle(&id, before);
            kept.push((id, delivery.is_fetched()));
            async { outcome }
        });
        let layer = WebhookLayer::new(casapay::provider(), secrets()).unwrap();
        Self { layer: layer.with_store(LruStore::new(100)).with_dispatch(router), handled }
    }

    fn handled(&self) -> Vec<(String, bool)> {
        self.handled.lock().unwrap().clone()
    }

    async fn deliver(&self, event: &Value) -> (u16, &'static str) {
        let provider = casapay::provider();
        let request = SignedRequest::new(&provider, &secret(), event.to_string()).build();
        verdict(&self.layer.clone().into_service().oneshot(request.map(Body::from)).await.unwrap())
    }

    fn catch_up(&self, api: &Api) -> CatchUp<EventRouter, LruStore> {
        /// Though its store has no clones.
        fn one_that_can_be_cloned<T: Clone>(catch_up: T) -> T {
            catch_up
        }
        one_that_can_be_cloned(CatchUp::new(api.casapay(), self.layer.processor()))
    }
}

fn fetched(ids: &[&str]) -> Vec<(String, bool)> {
    ids.iter().map(|&id| (id.to_owned(), true)).collect()
}

#[tokio::test]
async fn what_was_missed_is_handled_once_oldest_first_and_marked_as_fetched() {
    let events = missed(&["evt_1", "evt_2", "evt_3"]);
    let api = listing(&[events[2].clone(), events[0].clone(), events[1].clone()]).await;
    let receiver = Receiver::new();
    let since = since();
    let caught_up = receiver.catch_up(&api).replay_missed(since).await.unwrap();
    assert_eq!((caught_up.fetched, caught_up.done, caught_up.duplicates), (3, 3, 0));
    assert!(caught_up.is_complete());
    assert_eq!(caught_up.to_string(), "3 events fetched: 3 done, 0 done before, 0 unhandled, 0 not done");
    assert_eq!(receiver.handled(), fetched(&["evt_1", "evt_2", "evt_3"]));
    let mut asked = api.asked_once().await;
    let (name, until) = asked.query.remove(1);
    assert_eq!(name, "created[lte]");
    // To the present, and as far beyond it as clocks may differ.
    let present = seconds(since) + 3600..=seconds(SystemTime::now());
    assert!(present.contains(&(until.parse::<u64>().unwrap() - 300)), "{until}");
    let expected =
        [("created[gte]", &*seconds(since).to_string()), ("delivery_success", "false"), ("limit", "100")];
    assert_eq!(asked.query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));

    let again = receiver.catch_up(&api).replay_missed(since).await.unwrap();
    assert_eq!((again.done, again.duplicates), (0, 3));
    assert_eq!(receiver.handled().len(), 3);
}

#[tokio::test]
async fn what_was_delivered_is_a_duplicate_and_the_other_way_round() {
    let events = missed(&["evt_1", "evt_2"]);
    let api = listing(&events).await;
    let receiver = Receiver::new();
    assert_eq!(receiver.deliver(&events[0]).await, (200, "handled"));
    let caught_up = receiver.catch_up(&api).replay_missed(since()).await.unwrap();
    assert_eq!((caught_up.fetched, caught_up.done, caught_up.duplicates), (2, 1, 1));
    // The count of deliveries that are still open is another by now.
    let mut late = events[1].clone();
    late["pending_webhooks"] = json!(0);
    assert_eq!(receiver.deliver(&late).await, (200, "duplicate"));
    assert_eq!(receiver.handled(), [("evt_1".to_owned(), false), ("evt_2".to_owned(), true)]);
}

#[tokio::test]
async fn all_events_can_be_asked_for_and_not_only_those_that_were_missed() {
    let api = listing(&missed(&["evt_1"])).await;
    Receiver::new().catch_up(&api).replay_all(since()).await.unwrap();
    let names: Vec<_> = api.asked_once().await.query.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["created[gte]", "created[lte]", "limit"]);
}

#[tokio::test]
async fn what_nobody_takes_is_counted_and_comes_again() {
    let mut events = missed(&["evt_1"]);
    events[0]["type"] = "charge.failed".into();
    let (api, receiver) = (listing(&events).await, Receiver::new());
    for _ in 0..2 {
        let caught_up = receiver.catch_up(&api).replay_missed(since()).await.unwrap();
        assert_eq!((caught_up.unhandled, caught_up.duplicates, caught_up.is_complete()), (1, 0, true));
    }
}

#[tokio::test]
async fn one_that_fails_is_reported_and_the_others_go_on() {
    let receiver = Receiver::handling(|id, before| match (id, before) {
        ("evt_2", 0) => Outcome::Failed(HandlerError::retry("the ledger is closed")),
        _ => Outcome::Done,
    });
    let api = listing(&missed(&["evt_1", "evt_2", "evt_3"])).await;
    let caught_up = receiver.catch_up(&api).replay_missed(since()).await.unwrap();
    assert_eq!((caught_up.fetched, caught_up.done, caught_up.is_complete()), (3, 2, false));
    let [unsettled] = &caught_up.unsettled[..] else { panic!("{caught_up:?}") };
    assert_eq!((&*unsettled.id, &*unsettled.event_type), ("evt_2", "invoice.paid"));
    assert!(
        matches!(&unsettled.outcome, Outcome::Failed(error) if error.to_string() == "the ledger is closed")
    );
    assert_eq!(receiver.handled(), fetched(&["evt_1", "evt_2", "evt_3"]));

    let again = receiver.catch_up(&api).replay_missed(since()).await.unwrap();
    assert_eq!((again.done, again.duplicates, again.is_complete()), (1, 2, true));
}

/// Time stands still while nothing but a pause is waited for.
#[tokio::test]
async fn one_that_is_busy_is_tried_again_but_not_for_ever() {
    for (busy, settled) in [(2, true), (3, false)] {
        let receiver = Receiver::handling(move |_, before| {
            if before == 0 {
                tokio::time::pause();
            }
            if before < busy {
                return Outcome::Busy { retry_after: HOUR };
            }
            Outcome::Done
        });
        let api = listing(&missed(&["evt_1"])).await;
        let caught_up = receiver.catch_up(&api).replay_missed(since()).await.unwrap();
        tokio::time::resume();
        assert_eq!(caught_up.is_complete(), settled);
        assert_eq!(receiver.handled().len(), 3, "attempts");
        if let [unsettled] = &caught_up.unsettled[..] {
            assert!(matches!(unsettled.outcome, Outcome::Busy { .. }), "{caught_up:?}");
        }
    }
}

#[tokio::test]
async fn an_error_on_the_way_tells_what_was_done_until_then() {
    let first = seconds(since()) + 60;
    // A full page, its older part, and then nothing more.
    let page: Vec<_> = (0..100).map(|n| event(&format!("evt_{n:03}"), first + n)).rev().collect();
    let api = Api::in_turn([
        answer(200, json!(page)),
        answer(200, json!([page[99]])),
        ResponseTemplate::new(401).set_body_json(json!({"message": "no more"})),
    ])
    .await;
    let receiver = Receiver::new();
    let error = receiver.catch_up(&api).replay_missed(since()).await.unwrap_err();
    let CatchUpError::Fetch { source, so_far } = &error else { panic!("{error:?}") };
    assert_eq!((source.kind(), so_far.fetched, so_far.done), (Kind::Unauthorized, 1, 1));
    let text = error.to_string();
    assert!(text.contains("no more") && text.ends_with("1 events were processed before"), "{text}");
    assert_eq!(receiver.handled(), fetched(&["evt_000"]));
}

#[tokio::test]
async fn what_the_store_may_have_forgotten_is_not_asked_for() {
    let api = listing(&[]).await;
    let provider = casapay::provider();
    let timing = Timing::for_provider(&provider);
    let retention = timing.retention();
    let receiver = Receiver::new();
    let beyond = SystemTime::now() - retention - HOUR;
    for error in [
        receiver.catch_up(&api).replay_missed(beyond).await.unwrap_err(),
        receiver.catch_up(&api).replay_all(beyond).await.unwrap_err(),
    ] {
        let CatchUpError::BeyondRetention { since_ago, retention: kept } = error else { panic!("{error:?}") };
        assert!(since_ago >= retention + HOUR && kept == retention);
    }
    assert!(api.asked().await.is_empty());
    receiver.catch_up(&api).replay_missed(SystemTime::now() - retention + HOUR).await.unwrap();
    receiver.catch_up(&api).replay_missed(SystemTime::now() + HOUR).await.unwrap();
}

/// An event in another form than deliveries have: the others are not its prisoners.
#[tokio::test]
async fn an_event_that_the_preset_cannot_read_is_reported_and_the_others_go_on() {
    let mut events = missed(&["evt_1", "evt_2", "evt_3"]);
    events[1].as_object_mut().unwrap().remove("data");
    let (api, receiver) = (listing(&events).await, Receiver::new());
    let caught_up = receiver.catch_up(&api).replay_missed(since()).await.unwrap();
    assert_eq!((caught_up.fetched, caught_up.done, caught_up.is_complete()), (3, 2, false));
    assert_eq!(caught_up.unsettled.len(), 1);
    assert_eq!(caught_up.unsettled[0].id, "evt_2");
    assert_eq!(receiver.handled(), fetched(&["evt_1", "evt_3"]));
}

/// One without an id or a type is the dead-letter hook's, as one that is delivered is.
#[tokio::test]
async fn an_event_without_id_type_or_time_holds_up_no_other() {
    let members = [
        ("id", Value::Null),
        ("id", json!([7])),
        ("type", Value::Null),
        ("type", json!({"a": 1})),
        ("created", Value::Null),
        ("created", json!("soon")),
        ("created", json!(1.5)),
        ("created", json!(-1)),
    ];
    for (member, value) in members {
        let mut events = missed(&["evt_1", "evt_2", "evt_3"]);
        events[1][member] = value.clone();
        let (api, receiver) = (listing(&events).await, Receiver::new());
        let dead: Arc<Mutex<Vec<Bytes>>> = Arc::default();
        let kept = Arc::clone(&dead);
        let layer = receiver.layer.clone().with_dead_letter(move |letter: DeadLetter| {
            kept.lock().unwrap().push(letter.delivery().body().clone());
            async { Ok::<_, BoxError>(()) }
        });
        let catch_up = CatchUp::new(api.casapay(), layer.processor());
        let caught_up = catch_up.replay_missed(since()).await.unwrap();
        assert_eq!((caught_up.fetched, caught_up.done), (3, 3), "{member} {value}: {caught_up:?}");
        let is_dead = *dead.lock().unwrap() == [events[1].to_string()];
        let mut handled: Vec<_> = receiver.handled().into_iter().map(|(id, _)| id).collect();
        handled.sort_unstable();
        // When it came about is nothing that a handler needs.
        let expected = if member == "created" { (false, 3) } else { (true, 2) };
        assert_eq!((is_dead, handled.len()), expected, "{member} {value}: {handled:?}");
    }
}

/// Its marks are not those of the receiver: what was delivered would run again.
#[tokio::test]
async fn a_processor_of_a_stage_is_refused() {
    let events = missed(&["evt_1"]);
    let (api, receiver) = (listing(&events).await, Receiver::new());
    assert_eq!(receiver.deliver(&events[0]).await, (200, "handled"));
    let staged = receiver.layer.processor().with_stage("worker").unwrap();
    let caught_up = CatchUp::new(api.casapay(), staged).replay_missed(since()).await;
    assert_eq!(receiver.handled(), [("evt_1".to_owned(), false)], "once");
    assert!(caught_up.unwrap_err().to_string().contains("with_stage"));
    assert!(api.asked().await.is_empty());
}
