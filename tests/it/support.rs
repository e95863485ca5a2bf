//! What every test needs: a receiver with spies, and requests to send it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use tower::ServiceExt as _;
use tower_webhook::testing::faulty::{Faults, FaultyStore, Operation};
use tower_webhook::testing::{ManualClock, SignedRequest};
use tower_webhook::{
    Accepted, Body, Delivery, EventRouter, LruStore, Provider, Rejection, RejectionReason, ResponseBody,
    Secret, Secrets, Stats, WebhookLayer, casapay, caspay,
};

/// The time at which every test's clock starts.
pub(crate) const NOW: u64 = 1_700_000_000;

pub(crate) const SECRET: &str = "whsec_a-signing-secret-for-tests";

pub(crate) fn secret() -> Secret {
    Secret::new(SECRET).unwrap()
}

pub(crate) fn secrets() -> Secrets {
    secret().into()
}

/// Counts handler calls. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(crate) struct Calls(Arc<AtomicUsize>);

impl Calls {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }

    /// A router that takes every type and counts.
    pub(crate) fn router(&self) -> EventRouter {
        let calls = self.clone();
        EventRouter::new().fallback(move |_: Delivery| {
            calls.add();
            async {}
        })
    }
}

pub(crate) type Answered = Response<ResponseBody<Body>>;

pub(crate) fn reason<B>(response: &Response<B>) -> Option<RejectionReason> {
    response.extensions().get::<Rejection>().map(Rejection::reason)
}

pub(crate) fn accepted<B>(response: &Response<B>) -> Option<Accepted> {
    response.extensions().get::<Accepted>().copied()
}

/// A CasaPay event: `id`, `type`, and a payload that fits a payment intent.
pub(crate) fn casapay_body(id: &str, event_type: &str) -> String {
    format!(
        r#"{{"id":"{id}","object":"event","type":"{event_type}","created":{NOW},"livemode":true,"api_version":"2025-01-15","data":{{"object":{{"id":"pi_1","object":"payment_intent","amount":120000,"currency":"eur","status":"succeeded","customer":"cus_1","payment_method":"pm_1"}}}}}}"#
    )
}

/// A CasPay event of the type `payment.completed`.
pub(crate) fn caspay_body(id: &str) -> String {
    format!(
        r#"{{"id":"{id}","type":"payment.completed","created":{NOW},"data":{{"payment":{{"id":"pay_1","amount":100000000000,"currency":"CSPR","status":"completed","metadata":{{"orderId":"order_456"}}}}}}}}"#
    )
}

/// A request of CasPay, signed with [`SECRET`].
pub(crate) fn from_caspay(body: impl Into<Bytes>) -> Request<Body> {
    SignedRequest::new(&caspay::provider(), &secret(), body).build()
}

/// A request of CasaPay, signed with [`SECRET`] at [`NOW`].
pub(crate) fn from_casapay(body: impl Into<Bytes>) -> Request<Body> {
    SignedRequest::new(&casapay::provider(), &secret(), body).at_unix(NOW).build()
}

/// A receiver whose every event is counted, with a store whose calls are counted too.
#[allow(dead_code, reason = "not every field is read by every module")]
pub(crate) struct Receiver {
    pub(crate) layer: WebhookLayer<EventRouter, FaultyStore<LruStore>>,
    pub(crate) calls: Calls,
    pub(crate) clock: ManualClock,
    pub(crate) store: Faults,
}

impl Receiver {
    pub(crate) fn new(provider: Provider) -> Self {
        Self::with_secrets(provider, secrets())
    }

    pub(crate) fn with_secrets(provider: Provider, secrets: Secrets) -> Self {
        let (calls, clock) = (Calls::default(), ManualClock::at_unix(NOW));
        let store = FaultyStore::new(LruStore::with_clock(1_000, clock.clone()));
        let faults = store.faults();
        let layer = WebhookLayer::new(provider, secrets)
            .unwrap()
            .with_clock(clock.clone())
            .with_store(store)
            .with_dispatch(calls.router());
        Self { layer, calls, clock, store: faults }
    }

    /// Calls of the store, of whatever operation.
    pub(crate) fn store_calls(&self) -> u64 {
        [Operation::Claim, Operation::Complete, Operation::Release, Operation::Forget]
            .map(|operation| self.store.calls(operation))
            .iter()
            .sum()
    }

    pub(crate) fn stats(&self) -> Stats {
        self.layer.stats()
    }

    pub(crate) async fn send<B>(&self, request: Request<B>) -> Answered
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        self.layer.clone().into_service().oneshot(request).await.unwrap()
    }

    /// Sends a request that must be refused as not authentic: 401, empty body, no handler, no store, no parser.
    pub(crate) async fn refuses<B>(&self, request: Request<B>, expected: RejectionReason)
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let (calls, envelopes) = (self.calls.count(), self.stats().envelopes());
        let store_calls = self.store_calls();
        let response = self.send(request).await;
        assert_eq!(reason(&response), Some(expected));
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert!(response.headers().is_empty(), "{:?}", response.headers());
        assert_eq!(http_body::Body::size_hint(response.body()).exact(), Some(0));
        assert_eq!(self.calls.count(), calls, "a handler ran");
        assert_eq!(self.stats().envelopes(), envelopes, "the parser ran");
        assert_eq!(self.store_calls(), store_calls, "the store was asked");
    }

    /// Sends a request that must be accepted, and handled once.
    pub(crate) async fn handles<B>(&self, request: Request<B>)
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let calls = self.calls.count();
        let response = self.send(request).await;
        assert_eq!((response.status(), reason(&response)), (StatusCode::OK, None));
        assert_eq!(accepted(&response), Some(Accepted::Handled));
        assert_eq!(self.calls.count(), calls + 1, "the handler ran once");
    }
}
