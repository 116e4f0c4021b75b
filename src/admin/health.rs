//! The metrics of replicas' health.

use crate::health::{Cause, FULL};
use crate::session::{Database, Proxy};

/// Why replicas are out, and how often they were.
pub(super) fn gauge(proxy: &Proxy, name: &str, database: &Database) {
    let overruled = database.cluster.overruled();
    for cause in Cause::ALL.into_iter().filter(|cause| cause.is_soft()) {
        let labels = [("database", name), ("reason", cause.label())];
        let is = f64::from(u8::from(overruled.contains(cause)));
        proxy.stats.gauge("tidegate_health_overruled", &labels).set(is);
    }
    for node in database.cluster.nodes().iter() {
        let causes = node.causes();
        for cause in Cause::ALL {
            let labels = [("database", name), ("node", node.name.as_str()), ("reason", cause.label())];
            let is = f64::from(u8::from(causes.contains(cause)));
            proxy.stats.gauge("tidegate_node_health", &labels).set(is);
            proxy.stats.counter("tidegate_node_ejections_total", &labels).absolute(node.ejections(cause));
        }
        let share = if node.serves_reads() { f64::from(node.share()) / f64::from(FULL) } else { 0.0 };
        let labels = [("database", name), ("node", node.name.as_str())];
        proxy.stats.gauge("tidegate_node_share", &labels).set(share);
    }
}
