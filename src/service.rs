//! The pipeline: `request -> body -> signature -> envelope -> dedup -> dispatch -> response`.

use std::convert::Infallible;
use std::fmt;
use std::future::{Future, Ready, ready};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tower_service::Service;

use crate::body::{self, Body, Received};
use crate::clock::unix_seconds;
use crate::dedup::DedupStore;
use crate::delivery::{Circumstances, Delivery};
use crate::dispatch::{Dispatch, HandlerError, IntoOutcome, Outcome};
use crate::envelope::{EnvelopeError, Scanned};
use crate::error::RejectionReason;
use crate::future::ResponseFuture;
use crate::handshake::{HandshakeError, Reply};
use crate::layer::Config;
use crate::observe::Span;
use crate::process::{CAPACITY_PAUSE, Effect, Settled, dispatch_effect, prepare, readiness, settle};
use crate::response::{Accepted, ResponseBody, annotate};
use crate::signature::{Head, Presented, Proof, Verdict, Verification};
use crate::tenants::{Asking, Found, TenantKeys};
use crate::timer::{Timer, before, deadline_after};

/// The service that a [`WebhookLayer`](crate::WebhookLayer) puts around `S`. Its errors are those of `S`; all else
/// is an answer.
///
/// Always ready: the readiness of the inner service, or of the dispatch, is awaited when a delivery has been
/// verified, so that unsigned traffic holds none of their permits.
pub struct WebhookService<S, D, St> {
    inner: Option<S>,
    dispatch: D,
    config: Arc<Config<St>>,
}

impl<S, D, St> WebhookService<S, D, St> {
    pub(crate) fn new(inner: Option<S>, dispatch: D, config: Arc<Config<St>>) -> Self {
        Self { inner, dispatch, config }
    }
}

impl<S, D, St, B, RB> Service<Request<B>> for WebhookService<S, D, St>
where
    S: Service<Request<Body>, Response = Response<RB>, Future: Send + 'static> + Clone + Send + 'static,
    S::Error: Send + 'static,
    D: Dispatch,
    St: DedupStore,
    B: http_body::Body<Data: Send> + Send + 'static,
    RB: Send + 'static,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = S::Error;
    type Future = ResponseFuture<RB, S::Error>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let started = Instant::now();
        let span = self.config.core.observer.span();
        let ending = Ending { config: &self.config, span: &span, started };
        if request.method() != Method::POST {
            return ResponseFuture::at_head(ending.at_head(&request));
        }
        match admit(&self.config, &request) {
            Err(reason) => ResponseFuture::at_head(ending.reject(reason, None)),
            Ok(presented) => {
                let pipeline = Pipeline {
                    inner: self.inner.clone(),
                    dispatch: Some(self.dispatch.clone()),
                    config: Arc::clone(&self.config),
                    span: span.clone(),
                    started,
                };
                let (parts, body) = request.into_parts();
                ResponseFuture::running(Box::pin(span.instrument(pipeline.receive(parts, body, presented))))
            }
        }
    }
}

impl<S: Clone, D: Clone, St> Clone for WebhookService<S, D, St> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), dispatch: self.dispatch.clone(), config: Arc::clone(&self.config) }
    }
}

impl<S, D, St> fmt::Debug for WebhookService<S, D, St> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookService").field("config", &self.config).finish_non_exhaustive()
    }
}

/// What can be refused at the head of a POST, cheapest first. Nothing is allocated.
fn admit<St, B: http_body::Body>(
    config: &Config<St>,
    request: &Request<B>,
) -> Result<Presented, RejectionReason> {
    let headers = request.headers();
    if !is_identity(headers) {
        return Err(RejectionReason::EncodedBody);
    }
    if config.json_only && !is_json(headers) {
        return Err(RejectionReason::ContentType);
    }
    let limit = u64::try_from(config.body_limit).unwrap_or(u64::MAX);
    let declared = content_length(headers).unwrap_or(0).max(request.body().size_hint().lower());
    if declared > limit {
        return Err(RejectionReason::BodyTooLarge);
    }
    config.provider.authenticator().present(headers)
}

fn is_identity(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .all(|value| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE) else { return false };
    let essence = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
    essence.eq_ignore_ascii_case(b"application/json")
        || essence.len() > 5 && essence[essence.len() - 5..].eq_ignore_ascii_case(b"+json")
}

