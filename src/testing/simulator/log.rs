//! What happened: [`Call`]s of the APIs and [`Attempt`]s at deliveries. Neither holds a key, a secret or a body.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::platform::{Operation, Platform};
use super::schedule::Verdict;

/// A request to one of the APIs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Call {
    /// Its place in the order of everything that was logged, attempts included, from 1.
    pub sequence: u64,
    /// The platform.
    pub platform: Platform,
    /// What the request wanted; `None` where the API has no such call.
    pub operation: Option<Operation>,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The status it was answered with; `None` where the connection was closed in place of an answer.
    pub status: Option<u16>,
}

/// One delivery of an event to an endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Attempt {
    /// Its place in the order of everything that was logged, calls included, from 1.
    pub sequence: u64,
    /// The platform.
    pub platform: Platform,
    /// The endpoint's id.
    pub endpoint: String,
    /// The event's id.
    pub event: String,
    /// The event's type.
    pub event_type: String,
    /// Which attempt at this event and endpoint it was, from 1.
    pub attempt: u32,
    /// Which of the copies sent at once it was, from 1.
    pub copy: u32,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Why there was no answer.
    pub why: Option<String>,
    /// What the sender made of it, and of its other copies.
    pub verdict: Verdict,
    /// After which time the next attempt follows, before it is divided by the speed. In JSON: `retry_in_ms`.
    #[serde(rename = "retry_in_ms", serialize_with = "milliseconds")]
    pub retry_in: Option<Duration>,
}

fn milliseconds<S: Serializer>(time: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).serialize(serializer)
}

/// One of the two, for [observers](super::SimulatorBuilder::with_observer).
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Record<'a> {
    /// A request to one of the APIs, answered.
    Call(&'a Call),
    /// A delivery, after its answer.
    Attempt(&'a Attempt),
}

/// The last records, and the number of the next.
#[derive(Debug)]
pub(super) struct Log {
    limit: usize,
    sequence: u64,
    calls: VecDeque<Call>,
    attempts: VecDeque<Attempt>,
}

impl Log {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), sequence: 0, calls: VecDeque::new(), attempts: VecDeque::new() }
    }

    pub(super) fn call(&mut self, mut call: Call) -> Call {
        call.sequence = self.next();
        push(&mut self.calls, self.limit, call.clone());
        call
    }

    pub(super) fn attempt(&mut self, mut attempt: Attempt) -> Attempt {
        attempt.sequence = self.next();
        push(&mut self.attempts, self.limit, attempt.clone());
        attempt
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    pub(super) fn calls(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    pub(super) fn attempts(&self) -> Vec<Attempt> {
        self.attempts.iter().cloned().collect()
    }
}

fn push<T>(records: &mut VecDeque<T>, limit: usize, record: T) {
    if records.len() == limit {
        records.pop_front();
    }
    records.push_back(record);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten_and_numbers_go_on() {
        let mut log = Log::new(2);
        for status in [200, 201, 202] {
            log.call(Call {
                sequence: 0,
                platform: Platform::Diddo,
                operation: None,
                method: "GET".to_owned(),
                path: "/".to_owned(),
                status: Some(status),
            });
        }
        let kept: Vec<_> = log.calls().iter().map(|call| (call.sequence, call.status)).collect();
        assert_eq!(kept, [(2, Some(201)), (3, Some(202))]);
    }
}
