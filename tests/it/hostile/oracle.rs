//! What the files say afterwards: which events were lost, which doubled, and which doubles are explained.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::effects::{Effect, Part};
use super::journal::{Entry, Incarnation, Micros, What, micros};
use super::receiver::LEASE;

/// What a store promises of its doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// None at all: mark and effect are one commit.
    Inbox,
    /// Only where a process was killed between effect and completion, or a lease was lost and counted.
    Lease,
    /// The same, as long as the process lives.
    Memory,
}

/// How much later than its lease a process may be seen to end: longer than the pauses of a run, in which a receiver does
/// nothing and may then be killed.
const SLACK: Micros = 2_500_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The sender saw 200, and there is no effect.
    pub(super) lost: Vec<String>,
    /// More effects than the store's promise allows.
    pub(super) doubled: Vec<String>,
    /// Claimed within the lease of another claim that was neither given back nor ended.
    pub(super) overlapping: Vec<String>,
    /// Effects beyond the first that it allows.
    pub(super) explained: usize,
}

impl Verdict {
    pub(super) fn offenders(&self) -> impl Iterator<Item = &String> {
        self.lost.iter().chain(&self.doubled).chain(&self.overlapping)
    }
}

/// Judges a run by the events that a sender saw 200 for, the effects, and what else happened.
pub(super) fn judge(
    promise: Promise,
    acknowledged: &BTreeSet<String>,
    effects: &[Effect],
    entries: &[Entry],
) -> Verdict {
    let history = History::of(entries);
    let mut events: BTreeMap<&str, Vec<&Effect>> = BTreeMap::new();
    for effect in effects {
        events.entry(&effect.id).or_default().push(effect);
    }
    let done = |id: &str| {
        events.get(id).is_some_and(|effects| effects.iter().any(|effect| effect.part == Part::Whole))
    };
    let mut verdict = Verdict {
        lost: acknowledged.iter().filter(|id| !done(id)).cloned().collect(),
        overlapping: overlapping(promise, entries),
        ..Verdict::default()
    };
    for (id, effects) in &events {
        let count = |part| effects.iter().filter(|effect| effect.part == part).count();
        let whole = count(Part::Whole);
        let allowed = match promise {
            Promise::Inbox if count(Part::Half) != whole => 0,
            Promise::Inbox => 1,
            Promise::Lease if !history.all_claimed(id, effects) => 0,
            Promise::Lease => 1 + history.explains(id, effects),
            Promise::Memory => history.of_each_process(id, effects),
        };
        if whole.max(usize::from(allowed == 0)) > allowed {
            verdict.doubled.push((*id).to_owned());
        } else {
            verdict.explained += whole.saturating_sub(1);
        }
    }
    verdict
}

/// A claim of an event: when it was asked for, before which no lease began, when its answer was there, and whose it is.
#[derive(Clone, Copy, Debug)]
struct Held {
    asked: Micros,
    at: Micros,
    by: Incarnation,
}

/// Events of which two claims were held at once, in whichever order they were granted.
fn overlapping(promise: Promise, entries: &[Entry]) -> Vec<String> {
    let mut claims: BTreeMap<&str, Vec<Held>> = BTreeMap::new();
    let mut releases: HashMap<(Incarnation, &str), Vec<Micros>> = HashMap::new();
    for Entry { at, what } in entries {
        match what {
            What::Claimed(by, id, asked) => {
                claims.entry(id).or_default().push(Held { asked: *asked, at: *at, by: *by });
            }
            What::Releasing(by, id) => releases.entry((*by, id)).or_default().push(*at),
            _ => {}
        }
    }
    let overlap = |id: &str, one: Held, two: Held| {
        let gave_way = |first: Held, second: Held| {
            let released = releases.get(&(first.by, id)).into_iter().flatten();
            second.at >= first.asked + micros(LEASE)
                || released.into_iter().any(|at| (first.at..=second.at).contains(at))
        };
        !gave_way(one, two) && !gave_way(two, one)
    };
    let twice = |id: &str, claims: &[Held]| {
        let pairs =
            claims.iter().enumerate().flat_map(|(n, one)| claims[..n].iter().map(move |two| (one, two)));
        // The claims in front of an inbox are a process's own, and its memory's are, too.
        let mut pairs = pairs.filter(|(one, two)| promise == Promise::Lease || one.by == two.by);
        pairs.any(|(one, two)| overlap(id, *one, *two))
    };
    let overlapping = claims.into_iter().filter(|(id, claims)| twice(id, claims));
    overlapping.map(|(id, _)| id.to_owned()).collect()
}

/// What became of the runs of one event in one process.
#[derive(Clone, Copy, Debug, Default)]
struct Runs {
    claimed: usize,
    completing: usize,
    completed: usize,
    lost: usize,
    dropped: usize,
}

struct History<'a> {
    ended: HashMap<Incarnation, Micros>,
    runs: HashMap<(Incarnation, &'a str), Runs>,
}

