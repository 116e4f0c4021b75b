//! What can be said at the console. Pure: text in, commands out.

use super::REPORTED;
use super::tables::{self, TABLES, Table};
use crate::config::{Adjustment, nearest};

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Show(&'static Table),
    /// What clients are told at login: name and value.
    ShowParameter(&'static str, &'static str),
    Set(Adjustment),
    /// Something of PostgreSQL's that a driver sets for its session.
    SetForSession,
    /// A database, or all.
    Pause(Option<String>),
    Resume(Option<String>),
    Disable(String),
    Enable(String),
    DisableNode(NodeName),
    EnableNode(NodeName),
    /// A database, or all.
    Reconnect(Option<String>),
    ReconnectNode(NodeName),
    /// A database, or all.
    WaitClose(Option<String>),
    Kill(String),
    KillClient(u32),
    Reload,
    Shutdown,
    ShutdownNow,
    /// What PgBouncer does and this proxy does not.
    Foreign(Foreign),
}

/// Commands of PgBouncer's without a counterpart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    Suspend,
    ShutdownWait,
}

/// A node, in one database or wherever it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NodeName {
    pub(super) node: String,
    pub(super) database: Option<String>,
}

/// What is wrong with a text, and what may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    pub(super) message: String,
    pub(super) hint: String,
}

/// How each command but SHOW is written, and what it does.
pub(super) const COMMANDS: [(&str, &str); 14] = [
    (
        "PAUSE [db]",
        "waits until transactions are over and closes the server connections; statements wait until RESUME",
    ),
    ("RESUME [db]", "ends PAUSE and KILL"),
    ("DISABLE db", "turns new clients away; those that are there stay"),
    ("ENABLE db", "lets new clients in again"),
    ("DISABLE NODE name [OF db]", "takes a node out: it gets no new statements, those that run there finish"),
    ("ENABLE NODE name [OF db]", "takes it back"),
    ("RECONNECT [db]", "closes server connections when they are not in use, so that new ones are made"),
    ("RECONNECT NODE name [OF db]", "the same for one node"),
    ("WAIT_CLOSE [db]", "waits until those that RECONNECT or RELOAD has left in use are closed"),
    ("KILL db", "disconnects its clients, closes its server connections, and pauses it"),
    ("KILL CLIENT id", "disconnects a client"),
    ("SET key = value [OF db]", "changes a setting until the next RELOAD or restart"),
    ("RELOAD", "reads the configuration again"),
    ("SHUTDOWN [NOW]", "stops when clients have finished their transactions, or at once"),
];

/// What PostgreSQL's drivers set when they connect. There is nothing here that goes by it.
const OF_SESSIONS: [&str; 11] = [
    "application_name",
    "client_encoding",
    "client_min_messages",
    "datestyle",
    "extra_float_digits",
    "idle_in_transaction_session_timeout",
    "intervalstyle",
    "lock_timeout",
    "standard_conforming_strings",
    "statement_timeout",
    "timezone",
];

/// Most characters of what somebody wrote that are repeated to them.
const REPEATED: usize = 60;

impl Command {
    /// What an answer's end calls it.
    pub(super) fn tag(&self) -> &'static str {
        match self {
            Self::Show(_) | Self::ShowParameter(..) => "SHOW",
            Self::Set(_) | Self::SetForSession => "SET",
            Self::Pause(_) => "PAUSE",
            Self::Resume(_) => "RESUME",
            Self::Disable(_) | Self::DisableNode(_) => "DISABLE",
            Self::Enable(_) | Self::EnableNode(_) => "ENABLE",
            Self::Reconnect(_) | Self::ReconnectNode(_) => "RECONNECT",
            Self::WaitClose(_) => "WAIT_CLOSE",
            Self::Kill(_) | Self::KillClient(_) => "KILL",
            Self::Reload => "RELOAD",
            Self::Foreign(Foreign::Suspend) => "SUSPEND",
            Self::Shutdown | Self::ShutdownNow | Self::Foreign(Foreign::ShutdownWait) => "SHUTDOWN",
        }
    }

    /// Whether it changes something.
    pub(super) fn is_act(&self) -> bool {
        !matches!(self, Self::Show(_) | Self::ShowParameter(..) | Self::SetForSession)
    }
}

