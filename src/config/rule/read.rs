//! Rules as a file writes them.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{ObjectRule, Pattern, RuleSettings, StatementRule};
use crate::config::document::{Walker, entries};
use crate::config::keys;
use crate::config::layer::RuleLayer;
use crate::config::mistake::{Origin, Problem, quoted};
use crate::config::value::word;
use crate::sql::{Cause, classify};

const OBJECTS: [&str; 2] = ["function", "table"];
const CONDITIONS: [&str; 3] = ["user", "application_name", "statement"];
const ACTIONS: [&str; 2] = ["intent", "consistency"];

const EXAMPLE: &str = "Write it as a section [[database.NAME.rule]]";

/// What the keys of one rule say.
#[derive(Default)]
struct Said {
    functions: Vec<Box<str>>,
    tables: Vec<Box<str>>,
    statements: StatementRule,
}

impl Walker<'_> {
    /// The sections `[[database.NAME.rule]]` of a database.
    pub(in crate::config) fn rules(
        &mut self,
        origin: &Origin,
        database: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Vec<RuleLayer> {
        let DeValue::Array(array) = value.get_ref() else {
            let problem = Problem::new("there can be several rules, and this is none of a list", EXAMPLE);
            self.findings.mistake(origin, problem);
            return Vec::new();
        };
        let mut rules = Vec::new();
        for item in array {
            let origin = self.at(&item.span()).inside(&format!("database.{database}.rule"));
            match item.get_ref() {
                DeValue::Table(table) => {
                    let rule = self.rule(&origin, database, table);
                    rules.extend(rule.map(|rule| RuleLayer { rule, origin }));
                }
                other => self.wrong_type(&origin, other, "a section [[database.NAME.rule]]"),
            }
        }
        rules
    }

    fn rule(&mut self, origin: &Origin, database: &str, table: &DeTable<'_>) -> Option<RuleSettings> {
        let mut said = Said::default();
        for (key, value, span) in entries(table) {
            let origin = self.at(&span).inside(&format!("database.{database}.rule.{key}"));
            match key {
                "intent" => said.statements.intent = self.action(&origin, value, word),
                "consistency" => said.statements.consistency = self.action(&origin, value, word),
                key if OBJECTS.contains(&key) || CONDITIONS.contains(&key) => {
                    self.condition(&origin, key, value, &mut said);
                }
                _ => {
                    let known = OBJECTS.into_iter().chain(CONDITIONS).chain(ACTIONS);
                    self.findings.mistake(&origin, keys::unknown("key", key, known));
                }
            }
        }
        let has = |keys: &[&str]| keys.iter().any(|key| table.keys().any(|k| k.get_ref() == key));
        if let Some(problem) = misfit(has) {
            self.findings.mistake(origin, problem);
            return None;
        }
        said.into_rule()
    }

    fn action<T>(
        &mut self,
        origin: &Origin,
        value: &Spanned<DeValue<'_>>,
        read: fn(&str) -> Result<T, Problem>,
    ) -> Option<T> {
        let text = self.scalar(origin, value)?;
        self.findings.keep(origin, read(&text))
    }

    /// One text or several, each with a mistake of its own.
    fn condition(&mut self, origin: &Origin, key: &str, value: &Spanned<DeValue<'_>>, said: &mut Said) {
        if value.get_ref().as_array().is_some_and(|list| list.is_empty()) {
            let problem = Problem::new("the list is empty, so the rule never holds", "Name at least one");
            self.findings.mistake(origin, problem);
        }
        for text in self.texts(origin, value) {
            let result = said.meet(key, text);
            self.findings.keep(origin, result);
        }
    }
}

impl Said {
    fn meet(&mut self, key: &str, text: String) -> Result<(), Problem> {
        match key {
            "function" => self.functions.push(object(&text)?),
            "table" => self.tables.push(object(&text)?),
            "user" => self.statements.users.push(text),
            "application_name" => self.statements.application_names.push(Pattern::read(&text)?),
            _ => self.statements.statements.push(statement(text)?),
        }
        Ok(())
    }

    /// The rule, if what it must have could be read.
    fn into_rule(self) -> Option<RuleSettings> {
        let Self { functions, tables, statements } = self;
        let intent = statements.intent;
        let about = |names: Vec<Box<str>>| Some(ObjectRule { names, intent: intent? });
        match (functions.is_empty(), tables.is_empty()) {
            (false, _) => about(functions).map(RuleSettings::Functions),
            (true, false) => about(tables).map(RuleSettings::Tables),
            (true, true) => Some(RuleSettings::Statements(statements)),
        }
    }
}

/// What is wrong with a rule of these keys, whatever their values are.
fn misfit(has: impl Fn(&[&str]) -> bool) -> Option<Problem> {
    let conditions = CONDITIONS.join(", ");
    if !has(&OBJECTS) && !has(&CONDITIONS) {
        let advice = format!("Say what it is about: function, table, {conditions}");
        return Some(Problem::new("the rule has no condition", advice));
    }
    if !has(&ACTIONS) {
        return Some(Problem::new("the rule asks for nothing", "Give it an intent or a consistency"));
    }
    if has(&["function"]) && has(&["table"]) {
        return Some(Problem::new("the rule is about functions and about tables", "Write two rules"));
    }
    if has(&OBJECTS) && has(&CONDITIONS) {
        let advice = format!("Take {conditions} away, or write two rules");
        return Some(Problem::new("what a rule says about a function or table holds for everybody", advice));
    }
    if has(&OBJECTS) && has(&["consistency"]) {
        let problem = "a rule about a function or table cannot have a consistency";
        return Some(Problem::new(problem, "Give it an intent only"));
    }
    None
}

/// Checks the name of a function or table.
fn object(text: &str) -> Result<Box<str>, Problem> {
    let strange = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '(' | ')' | ',' | ';');
    let parts: Vec<&str> = text.split('.').collect();
    if parts.len() > 2 || parts.iter().any(|part| part.is_empty() || part.contains(strange)) {
        let advice =
            "Write name or schema.name, as PostgreSQL lists it: without quotation marks or arguments";
        return Err(Problem::new(format!("{} is not a name", quoted(text)), advice));
    }
    Ok(text.into())
}

/// Checks the text of a statement. It is not shown: its literals may be anything.
fn statement(text: String) -> Result<String, Problem> {
    let understood = classify(&text);
    let problem = match (&understood.cause, understood.count) {
        (Cause::SyntaxError, _) => "PostgreSQL's grammar refuses the statement",
        (Cause::TooLarge, _) => "the statement is too long to be read",
        (_, 0) => "there is no statement in the text",
        (_, 1) => return Ok(text),
        _ => "there is more than one statement in the text",
    };
    Err(Problem::new(problem, "Write one statement as the application sends it"))
}
