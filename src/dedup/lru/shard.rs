//! One shard: which events are done, which are in flight, and who has to go. Pure: the time is an argument.

use std::time::Duration;

use lru::LruCache;

use super::key::{KeyHasher, ShortKey};
use crate::dedup::{Claim, Completion, DedupKey, Lease, StoreError};

/// Shards of a large store. One mutex loses throughput with the second thread, sixteen gain.
const SHARDS: usize = 16;

/// Below this many marks a shard's slack would outweigh the marks, and locks are not what limits.
const SHARDED_FROM: usize = 4_096;

/// How many dead entries one operation clears away. Two, since an operation adds one: a backlog shrinks.
const SWEEP: usize = 2;

/// How many shards a store of `capacity` marks has, and how many marks each may hold.
///
/// Keys fall into the shards at random, so that the fullest gets more than the mean. A slack of eight
/// standard deviations makes "the last `capacity` events are remembered" certain for any practical purpose.
pub(super) fn plan(capacity: usize) -> (usize, usize) {
    if capacity < SHARDED_FROM {
        return (1, capacity);
    }
    let mean = capacity.div_ceil(SHARDS);
    (SHARDS, mean.saturating_add(8 * mean.isqrt().saturating_add(1)))
}

/// A done event. Seconds since the store was made; a million marks want to be small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    recorded: u32,
    expires: u32,
}

impl Mark {
    fn new(now: Duration, retain: Duration) -> Self {
        let end = now.saturating_add(retain);
        let rounded_up = end.as_secs().saturating_add(u64::from(end.subsec_nanos() > 0));
        Self { recorded: saturate(now.as_secs()), expires: saturate(rounded_up) }
    }

    fn is_live(self, now: Duration) -> bool {
        now.as_secs() < u64::from(self.expires)
    }

    fn age(self, now: Duration) -> Duration {
        Duration::from_secs(now.as_secs().saturating_sub(self.recorded.into()))
    }
}