/// Reads commands that semicolons divide.
pub(super) fn parse(text: &str) -> Result<Vec<Command>, Mistake> {
    let words = words(text)?;
    let statements = words.split(|word| *word == Word::End).filter(|words| !words.is_empty());
    statements.map(one).collect()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Bare(String),
    /// Never a keyword.
    Quoted(String),
    /// An equals sign.
    Equals,
    /// A semicolon.
    End,
}

impl Word {
    fn text(&self) -> &str {
        match self {
            Self::Bare(text) | Self::Quoted(text) => text,
            Self::Equals => "=",
            Self::End => ";",
        }
    }

    /// As a keyword; nothing if it cannot be one.
    fn key(&self) -> String {
        match self {
            Self::Bare(text) => text.to_ascii_uppercase(),
            _ => String::new(),
        }
    }
}

/// Names may stand in quotation marks of either kind, which are doubled within.
fn words(text: &str) -> Result<Vec<Word>, Mistake> {
    let mut words = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(&c) = chars.peek() {
        match c {
            _ if c.is_whitespace() => drop(chars.next()),
            ';' => {
                chars.next();
                words.push(Word::End);
            }
            '=' => {
                chars.next();
                words.push(Word::Equals);
            }
            '"' | '\'' => {
                chars.next();
                words.push(Word::Quoted(quoted(&mut chars, c)?));
            }
            _ => {
                let mut bare = String::new();
                while let Some(c) =
                    chars.next_if(|c| !c.is_whitespace() && !matches!(c, ';' | '=' | '"' | '\''))
                {
                    bare.push(c);
                }
                words.push(Word::Bare(bare));
            }
        }
    }
    Ok(words)
}

fn quoted(chars: &mut std::iter::Peekable<std::str::Chars<'_>>, mark: char) -> Result<String, Mistake> {
    let mut text = String::new();
    loop {
        match chars.next() {
            Some(c) if c != mark => text.push(c),
            Some(_) if chars.next_if_eq(&mark).is_some() => text.push(mark),
            Some(_) => return Ok(text),
            None => {
                return Err(Mistake {
                    message: format!("a quotation mark is not closed: {mark}{}", shown(&text)),
                    hint: format!("Close it with {mark}; within a name, write it twice."),
                });
            }
        }
    }
}

fn one(words: &[Word]) -> Result<Command, Mistake> {
    let keys: Vec<String> = words.iter().map(Word::key).collect();
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let name = |at: usize| words[at].text().to_owned();
    let node = |database: Option<usize>| NodeName { node: name(2), database: database.map(name) };
    Ok(match keys[..] {
        ["SHOW", wanted] => shows(wanted).ok_or_else(|| unknown(words))?,
        ["SET", ..] => set(words).ok_or_else(|| unknown(words))?,
        ["PAUSE"] => Command::Pause(None),
        ["PAUSE", _] => Command::Pause(Some(name(1))),
        ["RESUME"] => Command::Resume(None),
        ["RESUME", _] => Command::Resume(Some(name(1))),
        ["DISABLE" | "ENABLE" | "RECONNECT", "NODE"] | ["KILL", "CLIENT"] => return Err(unknown(words)),
        ["DISABLE", "NODE", _] => Command::DisableNode(node(None)),
        ["DISABLE", "NODE", _, "OF", _] => Command::DisableNode(node(Some(4))),
        ["ENABLE", "NODE", _] => Command::EnableNode(node(None)),
        ["ENABLE", "NODE", _, "OF", _] => Command::EnableNode(node(Some(4))),
        ["RECONNECT", "NODE", _] => Command::ReconnectNode(node(None)),
        ["RECONNECT", "NODE", _, "OF", _] => Command::ReconnectNode(node(Some(4))),
        ["DISABLE", _] => Command::Disable(name(1)),
        ["ENABLE", _] => Command::Enable(name(1)),
        ["RECONNECT"] => Command::Reconnect(None),
        ["RECONNECT", _] => Command::Reconnect(Some(name(1))),
        ["WAIT_CLOSE"] => Command::WaitClose(None),
        ["WAIT_CLOSE", _] => Command::WaitClose(Some(name(1))),
        ["KILL", "CLIENT", _] => Command::KillClient(number(&name(2))?),
        // As PgBouncer writes it.
        ["KILL_CLIENT", _] => Command::KillClient(number(&name(1))?),
        ["KILL", _] => Command::Kill(name(1)),
        ["RELOAD"] => Command::Reload,
        ["SHUTDOWN"] => Command::Shutdown,
        ["SHUTDOWN", "NOW"] => Command::ShutdownNow,
        ["SHUTDOWN", "WAIT_FOR_SERVERS" | "WAIT_FOR_CLIENTS"] => Command::Foreign(Foreign::ShutdownWait),
        ["SUSPEND"] => Command::Foreign(Foreign::Suspend),
        _ => return Err(unknown(words)),
    })
}

