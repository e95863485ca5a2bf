//! What is known of tenants, and for how long. No I/O: the time comes as an argument.

use std::collections::HashMap;
use std::hash::RandomState;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use tokio::sync::OnceCell;

use crate::signature::Keyring;

/// A tenant that has just been created is not refused for longer.
const UNKNOWN_EXPIRY: Duration = Duration::from_secs(30);

/// While the source fails, requests of a tenant whose keys have expired ask it this often.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What a look-up came to.
#[derive(Clone)]
pub(super) enum Answer {
    Keys(Arc<Keyring>),
    NoSuchTenant,
    Failed,
}

/// A look-up that is under way, for all who wait for it.
pub(super) type Flight = Arc<OnceCell<Answer>>;

/// What is at hand for a tenant.
pub(super) enum Cached {
    Keys {
        name: Arc<str>,
        keyring: Arc<Keyring>,
        stale: bool,
    },
    NoSuchTenant,
    /// Nothing: the caller joined this look-up, and must [leave](Cache::leave) it.
    Joined(Arc<str>, Flight),
}

pub(super) struct Cache {
    capacity: usize,
    expiry: Duration,
    grace: Duration,
    known: Lru<Known>,
    /// Apart from those that are known, so that a flood of names evicts none of them.
    unknown: Lru<Instant>,
    flights: HashMap<Arc<str>, Joined>,
}

/// Unbounded ones that we bound by hand: a bounded `LruCache` allocates its table at once.
type Lru<V> = LruCache<Arc<str>, V, RandomState>;

struct Known {
    keyring: Arc<Keyring>,
    /// From when on the source is asked again; at once where this is not set.
    ask_at: Option<Instant>,
    /// Until when the keys may be used where it fails.
    usable_until: Instant,
    /// Whether it failed when it was asked last, so that the tenant may have other keys by now.
    stale: bool,
}

struct Joined {
    flight: Flight,
    waiting: usize,
}

impl Cache {
    pub(super) fn new(capacity: usize, expiry: Duration, grace: Duration) -> Self {
        Self {
            capacity,
            expiry,
            grace,
            known: LruCache::unbounded_with_hasher(RandomState::new()),
            unknown: LruCache::unbounded_with_hasher(RandomState::new()),
            flights: HashMap::new(),
        }
    }

    pub(super) fn get(&mut self, name: &str, now: Instant) -> Cached {
        if let Some((name, known)) = self.known.get_key_value(name)
            && known.ask_at.is_some_and(|ask_at| now < ask_at)
        {
            let (name, keyring) = (Arc::clone(name), Arc::clone(&known.keyring));
            return Cached::Keys { name, keyring, stale: known.stale };
        }
        if self.unknown.get(name).is_some_and(|until| now < *until) {
            return Cached::NoSuchTenant;
        }
        let name = match self.flights.get_key_value(name) {
            Some((name, _)) => Arc::clone(name),
            None => name.into(),
        };
        let joined = self.flights.entry(Arc::clone(&name));
        let joined = joined.or_insert_with(|| Joined { flight: Flight::default(), waiting: 0 });
        joined.waiting += 1;
        Cached::Joined(name, Arc::clone(&joined.flight))
    }

    /// One who waited has gone. A look-up that nobody waits for is over.
    pub(super) fn leave(&mut self, name: &str, flight: &Flight) {
        if let Some(joined) = self.flights.get_mut(name)
            && Arc::ptr_eq(&joined.flight, flight)
        {
            joined.waiting -= 1;
            if joined.waiting == 0 {
                self.flights.remove(name);
            }
        }
    }

    /// Keeps what a look-up came to, unless the tenant has been forgotten since it began.
    pub(super) fn settle(&mut self, name: &Arc<str>, flight: &Flight, answer: &Answer, now: Instant) {
        if !self.flights.get(name).is_some_and(|joined| Arc::ptr_eq(&joined.flight, flight)) {
            return;
        }
        self.flights.remove(name);
        match answer {
            Answer::Keys(keyring) => {
                let ask_at = now + self.expiry;
                let known = Known {
                    keyring: Arc::clone(keyring),
                    ask_at: Some(ask_at),
                    usable_until: ask_at + self.grace,
                    stale: false,
                };
                self.unknown.pop(name);
                put(&mut self.known, self.capacity, name, known);
            }
            Answer::NoSuchTenant => {
                self.known.pop(name);
                put(&mut self.unknown, self.capacity, name, now + UNKNOWN_EXPIRY.min(self.expiry));
            }
            Answer::Failed => {
                if let Some(known) = self.known.get_mut(name) {
                    known.ask_at = Some((now + RETRY_PAUSE).min(known.usable_until));
                    known.stale = true;
                }
            }
        }
    }

