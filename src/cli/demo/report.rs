//! What is shown, as lines of text. Pure: the figures are handed in.

use std::fmt::Write;
use std::net::SocketAddr;
use std::time::Duration;

use super::figures::{Figures, NodeFigures};
use super::tally::Tally;
use crate::cli::args::DemoArgs;
use crate::local::PgBin;

/// The figures of this moment and of the last time it was looked.
#[derive(Debug, Default)]
pub(super) struct View {
    now: Figures,
    before: Figures,
    elapsed: Duration,
    since: Duration,
    found: Option<Found>,
}

/// What the actors have found.
#[derive(Clone, Copy, Debug)]
struct Found {
    checked: u64,
    stale: u64,
    errors: u64,
}

impl View {
    /// Before anything has happened.
    pub(super) fn new(now: Figures) -> Self {
        Self { now, ..Self::default() }
    }

    /// Time has passed: `elapsed` since the beginning. Without actors there is no tally.
    pub(super) fn update(&mut self, now: Figures, elapsed: Duration, tally: Option<&Tally>) {
        self.before = std::mem::replace(&mut self.now, now);
        self.since = elapsed.saturating_sub(self.elapsed);
        self.elapsed = elapsed;
        self.found = tally.map(|t| Found { checked: t.checked(), stale: t.stale(), errors: t.errors() });
    }

    /// The table and what is below it. The last one shows the average of the whole time, every other one the speed
    /// since the one before it.
    pub(super) fn table(&self, last: bool) -> Vec<String> {
        let mut lines = vec![format!(
            "{:<22} {:<8} {:<8} {:>8} {:>9} {:>10} {:>9} {:>10}",
            "node", "role", "state", "reads/s", "writes/s", "reads", "writes", "staleness"
        )];
        for (i, node) in self.now.nodes.iter().enumerate() {
            let (reads, writes) = self.speed(i, last);
            let NodeFigures { name, role, state, .. } = node;
            lines.push(format!(
                "{name:<22} {role:<8} {state:<8} {reads:>8.0} {writes:>9.0} {:>10} {:>9} {:>10}",
                node.reads(),
                node.writes,
                node.staleness.map_or_else(|| "-".to_owned(), |time| format!("{} ms", time.as_millis())),
            ));
        }
        lines.push(String::new());
        lines.extend(self.totals());
        lines
    }

    fn totals(&self) -> Vec<String> {
        let Figures { prevented, reruns, .. } = &self.now;
        let share = self.now.replica_share().map_or_else(|| "-".to_owned(), |share| format!("{share:.1} %"));
        let mut lines = vec![format!("reads served by replicas: {share}")];
        if let Some(Found { checked, stale, .. }) = self.found {
            lines.push(format!("stale reads found: {stale} (of {checked} checked)"));
        }
        lines.push(format!("stale reads prevented: {prevented}"));
        lines.push(format!("reruns: {reruns}"));
        if let Some(Found { errors, .. }) = self.found {
            lines.push(format!("errors: {errors}"));
        }
        lines.push(format!("time: {} s", self.elapsed.as_secs()));
        lines
    }

    /// The same on one line.
    pub(super) fn line(&self) -> String {
        let mut line = format!("{:>4} s", self.elapsed.as_secs());
        for (i, node) in self.now.nodes.iter().enumerate() {
            let (reads, writes) = self.speed(i, false);
            let what = if node.role == "-" { node.state } else { node.role };
            let _ = write!(line, " | {what} {reads:.0} r/s {writes:.0} w/s");
            if let Some(staleness) = node.staleness {
                let _ = write!(line, " {} ms", staleness.as_millis());
            }
        }
        if let Some(share) = self.now.replica_share() {
            let _ = write!(line, " | on replicas {share:.0} %");
        }
        if let Some(Found { stale, errors, .. }) = self.found {
            let _ = write!(line, " | stale {stale} errors {errors}");
        }
        let _ = write!(line, " | prevented {} reruns {}", self.now.prevented, self.now.reruns);
        line
    }

