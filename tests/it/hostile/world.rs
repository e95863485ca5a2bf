//! The surroundings of a run: the server of the store, and the files that everything is written down in.

use std::path::PathBuf;
use std::sync::Mutex;

use tempfile::TempDir;
use tower_webhook::dedup::{PostgresStore, SqliteStore};

use super::effects::{Effect, Ledger, TABLE};
use super::failpoint::Point;
use super::journal::{self, Entry, Incarnation, Journal, What};
use super::receiver::Kind;
use crate::servers::{PostgresServer, RedisServer, postgres_database, redis_url};

enum Server {
    None,
    Redis(RedisServer),
    Postgres(PostgresServer),
}

/// What is done to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    Kill,
    /// As an operator stops it. Redis is killed: it has no other end that it comes back from as it was.
    Stop,
    Restart,
    Pause,
    Resume,
}

pub(super) struct World {
    pub(super) kind: Kind,
    /// Of the server, or the file, of the store.
    pub(super) url: String,
    pub(super) journal: Journal,
    server: Mutex<Server>,
    directory: TempDir,
}

impl World {
    /// With a server of its own, to be struck.
    pub(super) async fn start(kind: Kind) -> Self {
        match kind {
            Kind::Redis | Kind::MarkFirst | Kind::CheckThenMark => {
                // What was answered is on the disk: a killed server forgets nothing, and explains nothing.
                let server = RedisServer::start_with(&["--appendfsync", "always"]);
                let url = server.url();
                Self::with(kind, Server::Redis(server), url).await
            }
            Kind::Postgres | Kind::PostgresInbox => {
                let server = PostgresServer::start();
                let url = server.database().await;
                Self::with(kind, Server::Postgres(server), url).await
            }
            Kind::Lru | Kind::Sqlite | Kind::SqliteInbox => Self::shared(kind).await,
        }
    }

    /// With the server that other tests use, too.
    pub(super) async fn shared(kind: Kind) -> Self {
        let url = match kind {
            Kind::Redis | Kind::MarkFirst | Kind::CheckThenMark => redis_url(),
            Kind::Postgres | Kind::PostgresInbox => postgres_database().await,
            Kind::Lru | Kind::Sqlite | Kind::SqliteInbox => String::new(),
        };
        Self::with(kind, Server::None, url).await
    }

    async fn with(kind: Kind, server: Server, mut url: String) -> Self {
        let directory = tempfile::Builder::new().prefix("tower-webhook-hostile-").tempdir().unwrap();
        let journal = Journal::open(&directory.path().join("journal"));
        match kind {
            Kind::Postgres | Kind::PostgresInbox => {
                let pool = sqlx::PgPool::connect(&url).await.unwrap();
                PostgresStore::new(pool.clone()).migrate().await.unwrap();
                sqlx::raw_sql(TABLE).execute(&pool).await.unwrap();
                pool.close().await;
            }
            Kind::Sqlite | Kind::SqliteInbox => {
                url = directory.path().join("marks.db").to_str().unwrap().to_owned();
                let pool = sqlx::SqlitePool::connect_with(SqliteStore::options(&url)).await.unwrap();
                SqliteStore::new(pool.clone()).migrate().await.unwrap();
                sqlx::raw_sql(TABLE).execute(&pool).await.unwrap();
                pool.close().await;
            }
            Kind::Lru | Kind::Redis | Kind::MarkFirst | Kind::CheckThenMark => {}
        }
        Self { kind, url, journal, server: Mutex::new(server), directory }
    }

    pub(super) fn has_a_server(&self) -> bool {
        !matches!(*self.server.lock().unwrap(), Server::None)
    }

    /// Does something to the server, and writes it down before and after. Blocks until it is done.
    pub(super) fn strike(&self, blow: Blow) {
        self.journal.add(What::Server(format!("{blow:?}")));
        match (&mut *self.server.lock().unwrap(), blow) {
            (Server::None, _) => panic!("there is no server"),
            (Server::Redis(server), Blow::Kill | Blow::Stop) => server.kill(),
            (Server::Redis(server), Blow::Restart) => server.restart(),
            (Server::Redis(server), Blow::Pause) => server.pause(),
            (Server::Redis(server), Blow::Resume) => server.resume(),
            (Server::Postgres(server), Blow::Kill) => server.kill(),
            (Server::Postgres(server), Blow::Stop) => server.stop_fast(),
            (Server::Postgres(server), Blow::Restart) => server.restart(),
            (Server::Postgres(server), Blow::Pause) => server.pause(),
            (Server::Postgres(server), Blow::Resume) => server.resume(),
        }
        self.journal.add(What::Server(format!("{blow:?}, done")));
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn ledger(&self) -> PathBuf {
        self.path("effects")
    }

    /// A receiver's own journal.
    pub(super) fn journal_of(&self, incarnation: Incarnation) -> PathBuf {
        self.path(&format!("journal-{incarnation}"))
    }

    /// What a receiver waits for that has stopped.
    pub(super) fn resumed(&self, incarnation: Incarnation) -> PathBuf {
        self.path(&format!("resumed-{incarnation}"))
    }

    /// Whether, and where, a receiver has killed itself.
    pub(super) fn killed_at(&self, incarnation: Incarnation) -> Option<Point> {
        let entries: Vec<Entry> = journal::read(&self.journal_of(incarnation));
        entries.iter().find_map(|entry| match entry.what {
            What::Killing(_, point) => Some(point),
            _ => None,
        })
    }

    /// All journals in one, in the order of time.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let files = std::fs::read_dir(self.directory.path()).unwrap().map(|file| file.unwrap());
        let journals = files.filter(|file| file.file_name().to_str().unwrap().starts_with("journal"));
        let mut entries: Vec<Entry> = journals.flat_map(|file| journal::read(&file.path())).collect();
        entries.sort_by_key(|entry| entry.at);
        entries
    }

    /// What the handlers did, as they wrote it down.
    pub(super) async fn effects(&self) -> Vec<Effect> {
        match self.kind {
            Kind::PostgresInbox => {
                let pool = sqlx::PgPool::connect(&self.url).await.unwrap();
                Effect::all(&pool).await
            }
            Kind::SqliteInbox => {
                let pool = sqlx::SqlitePool::connect_with(SqliteStore::options(&self.url)).await.unwrap();
                Effect::all(&pool).await
            }
            _ => Ledger::read(&self.ledger()),
        }
    }
}
