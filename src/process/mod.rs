//! Steps 4 to 6 without HTTP: claim, run, complete or release.

mod dead_letter;
mod processor;
mod settle;
mod tasks;

pub use self::dead_letter::DeadLetter;
pub(crate) use self::dead_letter::DeadLetterHook;
pub use self::processor::Processor;
pub(crate) use self::processor::{Source, dispatch_effect, prepare, readiness};
pub(crate) use self::settle::{CAPACITY_PAUSE, Core, Effect, Settled, settle};
use self::tasks::Detachable;
pub(crate) use self::tasks::Tasks;
pub use self::tasks::{Drained, Shutdown};

/// What to do with a verified event while the deduplication store cannot be asked.
///
/// The default is [`Reject`](Self::Reject); for a provider that never redelivers it is
/// [`Process`](Self::Process), since a 503 would lose the event. Set by
/// [`WebhookLayer::with_on_store_failure`](crate::WebhookLayer::with_on_store_failure).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnStoreFailure {
    /// Answer 503: the sender retries, and nothing runs twice.
    Reject,
    /// Run the handler without a claim: nothing waits, and an event may run twice.
    Process,
}
