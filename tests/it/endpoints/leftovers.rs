//! Creations whose answer was lost, through the manager: what was left behind is named, and the way out works.

use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tower_webhook::endpoints::{Change, EndpointErrorKind as Kind, EndpointManager, Registered};
use wiremock::{Request, ResponseTemplate};

use super::api::{Api, URL, WHSEC, answer, casapay_created, casapay_endpoint, failure, types};
use super::memory::{Memory, Vault, managed, managed_with_one};

/// CasaPay's API over an account whose first creation is answered as given.
async fn losing(first: ResponseTemplate) -> Api {
    let account: Arc<Mutex<Vec<Value>>> = Arc::default();
    let first = Mutex::new(Some(first));
    Api::with(move |request: &Request| {
        let mut account = account.lock().unwrap();
        match (request.method.as_str(), request.url.path()) {
            ("GET", "/v1/webhook_endpoints") => answer(200, json!({"data": *account})),
            ("POST", "/v1/webhook_endpoints") => {
                let id = format!("we_{}", account.len() + 1);
                let mut endpoint = casapay_endpoint(&id);
                endpoint["enabled_events"] = request.body_json::<Value>().unwrap()["enabled_events"].clone();
                account.push(endpoint);
                first.lock().unwrap().take().unwrap_or_else(|| answer(200, casapay_created(&id)))
            }
            ("DELETE", path) => {
                let before = account.len();
                account.retain(|endpoint| !path.ends_with(endpoint["id"].as_str().unwrap()));
                answer(if account.len() < before { 200 } else { 404 }, json!({}))
            }
            other => panic!("{other:?}"),
        }
    })
    .await
}

#[tokio::test]
async fn what_a_lost_answer_left_behind_is_named_and_deleting_it_is_the_way_out() {
    let mut no_secret = casapay_created("we_1");
    no_secret.as_object_mut().unwrap().remove("secret");
    for (first, kind) in [
        (ResponseTemplate::new(500), Kind::OutcomeUnknown),
        (ResponseTemplate::new(200).set_body_string("{\"id\":"), Kind::OutcomeUnknown),
        (answer(201, no_secret), Kind::SecretMissing),
    ] {
        let api = losing(first).await;
        let vault = Vault::beside(&Memory::new());
        let manager = EndpointManager::new(api.casapay(), vault.clone());
        let error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
        assert_eq!((error.kind(), error.endpoint_ids()), (kind, &types(&["we_1"])[..]));
        assert!(error.to_string().contains("(endpoints: we_1)"), "{error}");

        let error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
        assert_eq!((error.kind(), error.endpoint_ids()), (Kind::SecretUnknown, &types(&["we_1"])[..]));
        let posts = || async {
            let asked = api.asked().await;
            asked.iter().filter(|asked| asked.line == "POST /v1/webhook_endpoints").count()
        };
        assert_eq!(posts().await, 1);

        manager.api().delete("we_1").await.unwrap();
        let ensured = manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap();
        assert_eq!((ensured.change, posts().await), (Change::Created, 2));
        assert_eq!(vault.get(&ensured.endpoint_id).as_deref(), Some(WHSEC));
    }
}

#[tokio::test]
async fn a_creation_that_was_refused_leaves_nothing_and_can_be_repeated() {
    let (api, _, manager) = managed();
    api.fail_creation(Kind::RateLimited, false);
    let error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    assert_eq!((error.kind(), error.endpoint_ids().len()), (Kind::RateLimited, 0));
    assert_eq!(manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap().change, Change::Created);
}

#[tokio::test]
async fn where_nothing_was_left_behind_nothing_is_named() {
    let (api, _, manager) = managed();
    api.fail_creation(Kind::OutcomeUnknown, false);
    let error = failure(manager.ensure_endpoint(URL, ["invoice.paid"]).await);
    assert_eq!((error.kind(), error.endpoint_ids().len()), (Kind::OutcomeUnknown, 0));
    assert_eq!(manager.ensure_endpoint(URL, ["invoice.paid"]).await.unwrap().change, Change::Created);
}

/// The one that is to be replaced is not for deleting, even if its secret is not at hand.
#[tokio::test]
async fn a_rotation_that_lost_its_answer_names_the_new_endpoint_alone() {
    for old_is_known in [true, false] {
        let (api, vault, manager) = managed();
        api.add(Registered::new("old", URL, types(&["invoice.paid"])));
        if old_is_known {
            vault.put("old");
        }
        let begin = async || {
            if old_is_known {
                manager.begin_rotation(URL).await
            } else {
                manager.replace_lost_secret(URL).await
            }
        };
        api.fail_creation(Kind::OutcomeUnknown, true);
        let error = failure(begin().await);
        assert_eq!((error.kind(), error.endpoint_ids()), (Kind::OutcomeUnknown, &types(&["we_1"])[..]));
        // It may deliver: what it signs is not to be refused for good.
        assert_eq!(api.journal.read(), ["list", "announce acme", "create", "list"]);

        let error = failure(begin().await);
        assert_eq!((error.kind(), error.endpoint_ids()), (Kind::SecretUnknown, &types(&["we_1"])[..]));
        api.lose("we_1");
        let rotation = begin().await.unwrap();
        assert_eq!((&*rotation.old, &*rotation.new), ("old", "we_2"));
    }
}

#[tokio::test]
async fn a_rotation_that_was_refused_takes_its_announcement_back() {
    let (api, _, manager) = managed_with_one(&["invoice.paid"]);
    api.fail_creation(Kind::Conflict, false);
    assert_eq!(failure(manager.begin_rotation(URL).await).kind(), Kind::Conflict);
    assert_eq!(api.journal.read(), ["list", "announce acme", "create", "withdraw acme"]);
    assert_eq!(api.ids(), ["old"]);
}
