//! At a terminal: tables, a progress bar, and a prompt that shows nothing.
#![cfg(target_os = "linux")]

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::process::{Child, Command};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use tower_webhook::testing::simulator::{CASAPAY_TEST_KEY, Simulator};

use super::program::path;
use super::recorder::{Recorder, answer};
use crate::support::SECRET;

/// The program at a terminal of its own.
struct Terminal {
    screen: File,
    shown: Vec<u8>,
    child: Child,
}

impl Terminal {
    /// `setsid` gives the program a terminal that is its own, which takes an unsafe call otherwise.
    fn open(arguments: &str, variables: &[(&str, &str)]) -> Self {
        Self::with_stdin(arguments, variables, false)
    }

    fn with_stdin(arguments: &str, variables: &[(&str, &str)], is_piped: bool) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let name = ptsname(&screen, Vec::new()).unwrap();
        let line = File::options().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        let mut command = Command::new("setsid");
        match is_piped {
            false => command.args(["--ctty", "--wait", path()]),
            // It takes standard input for the terminal that is to be its own.
            true => command.args(["--ctty", "--wait", "sh", "-c", "exec \"$@\" </dev/null", "sh", path()]),
        };
        command.args(arguments.split_whitespace());
        command.env_clear().env("PATH", "/usr/bin:/bin").env("TERM", "xterm").envs(variables.iter().copied());
        command.stdin(line.try_clone().unwrap()).stdout(line.try_clone().unwrap()).stderr(line);
        let child = command.spawn().expect("setsid is part of util-linux");
        Self { screen: screen.into(), shown: Vec::new(), child }
    }

    /// Reads until the screen has shown a text.
    fn wait_for(&mut self, text: &str) {
        while !String::from_utf8_lossy(&self.shown).contains(text) {
            assert!(self.read(), "ended before it showed {text}: {}", String::from_utf8_lossy(&self.shown));
        }
    }

    /// Waits until what is typed is not shown: a prompt comes a moment before that.
    fn wait_for_no_echo(&self) {
        while self.echoes() {
            std::thread::yield_now();
        }
    }

    fn echoes(&self) -> bool {
        let output = Command::new("stty").arg("-a").stdin(self.screen.try_clone().unwrap()).output().unwrap();
        let settings = String::from_utf8(output.stdout).unwrap();
        assert!(settings.contains("echo"), "stty says nothing of it: {settings}");
        settings.split_whitespace().all(|setting| setting != "-echo")
    }

    fn enter(&mut self, text: &str) {
        self.screen.write_all(text.as_bytes()).unwrap();
        self.screen.write_all(b"\n").unwrap();
    }

    /// Whether there was more: a terminal that nobody has open any more fails to read.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 4_096];
        match self.screen.read(&mut buffer) {
            Ok(read) if read > 0 => self.shown.extend_from_slice(&buffer[..read]),
            _ => return false,
        }
        true
    }

    /// All that was shown, and the exit code.
    fn end(mut self) -> (String, Option<i32>) {
        while self.read() {}
        let code = self.child.wait().unwrap().code();
        (String::from_utf8_lossy(&self.shown).into_owned(), code)
    }
}

#[test]
fn people_get_a_table() {
    let (shown, code) = Terminal::open("providers", &[]).end();
    assert_eq!(code, Some(0));
    assert!(shown.contains("signature header") && shown.contains("x-casapay-signature"), "{shown}");
    assert!(!shown.contains("[{"), "{shown}");
    // A terminal whose size nobody has set: the table is not squeezed into nothing.
    assert!(shown.lines().all(|line| line.trim_end().chars().count() <= 80), "{shown}");

    let (shown, code) = Terminal::open("providers --json", &[]).end();
    assert!(code == Some(0) && shown.starts_with("[{"), "{shown}");
    let (shown, code) = Terminal::open("providers nobody", &[]).end();
    assert!(code == Some(2) && shown.contains("error: invalid value"), "{shown}");
}

#[test]
fn a_secret_is_asked_for_and_not_shown() {
    let directory = tempfile::tempdir().unwrap();
    let body = directory.path().join("body");
    std::fs::write(&body, "{}").unwrap();
    let arguments = format!("sign --provider caspay --json --data {}", body.display());

    let mut terminal = Terminal::open(&arguments, &[]);
    terminal.wait_for("caspay webhook secret (not shown): ");
    terminal.wait_for_no_echo();
    terminal.enter(SECRET);
    let (asked, code) = terminal.end();
    assert_eq!(code, Some(0), "{asked}");
    assert!(!asked.contains(SECRET) && !asked.contains(&SECRET[..8]), "{asked}");

    // The secret that was typed is the one that signs.
    let (given, code) = Terminal::open(&arguments, &[("CASPAY_WEBHOOK_SECRET", SECRET)]).end();
    assert_eq!(code, Some(0), "{given}");
    assert!(given.starts_with('{') && asked.ends_with(&given), "{asked} does not end with {given}");

    let mut terminal = Terminal::open(&arguments, &[]);
    terminal.wait_for("(not shown): ");
    terminal.wait_for_no_echo();
    terminal.enter("");
    let (shown, code) = terminal.end();
    assert!(code == Some(4) && shown.contains("empty"), "{shown}");
}

