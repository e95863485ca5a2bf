//! A receiver to try the crate with: real HTTP, real signatures, graceful shutdown.
//!
//!     cargo run --example receiver
//!     PROVIDERS=stripe,github cargo run --example receiver
//!
//! It mounts each provider at `/webhooks/<name>` and prints a signed `curl` line for each provider to paste, then a line for each delivery with its outcome and
//! the reason: paste a line twice and the second delivery is a duplicate; change a character and it is refused.
//! `cargo run --features cli -- send` sends more, and other things.
//!
//!     cargo run --example provider                                        # in one terminal
//!     PROVIDER_API=http://127.0.0.1:4000 cargo run --example receiver     # in another one
//!
//! With `PROVIDER_API` it subscribes itself to the simulator at its start, to CasaPay, Diddo and CasPay, and events
//! arrive. The endpoints are found again when it is started anew at the same address.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `ADDR` | address and port to listen on; port 0 takes a free one | `127.0.0.1:3000` |
//! | `PROVIDERS` | names of presets, separated by commas | `caspay,casapay` |
//! | `PROVIDER_API` | URL of `provider`, on loopback | none |
//! | `SECRETS_DIR` | where the secrets are kept that it hands out: a directory of your own, 0700 | one for you below the temporary directory |
//! | `<NAME>_WEBHOOK_SECRET`, such as `STRIPE_WEBHOOK_SECRET` | the provider's signing secret, or its public key | a public one, on loopback only |
//! | `<NAME>_WEBHOOK_SECRET_PREVIOUS` | a second secret, while you rotate | none |
//! | `<NAME>_WEBHOOK_KEY_ID` | the name of the key, for providers that send it, such as Pusher's app key | `current` |
//! | `<NAME>_VERIFY_TOKEN` | the token of a hub's handshake, such as `META_VERIFY_TOKEN` | none: such handshakes are refused |
//! | `<NAME>_PUBLIC_URL` | the endpoint's URL, for providers that sign it | the address listened on |
//! | `SLOW_MS` | how long every handler takes, in milliseconds | `0` |
//!
//! With `SLOW_MS=2000` a second delivery of an event that is being handled is answered 503 with `Retry-After`. With
//! `SLOW_MS=6000` the sender gets its 503 after 4 seconds, the handler goes on, and the retry finds its work done.
//!
//! Two amounts make the handlers fail: `"amount":13` with an error that a retry may mend (503), `"amount":14` with
//! one that none can (500, since this receiver has no dead-letter hook; `typed_dispatch` has one).
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

mod platform;
#[path = "../common/stop.rs"]
mod stop;
mod subscribe;

use std::collections::BTreeSet;
use std::env::{self, VarError};
use std::error::Error;
use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tower_webhook::casapay::events::InvoicePaid;
use tower_webhook::caspay::events::PaymentCompleted;
use tower_webhook::testing::{self, SignedRequest, verifying_secret};
use tower_webhook::{
    Accepted, BoxError, ConfigError, Delivery, EventRouter, HandlerError, Rejection, Secret, Secrets, State,
    WebhookLayer,
};

use self::platform::{Platform, unix_now};
use self::stop::stop_signal;
use self::subscribe::{Subscriber, Subscription};

/// How long a client may take to send the head of a request, and how long an idle connection is kept.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

/// How long connections, and then handlers that outlived theirs, get to finish after a signal.
const GRACE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    // The crate's own log: warnings at start-up, a hint with each refusal, the errors of handlers.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::WARN)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false)
        .init();
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), BoxError> {
    let address: SocketAddr = setting("ADDR", SocketAddr::from(([127, 0, 0, 1], 3000)))?;
    let till = Till { slow: Duration::from_millis(setting("SLOW_MS", 0)?) };
    let mut subscriber = Subscriber::from_env()?;
    let names = if subscriber.is_some() { "casapay,diddo,caspay" } else { "caspay,casapay" };
    let names: String = setting("PROVIDERS", names.to_owned())?;
    let mut names: Vec<_> = names.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    if subscriber.is_some() {
        // Last, since the others can tell whether the simulator has been restarted, and CasPay cannot.
        names.sort_by_key(|name| *name == "caspay");
    }

    // From here on a signal is ours, however early it comes.
    let stop = stop_signal()?;
    let listener = TcpListener::bind(address).await.map_err(|error| format!("{address}: {error}"))?;
    let address = listener.local_addr()?;
    let mut app = Router::new().route("/health", get(async || "ok\n"));
    let (mut shutdowns, mut commands) = (Vec::new(), Vec::new());
    let mut mounted = BTreeSet::new();
    for name in names {
        if !mounted.insert(name) {
            continue;
        }
        let path = format!("/webhooks/{name}");
        let url = format!("http://{address}{path}");
        let events = events(name, till.clone());
        let subscription = match &mut subscriber {
            Some(subscriber) => subscriber.ensure(name, &url, events.event_types()).await?,
            None => None,
        };
        let webhook = if let Some(Subscription { provider, secrets, report }) = subscription {
            commands.push(report);
            WebhookLayer::new(provider, secrets).map_err(|error| format!("{name}: {error}"))?
        } else {
            let platform = Platform::new(name, &url)?;
            let (secrets, is_public) = secrets(&platform, address)?;
            // Accepted from here on, and so before the provider knows it.
            let webhook = WebhookLayer::new(platform.provider.clone(), secrets)
                .map_err(|error| format!("{}: {error}", platform.variable("WEBHOOK_SECRET")))?;
            if let Some(subscriber) = subscriber.as_ref().filter(|_| name == "caspay") {
                let secret = platform.signing_secret()?;
                commands.push(subscriber.caspay(&url, &events.event_types(), &secret).await?);
            }
            commands.push(command(&platform, is_public, address)?);
            webhook
        };
        let webhook = webhook.with_dispatch(events);
        shutdowns.push(webhook.shutdown());
        app = app.route_service(&path, webhook.into_service());
    }
    let app = app.layer(from_fn(print_outcome));

    println!("listening on http://{address}");
    for command in commands {
        println!("\n{command}");
    }

    if !serve(listener, app, stop).await {
        eprintln!("connections still open after {GRACE:?} were closed");
    }
    // No connection is left, so that no further handler begins: wait for those that outlived their request.
    for shutdown in shutdowns {
        let drained = shutdown.drain(GRACE).await;
        if !drained.is_complete() {
            eprintln!("{} handlers were stopped; their events will be delivered again", drained.stopped());
        }
    }
    println!("stopped");
    Ok(())
}

