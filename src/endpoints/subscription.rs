//! From the types that a router handles to those that an endpoint subscribes to. No I/O.

use std::collections::BTreeSet;

use super::error::{EndpointError, EndpointErrorKind};

/// The types to subscribe to, sorted. A pattern (`invoice.*`, `*`) stands for the documented types that it matches; a
/// family that is documented as such stays one.
pub(super) fn subscription(
    provider: &str,
    handled: impl IntoIterator<Item = impl Into<String>>,
    documented: &[String],
) -> Result<Vec<String>, EndpointError> {
    let refused =
        |detail: String| EndpointError::new(EndpointErrorKind::InvalidRequest, provider).with_detail(detail);
    let mut types = BTreeSet::new();
    for handled in handled {
        let handled: String = handled.into();
        let Some(prefix) = handled.strip_suffix('*') else {
            if handled.trim().is_empty() {
                return Err(refused("an event type is empty".to_owned()));
            }
            types.insert(handled);
            continue;
        };
        let before = types.len();
        types.extend(documented.iter().filter(|one| one.starts_with(prefix)).cloned());
        if types.len() == before && !documented.iter().any(|one| one.starts_with(prefix)) {
            return Err(refused(format!(
                "`{handled}` matches no event type that {provider} documents: name the types"
            )));
        }
    }
    if types.is_empty() {
        return Err(refused("nothing is handled by type: an endpoint needs at least one".to_owned()));
    }
    Ok(types.into_iter().collect())
}

/// What has to be added and removed.
pub(super) fn drift(present: &[String], wanted: &[String]) -> (Vec<String>, Vec<String>) {
    let (present, wanted): (BTreeSet<_>, BTreeSet<_>) = (present.iter().collect(), wanted.iter().collect());
    let added = wanted.difference(&present).map(|&one| one.clone()).collect();
    let removed = present.difference(&wanted).map(|&one| one.clone()).collect();
    (added, removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn documented() -> Vec<String> {
        ["invoice.paid", "charge.failed", "charge.refunded", "score.*"].map(str::to_owned).to_vec()
    }

    fn types(handled: &[&str]) -> Result<Vec<String>, String> {
        subscription("acme", handled.iter().copied(), &documented()).map_err(|error| error.to_string())
    }

    #[test]
    fn patterns_stand_for_what_is_documented() {
        assert_eq!(
            types(&["invoice.paid", "charge.*"]).unwrap(),
            ["charge.failed", "charge.refunded", "invoice.paid"]
        );
        assert_eq!(
            types(&["charge.failed", "charge.*", "charge.failed"]).unwrap(),
            ["charge.failed", "charge.refunded"]
        );
        assert_eq!(types(&["score.*"]).unwrap(), ["score.*"]);
        assert_eq!(types(&["*"]).unwrap().len(), 4);
        assert_eq!(types(&["brand.new"]).unwrap(), ["brand.new"], "documentation lags behind");
    }

    #[test]
    fn what_would_subscribe_to_nothing_is_an_error() {
        assert!(types(&[]).unwrap_err().contains("nothing is handled by type"));
        assert!(types(&[" "]).unwrap_err().contains("empty"));
        let error = types(&["invoice.paid", "typo.*"]).unwrap_err();
        assert!(error.contains("`typo.*` matches no event type that acme documents"), "{error}");
    }

    #[test]
    fn drift_ignores_order_and_repetition() {
        let of = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        assert_eq!(drift(&of(&["b", "a", "a"]), &of(&["a", "b"])), (vec![], vec![]));
        assert_eq!(drift(&of(&["a", "b"]), &of(&["b", "c"])), (of(&["c"]), of(&["a"])));
    }
}
