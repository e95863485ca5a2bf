//! `replay`: captured requests, sent once more in their order.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::json;
use tower_webhook::Secret;
use tower_webhook::provider::Preset;
use tower_webhook::testing::SignedRequest;

use crate::args::Replay;
use crate::capture::{self, Captured};
use crate::client::{Client, Sent, is_loopback, is_private, progress_bar, worst};
use crate::exit::{Exit, Failure};
use crate::output::{Output, table, visible};
use crate::platform::Platform;
use crate::secret::Purpose;

pub(crate) async fn run(args: &Replay, output: &Output) -> Result<Exit, Failure> {
    check_transport(args)?;
    let requests = capture::requests(&capture::read(&args.file, output)?)?;
    let signing = match args.provider {
        Some(preset) if args.resign => Some(Signing::new(preset, args, output)?),
        _ if args.secret.is_given() => {
            return Err(Failure::usage(
                "a secret is of use with --resign alone: the captured signatures are sent",
            ));
        }
        _ => None,
    };
    if signing.is_none()
        && let Some(index) = requests.iter().position(|request| request.is_stored)
    {
        return Err(Failure::usage(format!(
            "request {} is a stored delivery, which keeps no signature: give --resign and --provider",
            index + 1
        )));
    }
    let is_other = |request: &Captured| request.method.as_ref().is_some_and(|method| *method != Method::POST);
    if signing.is_some()
        && let Some(index) = requests.iter().position(is_other)
    {
        return Err(Failure::usage(format!(
            "request {} is no POST, which is all that providers sign: leave out --resign, or the request",
            index + 1
        )));
    }
    let client = Client::new(args.to.clone())?;
    let bar = progress_bar(requests.len() as u64);
    let mut exits = Vec::new();
    let mut rows = Vec::new();
    for (index, request) in requests.iter().enumerate() {
        let (headers, body) = match &signing {
            Some(signing) => signing.sign(request),
            None => (capture::end_to_end(&request.headers), request.body.clone()),
        };
        // Lines of JSON say none.
        let method = request.method.clone().unwrap_or(Method::POST);
        let sent = client.send(method, headers, body).await;
        bar.inc(1);
        let exit = sent.answer.exit(|status| status.is_success());
        exits.push(exit);
        if output.is_json() {
            bar.suspend(|| output.text(&line(index, &sent)))?;
        } else {
            rows.push(row(index, &sent, exit));
        }
        if args.stop && exit != Exit::Done {
            break;
        }
    }
    bar.finish_and_clear();
    if !output.is_json() {
        let sent = rows.len();
        let table = table(&["request", "answer", "ms", "body of the answer"], rows);
        output.text(&format!("{table}\n{sent} of {} requests sent", requests.len()))?;
    }
    Ok(worst(exits))
}

/// Refuses to send where others can read it what was captured: which of the headers is a token, or whose data a body
/// holds, is not known here.
fn check_transport(args: &Replay) -> Result<(), Failure> {
    if args.allow_http || is_private(&args.to) {
        return Ok(());
    }
    Err(Failure::usage(
        "captured requests may hold tokens and customers' data, which everybody on the way can read over http: https, \
         this machine, or --allow-http where the way is yours",
    ))
}

/// A line for each answer, so that whoever reads them need not wait for the last.
fn line(index: usize, sent: &Sent) -> String {
    let (name, value) = sent.answer.member();
    json!({ "request": index + 1, name: value, "ms": sent.took.as_secs_f64() * 1e3, "excerpt": sent.excerpt })
        .to_string()
}

fn row(index: usize, sent: &Sent, exit: Exit) -> Vec<String> {
    let millis = format!("{:.1}", sent.took.as_secs_f64() * 1e3);
    let excerpt = if exit == Exit::Done { String::new() } else { visible(&sent.excerpt) };
    vec![(index + 1).to_string(), sent.answer.text(), millis, excerpt]
}

/// Signs as the provider does, now.
struct Signing {
    platform: Platform,
    secret: Secret,
    /// What the provider calls the secret; else what the capture says.
    key_id: Option<String>,
}

impl Signing {
    fn new(preset: Preset, args: &Replay, output: &Output) -> Result<Self, Failure> {
        let platform = Platform::of(preset, args.public_url.as_deref(), Some(args.to.as_str()))?;
        let purpose = if is_loopback(&args.to) { Purpose::SigningForLoopback } else { Purpose::Signing };
        let secret = args.secret.signing(&platform, purpose, output)?;
        if platform.has_timestamp_in_body(&secret) {
            output.warning(&format!(
                "{} has its timestamp in the body, which is sent as it was captured: once it is too old, a receiver \
                 refuses it",
                platform.name()
            ));
        }
        let key_id = platform.key_id()?;
        Ok(Self { platform, secret, key_id })
    }

    fn sign(&self, request: &Captured) -> (HeaderMap, Bytes) {
        let kept = capture::end_to_end(&request.headers);
        let mut request =
            SignedRequest::anew(&self.platform.provider, &self.secret, &kept, request.body.clone());
        if let Some(id) = &self.key_id {
            request = request.with_key_id(id);
        }
        let (parts, body) = request.build().into_parts();
        (parts.headers, body.into_bytes())
    }
}
