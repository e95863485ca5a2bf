//! Extractors for axum handlers behind the layer.

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::delivery::Delivery;
use crate::dispatch::HandlerError;

/// The verified payload as `T`, for an axum handler behind the layer.
///
/// It is read from the bytes that were verified, and from the part of them that the provider's envelope names.
///
/// ```
/// use axum::{Router, routing::post};
/// use tower::ServiceExt as _;
/// use tower_webhook::axum::Verified;
/// use tower_webhook::{Delivery, Secret, WebhookLayer, caspay, testing};
///
/// async fn hook(delivery: Delivery, Verified(event): Verified<caspay::events::PaymentCompleted>) {
///     assert_eq!((delivery.id(), event.payment.amount), ("evt_1", 7));
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let layer = WebhookLayer::new(caspay::provider(), Secret::new("a-signing-secret")?)?;
/// let app = Router::new().route("/", post(hook).layer(layer));
///
/// let body = r#"{"id":"evt_1","type":"payment.completed","data":
///     {"payment":{"id":"pay_1","amount":7,"currency":"CSPR","status":"completed"}}}"#;
/// let request = testing::sign(&caspay::provider(), &Secret::new("a-signing-secret")?, body);
/// assert_eq!(app.oneshot(request).await?.status(), 200);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::exhaustive_structs, reason = "destructured in the arguments of handlers")]
pub struct Verified<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Verified<T> {
    type Rejection = VerifiedRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, VerifiedRejection> {
        let delivery = parts.extensions.get::<Delivery>().ok_or(VerifiedRejection { error: None })?;
        match delivery.payload_as() {
            Ok(payload) => Ok(Self(payload)),
            Err(error) => Err(VerifiedRejection { error: Some(error) }),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Delivery {
    type Rejection = VerifiedRejection;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, VerifiedRejection> {
        parts.extensions.get::<Self>().cloned().ok_or(VerifiedRejection { error: None })
    }
}

/// Why there is no verified delivery: the layer is not mounted around the handler, or the payload does not fit.
///
/// Answered 500 with an empty body in both cases: the sender did nothing wrong, and its retry may meet a better
/// deployment.
#[derive(Debug)]
pub struct VerifiedRejection {
    error: Option<HandlerError>,
}

impl VerifiedRejection {
    /// Whether the layer is missing around the handler.
    #[must_use]
    pub fn is_unmounted(&self) -> bool {
        self.error.is_none()
    }
}

impl std::fmt::Display for VerifiedRejection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.error {
            Some(error) => error.fmt(f),
            None => f.write_str("no verified delivery: a `WebhookLayer` must stand around this handler"),
        }
    }
}

impl std::error::Error for VerifiedRejection {}

impl IntoResponse for VerifiedRejection {
    fn into_response(self) -> Response {
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}
