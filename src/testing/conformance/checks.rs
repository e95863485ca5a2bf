//! The checks, each documented at its variant of [`Check`](super::Check).

use std::time::{Duration, Instant};

use super::Failure;
use super::trial::{Event, LONG, Trial, cut_off};
use crate::dedup::{Claim, Completion, DedupStore, Lease};

type Checked = Result<(), Failure>;

const ROUNDS: usize = 100;
/// Fewer where each round needs a claim beforehand.
const PREPARED_ROUNDS: usize = 25;

pub(super) async fn one_winner<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let events: Vec<Event> = (0..ROUNDS).map(|round| trial.event(&round, LONG)).collect();
    let rounds = trial.race(&events, &[]).await?;
    rounds.iter().try_for_each(|answers| one_acquired(trial, answers))
}

fn one_acquired<St: DedupStore>(trial: &Trial<'_, St>, answers: &[Claim]) -> Checked {
    let acquired = answers.iter().filter(|claim| matches!(claim, Claim::Acquired(_))).count();
    let in_flight = answers.iter().filter(|claim| matches!(claim, Claim::InFlight { .. })).count();
    if (acquired, in_flight) == (1, answers.len() - 1) {
        return Ok(());
    }
    Err(trial.failure(
        format!("1 of {} concurrent claims to be acquired and the others in flight", answers.len()),
        format!("{acquired} acquired and {in_flight} in flight"),
    ))
}

pub(super) async fn in_flight_duplicate<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let event = trial.event("", LONG);
    trial.acquire(&event, "the claim of a new event").await?;
    for _ in 0..2 {
        let retry_after = trial.expect_in_flight(&event, "a duplicate").await?;
        if retry_after.is_zero() || retry_after > LONG {
            return Err(trial.failure(
                format!("a retry_after above zero and at most the lease of {LONG:?}"),
                format!("{retry_after:?}"),
            ));
        }
    }
    Ok(())
}

pub(super) async fn release_then_claim<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let event = trial.event("", LONG);
    let lease = trial.acquire(&event, "the claim of a new event").await?;
    trial.release(&lease).await?;
    let lease = trial.acquire(&event, "a claim after the release").await?;
    trial.expect_completion(&lease, Completion::Completed, "the second holder's completion").await
}

pub(super) async fn completed_stays_done<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let event = trial.event("", trial.lease());
    let lease = trial.acquire(&event, "the claim of a new event").await?;
    trial.expect_completion(&lease, Completion::Completed, "the holder's completion").await?;
    trial.expect_done(&event, "a claim after the completion").await?;
    trial.expect_done(&event, "a second claim after the completion").await?;
    trial.outlast(trial.lease()).await;
    trial.expect_done(&event, "a claim of a completed event after the end of its lease").await
}

pub(super) async fn done_is_final<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let event = trial.event("", LONG);
    let lease = trial.acquire(&event, "the claim of a new event").await?;
    trial.complete(&lease, LONG).await?;
    trial.release(&lease).await?;
    trial.expect_done(&event, "a claim after completion and release").await?;
    trial.complete(&lease, LONG).await?;
    trial.expect_done(&event, "a claim after a second completion").await?;
    trial.release(&lease).await?;
    trial.expect_done(&event, "a claim after a second release").await
}

pub(super) async fn lease_expiry<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let (event, begun) = (trial.event("", trial.lease()), Instant::now());
    trial.acquire(&event, "the claim of a new event").await?;
    // A slow store has the last quarter for the way there and back.
    let quarter = trial.lease() / 4;
    trial.pass(3 * quarter).await;
    let found = trial.expect_in_flight(&event, "a claim at three quarters of the lease").await;
    trial.while_it_lasts(begun, trial.lease(), found)?;
    trial.outlast(quarter).await;
    let begun = Instant::now();
    trial.acquire(&event, "a claim after the end of the lease").await?;
    let found = trial.expect_in_flight(&event, "a duplicate of the take-over").await;
    trial.while_it_lasts(begun, trial.lease(), found)?;
    Ok(())
}

pub(super) async fn one_takeover<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let mut prepared = Vec::new();
    for round in 0..PREPARED_ROUNDS {
        let event = trial.event(&round, trial.lease());
        trial.acquire(&event, "the claim of a new event").await?;
        // The race must not meet the end of the successor's lease.
        prepared.push(trial.event(&round, LONG));
    }
    trial.outlast(trial.lease()).await;
    let rounds = trial.race(&prepared, &[]).await?;
    rounds.iter().try_for_each(|answers| one_acquired(trial, answers))
}

