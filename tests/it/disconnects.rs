//! Senders that hang up, over loopback: HTTP/1 and HTTP/2, at every step.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tower::{Service, ServiceExt as _, service_fn};
use tower_webhook::{Body, ResponseBody, Timing};

use crate::stage::{DUPLICATE, Doorman, HANDLED, IN_FLIGHT, SECOND, Stage, timing, within_a_minute};
use crate::support::{caspay_body, from_caspay};

/// No answer comes from a clock.
fn patient() -> Timing {
    let timing = timing().with_respond_by(600 * SECOND).with_handler_timeout(600 * SECOND);
    timing.with_lease(700 * SECOND)
}

fn patient_stage() -> Stage {
    Stage::with(|layer| layer.with_timing(patient()).unwrap())
}

/// What happens at the server, in order.
#[derive(Debug, PartialEq)]
enum Seen {
    /// A request's head has arrived.
    Arrived,
    /// The server dropped a request that had no answer yet.
    HungUp,
    /// A request was answered.
    Answered(u16),
    /// A connection has ended.
    Closed,
}

struct Server {
    address: SocketAddr,
    seen: mpsc::UnboundedReceiver<Seen>,
}

/// Says that a request was dropped, unless it was answered.
struct Watch {
    tell: mpsc::UnboundedSender<Seen>,
    answered: Option<u16>,
}

impl Watch {
    fn answered(&mut self, answer: &Answer) {
        self.answered = Some(answer.status().as_u16());
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let seen = self.answered.map_or(Seen::HungUp, Seen::Answered);
        let _ = self.tell.send(seen);
    }
}

type Answer = Response<ResponseBody<Body>>;

impl Server {
    async fn start<S>(service: S) -> Self
    where
        S: Service<Request<Incoming>, Response = Answer, Error: std::error::Error, Future: Send>,
        S: Clone + Send + 'static,
    {
        Self::start_on(listener().await, service, false)
    }

    /// Accepts and serves, HTTP/1 or HTTP/2 as the client chooses.
    fn start_on<S>(listener: TcpListener, service: S, half_close: bool) -> Self
    where
        S: Service<Request<Incoming>, Response = Answer, Error: std::error::Error, Future: Send>,
        S: Clone + Send + 'static,
    {
        let (address, (tell, seen)) = (listener.local_addr().unwrap(), mpsc::unbounded_channel());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (service, told) = (service.clone(), tell.clone());
                let watched = service_fn(move |request: Request<Incoming>| {
                    let (service, mut watch) =
                        (service.clone(), Watch { tell: told.clone(), answered: None });
                    told.send(Seen::Arrived).unwrap();
                    async move {
                        let answer = service.oneshot(request).await.unwrap();
                        watch.answered(&answer);
                        Ok::<_, std::convert::Infallible>(answer)
                    }
                });
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut server = auto::Builder::new(TokioExecutor::new());
                    server.http1().half_close(half_close);
                    let watched = TowerToHyperService::new(watched);
                    let _ = server.serve_connection(TokioIo::new(stream), watched).await;
                    let _ = tell.send(Seen::Closed);
                });
            }
        });
        Self { address, seen }
    }

    async fn of(stage: &Stage) -> Self {
        Self::start(stage.layer.clone().into_service()).await
    }

    async fn expect(&mut self, expected: Seen) {
        assert_eq!(within_a_minute(self.seen.recv()).await.unwrap(), expected);
    }

    async fn until(&mut self, wanted: Seen) {
        while within_a_minute(self.seen.recv()).await.unwrap() != wanted {}
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn client(&self) -> Client {
        let stream = self.connect().await.into_std().unwrap();
        let socket = stream.try_clone().unwrap();
        let io = TokioIo::new(TcpStream::from_std(stream).unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        Client { sender, socket }
    }

    /// Delivers as a sender that waits, and returns the status.
    async fn retry(&mut self, id: &str) -> u16 {
        let mut stream = self.connect().await;
        stream.write_all(&raw(id)).await.unwrap();
        let status = status(&mut stream).await.unwrap();
        assert_eq!(self.seen.recv().await, Some(Seen::Arrived));
        assert_eq!(self.seen.recv().await, Some(Seen::Answered(status)));
        status
    }
}

async fn listener() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).await.unwrap()
}

