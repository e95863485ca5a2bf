//! One HTTP request to a receiver, and what came of it.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, RETRY_AFTER};
use http::{HeaderMap, HeaderValue, Request, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt as _, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Sleep, timeout};
use url::{Host, Url};

use super::behaviour::Trickle;

/// More than any receiver has to say.
const MOST_ANSWER: usize = 64 * 1024;

/// A request that is signed and ready.
pub(super) struct Outgoing {
    pub(super) url: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// How it is sent.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub(super) deliver_to: Option<SocketAddr>,
    pub(super) remote: bool,
    pub(super) disconnect: bool,
    pub(super) trickle: Option<Trickle>,
    pub(super) answer_timeout: Duration,
}

/// A receiver's answer, or why there is none.
pub(super) struct Answered {
    pub(super) status: Option<u16>,
    pub(super) retry_after: Option<RetryAfter>,
    pub(super) why: Option<String>,
}

/// When a receiver wants to be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryAfter {
    Time(Duration),
    Date(SystemTime),
}

impl RetryAfter {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
        match text.parse() {
            Ok(seconds) => Some(Self::Time(Duration::from_secs(seconds))),
            Err(_) => httpdate::parse_http_date(text).ok().map(Self::Date),
        }
    }

    /// How long that is; a date that has passed is now.
    pub(super) fn since(self, now: SystemTime) -> Duration {
        match self {
            Self::Time(time) => time,
            Self::Date(date) => date.duration_since(now).unwrap_or_default(),
        }
    }
}

impl Answered {
    fn not(why: impl Into<String>) -> Self {
        Self { status: None, retry_after: None, why: Some(why.into()) }
    }
}

/// Sends it.
pub(super) async fn send(outgoing: &Outgoing, how: How) -> Answered {
    let exchange = async {
        let (stream, target) = connect(outgoing, how).await?;
        if how.disconnect {
            write_whole(&stream, outgoing, &target).await?;
            return Ok(Answered::not("broken off before the answer"));
        }
        exchange(stream, outgoing, &target, how).await
    };
    match timeout(how.answer_timeout, exchange).await {
        Ok(Ok(answered)) => answered,
        Ok(Err(error)) => Answered::not(error.to_string()),
        Err(_) => Answered::not("no answer in time"),
    }
}

/// Where the request goes: the value of `Host`, and the path.
struct Target {
    host: HeaderValue,
    path: Uri,
}

async fn connect(outgoing: &Outgoing, how: How) -> io::Result<(TcpStream, Target)> {
    let url = Url::parse(&outgoing.url).map_err(io::Error::other)?;
    let target = Target {
        host: HeaderValue::try_from(&url[url::Position::BeforeHost..url::Position::AfterPort])
            .map_err(io::Error::other)?,
        path: url[url::Position::BeforePath..url::Position::AfterQuery].parse().map_err(io::Error::other)?,
    };
    let stream = match how.deliver_to {
        Some(address) => TcpStream::connect(address).await?,
        None if url.scheme() != "http" => {
            return Err(io::Error::other("the simulator speaks no TLS: give it a delivery address"));
        }
        None if !how.remote && !is_loopback(&url) => {
            return Err(io::Error::other("the simulator delivers to loopback only"));
        }
        None => {
            let port = url.port_or_known_default().unwrap_or(80);
            match url.host() {
                Some(Host::Ipv4(ip)) => TcpStream::connect((ip, port)).await?,
                Some(Host::Ipv6(ip)) => TcpStream::connect((ip, port)).await?,
                // A name server is not asked where loopback is.
                Some(Host::Domain(_)) if is_loopback(&url) => {
                    let loopback = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])];
                    TcpStream::connect(&loopback.map(|ip| SocketAddr::from((ip, port)))[..]).await?
                }
                Some(Host::Domain(name)) => TcpStream::connect((name, port)).await?,
                None => return Err(io::Error::other("the URL has no host")),
            }
        }
    };
    // A body must not wait for the acknowledgement of its head.
    _ = stream.set_nodelay(true);
    Ok((stream, target))
}

/// Whether the host is `localhost` or an address of loopback.
pub(super) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

async fn exchange(stream: TcpStream, outgoing: &Outgoing, target: &Target, how: How) -> io::Result<Answered> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let body = Pieces { rest: outgoing.body.clone(), trickle: how.trickle, pause: None };
    let mut request = Request::post(target.path.clone()).body(body).map_err(io::Error::other)?;
    *request.headers_mut() = outgoing.headers.clone();
    request.headers_mut().insert(HOST, target.host.clone());

    let mut answer = pin!(async {
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        let (status, retry_after) = (response.status().as_u16(), RetryAfter::of(response.headers()));
        // Read, so that the receiver sees its answer taken. What it says is of no account.
        _ = Limited::new(response.into_body(), MOST_ANSWER).collect().await;
        Ok(Answered { status: Some(status), retry_after, why: None })
    });
    let mut connection = pin!(connection);
    tokio::select! {
        biased;
        answered = &mut answer => answered,
        _ = &mut connection => answer.await,
    }
}

