//! What is shown, as text. Pure: the figures are handed in.

use std::fmt::Write;
use std::time::Duration;

use super::args::Path;
use super::faults::Done;
use super::histogram::Histogram;
use super::plan::Plan;
use super::tally::{Example, Tally};
use crate::history::Kind;

/// Fewer reads than this tell nothing.
const ENOUGH: u64 = 1000;
/// Fewer reads than this that lag could have made stale tell nothing either.
const ENOUGH_SOON: u64 = 100;

/// A run that is over.
pub(super) struct Outcome<'a> {
    pub(super) plan: &'a Plan,
    pub(super) tally: &'a Tally,
    pub(super) time: Duration,
    /// What the proxies could not do.
    pub(super) notes: &'a [String],
    pub(super) faults: &'a Done,
    /// What is left in the database.
    pub(super) left: Option<&'a str>,
}

/// One line while it runs.
pub(super) fn progress(tally: &Tally, time: Duration) -> String {
    let mut line = format!(
        "{:>5} s | {} reads | {} writes | violations {} | errors {}",
        time.as_secs(),
        tally.checked(),
        tally.writes,
        tally.wrong,
        tally.failures()
    );
    if let Some(share) = tally.replica_share() {
        let _ = write!(line, " | on replicas {share:.0} %");
    }
    line
}

impl Outcome<'_> {
    /// The whole report, the verdict last.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for line in self.lines() {
            text.push_str(&line);
            text.push('\n');
        }
        let _ = match self.verdict() {
            Ok(verdict) => writeln!(text, "\nok: {verdict}"),
            Err(verdict) => writeln!(text, "\nfailed: {verdict}"),
        };
        text
    }

    fn lines(&self) -> Vec<String> {
        let Self { plan, tally, time, .. } = self;
        let per_second = |count: u64| count as f64 / time.as_secs_f64().max(f64::MIN_POSITIVE);
        let proxies: Vec<&str> = plan.proxies.iter().map(|proxy| proxy.shown.as_str()).collect();
        let paths = Path::ALL.map(|path| format!("{} {}", path.as_str(), tally.reads(path)));
        let mut lines = vec![
            format!(
                "verified {} for {:.1} s at level {}",
                proxies.join(", "),
                time.as_secs_f64(),
                plan.level.word
            ),
            String::new(),
            format!("reads checked: {} ({:.0}/s)", tally.checked(), per_second(tally.checked())),
            format!("  by path: {}", paths.join(", ")),
            format!("  within a second after a write of what they read: {}", tally.soon),
        ];
        if tally.unjudged > 0 {
            lines.push(format!(
                "  not judged, for what they asked for was thrown away meanwhile: {}",
                tally.unjudged
            ));
        }
        lines.push(format!("writes acknowledged: {} ({:.0}/s)", tally.writes, per_second(tally.writes)));
        lines.extend(self.violations());
        lines.extend(self.errors());
        lines.extend(self.nodes());
        lines.push(format!(
            "staleness of what was seen: {}",
            percentiles(&tally.staleness, &[50.0, 95.0, 99.0])
        ));
        lines.push(format!("time of reads: {}", percentiles(&tally.read_time, &[50.0, 99.0])));
        lines.push(format!("time of writes: {}", percentiles(&tally.write_time, &[50.0, 99.0])));
        lines.extend(self.faults());
        lines.extend(self.notes.iter().map(|note| format!("note: {note}")));
        lines
    }

    fn violations(&self) -> Vec<String> {
        let mut lines = vec![format!("reads with violations: {}", self.tally.wrong)];
        for kind in Kind::ALL {
            let count = self.tally.violations(kind);
            if count == 0 {
                continue;
            }
            lines.push(format!("  {count} × {}, for example:", kind.meaning()));
            let examples = self.tally.examples.iter().filter(|example| example.kind == kind);
            lines.extend(examples.flat_map(example));
        }
        lines
    }

    fn errors(&self) -> Vec<String> {
        let mut lines = vec![format!("errors: {}", self.tally.failures())];
        if self.tally.early > 0 {
            lines
                .push(format!("  not counted, for the tables were not everywhere yet: {}", self.tally.early));
        }
        for (code, errors) in &self.tally.errors {
            lines.push(format!("  {} × {code}, the first: {}", errors.count, errors.first));
        }
        lines
    }

    fn nodes(&self) -> Vec<String> {
        let Some(share) = self.tally.replica_share() else {
            return vec!["reads served by replicas: unknown".to_owned()];
        };
        let mut lines =
            vec![format!("reads served by replicas: {share:.1} % (of {} sampled)", self.tally.sampled)];
        lines.extend(self.tally.nodes.iter().map(|(place, count)| format!("  {place}: {count}")));
        lines
    }

    fn faults(&self) -> Vec<String> {
        if self.plan.faults.is_empty() {
            return Vec::new();
        }
        let Done { pauses, delays, terminated, impossible, not_undone } = self.faults;
        let mut lines = vec![format!(
            "faults: {pauses} × replay paused, {delays} × apply delay changed, {terminated} × connection terminated"
        )];
        lines.extend(impossible.iter().map(|text| format!("  not possible: {text}")));
        lines.extend(not_undone.iter().map(|text| format!("  {text}")));
        lines
    }

    /// What is to be said in the end, as an error unless all went well.
    pub(super) fn verdict(&self) -> Result<String, String> {
        let tally = self.tally;
        let mut faults = Vec::new();
        if tally.wrong > 0 {
            faults.push(format!(
                "{} of {} reads broke what level {} promises",
                tally.wrong,
                tally.checked(),
                self.plan.level.word
            ));
        }
        if tally.failures() > 0 && (self.plan.faults.is_empty() || self.faults.is_nothing()) {
            faults.push(format!(
                "{} statements failed, and no fault was made that explains it",
                tally.failures()
            ));
        }
        if tally.checked() < ENOUGH || tally.soon < ENOUGH_SOON {
            faults.push(format!(
                "too little was checked to tell anything: {} reads, {} of them soon after a write; at least {ENOUGH} and \
                 {ENOUGH_SOON} are needed",
                tally.checked(),
                tally.soon
            ));
        }
        faults.extend(self.faults.not_undone.iter().cloned());
        faults.extend(self.left.map(str::to_owned));
        if !faults.is_empty() {
            return Err(faults.join("; "));
        }
        let mut verdict = format!(
            "{} reads checked, none broke what level {} promises",
            tally.checked(),
            self.plan.level.word
        );
        match tally.replica_share() {
            Some(share) if share > 0.0 => {}
            Some(_) => verdict.push_str(
                "; but no sampled read was served by a replica, so this says nothing about replicas",
            ),
            None => verdict.push_str("; whether replicas served any of them is unknown"),
        }
        Ok(verdict)
    }
}