/// A delivery as HTTP/1 bytes.
fn raw(id: &str) -> Vec<u8> {
    use std::fmt::Write as _;

    let body = caspay_body(id);
    let mut text = format!("POST / HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in from_caspay(body.clone()).headers() {
        write!(text, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
    }
    (text + "\r\n" + &body).into_bytes()
}

/// The status of the answer; `None` where the connection ends without one.
async fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut head = [0; 12];
    stream.read_exact(&mut head).await.ok()?;
    std::str::from_utf8(&head[9..]).unwrap().parse().ok()
}

/// How a connection of HTTP/1 ends from the sender's side.
#[derive(Clone, Copy, Debug)]
enum End {
    Fin,
    Rst,
}

impl End {
    const BOTH: [Self; 2] = [Self::Fin, Self::Rst];

    fn hang_up(self, stream: TcpStream) {
        if matches!(self, Self::Rst) {
            stream.set_zero_linger().unwrap();
        }
        drop(stream);
    }
}

#[tokio::test]
async fn http1_hanging_up_during_the_body_claims_nothing() {
    for end in End::BOTH {
        let stage = patient_stage();
        let mut server = Server::of(&stage).await;
        let (mut stream, request) = (server.connect().await, raw("evt_1"));
        stream.write_all(&request[..request.len() - 10]).await.unwrap();
        server.expect(Seen::Arrived).await;
        end.hang_up(stream);
        server.until(Seen::Closed).await;
        assert_eq!((stage.claims(), stage.stats().macs(), stage.stats().moved()), (0, 0, 0), "{end:?}");
    }
}

#[tokio::test]
async fn http1_hanging_up_while_the_handler_runs_costs_nothing() {
    for end in End::BOTH {
        let stage = patient_stage();
        let mut server = Server::of(&stage).await;
        let mut stream = server.connect().await;
        stream.write_all(&raw("evt_1")).await.unwrap();
        let run = stage.runs.next().await;
        end.hang_up(stream);
        for seen in [Seen::Arrived, Seen::HungUp, Seen::Closed] {
            server.expect(seen).await;
        }
        assert_eq!(stage.stats().moved(), 1, "{end:?}");
        assert_eq!(server.retry("evt_1").await, 503, "not done yet");
        run.succeed();
        stage.settled().await;
        server.expect(Seen::Closed).await;
        assert_eq!(server.retry("evt_1").await, 200);
        assert_eq!((stage.runs.starts.count(), stage.runs.effects.count()), (1, 1));
        stage.assert_idle();
    }
}

/// A dispatch that is ready when the test says so.
async fn behind_a_door(stage: &Stage) -> (Server, Doorman) {
    let door = Doorman::new();
    let dispatch = stage.runs.router().layer(door.clone());
    (Server::start(stage.layer.clone().with_dispatch(dispatch).into_service()).await, door)
}

#[tokio::test]
async fn http1_hanging_up_while_readiness_is_awaited_claims_nothing() {
    for end in End::BOTH {
        let stage = patient_stage();
        let (mut server, door) = behind_a_door(&stage).await;
        let mut stream = server.connect().await;
        stream.write_all(&raw("evt_1")).await.unwrap();
        door.asked().await;
        end.hang_up(stream);
        for seen in [Seen::Arrived, Seen::HungUp, Seen::Closed] {
            server.expect(seen).await;
        }
        assert_eq!((stage.claims(), stage.stats().moved()), (0, 0), "{end:?}");
        door.open();
        assert_eq!(stage.handle("evt_1").await, HANDLED);
    }
}

