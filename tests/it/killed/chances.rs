//! Kills at random instants, again and again, and an operator who does what the errors say.

use std::collections::BTreeMap;
use std::time::Duration;

use tower_webhook::testing::simulator::Platform;

use super::site::Site;
use crate::hostile::dice::Dice;

/// To have a run's chances again: its seed, as it was printed.
const SEED: &str = "TOWER_WEBHOOK_KILLED_SEED";

/// For how many rounds, of each platform.
const ROUNDS: &str = "TOWER_WEBHOOK_KILLED_ROUNDS";

/// What is under way when a worker is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Subscribing,
    Beginning,
    Pausing,
    Retiring,
}

/// Has a worker killed in a phase, after a time that the dice choose.
async fn is_killed(site: &mut Site, phase: Phase, dice: &mut Dice) {
    let instant = |dice: &mut Dice, most: u64| Duration::from_micros(dice.next() % most);
    if phase == Phase::Subscribing {
        site.reset().await;
        site.launch();
        tokio::time::sleep(instant(dice, 400_000)).await;
        site.kill().await;
        return;
    }
    if phase != Phase::Beginning {
        let old = site.endpoints().await;
        let after = site.last().await;
        let new = site.say("begin").await.done();
        site.until_accepted(&new, after).await;
        site.settled().await;
        assert_eq!(old.len(), 1, "{old:?}");
    }
    if phase == Phase::Retiring {
        assert_eq!(site.say("advance").await.done(), "Paused");
        site.settled().await;
    }
    let command = if phase == Phase::Beginning { "begin" } else { "advance" };
    let pause = tokio::time::sleep(instant(dice, 60_000));
    tokio::select! {
        () = async { _ = site.say(command).await; std::future::pending().await } => {}
        () = pause => {}
    }
    site.kill().await;
}

/// Starts workers until one has nothing to complain of, and brings its rotation to the end. Returns what they complained of.
async fn is_mended(site: &mut Site, dice: &mut Dice) -> Vec<String> {
    let mut complaints = Vec::new();
    loop {
        // Killed again before it has come far, now and then.
        if dice.roll(3) == 0 {
            site.launch();
            tokio::time::sleep(Duration::from_micros(dice.next() % 400_000)).await;
            site.kill().await;
        }
        _ = site.start().await;
        site.gate.idle().await;
        let said = site.say("ensure").await;
        let Some(error) = said.error.clone() else { break };
        match error.as_str() {
            "SecretUnknown" => assert_eq!(said.endpoints, site.without_secret().await, "{said:?}"),
            "DuplicateEndpoints" => {}
            _ => panic!("{said:?}"),
        }
        let lost = site.without_secret().await;
        assert!(!lost.is_empty(), "{said:?}");
        for lost in lost {
            site.account.delete(&lost).await;
            site.lost.insert(lost);
        }
        complaints.push(error);
        site.kill().await;
    }
    if let [one, other] = &site.endpoints().await[..] {
        let new = site.say("begin").await.done();
        let old = if one.id() == new { other.id() } else { one.id() };
        site.retires(old).await;
    }
    complaints
}

/// `scripts/killed.sh` starts it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes: scripts/killed.sh"]
#[expect(clippy::print_stdout, reason = "the figures of a run, and its seed")]
async fn the_long_form() {
    let number = |variable| std::env::var(variable).ok().map(|number| number.parse::<u64>().unwrap());
    let (seed, rounds) = (number(SEED).unwrap_or_else(crate::servers::random), number(ROUNDS).unwrap_or(100));
    println!("{SEED}={seed}");
    for (part, platform) in (0..).zip([Platform::CasaPay, Platform::Diddo]) {
        let mut dice = Dice::of(seed, part);
        let mut site = Site::open(platform).await;
        site.start().await.done();
        let mut found = BTreeMap::<String, usize>::new();
        for round in 0..rounds {
            let phase = dice.one_of(&[
                Phase::Subscribing,
                Phase::Beginning,
                Phase::Beginning,
                Phase::Pausing,
                Phase::Retiring,
            ]);
            is_killed(&mut site, phase, &mut dice).await;
            site.gate.idle().await;
            let state = format!(
                "{phase:?}: endpoints {}, without secret {}, files {}",
                site.endpoints().await.len(),
                site.without_secret().await.len(),
                site.files().len()
            );
            *found.entry(state).or_default() += 1;
            for complaint in is_mended(&mut site, &mut dice).await {
                *found.entry(complaint).or_default() += 1;
            }
            site.is_whole(&format!("{platform}, round {round}")).await;
        }
        let (happened, lost) = site.happened().await;
        println!(
            "{platform}: {rounds} rounds, {happened} events: none lost or doubled by us, no delivery answered 401"
        );
        let fetched =
            if platform == Platform::CasaPay { "and then fetched" } else { "which nobody can fetch" };
        println!("    {lost} of them sent to nobody but an endpoint whose secret was lost, {fetched}");
        for (state, times) in found {
            println!("{times:8}  {state}");
        }
    }
}
