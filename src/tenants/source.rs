//! Where the secrets of tenants come from.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use crate::error::BoxError;
use crate::signature::Secrets;

/// Looks up the signing secrets of a tenant: in a database, a vault, a table in memory.
///
/// What it returns is turned into keys and kept for a while, the secrets themselves are not: see
/// [`Tenants`](crate::Tenants) for how often it is asked.
///
/// - `Ok(Some(secrets))`: any of them verifies this tenant's requests, and nobody else's. Return the new one beside the
///   old one while the tenant changes it.
/// - `Ok(None)`: there is no such tenant. The sender is told 401, after the same work as for a wrong signature.
/// - `Err(_)`: it cannot be told now. The sender is told 503, unless keys are at hand that expired a short while ago.
///   Never say `None` for an outage: several providers give up on a 401. The error is logged; keep secrets out of it.
///
/// The name comes from the request, unverified; its form is [checked](crate::TenantKey), so that it is safe in a path
/// or a statement with parameters. **Compare it exactly.** Names are the scope of deduplication: where `acme` and `ACME`
/// found the same secrets, an event of the one could be sent again as the other's, and would run again.
///
/// Label the secrets of all tenants alike, such as `current` and `previous`: labels are labels of a metric, too.
///
/// ```
/// use std::collections::HashMap;
/// use tower_webhook::{BoxError, Secret, SecretSource, Secrets};
///
/// struct Table(HashMap<String, String>);
///
/// impl SecretSource for Table {
///     async fn secrets(&self, tenant: &str) -> Result<Option<Secrets>, BoxError> {
///         let Some(text) = self.0.get(tenant) else { return Ok(None) };
///         Ok(Some(Secret::new(text)?.into()))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), BoxError> {
/// let table = Table(HashMap::from([("acme".to_owned(), "the-secret-of-acme".to_owned())]));
/// assert!(table.secrets("acme").await?.is_some());
/// assert!(table.secrets("nobody").await?.is_none());
/// # Ok(())
/// # }
/// ```
pub trait SecretSource: Send + Sync + 'static {
    /// The secrets of `tenant`; `None` where there is no such tenant.
    ///
    /// It is dropped at its next await where it takes longer than the
    /// [timeout](crate::Tenants::with_lookup_timeout), or everybody who waits for it has gone.
    fn secrets(&self, tenant: &str) -> impl Future<Output = Result<Option<Secrets>, BoxError>> + Send;
}

impl<T: SecretSource> SecretSource for Arc<T> {
    fn secrets(&self, tenant: &str) -> impl Future<Output = Result<Option<Secrets>, BoxError>> + Send {
        (**self).secrets(tenant)
    }
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Option<Secrets>, BoxError>> + Send + 'a>>;

/// [`SecretSource`] as an object.
pub(super) trait ErasedSource: Send + Sync {
    fn ask<'a>(&'a self, tenant: &'a str) -> Answer<'a>;
}

impl<T: SecretSource> ErasedSource for T {
    fn ask<'a>(&'a self, tenant: &'a str) -> Answer<'a> {
        Box::pin(self.secrets(tenant))
    }
}
