//! CasaPay's API, as documented, and what it leaves open.
//!
//! Chosen here: a create is answered 200; a delete with `{"id", "object", "deleted": true}`; a key sees the endpoints and
//! events of its own mode; parameters that are not documented are refused; `types` is taken with commas, repeated, and
//! as `types[]`; an event counts as delivered when every endpoint that was subscribed has accepted it.

use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::platform::{Operation, Platform};
use super::request::{ApiRequest, Fields, bad_request, boolean, number, required, single};
use super::settings::ListOrder;
use super::shared::Shared;
use super::state::{Endpoint, Event, MOST_ENDPOINTS, Traffic};
use crate::signature::Secret;

pub(super) const API_VERSION: &str = "2025-01-15";

const FILTERS: [&str; 7] =
    ["type", "types", "types[]", "created[gte]", "created[lte]", "delivery_success", "limit"];

/// What a path names.
enum Route<'a> {
    Endpoints,
    Endpoint(&'a str),
    Events,
    Event(&'a str),
}

fn route(path: &str) -> Option<Route<'_>> {
    let mut segments = path.strip_prefix("/v1/")?.split('/');
    let (collection, id) = (segments.next()?, segments.next());
    match (collection, id, segments.next()) {
        ("webhook_endpoints", None, None) => Some(Route::Endpoints),
        ("webhook_endpoints", Some(id), None) if !id.is_empty() => Some(Route::Endpoint(id)),
        ("events", None, None) => Some(Route::Events),
        ("events", Some(id), None) if !id.is_empty() => Some(Route::Event(id)),
        _ => None,
    }
}

pub(super) fn operation(method: &Method, path: &str) -> Option<Operation> {
    match (route(path)?, method.as_str()) {
        (Route::Endpoints, "POST") => Some(Operation::Create),
        (Route::Endpoints, "GET") => Some(Operation::List),
        (Route::Endpoint(_), "GET") => Some(Operation::Retrieve),
        (Route::Endpoint(_), "POST") => Some(Operation::Update),
        (Route::Endpoint(_), "DELETE") => Some(Operation::Delete),
        (Route::Events, "GET") => Some(Operation::ListEvents),
        (Route::Event(_), "GET") => Some(Operation::RetrieveEvent),
        _ => None,
    }
}

pub(super) fn handle(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    let Some(livemode) = livemode(shared, request) else { return Answer::unauthorized() };
    let Some(route) = route(&request.path) else { return Answer::not_found() };
    let answered = match (route, request.method.as_str()) {
        (Route::Endpoints, "POST") => create(shared, request, livemode),
        (Route::Endpoints, "GET") => list(shared, request, livemode),
        (Route::Endpoints, _) => Err(Answer::not_allowed("GET, POST")),
        (Route::Endpoint(id), "GET") => retrieve(shared, id, livemode),
        (Route::Endpoint(id), "POST") => update(shared, request, id, livemode),
        (Route::Endpoint(id), "DELETE") => delete(shared, id, livemode),
        (Route::Endpoint(_), _) => Err(Answer::not_allowed("GET, POST, DELETE")),
        (Route::Events, "GET") => list_events(shared, request, livemode),
        (Route::Event(id), "GET") => retrieve_event(shared, id, livemode),
        (Route::Events | Route::Event(_), _) => Err(Answer::not_allowed("GET")),
    };
    answered.unwrap_or_else(|refused| refused)
}

/// The mode of the bearer key, if it is one of ours.
fn livemode(shared: &Shared, request: &ApiRequest) -> Option<bool> {
    let mut given = request.headers.get_all(AUTHORIZATION).iter();
    let (scheme, key) = given.next()?.to_str().ok()?.split_once(' ')?;
    let known = shared.settings.casapay_keys.iter().any(|known| known == key);
    (known && scheme.eq_ignore_ascii_case("bearer") && given.next().is_none())
        .then(|| key.starts_with("sk_live_"))
}

fn object(endpoint: &Endpoint) -> Value {
    json!({
        "id": endpoint.id,
        "object": "webhook_endpoint",
        "url": endpoint.url,
        "enabled_events": endpoint.events,
        "status": if endpoint.enabled { "enabled" } else { "disabled" },
        "api_version": endpoint.api_version,
        "description": endpoint.description,
        "metadata": endpoint.metadata,
        "created": endpoint.created,
    })
}

fn api_version(fields: &mut Fields) -> Result<String, Answer> {
    let version = fields.text("api_version")?.unwrap_or_else(|| API_VERSION.to_owned());
    let is_date = version.len() == API_VERSION.len()
        && version.bytes().zip(API_VERSION.bytes()).all(|(given, model)| match model {
            b'-' => given == b'-',
            _ => given.is_ascii_digit(),
        });
    if is_date { Ok(version) } else { Err(bad_request("api_version is not a date")) }
}

fn metadata(fields: &mut Fields) -> Result<Map<String, Value>, Answer> {
    match fields.take("metadata") {
        None => Ok(Map::new()),
        Some(Value::Object(metadata)) if metadata.values().all(Value::is_string) => Ok(metadata),
        Some(_) => Err(bad_request("metadata is not an object of strings")),
    }
}

