//! A private `redis-server`.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use rustix::process::Signal;

use super::supervised::{Launch, Supervised};
use super::{free_port, wait_until_ready};

/// Durable as operators have it: what was answered is in the file, and on the disk, within a second or two.
const DURABLE: [&str; 8] =
    ["--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction"];

/// A Redis of the test's own, which may be killed, restarted and paused.
pub(crate) struct RedisServer {
    port: u16,
    launch: Launch,
    server: Supervised,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments, which override the ones from here.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let directory = tempfile::Builder::new().prefix("tower-webhook-redis-").tempdir().unwrap().keep();
        loop {
            let port = free_port();
            let mut command: Vec<_> =
                ["redis-server", "--bind", "127.0.0.1", "--port"].map(String::from).into();
            command.extend([port.to_string(), "--dir".into(), directory.to_str().unwrap().into()]);
            command.extend(DURABLE.iter().chain(arguments).map(|argument| String::from(*argument)));
            let launch = Launch { directory: directory.clone(), quit: "KILL", command };
            let mut server = launch.start();
            if wait_until_ready(&server, || answers(port, server.pid())).is_some() {
                return Self { port, launch, server };
            }
            // Another process took the port meanwhile.
            server.end("KILL");
            std::fs::remove_file(directory.join("log")).unwrap();
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    /// SIGKILL, as a crash of the machine would be. What it has written so far stays.
    pub(crate) fn kill(&mut self) {
        self.server.end("KILL");
    }

    /// Starts it again, on the same port and with the same data, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.server = self.launch.start();
        let ready = wait_until_ready(&self.server, || answers(self.port, self.server.pid()));
        assert!(ready.is_some(), "the port was taken:\n{}", self.server.log());
    }

    /// SIGSTOP: it accepts connections, and answers nothing.
    pub(crate) fn pause(&self) {
        self.server.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.server.signal(Signal::CONT);
    }
}

/// Whether it is this server that answers on the port, with its data loaded.
fn answers(port: u16, pid: i32) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\nINFO server\r\nQUIT\r\n")?;
        let mut answers = String::new();
        stream.read_to_string(&mut answers)?;
        Ok(answers)
    };
    ask().is_ok_and(|said| said.starts_with("+PONG") && said.contains(&format!("process_id:{pid}\r\n")))
}