/// To hyper a sender that closes its half has hung up: it gets no answer, and the event is done when it asks
/// again.
#[tokio::test]
async fn f26_a_half_close_while_the_handler_runs_is_a_hang_up() {
    let stage = patient_stage();
    let mut server = Server::of(&stage).await;
    let mut stream = server.connect().await;
    stream.write_all(&raw("evt_1")).await.unwrap();
    let run = stage.runs.next().await;
    stream.shutdown().await.unwrap();
    for seen in [Seen::Arrived, Seen::HungUp, Seen::Closed] {
        server.expect(seen).await;
    }
    assert_eq!(status(&mut stream).await, None);
    run.succeed();
    stage.settled().await;
    assert_eq!(server.retry("evt_1").await, 200);
    assert_eq!(stage.runs.starts.count(), 1);
}

/// Everything is there before the server looks: the request, and the end of the sender's half.
#[tokio::test]
async fn f26_a_half_close_before_the_server_reads() {
    let stage = patient_stage();
    let listener = listener().await;
    let mut stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    stream.write_all(&raw("evt_1")).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut server = Server::start_on(listener, stage.layer.clone().into_service(), false);
    let run = stage.runs.next().await;
    for seen in [Seen::Arrived, Seen::HungUp, Seen::Closed] {
        server.expect(seen).await;
    }
    assert_eq!(status(&mut stream).await, None);
    run.succeed();
    stage.settled().await;
    assert_eq!(server.retry("evt_1").await, 200);
    assert_eq!((stage.runs.starts.count(), stage.claims()), (1, 2));
}

#[tokio::test]
async fn f26_a_server_that_allows_half_closes_answers_them() {
    let stage = patient_stage();
    let mut server = Server::start_on(listener().await, stage.layer.clone().into_service(), true);
    let mut stream = server.connect().await;
    stream.write_all(&raw("evt_1")).await.unwrap();
    stream.shutdown().await.unwrap();
    stage.runs.next().await.succeed();
    assert_eq!(status(&mut stream).await, Some(200));
    for seen in [Seen::Arrived, Seen::Answered(200), Seen::Closed] {
        server.expect(seen).await;
    }
    assert_eq!(stage.stats().moved(), 0);
}

type Frames = http_body_util::combinators::UnsyncBoxBody<Bytes, std::io::Error>;

/// A sender that speaks HTTP/2.
struct Client {
    sender: http2::SendRequest<Frames>,
    socket: std::net::TcpStream,
}

impl Client {
    /// Sends a request; dropping what is returned resets its stream. `None` where no answer comes.
    fn send(&mut self, request: Request<Frames>) -> impl Future<Output = Option<u16>> + use<> {
        let answer = self.sender.send_request(request);
        async move { answer.await.ok().map(|answer| answer.status().as_u16()) }
    }

    fn close(self) {
        self.socket.shutdown(std::net::Shutdown::Both).unwrap();
    }
}

fn whole(id: &str) -> Request<Frames> {
    from_caspay(caspay_body(id))
        .map(|body| Full::from(body.into_bytes()).map_err(|error| match error {}).boxed_unsync())
}

/// The first ten bytes of a body, and then nothing until the sender is dropped, which breaks it off.
fn half(id: &str) -> (Request<Frames>, oneshot::Sender<()>) {
    use futures_util::stream::{self, StreamExt as _};

    let (end, ended) = oneshot::channel();
    let begin = stream::iter([Ok(Frame::data(Bytes::from(caspay_body(id)).slice(..10)))]);
    let broken = stream::once(async move {
        let _: Result<(), _> = ended.await;
        Err(std::io::Error::other("gone"))
    });
    let body = StreamBody::new(begin.chain(broken));
    (from_caspay(caspay_body(id)).map(|_| body.boxed_unsync()), end)
}

#[tokio::test]
async fn http2_a_reset_during_the_body_claims_nothing() {
    let stage = patient_stage();
    let mut server = Server::of(&stage).await;
    let mut client = server.client().await;
    let (request, end) = half("evt_1");
    let answer = tokio::spawn(client.send(request));
    server.expect(Seen::Arrived).await;
    drop(end);
    assert_eq!(answer.await.unwrap(), None, "the stream is reset");
    client.close();
    server.until(Seen::Closed).await;
    assert_eq!((stage.claims(), stage.stats().macs(), stage.stats().moved()), (0, 0, 0));
}

