//! Tower's middleware around the layer.

use tokio::time::Instant;
use tower::limit::ConcurrencyLimitLayer;
use tower::{Service, ServiceBuilder, ServiceExt as _};
use tower_webhook::Body;
use tower_webhook::dispatch::Dispatch;

use crate::stage::{DUPLICATE, HANDLED, RESPOND_BY_PASSED, SECOND, Stage, verdict};
use crate::support::{caspay_body, from_caspay};

fn request(id: &str) -> http::Request<Body> {
    from_caspay(caspay_body(id))
}

#[tokio::test(start_paused = true)]
async fn a_whole_stack_carries_deliveries() {
    let stage = Stage::with(|layer| layer.with_dispatch(crate::support::Calls::default().router()));
    let service = ServiceBuilder::new()
        .load_shed()
        .buffer(8)
        .concurrency_limit(2)
        .timeout(10 * SECOND)
        .service(stage.layer.clone().into_service());
    for expected in [HANDLED, DUPLICATE] {
        let response = service.clone().oneshot(request("evt_1")).await.unwrap();
        assert_eq!(verdict(&response), expected);
    }
}

/// A timeout around the layer is one more sender that hangs up.
#[tokio::test(start_paused = true)]
async fn an_outer_timeout_cancels_nothing() {
    let (stage, start) = (Stage::new(), Instant::now());
    let service = ServiceBuilder::new().timeout(SECOND).service(stage.layer.clone().into_service());
    let (answer, run) = tokio::join!(service.oneshot(request("evt_1")), stage.runs.next());
    assert!(answer.unwrap_err().is::<tower::timeout::error::Elapsed>());
    assert_eq!((start.elapsed(), stage.stats().moved()), (SECOND, 1));
    run.succeed();
    stage.settled().await;
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
}

/// The layer is always ready, so that shedding around it never sheds; the limit inside does its work.
#[tokio::test(start_paused = true)]
async fn the_layer_is_ready_while_its_worker_is_not() {
    let stage = Stage::new();
    let dispatch = stage.runs.router().layer(ConcurrencyLimitLayer::new(1));
    assert!(dispatch.takes("payment.completed"));
    let mut service = stage.layer.clone().with_dispatch(dispatch).into_service();
    let first = tokio::spawn(service.call(request("evt_1")));
    let run = stage.runs.next().await;
    let ready = Service::<http::Request<Body>>::poll_ready;
    std::future::poll_fn(|cx| ready(&mut service, cx)).await.unwrap();
    run.succeed();
    assert_eq!(verdict(&first.await.unwrap().unwrap()), HANDLED);
}

/// An outer limit counts requests: a handler that outlived its request is not among them.
#[tokio::test(start_paused = true)]
async fn an_outer_limit_does_not_see_moved_handlers() {
    let stage = Stage::new();
    let limited = ServiceBuilder::new().concurrency_limit(1).service(stage.layer.clone().into_service());
    let mut hanging = Vec::new();
    for id in ["evt_1", "evt_2", "evt_3"] {
        let (answer, run) = tokio::join!(limited.clone().oneshot(request(id)), stage.runs.next());
        assert_eq!(verdict(&answer.unwrap()), RESPOND_BY_PASSED);
        hanging.push(run);
    }
    assert_eq!(stage.layer.shutdown().pending(), 3);
}

/// The future that middleware drops without a poll has done nothing.
#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_polled_leaves_nothing() {
    let stage = Stage::new();
    let unpolled = stage.layer.clone().into_service().call(request("evt_1"));
    drop(unpolled);
    assert_eq!((stage.claims(), stage.stats().moved(), stage.stats().macs()), (0, 0, 0));
    stage.assert_idle();
}
