//! The table is held against what is read.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use super::{Form, Section, Setting, schema, settings};
use crate::config::file;
use crate::config::mistake::Findings;
use crate::config::{keys, limits, top};

fn names(section: Section) -> BTreeSet<String> {
    settings().into_iter().filter(|s| s.section == section).map(|s| s.name.to_owned()).collect()
}

fn set<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn every_setting_that_is_read_has_a_row() {
    let secrets = top::SECRETS.iter().flat_map(|name| [(*name).to_owned(), format!("{name}_file")]);
    let proxy: BTreeSet<String> = set(top::KEYS).into_iter().chain(secrets).collect();
    assert_eq!(names(Section::Proxy), proxy);
    assert_eq!(names(Section::Database), set(keys::file_keys().chain(["url", "nodes", "dbname"])));
    let user = ["password", "password_file", "consistency", "scope", "on_stale", keys::LOCKED_SETTINGS];
    assert_eq!(names(Section::User), set(user.into_iter().chain(limits::KEYS)));
}

#[test]
fn every_setting_has_a_meaning_and_a_default_or_an_example() {
    for setting in settings() {
        let Setting { section, name, ref meaning, default, example, .. } = setting;
        assert!(meaning.ends_with(['.', ')']), "{section:?} {name}: {meaning}");
        if matches!(section, Section::Proxy | Section::Database) {
            assert!(default.is_some() || example.is_some(), "{name}");
        }
    }
}

/// Values that a form calls right, and some that it calls wrong.
fn samples(form: Form) -> (Vec<String>, Vec<String>) {
    let text = |values: &[&str]| values.iter().map(|v| format!("\"{v}\"")).collect::<Vec<_>>();
    let numbers = |values: &[i64]| values.iter().map(ToString::to_string).collect::<Vec<_>>();
    match form {
        Form::Switch => (vec!["true".to_owned(), "false".to_owned()], text(&["perhaps"])),
        Form::OneOrZero => (numbers(&[0, 1]), numbers(&[2])),
        Form::Whole(least, most) | Form::WholeOrOff(least, most) => {
            let mut right = numbers(&[least.into(), most.into()]);
            let mut wrong = numbers(&[i64::from(most) + 1]);
            let off = text(&["off"]);
            if matches!(form, Form::WholeOrOff(..)) { &mut right } else { &mut wrong }.extend(off);
            if least > 0 && matches!(form, Form::Whole(..)) {
                wrong.extend(numbers(&[i64::from(least) - 1]));
            }
            (right, wrong)
        }
        Form::Share => {
            (["0", "0.5", "1"].map(str::to_owned).to_vec(), ["2", "-1"].map(str::to_owned).to_vec())
        }
        Form::CollectorOrOff => (text(&["off", "http://localhost:4318"]), text(&["ftp://localhost"])),
        Form::Time => {
            ([numbers(&[60]), text(&["1min", "60 s", "60000ms"])].concat(), text(&["off", "1 week", "25h"]))
        }
        Form::TimeOrOff => ([numbers(&[60]), text(&["1min", "off"])].concat(), text(&["often", "25h"])),
        Form::Word(words) => (text(words), text(&["nonsense"])),
        Form::Words(words) => (vec![format!("[{}]", text(words).join(", "))], text(&["nonsense"])),
        _ => (Vec::new(), Vec::new()),
    }
}

fn is_read(setting: &Setting, value: &str) -> bool {
    let name = setting.name;
    let text = match setting.section {
        Section::Proxy => format!("{name} = {value}\n"),
        Section::Database => format!("[database.app]\n{name} = {value}\n"),
        Section::User => format!("[database.app.user.app]\n{name} = {value}\n"),
        Section::Node => format!("[database.app]\nnodes = [{{ address = \"pg1\", {name} = {value} }}]\n"),
        Section::Rule => {
            format!("[[database.app.rule]]\nuser = \"app\"\nintent = \"primary\"\n{name} = {value}\n")
        }
        Section::Peers | Section::Sni => return true,
    };
    let mut findings = Findings::default();
    file::parse(
        Path::new("tidegate.toml"),
        &text.replace("intent = \"primary\"\nintent", "intent"),
        &mut findings,
    );
    findings.into_warnings().is_ok()
}

#[test]
fn what_a_form_calls_right_is_read_and_what_it_calls_wrong_is_not() {
    let mut tried = 0;
    for setting in settings() {
        let (right, wrong) = samples(setting.form);
        tried += right.len() + wrong.len();
        for value in right {
            assert!(is_read(&setting, &value), "{:?} {} = {value}", setting.section, setting.name);
        }
        for value in wrong {
            assert!(!is_read(&setting, &value), "{:?} {} = {value}", setting.section, setting.name);
        }
    }
    assert!(tried > 300, "{tried}");
}

