//! `verify`: whether a captured request verifies, and if not, why.

use std::time::{Duration, SystemTime};

use http::{Method, Request};
use serde_json::json;
use tower_webhook::testing::{Cause, Diagnosis, delivery_with_headers, diagnose, diagnose_labelled};
use tower_webhook::{ConfigError, Secret};

use crate::args::Verify;
use crate::capture::{self, Captured};
use crate::exit::{Exit, Failure};
use crate::output::{Output, visible};
use crate::platform::Platform;
use crate::secret::{Found, Purpose};

/// From here on a number is a time in milliseconds: 1973, and in seconds the year 5138.
const MIN_MILLIS: u64 = 100_000_000_000;

pub(crate) fn run(args: &Verify, output: &Output) -> Result<Exit, Failure> {
    let platform = Platform::new(&args.provider, None)?;
    let at = match args.at {
        None => SystemTime::now(),
        Some(seconds) if seconds >= MIN_MILLIS => {
            return Err(Failure::usage(
                "--at takes seconds, and this looks like milliseconds: leave out the last three digits",
            ));
        }
        Some(seconds) => SystemTime::UNIX_EPOCH
            .checked_add(Duration::from_secs(seconds))
            .ok_or_else(|| Failure::usage("--at: no time that this machine can tell"))?,
    };
    let Captured { method, target, headers, body, .. } = captured(args, output)?;
    if let Some(failure) = platform.lacks_url() {
        return Err(failure);
    }
    let mut secret = args.secret.find(&platform, Purpose::Verifying, output)?;
    let key_id = platform.key_id()?;
    let mut request = Request::new(&body[..]);
    *request.method_mut() = method.unwrap_or(Method::POST);
    // What is no URI is nothing that could have been signed.
    *request.uri_mut() = target.and_then(|target| target.parse().ok()).unwrap_or_default();
    *request.headers_mut() = headers;
    let diagnosed = |secret: &Found| match &key_id {
        Some(id) => diagnose_labelled(&platform.provider, &secret.text, id, &request, at),
        None => diagnose(&platform.provider, &secret.text, &request, at),
    };
    let mut diagnosis = diagnosed(&secret);
    let mut is_previous = false;
    // Receivers accept it, too. Where neither verifies, the present one is what to talk about.
    if !is_right(&diagnosis)
        && let Some(previous) = args.secret.previous(&platform)?
    {
        let other = diagnosed(&previous);
        if is_right(&other) {
            (diagnosis, secret, is_previous) = (other, previous, true);
        }
    }

    let is_late = matches!(diagnosis.cause(), Cause::Stale | Cause::Clock) && args.at.is_none();
    let advice = if is_late {
        format!("{} For a request that arrived earlier, give --at SECONDS.", diagnosis.advice())
    } else {
        diagnosis.advice().to_owned()
    };
    let mut event = None;
    if diagnosis.is_verified() && !diagnosis.is_handshake() {
        event = Some(delivery_with_headers(&platform.provider, request.headers().clone(), body.clone()));
    }
    if diagnosis.is_verified()
        && let Err(error @ ConfigError::ShortSecret { .. }) = Secret::new(secret.text.as_str())
    {
        output.warning(&format!("a receiver refuses the secret: {error}"));
    }
    output.result(
        || {
            let event = event.as_ref().map(|event| match event {
                Ok(event) => json!({ "id": event.id(), "type": event.event_type() }),
                Err(error) => json!({ "unreadable": error.to_string() }),
            });
            json!({
                "provider": platform.name(),
                "secret": if is_previous { "previous" } else { "current" },
                "verified": diagnosis.is_verified(),
                "cause": diagnosis.cause().as_str(),
                "proven": diagnosis.is_proven(),
                "explanation": diagnosis.explanation(),
                "advice": advice,
                "signed_at": diagnosis.signed_at(),
                "presets": diagnosis.presets().collect::<Vec<_>>(),
                "event": event,
                "handshake": diagnosis.is_handshake(),
            })
        },
        || {
            let verdict = if diagnosis.is_verified() { "verified" } else { "refused" };
            let likely = if diagnosis.is_proven() { "" } else { " (likely)" };
            let mut text =
                format!("{verdict}: {}{likely}\n{}\n", diagnosis.cause().as_str(), diagnosis.explanation());
            if is_previous {
                text.push_str(&format!("The secret is that of {}.\n", secret.source));
            }
            if !advice.is_empty() {
                text.push_str(&format!("{advice}\n"));
            }
            match &event {
                Some(Ok(event)) => {
                    text.push_str(&format!(
                        "event: {} {}\n",
                        visible(event.event_type()),
                        visible(event.id())
                    ));
                }
                Some(Err(error)) => {
                    text.push_str(&format!("but it cannot be read: {}\n", visible(&error.to_string())))
                }
                None if diagnosis.is_handshake() => {
                    text.push_str("It is a handshake, which a receiver answers without a handler.\n");
                }
                None => {}
            }
            text
        },
    )?;
    Ok(match diagnosis.cause() {
        Cause::Verified if matches!(event, Some(Err(_))) => Exit::Unreadable,
        Cause::Verified => Exit::Done,
        _ => Exit::Refused,
    })
}

/// Whether the signature is made by this secret, whatever else is wrong.
fn is_right(diagnosis: &Diagnosis) -> bool {
    matches!(
        diagnosis.cause(),
        Cause::Verified | Cause::Stale | Cause::Clock | Cause::EncodedBody | Cause::BodyTooLarge
    )
}

fn captured(args: &Verify, output: &Output) -> Result<Captured, Failure> {
    match (&args.request, &args.headers, &args.body) {
        (Some(request), ..) => {
            let captured = capture::request(&capture::read(request, output)?)?;
            if captured.is_stored {
                return Err(Failure::usage(
                    "this is a stored delivery, which keeps no signature: it was verified when it came",
                ));
            }
            Ok(captured)
        }
        (None, Some(headers), Some(body)) => {
            if capture::is_stdin(headers) && capture::is_stdin(body) {
                return Err(Failure::usage("headers and body cannot both come from standard input"));
            }
            let head = capture::headers(&capture::read(headers, output)?)?;
            Ok(head.with_body(capture::read(body, output)?))
        }
        _ => Err(Failure::usage("expected --request FILE, or --headers FILE and --body FILE")),
    }
}
