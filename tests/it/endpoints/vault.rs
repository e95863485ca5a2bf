//! A vault that does what the test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Semaphore;
use tower_webhook::endpoints::SecretSink;
use tower_webhook::{BoxError, Secret};

use super::memory::{Journal, Memory};

/// Keeps secrets, or does not. Clones share them.
#[derive(Clone)]
pub(super) struct Vault {
    journal: Journal,
    secrets: Arc<Mutex<BTreeMap<String, String>>>,
    mood: Arc<Mutex<Mood>>,
}

#[derive(Clone)]
pub(super) enum Mood {
    Keeps,
    /// Everything fails.
    Sealed,
    FailsToStore,
    FailsToRemove,
    PanicsInStore,
    /// Stores once it may.
    Waits(Arc<Semaphore>),
    /// Never answers this.
    Hangs(&'static str),
    /// Announces after so long.
    AnnouncesAfter(Duration),
}

impl Vault {
    /// One that writes into the journal of an account.
    pub(super) fn beside(api: &Memory) -> Self {
        let mood = Arc::new(Mutex::new(Mood::Keeps));
        Self { journal: api.journal.clone(), secrets: Arc::default(), mood }
    }

    pub(super) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    pub(super) fn put(&self, id: &str) {
        self.secrets.lock().unwrap().insert(id.to_owned(), Memory::secret(id).expose().to_owned());
    }

    /// Removes by hand.
    pub(super) fn lose(&self, id: &str) {
        self.secrets.lock().unwrap().remove(id);
    }

    pub(super) fn get(&self, id: &str) -> Option<String> {
        self.secrets.lock().unwrap().get(id).cloned()
    }

    /// Notes what it is asked, and does it, unless its mood is one of these.
    fn asked(&self, line: String, fails: fn(&Mood) -> bool) -> Result<(), BoxError> {
        self.journal.write(line);
        if fails(&self.mood()) { Err("the vault is sealed".into()) } else { Ok(()) }
    }

    async fn hang(&self, at: &str) {
        match self.mood() {
            Mood::Hangs(what) if what == at => std::future::pending().await,
            Mood::AnnouncesAfter(pause) if at == "announce" => tokio::time::sleep(pause).await,
            _ => {}
        }
    }

    fn mood(&self) -> Mood {
        self.mood.lock().unwrap().clone()
    }
}

impl SecretSink for Vault {
    async fn announce(&self, provider: &str, _: &str) -> Result<(), BoxError> {
        self.hang("announce").await;
        self.asked(format!("announce {provider}"), |mood| matches!(mood, Mood::Sealed))
    }

    async fn withdraw(&self, provider: &str, _: &str) -> Result<(), BoxError> {
        self.hang("withdraw").await;
        self.asked(format!("withdraw {provider}"), |mood| matches!(mood, Mood::Sealed))
    }

    async fn tidy(&self, _: &str, _: &str) -> Result<(), BoxError> {
        self.hang("tidy").await;
        Ok(())
    }

    async fn store(&self, provider: &str, endpoint_id: &str, secret: &Secret) -> Result<(), BoxError> {
        let line = format!("store {provider} {endpoint_id}");
        self.asked(line, |mood| matches!(mood, Mood::Sealed | Mood::FailsToStore))?;
        match self.mood() {
            Mood::PanicsInStore => panic!("the vault is on fire"),
            Mood::Waits(semaphore) => semaphore.acquire().await.unwrap().forget(),
            _ => {}
        }
        self.secrets.lock().unwrap().insert(endpoint_id.to_owned(), secret.expose().to_owned());
        Ok(())
    }

    async fn contains(&self, _: &str, endpoint_id: &str) -> Result<bool, BoxError> {
        self.hang("contains").await;
        match self.mood() {
            Mood::Sealed => Err("the vault is sealed".into()),
            _ => Ok(self.secrets.lock().unwrap().contains_key(endpoint_id)),
        }
    }

    async fn remove(&self, provider: &str, endpoint_id: &str) -> Result<(), BoxError> {
        self.hang("remove").await;
        let line = format!("remove {provider} {endpoint_id}");
        self.asked(line, |mood| matches!(mood, Mood::Sealed | Mood::FailsToRemove))?;
        self.secrets.lock().unwrap().remove(endpoint_id);
        Ok(())
    }
}
