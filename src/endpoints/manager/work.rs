//! What is done under the lock of a URL: looking, creating, updating.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout};
use url::Url;

use super::keep::SINK_TIMEOUT;
use super::marker::Marker;
use super::{Change, Ensured, Inner};
use crate::endpoints::api::{EndpointApi, Registered, Wanted};
use crate::endpoints::check::same;
use crate::endpoints::error::{EndpointError, EndpointErrorKind};
use crate::endpoints::lock::EndpointLock;
use crate::endpoints::sink::SecretSink;
use crate::endpoints::subscription::drift;

/// For how long the endpoints may be looked at, from all pages, or for as long as one call where that is longer.
const LOOKING: Duration = Duration::from_secs(60);

/// A lock that outlives whoever held it is never in the way for longer, whatever deadlines were asked for.
const LONGEST_HOLD: Duration = Duration::from_secs(7 * 86_400);

fn longest_look<A: EndpointApi, K, L>(inner: &Inner<A, K, L>) -> Duration {
    LOOKING.max(inner.api.call_deadline())
}

/// After this nothing is begun that could create an endpoint, so that it ends before the lock does.
fn latest_creation<A: EndpointApi, K, L>(inner: &Inner<A, K, L>) -> Duration {
    longest_look(inner).saturating_add(inner.lead)
}

/// For how long the lock is held: until the latest creation has been answered, its secret stored, and what announced it
/// withdrawn.
pub(super) fn hold<A: EndpointApi, K, L>(inner: &Inner<A, K, L>) -> Duration {
    let slack = Duration::from_secs(10);
    let hold = latest_creation(inner).saturating_add(inner.api.call_deadline());
    hold.saturating_add(SINK_TIMEOUT + SINK_TIMEOUT + slack).min(LONGEST_HOLD)
}

pub(super) struct Work<A, K, L> {
    pub(super) inner: Arc<Inner<A, K, L>>,
    url: Url,
    /// As the caller wrote it.
    text: String,
    begun: Instant,
}

/// What there is.
pub(super) struct Looked {
    pub(super) found: Found,
    /// Of all endpoints, whatever their URL.
    pub(super) ids: Vec<String>,
}

/// The endpoints of a URL.
pub(super) enum Found {
    None,
    /// And the one that it has replaced, where that is gone.
    One(Registered, Option<String>),
    Rotating {
        old: Registered,
        new: Registered,
    },
}

impl<A, K, L> Work<A, K, L> {
    pub(super) fn new(inner: Arc<Inner<A, K, L>>, url: Url, text: String) -> Self {
        Self { inner, url, text, begun: Instant::now() }
    }

    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }
}

impl<A: EndpointApi, K: SecretSink, L: EndpointLock> Work<A, K, L> {
    pub(super) async fn ensure(&self, events: Vec<String>) -> Result<Ensured, EndpointError> {
        let Looked { found, ids } = self.find().await?;
        match found {
            Found::None => {
                self.announce().await?;
                let created = self.create(events, self.inner.description.clone(), &ids).await?;
                Ok(Ensured::new(&created, Change::Created, None))
            }
            Found::One(endpoint, replaced) => {
                if !self.has_secret(&endpoint).await? {
                    return Err(self.secret_unknown(&endpoint));
                }
                match self.forget(replaced).await {
                    // It is there: nothing is to be removed, and the next start finds it.
                    Err(error) if error.kind() == EndpointErrorKind::IncompleteList => {}
                    forgotten => drop(forgotten?),
                }
                self.tidy().await;
                let (endpoint, change) = self.update(&endpoint, &events).await?;
                Ok(Ensured::new(&endpoint, change, None))
            }
            Found::Rotating { old, new } => {
                self.check_new(&old, &new).await?;
                self.tidy().await;
                let (_, of_old) = self.update(&old, &events).await?;
                let (endpoint, change) = self.update(&new, &events).await?;
                let change = if change == Change::Unchanged { of_old } else { change };
                Ok(Ensured::new(&endpoint, change, Some(old.id().to_owned())))
            }
        }
    }

