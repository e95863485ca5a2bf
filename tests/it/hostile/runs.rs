//! A run: traffic, receivers that die and come back, blows to the server, then peace, and the verdict.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::dice::Dice;
use super::failpoint::{Armed, Fate, Point};
use super::fleet::Process;
use super::journal::{Entry, What};
use super::oracle::{Promise, judge};
use super::receiver::{Kind, LEASE, Said};
use super::report::Report;
use super::traffic::Traffic;
use super::world::{Blow, World};
use crate::servers::free_port;

/// A receiver that does not come to its failpoint is killed from outside after this time.
const LIFETIME: Duration = Duration::from_secs(6);

/// What a run goes through.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) kind: Kind,
    pub(super) receivers: usize,
    /// It goes on until there were so many deliveries,
    pub(super) deliveries: u64,
    /// and every failpoint has killed so often.
    pub(super) kills: usize,
    /// Whether the server is struck as well, and receivers are paused.
    pub(super) blows: bool,
    /// How many events are under way at once.
    pub(super) at_once: usize,
    /// A receiver passes its failpoint so many times at the most before it dies there.
    pub(super) spared: u64,
    pub(super) seed: u64,
}

impl Kind {
    pub(super) fn promise(self) -> Promise {
        match self {
            Self::Lru => Promise::Memory,
            Self::PostgresInbox | Self::SqliteInbox => Promise::Inbox,
            _ => Promise::Lease,
        }
    }

    /// The failpoints that a delivery passes.
    pub(super) fn points(self) -> Vec<Point> {
        let mut points = Point::LEASE.to_vec();
        if self.promise() == Promise::Inbox {
            points.extend([Point::BeforeCommit, Point::AfterCommit]);
        }
        points
    }
}

/// How often each failpoint has killed, and is about to.
struct Targets(Mutex<BTreeMap<Point, (usize, usize)>>);

impl Targets {
    fn new(kind: Kind) -> Self {
        Self(Mutex::new(kind.points().into_iter().map(|point| (point, (0, 0))).collect()))
    }

    /// The failpoint that has killed least.
    fn next(&self, dice: &mut Dice, spared: u64) -> Armed {
        let mut points = self.0.lock().unwrap();
        let (point, (_, armed)) = points.iter_mut().min_by_key(|(_, (kills, armed))| kills + armed).unwrap();
        *armed += 1;
        let rare = matches!(point, Point::BeforeRelease | Point::AfterRelease);
        Armed {
            point: *point,
            nth: 1 + dice.next() % if rare { spared.div_ceil(10) } else { spared },
            fate: Fate::Die,
        }
    }

    fn ended(&self, armed: Point, killed: Option<Point>) {
        let mut points = self.0.lock().unwrap();
        points.get_mut(&armed).unwrap().1 -= 1;
        if let Some(killed) = killed {
            points.get_mut(&killed).unwrap().0 += 1;
        }
    }

    fn least(&self) -> usize {
        self.0.lock().unwrap().values().map(|(kills, _)| *kills).min().unwrap()
    }
}

/// What the parts of a run share.
struct Run {
    plan: Plan,
    world: World,
    targets: Targets,
    /// The receivers as they are now.
    pids: Vec<Mutex<Option<Pid>>>,
    over: AtomicBool,
    restarts: AtomicU64,
    pauses: AtomicU64,
}

