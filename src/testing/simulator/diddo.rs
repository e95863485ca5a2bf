//! Diddo's endpoint API, as documented. What it leaves open is in [`DiddoSettings`](super::DiddoSettings); a delete is
//! answered without a body, and fields that are not documented are refused.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answer::Answer;
use super::platform::{Operation, Platform};
use super::request::{ApiRequest, bad_request, boolean, number, required, single};
use super::settings::Conflicts;
use super::shared::Shared;
use super::state::{Endpoint, MOST_ENDPOINTS, State, Traffic};
use crate::signature::Secret;

/// The id in a path, `None` for the collection.
fn route(path: &str) -> Option<Option<&str>> {
    match path.strip_prefix("/webhook")? {
        "" => Some(None),
        rest => rest.strip_prefix('/').filter(|id| !id.is_empty() && !id.contains('/')).map(Some),
    }
}

pub(super) fn operation(method: &Method, path: &str) -> Option<Operation> {
    match (route(path)?, method.as_str()) {
        (None, "POST") => Some(Operation::Create),
        (None, "GET") => Some(Operation::List),
        (Some(_), "GET") => Some(Operation::Retrieve),
        (Some(_), "PUT") => Some(Operation::Update),
        (Some(_), "DELETE") => Some(Operation::Delete),
        _ => None,
    }
}

pub(super) fn handle(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    if !shared.settings.diddo_auth.allows(&request.headers) {
        return Answer::unauthorized();
    }
    let Some(id) = route(&request.path) else { return Answer::not_found() };
    let answered = match (id, request.method.as_str()) {
        (None, "POST") => create(shared, request),
        (None, "GET") => list(shared, request),
        (None, _) => Err(Answer::not_allowed("GET, POST")),
        (Some(id), "GET") => known(shared, id).and_then(|id| retrieve(shared, &id)),
        (Some(id), "PUT") => known(shared, id).and_then(|id| update(shared, request, &id)),
        (Some(id), "DELETE") => known(shared, id).map(|id| delete(shared, &id)),
        (Some(_), _) => Err(Answer::not_allowed("GET, PUT, DELETE")),
    };
    answered.unwrap_or_else(|refused| refused)
}

/// The id of an endpoint that is there: 400 for what is no UUID, 404 for an unknown one.
fn known(shared: &Shared, id: &str) -> Result<String, Answer> {
    let id = Uuid::try_parse(id).map_err(|_| bad_request("the id is not a UUID"))?.hyphenated().to_string();
    retrieve(shared, &id).map(|_| id)
}

fn object(endpoint: &Endpoint) -> Value {
    json!({
        "id": endpoint.id,
        "url": endpoint.url,
        "events": endpoint.events,
        "description": endpoint.description,
        "active": endpoint.enabled,
    })
}

/// Whether an endpoint with this URL and these events may not be, beside the others.
fn conflicts(rule: Conflicts, state: &State, id: &str, url: &str, events: &[String]) -> bool {
    let sorted = |events: &[String]| {
        let mut events = events.to_vec();
        events.sort_unstable();
        events.dedup();
        events
    };
    let mut others = state.endpoints_of(Platform::Diddo).filter(|other| other.id != id && other.url == url);
    match rule {
        Conflicts::Never => false,
        Conflicts::SameUrl => others.next().is_some(),
        Conflicts::SameUrlAndEvents => others.any(|other| sorted(&other.events) == sorted(events)),
    }
}

fn conflict() -> Answer {
    Answer::error(StatusCode::CONFLICT, "there is such an endpoint")
}

