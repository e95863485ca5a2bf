//! Polls a future that is not ours: panics are caught, time is bounded, a stop is obeyed.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use crate::panic::caught;
use crate::timer::Timer;

/// How a foreign future ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ran<T> {
    Finished(T),
    Panicked,
    TimedOut,
    Stopped,
}

/// Runs what `start` begins, for `timeout` at the most, unless `stopping` says otherwise. The future is dropped
/// here, before the return, so that its work has ended when the caller goes on.
pub(crate) async fn run<F: Future>(
    start: impl FnOnce() -> F,
    timeout: Duration,
    stopping: impl Fn() -> bool,
) -> Ran<F::Output> {
    if stopping() {
        return Ran::Stopped;
    }
    let Some(future) = caught(start) else { return Ran::Panicked };
    let mut future = pin!(Some(future));
    let mut timer = Timer::after(timeout);
    let ran = poll_fn(|cx| {
        if stopping() {
            return Poll::Ready(Ran::Stopped);
        }
        let Some(running) = future.as_mut().as_pin_mut() else { return Poll::Pending };
        match caught(|| running.poll(cx)) {
            Some(Poll::Ready(output)) => Poll::Ready(Ran::Finished(output)),
            Some(Poll::Pending) => timer.poll(cx).map(|()| Ran::TimedOut),
            None => Poll::Ready(Ran::Panicked),
        }
    })
    .await;
    // A panic of its destructors is theirs and changes nothing about the outcome.
    let _ = caught(|| future.set(None));
    ran
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    const LONG: Duration = Duration::from_secs(20);

    struct PanicsOnDrop;

    impl Drop for PanicsOnDrop {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_end_is_told() {
        let never = || false;
        assert_eq!(run(|| ready(7), LONG, never).await, Ran::Finished(7));
        assert_eq!(run(pending::<()>, LONG, never).await, Ran::TimedOut);
        assert_eq!(run(|| async { panic!("in poll") }, LONG, never).await, Ran::<()>::Panicked);
        assert_eq!(run(|| -> std::future::Ready<()> { panic!("in call") }, LONG, never).await, Ran::Panicked);
        assert_eq!(run(|| ready(7), LONG, || true).await, Ran::Stopped);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_while_dropping_changes_nothing() {
        let hold = |result: bool| {
            move || {
                let held = PanicsOnDrop;
                poll_fn(move |_| {
                    let _ = &held;
                    if result { Poll::Ready(7) } else { Poll::Pending }
                })
            }
        };
        assert_eq!(run(hold(true), LONG, || false).await, Ran::Finished(7));
        assert_eq!(run(hold(false), LONG, || false).await, Ran::TimedOut);
    }
}
