//! Readiness is awaited on the service that is called, after the MAC and before the claim.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tower::limit::ConcurrencyLimitLayer;
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, Service, ServiceExt as _, service_fn};
use tower_webhook::dispatch::NoDispatch;
use tower_webhook::testing::faulty::{Faults, FaultyStore, Operation};
use tower_webhook::{Body, Delivery, EventRouter, LruStore, Outcome, Stats, WebhookLayer, caspay};

use crate::stage::{DUPLICATE, Doorman, HANDLED, SECOND, Verdict, verdict};
use crate::support::{Calls, caspay_body, from_caspay, secrets};

type AnyBody = UnsyncBoxBody<Bytes, Infallible>;
type Inner = BoxCloneService<Request<Body>, Response<Body>, Infallible>;

/// A receiver whose worker, a dispatch or an inner service, stands behind a middleware.
struct Scene {
    service: BoxCloneService<Request<AnyBody>, Verdict, BoxError>,
    calls: Calls,
    faults: Faults,
    stats: Stats,
    done: Verdict,
    never_ready: Verdict,
}

fn layer(calls: &Calls) -> (WebhookLayer<NoDispatch, FaultyStore<LruStore>>, Scene) {
    let store = FaultyStore::new(LruStore::new(1_000));
    let faults = store.faults();
    let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap().with_store(store);
    let service = BoxCloneService::new(service_fn(async |_| Err("not yet mounted".into())));
    let (stats, calls) = (layer.stats(), calls.clone());
    let never_ready = (503, "dispatch_refused");
    (layer, Scene { service, calls, faults, stats, done: HANDLED, never_ready })
}

/// The dispatch behind `middleware`.
fn dispatch<L>(middleware: &L) -> Scene
where
    L: Layer<EventRouter> + Clone,
    L::Service: Service<Delivery, Response = Outcome, Error: Into<BoxError>, Future: Send>,
    L::Service: Clone + Send + 'static,
{
    let calls = Calls::default();
    let (layer, scene) = layer(&calls);
    let service = layer.with_dispatch(calls.router().layer(middleware.clone())).into_service();
    Scene { service: told_apart(service), ..scene }
}

/// An inner service behind `middleware`.
fn inner<L>(middleware: &L) -> Scene
where
    L: Layer<Inner>,
    L::Service: Service<Request<Body>, Response = Response<Body>, Error: Into<BoxError> + Send, Future: Send>,
    L::Service: Clone + Send + 'static,
{
    let calls = Calls::default();
    let (layer, scene) = layer(&calls);
    let answer = service_fn(move |_: Request<Body>| {
        calls.add();
        async { Ok(Response::new(Body::default())) }
    });
    let service = layer.layer(middleware.layer(BoxCloneService::new(answer)));
    let (done, never_ready) = ((200, "forwarded"), (503, "at_capacity"));
    Scene { service: told_apart(service), done, never_ready, ..scene }
}

fn told_apart<S, B>(service: S) -> BoxCloneService<Request<AnyBody>, Verdict, BoxError>
where
    S: Service<Request<AnyBody>, Response = Response<B>, Error: Into<BoxError>, Future: Send>,
    S: Clone + Send + 'static,
{
    BoxCloneService::new(service.map_response(|response| verdict(&response)).map_err(Into::into))
}

impl Scene {
    fn claims(&self) -> u64 {
        self.faults.calls(Operation::Claim)
    }

    async fn deliver(&self, request: Request<AnyBody>) -> Verdict {
        self.service.clone().oneshot(request).await.unwrap()
    }

    fn post(&self, id: &str) -> JoinHandle<Verdict> {
        let (service, request) = (self.service.clone(), signed(id));
        tokio::spawn(async move { service.oneshot(request).await.unwrap() })
    }
}

fn signed(id: &str) -> Request<AnyBody> {
    from_caspay(caspay_body(id)).map(|body| body.boxed_unsync())
}

/// A request with a well-formed signature whose body does not end.
fn dribbling() -> Request<AnyBody> {
    let never = futures_util::stream::pending::<Result<http_body::Frame<Bytes>, Infallible>>();
    from_caspay("{}").map(|_| http_body_util::StreamBody::new(never).boxed_unsync())
}