    pub(super) async fn find(&self) -> Result<Looked, EndpointError> {
        let all = self.list().await?;
        let ids = all.iter().map(|endpoint| endpoint.id().to_owned()).collect();
        let of_url = all.iter().filter(|endpoint| same(&self.url, endpoint.url()));
        let of_url: Vec<_> = of_url.cloned().collect();
        let found = match &of_url[..] {
            [] => Found::None,
            [one] => {
                let replaced = Marker::of(one).map(|marker| marker.replaces);
                let is_gone = |id: &String| all.iter().all(|endpoint| endpoint.id() != id);
                Found::One(one.clone(), replaced.filter(is_gone))
            }
            [one, other] if replaces(one, other) => Found::Rotating { old: other.clone(), new: one.clone() },
            [one, other] if replaces(other, one) => Found::Rotating { old: one.clone(), new: other.clone() },
            several => return Err(self.duplicates(several).await),
        };
        Ok(Looked { found, ids })
    }

    /// All endpoints. A list that never ends would outlast the lock.
    pub(super) async fn list(&self) -> Result<Vec<Registered>, EndpointError> {
        let longest = longest_look(&self.inner);
        timeout(longest, self.inner.api.list()).await.unwrap_or_else(|_| {
            let error = self.inner.error(EndpointErrorKind::Timeout);
            Err(error.with_detail(format!("listing the endpoints took longer than {} s", longest.as_secs())))
        })
    }

    /// Which of them can be done without is for a person to say, who must know which secrets there are.
    async fn duplicates(&self, several: &[Registered]) -> EndpointError {
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        for endpoint in several {
            // Of one that the sink did not speak of, nobody shall be told that its secret is not there.
            let has_secret = match self.has_secret(endpoint).await {
                Ok(has_secret) => has_secret,
                Err(error) => return error,
            };
            if has_secret { &mut known } else { &mut unknown }.push(endpoint.id());
        }
        let list = |ids: Vec<&str>| if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
        let detail = format!("secret in the sink: {}, not there: {}", list(known), list(unknown));
        let error = self.inner.error(EndpointErrorKind::DuplicateEndpoints).with_detail(detail);
        error.with_endpoints(several.iter().map(|endpoint| endpoint.id().to_owned()))
    }

    /// Whether a rotation can go on.
    pub(super) async fn check_new(&self, old: &Registered, new: &Registered) -> Result<(), EndpointError> {
        if self.has_secret(new).await? {
            return Ok(());
        }
        let advice = "the secret of the newer endpoint is not in the sink: put it there if you have it, else delete this \
                      endpoint, and begin the rotation again";
        let detail = format!("{} was to replace {}", new.id(), old.id());
        Err(self.secret_unknown(new).with_detail(detail).with_advice(advice))
    }

    pub(super) fn secret_unknown(&self, endpoint: &Registered) -> EndpointError {
        self.inner.error(EndpointErrorKind::SecretUnknown).with_endpoints([endpoint.id().to_owned()])
    }

    /// Removes the secret of an endpoint that a rotation has deleted: a crash may have come between the two.
    pub(super) async fn forget(&self, replaced: Option<String>) -> Result<Option<String>, EndpointError> {
        match replaced {
            Some(id) if self.contains(&id).await? => {
                self.check_gone(&id).await?;
                self.remove(&id).await?;
                Ok(Some(id))
            }
            _ => Ok(None),
        }
    }

