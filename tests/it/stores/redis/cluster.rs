//! Three primaries, between which the slots are divided.

use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use tower_webhook::RedisStore;
use tower_webhook::dedup::{Claim, Completion, DedupStore as _, StoreWarning};

use super::{PATIENCE, ask, connect, suite, words};
use crate::servers::RedisServer;
use crate::stage::within_a_minute;
use crate::stores::receiver::request;

const SLOTS: u16 = 16_384;

struct Cluster {
    nodes: Vec<RedisServer>,
}

impl Cluster {
    async fn start() -> Self {
        let arguments = ["--cluster-enabled", "yes", "--cluster-node-timeout", "5000"];
        let nodes: Vec<_> = (0..3).map(|_| RedisServer::start_with(&arguments)).collect();
        let cluster = Self { nodes };
        let share = SLOTS.div_ceil(3);
        let first = connect(&cluster.nodes[0].url()).await;
        for (node, from) in cluster.nodes.iter().zip((0..SLOTS).step_by(share.into())) {
            let connection = connect(&node.url()).await;
            let mut command = words(&["CLUSTER", "ADDSLOTS"]);
            command.arg((from..SLOTS.min(from + share)).collect::<Vec<_>>());
            let () = ask(&connection, &command).await;
            let port = node.url().trim_end_matches('/').rsplit_once(':').unwrap().1.to_owned();
            let () = ask(&first, &words(&["CLUSTER", "MEET", "127.0.0.1", &port])).await;
        }
        for node in &cluster.nodes {
            let connection = connect(&node.url()).await;
            within_a_minute(async {
                loop {
                    let state: String = ask(&connection, &words(&["CLUSTER", "INFO"])).await;
                    let agreed =
                        ["cluster_state:ok", "cluster_slots_assigned:16384", "cluster_known_nodes:3"];
                    if agreed.iter().all(|line| state.contains(line)) {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            })
            .await;
        }
        cluster
    }

    async fn connect(&self) -> ClusterConnection {
        let client = ClusterClient::builder(self.nodes.iter().map(RedisServer::url));
        let client = client.response_timeout(PATIENCE).build().unwrap();
        client.get_async_connection().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cluster_conforms() {
    let cluster = Cluster::start().await;
    suite(RedisStore::new(cluster.connect().await)).run_all().await.unwrap();
}

/// Each node learns a script by itself, and each has its share of the marks.
#[tokio::test]
async fn a_cluster_spreads_marks_and_is_checked_as_a_whole() {
    let cluster = Cluster::start().await;
    let store = RedisStore::new(cluster.connect().await);
    assert_eq!(store.check().await.unwrap(), []);
    assert!(store.info().durable());
    for n in 0..100 {
        let id = format!("evt_{n}");
        let Claim::Acquired(lease) = store.claim(&request("caspay", &id)).await.unwrap() else {
            panic!("{id}")
        };
        assert_eq!(store.complete(&lease, PATIENCE).await.unwrap(), Completion::Completed);
        assert_eq!(store.claim(&request("caspay", &id)).await.unwrap(), Claim::Done);
    }
    let mut sizes = Vec::new();
    for node in &cluster.nodes {
        sizes.push(ask::<u64>(&connect(&node.url()).await, &words(&["DBSIZE"])).await);
    }
    assert!(sizes.iter().sum::<u64>() == 100 && sizes.iter().all(|size| *size > 10), "{sizes:?}");

    let last = connect(&cluster.nodes[2].url()).await;
    let () = ask(&last, &words(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"])).await;
    let evicts = StoreWarning::Evicts { policy: "allkeys-lru".to_owned() };
    assert_eq!(store.check().await.unwrap(), [evicts]);
    assert!(!store.info().durable());
}