pub(super) async fn fences_increase<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let event = trial.event("", trial.lease());
    let first = trial.acquire(&event, "the claim of a new event").await?;
    trial.release(&first).await?;
    let second = trial.acquire(&event, "a claim after the release").await?;
    trial.outlast(trial.lease()).await;
    let third = trial.acquire(&event, "a claim after the end of the lease").await?;
    trial.complete(&third, LONG).await?;
    trial.forget(&event).await?;
    let fourth = trial.acquire(&event, "a claim after the mark was forgotten").await?;

    let fences = [&first, &second, &third, &fourth].map(Lease::fence);
    if fences.is_sorted_by(|before, after| before < after) {
        return Ok(());
    }
    Err(trial.failure("each claim of an event to have a larger fence", format!("{fences:?}")))
}

pub(super) async fn stale_release<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let (event, stale, current) = taken_over(trial).await?;
    trial.release(&stale).await?;
    trial.expect_in_flight(&event, "a claim after the release by a holder that lost its lease").await?;
    trial.release(&current).await?;
    trial.acquire(&event, "a claim after the release by the current holder").await?;
    Ok(())
}

pub(super) async fn stale_completion<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let (event, stale, current) = taken_over(trial).await?;
    trial.expect_completion(&stale, Completion::LeaseLost, "the completion by the old holder").await?;
    trial.expect_done(&event, "a claim after the old holder's completion").await?;
    trial.release(&current).await?;
    trial.expect_done(&event, "a claim after the successor's release").await?;
    trial.complete(&current, LONG).await?;
    trial.expect_done(&event, "a claim after the successor's completion").await
}

/// An event with a holder that lost its lease, and its successor. The successor's lease is long.
async fn taken_over<St: DedupStore>(trial: &Trial<'_, St>) -> Result<(Event, Lease, Lease), Failure> {
    let stale = trial.acquire(&trial.event("", trial.lease()), "the claim of a new event").await?;
    trial.outlast(trial.lease()).await;
    let event = trial.event("", LONG);
    let current = trial.acquire(&event, "a claim after the end of the lease").await?;
    Ok((event, stale, current))
}

pub(super) async fn late_completion<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let expired = trial.event("expired", trial.lease());
    let lease = trial.acquire(&expired, "the claim of a new event").await?;
    trial.outlast(trial.lease()).await;
    // Whether the lease was lost may depend on whether the store has collected it.
    trial.complete(&lease, LONG).await?;
    trial.expect_done(&expired, "a claim after a completion behind the end of the lease").await?;

    let released = trial.event("released", LONG);
    let lease = trial.acquire(&released, "the claim of a new event").await?;
    trial.release(&lease).await?;
    trial.expect_completion(&lease, Completion::LeaseLost, "a completion after the release").await?;
    trial.expect_done(&released, "a claim after a completion behind the release").await
}

pub(super) async fn claim_during_completion<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let (mut events, mut leases) = (Vec::new(), Vec::new());
    for round in 0..PREPARED_ROUNDS {
        let event = trial.event(&round, LONG);
        leases.push(trial.acquire(&event, "the claim of a new event").await?);
        events.push(event);
    }
    let rounds = trial.race(&events, &leases).await?;
    if rounds.iter().flatten().any(|claim| matches!(claim, Claim::Acquired(_))) {
        return Err(trial
            .failure("claims during a completion to find the event in flight or done", "an acquired one"));
    }
    for event in &events {
        trial.expect_done(event, "a claim after the race").await?;
    }
    Ok(())
}

/// When to drop an operation: at its first await, and at whatever it awaits later.
const DROPPED_AFTER: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(5), Duration::from_millis(20)];

pub(super) async fn dropped_completion<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    for after in DROPPED_AFTER {
        let event = trial.event(&after.as_millis(), LONG);
        let lease = trial.acquire(&event, "the claim of a new event").await?;
        cut_off(after, trial.store.complete(&lease, LONG)).await;
        if let claim @ Claim::Acquired(_) = trial.claim(&event).await? {
            return Err(trial.failure(
                "a claim after a dropped completion to find the event in flight or done",
                format!("{claim:?}"),
            ));
        }
        trial.complete(&lease, LONG).await?;
        trial.expect_done(&event, "a claim after the repeated completion").await?;
    }
    Ok(())
}

