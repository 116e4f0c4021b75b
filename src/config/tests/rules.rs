//! Rules, good and bad.

use super::*;
use crate::sql::Intent;
use crate::sql::catalog::{Lists, Vouched};

/// A file with one database and these lines behind it.
fn file(rules: &str) -> String {
    format!("[database.app]\nurl = 'postgres://app:secret@pg1'\n{rules}")
}

fn app(rules: &str) -> DatabaseSettings {
    let settings = from_file(&file(rules), Sources::default());
    settings.unwrap_or_else(|mistakes| panic!("{mistakes}")).databases.remove(0)
}

#[test]
fn rules_keep_their_order() {
    let app = app(r#"
        [[database.app.rule]]
        function = ["total", "reports.sum_up"]
        intent = "replica"
        [[database.app.rule]]
        user = "app"
        application_name = ["metabase*", "psql"]
        statement = "select * from orders where id = 1;"
        consistency = "eventual"
        [[database.app.rule]]
        table = "v_orders"
        intent = "primary"
        [[database.app.rule]]
        function = "audit.*"
        intent = "primary"
        [[database.app.rule]]
        user = "app"
        intent = "replica"
        "#);
    assert_eq!(app.rules.len(), 5);
    let names = |names: &[&str]| names.iter().map(|name| Box::from(*name)).collect::<Vec<Box<str>>>();
    let functions = Lists { read: names(&["total", "reports.sum_up"]), primary: names(&["audit.*"]) };
    let tables = Lists { read: names(&[]), primary: names(&["v_orders"]) };
    assert_eq!(app.vouched(), Vouched { functions, tables });
    let rules: Vec<_> = app.statement_rules().collect();
    let first = StatementRule {
        users: vec!["app".to_owned()],
        application_names: vec![
            Pattern::StartsWith("metabase".to_owned()),
            Pattern::Exactly("psql".to_owned()),
        ],
        statements: vec!["select * from orders where id = 1;".to_owned()],
        intent: None,
        consistency: Some(Level::Eventual),
    };
    let second = StatementRule {
        users: vec!["app".to_owned()],
        intent: Some(Intent::Replica),
        ..StatementRule::default()
    };
    assert_eq!(rules, [&first, &second]);
}

#[test]
fn whom_a_rule_is_for() {
    let app = app("[[database.app.rule]]\nuser='app'\napplication_name=['a*','b']\nintent='primary'");
    let rule = app.statement_rules().next().unwrap();
    for (user, name, expected) in [
        ("app", "a", true),
        ("app", "abc", true),
        ("app", "b", true),
        ("app", "bc", false),
        ("app", "B", false),
        ("app", "", false),
        ("other", "a", false),
    ] {
        assert_eq!(rule.is_for(user, name), expected, "{user} {name}");
    }
}

#[test]
fn a_url_over_the_file_leaves_its_rules() {
    let text = file("[[database.app.rule]]\nuser = 'app'\nintent = 'primary'\n");
    let sources = Sources { env: given("postgres://app:b@pg2/app"), ..Sources::default() };
    assert_eq!(from_file(&text, sources).unwrap().databases[0].rules.len(), 1);
}

#[test]
fn a_rule_for_nobody_is_warned_of() {
    let text = file("[[database.app.rule]]\nuser = ['app', 'reporting']\nintent = 'primary'\n");
    let warnings = from_file(&text, Sources::default()).unwrap().warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("tidegate.toml:3, database.app.rule: nobody can log in as the user reporting")
    );
}

#[test]
fn bad_rules() {
    let table: [(&str, &[&str]); 21] = [
        (
            "intent = 'primary'",
            &["toml:3, database.app.rule: the rule has no condition. Say what it is about"],
        ),
        ("user = 'app'", &["toml:3, database.app.rule: the rule asks for nothing. Give it an intent"]),
        ("", &["the rule has no condition"]),
        (
            "usr = 'app'\nintent = 'primary'",
            &["toml:4, database.app.rule.usr: there is no key of this name. Did you mean user?"],
        ),
        ("user = 'app'\nscope = 'database'", &["rule.scope: there is no key of this name"]),
        (
            "user = 'app'\nintent = 'primry'",
            &["toml:5, database.app.rule.intent: \"primry\" is not known here. Did you mean primary?"],
        ),
        (
            "user = 'app'\nconsistency = 'strict'",
            &["It can be eventual, bounded(5s), session, strong or primary"],
        ),
        ("user = 'app'\nintent = ['primary']", &["a value of type array cannot stand here"]),
        ("user = []\nintent = 'primary'", &["rule.user: the list is empty"]),
        ("user = 1.5\nintent = 'primary'", &["rule.user: a value of type float cannot stand here"]),
        ("function = 'f'\nconsistency = 'eventual'", &["cannot have a consistency. Give it an intent only"]),
        (
            "function = 'f'\nuser = 'app'\nintent = 'replica'",
            &["about a function or table holds for everybody. Take user, application_name, statement away"],
        ),
        ("table = 't'\nstatement = 'select 1'\nintent = 'replica'", &["holds for everybody"]),
        ("table = 't'\nfunction = 'f'\nintent = 'replica'", &["Write two rules"]),
        ("function = 'total(int)'\nintent = 'replica'", &["\"total(int)\" is not a name", "schema.name"]),
        ("table = ['a.b.c', '', 'a.']\nintent = 'primary'", &["\"a.b.c\" is not", "\"\" is", "\"a.\" is"]),
        (
            "application_name = 'a*b'\nintent = 'primary'",
            &["toml:4, database.app.rule.application_name: a * stands before the end"],
        ),
        (
            "statement = 'selec SECRET'\nintent = 'primary'",
            &["toml:4, database.app.rule.statement: PostgreSQL's grammar refuses the statement"],
        ),
        ("statement = 'select 1; select 2'\nintent = 'primary'", &["more than one statement in the text"]),
        ("statement = ' ; -- nothing'\nintent = 'primary'", &["there is no statement in the text"]),
        (
            "user = 'app'\nintent = 'x'\n[[database.app.rule]]\nstatement = 'x'\nintent = 'primary'\nb = 5",
            &["rule.intent: \"x\"", "toml:7, database.app.rule.statement", "toml:9, database.app.rule.b"],
        ),
    ];
    for (rule, words) in table {
        let text = file(&format!("[[database.app.rule]]\n{rule}\n"));
        let mistakes = from_file(&text, Sources::default()).expect_err(rule);
        assert_says(&mistakes, words);
        assert!(!mistakes.to_string().contains("SECRET"), "{mistakes}");
    }
    for (rule, words) in [
        ("rule = 5", "rule: there can be several rules, and this is none of a list"),
        ("rule = [5]", "database.app.rule: a value of type integer cannot stand here"),
        ("[database.app.rule]\nuser = 'app'", "Write it as a section [[database.NAME.rule]]"),
    ] {
        assert_says(&from_file(&file(rule), Sources::default()).expect_err(rule), &[words]);
    }
}
