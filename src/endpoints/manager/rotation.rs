//! From one signing secret to the next: a second endpoint beside the first, until nothing is signed the old way.

use std::fmt;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use super::work::{Found, Work};
use super::{EndpointManager, Inner};
use crate::clock::unix_seconds;
use crate::endpoints::api::{EndpointApi, Registered};
use crate::endpoints::error::{EndpointError, EndpointErrorKind};
use crate::endpoints::lock::EndpointLock;
use crate::endpoints::sink::SecretSink;
use crate::signature::SecretUsage;

/// Two endpoints for one URL, of which the newer one replaces the older.
///
/// Both deliver every event, signed each with its own secret. Under one layer that accepts both, and so under one scope
/// of deduplication, each event has one effect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rotation {
    /// The endpoint that is being replaced.
    pub old: String,
    /// The endpoint that replaces it.
    pub new: String,
    /// When it began.
    pub since: SystemTime,
}

/// How long each part of a rotation lasts.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::endpoints::RotationPolicy;
///
/// let day = Duration::from_secs(86_400);
/// let policy = RotationPolicy::new(7 * day, day);
/// # let _ = policy;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RotationPolicy {
    overlap: Duration,
    quiet: Duration,
}

impl RotationPolicy {
    /// Both endpoints deliver for `overlap`. An event from before the rotation is retried at the old one alone, so that
    /// this should be as long as the provider retries; where that is not documented, what a catch-up would not bring is
    /// lost when it is too short. The old endpoint is then paused, and deleted when it has been paused, and its secret
    /// has verified nothing, for `quiet`, which outlasts what is still on its way.
    ///
    /// After `overlap` and `quiet` have both passed since the pause nothing genuine can be signed with it any more: it is
    /// deleted even if something still is, so that nobody who has got hold of the secret can keep it valid.
    #[must_use]
    pub const fn new(overlap: Duration, quiet: Duration) -> Self {
        Self { overlap, quiet }
    }
}

/// Where a rotation stands.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RotationStep {
    /// The URL has one endpoint, or none.
    NotRotating,
    /// Both deliver, at least until this time.
    Overlapping {
        /// When the overlap ends.
        until: SystemTime,
    },
    /// Nothing has been verified by the new secret yet: the old endpoint stays.
    NewUnused,
    /// The new endpoint is paused, by somebody else: the old one stays, lest none delivers.
    NewPaused,
    /// The old endpoint has been paused by this call.
    Paused,
    /// The old endpoint is paused, and has not been quiet for long enough.
    NotQuiet {
        /// When it will have been, if nothing more comes; `None` where nobody knows when its secret was used.
        until: Option<SystemTime>,
    },
    /// The old endpoint has been deleted, and its secret removed from the sink.
    Retired {
        /// The endpoint that is gone.
        old: String,
    },
}

impl<A: EndpointApi, K: SecretSink, L: EndpointLock> EndpointManager<A, K, L> {
    /// Begins to replace the secret of the endpoint for `url`: creates a second endpoint for it, with the same types.
    /// A rotation that has begun is returned as it is.
    ///
    /// The provider may deliver by the new endpoint before anybody here has its secret. So that nothing is refused with
    /// 401 the sink is told first ([`SecretSink::announce`]): a [`FileSink`](crate::endpoints::FileSink) that
    /// [feeds](crate::endpoints::FileSink::feeding) the verifier of this process passes it on at once, receivers in other
    /// processes [follow](crate::endpoints::FileSink::follow) it and are given
    /// [time](Self::with_announcement_lead).
    ///
    /// # Errors
    ///
    /// [`NotFound`](EndpointErrorKind::NotFound) where there is nothing to rotate;
    /// [`SecretUnknown`](EndpointErrorKind::SecretUnknown) where the sink has not the secret that is in use, which
    /// receivers that go by the sink would no longer accept: put it there first, under the endpoint's id. Where it is
    /// lost, [`replace_lost_secret`](Self::replace_lost_secret). [`Conflict`](EndpointErrorKind::Conflict) where the
    /// provider allows no second endpoint for a URL. And what [`ensure_endpoint`](Self::ensure_endpoint) fails with.
    pub async fn begin_rotation(&self, url: &str) -> Result<Rotation, EndpointError> {
        self.api().check_url(url)?;
        self.locked(url, |work| async move { work.begin_rotation(false).await }).await
    }

