//! Paired measurements: every subject runs in every round, so that a noisy machine slows all of them alike.
#![allow(dead_code, reason = "not every benchmark uses all of it")]

use std::time::{Duration, Instant};

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Rounds that only warm caches, branch predictors and the allocator.
pub(crate) const WARM_UP: usize = 2;

/// One thing to measure: `prepare` makes the inputs of a round, outside of the time; `run` uses them up.
pub(crate) struct Subject<'a> {
    pub(crate) name: String,
    /// The largest ratio to the baseline that is good enough.
    pub(crate) goal: Option<f64>,
    round: Box<dyn FnMut() -> (Duration, usize, usize) + 'a>,
}

impl<'a> Subject<'a> {
    pub(crate) fn new<I: 'a>(
        name: impl Into<String>,
        goal: Option<f64>,
        mut prepare: impl FnMut() -> Vec<I> + 'a,
        mut run: impl FnMut(I) + 'a,
    ) -> Self {
        let round = move || {
            let inputs = prepare();
            let count = inputs.len();
            let region = Region::new(ALLOCATOR);
            let start = Instant::now();
            for input in inputs {
                run(input);
            }
            let elapsed = start.elapsed();
            (elapsed, count, region.change().allocations)
        };
        Self { name: name.into(), goal, round: Box::new(round) }
    }
}

/// What became of a subject.
pub(crate) struct Measured {
    pub(crate) name: String,
    pub(crate) goal: Option<f64>,
    pub(crate) nanos: f64,
    /// The median over the rounds of the ratio to the baseline of the same round.
    pub(crate) ratio: f64,
    pub(crate) allocations: f64,
}

/// Measures all subjects against the first.
pub(crate) fn measure(rounds: usize, mut subjects: Vec<Subject<'_>>) -> Vec<Measured> {
    let mut samples = vec![Vec::new(); subjects.len()];
    let mut allocations = vec![0.0; subjects.len()];
    for round in 0..rounds + WARM_UP {
        for (index, subject) in subjects.iter_mut().enumerate() {
            let (elapsed, count, allocated) = (subject.round)();
            if round >= WARM_UP {
                samples[index].push(elapsed.as_nanos() as f64 / count as f64);
                allocations[index] = allocated as f64 / count as f64;
            }
        }
    }
    let baseline = samples[0].clone();
    let measured =
        subjects.into_iter().zip(samples).zip(allocations).map(|((subject, nanos), allocations)| {
            let ratios = nanos.iter().zip(&baseline).map(|(nanos, base)| nanos / base).collect();
            let (name, goal) = (subject.name, subject.goal);
            Measured { name, goal, nanos: median(nanos), ratio: median(ratios), allocations }
        });
    measured.collect()
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

pub(crate) fn print(title: &str, measured: &[Measured]) {
    println!("\n{title}");
    println!("{:<58} {:>12} {:>8} {:>8} {:>8}", "", "ns", "ratio", "goal", "allocs");
    for Measured { name, goal, nanos, ratio, allocations } in measured {
        let goal = goal.map_or(String::new(), |goal| format!("{goal:.2}"));
        println!("{name:<58} {nanos:>12.1} {ratio:>8.3} {goal:>8} {allocations:>8.2}");
    }
}
