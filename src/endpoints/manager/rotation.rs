//! From one signing secret to the next: a second endpoint beside the first, until nothing is signed the old way.

use std::fmt;
use std::time::{Duration, SystemTime};

use super::{EndpointManager, Found, Inner, Work};
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
/// let policy = RotationPolicy::new(3 * day, Duration::from_secs(3600));
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
    /// lost when it is too short. The old endpoint is then paused, and deleted when its secret has verified nothing for
    /// `quiet`, which outlasts what is still on its way.
    #[must_use]
    pub fn new(overlap: Duration, quiet: Duration) -> Self {
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
    /// The overlap is over, but nothing has been verified by the new secret yet: the old endpoint stays.
    NewUnused,
    /// The old endpoint has been paused by this call.
    Paused,
    /// The old endpoint is paused, and its secret has not been quiet for long enough.
    NotQuiet {
        /// When it will have been, if nothing more comes; `None` where nobody knows when it was used.
        until: Option<SystemTime>,
    },
    /// The old endpoint has been deleted, and its secret removed from the sink, by this call.
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
    /// 401 the sink is told first ([`SecretSink::announce`]), and receivers must know of it before this is called: a
    /// [`FileSink`](crate::endpoints::FileSink) that [feeds](crate::endpoints::FileSink::feeding) the verifier of this
    /// process does that by itself; where there are more, announce it by hand and let all of them read the sink once.
    ///
    /// # Errors
    ///
    /// [`NotFound`](EndpointErrorKind::NotFound) where there is nothing to rotate, and what
    /// [`ensure_endpoint`](Self::ensure_endpoint) fails with.
    pub async fn begin_rotation(&self, url: &str) -> Result<Rotation, EndpointError> {
        self.api().check_url(url)?;
        self.locked(url.to_owned(), |work| async move { work.begin_rotation().await }).await
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
        let step =
            move |work: Work<A, K, L>| async move { work.advance(policy, &usage, SystemTime::now()).await };
        self.locked(url.to_owned(), step).await
    }
}

impl<A: EndpointApi, K: SecretSink, L: EndpointLock> Work<A, K, L> {
    async fn begin_rotation(&self) -> Result<Rotation, EndpointError> {
        let inner = &self.inner;
        let old = match self.find().await? {
            Found::None => {
                let error = inner.error(EndpointErrorKind::NotFound);
                return Err(error.with_detail("no endpoint has this URL: there is nothing to rotate"));
            }
            Found::Rotating { old, new } => {
                self.has_secret(&new).await?;
                return Ok(rotation(&old, &new));
            }
            Found::One(old) => old,
        };
        let announced = inner.sink.announce(inner.api.provider()).await;
        announced.map_err(|source| inner.error(EndpointErrorKind::Sink).with_source(source))?;
        let marker = Marker { replaces: old.id().to_owned(), since: unix_seconds(SystemTime::now()) };
        let description = format!("{} {marker}", inner.description);
        let new = self.create(old.events().to_vec(), description, Some(&old)).await?;
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(marker.since);
        Ok(Rotation { old: old.id().to_owned(), new: new.id().to_owned(), since })
    }

    async fn advance(
        &self,
        policy: RotationPolicy,
        usage: &(impl Fn(&str) -> Option<SecretUsage> + Sync),
        now: SystemTime,
    ) -> Result<RotationStep, EndpointError> {
        let Inner { api, sink, .. } = &*self.inner;
        let Found::Rotating { old, new } = self.find().await? else { return Ok(RotationStep::NotRotating) };
        match next(policy, rotation(&old, &new).since, old.is_active(), usage(old.id()), usage(new.id()), now)
        {
            Next::Wait(step) => Ok(step),
            Next::Pause => {
                api.set_active(old.id(), false).await?;
                Ok(RotationStep::Paused)
            }
            Next::Retire => {
                api.delete(old.id()).await?;
                let removed = sink.remove(api.provider(), old.id()).await;
                removed.map_err(|source| {
                    // No later call finds out which one it was.
                    let error = self.inner.error(EndpointErrorKind::Sink).with_source(source);
                    error.with_endpoints([old.id().to_owned()])
                })?;
                Ok(RotationStep::Retired { old: old.id().to_owned() })
            }
        }
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

fn next(
    policy: RotationPolicy,
    since: SystemTime,
    old_is_active: bool,
    old: Option<SecretUsage>,
    new: Option<SecretUsage>,
    now: SystemTime,
) -> Next {
    if old_is_active {
        // Where no time is so late, it never ends.
        let Some(until) = since.checked_add(policy.overlap) else {
            return Next::Wait(RotationStep::NewUnused);
        };
        if now < until {
            return Next::Wait(RotationStep::Overlapping { until });
        }
        let is_used = new.is_some_and(|usage| usage.last_used().is_some());
        return if is_used { Next::Pause } else { Next::Wait(RotationStep::NewUnused) };
    }
    let quiet_since = old.map(|usage| usage.last_used().unwrap_or(usage.watched_since()));
    match quiet_since.and_then(|quiet_since| quiet_since.checked_add(policy.quiet)) {
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

    #[test]
    fn the_old_endpoint_is_paused_when_both_have_delivered_for_long_enough() {
        let policy = RotationPolicy::new(Duration::from_secs(100), Duration::from_secs(10));
        let step = |new, now| next(policy, at(1000), true, seen(0, 1099), new, at(now));
        assert_eq!(step(seen(0, 1050), 1099), Next::Wait(RotationStep::Overlapping { until: at(1100) }));
        assert_eq!(step(seen(0, 1050), 1100), Next::Pause);
        assert_eq!(step(seen(0, None), 5000), Next::Wait(RotationStep::NewUnused));
        assert_eq!(step(None, 5000), Next::Wait(RotationStep::NewUnused));
    }

    #[test]
    fn the_old_endpoint_is_deleted_when_its_secret_has_been_quiet() {
        let policy = RotationPolicy::new(Duration::ZERO, Duration::from_secs(10));
        let step = |old, now| next(policy, at(0), false, old, seen(0, 1), at(now));
        let not_quiet = |until| Next::Wait(RotationStep::NotQuiet { until });
        assert_eq!(step(seen(0, 1000), 1009), not_quiet(Some(at(1010))));
        assert_eq!(step(seen(0, 1000), 1010), Next::Retire);
        // One that was started a moment ago has not seen what was used before.
        assert_eq!(step(seen(1005, None), 1010), not_quiet(Some(at(1015))));
        assert_eq!(step(seen(1000, None), 1010), Next::Retire);
        assert_eq!(step(None, 9999), not_quiet(None));
    }
}