    /// As [`begin_rotation`](Self::begin_rotation), where nobody has the secret of the endpoint: what it delivers is
    /// refused as it is. The next steps ask neither for an overlap nor for quiet, since nothing can be verified by the old
    /// secret.
    ///
    /// # Errors
    ///
    /// As [`begin_rotation`](Self::begin_rotation).
    pub async fn replace_lost_secret(&self, url: &str) -> Result<Rotation, EndpointError> {
        self.api().check_url(url)?;
        self.locked(url, |work| async move { work.begin_rotation(true).await }).await
    }

    /// Takes the next step of the rotation of `url`, if it is time: pauses the old endpoint, and later deletes it and
    /// removes its secret. Call it now and then.
    ///
    /// `usage` says when the secret of an endpoint was used last:
    /// [`Verifier::secret_usage`](crate::Verifier::secret_usage) where the endpoints' ids are the labels, as a
    /// [`FileSink`](crate::endpoints::FileSink) labels them. Where there are several receivers, let it say what all of
    /// them have seen.
    ///
    /// # Errors
    ///
    /// Whatever [`EndpointErrorKind`] lists.
    pub async fn advance_rotation(
        &self,
        url: &str,
        policy: RotationPolicy,
        usage: impl Fn(&str) -> Option<SecretUsage> + Send + Sync + 'static,
    ) -> Result<RotationStep, EndpointError> {
        self.api().check_url(url)?;
        let step = move |work: Work<A, K, L>| async move { work.advance(policy, &usage).await };
        self.locked(url, step).await
    }
}

impl<A: EndpointApi, K: SecretSink, L: EndpointLock> Work<A, K, L> {
    async fn begin_rotation(&self, is_lost: bool) -> Result<Rotation, EndpointError> {
        let inner = &self.inner;
        let old = match self.find().await? {
            Found::None => {
                let error = inner.error(EndpointErrorKind::NotFound);
                return Err(error.with_detail("no endpoint has this URL: there is nothing to rotate"));
            }
            Found::Rotating { old, new } => {
                self.check_new(&old, &new).await?;
                return Ok(rotation(&old, &new));
            }
            Found::One(old, _) => old,
        };
        if !is_lost && !self.has_secret(&old).await? {
            return Err(self.secret_unknown(&old));
        }
        self.announce().await?;
        tokio::time::sleep(inner.lead).await;
        let marker = Marker { replaces: old.id().to_owned(), since: unix_seconds(inner.clock.now()) };
        let description = format!("{} {marker}", inner.description);
        let new = self.create(old.events().to_vec(), description, Some(&old)).await.map_err(|error| {
            if error.kind() == EndpointErrorKind::Conflict {
                return error.with_advice(
                    "the provider allows no second endpoint like this one: rotate by hand, with an endpoint of another URL",
                );
            }
            error
        })?;
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(marker.since);
        Ok(Rotation { old: old.id().to_owned(), new: new.id().to_owned(), since })
    }

    async fn advance(
        &self,
        policy: RotationPolicy,
        usage: &(impl Fn(&str) -> Option<SecretUsage> + Sync),
    ) -> Result<RotationStep, EndpointError> {
        let api = &self.inner.api;
        let (old, new) = match self.find().await? {
            Found::Rotating { old, new } => (old, new),
            Found::None => return Ok(RotationStep::NotRotating),
            Found::One(_, replaced) => {
                let removed = self.forget(replaced).await?;
                return Ok(removed.map_or(RotationStep::NotRotating, |old| RotationStep::Retired { old }));
            }
        };
        let now = self.inner.clock.now();
        let state = State {
            since: rotation(&old, &new).since,
            new_is_active: new.is_active(),
            new_usage: usage(new.id()),
            old_is_known: self.has_secret(&old).await?,
            old_usage: usage(old.id()),
            old_paused: (!old.is_active()).then(|| self.inner.paused_since(old.id(), now)),
        };
        match next(policy, state, now) {
            Next::Wait(step) => Ok(step),
            Next::Pause => {
                api.set_active(old.id(), false).await?;
                self.inner.paused_since(old.id(), now);
                Ok(RotationStep::Paused)
            }
            Next::Retire => {
                api.delete(old.id()).await?;
                // Where this fails, the next call finds out that it is still to do.
                self.forget(Some(old.id().to_owned())).await?;
                Ok(RotationStep::Retired { old: old.id().to_owned() })
            }
        }
    }
}

