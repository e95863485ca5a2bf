//! An API that does what the test says, and a journal of what was asked of it and of the vault beside it.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tower_webhook::Secret;
use tower_webhook::endpoints::{
    EndpointApi, EndpointError, EndpointErrorKind as Kind, EndpointManager, Registered, Wanted,
};

use super::api::{URL, types};
pub(super) use super::vault::{Mood, Vault};

/// What was asked, in order. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    pub(super) fn write(&self, line: impl Into<String>) {
        self.0.lock().unwrap().push(line.into());
    }

    /// Takes out what is in it.
    pub(super) fn read(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub(super) fn count(&self, line: &str) -> usize {
        self.0.lock().unwrap().iter().filter(|one| *one == line).count()
    }

    /// Lets `work`, which must not end meanwhile, go on until this stands here.
    pub(super) async fn until<F: Future>(&self, line: &str, mut work: Pin<&mut F>) {
        while self.count(line) == 0 {
            assert!(futures_util::poll!(&mut work).is_pending());
            tokio::task::yield_now().await;
        }
    }
}

/// What an API does that another one does not.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Quirk {
    /// The next list lacks this one.
    ListsOnceWithout(&'static str),
    /// A creation is answered with the first endpoint that there is.
    CreatesNone,
    /// A creation is answered without the description.
    CreatesWithoutDescription,
    /// Neither answer has it.
    NoDescriptions,
    /// A description stays as it is.
    FixedDescriptions,
}

type Hook = Arc<dyn Fn(Secret) -> BoxFuture<'static, ()> + Send + Sync>;

/// An account at a provider. Clones are the same account.
#[derive(Clone)]
pub(super) struct Memory {
    provider: &'static str,
    pub(super) journal: Journal,
    inner: Arc<Mutex<Account>>,
}

#[derive(Default)]
struct Account {
    endpoints: Vec<Registered>,
    made: usize,
    failure: Option<(Kind, bool)>,
    listing: Duration,
    quirk: Option<Quirk>,
    during_creation: Option<Hook>,
}

impl Memory {
    pub(super) fn new() -> Self {
        Self::of("acme")
    }

    pub(super) fn of(provider: &'static str) -> Self {
        Self { provider, journal: Journal::default(), inner: Arc::default() }
    }

    /// The secret of an endpoint that it makes.
    pub(super) fn secret(id: &str) -> Secret {
        Secret::new(format!("whsec_secret-that-nobody-sees-{id}")).unwrap()
    }

    pub(super) fn add(&self, endpoint: Registered) {
        self.inner.lock().unwrap().endpoints.push(endpoint);
    }

    pub(super) fn endpoints(&self) -> Vec<Registered> {
        self.inner.lock().unwrap().endpoints.clone()
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.endpoints().iter().map(|endpoint| endpoint.id().to_owned()).collect()
    }

    /// Deletes by hand.
    pub(super) fn lose(&self, id: &str) {
        self.inner.lock().unwrap().endpoints.retain(|endpoint| endpoint.id() != id);
    }

    /// The next creation fails, and leaves an endpoint behind or not.
    pub(super) fn fail_creation(&self, kind: Kind, leaves_one: bool) {
        self.inner.lock().unwrap().failure = Some((kind, leaves_one));
    }

    /// How long listing takes.
    pub(super) fn list_slowly(&self, pause: Duration) {
        self.inner.lock().unwrap().listing = pause;
    }

    pub(super) fn set(&self, quirk: Quirk) {
        self.inner.lock().unwrap().quirk = Some(quirk);
    }

    fn has(&self, quirk: Quirk) -> bool {
        self.inner.lock().unwrap().quirk == Some(quirk)
    }

    /// Runs when an endpoint exists whose secret nobody has yet.
    pub(super) fn during_creation(
        &self,
        hook: impl Fn(Secret) -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        self.inner.lock().unwrap().during_creation = Some(Arc::new(hook));
    }

    fn change(
        &self,
        id: &str,
        change: impl Fn(Registered) -> Registered,
    ) -> Result<Registered, EndpointError> {
        let mut account = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(endpoint) = account.endpoints.iter_mut().find(|endpoint| endpoint.id() == id) else {
            return Err(EndpointError::other(Kind::NotFound, self.provider, "no such endpoint"));
        };
        *endpoint = change(endpoint.clone());
        Ok(endpoint.clone())
    }
}

