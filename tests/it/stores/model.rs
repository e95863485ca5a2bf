//! Any sequence of operations, on any store, beside a model of what a store is: the answers have to agree.
//!
//! Three events, any number of holders, and hours that pass. A holder keeps its lease for ever, so that a stale one
//! may turn up at any time. A store of a real server is added with one function; see those at the end.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::redis::Cmd;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use proptest_state_machine::ReferenceStateMachine;
use tower_webhook::dedup::{
    Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease, LruStore, RedisStore, SharedStore,
    StoreError,
};
use tower_webhook::testing::ManualClock;

use super::{postgres, redis, sqlite};
use crate::conformance::{Bug, Planted};
use crate::servers::redis_url;

const EVENTS: usize = 3;

/// What an event stands at, and how many claims of it were acquired. Times are hours.
#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    state: State,
    claims: usize,
}

#[derive(Clone, Copy, Debug, Default)]
enum State {
    #[default]
    Absent,
    InFlight {
        ends: u32,
    },
    Done {
        ends: u32,
    },
}

#[derive(Clone, Debug, Default)]
struct Model {
    now: u32,
    entries: [Entry; EVENTS],
    /// What the last operation has to answer.
    answer: Answer,
}

/// A `holder` is the number of an acquired claim of the event, counted from 0.
#[derive(Clone, Copy, Debug)]
enum Operation {
    Claim { event: usize, lease: u32 },
    Complete { event: usize, holder: usize },
    Release { event: usize, holder: usize },
    Forget { event: usize },
    Pass { hours: u32 },
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Answer {
    #[default]
    Nothing,
    Acquired,
    InFlight {
        hours: u32,
    },
    Done,
    Completed,
    LeaseLost,
    /// A store need not know a completion behind the end of the lease from one in time, nor a completion from its
    /// repetition.
    CompletedOrLeaseLost,
}

/// Every completion retains for so long, so that a later one ends later.
const RETENTION: u32 = 5;

impl Model {
    fn step(&mut self, operation: Operation) -> Answer {
        let now = self.now;
        match operation {
            Operation::Claim { event, lease } => {
                if let Some(answer) = self.standing(event) {
                    return answer;
                }
                let entry = &mut self.entries[event];
                *entry = Entry { state: State::InFlight { ends: now + lease }, claims: entry.claims + 1 };
                Answer::Acquired
            }
            Operation::Complete { event, holder } => {
                let entry = &mut self.entries[event];
                let current = holder + 1 == entry.claims;
                let before = std::mem::replace(&mut entry.state, State::Done { ends: now + RETENTION });
                match before {
                    State::InFlight { ends } if current && now < ends => Answer::Completed,
                    State::InFlight { .. } | State::Done { .. } if current => Answer::CompletedOrLeaseLost,
                    _ => Answer::LeaseLost,
                }
            }
            Operation::Release { event, holder } => {
                let entry = &mut self.entries[event];
                if matches!(entry.state, State::InFlight { .. }) && holder + 1 == entry.claims {
                    entry.state = State::Absent;
                }
                Answer::Nothing
            }
            Operation::Forget { event } => {
                let entry = &mut self.entries[event];
                if matches!(entry.state, State::Done { .. }) {
                    entry.state = State::Absent;
                }
                Answer::Nothing
            }
            Operation::Pass { hours } => {
                self.now += hours;
                Answer::Nothing
            }
        }
    }

    /// What a claim is answered that changes nothing; `None` where it is acquired.
    fn standing(&self, event: usize) -> Option<Answer> {
        match self.entries[event].state {
            State::Done { ends } if self.now < ends => Some(Answer::Done),
            State::InFlight { ends } if self.now < ends => Some(Answer::InFlight { hours: ends - self.now }),
            _ => None,
        }
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Operation;

    fn init_state() -> BoxedStrategy<Self> {
        Just(Self::default()).boxed()
    }

    fn transitions(model: &Self) -> BoxedStrategy<Operation> {
        let entries = model.entries;
        let held: Vec<usize> = (0..EVENTS).filter(|event| entries[*event].claims > 0).collect();
        let new = prop_oneof![
            4 => (0..EVENTS, select(vec![1, 3])).prop_map(|(event, lease)| Operation::Claim { event, lease }),
            1 => (0..EVENTS).prop_map(|event| Operation::Forget { event }),
            2 => (1_u32..=2).prop_map(|hours| Operation::Pass { hours }),
        ];
        if held.is_empty() {
            return new.boxed();
        }
        // The current holder as often as all that came before it.
        let holder = select(held).prop_flat_map(move |event| {
            let claims = entries[event].claims;
            (Just(event), prop_oneof![Just(claims - 1), 0..claims])
        });
        prop_oneof![
            7 => new,
            2 => holder.clone().prop_map(|(event, holder)| Operation::Complete { event, holder }),
            2 => holder.prop_map(|(event, holder)| Operation::Release { event, holder }),
        ]
        .boxed()
    }

    /// Shrinking leaves out claims, and with them their holders.
    fn preconditions(model: &Self, operation: &Operation) -> bool {
        match *operation {
            Operation::Complete { event, holder } | Operation::Release { event, holder } => {
                holder < model.entries[event].claims
            }
            _ => true,
        }
    }

    fn apply(mut model: Self, operation: &Operation) -> Self {
        model.answer = model.step(*operation);
        model
    }
}

/// One run over `store`: its events, and every lease that it gave out.
struct Run<'a, St> {
    store: &'a St,
    ids: [String; EVENTS],
    leases: [Vec<Lease>; EVENTS],
}

impl<'a, St: DedupStore> Run<'a, St> {
    /// With ids that nobody used before, since the store may be that of a server.
    fn new(store: &'a St) -> Self {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        let run = RUNS.fetch_add(1, Ordering::Relaxed);
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let ids =
            std::array::from_fn(|event| format!("model {} {started} {run} {event}", std::process::id()));
        Self { store, ids, leases: Default::default() }
    }

