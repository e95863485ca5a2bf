//! `endpoints`: where a provider delivers, and what.

mod api;
mod args;

use std::path::Path;

use serde_json::{Value, json};
use tower_webhook::endpoints::{
    Change, EndpointApi, EndpointErrorKind, EndpointManager, Ensured, FileSink, Registered, SecretSink as _,
};
use tower_webhook::provider;

use self::api::{Api, failure, only_create};
pub(crate) use self::args::Endpoints;
use self::args::{Action, Create, Ensure};
use crate::exit::{Exit, Failure};
use crate::output::{Output, table, visible};
use crate::platform::Platform;
use crate::secret::Purpose;

pub(crate) async fn run(args: &Endpoints, output: &Output) -> Result<Exit, Failure> {
    match &args.action {
        Action::List(args) => {
            let endpoints = Api::new(&args.api, output)?.list().await?;
            output.result(|| endpoints.iter().map(one).collect(), || listed(&endpoints))?;
        }
        Action::Create(args) => create(args, output).await?,
        Action::Update(args) => {
            let is_empty = args.url.is_none() && args.events.is_empty() && args.active.is_none();
            if is_empty && args.description.is_none() {
                return Err(Failure::usage(
                    "nothing to change: give --url, --event, --active or --description",
                ));
            }
            let endpoint = Api::new(&args.api, output)?.update(args).await?;
            output.result(|| one(&endpoint), || listed(std::slice::from_ref(&endpoint)))?;
        }
        Action::Delete(args) => {
            Api::new(&args.api, output)?.delete(&args.id).await?;
            let id = &args.id;
            output.result(|| json!({ "deleted": id }), || format!("{} is deleted", visible(id)))?;
        }
        Action::Ensure(args) => ensure(args, output).await?,
    }
    Ok(Exit::Done)
}

fn listed(endpoints: &[Registered]) -> String {
    let rows = endpoints.iter().map(|endpoint| {
        let state = if endpoint.is_active() { "active" } else { "paused" };
        let events: Vec<_> = endpoint.events().iter().map(|event| visible(event)).collect();
        vec![visible(endpoint.id()), visible(endpoint.url()), state.to_owned(), events.join(", ")]
    });
    table(&["id", "url", "state", "events"], rows)
}

fn one(endpoint: &Registered) -> Value {
    json!({
        "id": endpoint.id(),
        "url": endpoint.url(),
        "active": endpoint.is_active(),
        "events": endpoint.events(),
        "description": endpoint.description(),
    })
}

async fn create(args: &Create, output: &Output) -> Result<(), Failure> {
    let api = Api::new(&args.api, output)?;
    if let Api::CasPay(caspay) = &api {
        if args.save_to.is_some() || args.description.is_some() {
            return Err(Failure::usage(
                "caspay takes no description, and its secret is the one that you have",
            ));
        }
        let preset = provider::find("caspay").copied().ok_or_else(only_create)?;
        let platform = Platform::of(preset, None, None)?;
        let secret = args.secret.signing(&platform, Purpose::Signing, output)?;
        let created = caspay.create(&args.url, &args.events, &secret).await.map_err(failure)?;
        let id = created.id.as_deref();
        let said = || {
            format!("{} is created, and signs with your secret", id.map_or_else(|| "it".to_owned(), visible))
        };
        return output.result(|| json!({ "id": id, "url": args.url, "events": args.events }), said);
    }
    if args.secret.is_given() {
        return Err(Failure::usage("this provider chooses the secret: give --save-to, and none of your own"));
    }
    let directory = args.save_to.as_deref();
    let directory =
        directory.ok_or_else(|| Failure::usage("give --save-to: the secret is shown only once"))?;
    check_writable(directory)?;
    let (endpoint, secret) = api.create(args).await?;
    let name = args.api.provider.as_str();
    if let Err(error) = FileSink::new(directory).store(name, endpoint.id(), &secret).await {
        // Without its secret it is of no use, and would deliver what nobody can verify.
        let undone = match api.delete(endpoint.id()).await {
            Ok(()) => "it was deleted again".to_owned(),
            Err(failure) => format!("delete {}, which failed: {}", endpoint.id(), failure.message),
        };
        let message = format!("the secret of the new endpoint could not be stored ({error}): {undone}");
        return Err(Failure::input(message));
    }
    output.result(
        || json!({ "endpoint": one(&endpoint), "secret_in": directory }),
        || {
            let table = listed(std::slice::from_ref(&endpoint));
            format!("{table}\nits secret is in {}", directory.display())
        },
    )
}

async fn ensure(args: &Ensure, output: &Output) -> Result<(), Failure> {
    check_writable(&args.save_to)?;
    let ensured = match Api::new(&args.api, output)? {
        Api::CasaPay(api) => ensured(api, args).await?,
        Api::Diddo(api) => ensured(api, args).await?,
        Api::CasPay(_) => return Err(only_create()),
    };
    output.result(
        || {
            let (change, added, removed) = match &ensured.change {
                Change::Created => ("created", &[][..], &[][..]),
                Change::Updated { added, removed } => ("updated", &added[..], &removed[..]),
                _ => ("unchanged", &[][..], &[][..]),
            };
            json!({
                "id": ensured.endpoint_id,
                "change": change,
                "added": added,
                "removed": removed,
                "paused": ensured.is_paused,
                "replaces": ensured.replaces,
            })
        },
        || visible(&ensured.to_string()),
    )
}

async fn ensured(api: impl EndpointApi, args: &Ensure) -> Result<Ensured, Failure> {
    let manager = EndpointManager::new(api, FileSink::new(&args.save_to));
    manager.ensure_endpoint(&args.url, args.events.iter().map(String::as_str)).await.map_err(|error| {
        let is_lost = error.kind() == EndpointErrorKind::SecretNotStored;
        let mut failure = failure(error);
        if is_lost {
            failure.message.push_str("; this program prints no secret: delete the endpoint");
        }
        failure
    })
}

/// A secret that is shown once must find its place: better to know before the endpoint is there.
fn check_writable(directory: &Path) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::input(format!("--save-to {}: {error}", directory.display()));
    let probe = directory.join(format!(".tower-webhook.{}", std::process::id()));
    std::fs::File::create_new(&probe).and_then(|_| std::fs::remove_file(&probe)).map_err(failed)
}
