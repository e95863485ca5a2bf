//! Ctrl-C: a terminal is not left without echo, and an endpoint not without its secret.

use std::process;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::FutureExt as _;

use crate::exit::{Exit, Failure};
use crate::output::Output;

/// What must not be broken off. One thing at a time: a program asks before it creates.
static BUSY: AtomicU8 = AtomicU8::new(NOTHING);

const NOTHING: u8 = 0;
const ASKING: u8 = 1;
const CREATING: u8 = 2;

/// Until it is dropped, Ctrl-C does not end the program at once.
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

/// Takes Ctrl-C from now on, within a runtime.
pub(crate) fn watch(output: Output) {
    // Asked once, so that the signal is taken before anything begins; where it cannot be, it ends the program as ever.
    if let Some(Err(_)) = tokio::signal::ctrl_c().now_or_never() {
        return;
    }
    tokio::spawn(async move {
        let mut is_patient = true;
        while tokio::signal::ctrl_c().await.is_ok() {
            match BUSY.load(Ordering::Acquire) {
                ASKING => {}
                CREATING if is_patient => {
                    is_patient = false;
                    output.warning(
                        "the call is being finished, since it may create an endpoint, whose secret is shown once; \
                         Ctrl-C again ends it",
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

fn end(output: Output, message: &str) {
    output.failure(&Failure::interrupted(message));
    process::exit(Exit::Interrupted.code().into());
}
