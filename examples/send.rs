//! Signs events as a provider does and sends them to a receiver.
//!
//!     cargo run --example send -- http://127.0.0.1:3000/webhooks/caspay --provider caspay
//!     cargo run --example send -- --help
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod common;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use clap::{CommandFactory as _, Parser, ValueEnum, error::ErrorKind};
use futures_util::StreamExt as _;
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::value::RawValue;
use tower_webhook::Secret;
use tower_webhook::testing::{SampleEvent, SignedRequest, verifying_secret};

use self::common::Platform;

/// Sends signed webhooks to a receiver and shows how it answers.
///
/// The signing secret is read from <NAME>_WEBHOOK_SECRET, such as STRIPE_WEBHOOK_SECRET; where that is not set, it is
/// the public development secret of the `receiver` example. Providers that sign with Ed25519 have a public key there,
/// which signs nothing: their seed is read from <NAME>_SIGNING_SEED.
///
/// Providers that sign the endpoint's URL take <NAME>_PUBLIC_URL for it, or else the URL that is sent to.
///
/// The exit status is 0 if every request was answered as it should be: 2xx, or 401 with --tamper.
#[derive(Parser)]
#[command(name = "send", max_term_width = 100)]
struct Args {
    /// Where to send to, such as http://127.0.0.1:3000/webhooks/caspay. No TLS
    #[arg(value_parser = http_url)]
    url: Uri,

    /// Whose webhooks to send: the name of a preset, such as stripe
    #[arg(long)]
    provider: String,

    /// Event type [default: payment.completed for caspay, invoice.paid for casapay, else example]
    #[arg(long = "type", value_name = "TYPE")]
    event_type: Option<String>,

    /// File with the payload, a JSON value: what goes where the provider has the payload, under `data` for instance
    /// [default: a sample for the type]
    #[arg(long, value_name = "FILE")]
    data: Option<PathBuf>,

    /// Event id, for all events [default: a new one for each]
    #[arg(long)]
    id: Option<String>,

    /// How many events
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,

    /// How many requests at a time
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=4096))]
    concurrency: u16,

    /// Send every event again once it has been answered
    #[arg(long)]
    duplicate: bool,

    /// Break every request
    #[arg(long, value_name = "WHAT")]
    tamper: Option<Tamper>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Tamper {
    /// Change a digit of the signature
    Signature,
    /// Add a space to the body after signing
    Body,
    /// Sign an hour ago (not for caspay and others that sign no timestamp)
    Timestamp,
    /// Leave the signature out
    Missing,
}

/// More than any receiver lets a sender wait.
const TIMEOUT: Duration = Duration::from_secs(30);

