//! The HTTP side: connections, who may speak, and which platform is meant.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use url::Url;

use super::answer::{Answer, AnswerBody, Closed};
use super::faults::Fault;
use super::log::{Call, Record};
use super::platform::{Operation, Platform};
use super::request::{ApiRequest, bad_request};
use super::shared::Shared;
use super::wire::is_loopback;
use super::{casapay, caspay, control, diddo};

/// More than an endpoint or an event takes.
const MOST_BODY: usize = 256 * 1024;

/// How long a client may take to send a head, and then a body.
const PATIENCE: Duration = Duration::from_secs(30);

/// Connections at a time.
const MOST_CONNECTIONS: usize = 512;

/// Accepts until the simulator stops.
pub(super) async fn serve(shared: Arc<Shared>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            // Out of file descriptors, most likely: others must end first.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let task = connection(Arc::clone(&shared), stream);
        shared.spawn(async move {
            task.await;
            drop(place);
        });
    }
}

async fn connection(shared: Arc<Shared>, stream: TcpStream) {
    _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(Arc::clone(&shared), request));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    // How a connection ends is the client's to see.
    _ = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>) -> Result<Response<AnswerBody>, Closed> {
    let (head, body) = request.into_parts();
    if !is_from_here(&head) {
        let refusal =
            Answer::error(StatusCode::FORBIDDEN, "the simulator speaks to programs on its own machine");
        return Ok(refusal.into_response(None));
    }
    let Some((area, path)) = split(head.uri.path()) else {
        return Ok(Answer::not_found().into_response(None));
    };
    let body = Limited::new(body, MOST_BODY).collect();
    // A body that is too large or too slow is, to the APIs, a bad request: they document no other status for it.
    let body = tokio::time::timeout(PATIENCE, body).await.ok().and_then(Result::ok);
    let request = |body| ApiRequest {
        method: head.method.clone(),
        path: path.to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers.clone(),
        body,
    };
    let request = body.map(|body| request(body.to_bytes())).ok_or_else(|| request(Bytes::new()));
    match (area, request) {
        (Area::Platform(platform), request) => api(&shared, platform, request).await,
        (Area::Control, Ok(request)) => Ok(control::handle(&shared, &request).await.into_response(None)),
        (Area::Control, Err(_)) => Ok(too_large().into_response(None)),
    }
}

fn too_large() -> Answer {
    bad_request("the body is too large, or did not come whole")
}

#[derive(Clone, Copy)]
enum Area {
    Platform(Platform),
    Control,
}

/// `/casapay/v1/events` is `/v1/events` at CasaPay.
fn split(path: &str) -> Option<(Area, &str)> {
    let rest = path.strip_prefix('/')?;
    let end = rest.find('/').unwrap_or(rest.len());
    let (first, path) = rest.split_at(end);
    let area = match first {
        "_control" => Area::Control,
        name => Area::Platform(Platform::ALL.into_iter().find(|platform| platform.name() == name)?),
    };
    Some((area, path))
}

/// Whether a program on this machine sent it, and no page in a browser on this machine: those say where they come from,
/// and a name that was pointed at loopback still stands in `Host`.
fn is_from_here(head: &Parts) -> bool {
    let names = |host: &str| {
        Url::parse(&format!("http://{host}/"))
            .is_ok_and(|url| is_loopback(&url) && url.path() == "/" && url.username().is_empty())
    };
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = hosts.next().and_then(|host| host.to_str().ok());
    !head.headers.contains_key(ORIGIN)
        && host.is_some_and(names)
        && hosts.next().is_none()
        && head.uri.authority().is_none_or(|authority| names(authority.as_str()))
}

/// A request to a platform, with the fault that was planned for it.
async fn api(
    shared: &Arc<Shared>,
    platform: Platform,
    request: Result<ApiRequest, ApiRequest>,
) -> Result<Response<AnswerBody>, Closed> {
    let (request, is_whole) = match request {
        Ok(request) => (request, true),
        Err(request) => (request, false),
    };
    let operation = operation(shared, platform, &request);
    let fault = shared.lock().faults.take(platform, operation);
    let answer = match fault.as_ref().and_then(Answer::instead) {
        Some(answer) => answer,
        None if !is_whole => too_large(),
        None => match platform {
            Platform::CasaPay => casapay::handle(shared, &request),
            Platform::CasPay => caspay::handle(shared, &request),
            Platform::Diddo => diddo::handle(shared, &request),
        },
    };
    let status = (fault != Some(Fault::LostAnswer)).then_some(answer.status.as_u16());
    let call = Call {
        sequence: 0,
        platform,
        operation,
        method: request.method.to_string(),
        path: request.path,
        status,
    };
    let call = shared.lock().log.call(call);
    shared.observe(Record::Call(&call));
    match fault {
        Some(Fault::LostAnswer) => return Err(Closed),
        Some(Fault::Slow(time)) => tokio::time::sleep(time).await,
        _ => {}
    }
    Ok(answer.into_response(fault.as_ref()))
}

fn operation(shared: &Shared, platform: Platform, request: &ApiRequest) -> Option<Operation> {
    match platform {
        Platform::CasaPay => casapay::operation(&request.method, &request.path),
        Platform::CasPay => caspay::operation(shared, &request.method, &request.path),
        Platform::Diddo => diddo::operation(&request.method, &request.path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_hosts_and_no_origin() {
        for (uri, headers, expected) in [
            ("/", &[("host", "127.0.0.1:4000")][..], true),
            ("/", &[("host", "localhost")], true),
            ("/", &[("host", "[::1]:4000")], true),
            ("/", &[], false),
            ("/", &[("host", "")], false),
            ("/", &[("host", "rebound.example")], false),
            ("/", &[("host", "127.0.0.1.rebound.example")], false),
            ("/", &[("host", "x@127.0.0.1")], false),
            ("/", &[("host", "127.0.0.1/x")], false),
            ("/", &[("host", "127.0.0.1"), ("host", "127.0.0.1")], false),
            ("/", &[("host", "127.0.0.1"), ("origin", "http://127.0.0.1")], false),
            ("/", &[("host", "127.0.0.1"), ("origin", "null")], false),
            ("http://rebound.example/", &[("host", "127.0.0.1")], false),
            ("http://127.0.0.1/", &[("host", "127.0.0.1")], true),
        ] {
            let mut request = Request::get(uri);
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            assert_eq!(is_from_here(&head), expected, "{uri} {headers:?}");
        }
    }

    #[test]
    fn paths_begin_with_the_platform() {
        let split = |path| {
            split(path).map(|(area, rest)| match area {
                Area::Control => ("control", rest),
                Area::Platform(platform) => (platform.name(), rest),
            })
        };
        assert_eq!(split("/casapay/v1/events"), Some(("casapay", "/v1/events")));
        assert_eq!(split("/diddo"), Some(("diddo", "")));
        assert_eq!(split("/_control/emit"), Some(("control", "/emit")));
        assert_eq!(split("/casapays/v1/events"), None);
        assert_eq!(split("/"), None);
        assert_eq!(split("*"), None);
    }
}
