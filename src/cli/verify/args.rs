//! What can be typed after `tidegate verify`.

use std::str::FromStr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::config::Secret;
use crate::history::Promise;

/// What is to be verified, and how hard.
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    /// URL of the proxy, as an app uses it; repeat it for several proxies before the same cluster.
    ///
    /// A password left out is taken from PGPASSWORD. Other users of the machine can read flags.
    #[arg(long, value_name = "URL", required = true)]
    pub url: Vec<Secret>,

    /// How long to read and write, in seconds.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=2_592_000))]
    pub seconds: u64,

    /// Number of actors that read and write at the same time, over two or three connections each.
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=500))]
    pub actors: u32,

    /// Number of tables for registers, and as many again for lists.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=32))]
    pub tables: u32,

    /// Writes among the steps of an actor, in percent; each is read back at once.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100))]
    pub writes: u32,

    /// What reads must see: eventual, bounded(500ms), session, strong or primary [default: session].
    ///
    /// If it is given, the proxy is asked for this level in the start-up options. Otherwise nothing is asked for, and what
    /// the proxy does by itself is held against level session.
    #[arg(long, value_name = "LEVEL")]
    pub level: Option<Level>,

    /// Pause of an actor between its steps, in milliseconds on average.
    #[arg(long, value_name = "MS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(0..=60_000))]
    pub think: u64,

    /// Paths from a write to a read, separated by commas [default: all that the proxy knows].
    #[arg(long, value_name = "PATH", value_enum, value_delimiter = ',')]
    pub paths: Vec<Path>,

    /// URL of the primary itself, to clean up there when the proxy cannot be reached any more.
    #[arg(long, value_name = "URL")]
    pub primary: Option<Secret>,

    /// URL of a replica itself, as a user who may do there what --faults asks for; repeat it for each.
    #[arg(long, value_name = "URL", requires = "faults")]
    pub replica: Vec<Secret>,

    /// What to do to the replicas meanwhile, separated by commas; all of it is undone in the end.
    #[arg(long, value_name = "FAULT", value_enum, value_delimiter = ',', requires = "replica")]
    pub faults: Vec<FaultKind>,

    /// For URLs without a password.
    #[arg(skip)]
    pub pg_password: Option<Secret>,
}

/// How a reader comes to know of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Path {
    /// Written and read on one connection.
    Same,
    /// Written on one connection, read on another.
    Cross,
    /// A token from the connection that wrote, given with the read on another.
    Token,
}

impl Path {
    /// Every path.
    pub const ALL: [Self; 3] = [Self::Same, Self::Cross, Self::Token];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Same => "same",
            Self::Cross => "cross",
            Self::Token => "token",
        }
    }
}

/// What is done to replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FaultKind {
    /// Pause replay on one replica for up to a second, again and again.
    Pause,
    /// Change recovery_min_apply_delay between 0, 20 and 200 ms.
    #[allow(clippy::doc_markdown, reason = "the text is shown in a terminal")]
    Delay,
    /// Terminate connections of the proxy's user.
    Terminate,
}

/// What is promised, and the word for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Level {
    /// What answers are held against.
    pub promise: Promise,
    /// As the proxy is told.
    pub word: String,
}

impl Default for Level {
    fn default() -> Self {
        Self { promise: Promise::Session, word: "session".to_owned() }
    }
}

impl FromStr for Level {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let word = text.trim().to_ascii_lowercase();
        let promise = match word.as_str() {
            "eventual" => Promise::Eventual,
            "session" => Promise::Session,
            // What the primary shows is never older than what it has shown before.
            "strong" | "primary" => Promise::Strong,
            _ => Promise::Bounded(bound(&word).ok_or(
                "there are eventual, session, strong, primary, and bounded with a time, such as bounded(500ms)",
            )?),
        };
        Ok(Self { promise, word })
    }
}

/// The time in `bounded(500ms)` or `bounded(2s)`.
fn bound(word: &str) -> Option<Duration> {
    let time = word.strip_prefix("bounded(")?.strip_suffix(')')?;
    let number = |unit: &str| time.strip_suffix(unit)?.trim().parse::<u32>().ok();
    match number("ms") {
        Some(count) => Some(Duration::from_millis(count.into())),
        None => number("s").map(|count| Duration::from_secs(count.into())),
    }
}

/// The arguments in a command line.
#[cfg(test)]
pub(super) fn parsed(line: &[&str]) -> VerifyArgs {
    use clap::Parser;
    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: VerifyArgs,
    }
    Line::parse_from(["verify"].iter().chain(line)).args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_read() {
        let table = [
            ("session", Promise::Session),
            ("STRONG", Promise::Strong),
            ("primary", Promise::Strong),
            ("eventual", Promise::Eventual),
            ("bounded(500ms)", Promise::Bounded(Duration::from_millis(500))),
            ("bounded(2 s)", Promise::Bounded(Duration::from_secs(2))),
        ];
        for (text, promise) in table {
            assert_eq!(text.parse::<Level>().unwrap().promise, promise, "{text}");
        }
        for text in ["", "serializable", "bounded", "bounded()", "bounded(5)", "bounded(-1s)"] {
            assert!(text.parse::<Level>().is_err(), "{text}");
        }
    }
}
