//! What the checks are written with: events nobody used before, operations that expect an answer, races.

use std::error::Error as _;
use std::fmt::Display;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use tokio::sync::Barrier;
use tokio::task::JoinSet;

use super::{Check, Failure, Suite};
use crate::dedup::{Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease, StoreError};

/// A lease or retention that does not end during a check.
pub(super) const LONG: Duration = Duration::from_secs(600);

/// How late a store may end a lease or a retention.
pub(super) const LEEWAY: Duration = Duration::from_secs(1);

/// 32 contenders.
const TASKS: usize = 8;
const GROUP: usize = 4;

type Operation<'a> = Pin<Box<dyn Future<Output = Result<Claim, StoreError>> + Send + 'a>>;

/// An event as the checks claim it.
#[derive(Clone)]
pub(super) struct Event {
    scope: String,
    event_type: String,
    id: String,
    lease: Duration,
}

impl Event {
    pub(super) fn request(&self) -> ClaimRequest<'_> {
        ClaimRequest::new(&self.scope, &self.event_type, &self.id, self.lease)
    }

    pub(super) fn key(&self) -> DedupKey {
        *self.request().key()
    }
}

/// One check over one store.
pub(super) struct Trial<'a, St> {
    suite: &'a Suite<St>,
    check: Check,
    pub(super) store: Arc<St>,
    /// Different in every run of every check, so that one server can be shared.
    nonce: String,
    late: AtomicBool,
}

impl<'a, St: DedupStore> Trial<'a, St> {
    pub(super) fn new(suite: &'a Suite<St>, check: Check, store: Arc<St>) -> Self {
        let nonce = format!("{:016x}", RandomState::new().hash_one(check));
        Self { suite, check, store, nonce, late: AtomicBool::new(false) }
    }

    /// Whether the check failed by what it came too late to see.
    pub(super) fn was_late(&self) -> bool {
        self.late.load(Ordering::Relaxed)
    }

    /// Takes what was found while something had to last still, which began after `begun` and was to last for `time`. Found
    /// behind its end, as on a machine that stood still, it is nothing that the store did wrong.
    pub(super) fn while_it_lasts<T>(
        &self,
        begun: Instant,
        time: Duration,
        found: Result<T, Failure>,
    ) -> Result<T, Failure> {
        if found.is_err() && begun.elapsed() >= time {
            self.late.store(true, Ordering::Relaxed);
        }
        found
    }

    /// The lease that the check may wait for.
    pub(super) fn lease(&self) -> Duration {
        self.suite.lease
    }

    pub(super) fn event(&self, id: &(impl Display + ?Sized), lease: Duration) -> Event {
        self.event_of("conformance", self.check.name(), id, lease)
    }

    pub(super) fn event_of(
        &self,
        scope: &str,
        event_type: &str,
        id: &(impl Display + ?Sized),
        lease: Duration,
    ) -> Event {
        Event {
            scope: format!("{}{scope}", self.nonce),
            event_type: event_type.to_owned(),
            id: id.to_string(),
            lease,
        }
    }

    pub(super) fn failure(&self, expected: impl Into<String>, found: impl Into<String>) -> Failure {
        Failure::new(self.check, expected, found)
    }

    /// Lets `time` pass.
    pub(super) async fn pass(&self, time: Duration) {
        (self.suite.sleep)(time).await;
    }

    /// Lets everything end that was to last for `time`.
    pub(super) async fn outlast(&self, time: Duration) {
        self.pass(time + LEEWAY).await;
    }

    pub(super) async fn claim(&self, event: &Event) -> Result<Claim, Failure> {
        let answer = self.store.claim(&event.request()).await;
        self.answer("claim", answer)
    }

    pub(super) async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, Failure> {
        let answer = self.store.complete(lease, retain).await;
        self.answer("completion", answer)
    }

    pub(super) async fn release(&self, lease: &Lease) -> Result<(), Failure> {
        let answer = self.store.release(lease).await;
        self.answer("release", answer)
    }

    pub(super) async fn forget(&self, event: &Event) -> Result<(), Failure> {
        let answer = self.store.forget(&event.key()).await;
        self.answer("forget", answer)
    }

    fn answer<T>(&self, operation: &str, answer: Result<T, StoreError>) -> Result<T, Failure> {
        answer.map_err(|error| {
            let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            self.failure(format!("an answer to a {operation}"), format!("the error \"{error}{cause}\""))
        })
    }

