//! When senders deliver an event again, and what a crash costs with each of them.

use std::sync::Arc;
use std::time::Duration;

use tower_webhook::LruStore;
use tower_webhook::testing::ManualClock;
use tower_webhook::testing::faulty::{Fault, Operation};

use crate::stage::{SECOND, Stage, StagedLayer, timing};
use crate::support::NOW;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;

/// A sender's attempts after its first, in milliseconds since that.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedule {
    pub(super) sender: &'static str,
    pub(super) attempts: &'static [u64],
}

impl Schedule {
    const fn new(sender: &'static str, attempts: &'static [u64]) -> Self {
        Self { sender, attempts }
    }
}

/// As the senders document them. Where only a number of tries and a horizon are given, they are spread evenly.
pub(super) const SCHEDULES: [Schedule; 12] = [
    Schedule::new(
        "Standard Webhooks",
        &[5_000, 5 * MINUTE + 5_000, 35 * MINUTE, 2 * HOUR + 35 * MINUTE, 8 * HOUR, 18 * HOUR, 28 * HOUR],
    ),
    Schedule::new(
        "Shopify",
        &[34 * MINUTE, 68 * MINUTE, 102 * MINUTE, 137 * MINUTE, 171 * MINUTE, 205 * MINUTE, 240 * MINUTE],
    ),
    Schedule::new("Brevo", &[10 * MINUTE, HOUR, 2 * HOUR, 8 * HOUR]),
    Schedule::new("Toast", &[5 * MINUTE, 10 * MINUTE]),
    Schedule::new("Cashfree", &[2 * MINUTE, 10 * MINUTE, 30 * MINUTE]),
    // Then a queue, which comes back later.
    Schedule::new("Adyen", &[9_000, 18_000, 27_000, 5 * MINUTE]),
    Schedule::new("Pusher", &[10_000, 30_000, 120_000, 300_000]),
    Schedule::new("PayMongo", &[12 * MINUTE, 25 * MINUTE, 50 * MINUTE, 100 * MINUTE, 136 * MINUTE]),
    Schedule::new("Sanity", &[30_000, 60_000]),
    Schedule::new("Dialpad, calls", &[2_000, 4_000, 8_000]),
    Schedule::new("Dialpad, contacts", &[100, 200, 400, 800]),
    Schedule::new("GitHub", &[]),
];

/// Where the process of the first attempt dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Crash {
    BeforeClaim,
    AfterClaim,
    InHandler,
    BeforeComplete,
    AfterComplete,
}

impl Crash {
    const ALL: [Self; 5] =
        [Self::BeforeClaim, Self::AfterClaim, Self::InHandler, Self::BeforeComplete, Self::AfterComplete];

    fn leaves_a_claim(self) -> bool {
        matches!(self, Self::AfterClaim | Self::InHandler | Self::BeforeComplete)
    }

    /// The first attempt, in a process of its own: a runtime that ends at this step, and nothing is tidied up.
    fn happen(self, stage: &Stage) {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().start_paused(true).build().unwrap().block_on(async {
            let forever = 1_000_000 * SECOND;
            match self {
                Self::BeforeClaim => return,
                Self::AfterClaim => stage.faults.next(Operation::Claim, 1, Fault::AnswerLate(forever)),
                Self::InHandler => {}
                Self::BeforeComplete => stage.faults.next(Operation::Complete, 1, Fault::Hang),
                Self::AfterComplete => {
                    stage.faults.next(Operation::Complete, 1, Fault::AnswerLate(forever));
                }
            }
            let _answer = stage.post("evt_1");
            let operation = match self {
                Self::AfterClaim => Operation::Claim,
                _ => {
                    let run = stage.runs.next().await;
                    if self == Self::InHandler {
                        return;
                    }
                    run.succeed();
                    Operation::Complete
                }
            };
            while stage.faults.calls(operation) == 0 {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// What an event came to.
#[derive(Debug, PartialEq, Eq)]
struct End {
    acknowledged: bool,
    effects: usize,
}

/// The first attempt crashes, the others follow as the sender has it.
fn follow(schedule: Schedule, crash: Crash, lease: Duration) -> End {
    let clock = ManualClock::at_unix(NOW);
    let store = Arc::new(LruStore::with_clock(1_000, clock.clone()));
    let process = || {
        let with_lease = |layer: StagedLayer| layer.with_timing(timing().with_lease(lease)).unwrap();
        Stage::on_shared(Arc::clone(&store), with_lease)
    };
    let first = process();
    // What is on its way is claimed later than it was sent.
    let travel = Duration::from_millis(1);
    clock.advance(travel);
    crash.happen(&first);

    let second = process();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    let (mut now, mut acknowledged) = (travel, false);
    for &attempt in schedule.attempts {
        let attempt = Duration::from_millis(attempt);
        clock.advance(attempt.saturating_sub(now));
        now = attempt;
        let status = runtime.block_on(async {
            let mut answer = second.post("evt_1");
            tokio::select! {
                answer = &mut answer => return answer.unwrap().0,
                run = second.runs.next() => run.succeed(),
            }
            answer.await.unwrap().0
        });
        if status == 200 {
            acknowledged = true;
            break;
        }
        assert_eq!(status, 503, "what every sender retries");
    }
    End { acknowledged, effects: first.runs.effects.count() + second.runs.effects.count() }
}

/// Senders that give an event up before it is done.
fn lost_with(crash: Crash, lease: Duration) -> Vec<&'static str> {
    let lost = SCHEDULES.iter().filter(|schedule| !follow(**schedule, crash, lease).acknowledged);
    lost.map(|schedule| schedule.sender).collect()
}

/// An event ends in 200 if and only if the sender's last attempt comes after the lease.
#[test]
fn f45_every_schedule_with_a_crash_at_every_step() {
    for lease in [30, 60, 120] {
        let lease = lease * SECOND;
        for schedule in SCHEDULES {
            let last = schedule.attempts.last().map(|last| Duration::from_millis(*last));
            for crash in Crash::ALL {
                let needed = if crash.leaves_a_claim() { lease } else { Duration::ZERO };
                let end = follow(schedule, crash, lease);
                let acknowledged = last.is_some_and(|last| last > needed);
                let crashed_with_effect = matches!(crash, Crash::BeforeComplete | Crash::AfterComplete);
                let again = acknowledged && crash != Crash::AfterComplete;
                let effects = usize::from(crashed_with_effect) + usize::from(again);
                assert_eq!(end, End { acknowledged, effects }, "{} {crash:?} {lease:?}", schedule.sender);
                assert!(!end.acknowledged || end.effects > 0, "lost");
                assert!(end.effects < 2 || crash == Crash::BeforeComplete, "doubled");
            }
        }
    }
}

#[test]
fn f45_the_default_lease_costs_only_the_least_patient_senders() {
    let lease = timing().lease();
    assert_eq!(lease, 30 * SECOND);
    let never = "GitHub";
    let dialpad = ["Dialpad, calls", "Dialpad, contacts", never];
    assert_eq!(lost_with(Crash::InHandler, lease), dialpad);
    assert_eq!(lost_with(Crash::BeforeClaim, lease), [never]);
    assert_eq!(lost_with(Crash::InHandler, 60 * SECOND), [&["Sanity"][..], &dialpad].concat());
}