fn create(shared: &Shared, request: &ApiRequest, livemode: bool) -> Result<Answer, Answer> {
    let mut fields = request.fields()?;
    let url = required(fields.url(&shared.settings)?, "url")?;
    let events = required(fields.events("enabled_events", Platform::CasaPay)?, "enabled_events")?;
    let description = fields.text("description")?;
    let (api_version, metadata) = (api_version(&mut fields)?, metadata(&mut fields)?);
    fields.done()?;

    let id = || uuid::Uuid::new_v4().simple();
    let secret = Secret::new(format!("whsec_{}{}", id(), id()))
        .map_err(|_| Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "no secret could be made"))?;
    let endpoint = Endpoint {
        platform: Platform::CasaPay,
        id: format!("we_{}", id()),
        livemode,
        url,
        events,
        enabled: true,
        description,
        api_version,
        metadata,
        created: shared.settings.now(),
        secret: Arc::new(secret),
        traffic: Traffic::default(),
    };
    let answer = Answer::json(StatusCode::OK, object(&endpoint));
    let answer = answer.with_secret("secret", endpoint.secret.expose());
    let mut state = shared.lock();
    if state.endpoints_of(Platform::CasaPay).count() >= MOST_ENDPOINTS {
        return Err(Answer::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the simulator takes no more endpoints",
        ));
    }
    state.add(endpoint);
    Ok(answer)
}

fn retrieve(shared: &Shared, id: &str, livemode: bool) -> Result<Answer, Answer> {
    let state = shared.lock();
    let endpoint = state.endpoint(Platform::CasaPay, id).filter(|endpoint| endpoint.livemode == livemode);
    endpoint.map(|endpoint| Answer::json(StatusCode::OK, object(endpoint))).ok_or_else(Answer::not_found)
}

fn update(shared: &Shared, request: &ApiRequest, id: &str, livemode: bool) -> Result<Answer, Answer> {
    // An endpoint that is not there is 404, whatever the body.
    retrieve(shared, id, livemode)?;
    let mut fields = request.fields()?;
    let url = fields.url(&shared.settings)?;
    let events = fields.events("enabled_events", Platform::CasaPay)?;
    let description = fields.text("description")?;
    let enabled = match fields.text("status")?.as_deref() {
        None => None,
        Some("enabled") => Some(true),
        Some("disabled") => Some(false),
        Some(_) => return Err(bad_request("status is neither enabled nor disabled")),
    };
    fields.done()?;

    let mut state = shared.lock();
    let endpoint = state.endpoint_mut(Platform::CasaPay, id).ok_or_else(Answer::not_found)?;
    endpoint.url = url.unwrap_or_else(|| endpoint.url.clone());
    endpoint.events = events.unwrap_or_else(|| endpoint.events.clone());
    endpoint.description = description.or_else(|| endpoint.description.take());
    if enabled == Some(true) {
        endpoint.enable();
    }
    if enabled == Some(false) {
        state.disable(Platform::CasaPay, id);
    }
    drop(state);
    retrieve(shared, id, livemode)
}

fn delete(shared: &Shared, id: &str, livemode: bool) -> Result<Answer, Answer> {
    retrieve(shared, id, livemode)?;
    shared.lock().delete(Platform::CasaPay, id);
    Ok(Answer::json(StatusCode::OK, json!({"id": id, "object": "webhook_endpoint", "deleted": true})))
}

fn list_of(mut data: Vec<Value>, order: ListOrder, limit: usize) -> Answer {
    if order == ListOrder::NewestFirst {
        data.reverse();
    }
    let has_more = data.len() > limit;
    data.truncate(limit);
    Answer::json(StatusCode::OK, json!({"object": "list", "data": data, "has_more": has_more}))
}

fn list(shared: &Shared, request: &ApiRequest, livemode: bool) -> Result<Answer, Answer> {
    request.parameters(&[])?;
    let state = shared.lock();
    let of_mode = state.endpoints_of(Platform::CasaPay).filter(|endpoint| endpoint.livemode == livemode);
    Ok(list_of(of_mode.map(object).collect(), shared.settings.casapay_order, usize::MAX))
}

fn retrieve_event(shared: &Shared, id: &str, livemode: bool) -> Result<Answer, Answer> {
    let state = shared.lock();
    let event = state.event(Platform::CasaPay, id).filter(|event| event.livemode == livemode);
    event
        .map(|event| Answer::json(StatusCode::OK, event.casapay_object(API_VERSION)))
        .ok_or_else(Answer::not_found)
}

fn list_events(shared: &Shared, request: &ApiRequest, livemode: bool) -> Result<Answer, Answer> {
    let pairs = request.parameters(&FILTERS)?;
    let mut types: Vec<&str> = Vec::new();
    for (_, value) in pairs.iter().filter(|(name, _)| name == "types" || name == "types[]") {
        types.extend(value.split(',').map(str::trim));
    }
    let filter_types = pairs.iter().any(|(name, _)| name.starts_with("types"));
    let one_type = single(&pairs, "type")?;
    let since = number(&pairs, "created[gte]", 0..=u64::MAX)?.unwrap_or(0);
    let until = number(&pairs, "created[lte]", 0..=u64::MAX)?.unwrap_or(u64::MAX);
    let delivered = boolean(&pairs, "delivery_success")?;
    // How many come without a limit is undocumented.
    let limit = number(&pairs, "limit", 1..=100)?.unwrap_or(100);

    let state = shared.lock();
    let fits = |event: &&Event| {
        event.platform == Platform::CasaPay
            && event.livemode == livemode
            && one_type.is_none_or(|only| only == event.event_type)
            && (!filter_types || types.contains(&event.event_type.as_str()))
            && (since..=until).contains(&event.created)
            && delivered.is_none_or(|delivered| delivered == event.is_delivered())
    };
    let events = state.events.iter().filter(fits).map(|event| event.casapay_object(API_VERSION)).collect();
    Ok(list_of(events, shared.settings.casapay_order, usize::try_from(limit).unwrap_or(100)))
}
