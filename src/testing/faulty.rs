//! A store that fails on command: [`FaultyStore`].

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::dedup::{Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease, StoreError, StoreInfo};

/// An operation of a [`DedupStore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// [`DedupStore::claim`].
    Claim,
    /// [`DedupStore::complete`].
    Complete,
    /// [`DedupStore::release`].
    Release,
    /// [`DedupStore::forget`].
    Forget,
}

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing is done, and the answer is [`StoreError::is_unavailable`].
    Unavailable,
    /// The operation is done after this time: a slow way there.
    Delay(Duration),
    /// The operation is done at once and answered after this time: a slow way back. Where the caller gives
    /// up earlier it has been done all the same.
    AnswerLate(Duration),
    /// The operation is done, and the answer is [`StoreError::is_unavailable`]: the connection broke.
    AnswerLost,
    /// Nothing is done, and no answer comes, ever.
    Hang,
    /// Nothing is done, and the store panics.
    Panic,
}

/// Wraps a store and injects faults, each operation by itself, to test what a service does about them.
///
/// Nothing is left to chance: a fault happens when it was planned. Delays follow tokio's clock, so that a
/// test with paused time does not wait.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::dedup::{Claim, ClaimRequest, DedupStore, LruStore};
/// use tower_webhook::testing::faulty::{Fault, FaultyStore, Operation};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_webhook::dedup::StoreError> {
/// let store = FaultyStore::new(LruStore::new(1_000));
/// let faults = store.faults();
/// let request = ClaimRequest::new("caspay", "payment.completed", "evt_123", Duration::from_secs(30));
///
/// faults.next(Operation::Claim, 1, Fault::Unavailable);
/// assert!(store.claim(&request).await.unwrap_err().is_unavailable());
///
/// let Claim::Acquired(lease) = store.claim(&request).await? else { panic!("nothing was claimed") };
/// faults.always(Operation::Complete, Fault::AnswerLost);
/// assert!(store.complete(&lease, Duration::from_secs(60)).await.is_err());
/// assert_eq!(store.claim(&request).await?, Claim::Done);
/// assert_eq!(faults.calls(Operation::Claim), 3);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct FaultyStore<St> {
    inner: St,
    faults: Faults,
}

impl<St> FaultyStore<St> {
    /// `inner`, without a fault so far.
    #[must_use]
    pub fn new(inner: St) -> Self {
        Self { inner, faults: Faults::default() }
    }

    /// The handle that plans faults and counts calls, to keep when the store is handed over.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }

    /// The wrapped store, to look behind the faults.
    #[must_use]
    pub fn inner(&self) -> &St {
        &self.inner
    }

    async fn inject<T, Fut>(
        &self,
        operation: Operation,
        perform: impl FnOnce() -> Fut,
    ) -> Result<T, StoreError>
    where
        Fut: Future<Output = Result<T, StoreError>>,
    {
        match self.faults.call(operation) {
            None => perform().await,
            Some(Fault::Unavailable) => Err(injected(operation)),
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                perform().await
            }
            Some(Fault::AnswerLate(time)) => {
                let answer = perform().await;
                tokio::time::sleep(time).await;
                answer
            }
            Some(Fault::AnswerLost) => {
                _ = perform().await;
                Err(injected(operation))
            }
            Some(Fault::Hang) => std::future::pending().await,
            Some(Fault::Panic) => panic!("injected fault: {operation:?} panics"),
        }
    }
}

fn injected(operation: Operation) -> StoreError {
    StoreError::unavailable(format!("injected fault: {operation:?} fails"))
}

impl<St: DedupStore> DedupStore for FaultyStore<St> {
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        self.inject(Operation::Claim, || self.inner.claim(request)).await
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, StoreError> {
        self.inject(Operation::Complete, || self.inner.complete(lease, retain)).await
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.inject(Operation::Release, || self.inner.release(lease)).await
    }

    async fn forget(&self, key: &DedupKey) -> Result<(), StoreError> {
        self.inject(Operation::Forget, || self.inner.forget(key)).await
    }

    fn info(&self) -> StoreInfo {
        self.inner.info()
    }
}

/// Plans the faults of a [`FaultyStore`] and counts its calls. Clones share one plan.
#[derive(Clone, Default)]
pub struct Faults {
    plans: Arc<Mutex<[Plan; 4]>>,
}

#[derive(Clone, Debug, Default)]
struct Plan {
    next: VecDeque<Fault>,
    always: Option<Fault>,
    calls: u64,
}

impl Faults {
    /// The next `calls` calls of `operation` meet `fault`, after those planned before.
    pub fn next(&self, operation: Operation, calls: usize, fault: Fault) {
        let mut plans = self.lock();
        plans[operation as usize].next.extend(std::iter::repeat_n(fault, calls));
    }

    /// Every call of `operation` meets `fault`, from when those planned with [`next`](Self::next) are used
    /// up until [`heal`](Self::heal).
    pub fn always(&self, operation: Operation, fault: Fault) {
        self.lock()[operation as usize].always = Some(fault);
    }

