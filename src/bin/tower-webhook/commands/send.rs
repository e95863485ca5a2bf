//! `send`: events of a provider, many at a time, whole or broken.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use serde_json::json;
use serde_json::value::RawValue;
use tower_webhook::testing::{SampleEvent, SignedRequest, sample_payload, sample_type};
use tower_webhook::{BoxError, Secret};

use crate::args::{Send, Tamper};
use crate::client::{Answer, Answers, Client, Sent, is_loopback, progress_bar};
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::platform::Platform;
use crate::secret::{Purpose, shown};

pub(crate) async fn run(args: &Send, output: &Output) -> Result<Exit, Failure> {
    let client = Client::new(args.url.clone())?;
    let source = Source::new(args, output)?;
    let times = if args.duplicate { 2 } else { 1 };
    let bar = progress_bar(u64::from(args.count) * times);

    let started = Instant::now();
    let mut answers = Answers::default();
    let mut events = futures_util::stream::iter(0..args.count)
        .map(|number| {
            let (client, source, bar) = (&client, &source, &bar);
            async move {
                let mut sent = Vec::new();
                let event = match source.event(number) {
                    Ok(event) => event,
                    Err(error) => return vec![unsent(&error)],
                };
                for _ in 0..times {
                    let (headers, body) = source.request(&event);
                    sent.push(client.send(Method::POST, headers, body).await);
                    bar.inc(1);
                }
                sent
            }
        })
        .buffer_unordered(args.concurrency.into());
    while let Some(sent) = events.next().await {
        sent.into_iter().for_each(|sent| answers.add(sent));
    }
    bar.finish_and_clear();
    let seconds = started.elapsed().as_secs_f64();

    let is_expected = |status: StatusCode| match args.tamper {
        Some(_) => status == StatusCode::UNAUTHORIZED,
        None => status.is_success(),
    };
    let exit = answers.exit(is_expected);
    let requests = answers.requests();
    if output.is_json() {
        let (rows, expected) = (answers.json(), exit == Exit::Done);
        let summary =
            json!({ "requests": requests, "seconds": seconds, "answers": rows, "as_expected": expected });
        output.text(&summary.to_string())?;
    } else {
        let noun = if requests == 1 { "request" } else { "requests" };
        output.text(&format!("{}\n{requests} {noun} in {seconds:.2} s", answers.table()))?;
    }
    Ok(exit)
}

fn unsent(error: &BoxError) -> Sent {
    let answer = Answer::None(format!("not sent: {error}"));
    Sent { answer, excerpt: String::new(), took: std::time::Duration::ZERO }
}

/// Makes requests as the arguments say.
struct Source {
    platform: Platform,
    secret: Secret,
    event_type: String,
    payload: Box<RawValue>,
    id: Option<String>,
    /// Tells the events of this run from those of any other.
    run: u128,
    tamper: Option<Tamper>,
    /// What the provider calls the secret.
    key_id: Option<String>,
}

impl Source {
    fn new(args: &Send, output: &Output) -> Result<Self, Failure> {
        let platform = Platform::new(&args.provider, Some(args.url.as_str()))?;
        if args.tamper == Some(Tamper::Timestamp) && !platform.provider.signs_timestamp() {
            return Err(Failure::usage(format!(
                "--tamper timestamp: {} signs no timestamp",
                platform.name()
            )));
        }
        platform.check_transport(&args.url)?;
        let event_type = args.event_type.as_deref().unwrap_or_else(|| sample_type(&platform.provider));
        let payload = match &args.data {
            Some(path) => {
                let text = crate::capture::read(path, output)?;
                // Errors of the parser quote the text, which is nobody's business: the place is enough.
                serde_json::from_slice(&text).map_err(|error| {
                    let (line, column) = (error.line(), error.column());
                    Failure::input(format!("{} is no JSON at line {line}, column {column}", shown(path)))
                })?
            }
            None => RawValue::from_string(sample_payload(&platform.provider, event_type))
                .map_err(|error| Failure::usage(format!("--type: {error}")))?,
        };
        let purpose = if is_loopback(&args.url) { Purpose::SigningForLoopback } else { Purpose::Signing };
        let secret = args.secret.signing(&platform, purpose, output)?;
        let unsigned = match args.tamper {
            Some(Tamper::Timestamp) if platform.has_timestamp_in_body(&secret) => {
                Some("timestamp: that of {} is in the body")
            }
            Some(Tamper::Body) if !platform.signs_body(&secret) => Some("body: {} does not sign it"),
            _ => None,
        };
        if let Some(why) = unsigned {
            // It would be taken, rightly.
            return Err(Failure::usage(format!("--tamper {}", why.replace("{}", platform.name()))));
        }
        let run = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let (event_type, id, tamper) = (event_type.to_owned(), args.id.clone(), args.tamper);
        let key_id = platform.key_id()?;
        let source = Self { platform, secret, event_type, payload, id, run, tamper, key_id };
        // What cannot stand in an event is found before anything is sent.
        source.event(0).map_err(|error| Failure::usage(format!("no such event: {error}")))?;
        Ok(source)
    }

    fn event(&self, number: u32) -> Result<SampleEvent, BoxError> {
        let id = self.id.clone().unwrap_or_else(|| format!("evt_{:x}_{number}", self.run));
        SampleEvent::new(&self.platform.provider, &id, &self.event_type, self.payload.get())
    }

    /// Signed when it is sent, as a provider does for every attempt.
    fn request(&self, event: &SampleEvent) -> (HeaderMap, Bytes) {
        let provider = &self.platform.provider;
        let mut request =
            SignedRequest::new(provider, &self.secret, event.body().to_owned()).with_headers(event.headers());
        if let Some(id) = &self.key_id {
            request = request.with_key_id(id);
        }
        if self.tamper == Some(Tamper::Timestamp) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            request = request.at_unix(now.as_secs().saturating_sub(3_600));
        }
        let (parts, body) = request.build().into_parts();
        let (mut headers, mut body) = (parts.headers, body.into_bytes());
        let name = provider.signature_header();
        match self.tamper {
            Some(Tamper::Signature) => {
                if let Some(signature) = headers.get_mut(name) {
                    *signature = with_other_last_digit(signature);
                }
            }
            Some(Tamper::Body) => body = [&body[..], b" "].concat().into(),
            Some(Tamper::Missing) => drop(headers.remove(name)),
            Some(Tamper::Timestamp) | None => {}
        }
        (headers, body)
    }
}

fn with_other_last_digit(signature: &HeaderValue) -> HeaderValue {
    let (last, digits) = signature.as_bytes().split_last().unwrap_or((&b'0', b""));
    let other = if *last == b'0' { b"1" } else { b"0" };
    HeaderValue::from_bytes(&[digits, other].concat()).unwrap_or(HeaderValue::from_static("0"))
}
