//! Marks in Redis or Valkey. [`RedisStore`] asks, one Lua script a transition decides, `check` reads what the server
//! says of itself.

mod check;
mod script;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use redis::Value;
use redis::aio::ConnectionLike;

use self::check::Report;
use self::script::failed;
use super::{
    Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease, StoreError, StoreInfo, StoreWarning,
};
use crate::dedup::warning::logged;
use crate::error::ConfigError;

const DEFAULT_PREFIX: &str = "webhook:";

/// Every byte of it is paid for with every mark.
const MAX_PREFIX: usize = 64;

/// For how long the fence of a claim that was given up is remembered, so that the next one is larger even if the
/// server's clock was set back in between: a minute covers a correction, at the price of a key.
const TOMBSTONE: Duration = Duration::from_secs(60);

/// Redis adds its own time to an expiry, and the sum must fit its integers.
const MAX_MILLIS: u64 = u64::MAX / 4;

/// 16 digits: the year 2286, in microseconds.
const MAX_FENCE: u64 = 9_999_999_999_999_999;

/// Deduplicates in Redis or Valkey, for any number of instances.
///
/// Takes a connection of yours and clones it for every operation, which costs no socket: a `ConnectionManager`,
/// which reconnects, a `ClusterConnection`, or a `MultiplexedConnection`, which stays broken once it breaks. It needs
/// Redis 5 or later; run on Redis 7.
///
/// # What it costs
///
/// `claim` and `complete` are one round trip each, a script by its digest. A server that has not seen the script yet,
/// since it was started or promoted, is sent it whole with the first operation.
///
/// The server spends more on a script than on a bare `SET`: one connection with many events on their way brings about
/// half of the events that two such commands would (`benches/redis.rs`).
///
/// A mark is one key of 53 bytes with the default prefix and one integer: 104 bytes by `MEMORY USAGE` on Redis 7,
/// and 165 with its places in the server's tables of keys and expiries (`benches/redis.rs`). Every key ends by itself, with its
/// lease, its retention or, after a release, a minute.
///
/// # What the server must be told
///
/// - **`maxmemory-policy noeviction`.** With any other, a server whose memory is full drops marks, and their
///   events run again. With `noeviction` it refuses new claims instead, and the sender is answered 503; what is in
///   flight can still be completed.
/// - **`appendonly yes`.** A server without it comes back empty from a restart, and everything that is redelivered
///   runs again. With `appendfsync everysec`, its default, a crash of the machine costs the marks of the last second, and
///   a kill of a server whose disk lags behind those of up to two; `always` costs none.
///
/// [`check`](Self::check) reads both and warns.
///
/// # What a failover costs
///
/// Replication is asynchronous: a replica that is promoted may lack the last claims and marks. An event whose mark is
/// lost runs again when it is redelivered; one whose claim is lost may run a second time beside the first. Those are
/// **duplicates, never losses**: an event is answered 200 only once its handler is done, and whatever the store
/// forgets is at worst done again. The completion of a claim that the server has lost reports
/// [`LeaseLost`](Completion::LeaseLost), and is counted. Where a second run costs more than that, make the effect
/// idempotent by the event's id, or commit it together with the mark in a database.
///
/// # Cluster
///
/// An operation uses one key, whose hash tag is the whole digest of the event: marks spread evenly over all slots, and
/// nothing in a sender's id can move one. Reads from replicas are never used.
///
/// # Time
///
/// The server's clock decides, and only durations are sent, so that instances may disagree about the time. Durations
/// are rounded up to whole milliseconds.
///
/// # Errors
///
/// Something under a key that this store did not write is [`StoreError::is_corrupt`], and never taken for a new
/// event: a list, an unknown state, a mark without expiry. A connection that waits longer than its response timeout is
/// [`StoreError::is_timeout`]; everything else is [`StoreError::is_unavailable`], with the server's words as source.
///
/// # Examples
///
/// ```no_run
/// use tower_webhook::{EventRouter, RedisStore, Secrets, WebhookLayer, caspay};
///
/// # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
/// let client = redis::Client::open("redis://127.0.0.1/")?;
/// let store = RedisStore::new(client.get_connection_manager().await?);
/// for warning in store.check().await? {
///     eprintln!("{warning}");
/// }
///
/// let webhook = WebhookLayer::new(caspay::provider(), Secrets::from_env("CASPAY_WEBHOOK_SECRET")?)?
///     .with_store(store)
///     .with_dispatch(EventRouter::new());
/// # drop(webhook);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct RedisStore<C> {
    connection: C,
    prefix: Arc<str>,
    durable: Arc<AtomicBool>,
}