/// The declared length, unless another framing overrides it.
fn content_length(headers: &HeaderMap) -> Option<u64> {
    if headers.contains_key(TRANSFER_ENCODING) {
        return None;
    }
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// One request on its way.
struct Pipeline<S, D, St> {
    inner: Option<S>,
    dispatch: Option<D>,
    config: Arc<Config<St>>,
    span: Span,
    started: Instant,
}

/// A body whose signature holds.
struct Authentic {
    body: Received,
    proof: Proof,
    tenant: Option<Arc<str>>,
    received_at: SystemTime,
}

/// What an authentic body says.
enum Message {
    Event(Result<Scanned, EnvelopeError>),
    Handshake(Result<Reply, HandshakeError>),
}

/// What the inner service answered.
type Answered<S, RB> = Result<Response<RB>, <S as Service<Request<Body>>>::Error>;

impl<S, D, St, RB> Pipeline<S, D, St>
where
    S: Service<Request<Body>, Response = Response<RB>, Future: Send + 'static> + Clone + Send + 'static,
    S::Error: Send + 'static,
    D: Dispatch,
    St: DedupStore,
    RB: Send + 'static,
{
    /// All steps. Each borrows what was captured, and little lives across an await: a future of more than a
    /// kilobyte costs an allocator more than some of the steps.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` would keep its arguments twice")]
    fn receive<B>(
        mut self,
        mut parts: Parts,
        body: B,
        presented: Presented,
    ) -> impl Future<Output = Result<Response<ResponseBody<RB>>, S::Error>> + Send
    where
        B: http_body::Body<Data: Send> + Send + 'static,
    {
        async move {
            let deadline = deadline_after(self.started, self.config.core.timing.respond_by());
            let mut respond_by = Timer::at(deadline);
            let Self { config, span, .. } = &self;
            let authenticated =
                authenticate(config, span, &parts, pin!(body), &presented, &mut respond_by).await;
            let next = match authenticated {
                Ok((authentic, message)) => self.next(&mut parts, authentic, message),
                Err(reason) => Next::Answer(Err(reason)),
            };
            match next {
                Next::Dispatch(dispatch, delivery) => self.dispatch(dispatch, delivery, respond_by).await,
                Next::Forward(inner, delivery, trailers) => {
                    self.forward(inner, &mut parts, trailers, delivery, respond_by).await
                }
                Next::DeadLetter(delivery, error) => self.dead_letter(delivery, error, respond_by).await,
                Next::Reply(reply) => Ok(self.ending().reply(*reply)),
                Next::Answer(Ok(accepted)) => Ok(self.ending().accept(accepted)),
                Next::Answer(Err(reason)) => Ok(self.ending().reject(reason, None)),
            }
        }
    }

    /// Decides who takes the event.
    fn next(&mut self, parts: &mut Parts, authentic: Authentic, message: Message) -> Next<D, S> {
        let Config { core, provider, .. } = &*self.config;
        provider.authenticator().mark_sensitive(&mut parts.headers);
        core.observer.authentic(&self.span, authentic.proof.label());
        let event = match message {
            Message::Event(event) => event,
            Message::Handshake(Ok(reply)) => return Next::Reply(reply),
            // No event, so that nothing is claimed for it, and no dead letter.
            Message::Handshake(Err(error)) => {
                core.observer.unreadable(&error);
                return Next::Answer(Err(RejectionReason::Unreadable));
            }
        };
        let event = match identify(&self.config, event, authentic.received_at, &self.span) {
            Identified::Event(event) => event,
            Identified::Test => return Next::Answer(Ok(Accepted::TestEvent)),
            Identified::TooOld => return Next::Answer(Err(RejectionReason::EventTooOld)),
            // Without a hook there is nothing to claim it for.
            Identified::Unreadable(_) if core.dead_letter.is_none() => {
                return Next::Answer(Err(RejectionReason::Unreadable));
            }
            Identified::Unreadable(error) => {
                let headers = std::mem::take(&mut parts.headers);
                let (circumstances, body) = circumstances(&self.config, authentic, headers);
                return Next::DeadLetter(Delivery::unreadable(circumstances, body.data), error);
            }
        };
        if let Some(dispatch) = self.dispatch.take_if(|dispatch| dispatch.takes(&event.event_type)) {
            let headers = std::mem::take(&mut parts.headers);
            let (circumstances, body) = circumstances(&self.config, authentic, headers);
            Next::Dispatch(dispatch, Delivery::new(circumstances, event, body.data))
        } else if let Some(inner) = self.inner.take() {
            let (circumstances, body) = circumstances(&self.config, authentic, parts.headers.clone());
            Next::Forward(inner, Delivery::new(circumstances, event, body.data), body.trailers)
        } else {
            Next::Answer(Ok(Accepted::Unhandled))
        }
    }

    /// Hands the event to its handler.
    async fn dispatch(
        &mut self,
        mut dispatch: D,
        delivery: Delivery,
        mut respond_by: Timer,
    ) -> Result<Response<ResponseBody<RB>>, S::Error> {
        let Some(permit) = self.config.core.admit() else { return Ok(self.ending().at_capacity()) };
        let prepared = before(pin!(prepare(&mut dispatch)), &mut respond_by).await;
        if prepared != Some(true) {
            return Ok(self.ending().reject(RejectionReason::DispatchRefused, None));
        }
        let effect = |delivery| dispatch_effect::<D, Infallible>(dispatch, delivery);
        let settled = self.ending().settle(permit, delivery, effect, respond_by).await;
        Ok(self.ending().answer(settled))
    }

    /// Hands the request on to the inner service, as it came.
    async fn forward(
        &mut self,
        mut inner: S,
        parts: &mut Parts,
        trailers: Option<HeaderMap>,
        delivery: Delivery,
        mut respond_by: Timer,
    ) -> Result<Response<ResponseBody<RB>>, S::Error> {
        let Some(permit) = self.config.core.admit() else { return Ok(self.ending().at_capacity()) };
        match before(pin!(readiness(&mut inner)), &mut respond_by).await {
            Some(Ok(())) => {}
            Some(Err(error)) => return Err(self.ending().broke(error)),
            None => return Ok(self.ending().reject(RejectionReason::AtCapacity, None)),
        }
        let parts = std::mem::replace(parts, Request::new(()).into_parts().0);
        let mut request = Request::from_parts(parts, Body::new(delivery.body().clone(), trailers));
        request.extensions_mut().insert(delivery.clone());
        let effect = |_| forward(inner, request);
        match self.ending().settle(permit, delivery, effect, respond_by).await {
            Some(Settled { verdict, answer: Some(Ok(answer)), .. }) => {
                Ok(self.ending().finish(verdict, answer.map(ResponseBody::inner)))
            }
            Some(Settled { answer: Some(Err(error)), .. }) => Err(self.ending().broke(error)),
            settled => Ok(self.ending().answer(settled)),
        }
    }

    /// Hands what cannot be read to the dead-letter hook. It is claimed like any other event, so that a retry
    /// does not hand it over twice.
    async fn dead_letter(
        &mut self,
        delivery: Delivery,
        error: HandlerError,
        respond_by: Timer,
    ) -> Result<Response<ResponseBody<RB>>, S::Error> {
        let Some(permit) = self.config.core.admit() else { return Ok(self.ending().at_capacity()) };
        let effect = |_| ready(Effect::<Infallible>::Handled(error.into_outcome()));
        let settled = self.ending().settle(permit, delivery, effect, respond_by).await;
        Ok(self.ending().answer(settled))
    }

    fn ending(&self) -> Ending<'_, St> {
        Ending { config: &self.config, span: &self.span, started: self.started }
    }
}