/// Typed handlers for the providers whose events this crate has types for; for the others, one that takes everything.
fn events(name: &str, till: Till) -> EventRouter {
    match name {
        "caspay" => EventRouter::new().on(on_payment_completed).with_state(till),
        "casapay" => EventRouter::new().on(on_invoice_paid).with_state(till),
        // By name, since an endpoint is subscribed to what is handled; the shapes of payloads are undocumented.
        "diddo" => EventRouter::new()
            .on_type("checkout.*", on_any_payload)
            .on_type("order.submitted", on_any_payload)
            .with_state(till),
        _ => EventRouter::new().fallback(on_any_event).with_state(till),
    }
}

/// What handlers work with: here a till that books nothing, as slowly as it is told to.
#[derive(Clone)]
struct Till {
    slow: Duration,
}

impl Till {
    async fn book(&self, delivery: &Delivery, amount: Option<u64>) -> Result<(), HandlerError> {
        // Ids are the sender's text: `{:?}` keeps control characters out of the terminal.
        let (id, event_type) = (delivery.id(), delivery.event_type());
        println!("  handling {event_type} {id:?}, amount {amount:?}");
        tokio::time::sleep(self.slow).await;
        match amount {
            Some(13) => Err(HandlerError::retry("the amount is 13: try again")),
            Some(14) => Err(HandlerError::permanent("the amount is 14: do not try again")),
            _ => Ok(()),
        }
    }
}

async fn on_payment_completed(
    event: PaymentCompleted,
    State(till): State<Till>,
    delivery: Delivery,
) -> Result<(), HandlerError> {
    till.book(&delivery, Some(event.payment.amount)).await
}

/// CasaPay does not document the shape of an invoice, so that fields beside the id may be absent.
async fn on_invoice_paid(
    InvoicePaid(invoice): InvoicePaid,
    State(till): State<Till>,
    delivery: Delivery,
) -> Result<(), HandlerError> {
    till.book(&delivery, invoice.other.get("amount").and_then(|amount| amount.as_u64())).await
}

async fn on_any_payload(
    _: serde_json::Value,
    State(till): State<Till>,
    delivery: Delivery,
) -> Result<(), HandlerError> {
    till.book(&delivery, None).await
}

async fn on_any_event(delivery: Delivery, State(till): State<Till>) -> Result<(), HandlerError> {
    till.book(&delivery, None).await
}

/// Prints a line for each answer. The reason stands in the response's extensions and never reaches the sender.
async fn print_outcome(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;

    let route = route.as_ref().map_or("no route", MatchedPath::as_str);
    let why = match (response.extensions().get::<Accepted>(), response.extensions().get::<Rejection>()) {
        (Some(accepted), _) => accepted.as_str(),
        (None, Some(rejection)) => rejection.reason().as_str(),
        (None, None) => "not a webhook",
    };
    let (status, millis) = (response.status().as_u16(), started.elapsed().as_secs_f64() * 1_000.0);
    println!("{method} {route}: {status} {why} ({millis:.1} ms)");
    response
}

