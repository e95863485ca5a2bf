//! Events that were never delivered: fetched, and handled as deliveries are.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use tokio::time::sleep;

use super::casapay::{CasaPay, EventQuery, FetchedEvent};
use super::error::EndpointError;
use crate::clock::unix_seconds;
use crate::dedup::DedupStore;
use crate::dispatch::{Dispatch, Outcome};
use crate::process::Processor;
use crate::provider::casapay::EVENT_TYPES;

/// How often an event is tried that somebody else is at, or for which there is no room.
const ATTEMPTS: u32 = 3;

/// By how much CasaPay's clock may be ahead of ours: by as much as its signatures may.
const AHEAD: Duration = Duration::from_secs(300);

/// So many overfull seconds of which nothing could be read, with nothing read between them, are the end.
const MAX_PASSED: usize = 300;

/// Fetches CasaPay's events that were not delivered, and runs the receiver's own handlers under the receiver's own
/// deduplication: an event that comes by both ways has one effect.
///
/// Give it the [`processor`](crate::WebhookLayer::processor) of the layer that receives, or of one with the same store,
/// endpoint name and handlers. What it processes is [fetched](crate::Delivery::is_fetched), not signed: it is CasaPay's
/// word over TLS.
///
/// ```no_run
/// use std::time::{Duration, SystemTime};
/// use tower_webhook::Processor;
/// use tower_webhook::dispatch::EventRouter;
/// use tower_webhook::endpoints::{CasaPay, CatchUp};
///
/// # async fn catch_up(
/// #     casapay: CasaPay, processor: Processor<EventRouter, tower_webhook::LruStore>,
/// # ) -> Result<(), tower_webhook::BoxError> {
/// let yesterday = SystemTime::now() - Duration::from_secs(86_400);
/// let caught_up = CatchUp::new(casapay, processor).replay_missed(yesterday).await?;
/// assert!(caught_up.is_complete(), "{caught_up}");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct CatchUp<D, St> {
    client: CasaPay,
    processor: Processor<D, St>,
}

/// Whatever the store: clones share it.
impl<D: Clone, St> Clone for CatchUp<D, St> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), processor: self.processor.clone() }
    }
}

/// What a catch-up came to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CaughtUp {
    /// Events that were fetched.
    pub fetched: u64,
    /// Events that a handler was run for, and was done with; a dead-letter hook that took one counts as well.
    pub done: u64,
    /// Events that were done before.
    pub duplicates: u64,
    /// Events that nobody takes.
    pub unhandled: u64,
    /// Events that are not done. Run it again, or look into them.
    pub unsettled: Vec<Unsettled>,
    /// Seconds, in Unix time, with more events than the API lets one read, so that some may be missing here.
    pub overfull: Vec<u64>,
}

/// An event that is not done.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unsettled {
    /// Its id.
    pub id: String,
    /// Its type.
    pub event_type: String,
    /// What its last attempt came to.
    pub outcome: Outcome,
}

/// Why a catch-up did not come to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatchUpError {
    /// Done events are not remembered for as long as that: some that were done long ago would run again. Raise the
    /// [retention](crate::Timing::with_retention), or choose a later time.
    #[error("`since` is {since_ago:?} ago, but done events are remembered for {retention:?} only")]
    BeyondRetention {
        /// How long ago.
        since_ago: Duration,
        /// How long done events are remembered.
        retention: Duration,
    },
    /// The processor has marks of its own ([`with_stage`](Processor::with_stage)): what the receiver has done would run
    /// again.
    #[error(
        "the processor has a stage (`with_stage`), so that what was delivered would run again: give it one without"
    )]
    Staged,
    /// The processor is of a layer for another provider, or for tenants.
    #[error("the processor is not of a layer for CasaPay, or of one for tenants")]
    OtherProvider,
    /// The API failed. The events before were processed, and are duplicates when it is run again.
    #[error("{source}; {} events were processed before", .so_far.fetched)]
    Fetch {
        /// What happened.
        source: EndpointError,
        /// What was done until then.
        so_far: CaughtUp,
    },
}

impl CaughtUp {
    /// Whether every event is done, or nobody's.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.unsettled.is_empty() && self.overfull.is_empty()
    }

    /// How many events were new here.
    fn settled(&self) -> usize {
        self.unsettled.len().saturating_add(usize::try_from(self.done).unwrap_or(usize::MAX))
    }

    fn count(&mut self, event: &FetchedEvent, outcome: Outcome) {
        self.fetched += 1;
        match outcome {
            Outcome::Duplicate => self.duplicates += 1,
            Outcome::Unhandled => self.unhandled += 1,
            outcome if outcome.is_settled() => self.done += 1,
            outcome => {
                let (id, event_type) = (event.id().to_owned(), event.event_type().to_owned());
                self.unsettled.push(Unsettled { id, event_type, outcome });
            }
        }
    }
}

impl fmt::Display for CaughtUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { fetched, done, duplicates, unhandled, unsettled, overfull } = self;
        let unsettled = unsettled.len();
        write!(
            f,
            "{fetched} events fetched: {done} done, {duplicates} done before, {unhandled} unhandled, {unsettled} not done"
        )?;
        if !overfull.is_empty() {
            write!(f, "; not all events could be read of the seconds {overfull:?}")?;
        }
        Ok(())
    }
}

impl<D: Dispatch + Sync, St: DedupStore> CatchUp<D, St> {
    /// Fetches by `client`, processes by `processor`.
    pub fn new(client: CasaPay, processor: Processor<D, St>) -> Self {
        Self { client, processor }
    }

