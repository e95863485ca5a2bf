//! One crash at a time, over processes: what the next attempt finds, with a lease and in an inbox.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use rustix::process::Signal;
use tokio::time::sleep;

use super::effects::Part;
use super::failpoint::{Armed, Fate, Point};
use super::fleet::Process;
use super::journal::{What, now};
use super::oracle::{Promise, judge};
use super::receiver::{Kind, LEASE, Order, STORE_TIMEOUT};
use super::runs::idle;
use super::sender::{Manner, deliver};
use super::world::World;
use crate::servers::{free_port, random};

const LEASES: [Kind; 3] = [Kind::Redis, Kind::Postgres, Kind::Sqlite];
const INBOXES: [Kind; 2] = [Kind::PostgresInbox, Kind::SqliteInbox];

/// Every store, side by side.
async fn with_each<Fut: Future<Output = ()>>(kinds: &[Kind], test: impl Fn(Kind) -> Fut) {
    join_all(kinds.iter().map(|kind| test(*kind))).await;
}

async fn with_all<Fut: Future<Output = ()>>(test: impl Fn(Kind) -> Fut) {
    with_each(&[&LEASES[..], &INBOXES].concat(), test).await;
}

/// An event whose first delivery kills its receiver, and another receiver of the same store.
struct Crashed {
    world: World,
    id: String,
    /// When the event was not claimed yet.
    sent: Instant,
    other: Process,
}

impl Crashed {
    async fn at(point: Point, kind: Kind) -> Self {
        Self::while_sending(point, kind, Manner::Whole).await
    }

    async fn while_sending(point: Point, kind: Kind, manner: Manner) -> Self {
        let world = World::shared(kind).await;
        let armed = [Armed::at(point, Fate::Die)];
        let mut dies = Process::listening(&world, free_port(), &armed).await;
        let other = Process::listening(&world, free_port(), &[]).await;
        let (id, sent) = (id(), Instant::now());
        let answer = deliver(dies.port, &id, Order::Do, manner).await;
        assert_eq!(answer, None, "{kind:?}: answered before it died at {point:?}");
        dies.ended(&world).await;
        assert_eq!(world.killed_at(dies.incarnation), Some(point), "{kind:?}");
        Self { world, id, sent, other }
    }

    async fn retry(&self) -> Option<u16> {
        deliver(self.other.port, &self.id, Order::Do, Manner::Whole).await
    }

    /// The next attempt is answered 200, unless the machine was too busy for any answer in time: whoever meets a claim
    /// is told so at once.
    async fn assert_free(&self) {
        let asked = Instant::now();
        let answer = self.retry().await;
        if answer != Some(200) {
            assert!(asked.elapsed() >= STORE_TIMEOUT, "{:?}: {answer:?}, as if claimed", self.world.kind);
            self.until_done().await;
        }
    }

    async fn until_done(&self) {
        until_done(&self.other, &self.id).await;
    }

    /// Parts and wholes of the effect.
    async fn effects(&self) -> (usize, usize) {
        let effects = self.world.effects().await;
        let count =
            |part| effects.iter().filter(|effect| effect.id == self.id && effect.part == part).count();
        (count(Part::Half), count(Part::Whole))
    }

    async fn assert_effects(&self, expected: (usize, usize)) {
        assert_eq!(self.effects().await, expected, "{:?}: parts and wholes", self.world.kind);
    }

    /// Inside of the lease of the process that died there is no way in.
    async fn assert_claimed(&self) {
        let answer = self.retry().await;
        assert!(answer != Some(200) || self.sent.elapsed() >= LEASE, "{:?}: {answer:?}", self.world.kind);
    }
}

/// Delivers until the answer is 200. Others say: come back.
async fn until_done(receiver: &Process, id: &str) {
    let start = Instant::now();
    loop {
        match deliver(receiver.port, id, Order::Do, Manner::Whole).await {
            Some(200) => return,
            Some(503) | None => {}
            odd => panic!("{odd:?}"),
        }
        assert!(start.elapsed() < Duration::from_secs(60), "{id} is not done");
        sleep(LEASE / 8).await;
    }
}

fn id() -> String {
    format!("evt_{:016x}", random())
}

fn has_a_lease(kind: Kind) -> bool {
    kind.promise() == Promise::Lease
}

#[tokio::test]
async fn f01_a_kill_before_the_body_is_complete_claims_nothing() {
    with_all(async |kind| {
        let crashed = Crashed::while_sending(Point::BeforeBody, kind, Manner::Half).await;
        crashed.assert_free().await;
        crashed.assert_effects((1, 1)).await;
    })
    .await;
}

#[tokio::test]
async fn f02_a_kill_before_the_claim_claims_nothing() {
    with_all(async |kind| {
        let crashed = Crashed::at(Point::BeforeClaim, kind).await;
        crashed.assert_free().await;
        crashed.assert_effects((1, 1)).await;
    })
    .await;
}

