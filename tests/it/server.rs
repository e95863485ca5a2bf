//! A real server on a free loopback port, and a client that writes raw bytes.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::Service;

/// Long enough that only a test that goes wrong meets it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    /// HTTP/1 and HTTP/2, told apart by the first bytes of a connection.
    pub(crate) async fn start<S, B>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
        S: Clone + Send + Sync + 'static,
        B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new());
        builder.http2().timer(TokioTimer::new());
        Self::start_with(builder, service).await
    }

    pub(crate) async fn start_with<S, B>(builder: auto::Builder<TokioExecutor>, service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send>,
        S: Clone + Send + Sync + 'static,
        B: http_body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
    {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let builder = Arc::new(builder);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (builder, service) = (Arc::clone(&builder), TowerToHyperService::new(service.clone()));
                connections.spawn(async move {
                    // How a connection ends is the client's to see.
                    _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        Self { address, _tasks: tasks }
    }

    /// The URL of a path, for clients that are told one.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) async fn connect(&self) -> Connection {
        let stream = TcpStream::connect(self.address).await.unwrap();
        Connection { stream, unread: Vec::new() }
    }

    /// Sends `bytes` on a connection of their own, and reads one answer.
    pub(crate) async fn exchange(&self, bytes: impl AsRef<[u8]>) -> Reply {
        let mut connection = self.connect().await;
        connection.write(bytes).await;
        connection.reply().await
    }
}

/// A client's end of a connection.
pub(crate) struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Writes; a server that refuses does not read to the end, and its answer says more than the broken pipe.
    pub(crate) async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Sends FIN: nothing more will come.
    pub(crate) async fn finish(&mut self) {
        self.stream.shutdown().await.unwrap();
    }

    /// The next HTTP/1 answer, interim ones included, with as much of a body as its `content-length` says.
    pub(crate) async fn reply(&mut self) -> Reply {
        let end = loop {
            if let Some(at) = self.unread.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill().await, "closed within {:?}", String::from_utf8_lossy(&self.unread));
        };
        let mut reply = Reply::parse(&self.unread[..end]);
        let length = reply.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.unread.len() < end + length {
            assert!(self.fill().await, "the body is incomplete");
        }
        reply.body = self.unread[end..end + length].to_vec();
        self.unread.drain(..end + length);
        reply
    }

    /// What else arrives until the server closes the connection.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.unread)
    }

    /// Reads exactly `length` bytes; `None` where the server closes before.
    pub(crate) async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.unread.len() < length {
            if !self.fill().await {
                return None;
            }
        }
        Some(self.unread.drain(..length).collect())
    }

    /// Whether anything came; a reset counts as the end.
    async fn fill(&mut self) -> bool {
        let reading = tokio::time::timeout(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
        reading.expect("the server neither answers nor closes").is_ok_and(|read| read > 0)
    }
}

/// An HTTP/1 answer as it stood on the wire.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    fn parse(head: &[u8]) -> Self {
        let mut lines = std::str::from_utf8(head).unwrap().split_terminator("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        Self { status, headers, body: Vec::new() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}