pub(super) async fn dropped_claim<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let events = DROPPED_AFTER.map(|after| trial.event(&after.as_millis(), trial.lease()));
    for (after, event) in DROPPED_AFTER.iter().zip(&events) {
        cut_off(*after, trial.store.claim(&event.request())).await;
    }
    trial.outlast(trial.lease()).await;
    for event in &events {
        let begun = Instant::now();
        trial.acquire(event, "a claim after the lease of a dropped claim").await?;
        let found = trial.expect_in_flight(event, "a duplicate of it").await;
        trial.while_it_lasts(begun, trial.lease(), found)?;
    }
    Ok(())
}

pub(super) async fn forget<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let event = trial.event("", LONG);
    trial.forget(&event).await?;
    let lease = trial.acquire(&event, "the claim of a new event").await?;
    trial.complete(&lease, LONG).await?;
    trial.expect_done(&event, "a claim after the completion").await?;
    trial.forget(&event).await?;
    trial.acquire(&event, "a claim of a forgotten event").await?;
    trial.expect_in_flight(&event, "a duplicate of it").await?;
    Ok(())
}

pub(super) async fn forget_keeps_in_flight<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let event = trial.event("", LONG);
    let lease = trial.acquire(&event, "the claim of a new event").await?;
    trial.forget(&event).await?;
    trial.expect_in_flight(&event, "a claim after forgetting a claimed event").await?;
    trial.expect_completion(&lease, Completion::Completed, "its holder's completion").await
}

pub(super) async fn retention_expiry<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    // Long enough that a mark which a claim at two thirds prolonged is told from one that ends late.
    let third = trial.lease().max(Duration::from_secs(1));
    let event = trial.event("", LONG);
    let lease = trial.acquire(&event, "the claim of a new event").await?;
    let begun = Instant::now();
    trial.complete(&lease, 3 * third).await?;
    trial.pass(2 * third).await;
    let found = trial.expect_done(&event, "a claim at two thirds of the retention").await;
    trial.while_it_lasts(begun, 3 * third, found)?;
    trial.outlast(third).await;
    trial.acquire(&event, "a claim after the end of the retention").await?;
    trial.expect_in_flight(&event, "a second claim after the end of the retention").await?;
    Ok(())
}

pub(super) async fn independent_keys<St: DedupStore>(trial: &Trial<'_, St>) -> Checked {
    let mut events: Vec<Event> = [
        ("a", "t", "b:c"),
        ("a:b", "t", "c"),
        ("a", "t:b", "c"),
        ("ab", "t", "c"),
        ("a", "t", "bc"),
        ("a", "tb", "c"),
        ("b", "t", "bc"),
        ("", "t", "bc"),
        ("a", "", "bc"),
        ("a", "t", ""),
        ("a", "t", "A"),
        ("a", "t", "a"),
        ("a", "t", "a "),
        ("a", "t", " a"),
        ("a", "t", "a\0"),
        ("a", "t", "a\0b"),
        ("a", "t", "\0"),
        ("a", "t", "{a}b"),
        ("a", "t", "{a}c"),
        ("a", "t", "{}"),
        ("a", "t", "*"),
        ("a", "t", "a\r\nb"),
        ("a", "t", "'; drop table webhook_events; --"),
        ("a", "t", "\"\\"),
        ("a", "t", "$1"),
        ("a", "t", "%s"),
        ("a", "t", "caf\u{e9}"),
        ("a", "t", "cafe\u{301}"),
    ]
    .map(|(scope, event_type, id)| trial.event_of(scope, event_type, id, LONG))
    .into();
    let long = "x".repeat(10_240);
    events.push(trial.event(&format!("{long}a"), LONG));
    events.push(trial.event(&format!("{long}b"), LONG));

    let mut leases = Vec::new();
    for event in &events {
        let what = format!("the claim of {:.60?}", event.request().id());
        leases.push(trial.acquire(event, &what).await?);
    }
    for lease in leases.iter().step_by(2) {
        trial.expect_completion(lease, Completion::Completed, "each holder's completion").await?;
    }
    for (index, event) in events.iter().enumerate() {
        let what = format!("a duplicate of {:.60?}", event.request().id());
        if index % 2 == 0 {
            trial.expect_done(event, &what).await?;
        } else {
            trial.expect_in_flight(event, &what).await?;
        }
    }
    Ok(())
}
