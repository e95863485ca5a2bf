//! A server and the shell that ends it: the shell waits for a pipe to close, which it does even when the tests
//! are killed with SIGKILL.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// The server's directory, the signal of its end, and its command line. An order on the input is a signal: KILL
/// for the server and its children, as if the machine had failed, any other for the server alone. The end of the
/// input ends the server and removes its directory.
const SUPERVISOR: &str = r#"
directory=$1 quit=$2
shift 2
# What the kernel sends to a group with a stopped process when the parent of the group dies.
trap '' HUP
"$@" </dev/null >>"$directory/log" 2>&1 &
server=$!
echo "$server"
children() { cat "/proc/$server/task/$server/children"; }
if read -r signal; then
    if [ "$signal" = KILL ]; then kill -KILL "$server" $(children); else kill "-$signal" "$server"; fi
    wait "$server"
else
    kill -CONT "$server" $(children)
    kill "-$quit" "$server"
    wait "$server"
    rm -rf "$directory"
fi 2>/dev/null
"#;

/// How a server is started, and started again.
pub(super) struct Launch {
    /// Belongs to the server; removed with it.
    pub(super) directory: PathBuf,
    /// What ends it without a trace, such as `QUIT`.
    pub(super) quit: &'static str,
    /// The program and its arguments.
    pub(super) command: Vec<String>,
}

impl Launch {
    pub(super) fn start(&self) -> Supervised {
        let mut shell = Command::new("sh");
        shell.args(["-c", SUPERVISOR, "sh"]).arg(&self.directory).arg(self.quit).args(&self.command);
        shell.stdin(Stdio::piped()).stdout(Stdio::piped());
        // A Ctrl-C is for the tests; what they started ends after them.
        let mut shell = shell.process_group(0).spawn().expect("a shell");
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let server = Pid::from_raw(line.trim().parse().unwrap()).unwrap();
        let orders = shell.stdin.take();
        Supervised { shell, orders, server, log: self.directory.join("log") }
    }
}

/// A running server. Dropped, it ends, and its directory goes with it.
pub(super) struct Supervised {
    shell: Child,
    orders: Option<ChildStdin>,
    server: Pid,
    log: PathBuf,
}

impl Supervised {
    /// Sends the server a signal, and waits for its end. Its directory stays.
    pub(super) fn end(&mut self, signal: &str) {
        if let Some(mut orders) = self.orders.take() {
            writeln!(orders, "{signal}").unwrap();
            self.shell.wait().unwrap();
        }
    }

    /// Stops or continues the server and its children.
    pub(super) fn signal(&self, signal: Signal) {
        // The server first, so that it starts no further child.
        kill_process(self.server, signal).unwrap();
        let server = self.server.as_raw_pid();
        let children = std::fs::read_to_string(format!("/proc/{server}/task/{server}/children")).unwrap();
        for child in children.split_whitespace().filter_map(|child| Pid::from_raw(child.parse().ok()?)) {
            // One that has ended meanwhile needs no signal.
            _ = kill_process(child, signal);
        }
    }

    pub(super) fn pid(&self) -> i32 {
        self.server.as_raw_pid()
    }

    /// What the server has logged, in all of its lives.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        if self.orders.take().is_some() {
            _ = self.shell.wait();
        }
    }
}