/// The terminal is as it was before, for whoever goes on using it.
#[test]
fn an_interrupted_prompt_leaves_a_terminal_that_echoes() {
    let list = "endpoints list --provider casapay --api-url https://api.example";
    for arguments in ["sign --provider caspay --data /dev/null", list] {
        let mut terminal = Terminal::open(arguments, &[]);
        terminal.wait_for("(not shown): ");
        terminal.wait_for_no_echo();
        terminal.screen.write_all(b"abc\x03").unwrap();
        assert_eq!(terminal.child.wait().unwrap().code(), Some(130));
        assert!(terminal.echoes());
        let (shown, _) = terminal.end();
        assert!(shown.contains("interrupted") && !shown.contains("abc"), "{shown}");
    }
}

/// It is for the terminal to ask, whatever standard input is.
#[test]
fn a_body_that_is_piped_leaves_somebody_to_ask() {
    let mut terminal = Terminal::with_stdin("sign --provider caspay --json", &[], true);
    terminal.wait_for("caspay webhook secret (not shown): ");
    terminal.wait_for_no_echo();
    terminal.enter(SECRET);
    let (shown, code) = terminal.end();
    assert!(code == Some(0) && shown.contains("x-caspay-signature"), "{shown}");
}

#[test]
fn a_secret_to_register_is_asked_for_twice() {
    let create = "endpoints create --provider caspay --api-url http://127.0.0.1:9 --path /x --key-header x-key \
                  --url https://shop.example/hook --event payment.completed --allow-loopback";
    for (again, code, says) in [("another-secret-altogether", 4, "differ"), (SECRET, 5, "no connection")] {
        let mut terminal = Terminal::open(create, &[("CASPAY_API_KEY", "a-key-of-the-api")]);
        for (prompt, text) in [("(not shown): ", SECRET), ("once more: ", again)] {
            terminal.wait_for(prompt);
            terminal.wait_for_no_echo();
            terminal.enter(text);
        }
        let (shown, ended) = terminal.end();
        assert!(ended == Some(code) && shown.contains(says), "{shown}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

#[test]
fn a_body_to_be_typed_is_asked_for() {
    let mut terminal = Terminal::open("sign --provider caspay --development --json", &[]);
    terminal.wait_for("reading from the terminal");
    terminal.screen.write_all(b"{}\n\x04").unwrap();
    let (shown, code) = terminal.end();
    assert!(code == Some(0) && shown.contains("x-caspay-signature"), "{shown}");
}

/// A broken id cannot be copied.
#[tokio::test]
async fn ids_and_urls_are_in_one_line_each() {
    let simulator = Simulator::builder().start().await.unwrap();
    let hook = format!("http://127.0.0.1:9/{}/hook", "a-long-path/".repeat(6));
    let directory = tempfile::tempdir().unwrap();
    let api = format!("--provider casapay --allow-loopback --api-url {}", simulator.casapay_url());
    let run = async |arguments: String| {
        let variables = [("CASAPAY_API_KEY", CASAPAY_TEST_KEY)];
        tokio::task::spawn_blocking(move || Terminal::open(&arguments, &variables).end()).await.unwrap()
    };
    let create = format!("endpoints create {api} --url {hook} --event invoice.paid --event charge.failed");
    let (shown, code) = run(format!("{create} --save-to {}", directory.path().display())).await;
    assert_eq!(code, Some(0), "{shown}");
    let mut names = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name());
    // Beside it is the file that runs lock.
    let name =
        names.find_map(|name| name.into_string().ok().filter(|name| name.ends_with(".secret"))).unwrap();
    assert!(shown.contains(&name), "{shown}");
    let id = name.trim_start_matches("casapay.").trim_end_matches(".secret");
    let (shown, _) = run(format!("endpoints list {api}")).await;
    assert!(shown.contains(id) && shown.contains(&hook), "{shown}");
}

#[tokio::test]
async fn a_long_run_has_a_bar_and_a_short_one_has_none() {
    let server = Recorder::default().start(|_| answer(200, "")).await;
    for (count, has_bar) in [(300, true), (3, false)] {
        let arguments = format!("send {} --provider caspay --count {count} --concurrency 8", server.url("/"));
        let run = move || Terminal::open(&arguments, &[]).end();
        let (shown, code) = tokio::task::spawn_blocking(run).await.unwrap();
        assert_eq!(code, Some(0), "{shown}");
        assert!(shown.contains("200 OK") && shown.contains(&format!("{count} requests in")), "{shown}");
        assert_eq!(shown.contains(&format!("/{count} ")), has_bar, "{shown}");
    }
}
