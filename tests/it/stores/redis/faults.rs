//! A server that is killed, restarted, paused, replaced or robbed of a key, at each step.

use redis::aio::ConnectionManager;
use tower_webhook::{RedisStore, Timing};

use super::{ask, connect, key_of, manage, words};
use crate::servers::{RedisServer, redis_url};
use crate::stage::{DUPLICATE, HANDLED, IN_FLIGHT, SECOND, Verdict, timing};
use crate::stores::receiver::{FAILED, Receiver, TOO_SLOW, UNAVAILABLE, fresh_name, short_lease};

/// What was answered is on the disk. With `everysec` a server that is killed while its disk lags behind has answered what
/// it had not yet written.
const ALWAYS: [&str; 2] = ["--appendfsync", "always"];

/// The verdicts of a store that cannot be reached: at once, or after a wait for the connection.
const DOWN: [Verdict; 2] = [UNAVAILABLE, TOO_SLOW];

type Managed = Receiver<RedisStore<ConnectionManager>>;

async fn receiver(server: &RedisServer, timing: Timing) -> Managed {
    Receiver::with_timing(RedisStore::new(manage(&server.url()).await), timing)
}

#[tokio::test]
async fn f08_a_server_that_is_down_at_the_claim_runs_nothing() {
    let mut server = RedisServer::start_with(&ALWAYS);
    let receiver = receiver(&server, timing()).await;
    server.kill();
    for _ in 0..2 {
        let verdict = receiver.deliver("evt_1").await;
        assert!(DOWN.contains(&verdict), "{verdict:?}");
    }
    assert_eq!((receiver.runs.starts.count(), receiver.stats().store_failures()), (0, 2));
    server.restart();
    assert_eq!(receiver.retry("evt_1", &DOWN).await, HANDLED);
    assert_eq!((receiver.deliver("evt_1").await, receiver.runs.starts.count()), (DUPLICATE, 1));
}

#[tokio::test]
async fn f09_a_server_that_dies_before_the_completion_is_told_later() {
    let mut server = RedisServer::start_with(&ALWAYS);
    let receiver = receiver(&server, timing()).await;
    let (answer, run) = receiver.begin("evt_1").await;
    server.kill();
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED, "the work is done");
    server.restart();
    receiver.settled().await;
    assert!(receiver.stats().completions_retried() > 0);
    assert_eq!((receiver.deliver("evt_1").await, receiver.runs.starts.count()), (DUPLICATE, 1));
    assert_eq!(receiver.stats().leases_lost(), 0, "its claim was in the append-only file");
}

#[tokio::test]
async fn f09_a_server_that_hangs_at_the_completion_is_told_later() {
    let server = RedisServer::start_with(&ALWAYS);
    let receiver = receiver(&server, short_lease()).await;
    let (answer, run) = receiver.begin("evt_1").await;
    server.pause();
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED, "the work is done");
    assert_eq!(receiver.deliver("evt_1").await, TOO_SLOW, "no 200 before it is recorded");
    server.resume();
    receiver.settled().await;
    assert!(receiver.stats().completions_retried() > 0);
    assert_eq!((receiver.deliver("evt_1").await, receiver.runs.starts.count()), (DUPLICATE, 1));
}

/// Its process is gone, and with it the completion: the event may run twice, and never less than once.
#[tokio::test]
async fn f09_a_completion_that_never_arrives_costs_a_second_run() {
    let mut server = RedisServer::start_with(&ALWAYS);
    let name = fresh_name();
    let first = Receiver::named(&name, RedisStore::new(manage(&server.url()).await), short_lease());
    let (answer, run) = first.begin("evt_1").await;
    server.kill();
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
    assert!(!first.layer.shutdown().drain(SECOND / 100).await.is_complete(), "a completion was stopped");
    server.restart();
    let second = Receiver::named(&name, RedisStore::new(manage(&server.url()).await), short_lease());
    assert_eq!(second.retry("evt_1", &[IN_FLIGHT]).await, HANDLED);
    assert_eq!((second.deliver("evt_1").await, second.runs.starts.count()), (DUPLICATE, 1));
}

#[tokio::test]
async fn f10_a_server_that_dies_before_the_release_waits_for_the_lease() {
    let mut server = RedisServer::start_with(&ALWAYS);
    let receiver = receiver(&server, short_lease()).await;
    let (answer, run) = receiver.begin("evt_1").await;
    server.kill();
    run.fail(tower_webhook::HandlerError::retry("no"));
    assert_eq!(answer.await.unwrap(), FAILED);
    server.restart();
    let meanwhile = [IN_FLIGHT, DOWN[0], DOWN[1]];
    assert_eq!(receiver.retry("evt_1", &meanwhile).await, HANDLED);
    assert_eq!((receiver.deliver("evt_1").await, receiver.runs.starts.count()), (DUPLICATE, 2));
}

#[tokio::test]
async fn f10_a_release_reaches_a_server_that_was_restarted() {
    let mut server = RedisServer::start_with(&ALWAYS);
    let receiver = receiver(&server, timing()).await;
    assert_eq!(receiver.fail("evt_1").await, FAILED);
    server.restart();
    assert_eq!(receiver.retry("evt_1", &DOWN).await, HANDLED, "at once: the lease is 30 s");
}