    /// Takes back all that was planned, of every operation. Calls that met a fault go on meeting it.
    ///
    /// ```
    /// use tower_webhook::dedup::{DedupKey, DedupStore, LruStore};
    /// use tower_webhook::testing::faulty::{Fault, FaultyStore, Operation};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let store = FaultyStore::new(LruStore::new(1_000));
    /// let key = DedupKey::new("caspay", "payment.completed", "evt_123");
    /// store.faults().always(Operation::Forget, Fault::Unavailable);
    /// assert!(store.forget(&key).await.is_err());
    /// store.faults().heal();
    /// assert!(store.forget(&key).await.is_ok());
    /// # }
    /// ```
    pub fn heal(&self) {
        for plan in self.lock().iter_mut() {
            plan.next.clear();
            plan.always = None;
        }
    }

    /// How often `operation` was called, those calls included that met a fault.
    #[must_use]
    pub fn calls(&self, operation: Operation) -> u64 {
        self.lock()[operation as usize].calls
    }

    fn call(&self, operation: Operation) -> Option<Fault> {
        let plan = &mut self.lock()[operation as usize];
        plan.calls += 1;
        plan.next.pop_front().or(plan.always)
    }

    fn lock(&self) -> MutexGuard<'_, [Plan; 4]> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Faults").field(&*self.lock()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dedup::LruStore;
    use tokio::time::{Instant, timeout};

    const LEASE: Duration = Duration::from_secs(30);

    fn request(id: &str) -> ClaimRequest<'_> {
        ClaimRequest::new("scope", "type", id, LEASE)
    }

    fn store() -> (FaultyStore<LruStore>, Faults) {
        let store = FaultyStore::new(LruStore::new(100));
        let faults = store.faults();
        (store, faults)
    }

    #[tokio::test]
    async fn planned_calls_come_first_then_the_standing_fault_then_health() {
        let (store, faults) = store();
        faults.always(Operation::Claim, Fault::AnswerLost);
        faults.next(Operation::Claim, 2, Fault::Unavailable);
        for id in ["a", "a", "b"] {
            assert!(store.claim(&request(id)).await.unwrap_err().is_unavailable());
        }
        assert_eq!(store.inner().stats().in_flight(), 1, "two did nothing, the third was performed");
        faults.heal();
        assert!(matches!(store.claim(&request("a")).await.unwrap(), Claim::Acquired(_)));
        assert!(matches!(store.claim(&request("b")).await.unwrap(), Claim::InFlight { .. }));
        assert_eq!(faults.calls(Operation::Claim), 5);
    }

    #[tokio::test]
    async fn heal_drops_planned_calls() {
        let (store, faults) = store();
        faults.next(Operation::Claim, 5, Fault::Unavailable);
        faults.heal();
        assert!(store.claim(&request("a")).await.is_ok());
    }

    #[test]
    fn the_plan_can_be_read() {
        let (_, faults) = store();
        faults.next(Operation::Release, 1, Fault::Hang);
        assert!(format!("{faults:?}").contains("next: [Hang]"));
    }

    #[tokio::test]
    async fn operations_fail_and_count_apart() {
        let (store, faults) = store();
        faults.always(Operation::Release, Fault::Unavailable);
        let Claim::Acquired(lease) = store.claim(&request("a")).await.unwrap() else { panic!() };
        assert!(store.release(&lease).await.is_err());
        assert!(store.release(&lease).await.is_err());
        assert!(store.complete(&lease, LEASE).await.is_ok());
        assert!(store.forget(lease.key()).await.is_ok());
        let operations = [Operation::Claim, Operation::Complete, Operation::Release, Operation::Forget];
        assert_eq!(operations.map(|operation| faults.calls(operation)), [1, 1, 2, 1]);
        assert_eq!(store.info(), store.inner().info());
    }

    #[tokio::test(start_paused = true)]
    async fn delay_performs_afterwards_and_a_late_answer_before() {
        let (store, faults) = store();
        let late = Duration::from_secs(3);
        faults.next(Operation::Claim, 1, Fault::Delay(late));
        assert!(timeout(Duration::from_secs(2), store.claim(&request("a"))).await.is_err());
        assert_eq!(store.inner().stats().in_flight(), 0);

        faults.next(Operation::Claim, 1, Fault::AnswerLate(late));
        assert!(timeout(Duration::from_secs(2), store.claim(&request("b"))).await.is_err());
        assert_eq!(store.inner().stats().in_flight(), 1);

        for fault in [Fault::Delay(late), Fault::AnswerLate(late)] {
            let before = Instant::now();
            faults.next(Operation::Forget, 1, fault);
            store.forget(request("a").key()).await.unwrap();
            assert_eq!(before.elapsed(), late);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn hang_never_answers_nor_performs() {
        let (store, faults) = store();
        faults.always(Operation::Claim, Fault::Hang);
        assert!(timeout(Duration::from_secs(1_000_000), store.claim(&request("a"))).await.is_err());
        assert_eq!(store.inner().stats().in_flight(), 0);
    }

    #[tokio::test]
    async fn panic_panics_and_the_store_goes_on() {
        let (store, faults) = store();
        let store = Arc::new(store);
        faults.next(Operation::Claim, 1, Fault::Panic);
        let panicking = store.clone();
        let joined = tokio::spawn(async move { panicking.claim(&request("a")).await }).await;
        assert!(joined.unwrap_err().is_panic());
        assert!(matches!(store.claim(&request("a")).await.unwrap(), Claim::Acquired(_)));
    }
}
