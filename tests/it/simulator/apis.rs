//! Every documented status of every call, and secrets that are shown once.

use serde_json::{Value, json};
use tower_webhook::testing::simulator::{
    CASAPAY_LIVE_KEY, CASAPAY_TEST_KEY, CASPAY_CREATE_PATH, CasPaySettings, Conflicts, DiddoSettings, Fault,
    Platform, Simulator,
};

use super::stand::{CASPAY, DIDDO, call, casapay, caspay, diddo, simulator, try_call};

const URL: &str = "https://shop.example/hook";

#[tokio::test]
async fn casapay_endpoints_from_create_to_delete() {
    let simulator = simulator().await;
    let create = json!({
        "url": URL, "enabled_events": ["invoice.paid", "identity_check.*", "score_report.ready"],
        "description": "a shop", "api_version": "2024-06-01", "metadata": {"team": "payments"},
    });
    let reply = casapay(&simulator, "POST", "/webhook_endpoints", create.clone()).await;
    assert_eq!(reply.status, 200);
    let mut created = reply.json();
    let id = created["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("we_"));
    assert!(created["created"].as_u64().unwrap() > 1_700_000_000);
    assert_eq!((&created["object"], &created["status"]), (&json!("webhook_endpoint"), &json!("enabled")));
    for (name, value) in create.as_object().unwrap() {
        assert_eq!(&created[name], value, "{name}");
    }
    let secret = created.as_object_mut().unwrap().remove("secret").unwrap();
    assert!(secret.as_str().unwrap().starts_with("whsec_"));

    let path = format!("/webhook_endpoints/{id}");
    let retrieved = casapay(&simulator, "GET", &path, Value::Null).await;
    assert_eq!((retrieved.status, retrieved.json()), (200, created.clone()));
    let listed = casapay(&simulator, "GET", "/webhook_endpoints", Value::Null).await;
    let list = json!({"object": "list", "data": [created.clone()], "has_more": false});
    assert_eq!((listed.status, listed.json()), (200, list));

    let update = json!({
        "url": "https://shop.example/other", "enabled_events": ["charge.failed"], "status": "disabled",
        "description": "another",
    });
    for (name, value) in update.as_object().unwrap() {
        created[name] = value.clone();
    }
    let updated = casapay(&simulator, "POST", &path, update).await;
    assert_eq!((updated.status, updated.json()), (200, created.clone()));
    let updated = casapay(&simulator, "POST", &path, json!({"status": "enabled"})).await;
    created["status"] = json!("enabled");
    assert_eq!((updated.status, updated.json()), (200, created));

    assert_eq!(casapay(&simulator, "DELETE", &path, Value::Null).await.status, 200);
    for (method, body) in [("GET", Value::Null), ("POST", json!({})), ("DELETE", Value::Null)] {
        assert_eq!(casapay(&simulator, method, &path, body).await.status, 404, "{method}");
    }
    assert_eq!(casapay(&simulator, "GET", "/webhook_endpoints", Value::Null).await.json()["data"], json!([]));
}

#[tokio::test]
async fn casapay_refuses_what_is_not_documented() {
    let simulator = simulator().await;
    let valid = json!({"url": URL, "enabled_events": ["invoice.paid"]});
    let endpoint = casapay(&simulator, "POST", "/webhook_endpoints", valid.clone()).await.json();
    let path = format!("/webhook_endpoints/{}", endpoint["id"].as_str().unwrap());

    let changes = [
        ("url", json!("http://shop.example/hook")),
        ("url", json!("http://127.0.0.1.shop.example/")),
        ("url", json!("ftp://127.0.0.1/")),
        ("url", json!("/hook")),
        ("url", json!("")),
        ("url", json!(7)),
        ("enabled_events", json!([])),
        ("enabled_events", json!("invoice.paid")),
        ("enabled_events", json!(["*"])),
        ("enabled_events", json!(["invoice.*"])),
        ("enabled_events", json!(["payment.completed"])),
        ("enabled_events", json!([null])),
        ("description", json!(7)),
        ("secret", json!("whsec_of_my_own_and_long_enough")),
        ("enabled_event", json!(["invoice.paid"])),
    ];
    for (name, value) in &changes {
        let mut create = valid.clone();
        create[*name] = value.clone();
        let reply = casapay(&simulator, "POST", "/webhook_endpoints", create).await;
        assert_eq!(reply.status, 400, "create with {name}: {value}");
        assert!(reply.json()["error"]["message"].is_string());
        let reply = casapay(&simulator, "POST", &path, json!({*name: value})).await;
        assert_eq!(reply.status, 400, "update with {name}: {value}");
    }
    for (name, value) in [
        ("api_version", json!("latest")),
        ("metadata", json!({"n": 1})),
        ("metadata", json!("text")),
        ("status", json!("enabled")),
    ] {
        let mut create = valid.clone();
        create[name] = value.clone();
        let reply = casapay(&simulator, "POST", "/webhook_endpoints", create).await;
        assert_eq!(reply.status, 400, "create with {name}: {value}");
    }
    for update in [
        json!({"status": "paused"}),
        json!({"metadata": {"team": "x"}}),
        json!({"api_version": "2025-01-15"}),
    ] {
        assert_eq!(casapay(&simulator, "POST", &path, update.clone()).await.status, 400, "{update}");
    }
    for missing in ["url", "enabled_events"] {
        let mut create = valid.clone();
        create.as_object_mut().unwrap().remove(missing);
        let reply = casapay(&simulator, "POST", "/webhook_endpoints", create).await;
        assert_eq!(reply.status, 400, "{missing}");
    }
    let after = casapay(&simulator, "GET", "/webhook_endpoints", Value::Null).await.json();
    assert_eq!(after["data"].as_array().unwrap().len(), 1, "nothing was created");
    assert_eq!(after["data"][0]["url"], URL, "nothing was changed");

    let key = format!("Bearer {CASAPAY_LIVE_KEY}");
    let url = format!("{}/v1/webhook_endpoints", simulator.casapay_url());
    let (auth, json) = (("authorization", key.as_str()), ("content-type", "application/json"));
    let huge = format!(r#"{{"url":"{}"}}"#, "x".repeat(300_000));
    for (headers, body) in [
        (&[auth, json][..], "not json"),
        (&[auth, json], "[]"),
        (&[auth, json], ""),
        (&[auth], &*valid.to_string()),
        (&[auth, ("content-type", "application/x-www-form-urlencoded")], "url=https%3A%2F%2Fshop.example"),
        (&[auth, json], &*huge),
    ] {
        assert_eq!(try_call("POST", &url, headers, body).await.unwrap().status, 400);
    }
}

#[tokio::test]
async fn casapay_keys_paths_and_methods() {
    let simulator = simulator().await;
    let base = simulator.casapay_url();
    for path in ["/v1/webhook_endpoints", "/v1/webhook_endpoints/we_1", "/v1/events", "/v1/events/evt_1"] {
        for key in [
            "Bearer sk_live_another",
            "Bearer ",
            CASAPAY_LIVE_KEY,
            &format!("Basic {CASAPAY_LIVE_KEY}"),
            &format!("Bearer {CASAPAY_LIVE_KEY}x"),
        ] {
            let reply = call("GET", &format!("{base}{path}"), ("authorization", key), &Value::Null).await;
            assert_eq!(reply.status, 401, "{path} with {key}");
        }
        assert_eq!(try_call("GET", &format!("{base}{path}"), &[], "").await.unwrap().status, 401);
    }
    for (method, path, status) in [
        ("GET", "/webhook_endpoints/we_1", 404),
        ("GET", "/events/evt_1", 404),
        ("GET", "/webhook_endpoints/", 404),
        ("GET", "/webhook_endpoints/a/b", 404),
        ("GET", "/customers", 404),
        ("PUT", "/webhook_endpoints", 405),
        ("PATCH", "/webhook_endpoints/we_1", 405),
        ("POST", "/events", 405),
        ("DELETE", "/events/evt_1", 405),
        ("GET", "/webhook_endpoints?limit=3", 400),
    ] {
        let reply = casapay(&simulator, method, path, Value::Null).await;
        assert_eq!(reply.status, status, "{method} {path}");
    }
    // The log says what was asked, and nothing of the keys.
    let calls = simulator.calls();
    let last = calls.last().unwrap();
    assert_eq!((last.path.as_str(), last.status), ("/v1/webhook_endpoints", Some(400)));
    assert!(!format!("{calls:?}").contains("sk_live"));
}

#[tokio::test]
async fn casapay_keys_see_their_own_mode() {
    let simulator = simulator().await;
    let url = format!("{}/v1/webhook_endpoints", simulator.casapay_url());
    let key = format!("Bearer {CASAPAY_TEST_KEY}");
    let test = ("authorization", key.as_str());
    let created =
        call("POST", &url, test, &json!({"url": URL, "enabled_events": ["invoice.paid"]})).await.json();
    let id = created["id"].as_str().unwrap();
    let listed = call("GET", &url, test, &Value::Null).await.json();
    assert_eq!(listed["data"][0]["id"], id);
    assert_eq!(casapay(&simulator, "GET", "/webhook_endpoints", Value::Null).await.json()["data"], json!([]));
    let path = format!("/webhook_endpoints/{id}");
    for (method, body) in [("GET", Value::Null), ("POST", json!({})), ("DELETE", Value::Null)] {
        assert_eq!(casapay(&simulator, method, &path, body).await.status, 404, "{method}");
    }
    assert_eq!(call("GET", &format!("{url}/{id}"), test, &Value::Null).await.status, 200);
}

#[tokio::test]
async fn http_is_for_loopback_and_can_be_refused_there_too() {
    let lenient = simulator().await;
    let strict = Simulator::builder().require_https().start().await.unwrap();
    for (url, by_default, strictly) in [
        ("http://127.0.0.1:9/", 200, 400),
        ("http://localhost:9/", 200, 400),
        ("http://[::1]:9/", 200, 400),
        ("http://10.0.0.1/", 400, 400),
        ("https://shop.example/", 200, 200),
    ] {
        for (simulator, status) in [(&lenient, by_default), (&strict, strictly)] {
            let body = json!({"url": url, "enabled_events": ["invoice.paid"]});
            let reply = casapay(simulator, "POST", "/webhook_endpoints", body).await;
            assert_eq!(reply.status, status, "{url}");
        }
    }
}

#[tokio::test]
async fn diddo_endpoints_from_create_to_delete() {
    let simulator = simulator().await;
    let create = json!({"url": URL, "events": ["order.submitted"], "description": "a shop"});
    let reply = diddo(&simulator, "POST", "/webhook", create).await;
    assert_eq!(reply.status, 201);
    let mut created = reply.json();
    let secret = created.as_object_mut().unwrap().remove("secret").unwrap();
    assert_eq!(secret.as_str().unwrap().len(), 64);
    let id = created["id"].as_str().unwrap().to_owned();
    let dashes: Vec<_> = id.match_indices('-').map(|(at, _)| at).collect();
    assert_eq!((id.len(), &dashes[..]), (36, &[8, 13, 18, 23][..]), "a UUID");
    assert_eq!(created["active"], true);

    let path = format!("/webhook/{id}");
    let retrieved = diddo(&simulator, "GET", &path, Value::Null).await;
    assert_eq!((retrieved.status, retrieved.json()), (200, created.clone()));
    let update = json!({
        "url": "https://shop.example/2", "events": ["checkout.failed"], "active": false, "description": "x",
    });
    for (name, value) in update.as_object().unwrap() {
        created[name] = value.clone();
    }
    let updated = diddo(&simulator, "PUT", &path, update).await;
    assert_eq!((updated.status, updated.json()), (200, created.clone()));
    let listed = diddo(&simulator, "GET", "/webhook", Value::Null).await;
    assert_eq!((listed.status, listed.json()), (200, json!({"data": [created]})));
    assert_eq!(diddo(&simulator, "DELETE", &path, Value::Null).await.status, 200);
    for (method, body) in [("GET", Value::Null), ("PUT", json!({})), ("DELETE", Value::Null)] {
        assert_eq!(diddo(&simulator, method, &path, body.clone()).await.status, 404, "{method}");
        assert_eq!(diddo(&simulator, method, "/webhook/7", body).await.status, 400, "{method} of no UUID");
    }
}

#[tokio::test]
async fn diddo_refuses_what_is_not_documented() {
    let simulator = simulator().await;
    let valid = json!({"url": URL, "events": ["order.submitted"]});
    let created = diddo(&simulator, "POST", "/webhook", valid.clone()).await.json();
    let path = format!("/webhook/{}", created["id"].as_str().unwrap());
    for (name, value) in [
        ("url", json!("http://shop.example/")),
        ("url", json!(null)),
        ("events", json!([])),
        ("events", json!(["order.*"])),
        ("events", json!(["invoice.paid"])),
        ("description", json!([])),
        ("name", json!("x")),
    ] {
        let mut create = valid.clone();
        create[name] = value.clone();
        assert_eq!(diddo(&simulator, "POST", "/webhook", create).await.status, 400, "{name}: {value}");
        assert_eq!(diddo(&simulator, "PUT", &path, json!({name: value})).await.status, 400, "{name}");
    }
    assert_eq!(diddo(&simulator, "PUT", &path, json!({"active": "no"})).await.status, 400);
    for missing in [json!({"url": URL}), json!({"events": ["order.submitted"]})] {
        assert_eq!(diddo(&simulator, "POST", "/webhook", missing).await.status, 400);
    }
    let unknown = "/webhook/00000000-0000-0000-0000-000000000000".to_owned();
    for (method, at) in [
        ("GET", "/webhook"),
        ("POST", "/webhook"),
        ("GET", &unknown),
        ("PUT", &unknown),
        ("DELETE", &unknown),
    ] {
        let url = format!("{}{at}", simulator.diddo_url());
        let wrong = call(method, &url, (DIDDO.0, "another"), &Value::Null).await;
        assert_eq!(wrong.status, 401, "{method} {at}");
        simulator.plan_fault(Platform::Diddo, None, 1, Fault::Status { status: 500, retry_after: None });
        assert_eq!(diddo(&simulator, method, at, Value::Null).await.status, 500, "{method} {at}");
    }
    for (method, at, status) in
        [("PUT", "/webhook", 405), ("POST", path.as_str(), 405), ("GET", "/webhooks", 404), ("GET", "", 404)]
    {
        assert_eq!(diddo(&simulator, method, at, Value::Null).await.status, status, "{method} {at}");
    }
}

#[tokio::test]
async fn diddo_lists_by_page_and_by_filters_of_any_name() {
    let settings = DiddoSettings::new().with_filters("is_active", "type").with_list_field(None);
    let simulator = Simulator::builder().with_diddo(settings).start().await.unwrap();
    let mut ids = Vec::new();
    for number in 0..25 {
        let event = if number % 5 == 0 { "checkout.failed" } else { "order.submitted" };
        let body = json!({"url": URL, "events": [event]});
        let id = diddo(&simulator, "POST", "/webhook", body).await.json()["id"].as_str().unwrap().to_owned();
        if number % 10 == 0 {
            let path = format!("/webhook/{id}");
            assert_eq!(diddo(&simulator, "PUT", &path, json!({"active": false})).await.status, 200);
        }
        ids.push(id);
    }
    let listed = async |query: &str| {
        let reply = diddo(&simulator, "GET", &format!("/webhook{query}"), Value::Null).await;
        assert_eq!(reply.status, 200, "{query}");
        let list = reply.json().as_array().unwrap().clone();
        list.iter().map(|endpoint| endpoint["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(listed("").await, ids[..20]);
    assert_eq!(listed("?offset=20").await, ids[20..]);
    assert_eq!(listed("?limit=100").await, ids);
    assert_eq!(listed("?limit=7&offset=7").await, ids[7..14]);
    assert!(listed("?offset=18446744073709551615").await.is_empty());
    assert_eq!(listed("?is_active=false").await, [ids[0].clone(), ids[10].clone(), ids[20].clone()]);
    assert_eq!(listed("?type=checkout.failed&is_active=true").await, [ids[5].clone(), ids[15].clone()]);
    for query in [
        "?limit=0",
        "?limit=101",
        "?limit=-1",
        "?limit=+7",
        "?limit=",
        "?limit=1&limit=2",
        "?offset=x",
        "?is_active=yes",
        "?type=invoice.paid",
        "?active=true",
        "?page=2",
    ] {
        let reply = diddo(&simulator, "GET", &format!("/webhook{query}"), Value::Null).await;
        assert_eq!(reply.status, 400, "{query}");
    }
}

#[tokio::test]
async fn diddo_conflicts_as_configured() {
    let events = |events: &[&str]| json!({"url": URL, "events": events});
    for (rule, same, other_events) in [
        (Conflicts::Never, 201, 201),
        (Conflicts::SameUrlAndEvents, 409, 201),
        (Conflicts::SameUrl, 409, 409),
    ] {
        let settings = DiddoSettings::new().with_conflicts(rule).with_secret_field("signing_key");
        let simulator = Simulator::builder().with_diddo(settings).start().await.unwrap();
        let first = events(&["order.submitted", "checkout.failed"]);
        assert!(diddo(&simulator, "POST", "/webhook", first.clone()).await.json()["signing_key"].is_string());
        let again = events(&["checkout.failed", "order.submitted"]);
        assert_eq!(diddo(&simulator, "POST", "/webhook", again).await.status, same, "{rule:?}");
        let other = events(&["checkout.failed"]);
        assert_eq!(diddo(&simulator, "POST", "/webhook", other).await.status, other_events, "{rule:?}");

        // An update must not do what a create may not.
        let elsewhere = json!({"url": "https://shop.example/2", "events": ["order.submitted"]});
        let elsewhere = diddo(&simulator, "POST", "/webhook", elsewhere).await.json();
        let path = format!("/webhook/{}", elsewhere["id"].as_str().unwrap());
        let status = if same == 409 { 409 } else { 200 };
        assert_eq!(diddo(&simulator, "PUT", &path, first).await.status, status, "{rule:?}");
        let to_itself = json!({"url": elsewhere["url"]});
        assert_eq!(diddo(&simulator, "PUT", &path, to_itself).await.status, 200, "{rule:?}");
    }
}

#[tokio::test]
async fn caspay_creates_and_nothing_else() {
    let simulator = simulator().await;
    let valid = json!({"url": URL, "events": ["payment.completed"], "secret": "a-secret-of-the-merchant"});
    let reply = caspay(&simulator, valid.clone()).await;
    assert_eq!(reply.status, 201);
    assert!(!String::from_utf8_lossy(&reply.bytes).contains("a-secret-of-the-merchant"));
    for (name, value) in [
        ("url", json!("http://shop.example/")),
        ("events", json!(["subscription.*"])),
        ("events", json!([])),
        ("secret", json!("")),
        ("secret", json!(" blank-at-an-end-of-it")),
        ("secret", json!(7)),
        ("metadata", json!({})),
    ] {
        let mut create = valid.clone();
        create[name] = value.clone();
        assert_eq!(caspay(&simulator, create).await.status, 400, "{name}: {value}");
    }
    for missing in ["url", "events", "secret"] {
        let mut create = valid.clone();
        create.as_object_mut().unwrap().remove(missing);
        assert_eq!(caspay(&simulator, create).await.status, 400, "{missing}");
    }
    let url = format!("{}{CASPAY_CREATE_PATH}", simulator.caspay_url());
    assert_eq!(call("POST", &url, (CASPAY.0, "another"), &valid).await.status, 401);
    let listed = call("GET", &url, CASPAY, &Value::Null).await;
    assert_eq!((listed.status, listed.headers["allow"].to_str().unwrap()), (405, "POST"));
    assert_eq!(call("GET", &format!("{url}/wh_1"), CASPAY, &Value::Null).await.status, 404);
}

#[tokio::test]
async fn what_is_invented_can_be_said_otherwise() {
    let simulator = Simulator::builder()
        .with_caspay(CasPaySettings::new().with_path("/v1/hooks").with_auth("authorization", "Bearer caspay"))
        .with_diddo(DiddoSettings::new().with_auth("authorization", "Bearer diddo"))
        .with_casapay_keys(["sk_test_of_mine"])
        .start()
        .await
        .unwrap();
    let body = json!({"url": URL, "events": ["payment.failed"], "secret": "a-secret-of-the-merchant"});
    let url = format!("{}/v1/hooks", simulator.caspay_url());
    assert_eq!(call("POST", &url, ("authorization", "Bearer caspay"), &body).await.status, 201);
    let url = format!("{}/webhook", simulator.diddo_url());
    assert_eq!(call("GET", &url, ("authorization", "Bearer diddo"), &Value::Null).await.status, 200);
    assert_eq!(call("GET", &url, DIDDO, &Value::Null).await.status, 401);
    let url = format!("{}/v1/events", simulator.casapay_url());
    assert_eq!(
        call("GET", &url, ("authorization", "Bearer sk_test_of_mine"), &Value::Null).await.status,
        200
    );
    assert_eq!(casapay(&simulator, "GET", "/events", Value::Null).await.status, 401);

    for builder in [
        Simulator::builder().with_casapay_keys(["pk_live_1"]),
        Simulator::builder().with_caspay(CasPaySettings::new().with_path("hooks")),
        Simulator::builder().with_diddo(DiddoSettings::new().with_auth("no header", "x")),
        Simulator::builder().with_diddo(DiddoSettings::new().with_auth("x-key", "line\nbreak")),
        Simulator::builder().bind(([0, 0, 0, 0], 0).into()),
        Simulator::builder().with_delivery_address(([10, 0, 0, 1], 80).into()),
    ] {
        assert_eq!(builder.start().await.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    }
}