    /// Processes the events since then that CasaPay says were not delivered, oldest first, one after the other.
    ///
    /// An event that is being worked on is tried up to three times. One that fails stands in the report; the others go
    /// on. One that cannot be read goes to the dead-letter hook, as one that is delivered does. It can be run again at
    /// any time.
    ///
    /// A second with more events than an answer of the API holds is read type by type, as far as the handled types are
    /// known by name, beside those that the answer held. It counts as [overfull](CaughtUp::overfull) where that may not be all: where one type alone has too
    /// many, and where a pattern or a fallback is handled, which takes types that nobody can ask for. When 300 such seconds
    /// have passed that brought nothing to be done, it is given up.
    ///
    /// It ends five minutes after the present of the layer's [clock](crate::WebhookLayer::with_clock), by which the clock
    /// of CasaPay may be ahead.
    ///
    /// # Errors
    ///
    /// [`CatchUpError`].
    pub async fn replay_missed(&self, since: SystemTime) -> Result<CaughtUp, CatchUpError> {
        self.replay(since, EventQuery::new().with_delivery_success(false)).await
    }

    /// As [`replay_missed`](Self::replay_missed), for all events since then, whether CasaPay holds them for delivered or
    /// not: for a receiver that has lost what it acknowledged. Events whose done marks are lost as well run again.
    ///
    /// # Errors
    ///
    /// [`CatchUpError`].
    pub async fn replay_all(&self, since: SystemTime) -> Result<CaughtUp, CatchUpError> {
        self.replay(since, EventQuery::new()).await
    }

    async fn replay(&self, since: SystemTime, query: EventQuery) -> Result<CaughtUp, CatchUpError> {
        if self.processor.provider_name() != "casapay" || !self.processor.can_fetch() {
            return Err(CatchUpError::OtherProvider);
        }
        if self.processor.has_stage() {
            return Err(CatchUpError::Staged);
        }
        let (retention, now) = (self.processor.retention(), self.processor.now());
        let since_ago = now.duration_since(since).unwrap_or_default();
        if since_ago > retention {
            return Err(CatchUpError::BeyondRetention { since_ago, retention });
        }
        let mut caught_up = CaughtUp::default();
        let (mut from, until) = (unix_seconds(since), unix_seconds(now).saturating_add(AHEAD.as_secs()));
        let (mut settled, mut passed) = (0, 0);
        while from <= until {
            let read = self.replay_each(query.clone().within(from, until), &mut caught_up).await;
            let Err(source) = read else { break };
            let Some(second) = source.second() else {
                return Err(CatchUpError::Fetch { source, so_far: caught_up });
            };
            // Everything before it has been processed.
            if let Err(source) = self.replay_second(second, &query, &mut caught_up).await {
                return Err(CatchUpError::Fetch { source, so_far: caught_up });
            }
            let now_settled = caught_up.settled();
            let is_passed = now_settled == settled && caught_up.overfull.last() == Some(&second);
            passed = if is_passed { passed + 1 } else { 0 };
            if passed >= MAX_PASSED {
                let source = source.with_advice(
                    "one second after the other has more events than one answer, and none could be read: go on from a \
                     later time",
                );
                return Err(CatchUpError::Fetch { source, so_far: caught_up });
            }
            settled = now_settled;
            let Some(next) = second.checked_add(1) else { break };
            from = next;
        }
        Ok(caught_up)
    }

    async fn replay_each(&self, query: EventQuery, caught_up: &mut CaughtUp) -> Result<(), EndpointError> {
        let mut events = self.client.events(query);
        while let Some(event) = events.try_next().await? {
            let outcome = self.process(&event).await;
            caught_up.count(&event, outcome);
        }
        Ok(())
    }

    /// One second, type by type.
    async fn replay_second(
        &self,
        second: u64,
        query: &EventQuery,
        caught_up: &mut CaughtUp,
    ) -> Result<(), EndpointError> {
        let (names, mut is_whole) = self.names();
        for name in names {
            let query = query.clone().with_type(name).within(second, second);
            match self.replay_each(query, caught_up).await {
                Err(error) if error.second().is_some() => is_whole = false,
                other => other?,
            }
        }
        if !is_whole {
            caught_up.overfull.push(second);
        }
        Ok(())
    }

    /// The handled types that have a name, and whether these are all.
    fn names(&self) -> (BTreeSet<String>, bool) {
        let handled = self.processor.event_types();
        let is_name = |one: &str| !one.ends_with('*') && !one.is_empty();
        // A pattern and a fallback take types that are documented nowhere.
        let is_whole = !self.processor.takes("") && handled.iter().all(|one| is_name(one));
        let documented = EVENT_TYPES.iter().filter(|one| is_name(one) && self.processor.takes(one));
        let mut names: BTreeSet<_> = documented.map(|&one| one.to_owned()).collect();
        names.extend(handled.into_iter().filter(|one| is_name(one)));
        (names, is_whole)
    }

    async fn process(&self, event: &FetchedEvent) -> Outcome {
        let mut attempt = 1;
        loop {
            let outcome = self.processor.process(self.processor.fetched_or_unreadable(event.body())).await;
            match outcome {
                Outcome::Busy { retry_after } if attempt < ATTEMPTS => sleep(retry_after).await,
                outcome => return outcome,
            }
            attempt += 1;
        }
    }
}
