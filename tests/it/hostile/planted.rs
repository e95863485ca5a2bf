//! Two stores as they are often written, each with its well-known fault: the harness must find both.

use std::time::Duration;

use redis::aio::ConnectionManager;
use tower_webhook::dedup::{
    Claim, ClaimRequest, Completion, DedupKey, DedupStore, Lease, StoreError, StoreInfo,
};

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// The event is marked done before it is processed: a crash in between loses it.
    MarkFirst,
    /// The mark is looked up before and written after the processing: deliveries in between all process it.
    CheckThenMark,
}

pub(super) struct Planted {
    pub(super) wrong: Wrong,
    pub(super) connection: ConnectionManager,
}

impl Planted {
    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> Result<T, StoreError> {
        command.query_async(&mut self.connection.clone()).await.map_err(StoreError::unavailable)
    }

    async fn mark(&self, key: &DedupKey) -> Result<bool, StoreError> {
        let command = redis::cmd("SET").arg(key.as_bytes()).arg(1).arg("NX").to_owned();
        Ok(self.ask::<Option<String>>(&command).await?.is_some())
    }
}

impl DedupStore for Planted {
    async fn claim(&self, request: &ClaimRequest<'_>) -> Result<Claim, StoreError> {
        let is_new = match self.wrong {
            Wrong::MarkFirst => self.mark(request.key()).await?,
            Wrong::CheckThenMark => {
                !self.ask::<bool>(redis::cmd("EXISTS").arg(request.key().as_bytes())).await?
            }
        };
        Ok(if is_new { Claim::Acquired(Lease::new(*request.key(), 1)) } else { Claim::Done })
    }

    async fn complete(&self, lease: &Lease, _: Duration) -> Result<Completion, StoreError> {
        if self.wrong == Wrong::CheckThenMark {
            self.mark(lease.key()).await?;
        }
        Ok(Completion::Completed)
    }

    async fn release(&self, lease: &Lease) -> Result<(), StoreError> {
        self.ask(redis::cmd("DEL").arg(lease.key().as_bytes())).await
    }

    async fn forget(&self, key: &DedupKey) -> Result<(), StoreError> {
        self.ask(redis::cmd("DEL").arg(key.as_bytes())).await
    }

    fn info(&self) -> StoreInfo {
        StoreInfo::new(true, true)
    }
}
