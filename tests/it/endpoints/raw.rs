//! A server that breaks HTTP as the test says, which a mock of HTTP cannot.

use std::collections::VecDeque;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What is done about a request.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Answers with these bytes, and keeps the connection.
    Answer(Vec<u8>),
    /// Writes these bytes and closes the connection.
    Cut(Vec<u8>),
    /// Closes the connection.
    Close,
    /// Writes these bytes, and nothing more ever.
    Stall(Vec<u8>),
}

impl Step {
    pub(super) fn json(status: u16, body: &str) -> Self {
        Self::Answer(http(status, body.len(), body))
    }
}

/// An answer that says that it has `length` bytes.
pub(super) fn http(status: u16, length: usize, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

pub(super) struct Raw {
    address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    _tasks: JoinSet<()>,
}

#[derive(Default)]
struct Seen {
    steps: VecDeque<Step>,
    lines: Vec<String>,
}

impl Raw {
    /// Does the next of these about each request, whichever connection it comes on.
    pub(super) async fn in_turn(steps: impl IntoIterator<Item = Step>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen { steps: steps.into_iter().collect(), lines: Vec::new() }));
        let mut tasks = JoinSet::new();
        let shared = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, Arc::clone(&shared)));
            }
        });
        Self { address, seen, _tasks: tasks }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Method and target of each request.
    pub(super) fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().lines.clone()
    }
}

async fn serve(mut stream: TcpStream, seen: Arc<Mutex<Seen>>) {
    while let Some(line) = request(&mut stream).await {
        let step = {
            let mut seen = seen.lock().unwrap();
            seen.lines.push(line);
            seen.steps.pop_front().unwrap_or_else(|| Step::json(418, "{}"))
        };
        match step {
            Step::Answer(bytes) => stream.write_all(&bytes).await.unwrap(),
            Step::Cut(bytes) => return stream.write_all(&bytes).await.unwrap(),
            Step::Close => return,
            Step::Stall(bytes) => {
                stream.write_all(&bytes).await.unwrap();
                pending::<()>().await;
            }
        }
    }
}

/// Reads one request with its body; `None` at the end of the connection.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let length = head
        .lines()
        .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
    while bytes.len() < end + length.unwrap_or(0) {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    head.lines().next()?.strip_suffix(" HTTP/1.1").map(str::to_owned)
}