impl Run {
    fn over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// Runs it, and says what came of it.
pub(super) async fn run(plan: Plan) -> Report {
    let start = Instant::now();
    let world = World::start(plan.kind).await;
    let ports: Vec<u16> = (0..plan.receivers).map(|_| free_port()).collect();
    let run = Arc::new(Run {
        plan,
        world,
        targets: Targets::new(plan.kind),
        pids: ports.iter().map(|_| Mutex::new(None)).collect(),
        over: AtomicBool::new(false),
        restarts: AtomicU64::new(0),
        pauses: AtomicU64::new(0),
    });
    let traffic = Arc::new(Traffic::new(plan.seed, ports.clone()));
    let mut parts = JoinSet::new();
    for (slot, port) in ports.iter().enumerate() {
        parts.spawn(supervise(Arc::clone(&run), slot, *port));
    }
    if plan.blows {
        parts.spawn(strike(Arc::clone(&run)));
    }
    // Only a run that gets nowhere comes to it.
    let deadline = start + Duration::from_secs(300 + plan.deliveries / 20);
    let enough = || {
        assert!(Instant::now() < deadline, "no end in sight: {:?}", run.targets.0.lock().unwrap());
        traffic.deliveries() >= plan.deliveries && run.targets.least() >= plan.kills
    };
    traffic.send(plan.at_once, enough).await;
    run.over.store(true, Ordering::Release);
    while let Some(part) = parts.join_next().await {
        part.unwrap();
    }

    let peace = peace(&run.world, &traffic, &ports).await;
    let world = &run.world;
    let (effects, entries) = (world.effects().await, world.entries());
    let acknowledged = traffic.acknowledged();
    let verdict = judge(plan.kind.promise(), &acknowledged, &effects, &entries);
    Report {
        plan,
        took: start.elapsed(),
        events: traffic.events(),
        deliveries: traffic.deliveries(),
        acknowledged: acknowledged.len(),
        odd_answers: traffic.odd_answers(),
        peace,
        restarts: run.restarts.load(Ordering::Relaxed),
        pauses: run.pauses.load(Ordering::Relaxed),
        effects,
        entries,
        verdict,
    }
}

/// What was left when all faults were over.
#[derive(Debug, Default)]
pub(super) struct Peace {
    /// Events that did not end in 200 after the last fault and a lease.
    pub(super) unfinished: Vec<String>,
    /// Handlers and tasks that did not end.
    pub(super) in_flight: u64,
    /// Receivers whose counters are not what was journalled.
    pub(super) miscounted: Vec<Said>,
}

/// Receivers that nothing befalls finish what is left, and end.
async fn peace(world: &World, traffic: &Arc<Traffic>, ports: &[u16]) -> Peace {
    let mut receivers = Vec::new();
    for port in ports {
        receivers.push(Process::listening(world, *port, &[]).await);
    }
    // What was in flight when the last process died ends with its lease.
    sleep(LEASE + Duration::from_millis(200)).await;
    let mut peace = Peace { unfinished: traffic.deliver_again().await, ..Peace::default() };
    for receiver in receivers {
        let said = idle(&receiver).await;
        peace.in_flight += said.in_flight + u64::try_from(said.pending).unwrap();
        let told = |entry: &Entry| matches!(entry.what, What::LeaseLost(by, _) if by == said.incarnation);
        let told = world.entries().into_iter().filter(told).count();
        if told != usize::try_from(said.leases_lost).unwrap() || said.without_claim > 0 {
            peace.miscounted.push(said);
        }
        let incarnation = receiver.incarnation;
        assert!(receiver.stop(world).await.success(), "receiver {incarnation} did not end well");
    }
    peace
}

/// What a receiver says once nothing runs in it, or after a long time.
pub(super) async fn idle(receiver: &Process) -> Said {
    for _ in 0..200 {
        let said = receiver.said().await.expect("a receiver at peace answers");
        if said.in_flight == 0 && said.pending == 0 {
            return said;
        }
        sleep(Duration::from_millis(50)).await;
    }
    receiver.said().await.expect("a receiver at peace answers")
}

/// Keeps one receiver running, with another failpoint armed each time.
async fn supervise(run: Arc<Run>, slot: usize, port: u16) {
    let mut dice = Dice::of(run.plan.seed, 1_000_000_007 + u64::try_from(slot).unwrap());
    while !run.over() {
        let armed = run.targets.next(&mut dice, run.plan.spared);
        let mut process = Process::start(&run.world, port, &[armed]);
        *run.pids[slot].lock().unwrap() = process.pid();
        let born = Instant::now();
        let mut told = false;
        loop {
            if timeout(Duration::from_millis(20), process.ended(&run.world)).await.is_ok() {
                break;
            }
            if run.over() && !told {
                // What is armed may still kill it, while it drains.
                process.signal(&run.world, Signal::TERM);
                told = true;
            } else if born.elapsed() > LIFETIME && !told {
                process.signal(&run.world, Signal::KILL);
            }
        }
        *run.pids[slot].lock().unwrap() = None;
        run.targets.ended(armed.point, run.world.killed_at(process.incarnation));
    }
}

/// Kills, stops and pauses the server, and pauses receivers for longer than a lease.
async fn strike(run: Arc<Run>) {
    let mut dice = Dice::of(run.plan.seed, 2_000_000_011);
    let server = async |blow| {
        let run = Arc::clone(&run);
        tokio::task::spawn_blocking(move || run.world.strike(blow)).await.unwrap();
    };
    let has_a_server = run.world.has_a_server();
    while !run.over() {
        sleep(dice.time(800, 2_500)).await;
        if has_a_server && dice.roll(3) > 0 {
            let (blow, recovery) = dice.one_of(&[
                (Blow::Kill, Blow::Restart),
                (Blow::Stop, Blow::Restart),
                (Blow::Pause, Blow::Resume),
            ]);
            server(blow).await;
            sleep(dice.time(200, 1_000)).await;
            server(recovery).await;
            let count = if blow == Blow::Pause { &run.pauses } else { &run.restarts };
            count.fetch_add(1, Ordering::Relaxed);
        } else {
            let slot = dice.roll(run.pids.len());
            let signal = |signal| {
                if let Some(pid) = *run.pids[slot].lock().unwrap() {
                    run.world.journal.add(What::Server(format!("{signal:?} for the receiver in {slot}")));
                    _ = kill_process(pid, signal);
                }
            };
            signal(Signal::STOP);
            sleep(dice.time(300, 2_200)).await;
            signal(Signal::CONT);
            run.pauses.fetch_add(1, Ordering::Relaxed);
        }
    }
}
