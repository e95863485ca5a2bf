//! Every documented call of CasaPay.

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use serde_json::json;
use tower_webhook::endpoints::{
    EndpointErrorKind, EndpointStatus, EndpointUpdate, EventQuery, ListStyle, NewEndpoint,
};
use tower_webhook::testing::ManualClock;
use tower_webhook::testing::simulator::{CASAPAY_LIVE_KEY, ListOrder, Operation, Platform, Simulator};

use super::{URL, casapay, casapay_with, count, failed};

#[tokio::test]
async fn an_endpoint_is_created_read_changed_listed_and_deleted() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = casapay(&simulator);
    let new = NewEndpoint::new(URL, ["invoice.paid", "score_report.*"])
        .with_description("shop")
        .with_api_version("2025-01-15")
        .with_metadata("team", "payments");
    let (created, secret) = client.create(&new).await.unwrap();
    assert!(created.id.starts_with("we_") && secret.expose().starts_with("whsec_"));
    assert_eq!((&*created.url, &created.status), (URL, &EndpointStatus::Enabled));
    assert_eq!(created.enabled_events, ["invoice.paid", "score_report.*"]);
    assert_eq!(created.description.as_deref(), Some("shop"));
    assert_eq!(created.api_version.as_deref(), Some("2025-01-15"));
    assert_eq!(created.metadata["team"], "payments");
    assert!(created.created.is_some());

    assert_eq!(client.retrieve(&created.id).await.unwrap(), created);
    let update = EndpointUpdate::new()
        .with_url("https://shop.example/other")
        .with_enabled_events(["charge.failed"])
        .with_status(EndpointStatus::Disabled)
        .with_description("paused");
    let updated = client.update(&created.id, &update).await.unwrap();
    assert_eq!((&*updated.url, &updated.status), ("https://shop.example/other", &EndpointStatus::Disabled));
    assert_eq!(updated.enabled_events, ["charge.failed"]);
    assert_eq!(updated.description.as_deref(), Some("paused"));
    assert_eq!(client.list().await.unwrap(), [updated]);

    client.delete(&created.id).await.unwrap();
    assert_eq!(failed(client.retrieve(&created.id).await).kind(), EndpointErrorKind::NotFound);
    assert_eq!(failed(client.delete(&created.id).await).kind(), EndpointErrorKind::NotFound);
    assert!(client.list().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_the_api_refuses_is_a_typed_error_after_one_attempt() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = casapay(&simulator);
    let error = failed(client.create(&NewEndpoint::new(URL, ["no.such_type"])).await);
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (EndpointErrorKind::BadRequest, 400));
    assert_eq!(count(&simulator, Operation::Create), 1);

    let other_key = casapay_with(&simulator, "sk_test_a-key-that-nobody-gave-out");
    let error = failed(other_key.list().await);
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (EndpointErrorKind::Unauthorized, 401));
    assert_eq!(count(&simulator, Operation::List), 1);

    assert_eq!(failed(client.retrieve("we_none").await).kind(), EndpointErrorKind::NotFound);
    assert_eq!(failed(client.retrieve_event("evt_none").await).kind(), EndpointErrorKind::NotFound);
}

#[tokio::test]
async fn events_are_found_by_id_and_by_each_filter() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = casapay_with(&simulator, CASAPAY_LIVE_KEY);
    let invoice = simulator.emit(Platform::CasaPay, "invoice.paid", json!({"id": "in_1"})).event;
    let charge = simulator.emit(Platform::CasaPay, "charge.failed", json!({"id": "ch_1"})).event;
    let test = simulator.emit_test(Platform::CasaPay, "invoice.paid", json!({"id": "in_2"})).event;
    simulator.settled().await;

    let found = client.retrieve_event(&invoice).await.unwrap();
    assert_eq!((found.id(), found.event_type()), (&*invoice, "invoice.paid"));
    let body: serde_json::Value = serde_json::from_slice(found.body()).unwrap();
    assert_eq!((&body["data"]["object"]["id"], &body["created"]), (&json!("in_1"), &json!(found.created())));

    let ids = async |query: EventQuery| -> BTreeSet<String> {
        client.events(query).map_ok(|event| event.id().to_owned()).try_collect().await.unwrap()
    };
    let both = BTreeSet::from([invoice.clone(), charge.clone()]);
    assert_eq!(ids(EventQuery::new()).await, both, "a live key sees live events");
    assert!(!both.contains(&test));
    assert_eq!(ids(EventQuery::new().with_type("invoice.paid")).await, BTreeSet::from([invoice.clone()]));
    for style in [ListStyle::Commas, ListStyle::Repeated] {
        let query = EventQuery::new().with_types(["charge.failed", "invoice.paid"], style);
        assert_eq!(ids(query).await, both, "{style:?}");
        let query = EventQuery::new().with_types(["charge.failed"], style);
        assert_eq!(ids(query).await, BTreeSet::from([charge.clone()]), "{style:?}");
    }
    // Nobody was subscribed, so that nothing was delivered.
    assert_eq!(ids(EventQuery::new().with_delivery_success(false)).await, both);
    assert!(ids(EventQuery::new().with_delivery_success(true)).await.is_empty());
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    assert_eq!(ids(EventQuery::new().created_from(now - hour).created_until(now + hour)).await, both);
    assert!(ids(EventQuery::new().created_from(now + hour)).await.is_empty());
    assert!(ids(EventQuery::new().created_until(now - hour)).await.is_empty());
}

#[tokio::test]
async fn pages_of_events_are_read_in_either_order_of_the_list() {
    for order in [ListOrder::NewestFirst, ListOrder::OldestFirst] {
        let clock = ManualClock::at_unix(1_700_000_000);
        let simulator = Simulator::builder().with_casapay_order(order).with_clock(clock.clone());
        let simulator = simulator.start().await.unwrap();
        let client = casapay_with(&simulator, CASAPAY_LIVE_KEY);
        let mut emitted = BTreeSet::new();
        for _ in 0..25 {
            clock.advance(Duration::from_secs(1));
            emitted.insert(simulator.emit(Platform::CasaPay, "invoice.paid", json!({})).event);
        }
        let events: Vec<_> = client.events(EventQuery::new().with_limit(4)).try_collect().await.unwrap();
        assert_eq!(events.iter().map(|event| event.id().to_owned()).collect::<BTreeSet<_>>(), emitted);
        assert_eq!(events.len(), 25);
        assert!(events.is_sorted_by_key(|event| event.created()), "oldest first");
        assert!(count(&simulator, Operation::ListEvents) > 1);

        for _ in 0..3 {
            simulator.emit(Platform::CasaPay, "charge.failed", json!({}));
        }
        let query = EventQuery::new().with_type("charge.failed").with_limit(2);
        let error = failed(client.events(query).try_collect::<Vec<_>>().await);
        assert_eq!(error.kind(), EndpointErrorKind::TooManyEvents);
    }
}
