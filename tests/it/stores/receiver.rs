//! A receiver of CasPay's events on any store, whose handlers do what the test says, and whose time is real.

use std::time::Duration;

use tokio::task::JoinHandle;
use tower::ServiceExt as _;
use tower_webhook::dedup::{ClaimRequest, DedupStore};
use tower_webhook::{EventRouter, HandlerError, Stats, Timing, WebhookLayer, caspay};

use crate::servers::random;
use crate::stage::{DUPLICATE, HANDLED, IN_FLIGHT, Run, Runs, Verdict, timing, verdict, within_a_minute};
use crate::support::{caspay_body, from_caspay, secrets};

pub(crate) const UNAVAILABLE: Verdict = (503, "store_unavailable");
pub(crate) const TOO_SLOW: Verdict = (503, "store_timeout");
pub(crate) const FAILED: Verdict = (503, "handler_failed");

/// How long a sender waits for its next attempt.
const PAUSE: Duration = Duration::from_millis(20);

/// The defaults, with a lease that a test can wait for.
pub(crate) fn short_lease() -> Timing {
    let tenth = Duration::from_millis(100);
    timing()
        .with_respond_by(10 * tenth)
        .with_handler_timeout(10 * tenth)
        .with_dead_letter_timeout(tenth)
        .with_store_timeout(3 * tenth)
        .with_lease(20 * tenth)
}

/// A name that nobody used before, on a server that may know the names of earlier runs.
pub(crate) fn fresh_name() -> String {
    format!("test-{:016x}", random())
}

pub(crate) struct Receiver<St> {
    pub(crate) layer: WebhookLayer<EventRouter, St>,
    pub(crate) runs: Runs,
    endpoint: String,
}

impl<St: DedupStore> Receiver<St> {
    pub(crate) fn new(store: St) -> Self {
        Self::named(&fresh_name(), store, timing())
    }

    pub(crate) fn with_timing(store: St, timing: Timing) -> Self {
        Self::named(&fresh_name(), store, timing)
    }

    /// Receivers of one name and one server see each other's events.
    pub(crate) fn named(endpoint: &str, store: St, timing: Timing) -> Self {
        let runs = Runs::new();
        let layer =
            WebhookLayer::new(caspay::provider(), secrets()).unwrap().with_endpoint(endpoint).unwrap();
        let layer = layer.with_timing(timing).unwrap().with_store(store).with_dispatch(runs.router());
        Self { layer, runs, endpoint: endpoint.to_owned() }
    }

    pub(crate) fn stats(&self) -> Stats {
        self.layer.stats()
    }

    /// What this receiver would claim for an event.
    pub(crate) fn scope(&self) -> String {
        format!("caspay/{}", self.endpoint)
    }

    /// Delivers an event in a task of its own.
    pub(crate) fn post(&self, id: &str) -> JoinHandle<Verdict> {
        let (layer, request) = (self.layer.clone(), from_caspay(caspay_body(id)));
        tokio::spawn(async move { verdict(&layer.into_service().oneshot(request).await.unwrap()) })
    }

    /// Delivers an event, and waits for the answer.
    pub(crate) async fn deliver(&self, id: &str) -> Verdict {
        within_a_minute(self.post(id)).await.unwrap()
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

    /// Delivers an event whose handler fails at once.
    pub(crate) async fn fail(&self, id: &str) -> Verdict {
        let (answer, run) = self.begin(id).await;
        run.fail(HandlerError::retry("no"));
        answer.await.unwrap()
    }

    /// Delivers an event again and again, as senders do, until it is answered with a 2xx; a handler that runs
    /// succeeds. Until then nothing but `meanwhile` is an answer.
    pub(crate) async fn retry(&self, id: &str, meanwhile: &[Verdict]) -> Verdict {
        within_a_minute(async {
            loop {
                let mut answer = self.post(id);
                let verdict = tokio::select! {
                    run = self.runs.next() => {
                        run.succeed();
                        answer.await.unwrap()
                    }
                    answered = &mut answer => answered.unwrap(),
                };
                if verdict.0 == 200 {
                    return verdict;
                }
                assert!(meanwhile.contains(&verdict), "{verdict:?}");
                tokio::time::sleep(PAUSE).await;
            }
        })
        .await
    }

    /// Each of these ids is its own event, in flight at the same time as the others, and known again.
    pub(crate) async fn tells_apart(&self, ids: &[String]) {
        let mut running = Vec::new();
        for id in ids {
            running.push(self.begin(id).await);
        }
        for id in ids {
            assert_eq!(self.deliver(id).await, IN_FLIGHT, "{id:.40?}");
        }
        for (answer, run) in running {
            run.succeed();
            assert_eq!(answer.await.unwrap(), HANDLED);
        }
        for id in ids {
            assert_eq!(self.deliver(id).await, DUPLICATE, "{id:.40?}");
        }
        assert_eq!(self.runs.starts.count(), ids.len());
    }

    /// Waits until nothing runs that outlived its request.
    pub(crate) async fn settled(&self) {
        assert!(self.layer.shutdown().drain(Duration::from_secs(60)).await.is_complete());
    }
}

/// A claim as a receiver of `scope` makes it.
pub(crate) fn request<'a>(scope: &'a str, id: &'a str) -> ClaimRequest<'a> {
    ClaimRequest::new(scope, "payment.completed", id, Duration::from_secs(30))
}
