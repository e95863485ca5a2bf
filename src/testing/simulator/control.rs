//! The handle as JSON over HTTP, for a simulator that runs as a process of its own. The table is in the module's docs.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answer::Answer;
use super::behaviour::Behaviour;
use super::faults::Fault;
use super::handle;
use super::platform::{Operation, Platform};
use super::request::{ApiRequest, bad_request, number};
use super::schedule::Schedule;
use super::sender::emit;
use super::shared::Shared;

/// How long a request waits at most until everything is settled.
const LONGEST_POLL: u64 = 60_000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Emit {
    platform: Platform,
    #[serde(rename = "type")]
    event_type: String,
    payload: Value,
    #[serde(default)]
    test: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Behave {
    platform: Platform,
    behaviour: Behaviour,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Follow {
    platform: Platform,
    /// A name of [`Schedule::NAMES`]; the platform's own for `default`.
    schedule: String,
    answer_timeout_ms: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Break {
    platform: Platform,
    operation: Option<Operation>,
    #[serde(default = "once")]
    times: u32,
    fault: FaultText,
}

fn once() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum FaultText {
    Status { status: u16, retry_after: Option<u64> },
    Redirect(String),
    SlowMs(u64),
    MalformedJson,
    Truncated,
    LostAnswer,
    WithoutSecret,
    HugeBody(usize),
}

impl From<FaultText> for Fault {
    fn from(text: FaultText) -> Self {
        match text {
            FaultText::Status { status, retry_after } => Self::Status { status, retry_after },
            FaultText::Redirect(location) => Self::Redirect(location),
            FaultText::SlowMs(time) => Self::Slow(Duration::from_millis(time)),
            FaultText::MalformedJson => Self::MalformedJson,
            FaultText::Truncated => Self::Truncated,
            FaultText::LostAnswer => Self::LostAnswer,
            FaultText::WithoutSecret => Self::WithoutSecret,
            FaultText::HugeBody(blanks) => Self::HugeBody(blanks),
        }
    }
}

pub(super) async fn handle(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    let answered = match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/emit") => read(request).map(|Emit { platform, event_type, payload, test }| {
            let emitted = emit(shared, platform, &event_type, payload, !test);
            serde_json::to_value(emitted).unwrap_or_default()
        }),
        ("POST", "/behaviour") => read(request).map(|Behave { platform, behaviour }| {
            handle::set_behaviour(shared, platform, behaviour);
            json!({})
        }),
        ("POST", "/schedule") => read(request).and_then(|follow| set_schedule(shared, &follow)),
        ("POST", "/faults") => read(request).map(|Break { platform, operation, times, fault }| {
            shared.lock().faults.add(platform, operation, times, fault.into());
            json!({})
        }),
        ("DELETE", "/faults") => {
            shared.lock().faults.clear();
            Ok(json!({}))
        }
        ("GET", "/calls") => since(request).map(|after| {
            let mut calls = shared.lock().log.calls();
            calls.retain(|call| call.sequence > after);
            json!({"calls": calls})
        }),
        ("GET", "/attempts") => since(request).map(|after| {
            let mut attempts = shared.lock().log.attempts();
            attempts.retain(|attempt| attempt.sequence > after);
            json!({"attempts": attempts})
        }),
        ("GET", "/pending") => Ok(json!({"pending": *shared.pending().borrow()})),
        ("GET", "/settled") => settled(shared, request).await,
        (_, "/emit" | "/behaviour" | "/schedule") => Err(Answer::not_allowed("POST")),
        (_, "/faults") => Err(Answer::not_allowed("POST, DELETE")),
        (_, "/calls" | "/attempts" | "/pending" | "/settled") => Err(Answer::not_allowed("GET")),
        _ => Err(Answer::not_found()),
    };
    answered.map_or_else(|refused| refused, |body| Answer::json(StatusCode::OK, body))
}

/// The body. Its errors name what was expected, and may repeat what was sent: there are no secrets here.
fn read<T: DeserializeOwned>(request: &ApiRequest) -> Result<T, Answer> {
    serde_json::from_slice(&request.body).map_err(|error| bad_request(&error.to_string()))
}

fn since(request: &ApiRequest) -> Result<u64, Answer> {
    let pairs = request.parameters(&["after"])?;
    Ok(number(&pairs, "after", 0..=u64::MAX)?.unwrap_or(0))
}

fn set_schedule(shared: &Shared, follow: &Follow) -> Result<Value, Answer> {
    let mut schedule = match follow.schedule.as_str() {
        "default" => Schedule::of(follow.platform),
        name => Schedule::named(name).ok_or_else(|| bad_request("there is no schedule of that name"))?,
    };
    if let Some(timeout) = follow.answer_timeout_ms {
        schedule = schedule.with_answer_timeout(Duration::from_millis(timeout));
    }
    handle::set_schedule(shared, follow.platform, schedule);
    Ok(json!({}))
}

async fn settled(shared: &Arc<Shared>, request: &ApiRequest) -> Result<Value, Answer> {
    let pairs = request.parameters(&["timeout_ms"])?;
    let time = number(&pairs, "timeout_ms", 0..=LONGEST_POLL)?.unwrap_or(30_000);
    let settled = tokio::time::timeout(Duration::from_millis(time), handle::settled(shared)).await;
    Ok(json!({"settled": settled.is_ok(), "pending": *shared.pending().borrow()}))
}
