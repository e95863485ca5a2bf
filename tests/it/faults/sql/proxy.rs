//! A wire between receiver and PostgreSQL that can be cut at the worst moment.

use std::io;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What the wire does with what it carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wire {
    Whole,
    /// It is cut when a commit is on its way to the server, which never sees it.
    LosesCommits,
    /// It is cut when the server has answered a commit, before the answer arrives.
    LosesAnswersToCommits,
    /// A commit that is on its way to the server stays there until the wire is whole.
    HoldsCommits,
    /// Nothing moves in either direction, and nobody is told.
    Frozen,
}

/// Ends its connections with the runtime.
pub(super) struct Proxy {
    wire: watch::Sender<Wire>,
    options: PgConnectOptions,
}

impl Proxy {
    /// In front of the server of `url`.
    pub(super) async fn start(url: &str) -> Self {
        let server: PgConnectOptions = url.parse().unwrap();
        let upstream = (server.get_host().to_owned(), server.get_port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let options = server.host("127.0.0.1").port(listener.local_addr().unwrap().port());
        // Commits are recognised by their text.
        let options = options.ssl_mode(PgSslMode::Disable);
        let wire = watch::Sender::new(Wire::Whole);
        let state = wire.subscribe();
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, state) = (upstream.clone(), state.clone());
                tokio::spawn(async move {
                    let server = TcpStream::connect(upstream).await?;
                    carry(client, server, state).await
                });
            }
        });
        Self { wire, options }
    }

    /// How to reach the server through it.
    pub(super) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    pub(super) fn set(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

async fn carry(
    mut client: TcpStream,
    mut server: TcpStream,
    mut wire: watch::Receiver<Wire>,
) -> io::Result<()> {
    // A simple query: its length, and its text with a zero.
    const COMMIT: &[u8] = b"Q\0\0\0\x0bCOMMIT\0";
    let (mut up, mut down) = ([0; 16_384], [0; 16_384]);
    loop {
        tokio::select! {
            sent = client.read(&mut up) => {
                let sent = &up[..sent?];
                let now = *thawed(&mut wire).await;
                let commit = sent.windows(COMMIT.len()).any(|window| window == COMMIT);
                if sent.is_empty() || commit && now == Wire::LosesCommits {
                    return Ok(());
                }
                if commit && now == Wire::HoldsCommits {
                    wire.wait_for(|wire| *wire == Wire::Whole).await.expect("the test goes on");
                }
                server.write_all(sent).await?;
                if commit && now == Wire::LosesAnswersToCommits {
                    // Whatever it says, nobody hears it.
                    return server.read(&mut down).await.map(drop);
                }
            }
            answered = server.read(&mut down) => {
                let answered = &down[..answered?];
                thawed(&mut wire).await;
                if answered.is_empty() {
                    return Ok(());
                }
                client.write_all(answered).await?;
            }
        }
    }
}

async fn thawed(wire: &mut watch::Receiver<Wire>) -> watch::Ref<'_, Wire> {
    wire.wait_for(|wire| *wire != Wire::Frozen).await.expect("the test goes on")
}
