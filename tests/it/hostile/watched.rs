//! A store whose process can be killed around every operation, and which writes down how completions end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_webhook::dedup::{
    Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease, StoreError, StoreInfo,
};

use super::failpoint::{Failpoints, Point};
use super::journal::{Incarnation, Journal, What};

pub(super) struct Watched<St> {
    inner: St,
    points: Arc<Failpoints>,
    incarnation: Incarnation,
    journal: Journal,
    /// What the journal calls the events that were claimed here.
    ids: Mutex<HashMap<DedupKey, String>>,
}

impl<St> Watched<St> {
    pub(super) fn new(
        inner: St,
        points: Arc<Failpoints>,
        incarnation: Incarnation,
        journal: Journal,
    ) -> Self {
        Self { inner, points, incarnation, journal, ids: Mutex::default() }
    }
}

impl<St: DedupStore> DedupStore for Watched<St> {
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        self.points.hit(Point::BeforeClaim);
        let claim = self.inner.claim(request).await?;
        if matches!(claim, Claim::Acquired(_)) {
            self.points.hit(Point::AfterClaim);
            self.ids.lock().unwrap().insert(*request.key(), request.id().to_owned());
        }
        Ok(claim)
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, StoreError> {
        let id = self.ids.lock().unwrap().get(lease.key()).cloned().unwrap_or_default();
        self.points.hit(Point::BeforeComplete);
        self.journal.add(What::Completing(self.incarnation, id.clone()));
        let completion = self.inner.complete(lease, retain).await?;
        self.journal.add(match completion {
            Completion::Completed => What::Completed(self.incarnation, id),
            Completion::LeaseLost => What::LeaseLost(self.incarnation, id),
        });
        self.points.hit(Point::AfterComplete);
        Ok(completion)
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.points.hit(Point::BeforeRelease);
        self.inner.release(lease).await?;
        self.points.hit(Point::AfterRelease);
        Ok(())
    }

    async fn forget(&self, key: &DedupKey) -> Result<(), StoreError> {
        self.inner.forget(key).await
    }

    fn info(&self) -> StoreInfo {
        self.inner.info()
    }
}