fn create(shared: &Shared, request: &ApiRequest) -> Result<Answer, Answer> {
    let settings = &shared.settings;
    let mut fields = request.fields()?;
    let url = required(fields.url(settings)?, "url")?;
    let events = required(fields.events("events", Platform::Diddo)?, "events")?;
    let description = fields.text("description")?;
    fields.done()?;

    let (prefix, half) = (settings.diddo_secret_prefix, || Uuid::new_v4().simple());
    let secret = Secret::new(format!("{prefix}{}{}", half(), half()))
        .map_err(|_| Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "no secret could be made"))?;
    let endpoint = Endpoint {
        platform: Platform::Diddo,
        id: Uuid::new_v4().hyphenated().to_string(),
        livemode: true,
        url,
        events,
        enabled: true,
        description,
        api_version: String::new(),
        metadata: Map::new(),
        created: shared.settings.now(),
        secret: Arc::new(secret),
        traffic: Traffic::default(),
    };
    let mut state = shared.lock();
    if conflicts(settings.diddo.conflicts, &state, &endpoint.id, &endpoint.url, &endpoint.events) {
        return Err(conflict());
    }
    if state.endpoints_of(Platform::Diddo).count() >= MOST_ENDPOINTS {
        return Err(Answer::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the simulator takes no more endpoints",
        ));
    }
    let answer = Answer::json(StatusCode::CREATED, object(&endpoint))
        .with_secret(&settings.diddo.secret_field, endpoint.secret.expose());
    state.add(endpoint);
    Ok(answer)
}

fn retrieve(shared: &Shared, id: &str) -> Result<Answer, Answer> {
    let state = shared.lock();
    let endpoint = state.endpoint(Platform::Diddo, id).ok_or_else(Answer::not_found)?;
    Ok(Answer::json(StatusCode::OK, object(endpoint)))
}

fn update(shared: &Shared, request: &ApiRequest, id: &str) -> Result<Answer, Answer> {
    let mut fields = request.fields()?;
    let url = fields.url(&shared.settings)?;
    let events = fields.events("events", Platform::Diddo)?;
    let description = fields.text("description")?;
    let active = match fields.take("active") {
        None => None,
        Some(Value::Bool(active)) => Some(active),
        Some(_) => return Err(bad_request("active is neither true nor false")),
    };
    fields.done()?;

    let mut state = shared.lock();
    let endpoint = state.endpoint(Platform::Diddo, id).ok_or_else(Answer::not_found)?;
    let url = url.unwrap_or_else(|| endpoint.url.clone());
    let events = events.unwrap_or_else(|| endpoint.events.clone());
    if conflicts(shared.settings.diddo.conflicts, &state, id, &url, &events) {
        return Err(conflict());
    }
    if let Some(endpoint) = state.endpoint_mut(Platform::Diddo, id) {
        (endpoint.url, endpoint.events) = (url, events);
        endpoint.description = description.or_else(|| endpoint.description.take());
        if active == Some(true) {
            endpoint.enable();
        }
    }
    if active == Some(false) {
        state.disable(Platform::Diddo, id);
    }
    drop(state);
    retrieve(shared, id)
}

fn delete(shared: &Shared, id: &str) -> Answer {
    shared.lock().delete(Platform::Diddo, id);
    Answer::empty(StatusCode::OK)
}

fn list(shared: &Shared, request: &ApiRequest) -> Result<Answer, Answer> {
    let settings = &shared.settings.diddo;
    let (active, event) = (settings.active_filter.as_str(), settings.event_filter.as_str());
    let pairs = request.parameters(&["limit", "offset", active, event])?;
    let limit = number(&pairs, "limit", 1..=100)?.unwrap_or(20);
    let offset = number(&pairs, "offset", 0..=u64::MAX)?.unwrap_or(0);
    let (active, event) = (boolean(&pairs, active)?, single(&pairs, event)?);
    if event.is_some_and(|event| !Platform::Diddo.knows(event)) {
        return Err(bad_request("unknown event type"));
    }

    let state = shared.lock();
    let found: Vec<&Endpoint> = state
        .endpoints_of(Platform::Diddo)
        .filter(|endpoint| active.is_none_or(|active| active == endpoint.enabled))
        .filter(|endpoint| event.is_none_or(|event| endpoint.is_subscribed_to(event)))
        .collect();
    let page = found
        .iter()
        .skip(usize::try_from(offset).unwrap_or(usize::MAX))
        .take(usize::try_from(limit).unwrap_or(100));
    let page: Vec<Value> = page.map(|endpoint| object(endpoint)).collect();
    Ok(Answer::json(
        StatusCode::OK,
        match &settings.list_field {
            None => page.into(),
            Some(name) => Value::Object(Map::from_iter([(name.clone(), page.into())])),
        },
    ))
}
