//! What goes wrong with a request to an API: [`Fault`], and the queue of those that are planned.

use std::collections::VecDeque;
use std::time::Duration;

use super::platform::{Operation, Platform};

/// What goes wrong with a request to an API.
///
/// Where it says "nothing is done", the API has changed nothing. Otherwise the request is carried out, authentication
/// included, and the answer to it suffers.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing is done, and the answer is this status.
    Status {
        /// The status, 200 to 599; any other becomes 500.
        status: u16,
        /// The seconds of a `Retry-After`.
        retry_after: Option<u64>,
    },
    /// Nothing is done, and the answer is a 307 to this location. Something that is no header value becomes `/`.
    Redirect(String),
    /// The answer comes after this time.
    Slow(Duration),
    /// The answer's body is no JSON.
    MalformedJson,
    /// The answer's body breaks off halfway, and the connection with it.
    Truncated,
    /// The connection is closed in place of an answer. After a create nobody knows the secret any more.
    LostAnswer,
    /// The answer has no secret.
    WithoutSecret,
    /// The answer's body is followed by so many blanks, at most 64 MiB: JSON still, but much of it.
    HugeBody(usize),
}

/// The faults that are planned, in order.
#[derive(Debug, Default)]
pub(super) struct Plan {
    planned: VecDeque<Planned>,
}

#[derive(Debug)]
struct Planned {
    platform: Platform,
    operation: Option<Operation>,
    times: u32,
    fault: Fault,
}

impl Plan {
    pub(super) fn add(&mut self, platform: Platform, operation: Option<Operation>, times: u32, fault: Fault) {
        if times > 0 {
            self.planned.push_back(Planned { platform, operation, times, fault });
        }
    }

    pub(super) fn clear(&mut self) {
        self.planned.clear();
    }

    /// The fault for this request: of those that fit the one planned first.
    pub(super) fn take(&mut self, platform: Platform, operation: Option<Operation>) -> Option<Fault> {
        let fits = |planned: &Planned| {
            planned.platform == platform && planned.operation.is_none_or(|only| operation == Some(only))
        };
        let at = self.planned.iter().position(fits)?;
        let planned = &mut self.planned[at];
        planned.times -= 1;
        if planned.times > 0 {
            return Some(planned.fault.clone());
        }
        self.planned.remove(at).map(|planned| planned.fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_happen_in_order_and_as_often_as_planned() {
        let mut plan = Plan::default();
        plan.add(Platform::CasaPay, Some(Operation::Create), 2, Fault::MalformedJson);
        plan.add(Platform::CasaPay, None, 1, Fault::Truncated);
        plan.add(Platform::Diddo, None, 0, Fault::LostAnswer);

        assert_eq!(plan.take(Platform::Diddo, Some(Operation::Create)), None);
        assert_eq!(plan.take(Platform::CasaPay, Some(Operation::Create)), Some(Fault::MalformedJson));
        assert_eq!(plan.take(Platform::CasaPay, Some(Operation::List)), Some(Fault::Truncated));
        assert_eq!(plan.take(Platform::CasaPay, Some(Operation::List)), None);
        assert_eq!(plan.take(Platform::CasaPay, Some(Operation::Create)), Some(Fault::MalformedJson));
        assert_eq!(plan.take(Platform::CasaPay, Some(Operation::Create)), None);
    }
}