    /// Keys that have expired, but may be used while the source fails.
    pub(super) fn stale(&mut self, name: &str, now: Instant) -> Option<Arc<Keyring>> {
        let usable = self.known.get(name).is_some_and(|known| now < known.usable_until);
        if !usable {
            self.known.pop(name);
        }
        self.known.get(name).map(|known| Arc::clone(&known.keyring))
    }

    /// Asks for the tenant with its next request. Until the source has answered its keys stay usable.
    pub(super) fn refresh(&mut self, name: &str) {
        if let Some(known) = self.known.get_mut(name) {
            known.ask_at = None;
        }
        self.unknown.pop(name);
        self.flights.remove(name);
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.known.pop(name);
        self.unknown.pop(name);
        self.flights.remove(name);
    }

    pub(super) fn forget_all(&mut self) {
        self.known.clear();
        self.unknown.clear();
        self.flights.clear();
    }

    /// How many tenants are known, how many names are known to be nobody's, and how many are being looked up.
    #[cfg(test)]
    fn sizes(&self) -> (usize, usize, usize) {
        (self.known.len(), self.unknown.len(), self.flights.len())
    }
}

fn put<V>(lru: &mut Lru<V>, capacity: usize, name: &Arc<str>, value: V) {
    lru.put(Arc::clone(name), value);
    while lru.len() > capacity {
        lru.pop_lru();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::{Authenticator, SignatureScheme};

    const SECOND: Duration = Duration::from_secs(1);
    const EXPIRY: Duration = Duration::from_secs(300);
    const GRACE: Duration = Duration::from_secs(3_600);

    fn keys() -> Answer {
        let scheme = SignatureScheme::hmac_sha256("etag").resolve().unwrap();
        Answer::Keys(Arc::new(Authenticator::Data(Box::new(scheme)).decoy().unwrap()))
    }

    /// A cache and a time that the test moves.
    struct Scene {
        cache: Cache,
        now: Instant,
    }

    impl Scene {
        fn new(capacity: usize) -> Self {
            Self { cache: Cache::new(capacity, EXPIRY, GRACE), now: Instant::now() }
        }

        fn says(&mut self, name: &str) -> &'static str {
            match self.cache.get(name, self.now) {
                Cached::Keys { name: found, stale, .. } => {
                    assert_eq!(&*found, name);
                    if stale { "stale keys" } else { "keys" }
                }
                Cached::NoSuchTenant => "nobody",
                Cached::Joined(_, flight) => {
                    self.cache.leave(name, &flight);
                    "ask"
                }
            }
        }

        fn join(&mut self, name: &str) -> (Arc<str>, Flight) {
            match self.cache.get(name, self.now) {
                Cached::Joined(name, flight) => (name, flight),
                _ => panic!("{name} is at hand"),
            }
        }

        fn learn(&mut self, name: &str, answer: &Answer) {
            let (name, flight) = self.join(name);
            self.cache.settle(&name, &flight, answer, self.now);
            self.cache.leave(&name, &flight);
        }

        fn is_usable(&mut self, name: &str) -> bool {
            self.cache.stale(name, self.now).is_some()
        }
    }

    #[test]
    fn keys_and_unknown_names_expire() {
        let mut scene = Scene::new(10);
        assert_eq!(scene.says("acme"), "ask");
        scene.learn("acme", &keys());
        scene.learn("nobody", &Answer::NoSuchTenant);
        assert_eq!((scene.says("acme"), scene.says("nobody")), ("keys", "nobody"));
        scene.now += 30 * SECOND - Duration::from_nanos(1);
        assert_eq!(scene.says("nobody"), "nobody");
        scene.now += Duration::from_nanos(1);
        assert_eq!((scene.says("acme"), scene.says("nobody")), ("keys", "ask"));
        scene.now += EXPIRY - 30 * SECOND - Duration::from_nanos(1);
        assert_eq!(scene.says("acme"), "keys");
        scene.now += Duration::from_nanos(1);
        assert_eq!(scene.says("acme"), "ask");
    }

    #[test]
    fn t008_keys_outlive_an_outage_as_long_as_the_grace() {
        let mut scene = Scene::new(10);
        scene.learn("acme", &keys());
        scene.now += EXPIRY;
        scene.learn("acme", &Answer::Failed);
        assert!(scene.is_usable("acme"));
        assert_eq!(scene.says("acme"), "stale keys", "asked again too soon");
        scene.now += 5 * SECOND;
        assert_eq!(scene.says("acme"), "ask");
        scene.now += GRACE - 5 * SECOND - Duration::from_nanos(1);
        scene.learn("acme", &Answer::Failed);
        assert_eq!(scene.says("acme"), "stale keys");
        scene.now += Duration::from_nanos(1);
        assert_eq!(scene.says("acme"), "ask", "the pause does not prolong the grace");
        assert!(!scene.is_usable("acme"));
        assert_eq!(scene.cache.sizes(), (0, 0, 0));
    }

    #[test]
    fn a_tenant_is_either_known_or_not() {
        let mut scene = Scene::new(10);
        scene.learn("acme", &keys());
        scene.now += EXPIRY;
        scene.learn("acme", &Answer::NoSuchTenant);
        assert!(!scene.is_usable("acme"), "a tenant who is gone stays");
        assert_eq!(scene.cache.sizes(), (0, 1, 0));
        scene.now += 30 * SECOND;
        scene.learn("acme", &keys());
        assert_eq!(scene.cache.sizes(), (1, 0, 0));
    }

    #[test]
    fn t007_made_up_names_evict_no_tenant() {
        let mut scene = Scene::new(2);
        scene.learn("acme", &keys());
        scene.learn("zorg", &keys());
        for made_up in 0..100 {
            scene.learn(&format!("made-up-{made_up}"), &Answer::NoSuchTenant);
        }
        assert_eq!(scene.cache.sizes(), (2, 2, 0));
        assert_eq!((scene.says("acme"), scene.says("zorg")), ("keys", "keys"));
        scene.says("acme");
        scene.learn("third", &keys());
        assert_eq!((scene.says("acme"), scene.says("zorg")), ("keys", "ask"), "the least recently used goes");
    }

    #[test]
    fn those_who_wait_share_a_look_up_until_the_last_has_gone() {
        let mut scene = Scene::new(10);
        let ((_, first), (_, second)) = (scene.join("acme"), scene.join("acme"));
        assert!(Arc::ptr_eq(&first, &second));
        scene.cache.leave("acme", &first);
        assert_eq!(scene.cache.sizes(), (0, 0, 1));
        scene.cache.leave("acme", &second);
        assert_eq!(scene.cache.sizes(), (0, 0, 0));
        let (_, third) = scene.join("acme");
        scene.cache.leave("acme", &second);
        assert_eq!(scene.cache.sizes(), (0, 0, 1), "who has gone counts once");
        assert!(!Arc::ptr_eq(&third, &second));
    }

    #[test]
    fn what_was_looked_up_before_a_change_is_not_kept() {
        let changes: [fn(&mut Cache); 3] =
            [|cache| cache.forget("acme"), |cache| cache.refresh("acme"), Cache::forget_all];
        for change in changes {
            let mut scene = Scene::new(10);
            let (name, before) = scene.join("acme");
            change(&mut scene.cache);
            let (_, after) = scene.join("acme");
            assert!(!Arc::ptr_eq(&before, &after), "a request after the change waits for what began before");
            scene.cache.settle(&name, &before, &keys(), scene.now);
            assert_eq!(scene.cache.sizes(), (0, 0, 1));
            scene.cache.settle(&name, &after, &keys(), scene.now);
            assert_eq!(scene.says("acme"), "keys");
        }
    }

    #[test]
    fn refreshed_keys_are_usable_while_the_source_fails_and_forgotten_ones_are_not() {
        let mut scene = Scene::new(10);
        scene.learn("acme", &keys());
        scene.learn("nobody", &Answer::NoSuchTenant);
        scene.cache.refresh("acme");
        scene.cache.refresh("nobody");
        assert_eq!((scene.says("acme"), scene.says("nobody")), ("ask", "ask"));
        scene.learn("acme", &Answer::Failed);
        assert!(scene.is_usable("acme"));
        assert_eq!(scene.says("acme"), "stale keys");
        scene.now += 5 * SECOND;
        scene.learn("acme", &keys());
        assert_eq!(scene.says("acme"), "keys", "the source has answered again");
        scene.cache.forget("acme");
        assert_eq!(scene.says("acme"), "ask");
        assert!(!scene.is_usable("acme"));
    }
}