    pub(super) async fn acquire(&self, event: &Event, claim: &str) -> Result<Lease, Failure> {
        match self.claim(event).await? {
            Claim::Acquired(lease) if *lease.key() == event.key() => Ok(lease),
            Claim::Acquired(lease) => Err(self.failure(
                format!("{claim} to give a lease on {}", event.key()),
                format!("one on {}", lease.key()),
            )),
            found => Err(self.failure(format!("{claim} to be acquired"), format!("{found:?}"))),
        }
    }

    pub(super) async fn expect_in_flight(&self, event: &Event, claim: &str) -> Result<Duration, Failure> {
        match self.claim(event).await? {
            Claim::InFlight { retry_after } => Ok(retry_after),
            found => Err(self.failure(format!("{claim} to find it in flight"), format!("{found:?}"))),
        }
    }

    pub(super) async fn expect_done(&self, event: &Event, claim: &str) -> Result<(), Failure> {
        match self.claim(event).await? {
            Claim::Done => Ok(()),
            found => Err(self.failure(format!("{claim} to find it done"), format!("{found:?}"))),
        }
    }

    pub(super) async fn expect_completion(
        &self,
        lease: &Lease,
        expected: Completion,
        completion: &str,
    ) -> Result<(), Failure> {
        let found = self.complete(lease, LONG).await?;
        if found == expected {
            return Ok(());
        }
        Err(self.failure(format!("{completion} to answer {expected:?}"), format!("{found:?}")))
    }

    /// Claims each event 32 times at once, event after event, and hands back the answers to each. With
    /// `leases`, each event is completed at the same moment.
    ///
    /// The contenders are in tasks, to meet in parallel, and within a task in groups polled in turn, to meet
    /// at every await: tasks alone fall into step and run one after the other for many rounds.
    pub(super) async fn race(&self, events: &[Event], leases: &[Lease]) -> Result<Vec<Vec<Claim>>, Failure> {
        let start = Arc::new(Barrier::new(TASKS));
        let mut tasks = JoinSet::new();
        for task in 0..TASKS {
            let (start, store, events) = (start.clone(), self.store.clone(), events.to_vec());
            let leases = if task == 0 { leases.to_vec() } else { Vec::new() };
            tasks.spawn(async move {
                let mut rounds = Vec::with_capacity(events.len());
                for (round, event) in events.iter().enumerate() {
                    let request = event.request();
                    let mut group: Vec<Operation<'_>> = Vec::new();
                    if let Some(lease) = leases.get(round) {
                        // Reported like a claim, since only an error matters.
                        let completion = store.complete(lease, LONG);
                        group.push(Box::pin(async { completion.await.map(|_| Claim::Done) }));
                    }
                    for _ in 0..GROUP {
                        group.push(Box::pin(store.claim(&request)));
                    }
                    start.wait().await;
                    rounds.push(all(group).await);
                }
                rounds
            });
        }

        let mut rounds = vec![Vec::new(); events.len()];
        // A task that panicked leaves the others at the barrier, so that it has to be met first;
        // dropping the set then ends them.
        while let Some(joined) = tasks.join_next().await {
            let task = joined.map_err(|error| self.failure("an answer", error.to_string()))?;
            for (round, answers) in rounds.iter_mut().zip(task) {
                for answer in answers {
                    round.push(self.answer("racing operation", answer)?);
                }
            }
        }
        Ok(rounds)
    }
}

/// Drops `operation` after that time, or at its first await where that is zero.
pub(super) async fn cut_off(after: Duration, operation: impl Future) {
    let mut operation = pin!(operation);
    // A timeout of zero would poll more than once.
    let ready = poll_fn(|context| Poll::Ready(operation.as_mut().poll(context).is_ready())).await;
    if !ready && !after.is_zero() {
        _ = tokio::time::timeout(after, operation).await;
    }
}

/// Polls the operations in turn until all have answered.
async fn all(mut operations: Vec<Operation<'_>>) -> Vec<Result<Claim, StoreError>> {
    let mut answers = Vec::with_capacity(operations.len());
    poll_fn(|context| {
        operations.retain_mut(|operation| match operation.as_mut().poll(context) {
            Poll::Ready(answer) => {
                answers.push(answer);
                false
            }
            Poll::Pending => true,
        });
        if operations.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    answers
}