/// A `u32` of seconds is 136 years: what lies beyond does not happen.
fn saturate(seconds: u64) -> u32 {
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// A claimed event.
#[derive(Clone, Copy)]
struct Held {
    fence: u64,
    expires: Duration,
}

/// The events whose keys fall into one shard. None is in both maps.
///
/// Both maps are unbounded ones that we bound by hand: a bounded `LruCache` allocates its table at once.
pub(super) struct Shard {
    /// In the order of being seen: completed, or met by a redelivery.
    done: LruCache<ShortKey, Mark, KeyHasher>,
    /// In the order of being claimed, which for equal leases is the order of expiry.
    in_flight: LruCache<ShortKey, Held, KeyHasher>,
    limit: usize,
    last_fence: u64,
    taken_over: u64,
    abandoned: u64,
}

impl Shard {
    pub(super) fn new(limit: usize, hasher: KeyHasher) -> Self {
        Self {
            done: LruCache::unbounded_with_hasher(hasher),
            in_flight: LruCache::unbounded_with_hasher(hasher),
            limit,
            last_fence: 0,
            taken_over: 0,
            abandoned: 0,
        }
    }

    pub(super) fn claim(
        &mut self,
        key: &DedupKey,
        lease: Duration,
        now: Duration,
    ) -> Result<Claim, StoreError> {
        let short = ShortKey::new(key);
        match self.done.get(&short).copied() {
            Some(mark) if mark.is_live(now) => return Ok(Claim::Done),
            Some(_expired) => _ = self.done.pop(&short),
            None => {}
        }
        match self.in_flight.peek(&short) {
            Some(held) if now < held.expires => {
                return Ok(Claim::InFlight { retry_after: held.expires.saturating_sub(now) });
            }
            Some(_expired) => self.taken_over += 1,
            None => {
                self.collect_abandoned(now);
                if self.in_flight.len() >= self.limit {
                    return Err(StoreError::full());
                }
            }
        }
        self.last_fence += 1;
        let held = Held { fence: self.last_fence, expires: now.saturating_add(lease) };
        self.in_flight.put(short, held);
        Ok(Claim::Acquired(Lease::new(*key, held.fence)))
    }

    /// Also says whether a mark had to go whose retention had not ended.
    pub(super) fn complete(&mut self, lease: &Lease, retain: Duration, now: Duration) -> (Completion, bool) {
        let short = ShortKey::new(lease.key());
        let completion = match self.in_flight.pop(&short) {
            Some(held) if held.fence == lease.fence() => Completion::Completed,
            _ => Completion::LeaseLost,
        };
        self.collect_expired(now);
        if let Some(before) = self.done.put(short, Mark::new(now, retain))
            && let Some(mark) = self.done.peek_mut(&short)
        {
            // Done twice: the later end holds.
            mark.expires = mark.expires.max(before.expires);
        }
        (completion, self.evict_beyond_limit())
    }

    pub(super) fn release(&mut self, lease: &Lease) {
        let short = ShortKey::new(lease.key());
        if self.in_flight.peek(&short).is_some_and(|held| held.fence == lease.fence()) {
            self.in_flight.pop(&short);
        }
    }

    pub(super) fn forget(&mut self, key: &DedupKey) {
        self.done.pop(&ShortKey::new(key));
    }

    pub(super) fn done(&self) -> usize {
        self.done.len()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    pub(super) fn taken_over(&self) -> u64 {
        self.taken_over
    }

    pub(super) fn abandoned(&self) -> u64 {
        self.abandoned
    }

    pub(super) fn oldest_mark_age(&self, now: Duration) -> Option<Duration> {
        self.done.peek_lru().map(|(_, mark)| mark.age(now))
    }

    /// Frees what dropped holders left behind. A longer lease shields the shorter ones claimed after it
    /// until it ends: late, but not for ever, and never more than the limit.
    fn collect_abandoned(&mut self, now: Duration) {
        for _ in 0..SWEEP {
            match self.in_flight.peek_lru() {
                Some((_, held)) if held.expires <= now => _ = self.in_flight.pop_lru(),
                _ => return,
            }
            self.abandoned += 1;
        }
    }

    fn collect_expired(&mut self, now: Duration) {
        for _ in 0..SWEEP {
            match self.done.peek_lru() {
                Some((_, mark)) if !mark.is_live(now) => _ = self.done.pop_lru(),
                _ => return,
            }
        }
    }

    /// Evicts at most one mark, for a completion adds at most one. It is a live one: had it expired,
    /// `collect_expired` would have made room.
    fn evict_beyond_limit(&mut self) -> bool {
        self.done.len() > self.limit && self.done.pop_lru().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(30);
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const NS: Duration = Duration::from_nanos(1);

    fn shard(limit: usize) -> Shard {
        Shard::new(limit, KeyHasher::random())
    }

    fn key(n: usize) -> DedupKey {
        DedupKey::new("scope", "type", &n.to_string())
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    impl Shard {
        #[track_caller]
        fn acquire(&mut self, key: &DedupKey, now: Duration) -> Lease {
            match self.claim(key, LEASE, now) {
                Ok(Claim::Acquired(lease)) => lease,
                other => panic!("expected an acquired claim, found {other:?}"),
            }
        }

        #[track_caller]
        fn finish(&mut self, key: &DedupKey, retain: Duration, now: Duration) -> bool {
            let lease = self.acquire(key, now);
            let (completion, evicted_young) = self.complete(&lease, retain, now);
            assert_eq!(completion, Completion::Completed);
            evicted_young
        }

        /// Without touching the order.
        fn knows(&self, key: &DedupKey) -> bool {
            self.done.contains(&ShortKey::new(key))
        }
    }

    #[test]
    fn plan_has_one_shard_below_4096_and_slack_above() {
        assert_eq!(plan(1), (1, 1));
        assert_eq!(plan(4_095), (1, 4_095));
        // 256 and eight times its root of 16, rounded up.
        assert_eq!(plan(4_096), (16, 256 + 8 * 17));
        assert_eq!(plan(4_097), (16, 257 + 8 * 17));
        assert_eq!(plan(1_000_000), (16, 62_500 + 8 * 251));
        let (shards, limit) = plan(usize::MAX);
        assert!(shards == 16 && limit > usize::MAX / 16);
    }

    #[test]
    fn a_mark_expires_at_the_next_whole_second_and_never_early() {
        for (now, retain, end) in [
            (secs(0), secs(7), 7),
            (secs(3), secs(7), 10),
            (millis(500), secs(7), 8),
            (millis(500), millis(500), 1),
            (millis(500), millis(500) + NS, 2),
            (secs(3), NS, 4),
            (secs(3), secs(0), 3),
        ] {
            let mark = Mark::new(now, retain);
            assert!(mark.is_live(secs(end) - NS) || retain.is_zero(), "{now:?} {retain:?}");
            assert!(!mark.is_live(secs(end)), "{now:?} {retain:?}");
        }
    }

    #[test]
    fn huge_retention_saturates() {
        for retain in [Duration::MAX, secs(u64::MAX), secs(u64::from(u32::MAX))] {
            let mark = Mark::new(millis(1_500), retain);
            assert_eq!(mark, Mark { recorded: 1, expires: u32::MAX });
        }
        assert_eq!(Mark::new(Duration::MAX, DAY), Mark { recorded: u32::MAX, expires: u32::MAX });
    }

    #[test]
    fn age_counts_whole_seconds() {
        let mark = Mark::new(millis(2_900), DAY);
        assert_eq!(mark.age(millis(2_950)), secs(0));
        assert_eq!(mark.age(secs(9)), secs(7));
        // Another thread may have read the clock earlier and come later.
        assert_eq!(mark.age(secs(1)), secs(0));
    }

    #[test]
    fn a_lease_ends_at_exactly_its_instant() {
        let (mut shard, k) = (shard(10), key(1));
        let first = shard.acquire(&k, secs(5));
        let claim = shard.claim(&k, LEASE, secs(35) - NS).unwrap();
        assert_eq!(claim, Claim::InFlight { retry_after: NS });
        assert_eq!(shard.taken_over(), 0);
        let second = shard.acquire(&k, secs(35));
        assert!(second.fence() > first.fence());
        assert_eq!((shard.taken_over(), shard.abandoned(), shard.in_flight()), (1, 0, 1));
        // The successor has a whole lease of its own.
        let claim = shard.claim(&k, LEASE, secs(35)).unwrap();
        assert_eq!(claim, Claim::InFlight { retry_after: LEASE });
    }

    #[test]
    fn an_endless_lease_does_not_overflow() {
        let (mut shard, k) = (shard(10), key(1));
        assert!(matches!(shard.claim(&k, Duration::MAX, secs(1)), Ok(Claim::Acquired(_))));
        assert!(matches!(shard.claim(&k, LEASE, secs(u64::MAX)), Ok(Claim::InFlight { .. })));
    }

    #[test]
    fn fences_count_from_one_and_never_repeat() {
        let mut shard = shard(10);
        let fences: Vec<u64> = (0..5)
            .map(|n| {
                let lease = shard.acquire(&key(n % 2), secs(0));
                shard.release(&lease);
                lease.fence()
            })
            .collect();
        assert_eq!(fences, [1, 2, 3, 4, 5]);
    }

    #[test]
    fn release_needs_the_current_fence() {
        let (mut shard, k) = (shard(10), key(1));
        let stale = shard.acquire(&k, secs(0));
        let current = shard.acquire(&k, LEASE);
        shard.release(&stale);
        assert_eq!(shard.in_flight(), 1);
        shard.release(&current);
        assert_eq!(shard.in_flight(), 0);
        shard.release(&current);
        assert_eq!((shard.in_flight(), shard.done()), (0, 0));
    }

    #[test]
    fn completion_behind_the_lease_counts_while_nobody_took_over() {
        let (mut shard, k) = (shard(10), key(1));
        let lease = shard.acquire(&k, secs(0));
        assert_eq!(shard.complete(&lease, DAY, secs(31)), (Completion::Completed, false));
        assert_eq!((shard.in_flight(), shard.done()), (0, 1));
        // The answer was lost and the caller repeats it: nobody holds the event any more.
        assert_eq!(shard.complete(&lease, DAY, secs(32)), (Completion::LeaseLost, false));
        assert_eq!((shard.in_flight(), shard.done()), (0, 1));
    }

    #[test]
    fn completion_by_a_stale_holder_ends_in_done_and_ends_the_successors_claim() {
        let (mut shard, k) = (shard(10), key(1));
        let stale = shard.acquire(&k, secs(0));
        let current = shard.acquire(&k, LEASE);
        assert_eq!(shard.complete(&stale, DAY, LEASE), (Completion::LeaseLost, false));
        assert_eq!((shard.in_flight(), shard.done()), (0, 1));
        shard.release(&current);
        assert_eq!(shard.claim(&k, LEASE, LEASE).unwrap(), Claim::Done);
        assert_eq!(shard.complete(&current, DAY, LEASE), (Completion::LeaseLost, false));
    }

    #[test]
    fn a_done_mark_is_found_until_exactly_its_end_then_removed() {
        let (mut shard, k) = (shard(10), key(1));
        shard.finish(&k, secs(7), secs(1));
        assert_eq!(shard.claim(&k, LEASE, secs(8) - NS).unwrap(), Claim::Done);
        assert_eq!(shard.done(), 1);
        shard.acquire(&k, secs(8));
        assert_eq!((shard.done(), shard.in_flight()), (0, 1));
    }

    #[test]
    fn a_second_completion_never_shortens_the_retention() {
        let (mut shard, k) = (shard(10), key(1));
        let lease = shard.acquire(&k, secs(0));
        shard.complete(&lease, secs(100), secs(0));
        shard.complete(&lease, secs(10), secs(5));
        assert_eq!(shard.claim(&k, LEASE, secs(100) - NS).unwrap(), Claim::Done);
        shard.complete(&lease, secs(100), secs(5));
        assert_eq!(shard.claim(&k, LEASE, secs(105) - NS).unwrap(), Claim::Done);
        shard.acquire(&k, secs(105));
    }

    #[test]
    fn forget_removes_the_mark_and_leaves_the_claim() {
        let (mut shard, k) = (shard(10), key(1));
        shard.finish(&k, DAY, secs(0));
        shard.forget(&k);
        assert_eq!(shard.done(), 0);
        shard.acquire(&k, secs(0));
        shard.forget(&k);
        assert_eq!(shard.in_flight(), 1);
    }

    #[test]
    fn the_mark_seen_longest_ago_goes_and_a_hit_counts_as_seen() {
        let mut shard = shard(3);
        for n in 1..=3 {
            assert!(!shard.finish(&key(n), DAY, secs(0)), "the third of three still fits");
        }
        assert_eq!(shard.claim(&key(1), LEASE, secs(0)).unwrap(), Claim::Done);
        assert!(shard.finish(&key(4), DAY, secs(0)));
        assert_eq!([1, 2, 3, 4].map(|n| shard.knows(&key(n))), [true, false, true, true]);
        assert!(shard.finish(&key(5), DAY, secs(0)));
        assert_eq!([1, 3, 4, 5].map(|n| shard.knows(&key(n))), [true, false, true, true]);
    }

    #[test]
    fn an_evicted_mark_is_young_until_exactly_its_end() {
        for (now, young) in [(secs(8) - NS, true), (secs(8), false)] {
            let mut shard = shard(1);
            shard.finish(&key(1), secs(8), secs(0));
            assert_eq!(shard.finish(&key(2), DAY, now), young);
            assert_eq!(shard.done(), 1);
            assert!(shard.knows(&key(2)));
        }
    }

    #[test]
    fn an_expired_mark_makes_room_before_a_live_one_is_evicted() {
        let mut shard = shard(2);
        shard.finish(&key(1), secs(8), secs(0));
        shard.finish(&key(2), DAY, secs(0));
        assert!(!shard.finish(&key(3), DAY, secs(8)));
        assert_eq!([1, 2, 3].map(|n| shard.knows(&key(n))), [false, true, true]);
    }

    #[test]
    fn a_hit_does_not_move_the_end() {
        let (mut shard, k) = (shard(10), key(1));
        shard.finish(&k, secs(10), secs(0));
        assert_eq!(shard.claim(&k, LEASE, secs(9)).unwrap(), Claim::Done);
        shard.acquire(&k, secs(10));
    }

    #[test]
    fn a_completion_clears_at_most_two_expired_marks() {
        let mut shard = shard(10);
        for n in 0..5 {
            shard.finish(&key(n), secs(10), secs(0));
        }
        shard.finish(&key(5), DAY, secs(10) - NS);
        assert_eq!(shard.done(), 6);
        shard.finish(&key(6), DAY, secs(10));
        assert_eq!(shard.done(), 5);
        shard.finish(&key(7), DAY, secs(10));
        assert_eq!(shard.done(), 4);
        shard.finish(&key(8), DAY, secs(10));
        assert_eq!([4, 5, 6, 7, 8].map(|n| shard.knows(&key(n))), [false, true, true, true, true]);
    }

    #[test]
    fn in_flight_is_bounded_by_the_limit_and_never_evicted() {
        let mut shard = shard(3);
        let leases = [1, 2, 3].map(|n| shard.acquire(&key(n), secs(0)));
        assert!(shard.claim(&key(4), LEASE, secs(0)).unwrap_err().is_full());
        for n in 1..=3 {
            assert!(matches!(shard.claim(&key(n), LEASE, secs(0)), Ok(Claim::InFlight { .. })));
        }
        shard.release(&leases[1]);
        shard.acquire(&key(4), secs(0));
        assert!(shard.claim(&key(5), LEASE, secs(0)).unwrap_err().is_full());
        // A take-over needs no room.
        shard.acquire(&key(1), LEASE);
        assert_eq!(shard.in_flight(), 3);
    }

    #[test]
    fn marks_do_not_displace_claims() {
        let mut shard = shard(3);
        let lease = shard.acquire(&key(0), secs(0));
        for n in 1..100 {
            shard.finish(&key(n), DAY, secs(0));
        }
        assert_eq!((shard.done(), shard.in_flight()), (3, 1));
        assert_eq!(shard.complete(&lease, DAY, secs(0)).0, Completion::Completed);
    }

    #[test]
    fn abandoned_claims_are_collected_two_at_a_time_from_exactly_their_end() {
        let mut shard = shard(10);
        for n in 0..5 {
            shard.acquire(&key(n), secs(0));
        }
        shard.acquire(&key(5), LEASE - NS);
        assert_eq!((shard.in_flight(), shard.abandoned()), (6, 0));
        shard.acquire(&key(6), LEASE);
        assert_eq!((shard.in_flight(), shard.abandoned()), (5, 2));
        shard.acquire(&key(7), LEASE);
        shard.acquire(&key(8), LEASE);
        assert_eq!((shard.in_flight(), shard.abandoned()), (4, 5));
        assert_eq!(shard.taken_over(), 0);
    }

    #[test]
    fn a_longer_lease_delays_the_collection_of_shorter_ones_until_it_ends() {
        let mut shard = shard(10);
        shard.claim(&key(0), 10 * LEASE, secs(0)).unwrap();
        shard.acquire(&key(1), secs(0));
        shard.acquire(&key(2), 9 * LEASE);
        assert_eq!(shard.abandoned(), 0);
        shard.acquire(&key(3), 10 * LEASE);
        assert_eq!((shard.abandoned(), shard.in_flight()), (2, 2));
    }

    #[test]
    fn abandoned_claims_never_fill_the_shard_for_good() {
        let mut shard = shard(3);
        for round in 0..1_000_u32 {
            for n in 0..3 {
                shard.acquire(&key(3 * round as usize + n), round * LEASE);
            }
            assert!(shard.claim(&key(9_999), LEASE, round * LEASE).unwrap_err().is_full());
        }
        assert_eq!((shard.in_flight(), shard.done()), (3, 0));
    }

    #[test]
    fn the_oldest_mark_is_the_next_to_go() {
        let mut shard = shard(10);
        assert_eq!(shard.oldest_mark_age(secs(100)), None);
        shard.finish(&key(1), DAY, secs(10));
        shard.finish(&key(2), DAY, secs(40));
        assert_eq!(shard.oldest_mark_age(secs(100)), Some(secs(90)));
        assert_eq!(shard.claim(&key(1), LEASE, secs(50)).unwrap(), Claim::Done);
        assert_eq!(shard.oldest_mark_age(secs(100)), Some(secs(60)));
    }
}