    /// Reads and writes per second of a node.
    fn speed(&self, node: usize, overall: bool) -> (f64, f64) {
        let nothing = NodeFigures::default();
        let now = self.now.nodes.get(node).unwrap_or(&nothing);
        let (before, time) = match self.before.nodes.get(node) {
            Some(before) if !overall => (before, self.since),
            _ => (&nothing, self.elapsed),
        };
        let rate = |now: u64, before: u64| {
            now.saturating_sub(before) as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE)
        };
        (rate(now.reads(), before.reads()), rate(now.writes, before.writes))
    }
}

/// `1 read`, `2 reads`.
pub(super) fn times(count: u64, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// What is said while the servers start.
pub(super) fn starting(bin: &PgBin) -> String {
    format!("Starting a primary and two replicas (PostgreSQL in {}), a few seconds.", bin.dir().display())
}

/// What is said when everything runs.
pub(super) fn intro(address: SocketAddr, admin: Option<SocketAddr>, args: &DemoArgs) -> String {
    let mut text = format!("\nTry it by hand:  psql \"postgres://app:secret@{address}/app\"\n");
    if let Some(admin) = admin {
        let _ = writeln!(text, "Its metrics:     curl http://{admin}/metrics");
    }
    if !args.no_workload {
        let clients = times(args.clients.into(), "client");
        let _ =
            writeln!(text, "Workload:        {clients}, one statement in ten a write, read back elsewhere");
    }
    if let Some(lag) = args.lag {
        let _ = writeln!(text, "Replicas:        {lag} ms behind");
    }
    match args.seconds {
        Some(seconds) => {
            let _ = writeln!(
                text,
                "Ends:            after {seconds} s, or with Ctrl-C; everything is removed then"
            );
        }
        None => text.push_str("Ends:            with Ctrl-C; everything is removed then\n"),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(primary: u64, replica: u64, writes: u64) -> Figures {
        let node = |name: &str, role, staleness| NodeFigures {
            name: name.to_owned(),
            role,
            state: "up",
            staleness,
            ..NodeFigures::default()
        };
        let primary =
            NodeFigures { reads_as_primary: primary, writes, ..node("127.0.0.1:1", "primary", None) };
        let replica = NodeFigures {
            reads_as_replica: replica,
            ..node("127.0.0.1:2", "replica", Some(Duration::from_millis(7)))
        };
        Figures { nodes: vec![primary, replica], prevented: 5, reruns: 1 }
    }

    fn view() -> View {
        let mut view = View::new(Figures::default());
        let tally = Tally::new(1);
        tally.check(1, 1);
        view.update(figures(10, 30, 4), Duration::from_secs(1), Some(&tally));
        view.update(figures(20, 180, 8), Duration::from_secs(3), Some(&tally));
        view
    }

    #[test]
    fn the_table_shows_what_goes_where() {
        let expected = "\
node                   role     state     reads/s  writes/s      reads    writes  staleness
127.0.0.1:1            primary  up              5         2         20         8          -
127.0.0.1:2            replica  up             75         0        180         0       7 ms

reads served by replicas: 90.0 %
stale reads found: 0 (of 1 checked)
stale reads prevented: 5
reruns: 1
errors: 0
time: 3 s";
        assert_eq!(view().table(false).join("\n"), expected);
    }

    #[test]
    fn the_last_table_shows_averages() {
        let table = view().table(true);
        assert!(table[2].contains(" 60 "), "{}", table[2]);
    }

    #[test]
    fn one_line_says_the_same() {
        let expected = "   3 s | primary 5 r/s 2 w/s | replica 75 r/s 0 w/s 7 ms | on replicas 90 % \
                        | stale 0 errors 0 | prevented 5 reruns 1";
        assert_eq!(view().line(), expected);
    }
}
