//! A receiver whose handlers do what the test says, step by step, and whose store fails on command.

use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tower::{Layer as _, ServiceExt as _};
use tower_webhook::testing::faulty::{Faults, FaultyStore, Operation};
use tower_webhook::{Delivery, EventRouter, HandlerError, LruStore, Stats, Timing, WebhookLayer, caspay};

use crate::support::{Calls, accepted, caspay_body, from_caspay, reason, secrets};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A status, and the name of what it stands for.
pub(crate) type Verdict = (u16, &'static str);

pub(crate) const HANDLED: Verdict = (200, "handled");
pub(crate) const DUPLICATE: Verdict = (200, "duplicate");
pub(crate) const IN_FLIGHT: Verdict = (503, "in_flight");
pub(crate) const RESPOND_BY_PASSED: Verdict = (503, "respond_by_passed");

pub(crate) fn verdict<B>(response: &http::Response<B>) -> Verdict {
    let accepted = accepted(response).map(|accepted| accepted.as_str());
    let name = accepted.or(reason(response).map(|reason| reason.as_str()));
    (response.status().as_u16(), name.unwrap_or("nothing"))
}

/// Turns a wait for what never comes into a failure; where time is paused, at once.
pub(crate) async fn within_a_minute<T>(awaited: impl Future<Output = T>) -> T {
    tokio::time::timeout(60 * SECOND, awaited).await.expect("what the test waits for does not come")
}

/// The defaults for CasPay: an answer after 4 s, 20 s for a handler, a lease of 30 s.
pub(crate) fn timing() -> Timing {
    Timing::for_provider(&caspay::provider())
}

pub(crate) type StagedLayer = WebhookLayer<EventRouter, FaultyStore<Arc<LruStore>>>;

/// A receiver of CasPay's events.
pub(crate) struct Stage {
    pub(crate) layer: StagedLayer,
    pub(crate) store: Arc<LruStore>,
    pub(crate) faults: Faults,
    pub(crate) runs: Runs,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::with(|layer| layer)
    }

    pub(crate) fn with(configure: impl FnOnce(StagedLayer) -> StagedLayer) -> Self {
        Self::on(LruStore::new(1_000), configure)
    }

    pub(crate) fn on(store: LruStore, configure: impl FnOnce(StagedLayer) -> StagedLayer) -> Self {
        Self::on_shared(Arc::new(store), configure)
    }

    /// As a process that follows another, with the marks that it left.
    pub(crate) fn on_shared(
        store: Arc<LruStore>,
        configure: impl FnOnce(StagedLayer) -> StagedLayer,
    ) -> Self {
        let faulty = FaultyStore::new(Arc::clone(&store));
        let (faults, runs) = (faulty.faults(), Runs::new());
        let layer = WebhookLayer::new(caspay::provider(), secrets()).unwrap();
        let layer = configure(layer.with_store(faulty).with_dispatch(runs.router()));
        Self { layer, store, faults, runs }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.layer.stats()
    }

    pub(crate) fn claims(&self) -> u64 {
        self.faults.calls(Operation::Claim)
    }

    /// Delivers an event, and waits for the answer.
    pub(crate) async fn deliver(&self, id: &str) -> Verdict {
        self.post(id).await.unwrap()
    }

    /// Delivers an event in a task of its own.
    pub(crate) fn post(&self, id: &str) -> JoinHandle<Verdict> {
        let (layer, request) = (self.layer.clone(), from_caspay(caspay_body(id)));
        tokio::spawn(async move { verdict(&layer.into_service().oneshot(request).await.unwrap()) })
    }

    /// Delivers an event, and waits until its handler runs.
    pub(crate) async fn begin(&self, id: &str) -> (JoinHandle<Verdict>, Run) {
        let mut answer = self.post(id);
        let run = tokio::select! {
            run = self.runs.next() => run,
            early = &mut answer => panic!("answered {early:?} without a handler"),
        };
        (answer, run)
    }

    /// Delivers an event whose handler succeeds at once.
    pub(crate) async fn handle(&self, id: &str) -> Verdict {
        let (answer, run) = self.begin(id).await;
        run.succeed();
        answer.await.unwrap()
    }

    /// Delivers an event whose handler ends at once in an error.
    pub(crate) async fn fail(&self, id: &str, error: HandlerError) -> Verdict {
        let (answer, run) = self.begin(id).await;
        run.fail(error);
        answer.await.unwrap()
    }

    /// Waits until nothing runs that outlived its request.
    pub(crate) async fn settled(&self) {
        assert!(self.layer.shutdown().drain(3_600 * SECOND).await.is_complete());
    }

    /// Nothing is left behind: no handler, no permit, no claim, no task.
    pub(crate) fn assert_idle(&self) {
        assert_eq!(self.stats().in_flight(), 0, "handlers");
        assert_eq!(self.store.stats().in_flight(), 0, "claims");
        assert_eq!(self.layer.shutdown().pending(), 0, "tasks");
    }
}

