//! Requests that somebody has kept: as they were on the wire, as headers and body, or as lines of JSON.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde::Deserialize;
use serde_json::Value;
use tower_webhook::Delivery;

use crate::exit::Failure;
use crate::output::Output;
use crate::secret::shown;

/// A capture is read whole: this is a million small requests.
const MAX_BYTES: u64 = 1 << 30;

/// Headers that belong to one connection. Those that `connection` names are added.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "expect",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
];

/// A request as it was captured.
#[derive(Debug)]
pub(crate) struct Captured {
    /// Where the capture says it.
    pub(crate) method: Option<Method>,
    /// What it asks for, which is a path as a rule, where the capture says it.
    pub(crate) target: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Whether it is a delivery that this library has stored, which keeps no signature.
    pub(crate) is_stored: bool,
}

/// Reads a file, or standard input for `-`.
pub(crate) fn read(path: &Path, output: &Output) -> Result<Vec<u8>, Failure> {
    let name = if is_stdin(path) { "standard input".to_owned() } else { shown(path) };
    let failed = |error: io::Error| Failure::input(format!("{name}: {error}"));
    let source: Box<dyn Read> =
        if is_stdin(path) { Box::new(io::stdin()) } else { Box::new(File::open(path).map_err(failed)?) };
    if is_stdin(path) && io::stdin().is_terminal() {
        output.warning("reading from the terminal, until Ctrl-D at the beginning of a line");
    }
    let mut bytes = Vec::new();
    source.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Failure::input(format!("{name}: over 1 GiB")));
    }
    Ok(bytes)
}

pub(crate) fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// One request: what follows its head is the body, whatever its length is said to be, so that a difference can be told.
/// Or one line of JSON.
pub(crate) fn request(bytes: &[u8]) -> Result<Captured, Failure> {
    if of_curl(bytes).is_some() {
        return Err(Failure::input(
            "this is what `curl -v` prints, which has no body: give it with --headers, and the body with --body",
        ));
    }
    if is_json(bytes) {
        let mut requests = json_lines(bytes)?;
        return match requests.pop() {
            Some(request) if requests.is_empty() => Ok(request),
            _ => Err(Failure::input("the file holds several requests: give one of its lines")),
        };
    }
    let (head, rest) = head(bytes)?;
    let head = request_head(head)?;
    let body = if is_chunked(&head.headers) {
        let (body, _) = dechunked(rest).ok_or_else(|| {
            Failure::input(
                "transfer-encoding is chunked, and the body's chunks do not add up. If the capture has the body without \
                 its chunks, give the headers with --headers, and the body with --body",
            )
        })?;
        body
    } else {
        rest.to_vec()
    };
    Ok(head.with_body(body))
}

/// What stands before a body.
#[derive(Debug)]
pub(crate) struct RequestHead {
    method: Option<Method>,
    target: Option<String>,
    headers: HeaderMap,
}

impl RequestHead {
    pub(crate) fn with_body(self, body: Vec<u8>) -> Captured {
        let Self { method, target, headers } = self;
        Captured { method, target, headers, body: body.into(), is_stored: false }
    }
}

/// Header lines alone, or with the request line before them, which says the method.
pub(crate) fn headers(bytes: &[u8]) -> Result<RequestHead, Failure> {
    let printed = of_curl(bytes);
    let bytes = printed.as_deref().unwrap_or(bytes);
    if request_line(bytes).is_ok() { request_head(bytes) } else { header_lines(bytes) }
}

/// The head of the request that `curl -v` sent, out of all that it prints.
fn of_curl(bytes: &[u8]) -> Option<Vec<u8>> {
    let is_before = |line: &&[u8]| {
        let line = without_meter(line);
        // Over TLS it also says how much of the handshake went there and came back.
        line.is_empty()
            || [&b"*"[..], b"Total ", b"Dload ", b"} [", b"{ ["].iter().any(|begin| line.starts_with(begin))
    };
    let mut lines = bytes.split(|byte| *byte == b'\n').skip_while(is_before);
    let first = without_meter(lines.next()?).strip_prefix(b"> ")?;
    let rest =
        lines.map_while(|line| line.strip_prefix(b"> ")).take_while(|line| !line.trim_ascii().is_empty());
    Some([first].into_iter().chain(rest).flat_map(|line| [line, b"\n"]).flatten().copied().collect())
}

