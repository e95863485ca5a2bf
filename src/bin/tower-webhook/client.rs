//! Sends requests over HTTP or HTTPS, and says how they were answered.

use std::collections::BTreeMap;
use std::error::Error;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use indicatif::{ProgressBar, ProgressStyle};
use reqwest::redirect::Policy;
use reqwest::{Method, Request, Url};
use serde_json::{Value, json};

use crate::exit::{Exit, Failure};
use crate::output::{table, visible};

/// More than any receiver lets a sender wait.
const TIMEOUT: Duration = Duration::from_secs(30);

/// So much of an answer is shown.
const EXCERPT_BYTES: usize = 200;

/// From here on a progress bar is shown, if there is a terminal.
const MANY: u64 = 100;

/// Runs a command, which may wait for a network.
pub(crate) fn block_on(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::input(format!("cannot start: {error}")))?.block_on(command)
}

/// An absolute URL of http or https.
pub(crate) fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err("expected http://host[:port]/path or https://".to_owned());
    }
    Ok(url)
}

/// Refuses a URL with a password, which would be in the list of processes. Not where arguments are read, whose errors
/// repeat what was given.
pub(crate) fn check_url(url: &Url) -> Result<(), Failure> {
    if url.password().is_none() && url.username().is_empty() {
        return Ok(());
    }
    Err(credentials_shown())
}

pub(crate) fn credentials_shown() -> Failure {
    Failure::usage("a URL with a user or a password shows both in the list of processes: leave them out")
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Whether nobody on the way can read what is sent there.
pub(crate) fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// Follows no redirect: a receiver that moved must be told to the provider.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    client: reqwest::Client,
    url: Url,
}

impl Client {
    pub(crate) fn new(url: Url) -> Result<Self, Failure> {
        check_url(&url)?;
        let mut builder = reqwest::Client::builder().redirect(Policy::none()).timeout(TIMEOUT);
        if is_loopback(&url) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| Failure::input(format!("cannot send: {error}")))?;
        Ok(Self { client, url })
    }

    pub(crate) async fn send(&self, method: Method, headers: HeaderMap, body: Bytes) -> Sent {
        let started = Instant::now();
        let mut request = Request::new(method, self.url.clone());
        *request.headers_mut() = headers;
        *request.body_mut() = Some(body.into());
        let (answer, excerpt) = match self.exchange(request).await {
            Ok((status, excerpt)) => (Answer::Status(status), excerpt),
            Err(error) if error.is_timeout() => {
                (Answer::None(format!("no answer within {} s", TIMEOUT.as_secs())), String::new())
            }
            Err(error) => (Answer::None(innermost(&error)), String::new()),
        };
        Sent { answer, excerpt, took: started.elapsed() }
    }

    async fn exchange(&self, request: Request) -> reqwest::Result<(StatusCode, String)> {
        let mut response = self.client.execute(request).await?;
        let mut excerpt = Vec::new();
        // To its end, so that the connection can be used again.
        while let Some(chunk) = response.chunk().await? {
            let room = EXCERPT_BYTES.saturating_sub(excerpt.len());
            excerpt.extend_from_slice(&chunk[..chunk.len().min(room)]);
        }
        Ok((response.status(), String::from_utf8_lossy(&excerpt).into_owned()))
    }
}

/// What went wrong at the bottom: the texts above it say where.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// A request that was sent.
pub(crate) struct Sent {
    pub(crate) answer: Answer,
    /// The beginning of the answer's body: text of strangers.
    pub(crate) excerpt: String,
    pub(crate) took: Duration,
}

/// The status, or why there was none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Answer {
    Status(StatusCode),
    None(String),
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        match self {
            Self::Status(status) => status.to_string(),
            Self::None(why) => format!("none: {}", visible(why)),
        }
    }

    /// The member of a JSON object that says it.
    pub(crate) fn member(&self) -> (&'static str, Value) {
        match self {
            Self::Status(status) => ("status", status.as_u16().into()),
            Self::None(why) => ("error", why.as_str().into()),
        }
    }

    pub(crate) fn exit(&self, is_expected: impl Fn(StatusCode) -> bool) -> Exit {
        match self {
            Self::Status(status) if is_expected(*status) => Exit::Done,
            Self::Status(_) => Exit::Answered,
            Self::None(_) => Exit::Unreachable,
        }
    }
}

