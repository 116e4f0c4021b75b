//! What is asked of a run.

use std::path::PathBuf;
use std::time::Duration;

use super::scene::{Depth, Scenario};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    Run,
    List,
    Help,
}

#[derive(Clone, Debug)]
pub struct Args {
    pub task: Task,
    depth: Depth,
    /// Scenarios of exactly these names; empty: all.
    only: Vec<String>,
    /// Scenarios whose names contain one of these, as `cargo test` passes them on; empty: all.
    filters: Vec<String>,
    /// How long each fault lasts at least.
    pub hold: Duration,
    pub seed: u64,
    /// The page whose table is replaced.
    pub page: Option<PathBuf>,
}

pub const HELP: &str = "\
cargo test --test chaos -- [OPTIONS]

  --full         all scenarios, not only those that fit in the tests
  --list         say which there are
  --only NAME    this scenario (again and again for more of them)
  --seconds N    how long each fault lasts at least (default 2)
  --seed N       which random pauses and picks (default 1)
  --write        put the table into docs/availability.md
";

impl Args {
    pub fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            task: Task::Run,
            depth: Depth::Short,
            only: Vec::new(),
            filters: Vec::new(),
            hold: Duration::from_secs(2),
            seed: 1,
            page: None,
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--full" => args.depth = Depth::Full,
                "--list" => args.task = Task::List,
                "--help" | "-h" => args.task = Task::Help,
                "--only" => args.only.push(value()?),
                "--seconds" => args.hold = Duration::from_secs(number(&value()?)?),
                "--seed" => args.seed = number(&value()?)?,
                "--write" => {
                    args.page =
                        Some(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/availability.md")));
                }
                // What the other test binaries take.
                "--test-threads" | "--skip" | "--format" | "--color" => drop(value()?),
                "--nocapture" | "--quiet" | "-q" | "--exact" | "--show-output" => {}
                "--ignored" => args.filters.push("(nothing is ignored)".to_owned()),
                _ if word.starts_with("--") && word.contains('=') => {}
                _ if word.starts_with('-') => return Err(format!("{word} is not known\n\n{HELP}")),
                _ => args.filters.push(word),
            }
        }
        Ok(args)
    }

    /// Whether the scenario is asked for.
    pub fn wants(&self, scenario: &Scenario) -> bool {
        if !self.only.is_empty() {
            return self.only.iter().any(|name| name == scenario.name);
        }
        if !self.filters.is_empty() {
            return self.filters.iter().any(|part| scenario.name.contains(part.as_str()));
        }
        scenario.depth == Depth::Short || self.depth == Depth::Full
    }

    /// Names that are asked for and not there.
    pub fn unknown<'a>(&'a self, all: &[Scenario]) -> Vec<&'a str> {
        let is_known = |name: &String| all.iter().any(|scenario| scenario.name == name);
        self.only.iter().filter(|name| !is_known(name)).map(String::as_str).collect()
    }
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a number"))
}