#[tokio::test]
async fn f03_a_kill_after_the_claim_costs_a_lease() {
    with_each(&LEASES, async |kind| {
        for point in [Point::AfterClaim, Point::HandlerBegin] {
            let crashed = Crashed::at(point, kind).await;
            crashed.assert_claimed().await;
            crashed.until_done().await;
            assert!(crashed.sent.elapsed() >= LEASE, "{kind:?}: the lease was not waited for");
            crashed.assert_effects((1, 1)).await;
        }
    })
    .await;
}

/// Its transaction ends with the process: there is no lease to wait for, only the server's notice of it.
#[tokio::test]
async fn f03_a_kill_after_the_mark_of_an_inbox_leaves_nothing() {
    with_each(&INBOXES, async |kind| {
        for point in [Point::AfterClaim, Point::HandlerBegin] {
            let crashed = Crashed::at(point, kind).await;
            crashed.until_done().await;
            crashed.assert_effects((1, 1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn f04_a_kill_in_the_middle_of_the_effect() {
    with_all(async |kind| {
        let crashed = Crashed::at(Point::MidEffect, kind).await;
        crashed.until_done().await;
        let halves = if has_a_lease(kind) { 2 } else { 1 };
        crashed.assert_effects((halves, 1)).await;
    })
    .await;
}

#[tokio::test]
async fn f05_a_kill_between_effect_and_completion_doubles_with_a_lease() {
    with_each(&LEASES, async |kind| {
        for point in [Point::AfterEffect, Point::BeforeComplete] {
            let crashed = Crashed::at(point, kind).await;
            crashed.assert_claimed().await;
            crashed.until_done().await;
            crashed.assert_effects((2, 2)).await;
            let effects = crashed.world.effects().await;
            let acknowledged = [crashed.id.clone()].into();
            let verdict = judge(kind.promise(), &acknowledged, &effects, &crashed.world.entries());
            assert_eq!((verdict.doubled.len(), verdict.explained), (0, 1), "{kind:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn f05_a_kill_around_the_commit_of_an_inbox_doubles_nothing() {
    let points = [Point::AfterEffect, Point::BeforeCommit, Point::AfterCommit, Point::BeforeComplete];
    with_each(&INBOXES, async |kind| {
        for point in points {
            let crashed = Crashed::at(point, kind).await;
            if matches!(point, Point::AfterCommit | Point::BeforeComplete) {
                crashed.assert_free().await;
            }
            crashed.until_done().await;
            crashed.assert_effects((1, 1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn f06_a_kill_between_completion_and_answer_is_a_duplicate() {
    with_all(async |kind| {
        for point in [Point::AfterComplete, Point::BeforeResponse] {
            let crashed = Crashed::at(point, kind).await;
            crashed.assert_free().await;
            crashed.assert_effects((1, 1)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn f15_a_storm_across_three_processes_runs_one_handler() {
    with_all(async |kind| {
        let world = World::shared(kind).await;
        let starts = (0..3).map(|_| Process::listening(&world, free_port(), &[]));
        let receivers = join_all(starts).await;
        let id = id();
        let storm = (0..64).map(async |n: usize| {
            let answer = deliver(receivers[n % 3].port, &id, Order::Slowly, Manner::Whole).await;
            (answer, now())
        });
        let answers = join_all(storm).await;
        for receiver in &receivers {
            until_done(receiver, &id).await;
        }
        let effects = world.effects().await;
        let mut whole = effects.iter().filter(|effect| effect.id == id && effect.part == Part::Whole);
        let effect = whole.next().unwrap();
        assert_eq!(whole.next(), None, "{kind:?}: a second effect");
        assert_eq!(effects.iter().filter(|effect| effect.id == id).count(), 2, "{kind:?}: a second start");
        for (answer, at) in answers {
            let done = answer == Some(200);
            assert!(done || matches!(answer, Some(503) | None), "{kind:?}: {answer:?}");
            assert!(!done || at >= effect.at, "{kind:?}: answered 200 before it was done");
        }
    })
    .await;
}

/// An event whose first receiver stops for a while when the effect is there and its handler has not returned.
async fn stopped_after_the_effect(kind: Kind) -> (Crashed, Process) {
    let world = World::shared(kind).await;
    let armed = [Armed::at(Point::AfterEffect, Fate::Stop)];
    let stops = Process::listening(&world, free_port(), &armed).await;
    let other = Process::listening(&world, free_port(), &[]).await;
    let (id, sent) = (id(), Instant::now());
    assert_eq!(
        deliver(stops.port, &id, Order::Do, Manner::Whole).await,
        None,
        "{kind:?}: it has not stopped"
    );
    let stopped = What::Stopping(stops.incarnation, Point::AfterEffect);
    assert!(world.entries().iter().any(|entry| entry.what == stopped), "{kind:?}: it has not stopped");
    (Crashed { world, id, sent, other }, stops)
}

/// It wakes up when another has done its event, and says so.
#[tokio::test]
async fn f21_a_receiver_that_is_paused_for_a_lease_counts_its_loss() {
    with_each(&LEASES, async |kind| {
        let (paused, stopped) = stopped_after_the_effect(kind).await;
        paused.until_done().await;
        assert!(paused.sent.elapsed() >= LEASE, "{kind:?}: the lease was not waited for");
        stopped.resume(&paused.world);
        let lost = async || idle(&stopped).await.leases_lost;
        while lost().await == 0 {
            // A completion that the pause has let run into its timeout is sent again.
            assert!(paused.sent.elapsed() < Duration::from_secs(60), "{kind:?}: the loss is not counted");
            sleep(LEASE / 8).await;
        }
        assert_eq!(lost().await, 1, "{kind:?}");
        paused.assert_effects((2, 2)).await;
        let acknowledged = [paused.id.clone()].into();
        let (effects, entries) = (paused.world.effects().await, paused.world.entries());
        let verdict = judge(kind.promise(), &acknowledged, &effects, &entries);
        assert_eq!((verdict.doubled.len(), verdict.explained), (0, 1), "{kind:?}");
        // It does not run a third time.
        paused.until_done().await;
        paused.assert_effects((2, 2)).await;
    })
    .await;
}

/// Its transaction goes on where it stood: nobody else was let in.
#[tokio::test]
async fn f21_a_receiver_that_is_paused_in_an_inbox_loses_nothing() {
    with_each(&INBOXES, async |kind| {
        let (paused, stopped) = stopped_after_the_effect(kind).await;
        while paused.sent.elapsed() < LEASE {
            assert_ne!(paused.retry().await, Some(200), "{kind:?}: answered before it was committed");
        }
        stopped.resume(&paused.world);
        paused.until_done().await;
        paused.assert_effects((1, 1)).await;
    })
    .await;
}

/// Ten deliveries whose handlers run, or are about to.
async fn ten_under_way(receiver: &Process) -> (Vec<String>, Vec<tokio::task::JoinHandle<Option<u16>>>) {
    let ids: Vec<_> = (0..10).map(|_| id()).collect();
    let deliveries = ids.iter().cloned().map(|id| {
        let port = receiver.port;
        tokio::spawn(async move { deliver(port, &id, Order::Slowly, Manner::Whole).await })
    });
    let deliveries = deliveries.collect();
    while receiver.said().await.is_none_or(|said| said.in_flight == 0) {
        tokio::task::yield_now().await;
    }
    (ids, deliveries)
}

#[tokio::test]
async fn f34_sigterm_ends_what_runs_and_loses_nothing() {
    with_all(async |kind| {
        let world = World::shared(kind).await;
        let receiver = Process::listening(&world, free_port(), &[]).await;
        let (ids, deliveries) = ten_under_way(&receiver).await;
        assert!(receiver.stop(&world).await.success(), "{kind:?}");
        join_all(deliveries).await;
        let before = world.effects().await.len();
        assert!(before > 0, "{kind:?}: nothing was under way");

        // What has an effect is recorded as done: its redelivery runs nothing.
        let next = Process::listening(&world, free_port(), &[]).await;
        for id in &ids {
            until_done(&next, id).await;
        }
        assert_eq!(world.effects().await.len(), 20, "{kind:?}: two parts each");
    })
    .await;
}

#[tokio::test]
async fn f35_sigkill_during_the_drain_is_a_crash_like_another() {
    with_all(async |kind| {
        let world = World::shared(kind).await;
        let mut receiver = Process::listening(&world, free_port(), &[]).await;
        let (ids, deliveries) = ten_under_way(&receiver).await;
        receiver.signal(&world, Signal::TERM);
        receiver.signal(&world, Signal::KILL);
        receiver.ended(&world).await;
        let mut acknowledged = std::collections::BTreeSet::new();
        for (id, answer) in ids.iter().zip(join_all(deliveries).await) {
            if answer.unwrap() == Some(200) {
                acknowledged.insert(id.clone());
            }
        }
        let next = Process::listening(&world, free_port(), &[]).await;
        sleep(LEASE).await;
        for id in &ids {
            until_done(&next, id).await;
            acknowledged.insert(id.clone());
        }
        let verdict = judge(kind.promise(), &acknowledged, &world.effects().await, &world.entries());
        assert_eq!((verdict.lost.len(), verdict.doubled.len()), (0, 0), "{kind:?}: {verdict:?}");
    })
    .await;
}
