//! A vault that does what the test says.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

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
    Fails,
    Panics,
    /// Stores once it may.
    Waits(Arc<Semaphore>),
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

    pub(super) fn get(&self, id: &str) -> Option<String> {
        self.secrets.lock().unwrap().get(id).cloned()
    }

    /// Notes what it is asked, and does it, or what its mood is.
    async fn asked(&self, line: String) -> Result<(), BoxError> {
        self.journal.write(line);
        let mood = self.mood.lock().unwrap().clone();
        match mood {
            Mood::Keeps => Ok(()),
            Mood::Fails => Err("the vault is sealed".into()),
            Mood::Panics => panic!("the vault is on fire"),
            Mood::Waits(semaphore) => {
                semaphore.acquire().await.unwrap().forget();
                Ok(())
            }
        }
    }
}

impl SecretSink for Vault {
    async fn announce(&self, provider: &str) -> Result<(), BoxError> {
        self.asked(format!("announce {provider}")).await
    }

    async fn withdraw(&self, provider: &str) -> Result<(), BoxError> {
        self.asked(format!("withdraw {provider}")).await
    }

    async fn store(&self, provider: &str, endpoint_id: &str, secret: &Secret) -> Result<(), BoxError> {
        self.asked(format!("store {provider} {endpoint_id}")).await?;
        self.secrets.lock().unwrap().insert(endpoint_id.to_owned(), secret.expose().to_owned());
        Ok(())
    }

    async fn contains(&self, _: &str, endpoint_id: &str) -> Result<bool, BoxError> {
        let mood = self.mood.lock().unwrap().clone();
        match mood {
            Mood::Fails => Err("the vault is sealed".into()),
            _ => Ok(self.secrets.lock().unwrap().contains_key(endpoint_id)),
        }
    }

    async fn remove(&self, provider: &str, endpoint_id: &str) -> Result<(), BoxError> {
        self.asked(format!("remove {provider} {endpoint_id}")).await?;
        self.secrets.lock().unwrap().remove(endpoint_id);
        Ok(())
    }
}