impl<C> RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    /// A store behind `connection`, its keys beginning with `webhook:`. Nothing is sent yet.
    ///
    /// Leave the connection's response timeout at or below [`Timing::store_timeout`](crate::Timing::store_timeout);
    /// the client's default is 500 ms.
    #[must_use]
    pub fn new(connection: C) -> Self {
        Self { connection, prefix: DEFAULT_PREFIX.into(), durable: Arc::default() }
    }

    /// The same, with keys that begin with `prefix`, for a server that others use too. Default `webhook:`, which is
    /// short, since every mark pays for it. Stores of another prefix see other marks: choose it once.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidKeyPrefix`] unless it is 1 to 64 visible ASCII characters without braces: a brace
    /// would move every mark to one slot of a cluster.
    pub fn with_prefix(mut self, prefix: &str) -> Result<Self, ConfigError> {
        self.prefix = valid_prefix(prefix)?.into();
        Ok(self)
    }

    /// Asks the server, or every primary of a cluster, how it treats what it is given, by `INFO`. Call it once at
    /// start-up, before the store goes into a layer.
    ///
    /// It warns where marks may be dropped when memory is full, where they do not survive a restart, where less than
    /// a tenth of the memory is left, and where the server is a replica. With the feature `tracing` each warning is
    /// logged too, at WARN. It also settles what [`info`](DedupStore::info) says of this store and its clones: durable
    /// only once a check has found an append-only file and no eviction.
    ///
    /// # Errors
    ///
    /// Where the server cannot answer, or does not allow `INFO`.
    pub async fn check(&self) -> Result<Vec<StoreWarning>, StoreError> {
        let answer: Value =
            redis::cmd("INFO").query_async(&mut self.connection.clone()).await.map_err(failed)?;
        let reports = Report::all_of(answer);
        if reports.is_empty() {
            return Err(StoreError::unavailable("the server says nothing of itself"));
        }
        self.durable.store(check::is_durable(&reports), Ordering::Relaxed);
        Ok(logged(check::warnings(&reports)))
    }

    /// The braces are the hash tag of a cluster.
    fn key(&self, key: &DedupKey) -> String {
        let mut text = String::with_capacity(self.prefix.len() + 45);
        text.push_str(&self.prefix);
        text.push('{');
        URL_SAFE_NO_PAD.encode_string(key.as_bytes(), &mut text);
        text.push('}');
        text
    }
}

impl<C> DedupStore for RedisStore<C>
where
    C: ConnectionLike + Clone + Send + Sync + 'static,
{
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        let (key, lease) = (self.key(request.key()), millis(request.lease()));
        match script::CLAIM.run(&self.connection, &key, lease).await? {
            (0, fence) => Ok(Claim::Acquired(Lease::new(*request.key(), fence))),
            (1, left) => Ok(Claim::InFlight { retry_after: Duration::from_millis(left) }),
            (2, _) => Ok(Claim::Done),
            (other, _) => Err(StoreError::unavailable(format!("a claim was answered with {other}"))),
        }
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, StoreError> {
        let (key, arguments) = (self.key(lease.key()), (fence(lease), millis(retain)));
        let held = script::COMPLETE.run::<_, u8>(&self.connection, &key, arguments).await? == 1;
        Ok(if held { Completion::Completed } else { Completion::LeaseLost })
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        let (key, arguments) = (self.key(lease.key()), (fence(lease), millis(TOMBSTONE)));
        script::RELEASE.run::<_, u8>(&self.connection, &key, arguments).await?;
        Ok(())
    }

    async fn forget(&self, key: &DedupKey) -> Result<(), StoreError> {
        script::FORGET.run::<_, u8>(&self.connection, &self.key(key), millis(TOMBSTONE)).await?;
        Ok(())
    }

    /// Shared; durable once [`check`](Self::check) has found it so. Whether marks survive a restart is the server's
    /// setting, which nobody knows who has not asked; until then the layer's warnings assume that they do not.
    fn info(&self) -> StoreInfo {
        StoreInfo::new(self.durable.load(Ordering::Relaxed), true)
    }
}

/// Without the connection, which may print its address and its password.
impl<C> fmt::Debug for RedisStore<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn valid_prefix(prefix: &str) -> Result<&str, ConfigError> {
    let visible = prefix.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'{' | b'}'));
    if visible && (1..=MAX_PREFIX).contains(&prefix.len()) {
        return Ok(prefix);
    }
    Err(ConfigError::InvalidKeyPrefix { prefix: prefix.to_owned() })
}

/// As the scripts write and compare it. A larger one is none of this store's.
fn fence(lease: &Lease) -> String {
    format!("{:016}", lease.fence().min(MAX_FENCE))
}

/// Rounded up: a lease or a mark never ends early. An expiry of 0 would be an error.
fn millis(duration: Duration) -> u64 {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    u64::try_from(millis).unwrap_or(MAX_MILLIS).clamp(1, MAX_MILLIS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_up_and_bounded() {
        let cases = [
            (Duration::ZERO, 1),
            (Duration::from_nanos(1), 1),
            (Duration::from_millis(1), 1),
            (Duration::from_nanos(1_000_001), 2),
            (Duration::from_secs(30), 30_000),
            (Duration::from_millis(MAX_MILLIS), MAX_MILLIS),
            (Duration::from_millis(MAX_MILLIS + 1), MAX_MILLIS),
            (Duration::MAX, MAX_MILLIS),
        ];
        for (duration, expected) in cases {
            assert_eq!(millis(duration), expected, "{duration:?}");
        }
    }

    #[test]
    fn every_fence_has_the_same_length() {
        let text = |number| fence(&Lease::new(DedupKey::from([0; 32]), number));
        for (number, expected) in [(7, "0000000000000007"), (1_700_000_000_000_000, "1700000000000000")] {
            assert_eq!(text(number), expected);
        }
        assert_eq!(text(u64::MAX), "9".repeat(16));
    }

    #[test]
    fn a_prefix_cannot_hold_what_moves_or_hides_a_key() {
        let longest = "x".repeat(MAX_PREFIX);
        for prefix in ["w:", "shop-eu:webhook:", &longest] {
            assert_eq!(valid_prefix(prefix), Ok(prefix));
        }
        let too_long = "x".repeat(MAX_PREFIX + 1);
        for prefix in ["", "a b", "a\n", "{a}", "}", "caf\u{e9}", "\0", &too_long] {
            let error = valid_prefix(prefix).unwrap_err();
            assert_eq!(error, ConfigError::InvalidKeyPrefix { prefix: prefix.to_owned() });
        }
    }
}
