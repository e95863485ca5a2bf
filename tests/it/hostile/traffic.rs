//! The sender of a run: many events, each with its schedule, its crowd of first deliveries, and its mishaps.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::dice::Dice;
use super::receiver::{LEASE, Order};
use super::schedules::SCHEDULES;
use super::sender::{Manner, deliver};
use crate::stage::timing;

pub(super) struct Traffic {
    seed: u64,
    ports: Vec<u16>,
    events: AtomicU64,
    deliveries: AtomicU64,
    acknowledged: Mutex<BTreeSet<String>>,
    odd_answers: Mutex<Vec<(String, u16)>>,
}

impl Traffic {
    pub(super) fn new(seed: u64, ports: Vec<u16>) -> Self {
        let (acknowledged, odd_answers) = Default::default();
        let (events, deliveries) = Default::default();
        Self { seed, ports, events, deliveries, acknowledged, odd_answers }
    }

    pub(super) fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    pub(super) fn deliveries(&self) -> u64 {
        self.deliveries.load(Ordering::Relaxed)
    }

    /// Events for which the sender saw 200.
    pub(super) fn acknowledged(&self) -> BTreeSet<String> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Answers that tell a sender anything but "done" or "again".
    pub(super) fn odd_answers(&self) -> Vec<(String, u16)> {
        self.odd_answers.lock().unwrap().clone()
    }

    /// Sends events until it is enough, and each to the end of its schedule.
    pub(super) async fn send(self: &Arc<Self>, at_once: usize, enough: impl Fn() -> bool) {
        let mut events = JoinSet::new();
        while !enough() {
            while events.len() < at_once {
                let number = self.events.fetch_add(1, Ordering::Relaxed);
                let traffic = Arc::clone(self);
                events.spawn(async move { traffic.event(number).await });
            }
            events.join_next().await.unwrap().unwrap();
        }
        while let Some(event) = events.join_next().await {
            event.unwrap();
        }
    }

    async fn event(&self, number: u64) {
        let mut dice = Dice::of(self.seed, number);
        let schedule = dice.one_of(&SCHEDULES);
        let id = id(number);
        let (mut last, mut crowd) = (0, 1 + dice.roll(3));
        for &attempt in [0].iter().chain(schedule.attempts) {
            // No pause is much longer than a lease, or a run would take days; some end just within one.
            let longest = dice.time(600, 1_800);
            sleep(scaled(Duration::from_millis(attempt - last)).min(longest) + dice.time(0, 20)).await;
            last = attempt;
            if join_all((0..crowd).map(|_| self.attempt(&id, &mut dice))).await.contains(&true) {
                return;
            }
            crowd = 1;
        }
    }

    /// One delivery, with whatever may befall it; `true` where the sender saw 200.
    fn attempt<'a>(&'a self, id: &str, dice: &mut Dice) -> impl Future<Output = bool> + use<'a> {
        let port = dice.one_of(&self.ports);
        let order = match dice.roll(100) {
            0..80 => Order::Do,
            80..88 => Order::Slowly,
            _ => Order::Fail,
        };
        let manner = match dice.roll(100) {
            0..76 => Manner::Whole,
            76..84 => Manner::Half,
            84..90 => Manner::Reset,
            _ => Manner::Leave(dice.time(0, 30)),
        };
        self.deliver(id.to_owned(), port, order, manner)
    }

    async fn deliver(&self, id: String, port: u16, order: Order, manner: Manner) -> bool {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        match deliver(port, &id, order, manner).await {
            Some(200) => {
                self.acknowledged.lock().unwrap().insert(id);
                true
            }
            Some(503) | None => false,
            Some(odd) => {
                self.odd_answers.lock().unwrap().push((id, odd));
                false
            }
        }
    }

    /// Delivers every event once more, the way an operator does when all is well; the events that do not end in 200.
    pub(super) async fn deliver_again(self: &Arc<Self>) -> Vec<String> {
        let mut workers = JoinSet::new();
        let next = Arc::new(AtomicU64::new(0));
        for _ in 0..16 {
            let (traffic, next) = (Arc::clone(self), Arc::clone(&next));
            workers.spawn(async move {
                let mut unfinished = Vec::new();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= traffic.events() {
                        return unfinished;
                    }
                    if !traffic.finish(number).await {
                        unfinished.push(id(number));
                    }
                }
            });
        }
        workers.join_all().await.concat()
    }

    /// A busy machine may let even this run into a timeout, after which the next attempt finds the event done.
    async fn finish(&self, number: u64) -> bool {
        let mut dice = Dice::of(self.seed, number);
        for _ in 0..10 {
            let port = dice.one_of(&self.ports);
            if self.deliver(id(number), port, Order::Do, Manner::Whole).await {
                return true;
            }
            sleep(LEASE / 4).await;
        }
        false
    }
}

fn id(number: u64) -> String {
    format!("evt_{number}")
}

/// A pause as long to the lease of a run as the sender's is to the default lease.
fn scaled(pause: Duration) -> Duration {
    pause.mul_f64(LEASE.div_duration_f64(timing().lease()))
}
