//! What a done mark costs in memory: bytes requested from the allocator, counted by an instrumented one (which
//! is why this is not in `dedup`: counting slows two threads down), and on Linux resident memory, which has the
//! allocator's own overhead in it.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::cast_precision_loss)]

use std::alloc::System;
use std::time::Duration;

use futures_util::FutureExt as _;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tower_webhook::dedup::{Claim, ClaimRequest, DedupStore, LruStore};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const LEASE: Duration = Duration::from_secs(30);
const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);
const MARKS: usize = 1_000_000;

fn main() {
    let resident_before = resident();
    let region = Region::new(ALLOCATOR);
    let store = LruStore::new(usize::MAX);
    let empty = held(&region);
    drop(store);

    let region = Region::new(ALLOCATOR);
    let store = LruStore::new(MARKS);
    finish(&store, 0..MARKS);
    let (requested, marks) = (held(&region), store.stats().done());
    assert_eq!(marks, MARKS);
    let resident = resident().zip(resident_before).map(|(now, before)| now.saturating_sub(before));
    finish(&store, MARKS..4 * MARKS);
    let (churned, kept) = (held(&region), store.stats().done());

    println!("\n{:<60}{:>12}{:>12}", "", "measured", "goal");
    row("heap requested by an empty store of capacity usize::MAX", &format!("{empty} B"), "< 16 KiB");
    row("heap requested a mark at 1,000,000 marks", &each(requested, marks), "<= 100 B");
    row("the same after 3,000,000 more events", &each(churned, kept), "<= 100 B");
    if let Some(resident) = resident {
        row("resident memory a mark at 1,000,000 marks", &each(resident, marks), "");
    }
    assert!(empty < 16 * 1024 && requested <= 100 * marks && churned <= 100 * kept);
}

fn finish(store: &LruStore, ids: std::ops::Range<usize>) {
    for n in ids {
        let id = format!("evt_{n:024}");
        let request = ClaimRequest::new("caspay", "payment.completed", &id, LEASE);
        let claim = store.claim(&request).now_or_never().unwrap().unwrap();
        let Claim::Acquired(lease) = claim else { panic!("a new id") };
        store.complete(&lease, WEEK).now_or_never().unwrap().unwrap();
    }
}

/// Bytes requested and not given back since the region began. The allocator counts a reallocation that grows
/// as allocated and one that shrinks as deallocated.
fn held(region: &Region<'_, System>) -> usize {
    let change = region.change();
    change.bytes_allocated.saturating_sub(change.bytes_deallocated)
}

/// Resident bytes of this process, where the system tells.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse::<usize>().ok().map(|kilobytes| kilobytes * 1024)
}

fn each(bytes: usize, marks: usize) -> String {
    format!("{:.1} B", bytes as f64 / marks as f64)
}

fn row(what: &str, measured: &str, goal: &str) {
    println!("{what:<60}{measured:>12}{goal:>12}");
}