#[tokio::test(start_paused = true)]
async fn nothing_is_claimed_while_readiness_is_awaited() {
    let doormen = [Doorman::new(), Doorman::new()];
    for (scene, door) in [dispatch(&doormen[0]), inner(&doormen[1])].into_iter().zip(doormen) {
        let answer = scene.post("evt_1");
        door.asked().await;
        assert_eq!((scene.claims(), scene.stats.in_flight(), scene.stats.macs()), (0, 0, 1));
        door.open();
        assert_eq!(answer.await.unwrap(), scene.done);
        assert_eq!((scene.claims(), scene.calls.count()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_authentic_asks_nobody() {
    let doormen = [Doorman::new(), Doorman::new()];
    for (scene, _closed) in [dispatch(&doormen[0]), inner(&doormen[1])].into_iter().zip(&doormen) {
        let forged = signed("evt_1").map(|_| Body::default().boxed_unsync());
        assert_eq!(scene.deliver(forged).await, (401, "signature_mismatch"));
    }
    for door in doormen {
        assert!(timeout(SECOND, door.asked()).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_is_never_ready_is_answered_for() {
    let doormen = [Doorman::new(), Doorman::new()];
    for scene in [dispatch(&doormen[0]), inner(&doormen[1])] {
        let start = Instant::now();
        assert_eq!(scene.deliver(signed("evt_1")).await, scene.never_ready);
        assert_eq!(start.elapsed(), 4 * SECOND);
        assert_eq!((scene.claims(), scene.stats.moved()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn hanging_up_while_readiness_is_awaited_leaves_no_claim() {
    let doormen = [Doorman::new(), Doorman::new()];
    for (scene, door) in [dispatch(&doormen[0]), inner(&doormen[1])].into_iter().zip(doormen) {
        assert!(timeout(SECOND, scene.deliver(signed("evt_1"))).await.is_err());
        assert_eq!((scene.claims(), scene.stats.moved()), (0, 0));
        door.open();
        assert_eq!(scene.deliver(signed("evt_1")).await, scene.done);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unsigned_dribbling_body_holds_no_permit() {
    let one = ConcurrencyLimitLayer::new(1);
    let shared = tower::limit::GlobalConcurrencyLimitLayer::new(1);
    for scene in [dispatch(&one), inner(&one), dispatch(&shared), inner(&shared)] {
        let service = scene.service.clone();
        let dribble = tokio::spawn(async move { service.oneshot(dribbling()).await.unwrap() });
        tokio::task::yield_now().await;
        let start = Instant::now();
        assert_eq!(scene.deliver(signed("evt_1")).await, scene.done);
        assert!(start.elapsed().is_zero());
        assert!(!dribble.is_finished());
        assert_eq!(dribble.await.unwrap(), (408, "body_timeout"));
    }
}

/// A duplicate takes a permit before it is known to be one, and gives it back.
#[tokio::test(start_paused = true)]
async fn a_duplicate_gives_its_permit_back() {
    let one = ConcurrencyLimitLayer::new(1);
    for scene in [dispatch(&one), inner(&one)] {
        assert_eq!(scene.deliver(signed("evt_1")).await, scene.done);
        for _ in 0..3 {
            assert_eq!(scene.deliver(signed("evt_1")).await, DUPLICATE);
        }
        assert_eq!(scene.deliver(signed("evt_2")).await, scene.done);
    }
}

/// A layer whose services fail to become ready, as a buffer does whose worker is gone.
#[derive(Clone)]
struct Broken;

#[derive(Clone)]
struct BrokenService<S>(S);

impl<S> Layer<S> for Broken {
    type Service = BrokenService<S>;

    fn layer(&self, inner: S) -> BrokenService<S> {
        BrokenService(inner)
    }
}

impl<R, S: Service<R>> Service<R> for BrokenService<S> {
    type Response = S::Response;
    type Error = &'static str;
    type Future = futures_util::future::MapErr<S::Future, fn(S::Error) -> &'static str>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> std::task::Poll<Result<(), &'static str>> {
        std::task::Poll::Ready(Err("the worker is gone"))
    }

    fn call(&mut self, _: R) -> Self::Future {
        panic!("called though it failed to become ready")
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_fails_to_become_ready_claims_nothing() {
    let scene = dispatch(&Broken);
    assert_eq!(scene.deliver(signed("evt_1")).await, (503, "dispatch_refused"));
    assert_eq!(scene.claims(), 0);

    let scene = inner(&Broken);
    let error = scene.service.clone().oneshot(signed("evt_1")).await.unwrap_err();
    assert_eq!((error.to_string(), scene.claims()), ("the worker is gone".to_owned(), 0));
}