/// A line without the progress that `curl` shows where its output goes into a file: it ends in no line end.
fn without_meter(line: &[u8]) -> &[u8] {
    if !matches!(line.first(), Some(b' ' | b'\r')) {
        return line;
    }
    let is_meter = |byte: &u8| byte.is_ascii_digit() || b" \r%:-.kMG".contains(byte);
    let end = line.iter().position(|byte| !is_meter(byte)).unwrap_or(line.len());
    &line[end..]
}

fn is_json(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().first() == Some(&b'{')
}

/// All requests of a file, in whichever form it is.
pub(crate) fn requests(bytes: &[u8]) -> Result<Vec<Captured>, Failure> {
    let requests = if is_json(bytes) { json_lines(bytes)? } else { raw_requests(bytes)? };
    if requests.is_empty() { Err(Failure::input("the file holds no request")) } else { Ok(requests) }
}

fn raw_requests(mut bytes: &[u8]) -> Result<Vec<Captured>, Failure> {
    let mut requests = Vec::new();
    loop {
        // Between requests, as after the last one, an editor leaves lines that are empty.
        bytes = bytes.trim_ascii_start();
        if bytes.is_empty() {
            return Ok(requests);
        }
        let within =
            |failure: Failure| Failure::input(format!("request {}: {}", requests.len() + 1, failure.message));
        let (head, rest) = head(bytes).map_err(within)?;
        let head = request_head(head).map_err(within)?;
        let (body, rest) = if is_chunked(&head.headers) {
            dechunked(rest).ok_or_else(|| within(Failure::input("its chunks do not add up")))?
        } else if let Some(length) = head.headers.get(CONTENT_LENGTH) {
            let length = length.to_str().ok().and_then(|length| length.parse().ok());
            let parts = length.and_then(|length| rest.split_at_checked(length));
            let (body, rest) = parts.ok_or_else(|| {
                within(Failure::input("its body is shorter than content-length says, or that is no number"))
            })?;
            (body.to_vec(), rest)
        } else if has_head(rest) {
            return Err(within(Failure::input(
                "nothing says where its body ends, and another request seems to follow: give each its content-length, \
                 or a file of its own",
            )));
        } else {
            // Nothing says where it ends, so that it is the last.
            (rest.to_vec(), &[][..])
        };
        requests.push(head.with_body(body));
        bytes = rest;
    }
}

/// Whether somewhere in these lines a request begins: with its first line, and a header after it.
fn has_head(bytes: &[u8]) -> bool {
    let mut lines = bytes.split_inclusive(|byte| *byte == b'\n').peekable();
    while let Some(line) = lines.next() {
        let next = lines.peek().copied().unwrap_or_default();
        let has_header = header_lines(next).is_ok_and(|head| !head.headers.is_empty());
        if has_header && ends_in_request_line(line) {
            return true;
        }
    }
    false
}

/// A body that ends in no line end has the next request in its last line.
fn ends_in_request_line(line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line) else { return false };
    let mut words = line.trim_end().rsplitn(3, ' ');
    let (version, target, before) = (words.next(), words.next(), words.next());
    version.is_some_and(|version| ["HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/2.0", "HTTP/3"].contains(&version))
        && target.is_some_and(|target| target.starts_with(['/', 'h', '*']))
        && before.is_some_and(|before| before.ends_with(|c: char| c.is_ascii_uppercase()))
}

/// A request in a line of JSON.
#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    headers: Value,
    body: Option<String>,
    body_base64: Option<String>,
    /// What only a stored delivery has.
    format: Option<u64>,
}

