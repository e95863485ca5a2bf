//! What came of a run, in figures, and what it must be.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::effects::Effect;
use super::failpoint::Point;
use super::journal::{Entry, What};
use super::oracle::Verdict;
use super::runs::{Peace, Plan};

pub(super) struct Report {
    pub(super) plan: Plan,
    pub(super) took: Duration,
    pub(super) events: u64,
    pub(super) deliveries: u64,
    pub(super) acknowledged: usize,
    pub(super) odd_answers: Vec<(String, u16)>,
    pub(super) peace: Peace,
    /// Of the server.
    pub(super) restarts: u64,
    /// Of the server and of receivers.
    pub(super) pauses: u64,
    pub(super) effects: Vec<Effect>,
    pub(super) entries: Vec<Entry>,
    pub(super) verdict: Verdict,
}

impl Report {
    pub(super) fn kills(&self) -> BTreeMap<Point, usize> {
        let mut kills = BTreeMap::new();
        for entry in &self.entries {
            if let What::Killing(_, point) = entry.what {
                *kills.entry(point).or_default() += 1;
            }
        }
        kills
    }

    /// Nothing lost, nothing doubled without a reason that was counted, everything done in the end.
    pub(super) fn assert_kept(&self) {
        let offenders: Vec<_> = self.verdict.offenders().take(3).collect();
        let histories: Vec<_> = offenders.iter().map(|id| self.history(id)).collect();
        assert!(offenders.is_empty(), "{self}\n{}", histories.join("\n"));
        assert!(self.peace.unfinished.is_empty(), "{self}\nunfinished: {:?}", self.peace.unfinished);
        assert!(self.odd_answers.is_empty(), "{self}\nanswers: {:?}", self.odd_answers);
        assert!(self.peace.miscounted.is_empty(), "{self}\nmiscounted: {:?}", self.peace.miscounted);
        assert_eq!(self.peace.in_flight, 0, "{self}\nleft in flight");
        let kills = self.kills();
        for point in self.plan.kind.points() {
            let kills = kills.get(&point).copied().unwrap_or_default();
            assert!(kills >= self.plan.kills, "{self}\n{point:?} has killed {kills} times");
        }
    }

    /// All that is known of an event.
    fn history(&self, id: &str) -> String {
        let effects = self.effects.iter().filter(|effect| effect.id == id);
        let mut lines: Vec<_> = effects.map(|effect| (effect.at, format!("{effect:?}"))).collect();
        let mut processes: Vec<_> =
            self.effects.iter().filter(|effect| effect.id == id).map(|effect| effect.incarnation).collect();
        processes.dedup();
        for entry in &self.entries {
            let concerns = match &entry.what {
                What::Claimed(_, of, _)
                | What::Releasing(_, of)
                | What::Completing(_, of)
                | What::Completed(_, of)
                | What::LeaseLost(_, of)
                | What::Dropped(_, of) => of == id,
                What::Started(by)
                | What::Ended(by)
                | What::Killing(by, _)
                | What::Stopping(by, _)
                | What::Signalled(by, _) => processes.contains(by),
                What::Server(_) => true,
            };
            if concerns {
                lines.push((entry.at, format!("{:?}", entry.what)));
            }
        }
        lines.sort();
        let lines: Vec<_> = lines.iter().map(|(at, line)| format!("  {at} {line}")).collect();
        format!("{id}:\n{}", lines.join("\n"))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kills = self.kills();
        let outside =
            |entry: &&Entry| matches!(&entry.what, What::Signalled(_, signal) if signal.contains("KILL"));
        writeln!(
            f,
            "{:?}, seed {}, {} receivers, {:.0?}",
            self.plan.kind, self.plan.seed, self.plan.receivers, self.took
        )?;
        writeln!(
            f,
            "  deliveries {}, events {}, answered 200 {}",
            self.deliveries, self.events, self.acknowledged
        )?;
        writeln!(
            f,
            "  killed {} times by failpoints, {} from outside; server restarted {} times; {} pauses",
            kills.values().sum::<usize>(),
            self.entries.iter().filter(outside).count(),
            self.restarts,
            self.pauses,
        )?;
        let kills: Vec<_> = kills.iter().map(|(point, kills)| format!("{point:?} {kills}")).collect();
        writeln!(f, "  {}", kills.join(", "))?;
        write!(
            f,
            "  lost {}, doubled {}, claimed twice at once {}, doubles explained by a crash or a lost lease {}, unfinished {}",
            self.verdict.lost.len(),
            self.verdict.doubled.len(),
            self.verdict.overlapping.len(),
            self.verdict.explained,
            self.peace.unfinished.len(),
        )
    }
}
