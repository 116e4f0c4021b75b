//! The curated lists (`src/sql/builtins/`) against a running PostgreSQL: they are complete, and they are true.
//!
//! A version that the lists do not know yet fails here, name by name. `scripts/builtins.sh` prints the names to decide on.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::process::{Command, Stdio};

use tidegate::local::{LocalNode, Login};
use tidegate::sql::builtins::{Reason, Verdict, is_node_view, is_plain_view, verdict};

const HARMLESS: &str = include_str!("../src/sql/builtins/harmless.txt");
const PRIMARY: &str = include_str!("../src/sql/builtins/primary.txt");

/// Functions that came with the server: what is made later, also by extensions, has a higher OID.
const OWN: &str = "pronamespace = 'pg_catalog'::regnamespace and p.oid < 16384";

const HOW: &str = "Decide for each: does a replica that has replayed everything answer exactly as the primary does? Then its \
    name goes into src/sql/builtins/harmless.txt (with the remark `volatile` if it is declared so and harmless all the \
    same), else into primary.txt with a reason (words: Reason in src/sql/builtins.rs). If in doubt: primary.txt, volatile. \
    `scripts/builtins.sh URL` prints the names with what the server says of them.";

fn rows(sql: &str) -> Vec<Vec<String>> {
    let answer = support::cluster().primary().psql(sql).unwrap_or_else(|error| panic!("{error}"));
    answer.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

/// The names of a list with their remarks.
fn list(text: &str) -> HashMap<&str, &str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once(' ').unwrap_or((line, ""))).collect()
}

#[test]
fn every_function_is_in_exactly_one_list() {
    let (harmless, primary) = (list(HARMLESS), list(PRIMARY));
    let names = rows(&format!("select distinct proname from pg_proc p where {OWN} order by 1"));
    assert!(names.len() > 2000);
    let names = names.iter().map(|row| row[0].as_str());
    let (unlisted, twice): (Vec<_>, Vec<_>) = names
        .filter(|name| harmless.contains_key(name) == primary.contains_key(name))
        .partition(|name| verdict(name) == Verdict::Unlisted);
    assert!(unlisted.is_empty(), "functions in no list: {unlisted:?}\n{HOW}");
    assert!(twice.is_empty(), "functions in both lists: {twice:?}");
}

#[test]
fn harmless_functions_are_not_volatile_unless_marked() {
    let harmless = list(HARMLESS);
    let volatile =
        rows(&format!("select distinct proname from pg_proc p where {OWN} and provolatile = 'v' order by 1"));
    let unmarked: Vec<&str> = volatile
        .iter()
        .map(|row| row[0].as_str())
        .filter(|name| harmless.get(name).is_some_and(|remark| *remark != "volatile"))
        .collect();
    assert!(unmarked.is_empty(), "called harmless, but VOLATILE in this version: {unmarked:?}\n{HOW}");
}

#[test]
fn every_system_view_is_known() {
    let views = rows(
        "select relname from pg_class where oid < 16384 and relkind not in ('r', 'i', 't') \
         and relnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) order by 1",
    );
    assert!(views.len() > 100);
    let names = views.iter().map(|row| row[0].as_str());
    let wrong: Vec<&str> = names.filter(|name| is_node_view(name) == is_plain_view(name)).collect();
    assert!(
        wrong.is_empty(),
        "views in no list, or in both: {wrong:?}\nDoes it show replicated data only? Then its name goes into \
         src/sql/builtins/plain_views.txt, else into views.txt."
    );
}

/// A system view is plain only if it calls nothing that belongs on the primary. Those that leave out other sessions' temporary
/// relations do so alike on every node: a session that has temporary relations itself stays on the primary.
#[test]
fn plain_views_call_only_harmless_functions() {
    let calls = rows(
        "select distinct v.relname, p.proname from pg_class v join pg_rewrite r on r.ev_class = v.oid \
         cross join regexp_matches(r.ev_action::text, ':(?:funcid|opfuncid|winfnoid|aggfnoid) (\\d+)', 'g') as id \
         join pg_proc p on p.oid = id[1]::oid and p.pronamespace = 'pg_catalog'::regnamespace \
         where v.relnamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace) \
         and v.oid < 16384 and p.proname not in ('pg_is_other_temp_schema', 'pg_my_temp_schema')",
    );
    assert!(calls.len() > 300, "{}", calls.len());
    let wrong: Vec<_> = calls
        .iter()
        .filter(|call| is_plain_view(&call[0]) && verdict(&call[1]) != Verdict::Harmless)
        .collect();
    assert!(wrong.is_empty(), "plain views that call what belongs on the primary: {wrong:?}");
}

// ---------------------------------------------------------------------------------------------- what a replica says

/// A function, and a statement that calls it with simple arguments.
struct Call {
    name: String,
    statement: String,
}

