//! The happy path, end to end.

use http::StatusCode;
use tower_webhook::{Accepted, RejectionReason, casapay, caspay};

use crate::support::{Receiver, accepted, casapay_body, caspay_body, from_casapay, from_caspay};

#[tokio::test]
async fn a_signed_event_is_handled_once() {
    let receiver = Receiver::new(caspay::provider());
    receiver.handles(from_caspay(caspay_body("evt_1"))).await;
    let again = receiver.send(from_caspay(caspay_body("evt_1"))).await;
    assert_eq!((again.status(), accepted(&again)), (StatusCode::OK, Some(Accepted::Duplicate)));
    assert_eq!(receiver.calls.count(), 1);

    let receiver = Receiver::new(casapay::provider());
    receiver.handles(from_casapay(casapay_body("evt_1", "invoice.paid"))).await;
    let other = from_casapay(casapay_body("evt_2", "invoice.paid")).map(|_| tower_webhook::Body::default());
    receiver.refuses(other, RejectionReason::SignatureMismatch).await;
}