fn json_lines(bytes: &[u8]) -> Result<Vec<Captured>, Failure> {
    let lines = bytes.split(|byte| *byte == b'\n').enumerate();
    let lines = lines.filter(|(_, line)| !line.trim_ascii().is_empty());
    lines
        .map(|(index, line)| {
            json_line(line).map_err(|why| Failure::input(format!("line {}: {why}", index + 1)))
        })
        .collect()
}

fn json_line(line: &[u8]) -> Result<Captured, String> {
    // Errors of the parser quote what they stumble over, which may be anything: the place is enough.
    let wrong = |error: serde_json::Error| format!("no request in JSON, at column {}", error.column());
    let parsed: Line = serde_json::from_slice(line).map_err(wrong)?;
    if parsed.format.is_some() {
        let delivery: Delivery = serde_json::from_slice(line).map_err(wrong)?;
        let headers = delivery.headers().clone();
        return Ok(Captured {
            method: None,
            target: None,
            headers,
            body: delivery.body().clone(),
            is_stored: true,
        });
    }
    let body = match (parsed.body, parsed.body_base64) {
        (Some(text), None) => text.into_bytes(),
        (None, Some(base64)) => STANDARD.decode(base64).map_err(|_| "body_base64 is no base64".to_owned())?,
        _ => return Err("expected one of body and body_base64".to_owned()),
    };
    let mut headers = HeaderMap::new();
    for (name, value) in json_headers(&parsed.headers).ok_or("headers are no object of texts")? {
        append(&mut headers, name.as_bytes(), value.as_bytes()).map_err(|failure| failure.message)?;
    }
    Ok(Captured { method: None, target: None, headers, body: body.into(), is_stored: false })
}

/// An object of texts or of lists of texts, or a list of pairs, as tools that keep duplicates write them.
fn json_headers(value: &Value) -> Option<Vec<(&str, &str)>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Object(members) => {
            let mut headers = Vec::new();
            for (name, value) in members {
                match value {
                    Value::Array(values) => {
                        for value in values {
                            headers.push((name.as_str(), value.as_str()?));
                        }
                    }
                    value => headers.push((name.as_str(), value.as_str()?)),
                }
            }
            Some(headers)
        }
        Value::Array(pairs) => {
            let pair = |pair: &Value| match pair.as_array()?.as_slice() {
                [name, value] => Some((name.as_str()?.to_owned(), value.as_str()?.to_owned())),
                _ => None,
            };
            // Checked first: what is borrowed below is what was found to be there.
            pairs.iter().map(pair).collect::<Option<Vec<_>>>()?;
            pairs.iter().map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?))).collect()
        }
        _ => None,
    }
}

/// The head of a request and what follows it. Lines may end in LF alone, as they do once an editor has seen them.
fn head(bytes: &[u8]) -> Result<(&[u8], &[u8]), Failure> {
    let mut begin = 0;
    while let Some(length) = bytes[begin..].iter().position(|byte| *byte == b'\n') {
        let line = &bytes[begin..begin + length];
        let next = begin + length + 1;
        if line.is_empty() || line == b"\r" {
            return Ok((&bytes[..begin], &bytes[next..]));
        }
        begin = next;
    }
    Err(Failure::input("no empty line ends the headers of the request: is it whole?"))
}

/// A request line and headers.
fn request_head(head: &[u8]) -> Result<RequestHead, Failure> {
    let (method, target, lines) = request_line(head)?;
    Ok(RequestHead { method: Some(method), target: Some(target.to_owned()), ..header_lines(lines)? })
}

/// Method and target of `POST /path HTTP/1.1`, and what follows it.
fn request_line(head: &[u8]) -> Result<(Method, &str, &[u8]), Failure> {
    let wrong = || Failure::input("no request: expected a first line such as `POST /webhooks HTTP/1.1`");
    let end = head.iter().position(|byte| *byte == b'\n').ok_or_else(wrong)?;
    let line = std::str::from_utf8(&head[..end]).map_err(|_| wrong())?;
    match *line.trim_end().split(' ').collect::<Vec<_>>() {
        [method, target, version] if version.starts_with("HTTP/") => {
            Ok((Method::from_bytes(method.as_bytes()).map_err(|_| wrong())?, target, &head[end + 1..]))
        }
        _ => Err(wrong()),
    }
}