/// From here on a progress bar is shown, if there is a terminal.
const MANY: u64 = 100;

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    match run(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<bool, Box<dyn Error>> {
    let source = Source::new(&args)?;
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let times = if args.duplicate { 2 } else { 1 };
    let total = u64::from(args.count) * times;
    let bar = if total >= MANY { progress_bar(total)? } else { ProgressBar::hidden() };

    let started = Instant::now();
    let mut answers = Answers::default();
    let mut events = futures_util::stream::iter(0..args.count)
        .map(|number| {
            let (client, source, bar) = (&client, &source, &bar);
            async move {
                let mut sent = Vec::new();
                let event = match source.event(number) {
                    Ok(event) => event,
                    Err(error) => return vec![(Err(error.to_string()), Duration::ZERO)],
                };
                for _ in 0..times {
                    sent.push(send(client, source.request(&event)).await);
                    bar.inc(1);
                }
                sent
            }
        })
        .buffer_unordered(args.concurrency.into());
    while let Some(sent) = events.next().await {
        answers.extend(sent);
    }
    bar.finish_and_clear();
    answers.print(started.elapsed());

    let expected = |answer: &Answer| match answer {
        Ok(status) if args.tamper.is_some() => *status == StatusCode::UNAUTHORIZED,
        Ok(status) => status.is_success(),
        Err(_) => false,
    };
    Ok(answers.0.keys().all(expected))
}

/// Makes requests as the arguments say.
struct Source {
    platform: Platform,
    secret: Secret,
    url: Uri,
    event_type: String,
    payload: Box<RawValue>,
    id: Option<String>,
    /// Tells the events of this run from those of any other.
    run: u128,
    tamper: Option<Tamper>,
}

impl Source {
    fn new(args: &Args) -> Result<Self, Box<dyn Error>> {
        let platform = Platform::new(&args.provider, &args.url.to_string())?;
        if args.tamper == Some(Tamper::Timestamp) && !platform.provider.signs_timestamp() {
            let why = format!("--tamper timestamp: {} signs no timestamp", platform.name());
            Args::command().error(ErrorKind::ArgumentConflict, why).exit();
        }
        let event_type = args.event_type.clone().unwrap_or_else(|| platform.default_type().to_owned());
        let payload = match &args.data {
            Some(path) => {
                let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
                serde_json::from_str(&text).map_err(|e| format!("{} is not JSON: {e}", path.display()))?
            }
            None => RawValue::from_string(platform.payload(&event_type))?,
        };
        let development = platform.development_secret()?;
        // A key pair has another secret for whoever signs.
        let is_pair = verifying_secret(&platform.provider, &development)?.expose() != development.expose();
        let variable = platform.variable(if is_pair { "SIGNING_SEED" } else { "WEBHOOK_SECRET" });
        let secret = match std::env::var(&variable) {
            Ok(text) => Secret::new(text).map_err(|error| format!("{variable}: {error}"))?,
            Err(std::env::VarError::NotPresent) => development,
            Err(error) => return Err(format!("{variable}: {error}").into()),
        };
        verifying_secret(&platform.provider, &secret)
            .and_then(|verifying| platform.provider.verifier(verifying))
            .map_err(|error| format!("{variable}: {error}"))?;
        let run = SystemTime::now().duration_since(UNIX_EPOCH)?.as_nanos();
        let (url, id, tamper) = (args.url.clone(), args.id.clone(), args.tamper);
        let source = Self { platform, secret, url, event_type, payload, id, run, tamper };
        // What cannot stand in an event is found before anything is sent.
        source.event(0).map_err(|error| error.to_string())?;
        Ok(source)
    }

    fn event(&self, number: u32) -> Result<SampleEvent, tower_webhook::BoxError> {
        let id = self.id.clone().unwrap_or_else(|| format!("evt_{:x}_{number}", self.run));
        self.platform.event(&id, &self.event_type, self.payload.get())
    }

    /// Signed when it is sent, as a provider does for every attempt.
    fn request(&self, event: &SampleEvent) -> Request<Full<Bytes>> {
        let mut request = SignedRequest::new(&self.platform.provider, &self.secret, event.body().to_owned())
            .with_headers(event.headers())
            .with_uri(self.url.to_string());
        if self.tamper == Some(Tamper::Timestamp) {
            request = request.at_unix(common::unix_now() - 3600);
        }
        let (mut parts, body) = request.build().into_parts();
        let (name, mut body) = (self.platform.provider.signature_header(), body.into_bytes().to_vec());
        match self.tamper {
            Some(Tamper::Signature) => {
                if let Some(signature) = parts.headers.get_mut(name) {
                    *signature = with_other_last_digit(signature);
                }
            }
            Some(Tamper::Body) => body.push(b' '),
            Some(Tamper::Missing) => drop(parts.headers.remove(name)),
            Some(Tamper::Timestamp) | None => {}
        }
        Request::from_parts(parts, body.into())
    }
}

fn with_other_last_digit(signature: &HeaderValue) -> HeaderValue {
    let (last, digits) = signature.as_bytes().split_last().unwrap_or((&b'0', b""));
    let other = if *last == b'0' { b"1" } else { b"0" };
    HeaderValue::from_bytes(&[digits, other].concat()).unwrap_or(HeaderValue::from_static("0"))
}

/// The status, or why there was none.
type Answer = Result<StatusCode, String>;

async fn send(
    client: &Client<HttpConnector, Full<Bytes>>,
    request: Request<Full<Bytes>>,
) -> (Answer, Duration) {
    let started = Instant::now();
    let answer = tokio::time::timeout(TIMEOUT, async {
        let response = client.request(request).await.map_err(|error| innermost(&error))?;
        let status = response.status();
        // To its end, so that the connection can be used again.
        response.into_body().collect().await.map_err(|error| innermost(&error))?;
        Ok(status)
    });
    let answer = answer.await.unwrap_or_else(|_| Err(format!("no answer within {TIMEOUT:?}")));
    (answer, started.elapsed())
}

/// What went wrong at the bottom: hyper's own texts say where.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// Latencies by answer, best answer first.
#[derive(Default)]
struct Answers(BTreeMap<Answer, Vec<Duration>>);

impl Answers {
    fn extend(&mut self, sent: Vec<(Answer, Duration)>) {
        for (answer, latency) in sent {
            self.0.entry(answer).or_default().push(latency);
        }
    }

    fn print(&mut self, elapsed: Duration) {
        println!("{:<32} {:>8} {:>10} {:>10} {:>10}", "answer", "requests", "median ms", "p99 ms", "max ms");
        for (answer, latencies) in &mut self.0 {
            latencies.sort_unstable();
            let at = |percent: usize| latencies[(latencies.len() - 1) * percent / 100].as_secs_f64() * 1e3;
            let answer = match answer {
                Ok(status) => status.to_string(),
                Err(why) => format!("none: {why}"),
            };
            let (median, p99, max) = (at(50), at(99), at(100));
            println!("{answer:<32} {:>8} {median:>10.1} {p99:>10.1} {max:>10.1}", latencies.len());
        }
        let requests: usize = self.0.values().map(Vec::len).sum();
        let noun = if requests == 1 { "request" } else { "requests" };
        println!("{requests} {noun} in {:.2} s", elapsed.as_secs_f64());
    }
}

fn progress_bar(total: u64) -> Result<ProgressBar, Box<dyn Error>> {
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {per_sec} {eta}")?;
    Ok(ProgressBar::new(total).with_style(style))
}

fn http_url(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (url.scheme_str(), url.host()) {
        (Some("http"), Some(_)) => Ok(url),
        _ => Err("expected http://host[:port]/path".to_owned()),
    }
}
