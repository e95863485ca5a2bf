//! Receiver processes: started, watched, signalled, and seen to their end.

use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, ChildStdin, Command};

use super::failpoint::Armed;
use super::journal::{Incarnation, What};
use super::receiver::{CONFIGURATION, Configuration, Said};
use super::sender::ask;
use super::world::World;

/// A receiver. It ends with the test, whatever becomes of that.
pub(super) struct Process {
    child: Child,
    /// The receiver ends when this closes.
    _lifeline: Option<ChildStdin>,
    pub(super) incarnation: Incarnation,
    pub(super) port: u16,
}

impl Process {
    /// Starts a receiver, on a port that is its again after a restart.
    pub(super) fn start(world: &World, port: u16, armed: &[Armed]) -> Self {
        static INCARNATIONS: AtomicU64 = AtomicU64::new(1);
        let incarnation = INCARNATIONS.fetch_add(1, Ordering::Relaxed);
        let configuration = Configuration {
            kind: world.kind,
            url: world.url.clone(),
            port,
            incarnation,
            armed: armed.to_vec(),
            journal: world.journal_of(incarnation),
            ledger: world.ledger(),
            resumed: world.resumed(incarnation),
        };
        let log = std::fs::File::options().create(true).append(true).open(world.path("log")).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["hostile::receiver::receiver_process", "--exact", "--ignored", "--nocapture"])
            .env(CONFIGURATION, serde_json::to_string(&configuration).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        Self { _lifeline: child.stdin.take(), child, incarnation, port }
    }

    /// Starts a receiver, and waits until it answers.
    pub(super) async fn listening(world: &World, port: u16, armed: &[Armed]) -> Self {
        let mut process = Self::start(world, port, armed);
        let start = Instant::now();
        while process.said().await.is_none_or(|said| said.incarnation != process.incarnation) {
            let log = || std::fs::read_to_string(world.path("log")).unwrap_or_default();
            assert_eq!(process.child.try_wait().unwrap(), None, "the receiver has ended: {}", log());
            assert!(start.elapsed() < Duration::from_secs(60), "the receiver does not answer: {}", log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        process
    }

    pub(super) async fn said(&self) -> Option<Said> {
        ask(self.port, "/said").await
    }

    pub(super) fn pid(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()?).unwrap())
    }

    pub(super) fn signal(&self, world: &World, signal: Signal) {
        if let Some(pid) = self.pid() {
            world.journal.add(What::Signalled(self.incarnation, format!("{signal:?}")));
            kill_process(pid, signal).unwrap();
        }
    }

    /// Lets a process go on that has stopped at its failpoint.
    pub(super) fn resume(&self, world: &World) {
        std::fs::write(world.resumed(self.incarnation), "").unwrap();
        self.signal(world, Signal::CONT);
    }

    /// Waits until the process has ended, and writes that down.
    pub(super) async fn ended(&mut self, world: &World) -> ExitStatus {
        let status = self.child.wait().await.unwrap();
        world.journal.add(What::Ended(self.incarnation));
        status
    }

    /// Ends it as a service manager does. It must end by itself.
    pub(super) async fn stop(mut self, world: &World) -> ExitStatus {
        self.signal(world, Signal::TERM);
        let ended = tokio::time::timeout(Duration::from_secs(60), self.ended(world)).await;
        ended.expect("the receiver does not end")
    }
}