/// How a command ends that sent several requests: what got no answer outweighs what got another one.
pub(crate) fn worst(exits: impl IntoIterator<Item = Exit>) -> Exit {
    exits.into_iter().max_by_key(|exit| exit.code()).unwrap_or(Exit::Done)
}

/// Latencies by answer, best answer first.
#[derive(Default)]
pub(crate) struct Answers(BTreeMap<Answer, Vec<Duration>>);

impl Answers {
    pub(crate) fn add(&mut self, sent: Sent) {
        self.0.entry(sent.answer).or_default().push(sent.took);
    }

    pub(crate) fn exit(&self, is_expected: impl Fn(StatusCode) -> bool) -> Exit {
        worst(self.0.keys().map(|answer| answer.exit(&is_expected)))
    }

    pub(crate) fn requests(&self) -> usize {
        self.0.values().map(Vec::len).sum()
    }

    fn rows(&mut self) -> impl Iterator<Item = (&Answer, usize, [f64; 3])> {
        self.0.iter_mut().map(|(answer, latencies)| {
            latencies.sort_unstable();
            let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
            (answer, latencies.len(), [at(50), at(99), at(100)])
        })
    }

    pub(crate) fn json(&mut self) -> Value {
        let rows = self.rows().map(|(answer, requests, [median, p99, max])| {
            let (name, value) = answer.member();
            json!({ name: value, "requests": requests, "median_ms": median, "p99_ms": p99, "max_ms": max })
        });
        rows.collect()
    }

    pub(crate) fn table(&mut self) -> String {
        let rows = self.rows().map(|(answer, requests, millis)| {
            let millis = millis.map(|millis| format!("{millis:.1}"));
            [vec![answer.text(), requests.to_string()], millis.to_vec()].concat()
        });
        table(&["answer", "requests", "median ms", "p99 ms", "max ms"], rows)
    }
}

/// On standard error, where that is a terminal and there is much to send.
pub(crate) fn progress_bar(total: u64) -> ProgressBar {
    if total < MANY {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} {eta}");
    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        for text in
            ["http://127.0.0.1:3000/x", "https://shop.example", "http://[::1]:1/", "http://localhost/"]
        {
            assert!(http_url(text).is_ok(), "{text}");
        }
        for text in ["", "shop.example", "ftp://shop.example", "http://", "/x"] {
            assert!(http_url(text).is_err(), "{text}");
        }
        for text in ["https://user:pw@shop.example", "https://user@shop.example"] {
            assert!(check_url(&http_url(text).unwrap()).is_err(), "{text}");
        }
    }

    #[test]
    fn loopback_is_this_machine() {
        let is_loopback = |text: &str| is_loopback(&http_url(text).unwrap());
        for text in ["http://127.0.0.1:3000/x", "http://[::1]:1/", "http://localhost/", "http://127.9.9.9/"] {
            assert!(is_loopback(text), "{text}");
        }
        for text in
            ["http://localhost.example/", "http://10.0.0.1/", "http://127.0.0.1.example/", "http://[::2]/"]
        {
            assert!(!is_loopback(text), "{text}");
        }
    }

    #[test]
    fn what_is_private_is_encrypted_or_stays_here() {
        for text in
            ["https://shop.example/", "https://10.0.0.1/", "http://127.0.0.1:3000/", "http://localhost/"]
        {
            assert!(is_private(&http_url(text).unwrap()), "{text}");
        }
        for text in
            ["http://shop.example/", "http://10.0.0.1/", "http://localhost.example/", "http://0.0.0.0/"]
        {
            assert!(!is_private(&http_url(text).unwrap()), "{text}");
        }
    }

    #[test]
    fn no_answer_is_worse_than_another() {
        assert_eq!(worst([]), Exit::Done);
        assert_eq!(worst([Exit::Done, Exit::Answered]), Exit::Answered);
        assert_eq!(worst([Exit::Unreachable, Exit::Answered, Exit::Done]), Exit::Unreachable);
    }
}
