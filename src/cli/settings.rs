//! `tidegate config`: the settings that hold and where each was said, the file's schema, and its reference.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::ExitCode;

use super::refuse;
use super::toml_text::{key, list, text};
use crate::config::reference::{self, Form, Section, Setting, page};
use crate::config::{
    DatabaseSettings, DatabaseTrace, Host, Level, NodeSettings, Note, Notes, Pattern, RuleSettings, Settings,
    Sources, Trace, UserSettings, traced,
};
use crate::sql::Intent;

/// What stands for passwords.
const HIDDEN: &str = "…";

/// Prints what holds; the exit code is 2 for a mistake.
pub fn print(sources: &Sources) -> ExitCode {
    match traced(sources) {
        Ok((settings, trace)) => {
            print!("{}", Printer::new(sources).all(&settings, &trace));
            settings.warnings.iter().for_each(|warning| eprintln!("warning: {warning}"));
            ExitCode::SUCCESS
        }
        Err(mistakes) => refuse(&mistakes),
    }
}

/// Prints the schema of the file.
pub fn schema() -> ExitCode {
    print!("{}", reference::schema());
    ExitCode::SUCCESS
}

/// Prints what every setting is.
pub fn reference() -> ExitCode {
    print!("{}", page());
    ExitCode::SUCCESS
}

/// Writes settings as TOML.
struct Printer<'a> {
    sources: &'a Sources,
    forms: BTreeMap<Section, Vec<Setting>>,
    out: String,
}

impl<'a> Printer<'a> {
    fn new(sources: &'a Sources) -> Self {
        let mut forms: BTreeMap<Section, Vec<Setting>> = BTreeMap::new();
        for setting in reference::settings() {
            forms.entry(setting.section).or_default().push(setting);
        }
        Self { sources, forms, out: String::new() }
    }

    fn all(mut self, settings: &Settings, trace: &Trace) -> String {
        self.out
            .push_str("# What holds, and where it was said. Passwords and tokens are shown as \"…\".\n\n");
        self.section(Section::Proxy, &trace.top, &[]);
        if !settings.peers.is_empty() {
            self.out.push_str("\n[peers]\n");
            for peer in &settings.peers {
                let address = address(&peer.host, peer.port);
                let _ = writeln!(self.out, "{} = {}", peer.id, text(&address));
            }
        }
        for name in &settings.tls.names {
            let _ = writeln!(self.out, "\n[sni.{}]", text(&name.name));
            let _ = writeln!(self.out, "cert_file = {}", text(&name.files.certificate.display().to_string()));
            let _ = writeln!(self.out, "key_file = {}", text(&name.files.key.display().to_string()));
        }
        for (database, trace) in settings.databases.iter().zip(&trace.databases) {
            self.database(database, trace);
        }
        self.out
    }

    fn database(&mut self, database: &DatabaseSettings, trace: &DatabaseTrace) {
        let name = key(&database.name);
        let _ = writeln!(self.out, "\n[database.{name}]  # {}", trace.origin);
        let nodes: Vec<String> = database.nodes.iter().map(node).collect();
        let origin = trace.nodes.as_deref().unwrap_or(&trace.origin);
        let _ = writeln!(self.out, "nodes = [{}]  # {origin}", nodes.join(", "));
        let origin = trace.said.of("dbname").next().map_or("default", |note| &note.origin);
        let _ = writeln!(self.out, "dbname = {}  # {origin}", text(&database.server_name));
        self.section(Section::Database, &trace.said, &["url", "nodes", "dbname"]);
        for user in &database.users {
            self.user(&name, database, user, trace);
        }
        for (rule, origin) in database.rules.iter().zip(&trace.rules) {
            let _ = writeln!(self.out, "\n[[database.{name}.rule]]  # {origin}");
            self.out.push_str(&rule_text(rule));
        }
    }

    fn user(
        &mut self,
        database: &str,
        settings: &DatabaseSettings,
        user: &UserSettings,
        trace: &DatabaseTrace,
    ) {
        let found = trace.users.iter().find(|(name, ..)| *name == user.name);
        let origin = found.map_or("auth_file or auth_user", |(_, origin, _)| origin);
        let _ = writeln!(self.out, "\n[database.{database}.user.{}]  # {origin}", key(&user.name));
        let nothing = Notes::default();
        let said = found.map_or(&nothing, |(.., said)| said);
        if user.password.is_some() || user.stored.is_some() {
            let origin = match said.of("password").next() {
                Some(note) => note.origin.as_str(),
                None if !settings.accounts.listed.is_empty()
                    || trace.said.of("auth_file").next().is_some() =>
                {
                    "auth_file, PGPASSWORD or a password file"
                }
                None if self.sources.pg_password.is_some() => "PGPASSWORD",
                None => "PGPASSWORD_FILE or a password file",
            };
            let _ = writeln!(self.out, "password = {}  # {origin}", text(HIDDEN));
        }
        let forms = self.forms.get(&Section::User).cloned().unwrap_or_default();
        for setting in forms.iter().filter(|setting| !setting.name.starts_with("password")) {
            let notes: Vec<&Note> = said.of(setting.name).collect();
            if !notes.is_empty() {
                self.line(setting, &notes);
            }
        }
    }

