//! The metrics of times and sizes, which the recorder does not keep.

use std::fmt::Write;
use std::sync::Arc;

use axum::extract::State;

use crate::session::{Database, Proxy};
use crate::stats::{HISTOGRAMS, STATEMENT_SECONDS, TOTALS};

/// Those of all databases, in Prometheus' text format.
pub(super) fn render(proxy: &Proxy) -> String {
    let mut text = String::new();
    let all = proxy.databases();
    let databases: Vec<_> = all.iter().map(|(name, database)| (labels(name), database)).collect();
    for (number, (metric, help)) in HISTOGRAMS.into_iter().enumerate() {
        head(&mut text, metric, help, "histogram");
        for (labels, database) in &databases {
            database.stats.histograms()[number].write(&mut text, metric, labels);
        }
    }
    render_timing(&mut text, &databases);
    text
}

/// Shapes that are shown of each database.
const SHAPES: usize = 100;

/// The shapes of statements that have taken the most time, of each database: a line each, its columns divided by tabs.
pub(super) async fn shapes(State(proxy): State<Arc<Proxy>>) -> String {
    let mut text =
        "database\tcalls\ton_primary\ton_replicas\terrors\ttotal_ms\tmean_ms\tlongest_ms\tshape\n".to_owned();
    let all = proxy.databases();
    let mut databases: Vec<_> = all.iter().collect();
    databases.sort_by_key(|(name, _)| *name);
    for (name, database) in databases {
        for shape in database.stats.top_shapes(SHAPES) {
            let [total, longest] = [shape.total, shape.longest].map(|time| time.as_secs_f64() * 1e3);
            let (calls, mean) = (shape.calls(), total / shape.calls() as f64);
            let (on_primary, on_replicas, errors) = (shape.on_primary, shape.on_replicas, shape.errors);
            let statement = shape.text.replace(['\t', '\n', '\r'], " ");
            let _ = writeln!(
                text,
                "{name}\t{calls}\t{on_primary}\t{on_replicas}\t{errors}\t{total:.3}\t{mean:.3}\t{longest:.3}\t{statement}"
            );
        }
    }
    text
}

fn render_timing(text: &mut String, databases: &[(String, &Arc<Database>)]) {
    let (metric, help) = STATEMENT_SECONDS;
    head(text, metric, help, "histogram");
    for (labels, database) in databases {
        database.stats.timing.write(text, metric, labels);
    }
    for (metric, help, value) in TOTALS {
        head(text, metric, help, "counter");
        for (labels, database) in databases {
            let _ = writeln!(text, "{metric}{{{labels}}} {}", value(&database.stats.totals()));
        }
    }
}

fn head(text: &mut String, metric: &str, help: &str, kind: &str) {
    let _ = writeln!(text, "# HELP {metric} {help}\n# TYPE {metric} {kind}");
}

fn labels(database: &str) -> String {
    let database = database.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("database=\"{database}\"")
}
