//! CasPay's endpoint API: creating one, which is all that its SDK shows. Path and header are
//! [invented](super::CasPaySettings), so are the answer's status, 201, and its body, which does not repeat the secret.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Map, json};
use uuid::Uuid;

use super::answer::Answer;
use super::platform::{Operation, Platform};
use super::request::{ApiRequest, bad_request, required};
use super::shared::Shared;
use super::state::{Endpoint, MOST_ENDPOINTS, Traffic};
use crate::signature::Secret;

pub(super) fn operation(shared: &Shared, method: &Method, path: &str) -> Option<Operation> {
    (path == shared.settings.caspay.path && method == Method::POST).then_some(Operation::Create)
}

pub(super) fn handle(shared: &Arc<Shared>, request: &ApiRequest) -> Answer {
    if !shared.settings.caspay_auth.allows(&request.headers) {
        return Answer::unauthorized();
    }
    if request.path != shared.settings.caspay.path {
        return Answer::not_found();
    }
    if request.method != Method::POST {
        return Answer::not_allowed("POST");
    }
    create(shared, request).unwrap_or_else(|refused| refused)
}

fn create(shared: &Shared, request: &ApiRequest) -> Result<Answer, Answer> {
    let mut fields = request.fields()?;
    let url = required(fields.url(&shared.settings)?, "url")?;
    let events = required(fields.events("events", Platform::CasPay)?, "events")?;
    let secret = required(fields.text("secret")?, "secret")?;
    fields.done()?;
    // How long a secret must be is undocumented. What no receiver could be configured with is refused.
    let secret =
        Secret::weak(secret).map_err(|_| bad_request("secret is empty, or has white space at an end"))?;

    let id = format!("wh_{}", Uuid::new_v4().simple());
    let answer = Answer::json(StatusCode::CREATED, json!({"id": id, "url": url, "events": events}));
    let mut state = shared.lock();
    if state.endpoints_of(Platform::CasPay).count() >= MOST_ENDPOINTS {
        return Err(Answer::error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the simulator takes no more endpoints",
        ));
    }
    state.add(Endpoint {
        platform: Platform::CasPay,
        id,
        livemode: true,
        url,
        events,
        enabled: true,
        description: None,
        api_version: String::new(),
        metadata: Map::new(),
        created: shared.settings.now(),
        secret: Arc::new(secret),
        traffic: Traffic::default(),
    });
    Ok(answer)
}
