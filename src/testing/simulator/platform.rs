//! Which of the three, and what a request to its API wants.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::provider::{casapay, caspay, diddo};

/// One of the platforms that are simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Platform {
    /// CasaPay, under `/casapay`.
    CasaPay,
    /// CasPay, under `/caspay`.
    CasPay,
    /// Diddo, under `/diddo`.
    Diddo,
}

impl Platform {
    /// All of them.
    ///
    /// ```
    /// use tower_webhook::testing::simulator::Platform;
    ///
    /// assert_eq!(Platform::ALL.map(Platform::name), ["casapay", "caspay", "diddo"]);
    /// ```
    pub const ALL: [Self; 3] = [Self::CasaPay, Self::CasPay, Self::Diddo];

    /// The name in paths and in the control API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CasaPay => "casapay",
            Self::CasPay => "caspay",
            Self::Diddo => "diddo",
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Self::CasaPay => 0,
            Self::CasPay => 1,
            Self::Diddo => 2,
        }
    }

    fn event_types(self) -> &'static [&'static str] {
        match self {
            Self::CasaPay => casapay::EVENT_TYPES,
            Self::CasPay => caspay::EVENT_TYPES,
            Self::Diddo => diddo::EVENT_TYPES,
        }
    }

    /// Whether an endpoint can subscribe to this: a documented type, a documented family such as
    /// `identity_check.*`, or one member of such a family.
    pub(super) fn knows(self, event_type: &str) -> bool {
        self.event_types().iter().any(|known| covers(known, event_type))
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Whether `pattern`, a type or a family, is or contains `event_type`.
pub(super) fn covers(pattern: &str, event_type: &str) -> bool {
    pattern == event_type
        || pattern
            .strip_suffix('*')
            .filter(|family| family.ends_with('.'))
            .and_then(|family| event_type.strip_prefix(family))
            .is_some_and(|member| !member.is_empty() && !member.contains('*'))
}

/// What a request to an API wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Operation {
    /// Create an endpoint.
    Create,
    /// Retrieve an endpoint.
    Retrieve,
    /// Change an endpoint.
    Update,
    /// Delete an endpoint.
    Delete,
    /// List endpoints.
    List,
    /// Retrieve an event. CasaPay alone documents it.
    RetrieveEvent,
    /// List events. CasaPay alone documents it.
    ListEvents,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_contains_its_members_and_nothing_else() {
        for (pattern, event_type, expected) in [
            ("invoice.paid", "invoice.paid", true),
            ("invoice.paid", "invoice.paid2", false),
            ("identity_check.*", "identity_check.passed", true),
            ("identity_check.*", "identity_check.*", true),
            ("identity_check.*", "identity_check.", false),
            ("identity_check.*", "identity_checks.passed", false),
            ("identity_check.*", "identity_check", false),
            ("*", "invoice.paid", false),
        ] {
            assert_eq!(covers(pattern, event_type), expected, "{pattern} {event_type}");
        }
    }

    #[test]
    fn only_documented_types_are_known() {
        assert!(Platform::CasaPay.knows("payment_intent.failed"));
        assert!(Platform::CasaPay.knows("score_report.*"));
        assert!(Platform::CasaPay.knows("score_report.ready"));
        assert!(!Platform::CasaPay.knows("*"));
        assert!(!Platform::CasaPay.knows("invoice.*"), "members of this family are listed one by one");
        assert!(Platform::CasPay.knows("subscription.payment_failed"));
        assert!(!Platform::CasPay.knows("order.submitted"));
        assert!(Platform::Diddo.knows("order.submitted"));
    }
}
