//! What is not sent: to whom, about what, and with which ids.

use futures_util::TryStreamExt as _;
use serde_json::json;
use tower_webhook::endpoints::{
    CasaPay, ClientOptions, Diddo, DiddoList, DiddoSettings, DiddoUpdate, EndpointApi as _,
    EndpointErrorKind as Kind, EndpointUpdate, NewEndpoint,
};

use super::api::{Api, URL, UUID, WHSEC, answer, diddo_settings, failure, key, options, types};

const NO_URLS: [&str; 10] = [
    "http://shop.example/hooks",
    "http://10.0.0.1/hooks",
    "ftp://shop.example/hooks",
    "shop.example/hooks",
    "/hooks",
    "",
    "https://",
    "https://user:pass-word@shop.example/hooks",
    "https://token@shop.example/hooks",
    "https://shop.example/hooks#there",
];

/// An API that must not be asked anything.
async fn never() -> Api {
    Api::always(answer(200, json!([]))).await
}

#[tokio::test]
async fn endpoints_are_https_and_that_is_checked_before_anything_is_sent() {
    let api = never().await;
    let (casapay, diddo, caspay) = (api.casapay(), api.diddo(), api.caspay());
    let (id, secret) = (UUID.parse().unwrap(), tower_webhook::Secret::new(WHSEC).unwrap());
    for url in NO_URLS {
        let update = EndpointUpdate::new().with_url(url);
        for error in [
            failure(casapay.create(&NewEndpoint::new(url, ["invoice.paid"])).await),
            failure(casapay.update("we_1", &update).await),
            failure(casapay.check_url(url)),
            failure(diddo.create(url, &types(&["order.submitted"]), None).await),
            failure(diddo.update(id, &DiddoUpdate::new().with_url(url)).await),
            failure(diddo.check_url(url)),
            failure(caspay.create(url, &types(&["payment.failed"]), &secret).await),
        ] {
            assert_eq!(error.kind(), Kind::InvalidUrl, "{url}");
            assert!(error.to_string().ends_with("nothing was sent"), "{error}");
            assert!(!error.to_string().contains("pass-word"), "{error}");
        }
    }
    assert!(api.asked().await.is_empty());
}

#[tokio::test]
async fn loopback_may_do_without_tls_where_that_was_said_and_only_there() {
    let api = never().await;
    let strict = |url: &str| CasaPay::new(url, key(), ClientOptions::default());
    assert_eq!(failure(strict(&api.url())).kind(), Kind::InvalidUrl);
    let client = strict("https://api.example").unwrap();
    let error = failure(client.create(&NewEndpoint::new("http://127.0.0.1:1/", ["invoice.paid"])).await);
    assert_eq!(error.kind(), Kind::InvalidUrl);

    let (diddo, new) = (api.diddo(), "http://127.0.0.1:1/hooks");
    assert_eq!(
        failure(diddo.create(new, &types(&["order.submitted"]), None).await).kind(),
        Kind::OutcomeUnknown
    );
    assert_eq!(api.asked_once().await.body["url"], new);
}

#[tokio::test]
async fn a_base_url_is_https_too() {
    for url in NO_URLS.iter().chain(&["https://api.example?key=x"]) {
        let options = || ClientOptions::default().allow_loopback();
        let kind = if url.contains('?') { Kind::InvalidRequest } else { Kind::InvalidUrl };
        assert_eq!(failure(CasaPay::new(url, key(), options())).kind(), kind, "{url}");
        assert_eq!(failure(Diddo::new(url, key(), diddo_settings(), options())).kind(), kind, "{url}");
    }
}

#[tokio::test]
async fn an_id_that_would_lead_elsewhere_is_not_sent() {
    let api = never().await;
    let client = api.casapay();
    let long = "x".repeat(256);
    for id in
        ["", ".", "..", "../events", "we_1/..", "we 1", "we_1?x=1", "we_1#x", "we%2f1", "é", "we_1\n", &*long]
    {
        for error in [
            failure(client.retrieve(id).await),
            failure(client.update(id, &EndpointUpdate::new()).await),
            failure(client.delete(id).await),
            failure(client.retrieve_event(id).await),
            failure(client.set_events(id, &types(&["invoice.paid"])).await),
            failure(client.set_active(id, true).await),
        ] {
            assert_eq!(error.kind(), Kind::InvalidRequest, "{id}");
        }
    }
    let diddo = api.diddo();
    for id in ["", "we_1", "../x", &UUID[1..]] {
        for error in [
            failure(diddo.set_events(id, &types(&["order.submitted"])).await),
            failure(diddo.set_active(id, true).await),
            failure(tower_webhook::endpoints::EndpointApi::delete(&diddo, id).await),
        ] {
            assert_eq!(error.kind(), Kind::InvalidRequest, "{id}");
        }
    }
    assert!(api.asked().await.is_empty());
}

#[tokio::test]
async fn an_endpoint_for_nothing_is_not_asked_for() {
    let api = never().await;
    let (casapay, diddo, id) = (api.casapay(), api.diddo(), UUID.parse().unwrap());
    let secret = tower_webhook::Secret::new(WHSEC).unwrap();
    for events in [types(&[]), types(&[""]), types(&["invoice.paid", ""])] {
        for error in [
            failure(casapay.create(&NewEndpoint::new(URL, events.clone())).await),
            failure(casapay.update("we_1", &EndpointUpdate::new().with_enabled_events(events.clone())).await),
            failure(diddo.create(URL, &events, None).await),
            failure(diddo.update(id, &DiddoUpdate::new().with_events(events.clone())).await),
            failure(api.caspay().create(URL, &events, &secret).await),
        ] {
            assert_eq!(error.kind(), Kind::InvalidRequest, "{events:?}");
        }
    }
    assert!(api.asked().await.is_empty());
}

/// A filter that nobody named would be left out, and everything listed.
#[tokio::test]
async fn a_filter_without_a_name_is_an_error() {
    let api = never().await;
    let settings = || DiddoSettings::new("x-invented-key", "/secret").unwrap();
    for (settings, list) in [
        (settings().with_event_filter("about"), DiddoList::new().with_active(true)),
        (settings().with_active_filter("is_on"), DiddoList::new().with_event("order.submitted")),
    ] {
        let client = Diddo::new(&api.url(), key(), settings, options()).unwrap();
        let error = failure(client.list(list).try_collect::<Vec<_>>().await);
        assert_eq!(error.kind(), Kind::InvalidRequest);
        assert!(error.to_string().contains("DiddoSettings"), "{error}");
    }
    assert!(api.asked().await.is_empty());
}
