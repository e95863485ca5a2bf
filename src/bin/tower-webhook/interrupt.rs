//! Ctrl-C, SIGTERM and SIGHUP: a terminal is not left without echo by its own keyboard, and an endpoint not without its
//! secret.

use std::io;
use std::process;
use std::sync::atomic::{AtomicU8, Ordering};

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// What must not be broken off. One thing at a time: a program asks before it creates.
static BUSY: AtomicU8 = AtomicU8::new(NOTHING);

const NOTHING: u8 = 0;
const ASKING: u8 = 1;
const CREATING: u8 = 2;

/// Until it is dropped, a signal does not end the program at once.
#[derive(Debug)]
pub(crate) struct Busy(());

impl Busy {
    /// At a prompt. It hides what is typed, takes Ctrl-C itself, and fails by it once the terminal is as it was.
    pub(crate) fn asking() -> Self {
        BUSY.store(ASKING, Ordering::Release);
        Self(())
    }

    /// While an endpoint may come to be: its secret is shown once, and the answer that has it must be read.
    pub(crate) fn creating() -> Self {
        BUSY.store(CREATING, Ordering::Release);
        Self(())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        BUSY.store(NOTHING, Ordering::Release);
    }
}

/// Takes Ctrl-C from now on, within a runtime; and what ends programs whose terminal is closed, or that are deployed anew.
pub(crate) fn watch(output: Output) {
    // Taken before anything begins, and once for all: between two that are taken one after the other, a signal would be
    // nobody's. Where they cannot be, they end the program as ever.
    let Ok(mut signals) = Signals::take() else { return };
    tokio::spawn(async move {
        let mut is_patient = true;
        loop {
            let is_typed = signals.next().await;
            match BUSY.load(Ordering::Acquire) {
                ASKING if is_typed => {}
                CREATING if is_patient => {
                    is_patient = false;
                    output.warning(
                        "the call is being finished, since it may create an endpoint, whose secret is shown once; \
                         Ctrl-C again, or another signal, ends it",
                    );
                }
                CREATING => end(
                    output,
                    "interrupted during the call: an endpoint may have been created, whose secret nobody has. List \
                     the endpoints, and delete the one whose secret is not in --save-to",
                ),
                _ => end(output, "interrupted"),
            }
        }
    });
}

#[cfg(unix)]
struct Signals {
    interrupt: Option<Signal>,
    terminate: Option<Signal>,
    hangup: Option<Signal>,
}

#[cfg(unix)]
impl Signals {
    fn take() -> io::Result<Self> {
        let take = |kind: SignalKind| if is_ignored(kind) { Ok(None) } else { signal(kind).map(Some) };
        Ok(Self {
            interrupt: take(SignalKind::interrupt())?,
            terminate: take(SignalKind::terminate())?,
            hangup: take(SignalKind::hangup())?,
        })
    }

    /// Waits for one of them; whether it is that of a keyboard.
    async fn next(&mut self) -> bool {
        async fn received(signal: &mut Option<Signal>) {
            let received = match signal {
                Some(signal) => signal.recv().await,
                None => None,
            };
            // None comes any more.
            if received.is_none() {
                std::future::pending::<()>().await;
            }
        }
        tokio::select! {
            () = received(&mut self.interrupt) => true,
            () = received(&mut self.terminate) => false,
            () = received(&mut self.hangup) => false,
        }
    }
}

/// Whether whoever started the program wants it to live through this signal, as `nohup` does. Where that cannot be known,
/// it is taken for no.
#[cfg(unix)]
fn is_ignored(kind: SignalKind) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (kind.as_raw_value() - 1) & 1 == 1)
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn take() -> io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn next(&mut self) -> bool {
        if self.0.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
        true
    }
}

fn end(output: Output, message: &str) {
    output.failure(&Failure::interrupted(message));
    process::exit(Exit::Interrupted.code().into());
}