/// Reads the body, verifies it, MAC first, then the timestamp, and reads its envelope, unless it is a handshake.
async fn authenticate<St, B: http_body::Body>(
    config: &Config<St>,
    span: &Span,
    parts: &Parts,
    body: Pin<&mut B>,
    presented: &Presented,
    respond_by: &mut Timer,
) -> Result<(Authentic, Message), RejectionReason> {
    let (observer, provider) = (&config.core.observer, &*config.provider);
    let head = Head { method: &parts.method, uri: &parts.uri, headers: &parts.headers };
    let TenantKeys { tenant, keyring, stale } = keys(config, parts, respond_by).await?;
    // Not before: those who wait for a look-up would keep out tenants whose keys are at hand.
    let Ok(_permit) = config.unverified.try_acquire() else {
        return Err(RejectionReason::UnverifiedCapacity);
    };
    if let Some(tenant) = &tenant {
        span.tenant(tenant);
    }
    let now = || config.clock.now();
    let mut verification = Verification::begin(provider.authenticator(), &keyring, presented, head, now);
    let feed = |bytes: &[u8]| verification.update(bytes);
    let body = body::read(body, config.body_limit, respond_by, feed).await?;
    if content_length(&parts.headers).is_some_and(|declared| declared != body.data.len() as u64) {
        return Err(RejectionReason::BodyIncomplete);
    }
    observer.verified(verification.keys(), body.data.len());
    let received_at = config.clock.now();
    let Verdict { proof, signed_at } = verification.finish(&body.data, received_at);
    if let Some(signed_at) = signed_at {
        observer.signed_timestamp(signed_at, received_at, proof.is_ok());
    }
    let proof = proof.map_err(|reason| match reason {
        // Whatever the reason: code may stumble over a key that it would never have taken, and so tell who exists.
        _ if keyring.is_decoy() => RejectionReason::UnknownTenant,
        // It may be signed with a key that the tenant has been given since, and senders give up on a 401.
        RejectionReason::SignatureMismatch if stale => RejectionReason::SecretsUnavailable,
        reason => reason,
    })?;
    let signer = || keyring.signer(proof.secret_label());
    let message = match provider.handshakes().signed(&parts.headers, &body.data, signer) {
        Some(answered) => Message::Handshake(answered),
        None => {
            let signed = || verification.identity(&proof, &body.data);
            let event = provider.envelope().scan(&body.data, &parts.headers, signed);
            observer.envelope_scanned();
            Message::Event(event)
        }
    };
    Ok((Authentic { body, proof, tenant, received_at }, message))
}

