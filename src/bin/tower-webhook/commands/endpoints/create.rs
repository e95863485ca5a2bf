//! `endpoints create`.

use std::path::Path;

use reqwest::Url;
use serde_json::json;
use tower_webhook::endpoints::{CasPay, FileSink, SecretSink as _};
use tower_webhook::testing::development_secret;
use tower_webhook::{Secret, provider};

use super::api::{Api, failure, only_create};
use super::args::Create;
use super::lock::FileLock;
use super::{NOT_A_NEW_ONE, check_writable, file, listed, one};
use crate::client::is_loopback;
use crate::exit::{Exit, Failure};
use crate::interrupt::Busy;
use crate::output::{Output, visible};
use crate::platform::Platform;
use crate::secret::Purpose;

pub(super) async fn create(args: &Create, output: &Output) -> Result<(), Failure> {
    let api = Api::new(&args.api, output)?;
    if let Api::CasPay(caspay) = &api {
        return with_own_secret(caspay, args, output).await;
    }
    if args.secret.is_given() {
        return Err(Failure::usage("this provider chooses the secret: give --save-to, and none of your own"));
    }
    let directory = args.save_to.as_deref();
    let directory =
        directory.ok_or_else(|| Failure::usage("give --save-to: the secret is shown only once"))?;
    check_writable(directory)?;
    let held = FileLock::new(directory, *output).wait().await;
    let _held =
        held.map_err(|error| Failure::input(format!("the lock in --save-to: {error}")).of_kind("lock"))?;
    under_lock(&api, args, directory, output).await
}

async fn under_lock(api: &Api, args: &Create, directory: &Path, output: &Output) -> Result<(), Failure> {
    let before = api.list().await?;
    if !args.second {
        let same =
            |one: &str| one == args.url || Url::parse(one).is_ok_and(|one| Url::parse(&args.url) == Ok(one));
        let known = before.iter().filter(|known| same(known.url()));
        let known: Vec<_> = known.map(|known| known.id().to_owned()).collect();
        if !known.is_empty() {
            let ids: Vec<_> = known.iter().map(|id| visible(id)).collect();
            return Err(Failure::usage(format!(
                "there is an endpoint for this URL: {}. `ensure` changes what it delivers; --second creates one more, \
                 which every event is delivered to as well",
                ids.join(", ")
            ))
            .of_kind("duplicate_endpoints")
            .with_endpoints(known));
        }
    }
    let (name, sink) = (args.api.provider, FileSink::new(directory));
    // Receivers that follow the directory may be delivered what it signs before it is there.
    let announced = sink.announce(name.as_str(), &args.url).await;
    announced.map_err(|error| Failure::input(format!("--save-to {}: {error}", directory.display())))?;
    let created = api.create(args).await;
    let may_exist = |failure: &Failure| matches!(failure.kind(), "outcome_unknown" | "secret_missing");
    if created.as_ref().is_err_and(|failure| !may_exist(failure)) {
        // What matters is why there is none.
        _ = sink.withdraw(name.as_str(), &args.url).await;
    }
    let (endpoint, secret) = created?;
    if before.iter().any(|known| known.id() == endpoint.id()) {
        let id = visible(endpoint.id());
        let message = format!("the API answered with {id}, which was there before{NOT_A_NEW_ONE}");
        return Err(Failure::new(Exit::Answered, message)
            .of_kind("conflict")
            .with_endpoints(vec![endpoint.id().to_owned()]));
    }
    if let Err(error) = sink.store(name.as_str(), endpoint.id(), &secret).await {
        // Without its secret it is of no use, and would deliver what nobody can verify.
        let mut left = Vec::new();
        let undone = match api.delete(endpoint.id()).await {
            Ok(()) => {
                _ = sink.withdraw(name.as_str(), &args.url).await;
                "it was deleted again".to_owned()
            }
            Err(failure) => {
                left.push(endpoint.id().to_owned());
                format!("delete {}, which failed: {}", endpoint.id(), failure.message)
            }
        };
        let message = format!("the secret of the new endpoint could not be stored ({error}): {undone}");
        return Err(Failure::input(message).of_kind("secret_not_stored").with_endpoints(left));
    }
    // It runs out by itself.
    _ = sink.withdraw(name.as_str(), &args.url).await;
    let file = file(directory, name, endpoint.id());
    let said = output.result(
        || json!({ "endpoint": one(&endpoint), "secret_in": file }),
        || {
            let table = listed(std::slice::from_ref(&endpoint));
            format!("{table}\nits secret is in {}", file.display())
        },
    );
    // Whoever runs it anew because it failed would be told of a duplicate.
    said.map_err(|failure| {
        let (why, id) = (failure.message, visible(endpoint.id()));
        let message = format!("{why}; but {id} is created, and its secret is in {}", file.display());
        Failure::new(failure.exit, message).with_endpoints(vec![endpoint.id().to_owned()])
    })
}

/// CasPay signs with what the merchant chooses.
async fn with_own_secret(caspay: &CasPay, args: &Create, output: &Output) -> Result<(), Failure> {
    if args.save_to.is_some() || args.description.is_some() || args.second {
        return Err(Failure::usage(
            "caspay takes no description, its secret is the one that you have, and it lists no endpoints",
        ));
    }
    let preset = provider::find("caspay").copied().ok_or_else(only_create)?;
    let platform = Platform::of(preset, None, None)?;
    let secret = args.secret.signing(&platform, Purpose::Choosing, output)?;
    check_private(&secret, &platform, args)?;
    let busy = Busy::creating();
    let created = caspay.create(&args.url, &args.events, &secret).await.map_err(failure);
    drop(busy);
    let id = created?.id;
    let said = || {
        format!(
            "{} is created, and signs with your secret",
            id.as_deref().map_or_else(|| "it".to_owned(), visible)
        )
    };
    output.result(|| json!({ "id": id, "url": args.url, "events": args.events }), said)
}

/// Whoever reads this program's source can sign with the development secret, and so forge payments.
fn check_private(secret: &Secret, platform: &Platform, args: &Create) -> Result<(), Failure> {
    let is_public =
        development_secret(&platform.provider).is_some_and(|public| public.expose() == secret.expose());
    let is_here = |url: &str| Url::parse(url).is_ok_and(|url| is_loopback(&url));
    if !is_public || args.api.url()?.is_some_and(|url| is_here(&url)) && is_here(&args.url) {
        return Ok(());
    }
    Err(Failure::configuration(
        "the development secret is public: whoever knows it can forge payments. It is for a simulator and a receiver \
         on this machine alone; choose one of your own",
    ))
}
