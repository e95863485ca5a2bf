//! A private PostgreSQL.

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _};

use super::supervised::{Launch, Supervised};
use super::{free_port, random, wait_until_ready};

/// A PostgreSQL of the test's own, which may be killed, restarted and paused.
pub(crate) struct PostgresServer {
    port: u16,
    launch: Launch,
    server: Supervised,
}

impl PostgresServer {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further arguments of `postgres`, such as `-c fsync=off`, which override the ones from here.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        let (programs, user) = (programs(), User::of_the_server());
        let directory = tempfile::Builder::new().prefix("tower-webhook-postgres-").tempdir().unwrap().keep();
        user.give(&directory);
        let data = text(&directory.join("data"));
        let mut initdb = user.command(&programs.join("initdb"));
        initdb.extend(["--no-sync", "--auth=trust", "--username=postgres"].map(String::from));
        initdb.extend(["--encoding=UTF8", "--locale=C", "--pgdata"].map(String::from));
        initdb.push(data.clone());
        let made = Command::new(&initdb[0]).args(&initdb[1..]).current_dir(&directory).output().unwrap();
        assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
        loop {
            let port = free_port();
            let mut command = user.command(&programs.join("postgres"));
            command.extend(["-D".into(), data.clone(), "-p".into(), port.to_string()]);
            let settings = [
                "listen_addresses=127.0.0.1".into(),
                format!("unix_socket_directories={}", text(&directory)),
                "max_connections=300".into(),
                // In its directory, not in memory that outlives a SIGKILL.
                "dynamic_shared_memory_type=mmap".into(),
            ];
            command.extend(settings.into_iter().flat_map(|setting| ["-c".into(), setting]));
            command.extend(arguments.iter().map(|argument| String::from(*argument)));
            let launch = Launch { directory: directory.clone(), quit: "QUIT", command };
            let mut server = launch.start();
            if wait_until_ready(&server, || answers(port, &data)).is_some() {
                return Self { port, launch, server };
            }
            // Another process took the port meanwhile.
            server.end("KILL");
            std::fs::remove_file(directory.join("log")).unwrap();
        }
    }

    /// The database `postgres`.
    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// Creates a fresh database and returns its URL.
    pub(crate) async fn database(&self) -> String {
        create_database(&self.url()).await
    }

    /// SIGKILL for all of its processes, as a crash of the machine would be. What it has written so far stays.
    pub(crate) fn kill(&mut self) {
        self.server.end("KILL");
    }

    /// Ends it as an operator does: transactions are rolled back, connections closed, the data written.
    pub(crate) fn stop_fast(&mut self) {
        self.server.end("INT");
    }

    /// Starts it again, on the same port and with the same data, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        self.kill();
        self.server = self.launch.start();
        let data = text(&self.launch.directory.join("data"));
        let ready = wait_until_ready(&self.server, || answers(self.port, &data));
        assert!(ready.is_some(), "the port was taken:\n{}", self.server.log());
    }

    /// SIGSTOP for all of its processes: it accepts connections, and answers nothing.
    pub(crate) fn pause(&self) {
        self.server.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.server.signal(Signal::CONT);
    }
}

fn url(port: u16) -> String {
    format!("postgres://postgres@127.0.0.1:{port}/postgres")
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// Creates a database beside the one that `url` names.
pub(super) async fn create_database(url: &str) -> String {
    let name = format!("tower_webhook_test_{:016x}", random());
    let options: PgConnectOptions = url.parse().unwrap();
    let mut connection = options.connect().await.unwrap();
    // Nobody connects to template0, which might delay the copy. The name is a number.
    let create = AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0"));
    connection.execute(create).await.unwrap();
    connection.close().await.unwrap();
    options.database(&name).to_url_lossy().into()
}

/// Whether it is the server of this data that answers on the port.
fn answers(port: u16, data: &str) -> bool {
    // The caller may be within a runtime, where nothing may be waited for in this way.
    let ask = async || -> Result<String, sqlx::Error> {
        let mut connection = PgConnection::connect(&url(port)).await?;
        sqlx::query_scalar("SELECT current_setting('data_directory')").fetch_one(&mut connection).await
    };
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(ask())
        });
        asked.join().unwrap().is_ok_and(|directory| directory == data)
    })
}

/// Where `postgres` and `initdb` are: a Debian package does not put them on PATH.
fn programs() -> PathBuf {
    let has_them =
        |directory: &PathBuf| directory.join("postgres").exists() && directory.join("initdb").exists();
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) = std::env::split_paths(&path).find(has_them) {
        return found;
    }
    if let Ok(said) = Command::new("pg_config").arg("--bindir").output() {
        let directory = PathBuf::from(String::from_utf8_lossy(&said.stdout).trim());
        if has_them(&directory) {
            return directory;
        }
    }
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .filter(|(_, directory)| has_them(directory))
        .collect();
    versions.sort();
    let (_, newest) = versions.pop().expect("PostgreSQL is not installed: scripts/test.sh installs it");
    newest
}

/// Who runs the server, where that is not who runs the tests.
struct User(Option<(u32, u32)>);

impl User {
    /// PostgreSQL refuses to run as root.
    fn of_the_server() -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self(None);
        }
        let users = std::fs::read_to_string("/etc/passwd").unwrap();
        let ids = |name: &str| {
            let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut ids = line.split(':').skip(2).map_while(|id| id.parse().ok());
            Some((ids.next()?, ids.next()?))
        };
        Self(Some(ids("postgres").or_else(|| ids("nobody")).expect("a user postgres or nobody")))
    }

    fn give(&self, directory: &Path) {
        if let Some((user, group)) = self.0 {
            chown(directory, Some(user), Some(group)).unwrap();
        }
    }

    /// The beginning of a command line that runs `program` as this user.
    fn command(&self, program: &Path) -> Vec<String> {
        let program = text(program);
        let Some((user, group)) = self.0 else { return vec![program] };
        let (user, group) = (format!("--reuid={user}"), format!("--regid={group}"));
        vec!["setpriv".into(), user, group, "--clear-groups".into(), "--".into(), program]
    }
}
