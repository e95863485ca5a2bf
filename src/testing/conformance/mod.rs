//! The conformance suite: what every [`DedupStore`] must do, as named checks over any store.
//!
//! A [`Suite`] is made from a function that makes a store. The stores may be new ones or handles of one
//! shared server, for every check invents ids that nobody used before and leaves other entries alone.
//!
//! ```
//! use tower_webhook::dedup::LruStore;
//! use tower_webhook::testing::ManualClock;
//! use tower_webhook::testing::conformance::{Failures, Suite};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Failures> {
//! let clock = ManualClock::at_unix(1_700_000_000);
//! let passing = clock.clone();
//! Suite::new(move || {
//!     let store = LruStore::with_clock(10_000, clock.clone());
//!     async move { store }
//! })
//! .with_sleep(move |time| {
//!     passing.advance(time);
//!     async {}
//! })
//! .run_all()
//! .await
//! # }
//! ```
//!
//! A store with a clock of its own, such as a database, leaves `with_sleep` out; the whole suite then takes
//! about 20 seconds.
//!
//! # Runtime
//!
//! Call it from inside a tokio runtime with time enabled, in whatever test framework. The racing checks
//! spawn their contenders there, so give it a **multi-thread** runtime
//! (`#[tokio::test(flavor = "multi_thread")]`): on a current-thread runtime contenders alternate at awaits
//! only, and a store that races between two threads passes. A store that never answers hangs its check.
//!
//! # Leeway
//!
//! A store may end a lease or a retention up to one second late, so that stores with whole seconds pass.
//! None may end early. A check that looked too late to tell, as on a machine that stood still, is repeated.

mod checks;
mod trial;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use self::trial::Trial;
use crate::dedup::DedupStore;

/// How often a check is begun that a machine which stood still made worthless.
const ATTEMPTS: u32 = 5;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;

