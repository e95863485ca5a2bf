//! Proxies that the environment names: a key in plain text goes through none.

use std::process::Command;

use super::api::{Api, KEY, casapay, options};

/// The environment is the process's, so that a child has to play it.
#[tokio::test]
async fn a_key_in_plain_text_goes_through_no_proxy() {
    let proxy = Api::always(super::api::answer(200, serde_json::json!([]))).await;
    let api = Api::always(super::api::answer(200, serde_json::json!([]))).await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["endpoints::proxy::child", "--exact", "--ignored", "--nocapture"])
        .env("CHILD_API", api.url());
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(variable, proxy.url());
    }
    for variable in ["no_proxy", "NO_PROXY", "REQUEST_METHOD"] {
        child.env_remove(variable);
    }
    let output = tokio::task::spawn_blocking(move || child.output().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(proxy.asked().await.is_empty());
    assert_eq!(api.asked_once().await.header("authorization"), Some(&*format!("Bearer {KEY}")));
}

#[tokio::test]
#[ignore = "the child process of the test above"]
async fn child() {
    let Ok(url) = std::env::var("CHILD_API") else { return };
    casapay(&url, options()).list().await.unwrap();
}