#[tokio::test]
async fn http2_a_reset_while_the_handler_runs_costs_nothing() {
    let stage = patient_stage();
    let mut server = Server::of(&stage).await;
    let mut client = server.client().await;
    let answer = tokio::spawn(client.send(whole("evt_1")));
    let run = stage.runs.next().await;
    answer.abort();
    server.expect(Seen::Arrived).await;
    server.expect(Seen::HungUp).await;
    assert_eq!(stage.deliver("evt_1").await, IN_FLIGHT);
    run.succeed();
    stage.settled().await;
    assert_eq!(client.send(whole("evt_1")).await, Some(200), "on the same connection");
    assert_eq!((stage.runs.starts.count(), stage.stats().moved()), (1, 1));
    assert_eq!(stage.deliver("evt_1").await, DUPLICATE);
}

/// One connection carries many streams: its end takes none of their handlers along.
#[tokio::test]
async fn http2_the_end_of_a_connection_moves_every_handler() {
    const STREAMS: usize = 8;
    let stage = patient_stage();
    let mut server = Server::of(&stage).await;
    let mut client = server.client().await;
    let mut runs = Vec::new();
    for n in 0..STREAMS {
        tokio::spawn(client.send(whole(&format!("evt_{n}"))));
        runs.push(stage.runs.next().await);
        server.expect(Seen::Arrived).await;
    }
    client.close();
    for _ in 0..STREAMS {
        server.until(Seen::HungUp).await;
    }
    assert_eq!(stage.layer.shutdown().pending(), STREAMS);
    runs.into_iter().for_each(crate::stage::Run::succeed);
    stage.settled().await;
    for n in 0..STREAMS {
        assert_eq!(stage.deliver(&format!("evt_{n}")).await, DUPLICATE);
    }
    assert_eq!(stage.runs.starts.count(), STREAMS);
    stage.assert_idle();
}

#[tokio::test]
async fn http2_a_reset_while_readiness_is_awaited_claims_nothing() {
    let stage = patient_stage();
    let (mut server, door) = behind_a_door(&stage).await;
    let mut client = server.client().await;
    let answer = tokio::spawn(client.send(whole("evt_1")));
    door.asked().await;
    answer.abort();
    server.expect(Seen::Arrived).await;
    server.expect(Seen::HungUp).await;
    assert_eq!((stage.claims(), stage.stats().moved()), (0, 0));
}

/// A server of axum is told to stop with ten deliveries in flight: four are answered, three finish after their
/// senders have left, three never end and are given back.
#[tokio::test]
async fn f34_a_server_that_stops_records_what_ends_and_gives_the_rest_back() {
    let stage = patient_stage();
    let (listener, (stop, stopped)) = (listener().await, oneshot::channel::<()>());
    let address = listener.local_addr().unwrap();
    let app = axum::Router::new().route_service("/", stage.layer.clone().into_service());
    let server = axum::serve(listener, app).with_graceful_shutdown(async { drop(stopped.await) });
    let server = tokio::spawn(server.into_future());

    let mut flights = Vec::new();
    for n in 0..10 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&raw(&format!("evt_{n}"))).await.unwrap();
        flights.push((stream, stage.runs.next().await));
    }
    stop.send(()).unwrap();
    for (mut stream, run) in flights.drain(..4) {
        run.succeed();
        assert_eq!(status(&mut stream).await, Some(200));
    }
    let runs = flights.into_iter().map(|(_hangs_up, run)| run);
    let mut runs: Vec<_> = runs.collect();
    server.await.unwrap().unwrap();
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");

    let shutdown = stage.layer.shutdown();
    assert_eq!(shutdown.pending(), 6);
    runs.drain(..3).for_each(crate::stage::Run::succeed);
    while shutdown.pending() > 3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(shutdown.drain(std::time::Duration::ZERO).await.stopped(), 3);
    stage.assert_idle();

    let next = Stage::on_shared(Arc::clone(&stage.store), |layer| layer);
    for n in 0..7 {
        assert_eq!(next.deliver(&format!("evt_{n}")).await, DUPLICATE);
    }
    for n in 7..10 {
        assert_eq!(next.handle(&format!("evt_{n}")).await, HANDLED);
    }
}
