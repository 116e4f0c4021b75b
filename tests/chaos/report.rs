//! What came of it, as a table in Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use super::progress::{KINDS, Summary};
use super::scene::Scenario;

const BEGIN: &str = "<!-- chaos: begin -->";
const END: &str = "<!-- chaos: end -->";

/// What came of a scenario.
pub enum Outcome {
    Played(Box<Played>),
    Skipped(&'static str),
    /// The scenario itself could not go on.
    Broken(String),
}

pub struct Played {
    pub back: [Option<Duration>; 3],
    pub clients: [Summary; 3],
    /// Writes that were acknowledged, refused, and are of an unknown outcome.
    pub writes: [usize; 3],
    /// Server connections that the pools kept.
    pub connections: u64,
    /// KiB before and after.
    pub memory: [u64; 2],
    pub complaints: Vec<String>,
}

impl Outcome {
    /// What is not as it must be.
    pub fn complaints(&self) -> Vec<&str> {
        match self {
            Self::Played(played) => played.complaints.iter().map(String::as_str).collect(),
            Self::Skipped(_) => Vec::new(),
            Self::Broken(why) => vec![why],
        }
    }

    pub fn is_failure(&self) -> bool {
        match self {
            Self::Played(played) => !played.complaints.is_empty(),
            Self::Skipped(_) => false,
            Self::Broken(_) => true,
        }
    }
}

/// The table. What was there to show that the checks find it is not in it.
pub fn table(rows: &[(&Scenario, Outcome)]) -> String {
    let mut text = "| fault | reads at rest | reads of writes | writes | errors told to clients | acknowledged / refused / unknown | connections kept | memory, MiB | |\n\
         |---|---|---|---|---|---|---|---|---|\n"
        .to_owned();
    for (scenario, outcome) in rows.iter().filter(|(scenario, _)| scenario.must_find.is_none()) {
        let what = format!("`{}`: {}", scenario.name, scenario.what);
        let _ = match outcome {
            Outcome::Played(played) => {
                writeln!(text, "| {what} | {} |", cells(played).join(" | "))
            }
            Outcome::Skipped(why) => {
                writeln!(text, "| {what} | | | | | | | | skipped: {why} |")
            }
            Outcome::Broken(_) => writeln!(text, "| {what} | | | | | | | | **broken** |"),
        };
    }
    text
}

fn cells(played: &Played) -> Vec<String> {
    let mut cells: Vec<_> = KINDS
        .iter()
        .map(|kind| {
            let back = played.back[kind.index()].map_or_else(|| "–".to_owned(), time);
            format!("{back} (gap {})", time(played.clients[kind.index()].longest_gap))
        })
        .collect();
    let mut failures: BTreeMap<&str, usize> = BTreeMap::new();
    for (why, times) in played.clients.iter().flat_map(|summary| &summary.failures) {
        *failures.entry(why).or_default() += times;
    }
    let failures: Vec<_> = failures.iter().map(|(why, times)| format!("{times} × {why}")).collect();
    cells.push(if failures.is_empty() { "none".to_owned() } else { failures.join(", ") });
    cells.push(played.writes.map(|count| count.to_string()).join(" / "));
    cells.push(played.connections.to_string());
    cells.push(played.memory.map(|kib| format!("{:.1}", kib as f64 / 1024.0)).join(" → "));
    cells.push(if played.complaints.is_empty() { "ok" } else { "**failed**" }.to_owned());
    cells
}

fn time(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        format!("{} ms", time.as_millis())
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

/// Puts the table in the place of the one in `page`.
pub fn write(page: &Path, text: &str) -> std::io::Result<()> {
    let old = std::fs::read_to_string(page)?;
    let marks = old.split_once(BEGIN).and_then(|(head, rest)| Some((head, rest.split_once(END)?.1)));
    let Some((head, tail)) = marks else {
        return Err(std::io::Error::other(format!("{} has no {BEGIN} … {END}", page.display())));
    };
    std::fs::write(page, format!("{head}{BEGIN}\n{text}{END}{tail}"))
}
