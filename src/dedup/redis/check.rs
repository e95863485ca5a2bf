//! What a server says of itself, and what of it endangers marks.

use redis::Value;

use crate::dedup::StoreWarning;

/// More than this share of its memory in use is worth a word: 90 %.
const NEARLY_FULL: (u128, u128) = (9, 10);

/// The warnings about all servers that answered, each once.
pub(super) fn warnings(reports: &[Report]) -> Vec<StoreWarning> {
    let mut warnings = Vec::new();
    for warning in reports.iter().flat_map(Report::warnings) {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    }
    warnings
}

/// Whether every server keeps its marks, whatever happens to its process or its memory.
pub(super) fn is_durable(reports: &[Report]) -> bool {
    !reports.is_empty()
        && reports.iter().all(|report| report.persists() && report.evicting_policy().is_none())
}

/// The answer of one server to `INFO`, which managed servers allow where they forbid `CONFIG`.
pub(super) struct Report(String);

impl Report {
    /// One report from a server, one a node from a cluster.
    pub(super) fn all_of(answer: Value) -> Vec<Self> {
        match answer {
            Value::BulkString(text) => vec![Self(String::from_utf8_lossy(&text).into_owned())],
            Value::SimpleString(text) | Value::VerbatimString { text, .. } => vec![Self(text)],
            Value::Map(nodes) => nodes.into_iter().flat_map(|(_, report)| Self::all_of(report)).collect(),
            _ => Vec::new(),
        }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.0.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }

    fn bytes(&self, name: &str) -> Option<u64> {
        self.field(name)?.parse().ok()
    }

    fn warnings(&self) -> impl Iterator<Item = StoreWarning> {
        let evicts = match self.evicting_policy() {
            Some(policy) => Some(StoreWarning::Evicts { policy: policy.to_owned() }),
            None if self.field("maxmemory_policy").is_none() => Some(StoreWarning::EvictionUnknown),
            None => None,
        };
        let forgets = (!self.persists()).then_some(StoreWarning::NotPersistent);
        let read_only = self.field("role").is_some_and(|role| role == "slave" || role == "replica");
        let read_only = read_only.then_some(StoreWarning::ReadOnly);
        [evicts, forgets, self.nearly_full(), read_only].into_iter().flatten()
    }

    fn evicting_policy(&self) -> Option<&str> {
        self.field("maxmemory_policy").filter(|policy| *policy != "noeviction")
    }

    fn persists(&self) -> bool {
        self.field("aof_enabled") == Some("1")
    }

    fn nearly_full(&self) -> Option<StoreWarning> {
        let (used, limit) = (self.bytes("used_memory")?, self.bytes("maxmemory")?);
        // No limit is written as 0.
        let full = limit > 0 && u128::from(used) * NEARLY_FULL.1 > u128::from(limit) * NEARLY_FULL.0;
        full.then_some(StoreWarning::NearlyFull { used, limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(policy: &str, aof: &str, used: u64, limit: u64, role: &str) -> Report {
        Report(format!(
            "# Memory\r\nused_memory:{used}\r\nused_memory_human:1M\r\nmaxmemory:{limit}\r\n\
             maxmemory_policy:{policy}\r\n# Persistence\r\naof_enabled:{aof}\r\nrole:{role}\r\n"
        ))
    }

    fn warned(report: Report) -> Vec<StoreWarning> {
        warnings(&[report])
    }

    #[test]
    fn a_careful_server_gives_no_cause() {
        assert_eq!(warned(report("noeviction", "1", 900, 1_000, "master")), []);
        assert_eq!(warned(report("noeviction", "1", u64::MAX, 0, "master")), []);
    }

    #[test]
    fn each_danger_is_named() {
        let evicts = StoreWarning::Evicts { policy: "volatile-ttl".to_owned() };
        assert_eq!(warned(report("volatile-ttl", "1", 0, 0, "master")), [evicts]);
        assert_eq!(warned(report("noeviction", "0", 0, 0, "master")), [StoreWarning::NotPersistent]);
        let full = StoreWarning::NearlyFull { used: 901, limit: 1_000 };
        assert_eq!(warned(report("noeviction", "1", 901, 1_000, "master")), [full]);
        assert_eq!(warned(report("noeviction", "1", 0, 0, "slave")), [StoreWarning::ReadOnly]);
        let silent = warned(Report("aof_enabled:1\r\n".to_owned()));
        assert_eq!(silent, [StoreWarning::EvictionUnknown]);
    }

    #[test]
    fn a_cluster_is_as_good_as_its_worst_node_and_says_so_once() {
        let node = |policy| report(policy, "1", 0, 0, "master");
        let nodes = [node("noeviction"), node("allkeys-lru"), node("allkeys-lru")];
        assert_eq!(warnings(&nodes).len(), 1);
        assert!(is_durable(&nodes[..1]) && !is_durable(&nodes) && !is_durable(&[]));
        assert!(!is_durable(&[report("noeviction", "0", 0, 0, "master")]));
    }

    #[test]
    fn reports_are_found_in_every_shape_of_an_answer() {
        let text = || Value::BulkString(b"role:master\r\n".to_vec());
        let node = |name: &str, report| (Value::BulkString(name.into()), report);
        assert_eq!(Report::all_of(text()).len(), 1);
        assert_eq!(Report::all_of(Value::Map(vec![node("a:1", text()), node("b:1", text())])).len(), 2);
        assert_eq!(Report::all_of(Value::Nil).len(), 0);
    }
}
