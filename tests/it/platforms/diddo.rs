//! Every documented call of Diddo.

use futures_util::TryStreamExt as _;
use tower_webhook::endpoints::{DiddoEndpoint, DiddoList, DiddoUpdate, EndpointErrorKind};
use tower_webhook::testing::simulator::{Conflicts, DiddoSettings, Operation, Simulator};
use uuid::Uuid;

use super::{URL, count, diddo, diddo_with, failed};

fn types(types: &[&str]) -> Vec<String> {
    types.iter().map(|&one| one.to_owned()).collect()
}

#[tokio::test]
async fn an_endpoint_is_created_read_changed_and_deleted() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = diddo(&simulator);
    let (created, secret) = client.create(URL, &types(&["order.submitted"]), Some("shop")).await.unwrap();
    assert!(secret.expose().len() >= 16);
    assert_eq!((&*created.url, created.active), (URL, Some(true)));
    assert_eq!(created.events, ["order.submitted"]);
    assert_eq!(created.description.as_deref(), Some("shop"));

    assert_eq!(client.retrieve(created.id).await.unwrap(), created);
    let update = DiddoUpdate::new()
        .with_active(false)
        .with_description("paused")
        .with_events(["checkout.failed"])
        .with_url("https://shop.example/other");
    let updated = client.update(created.id, &update).await.unwrap();
    assert_eq!((&*updated.url, updated.active), ("https://shop.example/other", Some(false)));
    assert_eq!(updated.events, ["checkout.failed"]);
    assert_eq!(updated.description.as_deref(), Some("paused"));

    client.delete(created.id).await.unwrap();
    assert_eq!(failed(client.retrieve(created.id).await).kind(), EndpointErrorKind::NotFound);
    assert_eq!(failed(client.update(created.id, &update).await).kind(), EndpointErrorKind::NotFound);
    assert_eq!(failed(client.delete(created.id).await).kind(), EndpointErrorKind::NotFound);
}

#[tokio::test]
async fn every_page_is_listed_and_filters_are_applied() {
    for field in [Some("data"), Some("webhooks"), None] {
        let settings = DiddoSettings::new().with_list_field(field);
        let simulator = Simulator::builder().with_diddo(settings).start().await.unwrap();
        let client = diddo(&simulator);
        let mut created = Vec::new();
        for number in 0..7 {
            let event = if number < 3 { "order.submitted" } else { "checkout.failed" };
            let url = format!("{URL}/{number}");
            created.push(client.create(&url, &types(&[event]), None).await.unwrap().0.id);
        }
        client.update(created[6], &DiddoUpdate::new().with_active(false)).await.unwrap();
        created.sort_unstable();
        let ids = async |list: DiddoList| -> Vec<Uuid> {
            let endpoints: Vec<DiddoEndpoint> = client.list(list).try_collect().await.unwrap();
            let mut ids: Vec<_> = endpoints.into_iter().map(|endpoint| endpoint.id).collect();
            ids.sort_unstable();
            ids
        };
        for limit in [2, 3, 6, 7, 8, 100] {
            assert_eq!(ids(DiddoList::new().with_limit(limit)).await, created, "{limit}");
        }
        assert_eq!(ids(DiddoList::new()).await, created);
        assert_eq!(ids(DiddoList::new().with_active(false)).await.len(), 1);
        assert_eq!(ids(DiddoList::new().with_active(true)).await.len(), 6);
        assert_eq!(ids(DiddoList::new().with_event("order.submitted")).await.len(), 3);
    }
}

#[tokio::test]
async fn what_the_api_refuses_is_a_typed_error_after_one_attempt() {
    let settings = DiddoSettings::new().with_conflicts(Conflicts::SameUrl);
    let simulator = Simulator::builder().with_diddo(settings).start().await.unwrap();
    let client = diddo(&simulator);
    let error = failed(client.create(URL, &types(&["no.such_type"]), None).await);
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (EndpointErrorKind::BadRequest, 400));
    client.create(URL, &types(&["order.submitted"]), None).await.unwrap();
    let error = failed(client.create(URL, &types(&["order.submitted"]), None).await);
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (EndpointErrorKind::Conflict, 409));
    assert_eq!(count(&simulator, Operation::Create), 3);

    let other_key = diddo_with(&simulator, "a-key-that-nobody-gave-out");
    let error = failed(other_key.retrieve(Uuid::nil()).await);
    assert_eq!((error.kind(), error.status().unwrap().as_u16()), (EndpointErrorKind::Unauthorized, 401));
}
