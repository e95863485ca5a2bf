//! Where events go that no retry can help.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::delivery::Delivery;
use crate::dispatch::HandlerError;
use crate::error::BoxError;

type BoxedResult = Pin<Box<dyn Future<Output = Result<(), BoxError>> + Send>>;

/// An event that cannot be handled, with the reason. Given to the hook of
/// [`WebhookLayer::with_dead_letter`](crate::WebhookLayer::with_dead_letter), which has an example.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    delivery: Delivery,
    error: HandlerError,
}

impl DeadLetter {
    pub(crate) fn new(delivery: Delivery, error: HandlerError) -> Self {
        Self { delivery, error }
    }

    /// The delivery, raw body included.
    #[must_use]
    pub fn delivery(&self) -> &Delivery {
        &self.delivery
    }

    /// Why it cannot be handled.
    #[must_use]
    pub fn error(&self) -> &HandlerError {
        &self.error
    }
}

/// The user's hook.
#[derive(Clone)]
pub(crate) struct DeadLetterHook {
    call: Arc<dyn Fn(DeadLetter) -> BoxedResult + Send + Sync>,
}

impl DeadLetterHook {
    pub(crate) fn new<F, Fut, E>(hook: F) -> Self
    where
        F: Fn(DeadLetter) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<BoxError>,
    {
        Self {
            call: Arc::new(move |letter| {
                let stored = hook(letter);
                Box::pin(async move { stored.await.map_err(Into::into) })
            }),
        }
    }

    pub(crate) fn call(&self, letter: DeadLetter) -> BoxedResult {
        (self.call)(letter)
    }
}

impl fmt::Debug for DeadLetterHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeadLetterHook").finish_non_exhaustive()
    }
}