    fn request(&self, event: usize, lease: u32) -> ClaimRequest<'_> {
        ClaimRequest::new("caspay", "payment.completed", &self.ids[event], hours(lease))
    }

    fn keys(&self) -> [DedupKey; EVENTS] {
        std::array::from_fn(|event| *self.request(event, 1).key())
    }

    async fn claim(&mut self, event: usize, lease: u32) -> Result<Claim, TestCaseError> {
        let claim = self.store.claim(&self.request(event, lease)).await.map_err(failed)?;
        if let Claim::Acquired(lease) = &claim {
            let key = self.keys()[event];
            prop_assert_eq!(*lease.key(), key, "a lease of another key");
            let last = self.leases[event].last().map(Lease::fence);
            prop_assert!(last < Some(lease.fence()), "the fence {} follows {:?}", lease.fence(), last);
            self.leases[event].push(lease.clone());
        }
        Ok(claim)
    }

    /// Performs `operation` and holds the answer against the model's, then looks at every event.
    async fn step(
        &mut self,
        operation: Operation,
        model: &Model,
        pass: &impl AsyncFn(&[DedupKey], Duration),
    ) -> Result<(), TestCaseError> {
        match operation {
            Operation::Claim { event, lease } => check(&self.claim(event, lease).await?, model.answer)?,
            Operation::Complete { event, holder } => {
                let lease = &self.leases[event][holder];
                let found = self.store.complete(lease, hours(RETENTION)).await.map_err(failed)?;
                let allowed = match model.answer {
                    Answer::CompletedOrLeaseLost => true,
                    Answer::Completed => found == Completion::Completed,
                    _ => found == Completion::LeaseLost,
                };
                prop_assert!(allowed, "the model says {:?}, the store {found:?}", model.answer);
            }
            Operation::Release { event, holder } => {
                self.store.release(&self.leases[event][holder]).await.map_err(failed)?;
            }
            Operation::Forget { event } => {
                self.store.forget(&self.keys()[event]).await.map_err(failed)?;
            }
            // A little more, for a store may end what it holds up to a second late.
            Operation::Pass { hours: passed } => pass(&self.keys(), hours(passed) + LATE).await,
        }
        for event in 0..EVENTS {
            if let Some(standing) = model.standing(event) {
                check(&self.claim(event, 1).await?, standing)?;
            }
        }
        Ok(())
    }
}

const LATE: Duration = Duration::from_secs(2);

fn hours(hours: u32) -> Duration {
    hours * Duration::from_secs(60 * 60)
}

fn check(found: &Claim, expected: Answer) -> Result<(), TestCaseError> {
    let agrees = match (found, expected) {
        (Claim::Acquired(_), Answer::Acquired) | (Claim::Done, Answer::Done) => true,
        // Less by what has passed in the meantime, and what passed beyond the hours.
        (Claim::InFlight { retry_after }, Answer::InFlight { hours: left }) => {
            *retry_after <= hours(left) && *retry_after > hours(left) - hours(1) / 2
        }
        _ => false,
    };
    prop_assert!(agrees, "the model says {expected:?}, the store {found:?}");
    Ok(())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: StoreError) -> TestCaseError {
    TestCaseError::fail(format!("{error}: {:?}", std::error::Error::source(&error)))
}

/// Runs `cases` sequences of operations over the store that `make` makes, with runtime and all.
///
/// With the store it makes the hook that lets time pass for some keys: whatever is held of them ends so much sooner.
/// It moves the clock where the store has one to move, and otherwise what the server wrote down. The error is the
/// shortest sequence that was found to fail.
pub(super) fn conforms_to_the_model<St: DedupStore, Pass: AsyncFn(&[DedupKey], Duration)>(
    cases: u32,
    make: impl AsyncFnOnce() -> (St, Pass),
) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let (store, pass) = runtime.block_on(make());
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    TestRunner::new(config)
        .run(&Model::sequential_strategy(1..40), |(mut model, operations, seen)| {
            runtime.block_on(async {
                let mut run = Run::new(&store);
                for operation in operations {
                    // The strategy shrinks what was seen, and drops the rest.
                    if let Some(seen) = &seen {
                        seen.fetch_add(1, Ordering::SeqCst);
                    }
                    model = Model::apply(model, &operation);
                    run.step(operation, &model, &pass).await?;
                }
                Ok(())
            })
        })
        .map_err(|error| error.to_string())
}

