//! The proxy's own figures at one moment, by node.

use std::time::Duration;

use crate::cluster::{Cluster, Node, State};
use crate::routing::Reason;
use crate::session::Proxy;

/// What the proxy has counted up to one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// By node, in the order of the URL.
    pub(super) nodes: Vec<NodeFigures>,
    /// Reads that went to the primary because no replica was fresh enough.
    pub(super) prevented: u64,
    /// Reads run again elsewhere.
    pub(super) reruns: u64,
}

/// What is known of one node, and how many statements it has run.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeFigures {
    /// `host:port`.
    pub(super) name: String,
    /// What it is, `-` while that is not known.
    pub(super) role: &'static str,
    /// Whether it is used.
    pub(super) state: &'static str,
    /// Reads that it ran as the primary, for want of a replica.
    pub(super) reads_as_primary: u64,
    /// Reads that it ran as a replica.
    pub(super) reads_as_replica: u64,
    /// Writes.
    pub(super) writes: u64,
    /// What it lacks is younger than this; known of replicas only.
    pub(super) staleness: Option<Duration>,
}

impl NodeFigures {
    /// All reads.
    pub(super) fn reads(&self) -> u64 {
        self.reads_as_primary + self.reads_as_replica
    }

    fn of(cluster: &Cluster, node: &Node, metrics: &str) -> Self {
        let state = node.state();
        let (role, word) = match state {
            State::Primary => ("primary", "up"),
            State::Replica => ("replica", "up"),
            State::Refused => ("-", "refused"),
            State::Down => ("-", "down"),
        };
        let nanos = cluster.clock.now().since(node.horizon());
        let reads = |target| {
            Reason::ALL
                .into_iter()
                .filter(|reason| reason.is_read())
                .map(|reason| statements(metrics, &node.name, target, reason))
                .sum()
        };
        Self {
            name: node.name.clone(),
            role,
            state: word,
            reads_as_primary: reads("primary"),
            reads_as_replica: reads("replica"),
            writes: statements(metrics, &node.name, "primary", Reason::Write),
            staleness: (state == State::Replica).then(|| Duration::from_nanos(nanos)),
        }
    }
}

impl Figures {
    /// What `proxy`, which has one database, has counted until now.
    pub(super) fn of(proxy: &Proxy) -> Self {
        let Some(database) = proxy.databases().values().next().cloned() else { return Self::default() };
        let metrics = proxy.stats.render();
        let cluster = &database.cluster;
        Self {
            nodes: cluster.nodes().iter().map(|node| NodeFigures::of(cluster, node, &metrics)).collect(),
            prevented: sum(&metrics, "tidegate_stale_reads_prevented_total", &[]),
            reruns: sum(&metrics, "tidegate_reruns_total", &[]),
        }
    }

    /// Reads that ran on a replica, of all reads, in percent.
    pub(super) fn replica_share(&self) -> Option<f64> {
        let all: u64 = self.nodes.iter().map(NodeFigures::reads).sum();
        let on_replicas: u64 = self.nodes.iter().map(|node| node.reads_as_replica).sum();
        (all > 0).then(|| 100.0 * on_replicas as f64 / all as f64)
    }
}

fn statements(metrics: &str, node: &str, target: &str, reason: Reason) -> u64 {
    let labels = [("node", node), ("target", target), ("reason", reason.label())];
    sum(metrics, "tidegate_statements_total", &labels)
}

/// The sum of the counters called `name` that carry all of `labels`, out of Prometheus' text format.
fn sum(metrics: &str, name: &str, labels: &[(&str, &str)]) -> u64 {
    let wanted: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    let series = metrics.lines().filter_map(|line| {
        let (series, value) = line.strip_prefix(name)?.rsplit_once(' ')?;
        // What is left of the name of a longer one begins with neither.
        let carried = if series.is_empty() { "" } else { series.strip_prefix('{')?.strip_suffix('}')? };
        let fits = wanted.iter().all(|label| carried.split(',').any(|carried| carried == label));
        fits.then(|| value.parse::<u64>().ok()).flatten()
    });
    series.sum()
}

#[cfg(test)]
mod tests {
    use super::sum;

    #[test]
    fn counters_are_summed_over_the_labels_that_are_not_asked_for() {
        let metrics = "# HELP a_total What a is.\n# TYPE a_total counter\n\
                       a_total{node=\"h:1\",target=\"replica\"} 3\na_total{node=\"h:1\",target=\"primary\"} 4\n\
                       a_total{node=\"h:12\",target=\"replica\"} 5\na_total_more 6\nb_total 7\n";
        assert_eq!(sum(metrics, "a_total", &[]), 12);
        assert_eq!(sum(metrics, "a_total", &[("node", "h:1")]), 7);
        assert_eq!(sum(metrics, "a_total", &[("node", "h:1"), ("target", "replica")]), 3);
        assert_eq!(sum(metrics, "b_total", &[]), 7);
        assert_eq!(sum(metrics, "c_total", &[]), 0);
    }
}