/// A table, or something that clients are told at login.
fn shows(wanted: &str) -> Option<Command> {
    let parameter = || {
        let (name, value) = REPORTED.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))?;
        Some(Command::ShowParameter(name, value))
    };
    tables::named(wanted).map(Command::Show).or_else(parameter)
}

/// `SET key = value`, or `TO` in the place of the sign; `OF db` may follow.
fn set(words: &[Word]) -> Option<Command> {
    let [_, Word::Bare(key), rest @ ..] = words else { return None };
    if OF_SESSIONS.contains(&key.to_ascii_lowercase().as_str()) && !rest.is_empty() {
        return Some(Command::SetForSession);
    }
    let (sign, value, database) = match rest {
        [sign, value] => (sign, value, None),
        [sign, value, of, database] if of.key() == "OF" => (sign, value, Some(database.text().to_owned())),
        _ => return None,
    };
    if *sign != Word::Equals && sign.key() != "TO" || *value == Word::Equals {
        return None;
    }
    Some(Command::Set(Adjustment { key: key.clone(), value: value.text().to_owned(), database }))
}

fn number(text: &str) -> Result<u32, Mistake> {
    text.parse().map_err(|_| Mistake {
        message: format!("{} is not the id of a client", shown(text)),
        hint: "SHOW CLIENTS has them in its column id.".to_owned(),
    })
}

/// No command is written like this.
fn unknown(words: &[Word]) -> Mistake {
    let said: Vec<&str> = words.iter().map(Word::text).collect();
    let message = format!("there is no command {}", shown(&said.join(" ")));
    let verbs = || COMMANDS.iter().filter_map(|(usage, _)| usage.split(' ').next()).chain(["SHOW"]);
    let verb = said.first().map(|verb| verb.to_ascii_uppercase()).unwrap_or_default();
    let names = || TABLES.iter().map(|table| table.name);
    let help = "SHOW HELP lists what there is.";
    let hint = match nearest(&verb, verbs()) {
        None => help.to_owned(),
        Some("SHOW") => match said.get(1).and_then(|table| nearest(&table.to_ascii_uppercase(), names())) {
            Some(table) => format!("Did you mean SHOW {table}? {help}"),
            None => format!("SHOW can show {}.", names().collect::<Vec<_>>().join(", ")),
        },
        Some(verb) => {
            let is_of = |usage: &&str| usage.split(' ').next() == Some(verb);
            let usages: Vec<_> = COMMANDS.iter().map(|(usage, _)| *usage).filter(is_of).collect();
            format!("{verb} is written {}. {help}", usages.join(" or "))
        }
    };
    Mistake { message, hint }
}

/// What somebody wrote, as it can be repeated: in quotation marks, on one line, not too long.
pub(super) fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(REPEATED).flat_map(char::escape_debug).collect();
    if text.chars().nth(REPEATED).is_some() {
        start.push('…');
    }
    format!("\"{start}\"")
}

#[cfg(test)]
#[path = "command_tests.rs"]
mod tests;
