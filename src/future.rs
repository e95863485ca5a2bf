//! The response future: named, opaque, and without an allocation for what is answered at the head.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Response;

use crate::response::ResponseBody;

pub(crate) type Pipeline<RB, E> = Pin<Box<dyn Future<Output = Result<Response<ResponseBody<RB>>, E>> + Send>>;

/// The future of a [`WebhookService`](crate::WebhookService).
///
/// Dropped before it is ready, as hyper does when a sender hangs up, it cancels nothing that has begun: from the
/// claim on, the rest moves into a task of its own and finishes there.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture<RB, E> {
    state: State<RB, E>,
}

enum State<RB, E> {
    AtHead(Option<Response<ResponseBody<RB>>>),
    Running(Pipeline<RB, E>),
}

impl<RB, E> ResponseFuture<RB, E> {
    pub(crate) fn at_head(response: Response<ResponseBody<RB>>) -> Self {
        Self { state: State::AtHead(Some(response)) }
    }

    pub(crate) fn running(pipeline: Pipeline<RB, E>) -> Self {
        Self { state: State::Running(pipeline) }
    }
}

// Nothing in here is pinned in place: the pipeline is behind a pointer.
impl<RB, E> Unpin for ResponseFuture<RB, E> {}

impl<RB, E> Future for ResponseFuture<RB, E> {
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::AtHead(response) => {
                response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
            }
            State::Running(pipeline) => pipeline.as_mut().poll(cx),
        }
    }
}

impl<RB, E> fmt::Debug for ResponseFuture<RB, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