fn clocked<St: DedupStore>(
    make: impl FnOnce(ManualClock) -> St,
) -> (St, impl AsyncFn(&[DedupKey], Duration)) {
    let clock = ManualClock::at_unix(1_700_000_000);
    let store = make(clock.clone());
    (store, async move |_: &[DedupKey], time: Duration| clock.advance(time))
}

#[test]
fn lru_of_one_shard_conforms_to_the_model() {
    conforms_to_the_model(512, async || clocked(|clock| LruStore::with_clock(4_095, clock))).unwrap();
}

#[test]
fn lru_of_sixteen_shards_conforms_to_the_model() {
    conforms_to_the_model(512, async || clocked(|clock| LruStore::with_clock(4_096, clock))).unwrap();
}

#[test]
fn a_store_chosen_at_run_time_conforms_to_the_model() {
    let store = |clock| SharedStore::new(LruStore::with_clock(4_096, clock));
    conforms_to_the_model(512, async || clocked(store)).unwrap();
}

#[test]
fn postgres_conforms_to_the_model() {
    let make = async || {
        let (store, pool) = postgres::store().await;
        let pass = async move |keys: &[DedupKey], time: Duration| {
            let sooner = "UPDATE tower_webhook_events \
                SET ends_at = ends_at - $2 * interval '1 second' WHERE key = ANY($1)";
            let keys: Vec<Vec<u8>> = keys.iter().map(|key| key.as_bytes().to_vec()).collect();
            sqlx::query(sooner).bind(keys).bind(time.as_secs_f64()).execute(&pool).await.unwrap();
        };
        (store, pass)
    };
    conforms_to_the_model(64, make).unwrap();
}

#[test]
fn redis_conforms_to_the_model() {
    let make = async || {
        let connection = redis::connect(&redis_url()).await;
        let store = RedisStore::new(connection.clone());
        let pass = async move |keys: &[DedupKey], time: Duration| {
            let millis = i64::try_from(time.as_millis()).unwrap();
            for key in keys {
                let name = format!("webhook:{{{}}}", URL_SAFE_NO_PAD.encode(key.as_bytes()));
                let left: i64 = redis::ask(&connection, &Cmd::pttl(&name)).await;
                if left > 0 {
                    // What has no time left is removed.
                    let _known: bool = redis::ask(&connection, &Cmd::pexpire(&name, left - millis)).await;
                }
            }
        };
        (store, pass)
    };
    conforms_to_the_model(64, make).unwrap();
}

#[test]
fn sqlite_conforms_to_the_model() {
    let make = async || {
        let (store, pool, folder) = sqlite::store().await;
        let pass = async move |keys: &[DedupKey], time: Duration| {
            let _kept = &folder;
            let millis = i64::try_from(time.as_millis()).unwrap();
            for key in keys {
                let sooner = "UPDATE tower_webhook_events SET ends_at = ends_at - ? WHERE key = ?";
                let key = key.as_bytes().as_slice();
                sqlx::query(sooner).bind(millis).bind(key).execute(&pool).await.unwrap();
            }
        };
        (store, pass)
    };
    conforms_to_the_model(64, make).unwrap();
}

/// What can be planted but for races, which take several threads, and for odd keys.
const PLANTED: [Bug; 20] = [
    Bug::InFlightIsDone,
    Bug::InFlightIsAcquired,
    Bug::RetryAtOnce,
    Bug::RetryAfterTooLong,
    Bug::ReleaseDoesNothing,
    Bug::MarkEndsWithLease,
    Bug::ReleaseReopensDone,
    Bug::LeaseEndsEarly,
    Bug::LeaseNeverEnds,
    Bug::LeaseIsOfAnotherKey,
    Bug::FenceIsConstant,
    Bug::FenceRestartsWithEntry,
    Bug::ReleaseIgnoresFence,
    Bug::StaleCompletionRefused,
    Bug::StaleCompletionUnnoticed,
    Bug::CompletionNeedsClaim,
    Bug::ForgetDoesNothing,
    Bug::ForgetForgetsClaims,
    Bug::MarkNeverEnds,
    Bug::HitProlongsMark,
];

#[test]
fn the_model_finds_what_is_planted() {
    for bug in PLANTED {
        let found = conforms_to_the_model(512, async || clocked(|clock| Planted::new(bug, clock)));
        let error = found.expect_err(&format!("{bug:?} passes"));
        assert!(
            error.contains("the model says") || error.contains("fence") || error.contains("key"),
            "{error}"
        );
    }
}

#[test]
fn without_a_bug_the_planted_store_conforms_to_the_model() {
    conforms_to_the_model(512, async || clocked(|clock| Planted::new(Bug::None, clock))).unwrap();
}
