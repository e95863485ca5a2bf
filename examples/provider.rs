//! CasaPay, CasPay and Diddo on your own machine, to try a receiver against.
//!
//!     cargo run --example provider
//!     PROVIDER_API=http://127.0.0.1:4000 cargo run --example receiver    # in another terminal: it subscribes itself
//!
//! It prints the base URLs of the three endpoint APIs, their keys, and lines to paste that create an endpoint and send it
//! an event. From then on it prints a line for each call of an API and for each attempt at a delivery, and sends a sample
//! event every few seconds for something that is subscribed.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `ADDR` | address of loopback and port to listen on; port 0 takes a free one | `127.0.0.1:4000` |
//! | `EVERY_MS` | a sample event every so many milliseconds; 0 sends none | `5000` |
//! | `SPEED` | waiting times between attempts are divided by this | `60`: five minutes pass in five seconds |
//!
//! The keys are public and invented. So are Diddo's signature, CasPay's path and everything else that their documentation
//! leaves open: see `tower_webhook::testing::simulator`, which is what your own tests can run.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

#[path = "common/stop.rs"]
mod stop;

use std::env::{self, VarError};
use std::error::Error;
use std::fmt::Display;
use std::io::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use serde_json::{Value, json};
use tower_webhook::testing::simulator::{
    CASAPAY_LIVE_KEY, CASAPAY_TEST_KEY, CASPAY_AUTH_HEADER, CASPAY_CREATE_PATH, CASPAY_KEY,
    DIDDO_AUTH_HEADER, DIDDO_KEY, Platform, Record, Simulator,
};

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let address: SocketAddr = setting("ADDR", SocketAddr::from(([127, 0, 0, 1], 4000)))?;
    let every = Duration::from_millis(setting("EVERY_MS", 5_000)?);
    let stop = stop::stop_signal()?;
    let simulator = Simulator::builder()
        .bind(address)
        .with_speed(setting("SPEED", 60)?)
        .with_observer(print)
        .start()
        .await
        .map_err(|error| format!("{address}: {error}"))?;

    introduce(&simulator);
    tokio::select! {
        () = stop => {}
        () = send_samples(&simulator, every) => {}
    }
    println!("stopped; {} deliveries had not come to their end", simulator.pending());
    Ok(())
}

fn introduce(simulator: &Simulator) {
    let url = simulator.url();
    println!("listening on {url}");
    println!();
    println!("CasaPay  {}", simulator.casapay_url());
    println!("         authorization: Bearer {CASAPAY_TEST_KEY}");
    println!("         authorization: Bearer {CASAPAY_LIVE_KEY}");
    println!("Diddo    {}", simulator.diddo_url());
    println!("         {DIDDO_AUTH_HEADER}: {DIDDO_KEY}");
    println!("CasPay   {}", simulator.caspay_url());
    println!("         {CASPAY_AUTH_HEADER}: {CASPAY_KEY}");
    println!("         endpoints are created at {CASPAY_CREATE_PATH} below");
    println!();
    println!("Create an endpoint; the answer has the secret, once:");
    println!();
    println!(
        "curl -sS {}/v1/webhook_endpoints -H 'authorization: Bearer {CASAPAY_LIVE_KEY}' \\",
        simulator.casapay_url()
    );
    println!("    -H 'content-type: application/json' \\");
    println!(
        "    -d '{{\"url\":\"http://127.0.0.1:3000/webhooks/casapay\",\"enabled_events\":[\"invoice.paid\"]}}'"
    );
    println!();
    println!("Let an invoice be paid, and see what became of it:");
    println!();
    println!("curl -sS {url}/_control/emit \\");
    println!(
        "    -d '{{\"platform\":\"casapay\",\"type\":\"invoice.paid\",\"payload\":{{\"id\":\"in_1\",\"object\":\"invoice\"}}}}'"
    );
    println!("curl -sS {url}/_control/attempts");
    println!();
    println!("Send every attempt twice at once, and break the first one at each event off:");
    println!();
    println!("curl -sS {url}/_control/behaviour \\");
    println!("    -d '{{\"platform\":\"casapay\",\"behaviour\":{{\"copies\":2,\"disconnects\":1}}}}'");
    println!();
}

/// A line for what happened. A reader that went away must not stop anything.
fn print(record: Record<'_>) {
    let line = match record {
        Record::Call(call) => {
            let status =
                call.status.map_or_else(|| "connection closed".to_owned(), |status| status.to_string());
            format!("{} {} {}: {status}", call.platform, call.method, call.path)
        }
        Record::Attempt(attempt) => {
            let answer = match (attempt.status, &attempt.why) {
                (Some(status), _) => status.to_string(),
                (None, why) => why.clone().unwrap_or_default(),
            };
            let next = match attempt.retry_in {
                Some(delay) => format!("again in {delay:?} of its time"),
                None => format!("{:?}", attempt.verdict),
            };
            format!(
                "{} {} {} to {}, attempt {}: {answer} ({next})",
                attempt.platform, attempt.event_type, attempt.event, attempt.endpoint, attempt.attempt
            )
        }
        _ => return,
    };
    _ = writeln!(std::io::stdout(), "{line}");
}

/// Goes round the platforms, and at each round the types, of what somebody is subscribed to.
async fn send_samples(simulator: &Simulator, every: Duration) {
    if every.is_zero() {
        return std::future::pending().await;
    }
    let mut ticks = tokio::time::interval(every);
    // The first tick is at once.
    ticks.tick().await;
    for number in 1_u64.. {
        ticks.tick().await;
        for platform in Platform::ALL {
            let types = simulator.subscribed_types(platform);
            let Some(count) = u64::try_from(types.len()).ok().filter(|count| *count > 0) else { continue };
            let Some(event_type) = usize::try_from(number % count).ok().and_then(|nth| types.get(nth)) else {
                continue;
            };
            // A member of a family has a name that the documentation does not give.
            let event_type = event_type.replace(".*", ".sample");
            let payload = sample(platform, &event_type, number);
            // CasaPay's endpoints are of one mode or the other.
            if platform == Platform::CasaPay {
                simulator.emit_test(platform, &event_type, payload.clone());
            }
            simulator.emit(platform, &event_type, payload);
        }
    }
}

/// A payload of the documented shape, where there is one.
fn sample(platform: Platform, event_type: &str, number: u64) -> Value {
    let object = event_type.split('.').next().unwrap_or_default();
    match (platform, object) {
        (Platform::CasaPay, "payment_intent") => json!({
            "id": format!("pi_{number}"), "object": object, "amount": 120_000, "currency": "eur",
            "status": "succeeded", "customer": "cus_1", "payment_method": "pm_1",
        }),
        (Platform::CasPay, "payment") => json!({"payment": {
            "id": format!("pay_{number}"), "amount": 100_000_000_000_u64, "currency": "CSPR",
            "status": "completed", "metadata": {"orderId": format!("order_{number}")},
        }}),
        _ => json!({"id": format!("sample_{number}"), "object": object}),
    }
}

/// The environment variable `name`, or a default where it is not set.
fn setting<T: FromStr<Err: Display>>(name: &str, default: T) -> Result<T, String> {
    match env::var(name) {
        Ok(text) => text.parse().map_err(|error| format!("{name}: {error}")),
        Err(VarError::NotPresent) => Ok(default),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
