//! What a transaction may take: the counts of `limits.txt`, and how far from them is too far.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::Command;

/// Percent above the limit from where on it fails.
const ABOVE: u64 = 5;
/// Percent below the limit from where on it no longer guards what was gained.
const BELOW: u64 = 10;

/// What a count is, held against its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Kept,
    /// Too many.
    Exceeded,
    /// So few that the limit is to be lowered.
    Loose,
}

/// Limits by the name of the exchange, in the order of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Limits {
    /// Which compiler made the proxy they were counted with.
    pub compiler: String,
    limits: Vec<(String, u64)>,
}

impl Limits {
    /// Those of the file.
    pub fn read() -> Self {
        Self::parse(&std::fs::read_to_string(file()).unwrap())
    }

    fn parse(text: &str) -> Self {
        let compiler = text.lines().find_map(|line| line.strip_prefix("# rustc ")).unwrap_or_default();
        let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        let limits = lines.map(|line| {
            let (name, count) = line.split_once(' ').unwrap_or_else(|| panic!("no limit: {line}"));
            (name.to_owned(), count.trim().parse().unwrap())
        });
        Self { compiler: compiler.to_owned(), limits: limits.collect() }
    }

    /// Makes the counts the limits.
    pub fn write(counts: &[(&str, u64)]) {
        let mut text = format!(
            "# Instructions of a worker per transaction, in the dev profile. make instructions ARGS=--update writes this.\n\
             # rustc {}\n",
            compiler()
        );
        for (name, count) in counts {
            writeln!(text, "{name} {count}").unwrap();
        }
        std::fs::write(file(), text).unwrap();
    }

    /// The limit, 0 if there is none, and what is to be said of a count.
    pub fn judge(&self, name: &str, count: u64) -> (u64, Verdict) {
        let limit = self.limits.iter().find(|(of, _)| of == name).map_or(0, |(_, limit)| *limit);
        let verdict = match count * 100 {
            count if count > limit * (100 + ABOVE) => Verdict::Exceeded,
            count if count < limit * (100 - BELOW) => Verdict::Loose,
            _ => Verdict::Kept,
        };
        (limit, verdict)
    }
}

/// By how many percent a count differs from its limit.
pub fn percent(count: u64, limit: u64) -> f64 {
    (count as f64 / limit as f64 - 1.0) * 100.0
}

fn file() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "instructions", "limits.txt"].iter().collect()
}

/// The version of the compiler, as it says itself.
pub fn compiler() -> String {
    let output = Command::new("rustc").arg("--version").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().trim_start_matches("rustc ").to_owned()
}

#[test]
fn a_count_is_judged_by_its_distance_from_the_limit() {
    let limits = Limits::parse("# about\n# rustc 1.2.3 (x)\na 1000\nb 7\n");
    assert_eq!(limits.compiler, "1.2.3 (x)");
    let cases = [
        (1000, Verdict::Kept),
        (1050, Verdict::Kept),
        (1051, Verdict::Exceeded),
        (900, Verdict::Kept),
        (899, Verdict::Loose),
    ];
    for (count, verdict) in cases {
        assert_eq!(limits.judge("a", count), (1000, verdict), "{count}");
    }
    assert_eq!(limits.judge("c", 1), (0, Verdict::Exceeded));
}
