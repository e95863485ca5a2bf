//! The transaction as a handler gets it.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::database::InboxDatabase;
use super::held::Held;
use crate::delivery::Delivery;
use crate::dispatch::{FromDelivery, HandlerError};

/// The transaction that holds the mark of the event, as an argument of a handler behind an
/// [`Inbox`](crate::inbox::Inbox): what is done in it is committed with the mark, or not at all.
///
/// It dereferences to the connection, for `execute(&mut *tx)`. The inbox takes it back when the handler has ended; a
/// handler that gave it away, to a task of its own for instance, has failed, and the transaction is rolled back.
///
/// ```
/// use sqlx::Sqlite;
/// use tower_webhook::inbox::Tx;
/// use tower_webhook::{FromDelivery, caspay, testing};
///
/// let body = r#"{"id":"evt_1","type":"payment.completed","data":{}}"#;
/// let delivery = testing::delivery(&caspay::provider(), body).unwrap();
/// let error = Tx::<Sqlite>::from_delivery(&delivery, &()).unwrap_err();
/// assert_eq!(error.to_string(), "there is no transaction to take: is the router behind an inbox of this database?");
/// ```
pub struct Tx<DB: InboxDatabase> {
    /// Taken on drop only.
    held: Option<Held<DB>>,
    slot: Arc<Slot<DB>>,
}

impl<S, DB: InboxDatabase> FromDelivery<S> for Tx<DB> {
    fn from_delivery(delivery: &Delivery, _state: &S) -> Result<Self, HandlerError> {
        let slot = delivery.extensions().get::<Arc<Slot<DB>>>().ok_or_else(|| {
            HandlerError::retry(
                "there is no transaction to take: is the router behind an inbox of this database?",
            )
        })?;
        let held = slot
            .take()
            .ok_or_else(|| HandlerError::retry("the transaction is taken already: a handler has one `Tx`"))?;
        Ok(Self { held: Some(held), slot: Arc::clone(slot) })
    }
}

impl<DB: InboxDatabase> Deref for Tx<DB> {
    type Target = DB::Connection;

    #[expect(clippy::expect_used, reason = "the field is empty only within drop")]
    fn deref(&self) -> &DB::Connection {
        self.held.as_ref().expect("a transaction until drop")
    }
}

impl<DB: InboxDatabase> DerefMut for Tx<DB> {
    #[expect(clippy::expect_used, reason = "the field is empty only within drop")]
    fn deref_mut(&mut self) -> &mut DB::Connection {
        self.held.as_mut().expect("a transaction until drop")
    }
}

impl<DB: InboxDatabase> Drop for Tx<DB> {
    fn drop(&mut self) {
        if let Some(held) = self.held.take() {
            self.slot.put_back(held);
        }
    }
}

impl<DB: InboxDatabase> fmt::Debug for Tx<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tx").finish_non_exhaustive()
    }
}

/// Where the inbox leaves the transaction for a handler, and finds it again.
pub(super) struct Slot<DB: InboxDatabase> {
    content: Mutex<Content<DB>>,
}

enum Content<DB: InboxDatabase> {
    Held(Held<DB>),
    Taken,
    /// The attempt is over: what comes back is rolled back.
    Closed,
}

/// One run of a handler. Dropped, it ends: what the handler keeps of the delivery does not keep the transaction open.
pub(super) struct Attempt<DB: InboxDatabase> {
    slot: Arc<Slot<DB>>,
}

impl<DB: InboxDatabase> Attempt<DB> {
    pub(super) fn new(held: Held<DB>) -> Self {
        Self { slot: Arc::new(Slot { content: Mutex::new(Content::Held(held)) }) }
    }

    /// For the delivery that the handler gets.
    pub(super) fn slot(&self) -> Arc<Slot<DB>> {
        Arc::clone(&self.slot)
    }

    /// Ends the attempt, and takes the transaction where the handler has given it back.
    pub(super) fn close(self) -> Option<Held<DB>> {
        self.slot.close()
    }
}

impl<DB: InboxDatabase> Drop for Attempt<DB> {
    fn drop(&mut self) {
        drop(self.slot.close());
    }
}

impl<DB: InboxDatabase> Slot<DB> {
    fn take(&self) -> Option<Held<DB>> {
        let mut content = self.lock();
        if !matches!(*content, Content::Held(_)) {
            return None;
        }
        match std::mem::replace(&mut *content, Content::Taken) {
            Content::Held(held) => Some(held),
            Content::Taken | Content::Closed => None,
        }
    }

    fn put_back(&self, held: Held<DB>) {
        let mut content = self.lock();
        if matches!(*content, Content::Taken) {
            *content = Content::Held(held);
        }
    }

    fn close(&self) -> Option<Held<DB>> {
        match std::mem::replace(&mut *self.lock(), Content::Closed) {
            Content::Held(held) => Some(held),
            Content::Taken | Content::Closed => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Content<DB>> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
