//! From one signing secret to the next: a second endpoint beside the first, until nothing is signed the old way.

use std::time::{Duration, SystemTime};

use super::EndpointManager;
use super::marker::Marker;
use super::next::{Next, State, next};
use super::work::{Found, Looked, Work};
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
    pub(super) overlap: Duration,
    pub(super) quiet: Duration,
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
    /// provider allows no second endpoint for a URL, or answers with the one that there is.
    /// [`DuplicateEndpoints`](EndpointErrorKind::DuplicateEndpoints) where it does not show the description of the new
    /// one, by which a rotation is known. And what [`ensure_endpoint`](Self::ensure_endpoint) fails with.
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
        let Looked { found, ids } = self.find().await?;
        let old = match found {
            Found::None => {
                let error = inner.error(EndpointErrorKind::NotFound);
                return Err(error.with_detail("no endpoint has this URL: there is nothing to rotate"));
            }
            Found::Rotating { old, new } => {
                self.check_new(&old, &new).await?;
                return Ok(rotation(&old, &new));
            }
            Found::One(old, None) => old,
            Found::One(old, Some(replaced)) => {
                // A third endpoint would be no rotation; and the marker by which this is known is replaced by another.
                self.check_gone(&replaced).await?;
                if self.contains(&replaced).await? {
                    self.remove(&replaced).await?;
                }
                old
            }
        };
        let is_known = self.has_secret(&old).await?;
        if !is_lost && !is_known {
            return Err(self.secret_unknown(&old));
        }
        self.announce().await?;
        let marker = Marker { is_lost: !is_known, ..Marker::new(old.id(), inner.clock.now()) };
        let description = format!("{} {marker}", inner.description);
        let new = self.create(old.events().to_vec(), description, &ids).await.map_err(|error| {
            if error.kind() == EndpointErrorKind::Conflict && error.endpoint_ids().is_empty() {
                return error.with_advice(
                    "the provider allows no second endpoint like this one: rotate by hand, with an endpoint of another URL",
                );
            }
            error
        })?;
        self.check_marked(&old, &new).await?;
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(marker.since);
        Ok(Rotation { old: old.id().to_owned(), new: new.id().to_owned(), since })
    }

    /// Whether the next process will know what this is. The answer to a creation may say less than a list.
    async fn check_marked(&self, old: &Registered, new: &Registered) -> Result<(), EndpointError> {
        if Marker::of(new).is_some() {
            return Ok(());
        }
        let Ok(all) = self.list().await else { return Ok(()) };
        let listed = all.iter().find(|endpoint| endpoint.id() == new.id());
        if listed.is_none_or(|listed| Marker::of(listed).is_some()) {
            return Ok(());
        }
        let error = self.inner.error(EndpointErrorKind::DuplicateEndpoints);
        let error = error.with_endpoints([old.id().to_owned(), new.id().to_owned()]);
        let error = error.with_detail(format!(
            "{} was created to replace {}, and its secret stored",
            new.id(),
            old.id()
        ));
        Err(error.with_advice(
            "the API does not show the description by which a rotation is known, and both deliver now: delete the older one \
             by hand when nothing comes by it any more, and do not rotate here again",
        ))
    }

    async fn advance(
        &self,
        policy: RotationPolicy,
        usage: &(impl Fn(&str) -> Option<SecretUsage> + Sync),
    ) -> Result<RotationStep, EndpointError> {
        let api = &self.inner.api;
        let (old, new) = match self.find().await?.found {
            Found::Rotating { old, new } => (old, new),
            Found::None => return Ok(RotationStep::NotRotating),
            Found::One(_, replaced) => {
                let removed = self.forget(replaced).await?;
                return Ok(removed.map_or(RotationStep::NotRotating, |old| RotationStep::Retired { old }));
            }
        };
        // Nothing is taken from the old endpoint while nothing that the new one signs can be verified.
        self.check_new(&old, &new).await?;
        let (now, seen) = (self.inner.clock.now(), &self.inner.seen);
        let marker = Marker::of(&new).unwrap_or_else(|| Marker::new(old.id(), now));
        let since = seen.begun(&new, &marker, now);
        let state = State {
            since,
            new_is_active: new.is_active(),
            new_usage: usage(new.id()),
            old_is_lost: marker.is_lost && !self.has_secret(&old).await?,
            old_usage: usage(old.id()),
            old_paused: seen.paused(&old, &marker, now),
        };
        let next = next(policy, state, now);
        let paused = match &next {
            Next::Pause => {
                api.set_active(old.id(), false).await?;
                Some(unix_seconds(seen.pause(&old, now)))
            }
            Next::Wait(RotationStep::NotQuiet { .. }) => state.old_paused.map(unix_seconds),
            // Somebody has enabled it again.
            Next::Wait(_) if old.active() == Some(true) => None,
            Next::Wait(_) => marker.paused,
            Next::Retire => {
                api.delete(old.id()).await?;
                seen.forget(&old, &new);
                // Where this fails, the next call finds out that it is still to do.
                self.remove(old.id()).await?;
                return Ok(RotationStep::Retired { old: old.id().to_owned() });
            }
        };
        let told = Marker { since: unix_seconds(since), paused, ..marker.clone() };
        if told != marker {
            self.note(&new, &told).await;
        }
        Ok(match next {
            Next::Wait(step) => step,
            Next::Pause | Next::Retire => RotationStep::Paused,
        })
    }

    /// For the next process. Where it fails, this one knows, and the next call tries again.
    async fn note(&self, new: &Registered, marker: &Marker) {
        let noted = self.inner.api.set_description(new.id(), &marker.in_place(new)).await;
        #[cfg(feature = "tracing")]
        if let Err(error) = &noted {
            tracing::warn!(
                target: "tower_webhook", %error,
                "where a rotation stands cannot be written into the endpoint's description, for the next process"
            );
        }
        #[cfg(not(feature = "tracing"))]
        let _ = noted;
    }
}

fn rotation(old: &Registered, new: &Registered) -> Rotation {
    let since = Marker::of(new).map_or(0, |marker| marker.since);
    let since = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(since));
    let since = since.unwrap_or(SystemTime::UNIX_EPOCH);
    Rotation { old: old.id().to_owned(), new: new.id().to_owned(), since }
}
