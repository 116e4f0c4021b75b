//! The little SQL that a scripted server understands: what the scripts say, and what the proxy asks by itself.

/// One statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sql {
    Empty,
    Begin {
        read_only: bool,
    },
    Commit,
    Rollback,
    Savepoint(String),
    RollbackTo(String),
    Release(String),
    /// One row with this value.
    Value(String),
    /// One row with the value of the one parameter.
    Parameter,
    /// As many rows, all with this value.
    Rows(u32, String),
    /// An error when it runs.
    Fail,
    CopyIn,
    CopyOut(String),
    Show(String),
    Set {
        name: String,
        value: String,
        local: bool,
    },
    Reset(String),
    ResetAll,
    DiscardAll,
    /// Nothing comes of it here.
    Nothing(&'static str),
    Listen(String),
    Unlisten,
    CreateTemp(String),
    DropTemp(String),
    Prepare(String, String),
    Deallocate(Option<String>),
    Execute(String),
    /// `select set_config(name, value, local)`.
    SetConfig {
        name: String,
        value: String,
        local: bool,
    },
    /// The proxy gives settings that were reset the values from start-up.
    Restore {
        settings: Vec<(String, String)>,
        local: bool,
    },
    /// The proxy asks what binds a session: the labels and what each is about.
    AskPins(Vec<(String, Pinning)>),
    /// The proxy asks which settings the session has, these custom ones among them, with whether empty ones are told.
    AskSettings(Vec<(String, bool)>),
    Malformed,
}

/// What binds a session to its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pinning {
    Temp,
    Listen,
    Prepare,
    /// What no script does.
    Never,
}

/// The statements of a text.
pub(super) fn statements(text: &str) -> Vec<String> {
    let (mut found, mut current, mut chars) = (Vec::new(), String::new(), text.chars().peekable());
    let mut quote = None;
    while let Some(c) = chars.next() {
        match (quote, c) {
            (None, ';') => {
                found.push(std::mem::take(&mut current));
                continue;
            }
            (None, '/') if chars.peek() == Some(&'*') => {
                while let Some(c) = chars.next() {
                    if c == '*' && chars.next_if_eq(&'/').is_some() {
                        break;
                    }
                }
                continue;
            }
            (None, '\'' | '"') => {
                let escapes = c == '\'' && current.ends_with(['E', 'e']);
                quote = Some((c, escapes));
            }
            (Some((_, true)), '\\') => {
                current.push(c);
                current.extend(chars.next());
                continue;
            }
            (Some((end, _)), c) if c == end => quote = None,
            _ => {}
        }
        current.push(c);
    }
    found.push(current);
    let found = found.into_iter().map(|s| s.trim().to_owned());
    let found: Vec<_> = found.filter(|statement| !statement.is_empty()).collect();
    if found.is_empty() { vec![String::new()] } else { found }
}

/// What one statement means.
pub(super) fn read(text: &str) -> Sql {
    let text = text.trim();
    proxys(text).or_else(|| scripts(text)).unwrap_or(Sql::Malformed)
}

fn scripts(text: &str) -> Option<Sql> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let name = |text: &str| text.trim_matches('"').replace("\".\"", ".").to_ascii_lowercase();
    Some(match words[..] {
        [] => Sql::Empty,
        ["begin"] => Sql::Begin { read_only: false },
        ["begin", "read", "only"] => Sql::Begin { read_only: true },
        ["commit"] => Sql::Commit,
        ["rollback"] => Sql::Rollback,
        ["savepoint", at] => Sql::Savepoint(at.to_owned()),
        ["rollback", "to", at] => Sql::RollbackTo(at.to_owned()),
        ["release", at] => Sql::Release(at.to_owned()),
        ["select", "$1"] => Sql::Parameter,
        ["select", "1/0"] => Sql::Fail,
        ["select", value] => Sql::Value(literal(value)?),
        ["select", value, "from", rows] => {
            let count = rows.strip_prefix("generate_series(1,")?.strip_suffix(')')?;
            Sql::Rows(count.parse().ok()?, literal(value)?)
        }
        ["copy", "t", "from", "stdin"] => Sql::CopyIn,
        ["copy", "(select", value, "to", "stdout"] => Sql::CopyOut(literal(value)?),
        ["show", setting] => Sql::Show(name(setting)),
        ["set", "local", setting, "=", ..] => set(text, name(setting), true)?,
        ["set", "session", setting, "=", ..] | ["set", setting, "=", ..] => set(text, name(setting), false)?,
        ["reset", "all"] => Sql::ResetAll,
        ["reset", "session", "authorization"] => Sql::Reset("session_authorization".to_owned()),
        ["reset", setting] => Sql::Reset(name(setting)),
        ["discard", "all"] => Sql::DiscardAll,
        ["discard", "sequences"] => Sql::Nothing("DISCARD SEQUENCES"),
        ["listen", channel] => Sql::Listen(channel.to_owned()),
        ["unlisten", "*"] => Sql::Unlisten,
        ["create", "temp", "table", table, "()"] => Sql::CreateTemp(table.to_owned()),
        ["drop", "table", table] => Sql::DropTemp(table.to_owned()),
        ["prepare", statement, "as", ..] => {
            let (_, inner) = text.split_once(" as ")?;
            Sql::Prepare(statement.to_owned(), inner.to_owned())
        }
        ["deallocate", "all"] => Sql::Deallocate(None),
        ["deallocate", statement] => Sql::Deallocate(Some(statement.to_owned())),
        ["execute", statement] => Sql::Execute(statement.to_owned()),
        _ => return None,
    })
}

