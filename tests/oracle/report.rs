//! What the records say, for people and for other programs.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use crate::record::{Outcome, Record};
use crate::word::Target;

/// Texts shown of each group; all of them are in `statements.tsv`.
const SHOWN: usize = 5;
/// Groups shown, the largest.
const GROUPS: usize = 40;
const LONGEST: usize = 300;

/// Where reports are kept.
pub fn folder() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let folder = target.join("oracle");
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Takes away what an earlier run has left.
pub fn begin() {
    fs::remove_dir_all(folder()).unwrap();
}

/// Writes `report.txt` and `statements.tsv`, and returns the former.
pub fn write(records: &[Record], preface: &str) -> String {
    let report = format!("{preface}\n{}{}{}", totals(records), misses(records), offload(records));
    fs::write(folder().join("report.txt"), &report).unwrap();
    let table: String = records.iter().map(line).collect();
    let head = "outcome\tabout\ttarget\treason\tdetail\tkind\ttest\ttext\n";
    fs::write(folder().join("statements.tsv"), format!("{head}{table}")).unwrap();
    report
}

fn line(record: &Record) -> String {
    let (outcome, about) = record.outcome.told();
    let target =
        record.word.as_ref().map_or(String::new(), |word| format!("{:?}", word.target).to_lowercase());
    let kind = format!("{:?}", record.kind).to_lowercase();
    let fields =
        [outcome, &about, &target, record.reason(), record.detail(), &kind, &record.test, &record.text];
    let fields: Vec<_> = fields.iter().map(|field| escaped(field)).collect();
    format!("{}\n", fields.join("\t"))
}

fn escaped(field: &str) -> String {
    field.replace('\\', "\\\\").replace('\t', "\\t").replace('\r', "\\r").replace('\n', "\\n")
}

fn totals(records: &[Record]) -> String {
    let count = |is: &dyn Fn(&Outcome) -> bool| records.iter().filter(|record| is(&record.outcome)).count();
    let mut text = String::new();
    let mut say = |what: &str, number: usize| {
        let _ = writeln!(text, "{number:7}  {what}");
    };
    say("statements", records.len());
    say("accepted by the primary", count(&|outcome| *outcome != Outcome::FailedOnPrimary));
    say("  in a transaction, not tried", count(&|outcome| *outcome == Outcome::InTransaction));
    say("  not comparable", count(&|outcome| matches!(outcome, Outcome::NotComparable(_))));
    say("  refused by the standby", count(&|outcome| matches!(outcome, Outcome::Refused(_))));
    say("  answered otherwise by the standby", count(&|outcome| matches!(outcome, Outcome::Different(_))));
    say(
        "  otherwise because of the session's own objects",
        count(&|outcome| *outcome == Outcome::OwnObjects),
    );
    say("  not deterministic", count(&|outcome| *outcome == Outcome::NotDeterministic));
    say("  answered alike by the standby", count(&|outcome| *outcome == Outcome::Same));
    say("without a word from Tidegate", records.iter().filter(|record| record.word.is_none()).count());
    text.push_str(&by("\nRefused, by SQLSTATE", records, |record| match &record.outcome {
        Outcome::Refused(failure) => Some(failure.code.clone()),
        _ => None,
    }));
    text.push_str(&by("\nNot comparable", records, |record| match &record.outcome {
        Outcome::NotComparable(obstacle) => Some(obstacle.to_string()),
        _ => None,
    }));
    text.push_str(&groups("\nNot deterministic", records, |record| {
        (record.outcome == Outcome::NotDeterministic).then(|| record.reason().to_owned())
    }));
    text
}

fn misses(records: &[Record]) -> String {
    let number = records.iter().filter(|record| record.is_miss()).count();
    groups(&format!("\nMISSES: {number}"), records, |record| {
        if !record.is_miss() {
            return None;
        }
        let cause = match &record.outcome {
            Outcome::Refused(failure) => format!("{} {}", failure.code, failure.message),
            _ => "other rows".to_owned(),
        };
        Some(format!("{cause} [{}]", record.reason()))
    })
}

/// Reads that go to replicas, for each corpus but the one that is made of what must not.
fn offload(records: &[Record]) -> String {
    let corpora: BTreeSet<&str> =
        records.iter().map(Record::corpus).filter(|name| *name != "traps").collect();
    let shares = corpora.into_iter().map(|corpus| {
        let of_corpus: Vec<&Record> = records.iter().filter(|record| record.corpus() == corpus).collect();
        share(corpus, &of_corpus)
    });
    shares.collect()
}

fn share(corpus: &str, records: &[&Record]) -> String {
    let count = |is: &dyn Fn(&Record) -> bool| records.iter().filter(|record| is(record)).count();
    let all = count(&Record::is_offloadable);
    let gone = count(&|record| record.is_offloadable() && record.would_go_to(Target::Replica));
    let waited = count(&|record| record.is_offloadable() && record.waited);
    let pinned = count(&Record::is_pinned_read);
    let known = count(&|record| record.is_pinned_read() && record.is_read());
    let title = format!(
        "\nOFFLOAD, {corpus}: of {all} reads that a standby serves, outside transactions and pinned sessions, \
         {gone} would go there: {:.1} %\n\
         {waited} of all only after the catalog had been read again\n\
         in pinned sessions there are {pinned} more, {known} of them known as reads\n\
         Those that stay on the primary, by reason:",
        100.0 * gone as f64 / all.max(1) as f64,
    );
    groups(&title, records.iter().copied(), |record| {
        let stays = record.is_offloadable() && !record.would_go_to(Target::Replica);
        stays.then(|| format!("{}: {}", record.reason(), record.detail()))
    })
}

/// The number of records in each group, the largest first.
fn by(title: &str, records: &[Record], group: impl Fn(&Record) -> Option<String>) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for name in records.iter().filter_map(group) {
        *counts.entry(name).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let mut text = format!("{title}\n");
    for (name, count) in counts {
        let _ = writeln!(text, "{count:7}  {name}");
    }
    text
}

/// As [`by`], with some texts of each group.
fn groups<'a>(
    title: &str,
    records: impl IntoIterator<Item = &'a Record>,
    group: impl Fn(&Record) -> Option<String>,
) -> String {
    let mut members: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
    for record in records {
        if let Some(name) = group(record) {
            members.entry(name).or_default().push(record);
        }
    }
    let mut members: Vec<_> = members.into_iter().collect();
    members.sort_by_key(|(_, records)| std::cmp::Reverse(records.len()));
    let mut text = format!("{title}\n");
    let rest: usize = members.iter().skip(GROUPS).map(|(_, records)| records.len()).sum();
    for (name, records) in members.into_iter().take(GROUPS) {
        let _ = writeln!(text, "{:7}  {name}", records.len());
        for record in records.iter().take(SHOWN) {
            let _ = writeln!(text, "           {}: {}", record.test, shortened(&record.text));
            if let Outcome::Different(difference) = &record.outcome {
                let _ = writeln!(text, "             {difference}");
            }
        }
    }
    if rest > 0 {
        let _ = writeln!(text, "{rest:7}  in smaller groups");
    }
    text
}

fn shortened(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{} …", &line[..end]),
        None => line,
    }
}