impl EndpointApi for Memory {
    fn provider(&self) -> &str {
        self.provider
    }

    fn event_types(&self) -> Vec<String> {
        types(&["invoice.paid", "charge.failed", "charge.refunded", "score.*"])
    }

    fn check_url(&self, url: &str) -> Result<(), EndpointError> {
        if url.to_ascii_lowercase().starts_with("https://") {
            return Ok(());
        }
        Err(EndpointError::other(Kind::InvalidUrl, self.provider, "no https URL"))
    }

    async fn list(&self) -> Result<Vec<Registered>, EndpointError> {
        self.journal.write("list");
        let pause = self.inner.lock().unwrap().listing;
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        let mut all = self.endpoints();
        let quirk = self.inner.lock().unwrap().quirk;
        if let Some(Quirk::ListsOnceWithout(id)) = quirk {
            self.inner.lock().unwrap().quirk = None;
            all.retain(|endpoint| endpoint.id() != id);
        }
        if quirk == Some(Quirk::NoDescriptions) {
            all = all.into_iter().map(|endpoint| endpoint.with_description(None)).collect();
        }
        Ok(all)
    }

    async fn create(&self, wanted: &Wanted) -> Result<(Registered, Secret), EndpointError> {
        self.journal.write("create");
        if self.has(Quirk::CreatesNone) {
            return Ok((self.endpoints()[0].clone(), Self::secret("another")));
        }
        // Whoever else is at it gets there, where nothing keeps them from it.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let (created, failure, hook) = {
            let mut account = self.inner.lock().unwrap();
            account.made += 1;
            let created =
                Registered::new(format!("we_{}", account.made), wanted.url(), wanted.events().to_vec())
                    .with_description(wanted.description().map(str::to_owned));
            let failure = account.failure.take();
            if failure.is_none_or(|(_, leaves_one)| leaves_one) {
                account.endpoints.push(created.clone());
            }
            (created, failure, account.during_creation.clone())
        };
        if let Some((kind, _)) = failure {
            return Err(EndpointError::other(kind, self.provider, "the answer was lost"));
        }
        if let Some(hook) = hook {
            hook(Self::secret(created.id())).await;
        }
        let secret = Self::secret(created.id());
        if self.has(Quirk::CreatesWithoutDescription) || self.has(Quirk::NoDescriptions) {
            return Ok((created.with_description(None), secret));
        }
        Ok((created, secret))
    }

    async fn set_events(&self, id: &str, events: &[String]) -> Result<Registered, EndpointError> {
        self.journal.write(format!("events {id} {}", events.join(" ")));
        self.change(id, |old| {
            Registered::new(id, old.url(), events.to_vec())
                .with_active(old.is_active())
                .with_description(old.description().map(str::to_owned))
        })
    }

    async fn set_active(&self, id: &str, active: bool) -> Result<Registered, EndpointError> {
        self.journal.write(format!("active {id} {active}"));
        self.change(id, |old| old.with_active(active))
    }

    async fn set_description(&self, id: &str, description: &str) -> Result<(), EndpointError> {
        self.journal.write(format!("describe {id}"));
        if self.has(Quirk::FixedDescriptions) {
            return Err(EndpointError::other(Kind::BadRequest, self.provider, "no such member"));
        }
        self.change(id, |old| old.with_description(Some(description.to_owned()))).map(drop)
    }

    async fn delete(&self, id: &str) -> Result<(), EndpointError> {
        self.journal.write(format!("delete {id}"));
        self.change(id, |old| old)?;
        self.lose(id);
        Ok(())
    }
}

/// An account, a vault beside it, and a manager of both.
pub(super) fn managed() -> (Memory, Vault, EndpointManager<Memory, Vault>) {
    let api = Memory::new();
    let vault = Vault::beside(&api);
    (api.clone(), vault.clone(), EndpointManager::new(api, vault))
}

/// The same with an endpoint, whose secret is kept.
pub(super) fn managed_with_one(events: &[&str]) -> (Memory, Vault, EndpointManager<Memory, Vault>) {
    let (api, vault, manager) = managed();
    api.add(Registered::new("old", URL, types(events)));
    vault.put("old");
    (api, vault, manager)
}
