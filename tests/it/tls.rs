//! A server that speaks TLS, with certificates of an authority that nobody else has.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Whoever trusts it trusts what it issues.
pub(crate) struct Authority {
    certificate: rcgen::Certificate,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate, and the key that belongs to it.
pub(crate) struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key) }
    }

    /// As it stands in a file.
    pub(crate) fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// For a host, for some years yet.
    pub(crate) fn issue(&self, host: &str) -> Identity {
        self.issue_for_years(host, 2020, 2120)
    }

    /// For a host, from the first day of one year to that of another.
    pub(crate) fn issue_for_years(&self, host: &str, from: i32, to: i32) -> Identity {
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(from, 1, 1), date_time_ymd(to, 1, 1));
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().into();
        Identity { certificate, key: key.into() }
    }
}

/// What became of the connections, in their order.
#[derive(Default)]
struct Seen {
    /// What the client had against the certificate, or whatever else ended a handshake.
    refused: Vec<String>,
    requests: Vec<(String, HeaderMap)>,
}

#[derive(Default)]
struct Log {
    seen: Mutex<Seen>,
    grown: Notify,
}

/// Serves HTTP/1 and HTTP/2 over TLS until it is dropped, and answers everything with an empty list.
pub(crate) struct TlsServer {
    address: SocketAddr,
    log: Arc<Log>,
    _tasks: JoinSet<()>,
}

impl TlsServer {
    pub(crate) async fn start(identity: Identity) -> Self {
        let mut config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![identity.certificate], identity.key)
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, log) = (listener.local_addr().unwrap(), Arc::<Log>::default());
        let shared = Arc::clone(&log);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                connections.spawn(serve(stream, acceptor.clone(), Arc::clone(&shared)));
            }
        });
        Self { address, log, _tasks: tasks }
    }

    /// The URL of a path on a host, which has to be this machine.
    pub(crate) fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.address.port())
    }

    /// How the handshakes ended that were not finished, once there are so many of them.
    pub(crate) async fn refused(&self, times: usize) -> Vec<String> {
        loop {
            let grown = self.log.grown.notified();
            let refused = self.log.seen.lock().unwrap().refused.clone();
            if refused.len() >= times {
                return refused;
            }
            grown.await;
        }
    }

    /// Method and path of the requests, with their headers.
    pub(crate) fn requests(&self) -> Vec<(String, HeaderMap)> {
        self.log.seen.lock().unwrap().requests.clone()
    }
}

async fn serve(stream: TcpStream, acceptor: TlsAcceptor, log: Arc<Log>) {
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => {
            log.seen.lock().unwrap().refused.push(error.to_string());
            return log.grown.notify_waiters();
        }
    };
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let line = format!("{} {}", request.method(), request.uri().path());
        log.seen.lock().unwrap().requests.push((line, request.into_parts().0.headers));
        async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("[]")))) }
    });
    // How a connection ends is the client's to see.
    _ = auto::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}