/// Headers, and what HTTP/2 has in their form: `:method`, `:path`, and `:authority`, which is the header `host`.
fn header_lines(lines: &[u8]) -> Result<RequestHead, Failure> {
    let mut head = RequestHead { method: None, target: None, headers: HeaderMap::new() };
    let mut authority = None;
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        let (is_pseudo, line) = line.strip_prefix(b":").map_or((false, line), |rest| (true, rest));
        let colon = line.iter().position(|byte| *byte == b':').filter(|colon| *colon > 0);
        let colon = colon.ok_or_else(|| Failure::input("a header line has no name and colon"))?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        match (is_pseudo, name) {
            (false, name) => append(&mut head.headers, name, value)?,
            (true, b"method") => {
                let method = Method::from_bytes(value).map_err(|_| Failure::input(":method is none"))?;
                head.method = Some(method);
            }
            (true, b"path") => head.target = String::from_utf8(value.to_vec()).ok(),
            (true, b"authority") => authority = Some(value),
            (true, b"scheme") => {}
            (true, _) => {
                return Err(Failure::input("a header line begins with a colon, and is none of HTTP/2"));
            }
        }
    }
    if let Some(authority) = authority.filter(|_| !head.headers.contains_key(HOST)) {
        append(&mut head.headers, HOST.as_str().as_bytes(), authority)?;
    }
    Ok(head)
}

fn append(headers: &mut HeaderMap, name: &[u8], value: &[u8]) -> Result<(), Failure> {
    let name = HeaderName::from_bytes(name).map_err(|_| Failure::input("a header has an illegal name"))?;
    let value = HeaderValue::from_bytes(value)
        .map_err(|_| Failure::input(format!("the header {name} has a value that none can have")))?;
    headers.try_append(name, value).map_err(|_| Failure::input("too many headers"))?;
    Ok(())
}

fn is_chunked(headers: &HeaderMap) -> bool {
    headers.get(TRANSFER_ENCODING).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"chunked"))
}

/// The body of chunks, and what follows it.
fn dechunked(mut bytes: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let (line, rest) = line(bytes)?;
        let size = line.split(|byte| *byte == b';').next()?.trim_ascii();
        let size = usize::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        bytes = rest;
        if size == 0 {
            break;
        }
        let (chunk, rest) = bytes.split_at_checked(size)?;
        body.extend_from_slice(chunk);
        let (end, rest) = line_end(rest)?;
        debug_assert!(end.is_empty());
        bytes = rest;
    }
    // Trailers, up to an empty line.
    loop {
        let (line, rest) = line(bytes)?;
        bytes = rest;
        if line.is_empty() {
            return Some((body, bytes));
        }
    }
}

fn line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|byte| *byte == b'\n')?;
    let line = &bytes[..end];
    Some((line.strip_suffix(b"\r").unwrap_or(line), &bytes[end + 1..]))
}

fn line_end(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    line(bytes).filter(|(line, _)| line.is_empty())
}

