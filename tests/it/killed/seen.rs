//! What there is to be seen from outside: at the platform, in the directory of secrets, and of what was sent.

use std::fs;
use std::path::PathBuf;

use tower_webhook::endpoints::Registered;

use super::site::Site;
use crate::conversation::provider::Sent;
use crate::stage::within_a_minute;

impl Site {
    /// The endpoints of the URL.
    pub(super) async fn endpoints(&self) -> Vec<Registered> {
        self.account.endpoints(&self.configuration.url()).await
    }

    pub(super) fn secret_file(&self, endpoint: &str) -> String {
        format!("{}.{endpoint}.secret", self.platform.name())
    }

    /// Those of them whose secret is not in the directory.
    pub(super) async fn without_secret(&self) -> Vec<String> {
        let files = self.files();
        let ids = self.endpoints().await.into_iter().map(|endpoint| endpoint.id().to_owned());
        ids.filter(|id| !files.contains(&self.secret_file(id))).collect()
    }

    pub(super) fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.configuration.secrets).unwrap();
        let mut files: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        files.sort_unstable();
        files
    }

    pub(super) fn path(&self, file: &str) -> PathBuf {
        self.configuration.secrets.join(file)
    }

    /// Waits until something has happened that goes to this endpoint.
    pub(super) async fn until_emitted(&self, endpoint: &str) {
        let emitted = async {
            while !self.traffic.halted().await.values().any(|to| to.contains(endpoint)) {
                tokio::task::yield_now().await;
            }
        };
        within_a_minute(emitted).await;
    }

    /// How many events were sent, and how many of them to nobody but endpoints whose secret was lost.
    pub(super) async fn happened(&self) -> (usize, usize) {
        let events = self.traffic.halted().await;
        (events.len(), events.values().filter(|to| to.is_subset(&self.lost)).count())
    }

    /// The number of the last delivery that has ended.
    pub(super) async fn last(&self) -> u64 {
        self.provider.sent(self.checked).await.last().map_or(self.checked, |sent| sent.sequence)
    }

    /// Waits for an answer to what was sent to this endpoint, and returns its status.
    pub(super) async fn answer_to(&self, endpoint: &str, after: u64) -> u16 {
        self.until_sent(after, |sent| sent.endpoint == endpoint && sent.status.is_some()).await.unwrap()
    }

    /// Waits until this endpoint has had something accepted.
    pub(super) async fn until_accepted(&self, endpoint: &str, after: u64) {
        self.until_sent(after, |sent| sent.endpoint == endpoint && sent.status == Some(200)).await;
    }

    async fn until_sent(&self, after: u64, is_it: impl Fn(&Sent) -> bool) -> Option<u16> {
        let found = async {
            loop {
                if let Some(sent) = self.provider.sent(after).await.into_iter().find(&is_it) {
                    return sent.status;
                }
            }
        };
        within_a_minute(found).await
    }

    /// Waits until all that has happened was accepted by all to whom it was sent.
    pub(super) async fn settled(&self) {
        let _halted = self.traffic.halted().await;
        self.provider.settled().await;
    }

    /// The same, but for an endpoint whose secret is lost: that accepts nothing.
    pub(super) async fn settled_but(&self, old: &str) {
        if !self.lost.contains(old) {
            self.settled().await;
        }
    }
}