fn example(example: &Example) -> Vec<String> {
    let Example { kind, thing, path, place, limits, seen, sent_at, answered_at, route } = example;
    let limit = match kind {
        Kind::Missed | Kind::Broken => format!("{} was acknowledged", limits.acknowledged),
        Kind::Backwards => format!("{} was read before on this connection", limits.before),
        Kind::Reordered => format!("{} was returned to somebody before", limits.returned),
        Kind::Invented => format!("{} was the last that was sent", limits.sent),
    };
    let mut lines = vec![format!(
        "    {thing}: saw {seen}, but {limit}; path {}, {place}, sent at {}, answered at {}",
        path.as_str(),
        ms(*sent_at),
        ms(*answered_at)
    )];
    match route {
        Some(route) => lines.extend(route.lines.iter().map(|line| format!("      {line}"))),
        None => lines.push("      node unknown".to_owned()),
    }
    lines
}

fn percentiles(times: &Histogram, percents: &[f64]) -> String {
    let each = percents.iter().map(|percent| format!("p{percent} {}", ms(times.percentile(*percent))));
    let each = each.chain([format!("max {}", ms(times.max()))]);
    each.collect::<Vec<_>>().join(", ")
}

/// Milliseconds, finer where they are few.
fn ms(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    if millis == 0.0 {
        "0 ms".to_owned()
    } else if millis < 10.0 {
        format!("{millis:.2} ms")
    } else {
        format!("{millis:.0} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::super::args::parsed;
    use super::super::route::Route;
    use super::*;
    use crate::history::{History, KeyId, ProxyId, Seen, SessionId};

    /// So many reads that are right, each a millisecond after the write before it.
    fn tally(reads: u64) -> Tally {
        let mut tally = Tally::default();
        let mut history = History::new(crate::history::Promise::Session, 1, 1, &[ProxyId(0)]);
        history.sending(KeyId(0), 1, SessionId(0));
        history.acknowledged(KeyId(0), 1, SessionId(0), Duration::from_millis(1));
        for _ in 0..reads {
            judge(&mut tally, &mut history, 1);
        }
        tally.wrote(Duration::from_millis(2));
        tally
    }

    fn judge(tally: &mut Tally, history: &mut History, value: i64) {
        let ticket = history.reading(SessionId(0), KeyId(0), None, Duration::from_millis(2));
        let verdict = history.answered(&ticket, Seen::Value(value)).unwrap();
        tally.read(Path::Cross, &verdict, Duration::from_micros(700));
    }

    /// The report and the verdict.
    fn outcome(line: &[&str], tally: &Tally, faults: &Done) -> (String, Result<String, String>) {
        let url = ["--url", "postgres://app:hunter2@tide:6432/app"];
        let plan = Plan::new(&parsed(&[&url, line].concat())).unwrap();
        let time = Duration::from_secs(2);
        let outcome = Outcome { plan: &plan, tally, time, notes: &[], faults, left: None };
        (outcome.text(), outcome.verdict())
    }

    fn verdict(line: &[&str], tally: &Tally, faults: &Done) -> Result<String, String> {
        outcome(line, tally, faults).1
    }

    #[test]
    fn a_run_without_violations_says_how_much_it_says() {
        let mut all_well = tally(2000);
        let said = |tally: &Tally| verdict(&[], tally, &Done::default()).unwrap();
        assert!(said(&all_well).ends_with("whether replicas served any of them is unknown"));
        all_well.sample(&Route::read(vec!["to: primary a:1, reason stale".to_owned()]).unwrap());
        assert!(said(&all_well).ends_with("says nothing about replicas"));
        all_well.sample(&Route::read(vec!["to: replica b:1, reason fresh".to_owned()]).unwrap());
        assert_eq!(said(&all_well), "2000 reads checked, none broke what level session promises");
        assert!(
            verdict(&[], &tally(20), &Done::default()).unwrap_err().starts_with("too little was checked")
        );
    }

    #[test]
    fn errors_need_a_fault_that_explains_them() {
        let mut failed = tally(2000);
        failed.failed("08006", || "gone".to_owned());
        let faults = ["--replica", "postgres://h/d", "--faults", "terminate"];
        let made = Done { terminated: 1, ..Done::default() };
        assert!(verdict(&faults, &failed, &made).is_ok());
        assert!(verdict(&faults, &failed, &Done::default()).is_err(), "no fault could be made");
        assert!(verdict(&[], &failed, &Done::default()).is_err());
        let left = Done { not_undone: vec!["left".to_owned()], ..made };
        assert!(verdict(&faults, &failed, &left).unwrap_err().contains("left"));
    }

    #[test]
    fn violations_are_shown_in_full_and_no_password() {
        let mut tally = tally(3);
        let mut history = History::new(crate::history::Promise::Session, 1, 1, &[ProxyId(0)]);
        history.sending(KeyId(0), 1, SessionId(0));
        history.acknowledged(KeyId(0), 1, SessionId(0), Duration::from_millis(1));
        judge(&mut tally, &mut history, 0);
        tally.keep(Example {
            kind: Kind::Missed,
            thing: "register 7".to_owned(),
            path: Path::Cross,
            place: "connection 3 to a proxy".to_owned(),
            limits: crate::history::Limits { acknowledged: 5, before: 4, returned: 5, sent: 6 },
            seen: "3".to_owned(),
            sent_at: Duration::from_millis(1234),
            answered_at: Duration::from_micros(1_235_600),
            route: None,
        });
        let (text, _) = outcome(&[], &tally, &Done::default());
        let shown = "  1 × missed an acknowledged write, for example:\n    register 7: saw 3, but 5 was acknowledged; \
                     path cross, connection 3 to a proxy, sent at 1234 ms, answered at 1236 ms\n      node unknown\n";
        assert!(text.contains(shown), "{text}");
        assert!(
            text.contains("\nfailed: 1 of 4 reads broke what level session promises; too little"),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
}