/// Serves until `stop`, then finishes the open connections; `false` where some took too long.
///
/// `axum::serve` sets no timer, so that a client could hold a connection without ever sending a request. Here hyper
/// gives up after [`HEADER_TIMEOUT`]; the body's deadline is the layer's own.
async fn serve(listener: TcpListener, app: Router, stop: impl Future<Output = ()>) -> bool {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
    let connections = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let service = TowerToHyperService::new(app.clone());
                    let connection = http.serve_connection(TokioIo::new(stream), service);
                    let connection = connections.watch(connection);
                    // How a connection ends is the client's affair: a line each would be a way to fill the log.
                    tokio::spawn(async move { drop(connection.await) });
                }
                Err(error) => {
                    // Out of file descriptors, most likely: wait until some are free.
                    eprintln!("cannot accept: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            },
        }
    }
    drop(listener);
    tokio::time::timeout(GRACE, connections.shutdown()).await.is_ok()
}

/// The secrets of a platform, and whether they are the public one for development.
fn secrets(platform: &Platform, address: SocketAddr) -> Result<(Secrets, bool), BoxError> {
    let variable = platform.variable("WEBHOOK_SECRET");
    // A header that names the key, as Pusher's does, is compared with a secret's label.
    let key_id = env::var(platform.variable("WEBHOOK_KEY_ID"));
    let from_env = Secrets::from_env(&variable).and_then(|secrets| match (key_id, env::var(&variable)) {
        (Ok(key_id), Ok(text)) => Secrets::labelled([(key_id, Secret::new(text)?)]),
        _ => Ok(secrets),
    });
    match from_env {
        Ok(secrets) => Ok((secrets, false)),
        // Not set at all. One that is set but empty is a mistake, and no reason to accept a public secret.
        Err(ConfigError::MissingVariable { .. }) if address.ip().is_loopback() => {
            eprintln!("!!! {variable} is not set: using a PUBLIC DEVELOPMENT SECRET, on loopback only");
            let secret = platform.development_secret()?;
            Ok((verifying_secret(&platform.provider, &secret)?.into(), true))
        }
        Err(ConfigError::MissingVariable { .. }) => {
            let why = "anybody could sign for its public development secret";
            Err(format!("{variable} must be set to listen on {address}: {why}").into())
        }
        Err(error) => Err(format!("{variable} or {variable}_PREVIOUS: {error}").into()),
    }
}

fn setting<T: FromStr<Err: Error> + Display>(name: &str, default: T) -> Result<T, String> {
    match env::var(name) {
        Ok(text) => text.parse().map_err(|error| format!("{name}={text}: {error}; the default is {default}")),
        Err(VarError::NotPresent) => Ok(default),
        Err(error) => Err(format!("{name}: {error}")),
    }
}

/// A command that sends a signed event. For a secret of yours it holds no signature: a signed request is worth as much
/// as the payment it reports, and has no place in a log.
fn command(platform: &Platform, is_public: bool, address: SocketAddr) -> Result<String, BoxError> {
    let (name, provider) = (platform.name(), &platform.provider);
    let url = format!("http://{address}/webhooks/{name}");
    if !is_public {
        return Ok(own_command(platform, &url));
    }
    let event_type = testing::sample_type(&platform.provider);
    let id = format!("evt_try_{}", unix_now());
    let event = platform
        .event(&id, event_type, &testing::sample_payload(provider, event_type))
        .map_err(|error| error.to_string())?;
    let secret = platform.development_secret()?;
    let request =
        SignedRequest::new(provider, &secret, event.body().to_owned()).with_headers(event.headers()).build();
    let expires =
        provider.tolerance().map(|tolerance| format!(" (expires in {} seconds)", tolerance.as_secs()));
    let mut command = format!("# {name}{}\ncurl -i {url}", expires.unwrap_or_default());
    for (header, value) in request.headers() {
        command.push_str(&format!(" -H '{header}: {}'", value.to_str()?));
    }
    command.push_str(&format!(" --data-raw '{}'", event.body()));
    Ok(command)
}

/// A command for a secret of yours: the shell, or `send`, computes the signature from your variable.
fn own_command(platform: &Platform, url: &str) -> String {
    let (name, header) = (platform.name(), platform.provider.signature_header());
    let variable = platform.variable("WEBHOOK_SECRET");
    let (signed, value) = match name {
        "caspay" => ("$body", "$signature"),
        "casapay" => ("$t.$body", "t=$t,v1=$signature"),
        _ => {
            return format!(
                "# {name}, in a shell where {variable} is set\ncargo run --features cli -- send {url} --provider {name}"
            );
        }
    };
    let (event_type, id) = (testing::sample_type(&platform.provider), format!("evt_try_{}", unix_now()));
    let event = platform.event(&id, event_type, &testing::sample_payload(&platform.provider, event_type));
    let body = event.map_or_else(|error| error.to_string(), |event| event.body().to_owned());
    [
        format!("# {name}, in a shell where {variable} is set"),
        format!("body='{body}'"),
        format!(r#"t=$(date +%s); signed="{signed}""#),
        format!(r#"signature=$(printf %s "$signed" | openssl dgst -sha256 -hmac "${variable}" -r | cut -d ' ' -f 1)"#),
        format!(r#"curl -i {url} -H 'content-type: application/json' -H "{header}: {value}" --data-raw "$body""#),
    ]
    .join("\n")
}