/// The runs of a handler, in the order in which they begin. Clones share them.
#[derive(Clone)]
pub(crate) struct Runs {
    begun: mpsc::UnboundedSender<Run>,
    waiting: Arc<Mutex<mpsc::UnboundedReceiver<Run>>>,
    /// Runs that began.
    pub(crate) starts: Calls,
    /// Runs that came to their end.
    pub(crate) effects: Calls,
    at_once: Arc<AtMost>,
}

/// How many runs there are at once, and were at the most.
#[derive(Default)]
pub(crate) struct AtMost {
    now: AtomicUsize,
    peak: AtomicUsize,
}

impl AtMost {
    pub(crate) fn enter(self: &Arc<Self>) -> Inside {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(now, Ordering::SeqCst);
        Inside(Arc::clone(self))
    }

    pub(crate) fn peak(&self) -> usize {
        self.peak.load(Ordering::SeqCst)
    }
}

pub(crate) struct Inside(Arc<AtMost>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Runs {
    pub(crate) fn new() -> Self {
        let (begun, waiting) = mpsc::unbounded_channel();
        let (starts, effects) = (Calls::default(), Calls::default());
        Self { begun, waiting: Arc::new(Mutex::new(waiting)), starts, effects, at_once: Arc::default() }
    }

    /// Takes every event; each run waits for what the test says.
    pub(crate) fn router(&self) -> EventRouter {
        let runs = self.clone();
        EventRouter::new().fallback(move |_: Delivery| runs.run())
    }

    /// One run, for a handler of the test's own.
    pub(crate) fn run(&self) -> impl Future<Output = Result<(), HandlerError>> + Send + use<> {
        let (begun, starts, effects) = (self.begun.clone(), self.starts.clone(), self.effects.clone());
        let inside = self.at_once.enter();
        async move {
            let _inside = inside;
            starts.add();
            let (end, told) = oneshot::channel();
            begun.send(Run { end }).unwrap();
            match told.await {
                Ok(result) => result.inspect(|()| effects.add()),
                Err(_) => pending().await,
            }
        }
    }

    /// The next run, when it begins.
    pub(crate) async fn next(&self) -> Run {
        within_a_minute(async { self.waiting.lock().await.recv().await }).await.unwrap()
    }

    /// The largest number of runs at one time.
    pub(crate) fn peak(&self) -> usize {
        self.at_once.peak()
    }
}

/// A handler that waits to be told how to end. Forgotten, it hangs.
pub(crate) struct Run {
    end: oneshot::Sender<Result<(), HandlerError>>,
}

impl Run {
    pub(crate) fn succeed(self) {
        self.end.send(Ok(())).expect("the handler still runs");
    }

    pub(crate) fn fail(self, error: HandlerError) {
        self.end.send(Err(error)).expect("the handler still runs");
    }

    /// Waits until the handler is dropped.
    pub(crate) async fn dropped(mut self) {
        within_a_minute(self.end.closed()).await;
    }
}

/// A service that is ready once the test opens its door, and panics when it is called unready. A clone has to
/// be asked for itself, as tower demands.
pub(crate) struct Door<S> {
    inner: S,
    doorman: Doorman,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ready: bool,
}

/// Whether the service was asked before it was called.
type Asked = Result<(), &'static str>;

/// Opens doors, and says who waits there. As a layer it puts one in front of a service.
#[derive(Clone)]
pub(crate) struct Doorman {
    open: watch::Sender<bool>,
    ask: mpsc::UnboundedSender<Asked>,
    asked: Arc<Mutex<mpsc::UnboundedReceiver<Asked>>>,
}

impl Doorman {
    pub(crate) fn new() -> Self {
        let (ask, asked) = mpsc::unbounded_channel();
        Self { open: watch::Sender::new(false), ask, asked: Arc::new(Mutex::new(asked)) }
    }

    pub(crate) fn open(&self) {
        self.open.send_replace(true);
    }

    /// Waits until the service is asked whether it is ready.
    pub(crate) async fn asked(&self) {
        within_a_minute(async { self.asked.lock().await.recv().await }).await.unwrap().unwrap();
    }
}

impl<S> tower::Layer<S> for Doorman {
    type Service = Door<S>;

    fn layer(&self, inner: S) -> Door<S> {
        Door { inner, doorman: self.clone(), waiting: None, ready: false }
    }
}

impl<S: Clone> Clone for Door<S> {
    fn clone(&self) -> Self {
        self.doorman.layer(self.inner.clone())
    }
}

impl<R, S: tower::Service<R>> tower::Service<R> for Door<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let doorman = &self.doorman;
        let waiting = self.waiting.get_or_insert_with(|| {
            doorman.ask.send(Ok(())).unwrap();
            let mut open = doorman.open.subscribe();
            Box::pin(async move { drop(open.wait_for(|open| *open).await) })
        });
        ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        self.ready = true;
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        if !std::mem::take(&mut self.ready) {
            let unasked = "called without being asked";
            self.doorman.ask.send(Err(unasked)).unwrap();
            panic!("{unasked}");
        }
        self.inner.call(request)
    }
}
