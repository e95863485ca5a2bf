//! Where a receiver stops to be killed: a sink that reports to the test at one of its steps, and goes no further.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tower_webhook::endpoints::{FileSink, SecretSink};
use tower_webhook::testing::simulator::Platform;
use tower_webhook::{BoxError, Secret};

use super::stranger::is_answered;
use crate::stage::within_a_minute;

/// A step of the sink.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Point {
    BeforeAnnounce,
    AfterAnnounce,
    BeforeStore,
    /// Half of a secret is in the file that was to be renamed.
    HalfStored,
    AfterStore,
    AfterWithdraw,
    BeforeRemove,
    AfterRemove,
}

/// A directory of secrets, and the point at which it stops.
#[derive(Clone)]
pub(super) struct Stopping {
    pub(super) sink: FileSink,
    pub(super) directory: PathBuf,
    pub(super) point: Arc<Mutex<Option<Point>>>,
    /// Where the test listens.
    pub(super) report_to: u16,
    /// A receiver in another process, which is to hear of an announcement before anything is created.
    pub(super) heard_by: Option<(Platform, String)>,
}

impl Stopping {
    async fn pass(&self, point: Point) {
        if *self.point.lock().unwrap() != Some(point) {
            return;
        }
        let mut test = TcpStream::connect(("127.0.0.1", self.report_to)).await.unwrap();
        // The test keeps the connection, and says nothing.
        _ = test.read(&mut [0]).await;
        std::future::pending::<()>().await;
    }

    fn is_at(&self, point: Point) -> bool {
        *self.point.lock().unwrap() == Some(point)
    }
}

impl SecretSink for Stopping {
    async fn announce(&self, provider: &str, url: &str) -> Result<(), BoxError> {
        self.pass(Point::BeforeAnnounce).await;
        self.sink.announce(provider, url).await?;
        if let Some((platform, receiver)) = &self.heard_by {
            is_answered(*platform, receiver, 503).await;
        }
        self.pass(Point::AfterAnnounce).await;
        Ok(())
    }

    async fn withdraw(&self, provider: &str, url: &str) -> Result<(), BoxError> {
        self.sink.withdraw(provider, url).await?;
        self.pass(Point::AfterWithdraw).await;
        Ok(())
    }

    async fn store(&self, provider: &str, endpoint_id: &str, secret: &Secret) -> Result<(), BoxError> {
        self.pass(Point::BeforeStore).await;
        if self.is_at(Point::HalfStored) {
            // As a kill leaves it that comes while the file is written.
            let file = format!("{provider}.{endpoint_id}.secret.0123456789abcdef.new");
            let half = &secret.expose()[..secret.expose().len() / 2];
            std::fs::write(self.directory.join(file), half)?;
            self.pass(Point::HalfStored).await;
        }
        self.sink.store(provider, endpoint_id, secret).await?;
        self.pass(Point::AfterStore).await;
        Ok(())
    }

    async fn contains(&self, provider: &str, endpoint_id: &str) -> Result<bool, BoxError> {
        self.sink.contains(provider, endpoint_id).await
    }

    async fn remove(&self, provider: &str, endpoint_id: &str) -> Result<(), BoxError> {
        self.pass(Point::BeforeRemove).await;
        self.sink.remove(provider, endpoint_id).await?;
        self.pass(Point::AfterRemove).await;
        Ok(())
    }

    async fn tidy(&self, provider: &str, url: &str) -> Result<(), BoxError> {
        self.sink.tidy(provider, url).await
    }
}

/// Where the test hears that a point is reached.
pub(super) struct Checkpoint {
    listener: TcpListener,
}

impl Checkpoint {
    pub(super) async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(super) fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// Waits until a receiver has stopped. It stays there while the stream is kept.
    pub(super) async fn reached(&self) -> TcpStream {
        within_a_minute(self.listener.accept()).await.unwrap().0
    }
}