/// The keys that a request is verified by. Nothing waits or is allocated, unless a tenant must be looked up.
async fn keys<St>(
    config: &Config<St>,
    parts: &Parts,
    respond_by: &mut Timer,
) -> Result<TenantKeys, RejectionReason> {
    let Some(tenants) = &config.tenants else {
        return Ok(TenantKeys { tenant: None, keyring: config.verifier.keyring(), stale: false });
    };
    let waiting = match tenants.find(parts, config.clock.monotonic())? {
        Found::Keys(keys) => return Ok(keys),
        Found::Waiting(waiting) => waiting,
    };
    let asking = Asking {
        authenticator: config.provider.authenticator(),
        clock: &*config.clock,
        observer: &config.core.observer,
        at_most: config.core.timing.respond_by() / 2,
    };
    let mut keys = Box::pin(waiting.keys(asking));
    before(keys.as_mut(), respond_by).await.unwrap_or(Err(RejectionReason::SecretsUnavailable))
}

/// What to do about an authentic request.
enum Next<D, S> {
    Dispatch(D, Delivery),
    Forward(S, Delivery, Option<HeaderMap>),
    DeadLetter(Delivery, HandlerError),
    Reply(Reply),
    Answer(Result<Accepted, RejectionReason>),
}

/// What an authentic body turns out to be.
enum Identified {
    Event(Scanned),
    /// A test event, which the handlers are not to see.
    Test,
    /// Older than `with_max_event_age` allows.
    TooOld,
    Unreadable(HandlerError),
}

/// What the envelope says, and what the configuration asks of it.
fn identify<St>(
    config: &Config<St>,
    event: Result<Scanned, EnvelopeError>,
    received_at: SystemTime,
    span: &Span,
) -> Identified {
    match event.and_then(|event| judge(config, event, received_at, span)) {
        Ok(identified) => identified,
        Err(error) => {
            config.core.observer.unreadable(&error);
            Identified::Unreadable(HandlerError::unreadable(error.to_string()))
        }
    }
}

fn judge<St>(
    config: &Config<St>,
    event: Scanned,
    received_at: SystemTime,
    span: &Span,
) -> Result<Identified, EnvelopeError> {
    span.identified(&event.id, &event.event_type);
    if let Some(age) = config.max_event_age {
        let created = event.created.ok_or(EnvelopeError::Missing("created"))?;
        let now = unix_seconds(received_at);
        if now.abs_diff(created) > age.as_secs() {
            return Ok(Identified::TooOld);
        }
    }
    if config.core.live_only && !event.livemode.ok_or(EnvelopeError::Missing("livemode"))? {
        return Ok(Identified::Test);
    }
    let (found, expected) = (event.api_version.as_deref(), config.expected_api_version.as_deref());
    if let Some(expected) = expected.filter(|expected| found != Some(expected)) {
        config.core.observer.api_version_drift(found, expected);
    }
    Ok(Identified::Event(event))
}

fn circumstances<St>(
    config: &Config<St>,
    authentic: Authentic,
    headers: HeaderMap,
) -> (Circumstances, Received) {
    let (secret_label, signed_at) = authentic.proof.into_parts();
    let scope = match &authentic.tenant {
        None => Arc::clone(&config.scope),
        // A character that no name has: neither an endpoint nor a tenant can pass for both.
        Some(tenant) => format!("{}@{tenant}", config.scope).into(),
    };
    let circumstances = Circumstances {
        provider: Arc::clone(&config.provider_name),
        scope,
        tenant: authentic.tenant,
        secret_label: Some(secret_label),
        received_at: authentic.received_at,
        signed_at,
        fetched: false,
        headers,
    };
    (circumstances, authentic.body)
}