/// A value of a type, as SQL. Types without one get a null.
fn argument(type_name: &str) -> String {
    let value = match type_name {
        "integer" | "bigint" | "smallint" | "xid" | "xid8" | "money" | "cstring" | "bit" | "bit varying" => {
            "1"
        }
        "anyelement" | "anynonarray" | "anycompatible" | "anycompatiblenonarray" | "\"any\"" => {
            return "1".into();
        }
        "anyarray" | "anycompatiblearray" => return "array[1, 2]".into(),
        "oid" | "regclass" | "name" => return format!("'pg_class'::regclass::{type_name}"),
        "text" | "\"char\"" | "character" | "tsvector" | "tsquery" => "a",
        "boolean" => "true",
        "double precision" | "real" | "numeric" => "1.5",
        "bytea" => "\\x01",
        "json" | "jsonb" | "text[]" => "{}",
        "xml" => "<a/>",
        "point" => "(1,1)",
        "box" => "(1,1),(0,0)",
        "interval" => "1 day",
        "timestamp with time zone" | "timestamp without time zone" | "date" => "2020-01-01",
        "time with time zone" | "time without time zone" => "12:00",
        "pg_lsn" => "0/1",
        "tid" => "(0,1)",
        "inet" | "cidr" => "1.1.1.1",
        "uuid" => "00000000-0000-0000-0000-000000000001",
        "regconfig" => "english",
        "regdictionary" => "simple",
        "txid_snapshot" | "pg_snapshot" => "1:1:",
        "macaddr" => "08:00:2b:01:02:03",
        pseudo if pseudo.starts_with("any") || pseudo == "record" => return "null".into(),
        other => return format!("null::{other}"),
    };
    format!("'{value}'::{type_name}")
}

/// Calls of all functions that SQL can call and `wanted` wants.
fn calls(wanted: impl Fn(&str) -> bool) -> Vec<Call> {
    let functions = rows(&format!(
        "select proname, quote_ident(proname), array_to_string(array(select format_type(type, null) \
         from unnest(proargtypes::oid[]) with ordinality as argument (type, place) order by place), ';') \
         from pg_proc p where {OWN} and prokind in ('f', 'a') and not 'internal'::regtype = any (proargtypes::oid[]) \
         and prorettype not in ('internal'::regtype, 'trigger'::regtype, 'event_trigger'::regtype) order by p.oid"
    ));
    let call = |row: &Vec<String>| {
        let types = row[2].split(';').filter(|name| !name.is_empty());
        let arguments: Vec<String> = types.map(argument).collect();
        let statement = format!("select pg_catalog.{}({});", row[1], arguments.join(", "));
        Call { name: row[0].clone(), statement }
    };
    functions.iter().filter(|row| wanted(&row[0])).map(call).collect()
}

/// What a node answers to each call, errors included.
fn answers(node: &LocalNode, calls: &[Call]) -> Vec<String> {
    const MARK: &str = "----next----";
    let mut script = String::from("set statement_timeout = '5s';\n");
    for call in calls {
        writeln!(script, "\\echo {MARK}\n{}", call.statement).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("calls.sql"), folder.path().join("answers"));
    std::fs::write(&input, script).unwrap();
    let writer = File::create(&output).unwrap();
    let status = Command::new(support::cluster().bin().program("psql"))
        .args(["-XAtq", &node.url(Login::Superuser)])
        .stdin(Stdio::from(File::open(&input).unwrap()))
        .stderr(writer.try_clone().unwrap())
        .stdout(writer)
        .status()
        .unwrap();
    assert!(status.success(), "psql ended with {status}");
    let text = std::fs::read(&output).unwrap();
    let answers: Vec<String> =
        String::from_utf8_lossy(&text).split(MARK).skip(1).map(|part| part.trim().to_owned()).collect();
    assert_eq!(answers.len(), calls.len());
    answers
}

/// Every harmless function, called with simple arguments: the same answer or the same error on the primary and on a replica.
#[test]
fn harmless_functions_answer_alike_on_a_replica() {
    let marked = list(HARMLESS);
    // The time of day; and see the module docs of `builtins` for `age`.
    let differ = ["now", "statement_timestamp", "transaction_timestamp", "age", "mxid_age"];
    let calls = calls(|name| {
        verdict(name) == Verdict::Harmless && marked.get(name) == Some(&"") && !differ.contains(&name)
    });
    assert!(calls.len() > 2000);
    let cluster = support::cluster();
    cluster.wait_caught_up().unwrap();
    let (primary, replica) = (answers(cluster.primary(), &calls), answers(cluster.replica(0), &calls));
    let different: Vec<_> = calls
        .iter()
        .zip(primary.iter().zip(&replica))
        .filter(|(_, (primary, replica))| primary != replica)
        .map(|(call, (primary, replica))| format!("{}\n  {primary}\n  {replica}", call.statement))
        .collect();
    assert!(different.is_empty(), "answers differ (primary, replica):\n{}", different.join("\n"));
    let answered = primary.iter().filter(|answer| !answer.contains("ERROR:")).count();
    assert!(answered > 1500, "only {answered} calls of {} got past their arguments", calls.len());
}

/// What a standby is said to refuse, it refuses.
#[test]
fn functions_that_need_the_primary_are_refused_by_a_replica() {
    let calls = calls(|name| verdict(name) == Verdict::Primary(Reason::NeedsPrimary));
    assert!(calls.len() > 20);
    let answers = answers(support::cluster().replica(0), &calls);
    let answered: Vec<&str> = calls
        .iter()
        .zip(&answers)
        .filter(|(_, answer)| !answer.contains("ERROR:"))
        .map(|(call, _)| call.name.as_str())
        .collect();
    assert!(answered.is_empty(), "a replica answered: {answered:?}");
}
