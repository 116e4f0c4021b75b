use super::*;
use proptest::prelude::*;

mod mentions;
mod table;

#[test]
fn classes_and_causes() {
    let mut wrong = Vec::new();
    for (class, label, texts) in table::CLASSES {
        for text in *texts {
            let statement = classify(text);
            let found = (short(&statement.class), statement.cause.label());
            if found != (*class, *label) {
                let (found_class, found_label) = found;
                let cause = &statement.cause;
                wrong.push(format!("{text}: {found_class} {found_label} ({cause}), not {class} {label}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A class as a short word.
fn short(class: &Class) -> &'static str {
    match class {
        Class::Read => "read",
        Class::Own(_) => "own",
        Class::Session => "session",
        Class::Savepoint => "savepoint",
        Class::End => "end",
        Class::Begin(Begin { read_only: false }) => "begin",
        Class::Begin(Begin { read_only: true }) => "begin read only",
        Class::Write => "write",
        Class::Unknown => "unknown",
    }
}

#[test]
fn leaves() {
    for (expected, texts) in table::LEAVES {
        for text in *texts {
            // Whether unread code runs is another question, with a test of its own.
            let leaves = classify(text).leaves.iter().filter(|leaf| *leaf != Leaves::ANYTHING);
            let leaves = leaves.fold(Leaves::default(), |all, leaf| all | leaf);
            assert_eq!(leaves.to_string(), *expected, "{text}");
        }
    }
}

#[test]
fn setting_names() {
    let cases: &[(&str, &[&str])] = &[
        ("set Search_Path = a, b", &["search_path"]),
        ("set time zone 'UTC'", &["timezone"]),
        ("set names 'utf8'", &["client_encoding"]),
        ("set schema 'x'", &["search_path"]),
        ("reset \"DateStyle\"", &["datestyle"]),
        ("set role x", &["role"]),
        ("reset all", &[]),
        ("set a.b = 1; set a.c = 2; set a.b = 3", &["a.b", "a.c"]),
        ("select set_config('App.User', $1, false)", &["app.user"]),
        ("select set_config(x, 'a', false) from y", &[]),
        (
            "set transaction isolation level serializable, read only",
            &["transaction_isolation", "transaction_read_only"],
        ),
        ("set session characteristics as transaction read only", &["default_transaction_read_only"]),
        ("set tidegate.intent = 'primary'; select 1", &["tidegate.intent"]),
        ("select 1; reset tidegate.intent", &["tidegate.intent"]),
        ("set tidegate.intent = 'primary'", &["tidegate.intent"]),
        ("show tidegate.intent", &[]),
    ];
    for (text, names) in cases {
        let found = classify(text).setting_names;
        assert_eq!(found.iter().map(|name| &**name).collect::<Vec<_>>(), *names, "{text}");
    }
}

#[test]
fn own_settings() {
    let set = |name: &str, value: &str, local| Own::Set { name: name.into(), value: value.into(), local };
    let cases = [
        ("set tidegate.intent = 'primary'", set("intent", "primary", false)),
        ("SET SESSION Tidegate.Intent TO Replica", set("intent", "replica", false)),
        ("set local tidegate.wait = 250;", set("wait", "250", true)),
        ("set tidegate.wait = 1.5", set("wait", "1.5", false)),
        ("set tidegate.x = on", set("x", "on", false)),
        ("set tidegate.x = true", set("x", "true", false)),
        ("set \"tidegate.x\" = a, 'b'", set("x", "a, b", false)),
        ("set tidegate.x to default", Own::Reset { name: "x".into(), local: false }),
        ("set local tidegate.x to default", Own::Reset { name: "x".into(), local: true }),
        ("reset tidegate.x", Own::Reset { name: "x".into(), local: false }),
        ("show TIDEGATE.last_route", Own::Show { name: "last_route".into() }),
    ];
    for (text, own) in cases {
        let statement = classify(text);
        // The server has them too: they share the fate of the transaction like any other.
        let leaves = match own {
            Own::Set { local, .. } | Own::Reset { local, .. } if local => Leaves::LOCAL_SETTINGS,
            Own::Set { .. } | Own::Reset { .. } => Leaves::SETTINGS,
            Own::Show { .. } | Own::ExplainRoute => Leaves::default(),
        };
        assert_eq!(statement.class, Class::Own(Box::new(own)), "{text}");
        assert_eq!((statement.leaves, statement.may_write()), (leaves, false), "{text}");
    }
}

#[test]
fn may_write() {
    for text in [
        "select 1",
        "select pg_backend_pid()",
        "select * from pg_stat_activity",
        "select currval('s')",
        "select pg_advisory_lock(1)",
        "select 1 from t for update",
        "set x.y = 1",
        "show work_mem",
        "begin",
        "commit",
        "begin; select 1; commit",
        "explain delete from t",
        "copy t to stdout",
        "declare c cursor for select 1",
        "listen x",
        "lock table t",
    ] {
        assert!(!classify(text).may_write(), "{text}");
    }
    for text in [
        "select nextval('s')",
        "select f()",
        "select pg_backend_pid(), f()",
        "select * from pg_locks, f()",
        "begin; insert into t values (1); commit",
        "copy t from stdin",
        "copy (select f()) to stdout",
        "copy (delete from t returning 1) to stdout",
        "execute x",
        "fetch c",
        "declare c cursor for select f()",
        "call p()",
        "do $$ begin end $$",
        "create table t ()",
        "explain analyze delete from t",
        "select query_to_xml('delete from t', true, true, '')",
        "notify x",
        "nonsense",
    ] {
        assert!(classify(text).may_write(), "{text}");
    }
}

#[test]
fn long_texts_change_the_catalog_only_if_they_can() {
    let list = ", ($$x;y$$)".repeat(LONGEST_TEXT / 10);
    let changes = |text: &str| {
        let statement = classify(text);
        assert_eq!((statement.cause.label(), statement.may_write()), ("too_large", true));
        statement.does.contains(Does::CHANGES_CATALOG)
    };
    assert!(!changes(&format!("insert into t values (1){list}")));
    assert!(!changes(&format!("/* ; */ INSERT into t values (1){list} ; ;")));
    assert!(changes(&format!("insert into t values (1){list}; drop table t")));
    assert!(changes(&format!("create table t as values (1){list}")));
    assert!(changes(&format!("insert into t values ('{list}")), "no tokens by PostgreSQL's rules");
}

#[test]
fn count() {
    for (text, count) in
        [("", 0), (";;", 0), ("-- x", 0), ("select 1", 1), (";select 1;;", 1), ("select 1; select 2", 2)]
    {
        assert_eq!(classify(text).count, count, "{text}");
    }
}

#[test]
fn for_people() {
    let cases = [
        ("select nextval('s')", "calls nextval(): it writes"),
        ("select a.f()", "calls a.f(), which is not known to be harmless on a replica"),
        ("select * from pg_locks", "reads pg_locks, which differs from node to node"),
        ("lock t", "is a utility statement (lock)"),
        ("select 1", "only reads"),
    ];
    for (text, cause) in cases {
        assert_eq!(classify(text).cause.to_string(), cause, "{text}");
    }
}

/// Statements are kept by the million.
#[test]
fn a_statement_is_small() {
    assert!(size_of::<Statement>() <= 72, "{}", size_of::<Statement>());
}

/// Neither the parser nor the walk overflows the stack, whatever is thrown at them: also on the small stack of a test's thread.
#[test]
fn deep_and_long_texts() {
    let repeat =
        |prefix: &str, part: &str, suffix: &str, times| format!("{prefix}{}{suffix}", part.repeat(times));
    let label = |text: &str| classify(text).cause.label();
    let parentheses = |depth| format!("select {}1{}", "(".repeat(depth), ")".repeat(depth));
    assert_eq!(label(&parentheses(100)), "plain");
    assert_eq!(label(&parentheses(60_000)), "not_understood");
    assert_eq!(label(&repeat("select a", " and a", "", 5000)), "plain");
    assert_eq!(label(&repeat("select a", " or a", "", 5000)), "plain");
    assert_eq!(label(&repeat("select a in (1", ", 1", ")", 20_000)), "plain");
    assert_eq!(label(&repeat("select 1", " union select 1", "", 5000)), "not_understood");
    assert_eq!(label(&repeat("select 1", " union all select 1", "", 40)), "plain");
    assert_eq!(label(&repeat("select a", " || a", "", 30)), "plain");
    assert_eq!(label(&repeat("select a", " || a", "", 5000)), "not_understood");
    assert_eq!(label(&repeat("select ", "not ", "a", 5000)), "not_understood");
    assert_eq!(label(&repeat("select ", "- ", "a", 40_000)), "not_understood");
    assert_eq!(label(&repeat("select f(", "array[", "", 20_000)), "not_understood");
    assert_eq!(label(&repeat("select 1 ", " ", "", LONGEST_TEXT)), "too_large");
    assert_eq!(label("select 1\0"), "syntax_error");
    assert_eq!(classify(&repeat("", "select 1;", "", 14_000)).class, Class::Read);
}

/// Texts with one key are classified alike, whatever literals they hold: so an answer may be kept under the key.
#[test]
fn literals_do_not_change_the_answer() {
    let literals = [
        "1",
        "0",
        "99999999999",
        "1.5e3",
        "0x1F",
        "'a'",
        "''",
        "'transaction_read_only'",
        "'a.b'",
        "$$x$$",
        "E'\\n'",
    ];
    let shaper = crate::sql::Shaper::new(5);
    let mut answers = std::collections::HashMap::new();
    let texts = table::CLASSES.iter().flat_map(|(_, _, texts)| *texts);
    for text in texts.chain(table::LEAVES.iter().flat_map(|(_, texts)| *texts)) {
        for (from, to) in literals.iter().flat_map(|from| literals.iter().map(move |to| (from, to))) {
            let text = text.replace(from, to);
            let statement = parse(&text, Strings::Standard);
            let Some(scan) = shaper.scan(text.as_bytes()) else {
                assert_ne!(statement.outline.class, Class::Read, "{text}");
                continue;
            };
            if !statement.belongs_to_shape() {
                continue;
            }
            let (other, answer) =
                answers.entry(scan.key).or_insert_with(|| (text.clone(), statement.clone()));
            assert_eq!(*answer, statement, "{text}\n{other}");
        }
    }
    assert!(answers.len() > 300, "{}", answers.len());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is made of pieces of statements is classified without a panic, and with a read nothing is left or written.
    #[test]
    fn pieces_of_statements(cuts in prop::collection::vec((any::<prop::sample::Index>(), 0..100_usize, 0..100_usize), 1..4)) {
        let texts: Vec<&str> = table::CLASSES.iter().flat_map(|(_, _, texts)| *texts).copied().collect();
        let mut pieces: Vec<&str> = Vec::new();
        for (text, from, to) in cuts {
            let words: Vec<&str> = text.get(&texts).split(' ').collect();
            let (from, to) = (words.len() * from / 100, words.len() * to / 100);
            pieces.extend(words.get(from..to.max(from + 1)).unwrap_or_default());
        }
        let statement = classify(&pieces.join(" "));
        if statement.class == Class::Read {
            prop_assert!(!statement.may_write() && statement.leaves.is_empty(), "{} {:?}", pieces.join(" "), statement);
        }
    }
}

/// A function stays unknown wherever it stands: between any two words of any read, if the grammar takes it there.
#[test]
fn an_unknown_function_is_never_a_read() {
    let (_, _, texts) = table::CLASSES[0];
    let mut calls = 0;
    for text in texts.iter().filter(|text| !text.starts_with("explain") || text.contains("analyze")) {
        let words: Vec<&str> = text.split(' ').collect();
        for (place, call) in
            (1..=words.len()).flat_map(|place| ["f()", "f(),", "f() +", ", f()"].map(|call| (place, call)))
        {
            let text = [&words[..place], &[call], &words[place..]].concat().join(" ");
            // The derived Debug form shows every node there is.
            let tree =
                pg_query::parse(&text, 0).map(|parsed| format!("{:?}", parsed.protobuf)).unwrap_or_default();
            if tree.contains("FuncCall { funcname: [Node { node: Some(String(String { sval: \"f\"") {
                assert_ne!(classify(&text).class, Class::Read, "{text}");
                calls += 1;
            }
        }
    }
    assert!(calls > 500, "{calls}");
}

#[test]
fn code_nobody_has_read_is_found_wherever_it_stands() {
    for text in [
        "select my_function()",
        "select pg_backend_pid(), my_function()",
        "explain analyze select my_function()",
        "copy (select my_function()) to stdout",
        "declare c cursor for select my_function()",
        "create table t as select my_function()",
        "insert into t values (my_function())",
        "do $$ begin end $$",
        "call my_procedure()",
    ] {
        let statement = classify(text);
        assert!(statement.leaves.contains(Leaves::ANYTHING) || statement.is_opaque(), "{text}");
    }
    assert!(!classify("select lower('A')").leaves.contains(Leaves::ANYTHING));
}