#[tokio::test]
async fn f11_a_server_that_hangs_at_the_claim_is_not_waited_for() {
    let server = RedisServer::start_with(&ALWAYS);
    let receiver = receiver(&server, short_lease()).await;
    server.pause();
    assert_eq!(receiver.deliver("evt_1").await, TOO_SLOW);
    assert_eq!(receiver.runs.starts.count(), 0);
    server.resume();
    assert_eq!(receiver.retry("evt_1", &[IN_FLIGHT, TOO_SLOW]).await, HANDLED);
    assert_eq!((receiver.deliver("evt_1").await, receiver.runs.starts.count()), (DUPLICATE, 1));
}

#[tokio::test]
async fn f12_a_claim_that_the_server_lost_ends_as_done_and_is_counted() {
    let receiver = Receiver::new(RedisStore::new(connect(&redis_url()).await));
    let (answer, run) = receiver.begin("evt_1").await;
    lose(&receiver.scope(), "evt_1").await;
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
    assert_eq!(receiver.stats().leases_lost(), 1);
    assert_eq!((receiver.deliver("evt_1").await, receiver.runs.starts.count()), (DUPLICATE, 1));
}

#[tokio::test]
async fn f12_an_event_whose_mark_the_server_lost_runs_again() {
    let receiver = Receiver::new(RedisStore::new(connect(&redis_url()).await));
    assert_eq!(receiver.handle("evt_1").await, HANDLED);
    assert_eq!(receiver.deliver("evt_1").await, DUPLICATE);
    lose(&receiver.scope(), "evt_1").await;
    assert_eq!(receiver.handle("evt_1").await, HANDLED);
    assert_eq!((receiver.deliver("evt_1").await, receiver.runs.starts.count()), (DUPLICATE, 2));
}

async fn lose(scope: &str, id: &str) {
    let lost: u64 = ask(&connect(&redis_url()).await, &words(&["DEL", &key_of(scope, id)])).await;
    assert_eq!(lost, 1);
}

/// The primary goes on for a while after the replica has been promoted: what it writes then is lost.
#[tokio::test]
async fn f12_a_failover_costs_the_last_marks_and_no_others() {
    let mut primary = RedisServer::start_with(&ALWAYS);
    let port = primary.url().trim_end_matches('/').rsplit_once(':').unwrap().1.to_owned();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let (admin, promoted) = (connect(&primary.url()).await, connect(&replica.url()).await);
    let name = fresh_name();
    let before = Receiver::named(&name, RedisStore::new(admin.clone()), timing());
    assert_eq!(before.handle("evt_old").await, HANDLED);
    let replicas: u64 = ask(&admin, &words(&["WAIT", "1", "0"])).await;
    assert_eq!(replicas, 1, "it has the mark");
    let () = ask(&promoted, &words(&["REPLICAOF", "NO", "ONE"])).await;
    assert_eq!(before.handle("evt_last").await, HANDLED);
    primary.kill();

    let after = Receiver::named(&name, RedisStore::new(promoted), timing());
    assert_eq!(after.deliver("evt_old").await, DUPLICATE);
    assert_eq!(after.handle("evt_last").await, HANDLED, "a second run, as documented");
    assert_eq!((after.deliver("evt_last").await, after.runs.starts.count()), (DUPLICATE, 1));
}

#[tokio::test]
async fn f13_a_restart_without_a_file_forgets_what_was_done() {
    let mut server = RedisServer::start_with(&["--appendonly", "no"]);
    let receiver = receiver(&server, timing()).await;
    assert_eq!(receiver.handle("evt_1").await, HANDLED);
    assert_eq!(receiver.deliver("evt_1").await, DUPLICATE);
    server.restart();
    assert_eq!(receiver.retry("evt_1", &DOWN).await, HANDLED, "a second run, as documented");
    assert_eq!(receiver.runs.starts.count(), 2);
}

#[tokio::test]
async fn f13_a_restart_with_a_file_remembers() {
    let mut server = RedisServer::start_with(&ALWAYS);
    let receiver = receiver(&server, timing()).await;
    assert_eq!(receiver.handle("evt_done").await, HANDLED);
    let (answer, run) = receiver.begin("evt_running").await;
    server.restart();
    assert_eq!(receiver.retry("evt_done", &DOWN).await, DUPLICATE);
    assert_eq!(receiver.deliver("evt_running").await, IN_FLIGHT);
    run.succeed();
    assert_eq!(answer.await.unwrap(), HANDLED);
    assert_eq!((receiver.stats().leases_lost(), receiver.runs.starts.count()), (0, 2));
}

/// 64 deliveries of one event, over three instances with a connection each.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn f15_a_storm_over_three_instances_starts_one_handler() {
    let name = fresh_name();
    let mut instances = Vec::new();
    for _ in 0..3 {
        instances.push(Receiver::named(&name, RedisStore::new(connect(&redis_url()).await), timing()));
    }
    for id in ["evt_1", "evt_2", "evt_3", "evt_4"] {
        let mut storm: Vec<_> = (0..64).map(|n| instances[n % 3].post(id)).collect();
        let run = tokio::select! {
            run = instances[0].runs.next() => run,
            run = instances[1].runs.next() => run,
            run = instances[2].runs.next() => run,
        };
        // All but the winner are answered while it runs.
        let mut turned_away = 0;
        while turned_away < 63 {
            let (verdict, _, rest) = futures_util::future::select_all(storm).await;
            assert_eq!(verdict.unwrap(), IN_FLIGHT);
            (storm, turned_away) = (rest, turned_away + 1);
        }
        run.succeed();
        assert_eq!(storm.remove(0).await.unwrap(), HANDLED);
        for instance in &instances {
            assert_eq!(instance.deliver(id).await, DUPLICATE);
        }
    }
    assert_eq!(instances.iter().map(|instance| instance.runs.starts.count()).sum::<usize>(), 4);
}