impl<'a> History<'a> {
    fn of(entries: &'a [Entry]) -> Self {
        let mut history = Self { ended: HashMap::new(), runs: HashMap::new() };
        for Entry { at, what } in entries {
            let mut runs = |incarnation: &Incarnation, id: &'a String, add: fn(&mut Runs)| {
                add(history.runs.entry((*incarnation, id)).or_default());
            };
            match what {
                What::Killing(incarnation, _) | What::Ended(incarnation) => {
                    history.ended.entry(*incarnation).or_insert(*at);
                }
                What::Claimed(incarnation, id, _) => runs(incarnation, id, |runs| runs.claimed += 1),
                What::Completing(incarnation, id) => runs(incarnation, id, |runs| runs.completing += 1),
                What::Completed(incarnation, id) => runs(incarnation, id, |runs| runs.completed += 1),
                What::LeaseLost(incarnation, id) => runs(incarnation, id, |runs| runs.lost += 1),
                What::Dropped(incarnation, id) => runs(incarnation, id, |runs| runs.dropped += 1),
                What::Started(_) | What::Stopping(..) | What::Releasing(..) => {}
                What::Signalled(..) | What::Server(_) => {}
            }
        }
        history
    }

    /// Whether no process has more effects of the event than it had claims.
    fn all_claimed(&self, id: &str, effects: &[&Effect]) -> bool {
        let processes: BTreeSet<_> = effects.iter().map(|effect| effect.incarnation).collect();
        processes.into_iter().all(|incarnation| {
            let here = effects.iter().filter(|effect| effect.incarnation == incarnation);
            let count = here.filter(|effect| effect.part == Part::Whole).count();
            count <= self.runs.get(&(incarnation, id)).map_or(0, |runs| runs.claimed)
        })
    }

    /// How many of these effects another one may follow: their process was killed before the completion, lost the
    /// lease and counted it, or had to drop the handler.
    fn explains(&self, id: &str, effects: &[&Effect]) -> usize {
        let processes: BTreeSet<_> = effects.iter().map(|effect| effect.incarnation).collect();
        processes.into_iter().map(|incarnation| self.explains_in(incarnation, id, effects)).sum()
    }

    fn explains_in(&self, incarnation: Incarnation, id: &str, effects: &[&Effect]) -> usize {
        let here = effects.iter().filter(|effect| effect.incarnation == incarnation);
        let here = here.filter(|effect| effect.part == Part::Whole);
        let (count, last) = here.fold((0, 0), |(count, last), effect| (count + 1, effect.at.max(last)));
        let runs = self.runs.get(&(incarnation, id)).copied().unwrap_or_default();
        let told = (runs.lost + runs.dropped).min(count);
        let open = count.saturating_sub(runs.completed + told);
        // A completion that the store did not answer is tried again for as long as the process lives.
        let pending = runs.completing > runs.completed + runs.lost;
        let in_time = |ended: &Micros| pending || *ended <= last + micros(LEASE) + SLACK;
        let killed = self.ended.get(&incarnation).is_some_and(in_time);
        told + if killed { open } else { 0 }
    }

    /// What is allowed where every process begins anew.
    fn of_each_process(&self, id: &str, effects: &[&Effect]) -> usize {
        let processes: BTreeSet<_> = effects.iter().map(|effect| effect.incarnation).collect();
        let allowed = processes.into_iter().map(|incarnation| {
            let runs = self.runs.get(&(incarnation, id)).copied().unwrap_or_default();
            1 + runs.lost + runs.dropped
        });
        allowed.sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "evt_1";
    const SECOND: Micros = 1_000_000;

    fn effect(part: Part, incarnation: Incarnation, at: Micros) -> Effect {
        Effect { id: ID.to_owned(), part, incarnation, at }
    }

    fn whole(incarnation: Incarnation, at: Micros) -> [Effect; 2] {
        [Part::Half, Part::Whole].map(|part| effect(part, incarnation, at))
    }

    fn verdict(promise: Promise, effects: &[Effect], entries: &[(Micros, What)]) -> (usize, usize, usize) {
        let wholes = effects.iter().filter(|effect| effect.part == Part::Whole);
        let claims = wholes.map(|effect| (effect.at, claimed(effect.incarnation, effect.at)));
        let entries: Vec<_> =
            claims.chain(entries.iter().cloned()).map(|(at, what)| Entry { at, what }).collect();
        let acknowledged = BTreeSet::from([ID.to_owned()]);
        let verdict = judge(promise, &acknowledged, effects, &entries);
        (verdict.lost.len(), verdict.doubled.len(), verdict.explained)
    }

    fn claimed(incarnation: Incarnation, asked: Micros) -> What {
        What::Claimed(incarnation, ID.into(), asked)
    }

    fn completed(incarnation: Incarnation) -> What {
        What::Completed(incarnation, ID.into())
    }

    #[test]
    fn what_was_acknowledged_has_an_effect() {
        for promise in [Promise::Inbox, Promise::Lease, Promise::Memory] {
            assert_eq!(verdict(promise, &whole(1, 0), &[(1, completed(1))]), (0, 0, 0), "{promise:?}");
            assert_eq!(verdict(promise, &[], &[]), (1, 0, 0), "{promise:?}");
        }
        assert_eq!(verdict(Promise::Lease, &[effect(Part::Half, 1, 0)], &[]), (1, 0, 0));
    }

    #[test]
    fn an_inbox_doubles_nothing_for_any_reason() {
        let twice = [whole(1, 0), whole(2, 2 * SECOND)].concat();
        assert_eq!(verdict(Promise::Inbox, &twice, &[(1, What::Ended(1))]), (0, 1, 0));
        assert_eq!(verdict(Promise::Inbox, &[effect(Part::Half, 1, 0)], &[]), (1, 1, 0), "half of an effect");
        let half_more = [whole(1, 0).to_vec(), vec![effect(Part::Half, 2, 1)]].concat();
        assert_eq!(verdict(Promise::Inbox, &half_more, &[]), (0, 1, 0));
    }

    #[test]
    fn a_lease_doubles_what_was_killed_before_its_completion() {
        let twice = [whole(1, 0), whole(2, 2 * SECOND)].concat();
        let last = (2 * SECOND, completed(2));
        assert_eq!(verdict(Promise::Lease, &twice, &[(1, What::Ended(1)), last.clone()]), (0, 0, 1));
        assert_eq!(
            verdict(Promise::Lease, &twice, std::slice::from_ref(&last)),
            (0, 1, 0),
            "nobody was killed"
        );
        let first = (1, completed(1));
        let killed = (2, What::Ended(1));
        assert_eq!(verdict(Promise::Lease, &twice, &[first, killed, last.clone()]), (0, 1, 0), "completed");
        let late = (9 * SECOND, What::Ended(1));
        assert_eq!(verdict(Promise::Lease, &twice, &[last.clone(), late.clone()]), (0, 1, 0), "much later");
        let tried = (1, What::Completing(1, ID.into()));
        assert_eq!(verdict(Promise::Lease, &twice, &[tried, last, late]), (0, 0, 1), "the store was down");
    }

    #[test]
    fn a_lease_doubles_where_it_was_lost() {
        let twice = [whole(1, 0), whole(2, 2 * SECOND)].concat();
        let lost = (3 * SECOND, What::LeaseLost(1, ID.into()));
        let dropped = (1, What::Dropped(1, ID.into()));
        for reason in [lost, dropped] {
            assert_eq!(verdict(Promise::Lease, &twice, &[reason.clone(), (2, completed(2))]), (0, 0, 1));
            let thrice = [twice.clone(), whole(3, 4 * SECOND).to_vec()].concat();
            assert_eq!(verdict(Promise::Lease, &thrice, &[reason]), (0, 1, 0), "one reason for two");
        }
    }

    #[test]
    fn a_memory_lasts_as_long_as_its_process() {
        let twice = [whole(1, 0), whole(2, 9 * SECOND)].concat();
        assert_eq!(verdict(Promise::Memory, &twice, &[(1, completed(1))]), (0, 0, 1));
        let here = [whole(1, 0), whole(1, 9 * SECOND)].concat();
        assert_eq!(verdict(Promise::Memory, &here, &[(1, completed(1))]), (0, 1, 0));
    }

    #[test]
    fn an_effect_without_a_claim_is_explained_by_nothing() {
        let entries = [Entry { at: 1, what: What::Ended(1) }];
        let verdict = judge(Promise::Lease, &BTreeSet::new(), &whole(1, 0), &entries);
        assert_eq!(verdict.doubled, [ID]);
    }

    #[test]
    fn claims_within_a_lease_of_each_other_overlap() {
        let claim = |by, asked, at| Entry { at, what: claimed(by, asked) };
        let lease = micros(LEASE);
        let found =
            |promise, entries: &[Entry]| judge(promise, &BTreeSet::new(), &[], entries).overlapping.len();
        let early = [claim(1, 0, 9), claim(2, 5, lease - 1)];
        assert_eq!(found(Promise::Lease, &early), 1);
        assert_eq!(found(Promise::Memory, &early), 0, "each its own");
        assert_eq!(
            found(Promise::Lease, &[claim(1, 0, 9), claim(2, 5, lease)]),
            0,
            "it waited for the lease"
        );
        let released = Entry { at: 10, what: What::Releasing(1, ID.into()) };
        assert_eq!(found(Promise::Lease, &[claim(1, 0, 9), released, claim(2, 11, 12)]), 0);
        let paused = [claim(2, lease, lease + 1), claim(1, 0, lease + 2)];
        assert_eq!(found(Promise::Lease, &paused), 0, "the first was answered late");
    }
}
