//! What goes wrong at a platform, as the clients see it.

use std::time::Duration;

use tower_webhook::endpoints::{CasaPay, ClientOptions, EndpointErrorKind, NewEndpoint};
use tower_webhook::testing::simulator::{CASAPAY_TEST_KEY, Fault, Operation, Platform, Simulator};

use super::{URL, casapay, count, failed, key, options};

/// A fault, what a call that may be repeated makes of it, and what a creation does.
#[tokio::test]
async fn faults_of_the_api_are_survived_or_typed() {
    use EndpointErrorKind as K;

    let status = |status, retry_after| Fault::Status { status, retry_after };
    let patient = |fault, create| (fault, None, create);
    let cases = [
        patient(status(429, Some(0)), K::RateLimited),
        patient(status(500, None), K::OutcomeUnknown),
        patient(status(503, Some(0)), K::OutcomeUnknown),
        patient(Fault::Truncated, K::OutcomeUnknown),
        patient(Fault::LostAnswer, K::OutcomeUnknown),
        (status(429, Some(3600)), Some(K::RateLimited), K::RateLimited),
        (status(403, None), Some(K::Forbidden), K::Forbidden),
        (status(418, None), Some(K::UnexpectedStatus), K::UnexpectedStatus),
        (status(501, None), Some(K::Server), K::OutcomeUnknown),
        (Fault::Redirect("https://elsewhere.example/".to_owned()), Some(K::Redirected), K::Redirected),
        (Fault::MalformedJson, Some(K::Malformed), K::OutcomeUnknown),
        (Fault::HugeBody(20 << 20), Some(K::TooLarge), K::OutcomeUnknown),
    ];
    for (fault, list, create) in cases {
        let simulator = Simulator::builder().start().await.unwrap();
        let client = casapay(&simulator);
        simulator.plan_fault(Platform::CasaPay, Operation::List, 1, fault.clone());
        let listed = client.list().await;
        assert_eq!(listed.as_ref().err().map(|error| error.kind()), list, "{fault:?}: {listed:?}");
        assert_eq!(count(&simulator, Operation::List), if list.is_none() { 2 } else { 1 }, "{fault:?}");

        simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, fault.clone());
        let created = client.create(&NewEndpoint::new(URL, ["invoice.paid"])).await;
        assert_eq!(created.as_ref().err().map(|error| error.kind()), Some(create), "{fault:?}: {created:?}");
        assert_eq!(count(&simulator, Operation::Create), 1, "a creation is tried once: {fault:?}");
    }
}

#[tokio::test]
async fn a_creation_without_a_secret_names_the_endpoint() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = casapay(&simulator);
    simulator.plan_fault(Platform::CasaPay, Operation::Create, 1, Fault::WithoutSecret);
    let error = failed(client.create(&NewEndpoint::new(URL, ["invoice.paid"])).await);
    assert_eq!(error.kind(), EndpointErrorKind::SecretMissing);
    let listed = client.list().await.unwrap();
    assert_eq!(error.endpoint_ids(), [listed[0].id.clone()]);
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_is_a_delete() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = casapay(&simulator);
    let (endpoint, _) = client.create(&NewEndpoint::new(URL, ["invoice.paid"])).await.unwrap();
    simulator.plan_fault(Platform::CasaPay, Operation::Delete, 1, Fault::LostAnswer);
    client.delete(&endpoint.id).await.unwrap();
    assert_eq!(count(&simulator, Operation::Delete), 2);
    assert!(client.list().await.unwrap().is_empty());
}

/// What was refused in so many words was not done.
#[tokio::test]
async fn a_delete_that_was_put_off_is_no_delete() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = casapay(&simulator);
    let put_off = Fault::Status { status: 429, retry_after: Some(0) };
    simulator.plan_fault(Platform::CasaPay, Operation::Delete, 1, put_off);
    assert_eq!(failed(client.delete("we_none").await).kind(), EndpointErrorKind::NotFound);
    assert_eq!(count(&simulator, Operation::Delete), 2);
}

#[tokio::test]
async fn a_slow_platform_is_given_up() {
    let simulator = Simulator::builder().start().await.unwrap();
    // Long enough that a request is sent within it by a process that is stopped now and then.
    let impatient: ClientOptions = options().with_attempt_timeout(Duration::from_secs(4)).with_attempts(2);
    let client = CasaPay::new(&simulator.casapay_url(), key(CASAPAY_TEST_KEY), impatient).unwrap();
    simulator.plan_fault(Platform::CasaPay, None, 8, Fault::Slow(Duration::from_secs(600)));
    let new = NewEndpoint::new(URL, ["invoice.paid"]);
    let (listed, created) = tokio::join!(client.list(), client.create(&new));
    assert_eq!(failed(listed).kind(), EndpointErrorKind::Timeout);
    assert_eq!(count(&simulator, Operation::List), 2);
    assert_eq!(failed(created).kind(), EndpointErrorKind::OutcomeUnknown);
    assert_eq!(count(&simulator, Operation::Create), 1);
}
