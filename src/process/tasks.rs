//! Handlers that outlive their request: moved whole into a task, counted, and waited for at shutdown.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::sync::watch;

use crate::delivery::Delivery;
use crate::observe::Observer;

/// How long, after the deadline of a shutdown, handlers that were told to stop get to give their claims back.
const STOP_GRACE: Duration = Duration::from_millis(500);

/// The tasks of one receiver.
#[derive(Debug)]
pub(crate) struct Tasks {
    running: watch::Sender<usize>,
    stopping: AtomicBool,
    stop: watch::Sender<bool>,
}

impl Tasks {
    pub(crate) fn new() -> Arc<Self> {
        let stopping = AtomicBool::new(false);
        Arc::new(Self { running: watch::Sender::new(0), stopping, stop: watch::Sender::new(false) })
    }

    /// Whether handlers are told to stop.
    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Waits until handlers are told to stop.
    pub(crate) async fn stopped(&self) {
        // Cannot fail while `self` holds the sender.
        let _ = self.stop.subscribe().wait_for(|stop| *stop).await;
    }

    pub(crate) fn running(&self) -> usize {
        *self.running.borrow()
    }

    /// Runs `future` to its end in a task of its own. Outside of a runtime there is none to run it: it is
    /// dropped, and its lease runs out.
    pub(crate) fn spawn<F>(self: &Arc<Self>, mut future: Pin<Box<F>>)
    where
        F: Future + Send + ?Sized + 'static,
        F::Output: Send,
    {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        self.running.send_modify(|running| *running += 1);
        let task = Running { tasks: Arc::clone(self) };
        let mut stop = self.stop.subscribe();
        runtime.spawn(async move {
            let stopped = {
                let mut told = std::pin::pin!(stop.wait_for(|stop| *stop));
                std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
                    Poll::Ready(_) => Poll::Ready(false),
                    Poll::Pending => told.as_mut().poll(cx).map(|_| true),
                })
                .await
            };
            if stopped {
                // Polled once more the future sees `stopping`, drops the handler and gives the claim back.
                future.as_mut().await;
            }
            drop(task);
        });
    }

    async fn drain(&self, within: Duration) -> usize {
        let mut running = self.running.subscribe();
        let mut idle = async |within| {
            tokio::time::timeout(within, running.wait_for(|running| *running == 0)).await.is_ok()
        };
        if idle(within).await {
            return 0;
        }
        let stopped = self.running();
        self.stopping.store(true, Ordering::Release);
        self.stop.send_replace(true);
        idle(STOP_GRACE).await;
        stopped
    }
}

/// Counts a task down, however it ends.
struct Running {
    tasks: Arc<Tasks>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.running.send_modify(|running| *running -= 1);
    }
}

/// Waits for handlers that outlived their request. From [`WebhookLayer::shutdown`](crate::WebhookLayer::shutdown).
///
/// Use it after the server has stopped to accept connections and has finished those that it had: from then on
/// no further handler begins.
///
/// ```
/// use std::time::Duration;
/// use tower_webhook::{Secret, WebhookLayer, caspay};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let webhook = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?;
/// let shutdown = webhook.shutdown();
/// // axum::serve(listener, app).with_graceful_shutdown(signal).await?;
/// assert!(shutdown.drain(Duration::from_secs(10)).await.is_complete());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Shutdown {
    tasks: Arc<Tasks>,
}

impl Shutdown {
    pub(crate) fn new(tasks: Arc<Tasks>) -> Self {
        Self { tasks }
    }

    /// How many handlers are running after their request has ended, and completions that the store refused are
    /// being tried again.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.tasks.running()
    }

    /// Waits until no such handler runs, for `within` at the most. Handlers that run on are then told to stop:
    /// each is dropped at its next await, and its claim given back, which takes half a second at the most. Blocking
    /// work that a handler started is not stopped by that; end the process soon, or another instance may run the
    /// event beside it.
    pub async fn drain(&self, within: Duration) -> Drained {
        Drained { stopped: self.tasks.drain(within).await }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shutdown").field("pending", &self.pending()).finish_non_exhaustive()
    }
}

/// How a drain ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Drained {
    stopped: usize,
}

impl Drained {
    /// Whether every handler ran to its end.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stopped == 0
    }

    /// How many handlers were told to stop at the deadline.
    #[must_use]
    pub fn stopped(&self) -> usize {
        self.stopped
    }
}

/// A future that is not cancelled when it is dropped, but moved into a task and finished there.
pub(crate) struct Detachable<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    future: Option<Pin<Box<F>>>,
    delivery: Delivery,
    tasks: Arc<Tasks>,
    observer: Arc<Observer>,
    begun: bool,
    /// Set while the future is polled: it panicked if it is still set on drop.
    polling: bool,
}

impl<F> Detachable<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    pub(crate) fn new(future: F, delivery: Delivery, tasks: Arc<Tasks>, observer: Arc<Observer>) -> Self {
        let future = Some(Box::pin(future));
        Self { future, delivery, tasks, observer, begun: false, polling: false }
    }
}

impl<F> Future for Detachable<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        let Some(future) = &mut this.future else { return Poll::Pending };
        (this.begun, this.polling) = (true, true);
        let polled = future.as_mut().poll(cx);
        this.polling = false;
        if polled.is_ready() {
            this.future = None;
        }
        polled
    }
}

impl<F> Drop for Detachable<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn drop(&mut self) {
        if let Some(future) = self.future.take()
            && self.begun
            && !self.polling
        {
            self.observer.moved();
            self.delivery.mark_moved();
            self.tasks.spawn(future);
        }
    }
}