fn set(text: &str, name: String, local: bool) -> Option<Sql> {
    let (_, value) = text.split_once('=')?;
    Some(Sql::Set { name, value: literals(value)?.join(", "), local })
}

/// What the proxy says by itself, and no script says.
fn proxys(text: &str) -> Option<Sql> {
    if let Some(inside) = text.strip_prefix("select pg_catalog.set_config(w.name, w.value, ") {
        let (local, rest) = inside.split_once(')')?;
        let (_, rest) = rest.split_once("from (values ")?;
        let (values, _) = rest.split_once(") w(name, value)")?;
        let values = literals(values)?;
        let settings = values.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        return Some(Sql::Restore { settings, local: local == "true" });
    }
    if let Some(inside) = text.strip_prefix("select pg_catalog.set_config(") {
        let values = literals(inside.trim_end_matches(')').rsplit_once(',')?.0)?;
        let [name, value] = &values[..] else { return None };
        let local = inside.ends_with("true)");
        return Some(Sql::SetConfig { name: name.clone(), value: value.clone(), local });
    }
    if text.starts_with("select name, setting from pg_catalog.pg_settings where source") {
        let parts = text.split(" union all select E'").skip(1);
        let custom = parts.filter_map(|part| {
            let (name, rest) = part.split_once('\'')?;
            Some((name.to_owned(), !rest.ends_with("<>) ''")))
        });
        return Some(Sql::AskSettings(custom.collect()));
    }
    if text.starts_with("select '") && text.contains("' where exists (") {
        let parts = text.split(" union all select '").map(|part| part.trim_start_matches("select '"));
        let pins = parts.filter_map(|part| {
            let (label, question) = part.split_once('\'')?;
            let about = match question {
                q if q.contains("pg_my_temp_schema") => Pinning::Temp,
                q if q.contains("pg_listening_channels") => Pinning::Listen,
                q if q.contains("pg_prepared_statements") => Pinning::Prepare,
                _ => Pinning::Never,
            };
            Some((label.to_owned(), about))
        });
        return Some(Sql::AskPins(pins.collect()));
    }
    None
}

/// The one literal that `text` is.
fn literal(text: &str) -> Option<String> {
    match &literals(text)?[..] {
        [one] => Some(one.clone()),
        _ => None,
    }
}

/// String literals, plain or with escapes, between commas and parentheses; words without quotation marks count as well.
fn literals(text: &str) -> Option<Vec<String>> {
    let (mut found, mut chars) = (Vec::new(), text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            ' ' | ',' | '(' | ')' => {}
            'E' | 'e' if chars.peek() == Some(&'\'') => {}
            '\'' => {
                let mut value = String::new();
                loop {
                    match chars.next()? {
                        '\\' => value.extend(chars.next()),
                        '\'' if chars.next_if_eq(&'\'').is_some() => value.push('\''),
                        '\'' => break,
                        c => value.push(c),
                    }
                }
                found.push(value);
            }
            c => {
                let mut word = String::from(c);
                while let Some(c) = chars.next_if(|c| !matches!(c, ' ' | ',' | '(' | ')' | '\'')) {
                    word.push(c);
                }
                found.push(word);
            }
        }
    }
    Some(found)
}
