//! The one documented call of CasPay.

use tower_webhook::endpoints::EndpointErrorKind;
use tower_webhook::testing::simulator::{Operation, Platform, Simulator};

use super::{URL, caspay, count, failed, key};

#[tokio::test]
async fn an_endpoint_is_created_with_a_secret_of_the_merchant() {
    let simulator = Simulator::builder().start().await.unwrap();
    let client = caspay(&simulator);
    let secret = key("a-secret-that-the-merchant-chose");
    let events = ["payment.completed".to_owned(), "payment.failed".to_owned()];
    client.create(URL, &events, &secret).await.unwrap();
    assert_eq!(simulator.subscribed_types(Platform::CasPay), events);

    let error = failed(client.create(URL, &["no.such_type".to_owned()], &secret).await);
    assert_eq!(error.kind(), EndpointErrorKind::BadRequest);
    assert!(!format!("{error} {error:?}").contains(secret.expose()));
    assert_eq!(count(&simulator, Operation::Create), 2);
}