/// Calls an inner service that is ready.
fn forward<S, RB>(
    mut inner: S,
    request: Request<Body>,
) -> impl Future<Output = Effect<Answered<S, RB>>> + Send + use<S, RB>
where
    S: Service<Request<Body>, Response = Response<RB>, Future: Send + 'static>,
{
    let answer = inner.call(request);
    async move {
        let answer = answer.await;
        let success = answer.as_ref().is_ok_and(|response| response.status().is_success());
        Effect::Forwarded { answer, success }
    }
}

/// How a request ends: one place for the answer, the log and the counters.
struct Ending<'a, St> {
    config: &'a Arc<Config<St>>,
    span: &'a Span,
    started: Instant,
}

impl<St> Ending<'_, St> {
    fn accept<RB>(&self, accepted: Accepted) -> Response<ResponseBody<RB>> {
        self.finish(Ok(accepted), self.config.answers.accept(accepted))
    }

    fn reject<RB>(
        &self,
        reason: RejectionReason,
        retry_after: Option<Duration>,
    ) -> Response<ResponseBody<RB>> {
        let Config { core, provider, answers, .. } = &**self.config;
        let allow = provider.handshakes().allow();
        self.finish(Err(reason), answers.reject(reason, retry_after, core.timing.lease(), allow))
    }

    /// The answer to what is no POST: a handshake, or nothing that is taken here. Its body is not read.
    fn at_head<B, RB>(&self, request: &Request<B>) -> Response<ResponseBody<RB>> {
        let handshakes = self.config.provider.handshakes();
        match handshakes.at_head(request.method(), request.uri(), request.headers()) {
            Ok(reply) => self.reply(*reply),
            Err(reason) => self.reject(reason, None),
        }
    }

    fn reply<RB>(&self, reply: Response<Bytes>) -> Response<ResponseBody<RB>> {
        self.finish(Ok(Accepted::Handshake), reply.map(ResponseBody::own))
    }

    fn at_capacity<RB>(&self) -> Response<ResponseBody<RB>> {
        self.reject(RejectionReason::AtCapacity, Some(CAPACITY_PAUSE))
    }

    fn finish<RB>(
        &self,
        verdict: Result<Accepted, RejectionReason>,
        mut response: Response<RB>,
    ) -> Response<RB> {
        self.answered(verdict);
        if self.config.reason_extensions {
            annotate(&mut response, verdict);
        }
        response
    }

    /// The inner service broke: its error is passed on in place of an answer.
    fn broke<E>(&self, error: E) -> E {
        self.answered(Err(RejectionReason::InnerRefused));
        error
    }

    fn answered(&self, verdict: Result<Accepted, RejectionReason>) {
        let Config { core, clock, .. } = &**self.config;
        core.observer.answered(self.span, verdict, self.started.elapsed(), &**clock);
    }
}

impl<St: DedupStore> Ending<'_, St> {
    /// Runs the claim until it is settled, or the sender must have an answer. From here on nothing is cancelled.
    async fn settle<F, T>(
        &self,
        permit: OwnedSemaphorePermit,
        delivery: Delivery,
        effect: impl FnOnce(Delivery) -> F + Send + 'static,
        mut respond_by: Timer,
    ) -> Option<Settled<T>>
    where
        F: Future<Output = Effect<T>> + Send + 'static,
        T: Send + 'static,
    {
        let core = &self.config.core;
        let work = self.span.instrument(settle(Arc::clone(core), permit, delivery.clone(), effect));
        let work = pin!(core.detachable(work, delivery));
        before(work, &mut respond_by).await
    }

    /// Our answer to what was settled, or was not in time.
    fn answer<T, RB>(&self, settled: Option<Settled<T>>) -> Response<ResponseBody<RB>> {
        let Some(Settled { verdict, outcome, .. }) = settled else {
            return self.reject(RejectionReason::RespondByPassed, None);
        };
        match (verdict, outcome) {
            (Ok(accepted), _) => self.accept(accepted),
            (Err(reason), Outcome::Busy { retry_after }) => self.reject(reason, Some(retry_after)),
            (Err(reason), _) => self.reject(reason, None),
        }
    }
}

/// The inner service of a layer that stands alone. There is none, and no value of this type.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Unmounted {}

impl Service<Request<Body>> for Unmounted {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match *self {}
    }

    fn call(&mut self, _request: Request<Body>) -> Self::Future {
        match *self {}
    }
}