    /// Every setting of a section but some.
    fn section(&mut self, section: Section, said: &Notes, but: &[&str]) {
        let forms = self.forms.get(&section).cloned().unwrap_or_default();
        let is_shown = |setting: &&Setting| {
            let is_twin = setting.form == Form::Path
                && setting.name.ends_with("_file")
                && has_secret(setting.name, &forms);
            !but.contains(&setting.name) && !is_twin
        };
        for setting in forms.iter().filter(is_shown) {
            self.line(setting, &said.of(setting.name).collect::<Vec<_>>());
        }
    }

    /// A setting with its value and where that was said.
    fn line(&mut self, setting: &Setting, notes: &[&Note]) {
        let name = setting.name;
        let _ = match (notes.first(), setting.default) {
            (Some(note), _) => {
                writeln!(self.out, "{name} = {}  # {}", value(setting.form, notes), note.origin)
            }
            (None, Some(default)) => writeln!(self.out, "{name} = {default}  # default"),
            (None, None) => writeln!(self.out, "# {name} is not set"),
        };
    }
}

/// Whether a path stands in the place of a secret of which there is a setting, too.
fn has_secret(name: &str, forms: &[Setting]) -> bool {
    let plain = name.trim_end_matches("_file");
    forms.iter().any(|other| other.name == plain && other.form == Form::Secret)
}

/// A value as the file would say it.
fn value(form: Form, notes: &[&Note]) -> String {
    let said: Vec<String> =
        notes.iter().map(|note| note.text.clone().unwrap_or_else(|| HIDDEN.to_owned())).collect();
    let only = said.first().cloned().unwrap_or_default();
    match form {
        Form::Listen | Form::Texts => list(&said),
        Form::Words(_) => {
            let words: Vec<String> =
                said.iter().flat_map(|words| words.split(',')).map(|w| w.trim().to_owned()).collect();
            list(&words)
        }
        Form::Whole(..) | Form::WholeOrOff(..) | Form::OneOrZero if only.parse::<u64>().is_ok() => only,
        Form::Share if only.parse::<f64>().is_ok() => only,
        Form::Switch => only,
        _ => text(&only),
    }
}

fn address(host: &Host, port: u16) -> String {
    format!("{host}:{port}")
}

/// A node as the file would say it.
fn node(node: &NodeSettings) -> String {
    let address = text(&address(&node.host, node.port));
    let mut more = String::new();
    if let Some(role) = node.declared {
        let _ = write!(more, ", role = {}", text(role.as_str()));
    }
    if node.weight != crate::config::DEFAULT_WEIGHT {
        let _ = write!(more, ", weight = {}", node.weight);
    }
    if let Some(zone) = &node.zone {
        let _ = write!(more, ", zone = {}", text(zone));
    }
    if more.is_empty() { address } else { format!("{{ address = {address}{more} }}") }
}

/// A rule as the file says it. A statement may have anything in it, so its text is not shown.
fn rule_text(rule: &RuleSettings) -> String {
    let mut out = String::new();
    let mut line = |name: &str, values: Vec<String>| {
        if !values.is_empty() {
            let _ = writeln!(out, "{name} = {}", list(&values));
        }
    };
    let names = |names: &[Box<str>]| names.iter().map(ToString::to_string).collect();
    let (intent, consistency): (Option<Intent>, Option<Level>) = match rule {
        RuleSettings::Functions(rule) => {
            line("function", names(&rule.names));
            (Some(rule.intent), None)
        }
        RuleSettings::Tables(rule) => {
            line("table", names(&rule.names));
            (Some(rule.intent), None)
        }
        RuleSettings::Statements(rule) => {
            let pattern = |pattern: &Pattern| match pattern {
                Pattern::Exactly(text) => text.clone(),
                Pattern::StartsWith(text) => format!("{text}*"),
            };
            line("user", rule.users.clone());
            line("application_name", rule.application_names.iter().map(pattern).collect());
            line("statement", rule.statements.iter().map(|_| HIDDEN.to_owned()).collect());
            (rule.intent, rule.consistency)
        }
    };
    out.extend(intent.map(|intent| format!("intent = {}\n", text(intent.as_str()))));
    out.extend(consistency.map(|level| format!("consistency = {}\n", text(&level.to_string()))));
    out
}
