//! A store whose process can be killed around every operation, and which writes down how completions end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tower_webhook::dedup::{
    Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease, StoreError, StoreInfo,
};

use super::failpoint::{Failpoints, Point};
use super::journal::{Incarnation, Journal, What, now};

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

    fn id(&self, lease: &Lease) -> String {
        self.ids.lock().unwrap()[lease.key()].clone()
    }
}

impl<St: DedupStore> DedupStore for Watched<St> {
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        self.points.hit(Point::BeforeClaim);
        let asked = now();
        let claim = self.inner.claim(request).await?;
        if matches!(claim, Claim::Acquired(_)) {
            let id = request.id().to_owned();
            self.journal.add(What::Claimed(self.incarnation, id.clone(), asked));
            self.ids.lock().unwrap().insert(*request.key(), id);
            self.points.hit(Point::AfterClaim);
        }
        Ok(claim)
    }

    async fn complete(&self, lease: &Lease, retain: Duration) -> Result<Completion, StoreError> {
        let id = self.id(lease);
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
        self.journal.add(What::Releasing(self.incarnation, self.id(lease)));
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