/// Whether a value is as a schema has it: the part of draft 07 that is used here, and nothing passed over.
fn is_valid(root: &Value, schema: &Value, value: &Value) -> bool {
    schema.as_object().is_some_and(|rules| {
        rules.iter().all(|(rule, wanted)| match rule.as_str() {
            "description" | "default" | "examples" | "$schema" | "title" | "definitions" => true,
            "type" => match wanted.as_str() {
                Some("string") => value.is_string(),
                Some("integer") => value.is_i64(),
                Some("number") => value.is_number(),
                Some("boolean") => value.is_boolean(),
                Some("array") => value.is_array(),
                Some("object") => value.is_object(),
                other => panic!("type {other:?}"),
            },
            "$ref" => is_valid(
                root,
                &root["definitions"][wanted.as_str().unwrap_or("").rsplit('/').next().unwrap_or("")],
                value,
            ),
            "enum" => wanted.as_array().is_some_and(|known| known.contains(value)),
            "anyOf" => {
                wanted.as_array().is_some_and(|any| any.iter().any(|schema| is_valid(root, schema, value)))
            }
            "pattern" => {
                let pattern = regex::Regex::new(wanted.as_str().unwrap_or("[")).expect("a pattern");
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "minimum" => value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap_or(f64::MAX)),
            "maximum" => value.as_f64().is_none_or(|number| number <= wanted.as_f64().unwrap_or(f64::MIN)),
            "items" => {
                value.as_array().is_none_or(|items| items.iter().all(|item| is_valid(root, wanted, item)))
            }
            "required" => wanted
                .as_array()
                .is_some_and(|keys| keys.iter().all(|key| value.get(key.as_str().unwrap_or("")).is_some())),
            "properties" | "patternProperties" | "additionalProperties" => value
                .as_object()
                .is_none_or(|object| object.iter().all(|(key, value)| property(root, rules, key, value))),
            other => panic!("the rule {other} is not known to this test"),
        })
    })
}

fn property(root: &Value, rules: &serde_json::Map<String, Value>, key: &str, value: &Value) -> bool {
    if let Some(schema) = rules.get("properties").and_then(|known| known.get(key)) {
        return is_valid(root, schema, value);
    }
    let patterns = rules.get("patternProperties").and_then(Value::as_object);
    let fitting = patterns
        .into_iter()
        .flatten()
        .find(|(pattern, _)| regex::Regex::new(pattern).is_ok_and(|p| p.is_match(key)));
    match fitting.map(|(_, schema)| schema).or_else(|| rules.get("additionalProperties")) {
        Some(Value::Bool(may)) => *may,
        Some(schema) => is_valid(root, schema, value),
        None => true,
    }
}

fn accepts(text: &str) -> bool {
    let table: toml::Table = text.parse().expect("it is TOML");
    let root: Value = serde_json::from_str(&schema()).expect("it is JSON");
    is_valid(&root, &root, &serde_json::to_value(table).expect("it is plain"))
}

#[test]
fn the_schema_accepts_what_is_read() {
    // Every setting at its default, and every example.
    let shipped = include_str!("../../../config/tidegate.toml");
    let setting = |line: &str| {
        let rest = line.strip_prefix('#')?;
        rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[').then(|| rest.to_owned())
    };
    let defaults: Vec<String> = shipped.lines().filter_map(setting).collect();
    assert!(defaults.len() > 60);
    assert!(accepts(&defaults.join("\n")));
    for text in [
        "peers.3 = \"tidegate-3:6432\"",
        "sni.\"db1.example.com\" = { cert_file = \"a\", key_file = \"b\" }",
        "[database.app]\nconsistency = \"bounded(1min)\"\non_stale = \"wait(5ms)\"\nnodes = [\"pg1\", { address = \"pg2\", weight = 2 }]",
        "[database.app.user.x]\nlocked_settings = [\"scope\"]\nquery_timeout = \"off\"",
        "[[database.app.rule]]\nuser = [\"a\", \"b\"]\nintent = \"replica\"",
    ] {
        assert!(accepts(text), "{text}");
    }
}

#[test]
fn the_schema_refuses_what_is_not() {
    for text in [
        "lisen = \"127.0.0.1:1\"",
        "workers = 0",
        "workers = true",
        "log_statements = 1",
        "peers.x = \"a\"",
        "[database.app]\npool_mode = \"sesion\"",
        "[database.app]\nconsistency = \"bounded\"",
        "[database.app]\npool_timeout = \"often\"",
        "[database.app]\nurl = \"mysql://x\"",
        "[database.app]\nnodes = [{ role = \"primary\" }]",
        "[database.app.user.x]\npool_mode = \"session\"",
        "[[database.app.rule]]\nuser = 3",
    ] {
        assert!(!accepts(text), "{text}");
    }
}
