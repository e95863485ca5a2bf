//! The clients of the endpoint APIs, as the command line configures them.

use std::error::Error as _;

use tower_webhook::Secret;
use tower_webhook::endpoints::{
    CasPay, CasPaySettings, CasaPay, ClientOptions, Diddo, DiddoSettings, DiddoUpdate, EndpointApi,
    EndpointError, EndpointErrorKind, EndpointStatus, EndpointUpdate, NewEndpoint, Registered,
};
use uuid::Uuid;

use super::args::{ApiArgs, Create, Name, Update};
use crate::exit::{Exit, Failure};
use crate::output::Output;

pub(crate) enum Api {
    CasaPay(CasaPay),
    CasPay(CasPay),
    Diddo(Diddo),
}

impl Api {
    pub(crate) fn new(args: &ApiArgs, output: &Output) -> Result<Self, Failure> {
        let name = args.provider;
        let foreign = [
            (&args.key_header, "--key-header", name != Name::Casapay),
            (&args.key_prefix, "--key-prefix", name != Name::Casapay),
            (&args.secret_at, "--secret-at", name == Name::Diddo),
            (&args.path, "--path", name == Name::Caspay),
        ];
        if let Some((_, option, _)) = foreign.iter().find(|(value, _, is_used)| value.is_some() && !is_used) {
            return Err(Failure::usage(format!("{option} is not for {}", name.as_str())));
        }
        // What is undocumented is the user's to say.
        let said = |value: &Option<String>, option: &str| {
            let missing = || Failure::usage(format!("{} documents none: give {option}", name.as_str()));
            value.clone().ok_or_else(missing)
        };
        let url = args.url()?.ok_or_else(|| {
            let variable = name.variable("API_URL");
            Failure::configuration(format!(
                "there is no base URL of the API: give --api-url, or set {variable}"
            ))
        })?;
        // What is not on the command line is not mistaken there: the key never is, and the URL may be in a variable.
        let unusable = |error: EndpointError| {
            let is_argument = error.kind() == EndpointErrorKind::InvalidUrl && args.api_url.is_some();
            let found = failure(error);
            if is_argument { found } else { found.with_exit(Exit::Configuration) }
        };
        let options = ClientOptions::default();
        let options = if args.allow_loopback { options.allow_loopback() } else { options };
        let prefix = args.key_prefix.clone().unwrap_or_default();
        Ok(match name {
            Name::Casapay => {
                let key = args.key.read(&name.variable("API_KEY"), output)?;
                Self::CasaPay(CasaPay::new(&url, key, options).map_err(unusable)?)
            }
            Name::Caspay => {
                let (path, header) = (said(&args.path, "--path")?, said(&args.key_header, "--key-header")?);
                let settings = CasPaySettings::new(&path, &header).map_err(failure)?.with_key_prefix(prefix);
                let key = args.key.read(&name.variable("API_KEY"), output)?;
                Self::CasPay(CasPay::new(&url, key, settings, options).map_err(unusable)?)
            }
            Name::Diddo => {
                let header = said(&args.key_header, "--key-header")?;
                let settings = DiddoSettings::new(&header, &said(&args.secret_at, "--secret-at")?);
                let settings = settings.map_err(failure)?.with_key_prefix(prefix);
                let key = args.key.read(&name.variable("API_KEY"), output)?;
                Self::Diddo(Diddo::new(&url, key, settings, options).map_err(unusable)?)
            }
        })
    }

    pub(crate) async fn list(&self) -> Result<Vec<Registered>, Failure> {
        match self {
            Self::CasaPay(api) => EndpointApi::list(api).await.map_err(failure),
            Self::Diddo(api) => EndpointApi::list(api).await.map_err(failure),
            Self::CasPay(_) => Err(only_create()),
        }
    }

    /// The endpoint and the secret that is shown once; not for CasPay, whose secrets are chosen.
    pub(crate) async fn create(&self, args: &Create) -> Result<(Registered, Secret), Failure> {
        match self {
            Self::CasaPay(api) => {
                let mut new = NewEndpoint::new(&args.url, &args.events);
                if let Some(description) = &args.description {
                    new = new.with_description(description);
                }
                let (endpoint, secret) = api.create(&new).await.map_err(failure)?;
                Ok((endpoint.into(), secret))
            }
            Self::Diddo(api) => {
                let created = api.create(&args.url, &args.events, args.description.as_deref()).await;
                let (endpoint, secret) = created.map_err(failure)?;
                Ok((endpoint.into(), secret))
            }
            Self::CasPay(_) => Err(only_create()),
        }
    }