    /// That an endpoint is not listed may be the list's fault, and it may deliver.
    pub(super) async fn check_gone(&self, id: &str) -> Result<(), EndpointError> {
        let exists = timeout(longest_look(&self.inner), self.inner.api.exists(id)).await;
        let too_late =
            || self.inner.error(EndpointErrorKind::Timeout).with_detail("looking for one endpoint");
        let exists = match exists.unwrap_or_else(|_| Err(too_late())) {
            // How an API speaks of what was deleted long ago need not be documented: 410, a refusal, something without an
            // id. Two lists are as good.
            Err(error) if error.status().is_some_and(|status| !status.is_server_error()) => {
                self.list().await?.iter().any(|endpoint| endpoint.id() == id)
            }
            exists => exists?,
        };
        match exists {
            false => Ok(()),
            true => {
                let error =
                    self.inner.error(EndpointErrorKind::IncompleteList).with_endpoints([id.to_owned()]);
                Err(error.with_advice("an endpoint exists that was not in the list: try again"))
            }
        }
    }

    async fn update(
        &self,
        endpoint: &Registered,
        events: &[String],
    ) -> Result<(Registered, Change), EndpointError> {
        let (added, removed) = drift(endpoint.events(), events);
        if added.is_empty() && removed.is_empty() {
            return Ok((endpoint.clone(), Change::Unchanged));
        }
        let updated = self.inner.api.set_events(endpoint.id(), events).await?;
        Ok((updated, Change::Updated { added, removed }))
    }

    /// Creates an endpoint that has been announced, and stores its secret before anything else. `before` are the ids that
    /// there were.
    pub(super) async fn create(
        &self,
        events: Vec<String>,
        description: String,
        before: &[String],
    ) -> Result<Registered, EndpointError> {
        if self.begun.elapsed() > latest_creation(&self.inner) {
            // The lock may pass to another instance before the answer comes.
            self.withdraw().await;
            let error = self.inner.error(EndpointErrorKind::Lock);
            return Err(error.with_detail("looking at the endpoints took too long to create one now"));
        }
        let wanted = Wanted::new(&self.text, events, Some(description));
        let (endpoint, secret) = match self.inner.api.create(&wanted).await {
            Ok(created) => created,
            Err(error) if error.may_have_created() => return Err(self.with_leftovers(error, before).await),
            Err(error) => {
                self.withdraw().await;
                return Err(error);
            }
        };
        let id = || [endpoint.id().to_owned()];
        if before.iter().any(|id| id == endpoint.id()) {
            // It stays announced: who knows whether this secret is in force now, or the one in the sink.
            let error =
                self.inner.error(EndpointErrorKind::Conflict).with_secret(secret).with_endpoints(id());
            let error = error.with_detail("the API answered with an endpoint that was there before");
            return Err(error.with_advice(
                "its secret in the sink was not touched; the one in the answer is in this error: find out which one is in \
                 force",
            ));
        }
        if let Err(source) = self.store(endpoint.id(), &secret).await {
            // It stays announced: the endpoint may deliver.
            let error = self.inner.error(EndpointErrorKind::SecretNotStored).with_secret(secret);
            return Err(error.with_endpoints(id()).with_source(source));
        }
        match self.withdrawn().await {
            Ok(()) => Ok(endpoint),
            Err(error) => {
                let error = error.with_endpoints(id());
                Err(error.with_detail("the endpoint was created and its secret stored"))
            }
        }
    }

    /// Looks for what a creation left behind whose outcome is unknown: an endpoint that was not there before, and whose
    /// secret nobody has.
    async fn with_leftovers(&self, error: EndpointError, before: &[String]) -> EndpointError {
        let Ok(all) = self.list().await else { return error };
        let mut unknown = Vec::new();
        for endpoint in all.iter().filter(|endpoint| same(&self.url, endpoint.url())) {
            let is_known = before.iter().chain(error.endpoint_ids()).any(|id| id == endpoint.id());
            if !is_known && !self.has_secret(endpoint).await.unwrap_or(false) {
                unknown.push(endpoint.id().to_owned());
            }
        }
        error.with_endpoints(unknown)
    }
}

/// Whether the first of them says that it replaces the other.
fn replaces(new: &Registered, old: &Registered) -> bool {
    Marker::of(new).is_some_and(|marker| marker.replaces == old.id())
}
