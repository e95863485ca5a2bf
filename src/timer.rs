//! A deadline that costs nothing until somebody has to wait.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep_until};

/// Armed when it is polled for the first time. What is ready at once never touches tokio's timer wheel.
pub(crate) struct Timer {
    at: At,
    sleep: Option<Pin<Box<Sleep>>>,
}

enum At {
    Deadline(Instant),
    /// Counted from the first poll.
    After(Duration),
}

impl Timer {
    pub(crate) fn at(deadline: Instant) -> Self {
        Self { at: At::Deadline(deadline), sleep: None }
    }

    pub(crate) fn after(duration: Duration) -> Self {
        Self { at: At::After(duration), sleep: None }
    }

    /// Ready when the time has come.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let at = &self.at;
        let sleep = self.sleep.get_or_insert_with(|| {
            Box::pin(sleep_until(match *at {
                At::Deadline(deadline) => deadline,
                At::After(duration) => deadline_after(Instant::now(), duration),
            }))
        });
        sleep.as_mut().poll(cx)
    }
}

/// `start + duration`, or as late as tokio's timers reach where that overflows.
pub(crate) fn deadline_after(start: Instant, duration: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(30 * 365 * 86_400);
    start + duration.min(FAR)
}

/// Polls `future`, then the timer: a result that is there when the time comes still counts.
pub(crate) async fn before<F: Future>(mut future: Pin<&mut F>, timer: &mut Timer) -> Option<F::Output> {
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => timer.poll(cx).map(|()| None),
    })
    .await
}