    pub(crate) async fn update(&self, args: &Update) -> Result<Registered, Failure> {
        match self {
            Self::CasaPay(api) => {
                let mut update = EndpointUpdate::new();
                if let Some(url) = &args.url {
                    update = update.with_url(url);
                }
                if !args.events.is_empty() {
                    update = update.with_enabled_events(&args.events);
                }
                if let Some(active) = args.active {
                    let status = if active { EndpointStatus::Enabled } else { EndpointStatus::Disabled };
                    update = update.with_status(status);
                }
                if let Some(description) = &args.description {
                    update = update.with_description(description);
                }
                Ok(api.update(&args.id, &update).await.map_err(failure)?.into())
            }
            Self::Diddo(api) => {
                let mut update = DiddoUpdate::new();
                if let Some(url) = &args.url {
                    update = update.with_url(url);
                }
                if !args.events.is_empty() {
                    update = update.with_events(&args.events);
                }
                if let Some(active) = args.active {
                    update = update.with_active(active);
                }
                if let Some(description) = &args.description {
                    update = update.with_description(description);
                }
                Ok(api.update(uuid(&args.id)?, &update).await.map_err(failure)?.into())
            }
            Self::CasPay(_) => Err(only_create()),
        }
    }

    pub(crate) async fn delete(&self, id: &str) -> Result<(), Failure> {
        match self {
            Self::CasaPay(api) => api.delete(id).await.map_err(failure),
            Self::Diddo(api) => api.delete(uuid(id)?).await.map_err(failure),
            Self::CasPay(_) => Err(only_create()),
        }
    }
}

pub(crate) fn only_create() -> Failure {
    Failure::usage("caspay documents nothing but creating endpoints: use its dashboard")
}

fn uuid(id: &str) -> Result<Uuid, Failure> {
    id.parse().map_err(|_| Failure::usage("the ids of diddo are UUIDs"))
}

/// By what went wrong. The texts say what to do, and hold no secret.
#[expect(
    clippy::needless_pass_by_value,
    reason = "an error that holds a secret ends here, and the secret is wiped"
)]
pub(crate) fn failure(error: EndpointError) -> Failure {
    use EndpointErrorKind as Kind;

    let (exit, kind) = match error.kind() {
        Kind::InvalidUrl => (Exit::Usage, Some("invalid_url")),
        Kind::InvalidRequest => (Exit::Usage, None),
        Kind::Unauthorized | Kind::Forbidden => (Exit::Configuration, None),
        Kind::Unreachable | Kind::Timeout | Kind::Broken => (Exit::Unreachable, None),
        Kind::Tls => (Exit::Unreachable, Some("tls")),
        // The API may have said that it failed, which is an answer.
        Kind::OutcomeUnknown if error.status().is_none() => (Exit::Unreachable, Some("outcome_unknown")),
        Kind::OutcomeUnknown => (Exit::Answered, Some("outcome_unknown")),
        Kind::Sink => (Exit::Input, Some("sink")),
        Kind::SecretNotStored => (Exit::Input, Some("secret_not_stored")),
        Kind::Lock => (Exit::Input, Some("lock")),
        Kind::BadRequest => (Exit::Answered, Some("bad_request")),
        Kind::NotFound => (Exit::Answered, Some("not_found")),
        Kind::Conflict => (Exit::Answered, Some("conflict")),
        Kind::RateLimited => (Exit::Answered, Some("rate_limited")),
        Kind::Redirected => (Exit::Answered, Some("redirected")),
        Kind::Server => (Exit::Answered, Some("server")),
        Kind::UnexpectedStatus => (Exit::Answered, Some("unexpected_status")),
        Kind::Malformed | Kind::TooLarge => (Exit::Answered, Some("malformed")),
        Kind::IncompleteList => (Exit::Answered, Some("incomplete_list")),
        Kind::SecretMissing => (Exit::Answered, Some("secret_missing")),
        Kind::SecretUnknown => (Exit::Answered, Some("secret_unknown")),
        Kind::DuplicateEndpoints => (Exit::Answered, Some("duplicate_endpoints")),
        _ => (Exit::Answered, None),
    };
    // Where a lock or a file failed, the kind alone does not say what to do.
    let why = match (error.kind(), error.source()) {
        (Kind::Lock | Kind::Sink | Kind::SecretNotStored, Some(why)) => format!(" ({why})"),
        _ => String::new(),
    };
    let failure = Failure::new(exit, format!("{error}{why}")).with_endpoints(error.endpoint_ids().to_vec());
    match kind {
        Some(kind) => failure.of_kind(kind),
        None => failure,
    }
}
