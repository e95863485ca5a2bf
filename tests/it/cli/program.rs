//! Runs the program.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// The program that was built with these tests.
pub(crate) fn path() -> &'static str {
    const PATH: Option<&str> = option_env!("CARGO_BIN_EXE_tower-webhook");
    let Some(path) = PATH else {
        panic!("the program is a part of the feature `cli`: run the tests with --all-features")
    };
    path
}

/// A run of the program, in a directory of its own and with no variables but those that it is given.
pub(crate) struct Program {
    command: Command,
    stdin: Vec<u8>,
    stdout: Stdio,
    directory: TempDir,
}

/// The program with arguments, which are separated by blanks.
pub(crate) fn program(arguments: &str) -> Program {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(path());
    command.args(arguments.split_whitespace()).env_clear().current_dir(directory.path()).kill_on_drop(true);
    Program { command, stdin: Vec::new(), stdout: Stdio::piped(), directory }
}

impl Program {
    pub(crate) fn arg(mut self, argument: &str) -> Self {
        self.command.arg(argument);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// A file in the directory that the program runs in.
    pub(crate) fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.path(name), content).unwrap();
        self
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn stdin(mut self, content: impl AsRef<[u8]>) -> Self {
        self.stdin = content.as_ref().to_vec();
        self
    }

    /// Another place for its results.
    pub(crate) fn stdout(mut self, to: impl Into<Stdio>) -> Self {
        self.stdout = to.into();
        self
    }

    pub(crate) async fn run(mut self) -> Ran {
        self.command.stdin(Stdio::piped()).stdout(self.stdout).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // A program that does not read closes its end.
        _ = stdin.write_all(&self.stdin).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Standard output as JSON, of a run that ended with this code.
    pub(crate) fn json(&self, code: i32) -> Value {
        assert_eq!(self.code, Some(code), "{self:?}");
        serde_json::from_str(&self.stdout).unwrap()
    }

    /// Standard output as text.
    pub(crate) fn text(&self, code: i32) -> &str {
        assert_eq!(self.code, Some(code), "{self:?}");
        &self.stdout
    }

    /// The one error on standard error: its kind and its message.
    pub(crate) fn error(&self, code: i32) -> (String, String) {
        assert_eq!((self.code, self.stdout.as_str()), (Some(code), ""), "{self:?}");
        let error: Value = serde_json::from_str(self.stderr.lines().last().unwrap()).unwrap();
        let member = |name: &str| error["error"][name].as_str().unwrap().to_owned();
        (member("kind"), member("message"))
    }

    pub(crate) fn warnings(&self) -> Vec<String> {
        let lines = self.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter_map(|line| Some(line["warning"]["message"].as_str()?.to_owned())).collect()
    }

    /// Neither output holds it.
    pub(crate) fn hides(&self, text: &str) {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "{text} is in {self:?}");
    }
}
