//! How it ends, whoever was killed on the way: what is left for an operator to do, and what must then be true.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, SystemTime};

use tower_webhook::testing::simulator::Platform;

use super::site::{Site, Stopped};
use super::stranger::is_answered;
use crate::stage::within_a_minute;

impl Site {
    /// From two endpoints to one, however far it has come.
    pub(super) async fn retires(&self, old: &str) {
        let retired = async {
            loop {
                self.settled_but(old).await;
                match self.say("advance").await.done().as_str() {
                    "NewUnused" | "Paused" => {}
                    "NotRotating" => return,
                    last if last.starts_with("Retired") => return,
                    other => panic!("{other}"),
                }
            }
        };
        within_a_minute(retired).await;
    }

    /// What was sent late has been created, beside what there is already: that is told at the next look, and what an
    /// operator is to do about it.
    pub(super) async fn is_created_late(&mut self, stopped: Stopped, what: &str) {
        let known: BTreeSet<_> = self.endpoints().await.iter().map(|one| one.id().to_owned()).collect();
        let after = self.last().await;
        let Stopped::AtCall(held) = stopped else { panic!("{what}: it was not sent") };
        held.go_on();
        let created = async {
            loop {
                if let [late] = &self.without_secret().await[..] {
                    return late.clone();
                }
            }
        };
        let late = within_a_minute(created).await;
        assert_eq!(self.answer_to(&late, after).await, 503, "{what}: nobody here knows its secret");

        let said = self.say("ensure").await;
        let text = format!("not there: {late};");
        assert!(said.text.contains(&text), "{what}: {said:?}");
        let named: BTreeSet<_> = said.failed("DuplicateEndpoints").into_iter().collect();
        assert!(named.contains(&late) && named.is_superset(&known), "{what}: {named:?}");
        self.lost.insert(late.clone());
        self.account.delete(&late).await;
    }

    /// What must be true in the end, after `what`.
    pub(super) async fn is_whole(&mut self, what: &str) {
        let mut events = self.traffic.halted().await;
        self.provider.settled().await;

        let endpoints = self.endpoints().await;
        let [endpoint] = &endpoints[..] else { panic!("{what}: {endpoints:?}") };
        assert!(endpoint.is_active(), "{what}: {endpoint:?}");
        assert_eq!(endpoint.events(), self.configuration.types, "{what}");

        // No 401, and whatever else was not accepted could be sent again.
        let sent = self.provider.sent(self.checked).await;
        let refused = sent.iter().find(|sent| !matches!(sent.status, None | Some(200 | 503)));
        assert!(refused.is_none(), "{what}: {refused:?}");
        self.checked = sent.last().map_or(self.checked, |sent| sent.sequence);

        // What was sent to nobody but an endpoint whose secret was lost can be fetched, from a platform that lists it.
        let is_lost = |to: &BTreeSet<String>| to.is_subset(&self.lost);
        let fetches = self.platform == Platform::CasaPay;
        if fetches && events.values().any(is_lost) {
            self.say("replay").await.done();
        }
        let effects = self.effects.read().await;
        for (event, to) in events.iter() {
            let times = effects.get(event).map_or(0, Vec::len);
            let expected = usize::from(fetches || !is_lost(to));
            assert_eq!(times, expected, "{what}: {event}, sent to {to:?}");
        }
        assert!(effects.values().all(|labels| labels.len() == 1), "{what}: {effects:?}");

        // What is left in the directory besides the secret is gone an hour later, with the next start.
        let secret = self.secret_file(endpoint.id());
        let mut left = self.files();
        left.retain(|file| *file != secret);
        let may_be_left = |file: &String| file.ends_with(".announced") || file.ends_with(".new");
        assert!(left.iter().all(may_be_left) && left.len() <= 2, "{what}: {left:?}");
        for file in left {
            let file = fs::File::options().write(true).open(self.path(&file)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(3601)).unwrap();
        }
        let ensured = self.say("ensure").await.done();
        assert_eq!(ensured, format!("endpoint {}: unchanged", endpoint.id()), "{what}");
        assert_eq!(self.files(), [secret], "{what}");

        // And what is signed by a stranger is refused again, what the platform signs is handled.
        is_answered(self.platform, &self.configuration.url(), 401).await;
        let (event, to) = self.provider.emit().await;
        self.provider.settled().await;
        assert_eq!(self.effects.read().await.get(&event), Some(&vec![endpoint.id().to_owned()]), "{what}");
        events.insert(event, to.into_iter().collect());
    }
}
