//! `endpoints`: where a provider delivers, and what.

mod api;
mod args;
mod create;
mod lock;

use std::fs::{self, File};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde_json::{Value, json};
use tower_webhook::endpoints::{
    Change, EndpointApi, EndpointErrorKind, EndpointManager, Ensured, FileSink, Registered, SecretSink as _,
};

use self::api::{Api, failure, only_create};
pub(crate) use self::args::Endpoints;
use self::args::{Action, ApiArgs, Delete, Ensure, Name};
use self::create::create;
use self::lock::FileLock;
use crate::client::is_loopback;
use crate::exit::{Exit, Failure};
use crate::output::{Output, table_of_whole, visible};

pub(crate) async fn run(args: &Endpoints, output: &Output) -> Result<Exit, Failure> {
    let (api, hook, has_id) = match &args.action {
        Action::List(args) => (&args.api, None, false),
        Action::Create(args) => (&args.api, Some(&args.url), false),
        Action::Update(args) => (&args.api, args.url.as_ref(), true),
        Action::Delete(args) => (&args.api, None, true),
        Action::Ensure(args) => (&args.api, Some(&args.url), false),
    };
    act(&args.action, output).await.map_err(|failure| hinted(failure, api, hook, has_id))
}

/// What else there is to say of a failure, which the library cannot know.
fn hinted(mut failure: Failure, api: &ApiArgs, hook: Option<&String>, has_id: bool) -> Failure {
    let base = api.url().ok().flatten();
    let mut urls = base.iter().chain(hook).filter_map(|url| Url::parse(url).ok());
    let hint = match failure.kind() {
        // Where the authorities that the system trusts are files.
        "tls" if cfg!(all(unix, not(target_vendor = "apple"))) => {
            "; this program trusts those in the file that SSL_CERT_FILE names"
        }
        "not_found" if !has_id => "; is this the base URL of the API?",
        "invalid_url"
            if !api.allow_loopback && urls.any(|url| url.scheme() == "http" && is_loopback(&url)) =>
        {
            "; --allow-loopback allows http to and for this machine"
        }
        _ => "",
    };
    failure.message.push_str(hint);
    failure
}

async fn act(action: &Action, output: &Output) -> Result<Exit, Failure> {
    match action {
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
            delete(args, output).await?;
        }
        Action::Ensure(args) => ensure(args, output).await?,
    }
    Ok(Exit::Done)
}

async fn delete(args: &Delete, output: &Output) -> Result<(), Failure> {
    Api::new(&args.api, output)?.delete(&args.id).await?;
    let id = &args.id;
    if let Some(directory) = &args.save_to {
        let removed = FileSink::new(directory).remove(args.api.provider.as_str(), id).await;
        removed.map_err(|error| {
            let message =
                format!("{} is deleted, but its secret is still in --save-to: {error}", visible(id));
            Failure::input(message).of_kind("sink")
        })?;
    }
    let rest = if args.save_to.is_some() {
        ""
    } else {
        ". Where its secret is in a file, receivers go on accepting it: remove that, too"
    };
    output.result(|| json!({ "deleted": id }), || format!("{} is deleted{rest}", visible(id)))
}

fn listed(endpoints: &[Registered]) -> String {
    let rows = endpoints.iter().map(|endpoint| {
        let state = if endpoint.is_active() { "active" } else { "paused" };
        let events: Vec<_> = endpoint.events().iter().map(|event| visible(event)).collect();
        vec![visible(endpoint.id()), visible(endpoint.url()), state.to_owned(), events.join(", ")]
    });
    table_of_whole(2, &["id", "url", "state", "events"], rows)
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

async fn ensure(args: &Ensure, output: &Output) -> Result<(), Failure> {
    check_writable(&args.save_to)?;
    let ensured = match Api::new(&args.api, output)? {
        Api::CasaPay(api) => ensured(api, args, *output).await?,
        Api::Diddo(api) => ensured(api, args, *output).await?,
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

async fn ensured(api: impl EndpointApi, args: &Ensure, output: Output) -> Result<Ensured, Failure> {
    let lock = FileLock::new(&args.save_to, output);
    let manager = EndpointManager::new(api, FileSink::new(&args.save_to)).with_lock(lock);
    manager.ensure_endpoint(&args.url, args.events.iter().map(String::as_str)).await.map_err(|mut error| {
        let (is_lost, kind) = (error.take_secret().is_some(), error.kind());
        let mut failure = failure(error);
        if is_lost {
            failure.message.push_str(match kind {
                EndpointErrorKind::Conflict => NOT_A_NEW_ONE,
                _ => "; this program prints no secret: delete the endpoint",
            });
        }
        failure
    })
}

/// What there is to do where an API answers a creation with an endpoint that was there before.
const NOT_A_NEW_ONE: &str = "; this program prints no secret: where the one in --save-to does not verify what comes from \
                             now on, delete the endpoint and run this again";

/// Where [`FileSink`] keeps a secret.
fn file(directory: &Path, provider: Name, id: &str) -> PathBuf {
    directory.join(format!("{}.{id}.secret", provider.as_str()))
}

/// No two of so many names that chance has made are there already.
const MAX_TRIES: u32 = 16;

/// A secret that is shown once must find its place: better to know before the endpoint is there.
fn check_writable(directory: &Path) -> Result<(), Failure> {
    let mut tries = 0;
    loop {
        tries += 1;
        // Another name with each turn, in whatever container: processes there share their ids, and one that dies leaves
        // its file behind.
        let name = format!(".tower-webhook.{:016x}", RandomState::new().hash_one(std::process::id()));
        let probe = directory.join(name);
        match File::create_new(&probe).and_then(|_| fs::remove_file(&probe)) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < MAX_TRIES => {}
            Err(error) => {
                return Err(Failure::input(format!("--save-to {}: {error}", directory.display())));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_run_that_died_has_left_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        // That of a process with this id, which is every first one of a container.
        let left = directory.path().join(format!(".tower-webhook.{}", std::process::id()));
        fs::write(&left, "").unwrap();
        check_writable(directory.path()).unwrap();
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "the probe is left");
        fs::remove_file(left).unwrap();
        // Nor is that of a run beside this one.
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..200).for_each(|_| check_writable(directory.path()).unwrap()));
            }
        });
        assert_eq!(fs::read_dir(&directory).unwrap().count(), 0);
        let failure = check_writable(&directory.path().join("nowhere")).unwrap_err();
        assert!(failure.message.starts_with("--save-to "), "{}", failure.message);
    }
}