/// Writes the request, and that is all.
async fn write_whole(stream: &TcpStream, outgoing: &Outgoing, target: &Target) -> io::Result<()> {
    let mut bytes = format!("POST {} HTTP/1.1\r\n", target.path).into_bytes();
    let length = HeaderValue::from(outgoing.body.len());
    let own = [(&HOST, &target.host), (&CONTENT_LENGTH, &length)];
    for (name, value) in own.into_iter().chain(&outgoing.headers) {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.extend_from_slice(&outgoing.body);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A body of known length, whole or in pieces.
struct Pieces {
    rest: Bytes,
    trickle: Option<Trickle>,
    pause: Option<Pin<Box<Sleep>>>,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = match self.trickle {
            None => self.rest.len(),
            Some(trickle) => {
                let pause = self.pause.get_or_insert_with(|| Box::pin(tokio::time::sleep(trickle.pause())));
                ready!(pause.as_mut().poll(context));
                self.pause = None;
                trickle.bytes.clamp(1, self.rest.len())
            }
        };
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(u64::try_from(self.rest.len()).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_a_time_or_a_date_or_nothing() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        for (text, seconds) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(0)),
            ("Sat, 05 Nov 1994 08:49:37 GMT", Some(0)),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
        ] {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, HeaderValue::from_static(text))]);
            let asked = RetryAfter::of(&headers).map(|asked| asked.since(now));
            assert_eq!(asked, seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(RetryAfter::of(&HeaderMap::new()), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_trickled_body_comes_in_pieces_with_a_pause_before_each() {
        let whole: Bytes = (0..=99_u8).collect();
        let started = tokio::time::Instant::now();
        let mut body = Pieces { rest: whole.clone(), trickle: Some(Trickle::new(32, 20)), pause: None };
        let mut pieces = Vec::new();
        while let Some(frame) = body.frame().await {
            let elapsed = started.elapsed();
            let piece = frame.unwrap().into_data().unwrap();
            pieces.push((elapsed.as_millis(), piece.len()));
            assert_eq!(body.size_hint().exact(), Some(u64::try_from(whole.len()).unwrap() - sum(&pieces)));
        }
        assert_eq!(pieces, [(20, 32), (40, 32), (60, 32), (80, 4)]);
        assert!(body.is_end_stream());

        let usual = Pieces { rest: whole.clone(), trickle: None, pause: None };
        assert_eq!(usual.collect().await.unwrap().to_bytes(), whole);
        assert_eq!(started.elapsed().as_millis(), 80, "no pause");
    }

    fn sum(pieces: &[(u128, usize)]) -> u64 {
        pieces.iter().map(|(_, length)| u64::try_from(*length).unwrap()).sum()
    }

    #[tokio::test]
    async fn http_does_not_leave_loopback_unless_it_may() {
        let outgoing =
            |url: &str| Outgoing { url: url.to_owned(), headers: HeaderMap::new(), body: Bytes::new() };
        let how = How {
            deliver_to: None,
            remote: false,
            disconnect: false,
            trickle: None,
            answer_timeout: Duration::from_secs(30),
        };
        for url in ["http://192.0.2.1/", "http://localhost.example.com/", "http://0.0.0.0:9/"] {
            let answered = send(&outgoing(url), how).await;
            assert_eq!(answered.why.as_deref(), Some("the simulator delivers to loopback only"), "{url}");
        }
        // Nobody listens there, but somebody asks.
        let unbound = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for (url, how) in [
            (format!("http://{unbound}/"), how),
            (format!("http://{unbound}/"), How { remote: true, ..how }),
            ("http://192.0.2.1/".to_owned(), How { deliver_to: Some(unbound), ..how }),
        ] {
            let why = send(&outgoing(&url), how).await.why.unwrap();
            assert!(why.contains("refused"), "{url}: {why}");
        }
    }

    #[test]
    fn loopback_is_known_by_address_and_by_one_name() {
        for (url, expected) in [
            ("http://127.0.0.1:3000/", true),
            ("http://127.9.9.9/", true),
            ("http://[::1]/", true),
            ("http://localhost/", true),
            ("http://LOCALHOST/", true),
            ("http://localhost.example.com/", false),
            ("http://127.0.0.1.example.com/", false),
            ("http://10.0.0.1/", false),
            ("http://0.0.0.0/", false),
            ("http://127.0.0.1@example.com/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