impl<A, K, L> Inner<A, K, L> {
    /// When this process first saw that an endpoint was paused. One that has just been started takes it for paused now.
    fn paused_since(&self, id: &str, now: SystemTime) -> SystemTime {
        let mut paused = self.paused.lock().unwrap_or_else(PoisonError::into_inner);
        *paused.entry(id.to_owned()).or_insert(now)
    }
}

fn rotation(old: &Registered, new: &Registered) -> Rotation {
    let since = Marker::of(new).map_or(0, |marker| marker.since);
    let since = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since));
    let since = since.unwrap_or(SystemTime::UNIX_EPOCH);
    Rotation { old: old.id().to_owned(), new: new.id().to_owned(), since }
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    Wait(RotationStep),
    Pause,
    Retire,
}

/// How two endpoints of one URL are.
#[derive(Clone, Copy)]
struct State {
    since: SystemTime,
    new_is_active: bool,
    new_usage: Option<SecretUsage>,
    /// Whether the sink has its secret.
    old_is_known: bool,
    old_usage: Option<SecretUsage>,
    /// Since when it is known to be paused.
    old_paused: Option<SystemTime>,
}

fn next(policy: RotationPolicy, state: State, now: SystemTime) -> Next {
    if !state.new_is_active {
        return Next::Wait(RotationStep::NewPaused);
    }
    let new_is_used = state.new_usage.is_some_and(|usage| usage.last_used().is_some());
    if !state.old_is_known {
        // Nothing can be verified by its secret, so that nothing is lost with it.
        return if new_is_used { Next::Retire } else { Next::Wait(RotationStep::NewUnused) };
    }
    // Whoever has paused the old one: an overlap is an overlap. Where no time is so late, it never ends.
    let Some(until) = state.since.checked_add(policy.overlap) else {
        return Next::Wait(RotationStep::NewUnused);
    };
    if now < until {
        return Next::Wait(RotationStep::Overlapping { until });
    }
    if !new_is_used {
        return Next::Wait(RotationStep::NewUnused);
    }
    let Some(paused) = state.old_paused else { return Next::Pause };
    let latest = policy.overlap.checked_add(policy.quiet).and_then(|longest| paused.checked_add(longest));
    let used = state.old_usage.map(|usage| usage.last_used().unwrap_or(usage.watched_since()));
    let quiet = used.and_then(|used| used.max(paused).checked_add(policy.quiet));
    // The earlier one, of those that there are.
    match [quiet, latest].into_iter().flatten().min() {
        Some(until) if until <= now => Next::Retire,
        until => Next::Wait(RotationStep::NotQuiet { until }),
    }
}

/// What tells a rotation from two endpoints by mistake: the end of the newer one's description.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Marker {
    pub(super) replaces: String,
    since: u64,
}

impl Marker {
    pub(super) fn of(endpoint: &Registered) -> Option<Self> {
        let (_, marker) = endpoint.description()?.trim_end().strip_suffix(']')?.rsplit_once("[replaces ")?;
        let (replaces, since) = marker.split_once(" since ")?;
        Some(Self { replaces: replaces.to_owned(), since: since.parse().ok()? })
    }
}