macro_rules! checks {
    ($($(#[$doc:meta])* $variant:ident = $name:ident,)*) => {
        /// One thing a store must do.
        ///
        /// ```
        /// use tower_webhook::testing::conformance::Check;
        ///
        /// assert_eq!(Check::OneWinner.name(), "one_winner");
        /// assert!(Check::ALL.contains(&Check::OneWinner));
        /// ```
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Check {
            $($(#[$doc])* $variant,)*
        }

        impl Check {
            /// Every check, in the order of [`Suite::run_all`].
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The check's name in snake case, for naming tests.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($name),)*
                }
            }

            async fn run<St: DedupStore>(self, trial: &Trial<'_, St>) -> Result<(), Failure> {
                match self {
                    $(Self::$variant => checks::$name(trial).await,)*
                }
            }
        }
    };
}

checks! {
    /// Of 32 concurrent claims of an event exactly one is acquired and the others are in flight, 100 times.
    OneWinner = one_winner,
    /// A duplicate of a claimed event is in flight, with a `retry_after` above zero and within the lease.
    InFlightDuplicate = in_flight_duplicate,
    /// A released event can be claimed at once.
    ReleaseThenClaim = release_then_claim,
    /// A completed event is done, also when the lease it was claimed with has long ended.
    CompletedStaysDone = completed_stays_done,
    /// Neither a release nor a second completion by the old holder reopens a done event.
    DoneIsFinal = done_is_final,
    /// A lease can be taken over once it has ended, and not before.
    LeaseExpiry = lease_expiry,
    /// Of concurrent claims of an event whose lease has ended exactly one takes it over.
    OneTakeover = one_takeover,
    /// Every claim of an event has a larger fence than the one before: after a release, a take-over and a
    /// forgotten mark.
    FencesIncrease = fences_increase,
    /// A holder that lost its lease cannot release its successor's.
    StaleRelease = stale_release,
    /// A holder that lost its lease completes: the event is done, the answer says that the lease was lost,
    /// and the successor cannot reopen it.
    StaleCompletion = stale_completion,
    /// A completion of an event that is not claimed any more leaves it done, for the work is done.
    LateCompletion = late_completion,
    /// While an event goes from claimed to done, no concurrent claim finds a gap between the two.
    ClaimDuringCompletion = claim_during_completion,
    /// A completion can be dropped half-way and repeated.
    DroppedCompletion = dropped_completion,
    /// A claim that was dropped half-way does not wedge its event beyond the lease.
    DroppedClaim = dropped_claim,
    /// A forgotten event can be claimed again.
    Forget = forget,
    /// Forgetting leaves a claim in flight, and its holder can complete it.
    ForgetKeepsInFlight = forget_keeps_in_flight,
    /// A mark lives for its retention whatever looks at it, and of two later claims the first wins.
    RetentionExpiry = retention_expiry,
    /// Events that differ anywhere in scope, type or id are independent, whatever characters those hold.
    IndependentKeys = independent_keys,
}

/// Runs the checks over the stores that a function makes. See the [module](self) for an example.
pub struct Suite<St> {
    make: Box<dyn Fn() -> BoxFuture<St> + Send + Sync>,
    sleep: Box<dyn Fn(Duration) -> BoxFuture<()> + Send + Sync>,
    lease: Duration,
}

impl<St: DedupStore> Suite<St> {
    /// A suite over the stores that `make` makes, one for each check, and another where a check is repeated.
    #[must_use]
    pub fn new<Fut>(make: impl Fn() -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = St> + Send + 'static,
    {
        Self {
            make: Box::new(move || Box::pin(make())),
            sleep: Box::new(|time| Box::pin(tokio::time::sleep(time))),
            lease: Duration::from_secs(1),
        }
    }

    /// How to let time pass on the store's clock. Default [`tokio::time::sleep`], which a store that follows
    /// tokio's clock passes at once under paused time.
    #[must_use]
    pub fn with_sleep<Fut>(mut self, sleep: impl Fn(Duration) -> Fut + Send + Sync + 'static) -> Self
    where
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.sleep = Box::new(move |time| Box::pin(sleep(time)));
        self
    }

    /// The lease that the checks wait for. Default one second; a store that takes longer than a quarter of
    /// that for an answer needs more.
    #[must_use]
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// Runs one check.
    ///
    /// # Errors
    ///
    /// What the check expected and what it found instead. An error of the store is a failure.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, and where the store panics.
    pub async fn run(&self, check: Check) -> Result<(), Failure> {
        for _ in 0..ATTEMPTS {
            let trial = Trial::new(self, check, Arc::new((self.make)().await));
            let found = check.run(&trial).await;
            if found.is_ok() || !trial.was_late() {
                return found;
            }
        }
        Err(Failure::new(
            check,
            format!("answers while a lease of {:?} lasts", self.lease),
            format!("none in {ATTEMPTS} attempts: the store or the machine needs a longer one"),
        ))
    }

    /// Runs every check, one after the other, whatever the earlier ones found.
    ///
    /// # Errors
    ///
    /// All failures.
    ///
    /// # Panics
    ///
    /// As [`run`](Self::run).
    pub async fn run_all(&self) -> Result<(), Failures> {
        let mut failures = Vec::new();
        for check in Check::ALL {
            failures.extend(self.run(*check).await.err());
        }
        if failures.is_empty() { Ok(()) } else { Err(Failures(failures)) }
    }
}

impl<St> fmt::Debug for Suite<St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suite").field("lease", &self.lease).finish_non_exhaustive()
    }
}

/// A check that a store did not pass.
///
/// ```
/// # use std::time::Duration;
/// # use tower_webhook::dedup::*;
/// use tower_webhook::testing::conformance::{Check, Suite};
///
/// /// Calls every event done.
/// struct Forgetful;
/// # impl DedupStore for Forgetful {
/// #     async fn claim(&self, _: &ClaimRequest<'_>) -> Result<Claim, StoreError> { Ok(Claim::Done) }
/// #     async fn complete(&self, _: &Lease, _: Duration) -> Result<Completion, StoreError> {
/// #         Ok(Completion::Completed)
/// #     }
/// #     async fn release(&self, _: &Lease) -> Result<(), StoreError> { Ok(()) }
/// #     async fn forget(&self, _: &DedupKey) -> Result<(), StoreError> { Ok(()) }
/// #     fn info(&self) -> StoreInfo { StoreInfo::new(false, false) }
/// # }
///
/// # #[tokio::main]
/// # async fn main() {
/// let failure = Suite::new(|| async { Forgetful }).run(Check::InFlightDuplicate).await.unwrap_err();
/// assert_eq!(failure.check(), Check::InFlightDuplicate);
/// assert_eq!(
///     failure.to_string(),
///     "in_flight_duplicate: expected the claim of a new event to be acquired, found Done"
/// );
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    check: Check,
    expected: String,
    found: String,
}

impl Failure {
    fn new(check: Check, expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self { check, expected: expected.into(), found: found.into() }
    }

    /// The check that failed.
    #[must_use]
    pub fn check(&self) -> Check {
        self.check
    }

    /// What the check expected.
    #[must_use]
    pub fn expected(&self) -> &str {
        &self.expected
    }

    /// What it found.
    #[must_use]
    pub fn found(&self) -> &str {
        &self.found
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: expected {}, found {}", self.check.name(), self.expected, self.found)
    }
}

impl std::error::Error for Failure {}

/// The checks that a store did not pass, in the order they ran; never empty.
#[derive(Clone, PartialEq, Eq)]
pub struct Failures(Vec<Failure>);

impl Failures {
    /// The failures.
    pub fn iter(&self) -> std::slice::Iter<'_, Failure> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Failures {
    type Item = &'a Failure;
    type IntoIter = std::slice::Iter<'a, Failure>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} checks failed", self.0.len(), Check::ALL.len())?;
        self.0.iter().try_for_each(|failure| write!(f, "\n  {failure}"))
    }
}

/// The report itself, since this is what a failing test prints.
impl fmt::Debug for Failures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Failures {}