/// The headers that can be sent on another connection.
pub(crate) fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<String> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .collect();
    let is_kept = |name: &HeaderName| {
        let made_anew = [&HOST, &CONTENT_LENGTH, &TRANSFER_ENCODING].contains(&name);
        !made_anew
            && !HOP_BY_HOP.contains(&name.as_str())
            && !named.iter().any(|named| named == name.as_str())
    };
    let kept = headers.iter().filter(|(name, _)| is_kept(name));
    let mut out = HeaderMap::with_capacity(headers.len());
    for (name, value) in kept {
        out.append(name, value.clone());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_as_it_was_on_the_wire() {
        let read = request(b"POST /x HTTP/1.1\r\nX-A: 1 \r\nx-a:2\r\n\r\n{\r\n}\n").unwrap();
        assert_eq!(read.headers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!((read.body.as_ref(), read.method), (&b"{\r\n}\n"[..], Some(Method::POST)));
        assert_eq!(request(b"GET /x HTTP/1.1\n\n").unwrap().method, Some(Method::GET));
        assert_eq!(headers(b"PUT /x HTTP/1.1\nx: 1\n").unwrap().method, Some(Method::PUT));
        assert_eq!(headers(b"x: 1\n").unwrap().method, None);
        let read = request(b"POST /x HTTP/2\nX-A: 1\n\n\n{}").unwrap();
        assert_eq!((&read.headers["x-a"], &read.body[..]), (&HeaderValue::from_static("1"), &b"\n{}"[..]));
        let read = request(b"POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n2;x=y\r\n{}\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n");
        assert_eq!(read.unwrap().body, "{}0123456789");
    }

    #[test]
    fn what_curl_prints_has_the_headers() {
        let request_of = "> POST /x HTTP/1.1\r\n> Host: a.example\r\n> X-A: 1\r\n> \r\n} [7 bytes data]\n* done\n< HTTP/1.1 200 OK\n< X-B: 2\n";
        // As curl 7.88 writes it into a file.
        let meter = "  % Total    % Received % Xferd  Average Speed   Time    Time     Time  Current\n                                 Dload  Upload   Total   Spent    Left  Speed\n\r  0     0    0     0    0     0      0      0 --:--:-- --:--:-- --:--:--     0";
        for before in [
            "* Connected to a.example\n".to_owned(),
            "* TLSv1.3 (OUT), TLS handshake, Client hello (1):\n} [512 bytes data]\n{ [122 bytes data]\n"
                .to_owned(),
            format!("{meter}*   Trying 127.0.0.1:3000...\n* Connected to a.example\n"),
            format!("{meter}\r100   7  0  0  0  7  0  1234k --:--:--  0:00:01 --:--:--     0"),
        ] {
            let printed = format!("{before}{request_of}");
            let head = headers(printed.as_bytes()).unwrap();
            assert_eq!((head.method, head.target.as_deref()), (Some(Method::POST), Some("/x")), "{printed}");
            assert_eq!(head.headers.keys().collect::<Vec<_>>(), ["host", "x-a"], "{printed}");
            assert!(request(printed.as_bytes()).unwrap_err().message.contains("--headers"));
        }
        // What a body quotes is no print of curl.
        assert!(request(b"POST /x HTTP/1.1\r\n\r\n> POST /y HTTP/1.1\r\n").is_ok());
    }

    #[test]
    fn what_http_2_has_beside_headers_is_read() {
        let head =
            headers(b":method: PUT\n:path: /x\n:scheme: https\n:authority: a.example\nx-a: 1\n").unwrap();
        assert_eq!((head.method, head.target.as_deref()), (Some(Method::PUT), Some("/x")));
        assert_eq!(
            (&head.headers["host"], &head.headers["x-a"]),
            (&"a.example".parse().unwrap(), &"1".parse().unwrap())
        );
        let head = headers(b":authority: a.example\nhost: b.example\n").unwrap();
        assert_eq!(head.headers.get_all(HOST).iter().collect::<Vec<_>>(), ["b.example"]);
        for lines in [":status: 200", ":method: \u{7f}", ": x", ":"] {
            assert!(headers(lines.as_bytes()).is_err(), "{lines}");
        }
    }

    #[test]
    fn a_request_can_be_one_line_of_json() {
        let line = r#"{"headers":{"x-a":"1"},"body":"{}\n"}"#;
        assert_eq!(request(format!("{line}\n").as_bytes()).unwrap().body, "{}\n");
        let failure = request(format!("{line}\n{line}\n").as_bytes()).unwrap_err();
        assert!(failure.message.contains("several requests"), "{}", failure.message);
    }

    #[test]
    fn no_request_is_taken_for_the_body_of_another() {
        let one = "POST /a HTTP/1.1\r\nx-a: 1\r\n\r\n{}";
        for between in ["", "\n", "\r\n\r\n", "\n\n\n"] {
            let failure = requests(format!("{one}{between}{one}").as_bytes()).unwrap_err();
            assert!(
                failure.message.contains("request 1: nothing says where its body ends"),
                "{}",
                failure.message
            );
        }
        // A line that looks like one is not enough, and a body that says its length may hold anything.
        for body in ["POST /b HTTP/1.1\nand so on", "{}\nPOST /b HTTP/1.1\n\nx: 1\n"] {
            let bodies = requests(format!("POST /a HTTP/1.1\n\n{body}").as_bytes()).unwrap();
            assert_eq!((bodies.len(), &bodies[0].body[..]), (1, body.as_bytes()));
        }
        let quoted = format!("POST /q HTTP/1.1\ncontent-length: {}\n\n{one}\n{one}", one.len());
        assert_eq!(requests(quoted.as_bytes()).unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bytes in [
            &b""[..],
            b"POST / HTTP/1.1\r\nx: 1\r\n",
            b"x: 1\r\n\r\n{}",
            b"POST /\r\n\r\n",
            b"POST / HTTP/1.1\r\nx 1\r\n\r\n",
            b"POST / HTTP/1.1\r\nx y: 1\r\n\r\n",
            b"POST / HTTP/1.1\r\nx: \x01\r\n\r\n",
            b"POST / HTTP/1.1\r\n folded: 1\r\n\r\n",
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{}\r\n0\r\n\r\n",
            b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
            b"\xff\xfe / HTTP/1.1\r\n\r\n",
        ] {
            assert!(request(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn requests_follow_one_another() {
        let file = b"POST /a HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}\n\nPOST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\n7\r\n0\r\n\r\nPOST /c HTTP/1.1\r\n\r\n{} \n";
        let bodies: Vec<_> = requests(file).unwrap().into_iter().map(|request| request.body).collect();
        assert_eq!(bodies, ["{}", "7", "{} \n"]);
        let short = requests(b"POST /a HTTP/1.1\r\ncontent-length: 3\r\n\r\n{}").unwrap_err();
        assert!(short.message.contains("request 1"), "{}", short.message);
        assert!(requests(b" \n").is_err());
    }

    #[test]
    fn lines_of_json_come_in_three_forms() {
        let file = br#"{"headers":{"x-a":"1","x-b":["2","3"]},"body":"{}\n"}

{"headers":[["x-a","1"],["x-a","2"]],"body_base64":"/wA="}
{"body":""}"#;
        let read = requests(file).unwrap();
        assert_eq!(read[0].body, "{}\n");
        assert_eq!(read[0].headers.get_all("x-b").iter().count(), 2);
        assert_eq!(read[1].body, &b"\xff\x00"[..]);
        assert_eq!(read[1].headers.get_all("x-a").iter().count(), 2);
        assert!(read[2].body.is_empty() && read.len() == 3);
        for line in [
            r#"{"headers":{}}"#,
            r#"{"body":"","body_base64":""}"#,
            r#"{"body_base64":"?"}"#,
            r#"{"headers":{"x":1},"body":""}"#,
            r#"{"headers":[["x"]],"body":""}"#,
            r#"{"headers":[["x","y","z"]],"body":""}"#,
            r#"{"headers":7,"body":""}"#,
            r#"{"headers":{"x y":"1"},"body":""}"#,
            r#"{"format":1,"body":""}"#,
            "{",
        ] {
            let error = requests(line.as_bytes()).unwrap_err();
            assert!(error.message.starts_with("line 1: "), "{line}: {}", error.message);
        }
    }

    #[test]
    fn headers_of_a_connection_stay_behind() {
        let all = headers(
            b"Host: a\nConnection: close, X-Hop\nX-Hop: 1\nContent-Length: 2\nTE: x\nX-A: 1\nx-a: 2\n",
        );
        let kept = end_to_end(&all.unwrap().headers);
        assert_eq!(kept.keys().collect::<Vec<_>>(), ["x-a"]);
        assert_eq!(kept.get_all("x-a").iter().count(), 2);
    }
}