impl fmt::Display for Marker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[replaces {} since {}]", self.replaces, self.since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn seen(watched: u64, last: impl Into<Option<u64>>) -> Option<SecretUsage> {
        Some(SecretUsage::new(at(watched), last.into().map(at)))
    }

    #[test]
    fn a_marker_is_read_as_it_was_written() {
        let marker = Marker { replaces: "we_1".to_owned(), since: 1_700_000_000 };
        let described = |text: String| {
            Marker::of(&Registered::new("we_2", "https://a.example", vec![]).with_description(Some(text)))
        };
        assert_eq!(described(format!("shop {marker}")), Some(marker));
        for text in ["", "shop", "[replaces we_1]", "[replaces we_1 since x]", "[replaces we_1 since 7] no"] {
            assert_eq!(described(text.to_owned()), None, "{text}");
        }
    }

    /// Both deliver since 1000, and the new one has been used.
    fn both() -> State {
        State {
            since: at(1000),
            new_is_active: true,
            new_usage: seen(0, 1050),
            old_is_known: true,
            old_usage: seen(0, 1099),
            old_paused: None,
        }
    }

    fn step(state: State, now: u64) -> Next {
        next(RotationPolicy::new(Duration::from_secs(100), Duration::from_secs(10)), state, at(now))
    }

    #[test]
    fn the_old_endpoint_is_paused_when_both_have_delivered_for_long_enough() {
        assert_eq!(step(both(), 1099), Next::Wait(RotationStep::Overlapping { until: at(1100) }));
        assert_eq!(step(both(), 1100), Next::Pause);
        for new_usage in [seen(0, None), None] {
            assert_eq!(step(State { new_usage, ..both() }, 5000), Next::Wait(RotationStep::NewUnused));
        }
    }

    #[test]
    fn while_the_new_endpoint_is_paused_the_old_one_stays() {
        for old_paused in [None, Some(at(0))] {
            let state = State { new_is_active: false, old_paused, ..both() };
            assert_eq!(step(state, 9000), Next::Wait(RotationStep::NewPaused));
        }
    }

    #[test]
    fn an_old_endpoint_that_somebody_else_has_paused_is_kept_as_long_as_any() {
        let early = State { old_paused: Some(at(900)), ..both() };
        assert_eq!(step(early, 1099), Next::Wait(RotationStep::Overlapping { until: at(1100) }));
        let unused = State { new_usage: seen(0, None), ..early };
        assert_eq!(step(unused, 1200), Next::Wait(RotationStep::NewUnused));
        assert_eq!(step(early, 1200), Next::Retire);
    }

    #[test]
    fn the_old_endpoint_is_deleted_when_it_has_been_quiet_since_the_pause() {
        let not_quiet = |until| Next::Wait(RotationStep::NotQuiet { until });
        // Its secret was used last long before.
        let paused = State { old_usage: seen(0, 500), old_paused: Some(at(1100)), ..both() };
        assert_eq!(step(paused, 1109), not_quiet(Some(at(1110))));
        assert_eq!(step(paused, 1110), Next::Retire);
        let late = State { old_usage: seen(0, 1105), ..paused };
        assert_eq!(step(late, 1114), not_quiet(Some(at(1115))));
        assert_eq!(step(late, 1115), Next::Retire);
        // One that was started a moment ago has not seen what was used before.
        let restarted = State { old_usage: seen(1107, None), ..paused };
        assert_eq!(step(restarted, 1116), not_quiet(Some(at(1117))));
    }

    #[test]
    fn nobody_keeps_a_secret_valid_by_using_it() {
        let used = |last| State { old_usage: last, old_paused: Some(at(1100)), ..both() };
        assert_eq!(
            step(used(seen(0, 1209)), 1209),
            Next::Wait(RotationStep::NotQuiet { until: Some(at(1210)) })
        );
        assert_eq!(step(used(seen(0, 1210)), 1210), Next::Retire);
        assert_eq!(step(used(None), 1210), Next::Retire);
    }

    #[test]
    fn a_secret_that_nobody_has_is_not_waited_for() {
        let lost = State { old_is_known: false, old_usage: None, ..both() };
        assert_eq!(step(lost, 1000), Next::Retire);
        let unused = State { new_usage: seen(0, None), ..lost };
        assert_eq!(step(unused, 9000), Next::Wait(RotationStep::NewUnused));
    }
}
