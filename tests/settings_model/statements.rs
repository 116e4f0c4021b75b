//! The statements of the model.

use std::fmt;

use proptest::prelude::*;
use proptest::sample::select;

/// What the statements need.
pub const OBJECTS: &str = "create role guest; grant guest to app;
    create function scoped() returns text language plpgsql set timezone = 'Pacific/Auckland' as
        $$ begin perform set_config('intervalstyle', 'sql_standard', true); return current_setting('timezone'); end $$;
    create function local_zone() returns text language plpgsql as
        $$ begin return set_config('timezone', 'America/Lima', true); end $$;
    create procedure zone() language plpgsql as
        $$ begin perform set_config('timezone', 'America/Bogota', false); end $$;";

/// One statement of one client.
#[derive(Clone, Debug)]
pub struct Step {
    pub client: usize,
    pub sql: String,
    pub extended: bool,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.sql, if self.extended { " (extended)" } else { "" })
    }
}

/// Settings, and values for them as literals. Some are not accepted.
const SETTINGS: &[(&str, &[&str])] = &[
    ("timezone", &["'UTC'", "'Asia/Tokyo'", "'Europe/Berlin'", "'Nowhere/At_All'"]),
    ("datestyle", &["'ISO'", "'SQL, DMY'", "'German'", "'ISO, DMY'"]),
    ("intervalstyle", &["'postgres'", "'iso_8601'", "'bogus'"]),
    ("search_path", &["'$user, public'", "'a'", "'x, \"Y z\"'"]),
    ("statement_timeout", &["'31s'", "'17s'", "'0'"]),
    ("work_mem", &["'4MB'", "'5MB'", "'7MB'"]),
    ("application_name", &["'first'", "'z'", "''"]),
    ("app.tenant", &["'one'", "'seven'", "''"]),
    ("app.user", &["'two'", "'three'"]),
    ("default_transaction_isolation", &["'read committed'", "'repeatable read'", "'serializable'"]),
    ("default_transaction_read_only", &["'on'", "'off'"]),
    ("standard_conforming_strings", &["'on'", "'off'"]),
    ("client_encoding", &["'UTF8'", "'LATIN1'"]),
    ("log_statement", &["'none'", "'ddl'"]),
    ("lock_timeout", &["'3s'", "'4s'"]),
];

/// Statements as they are.
const OTHERS: &[&str] = &[
    "set role guest",
    "set local role guest",
    "set role none",
    "reset role",
    "set session authorization guest",
    "set local session authorization guest",
    "set session authorization default",
    "reset session authorization",
    "set session characteristics as transaction isolation level serializable",
    "set session characteristics as transaction isolation level read committed, read only",
    "set session characteristics as transaction read write, deferrable",
    "set transaction isolation level repeatable read",
    "set transaction isolation level serializable, read only",
    "set time zone interval '-08:00' hour to minute",
    "set time zone default",
    "set names default",
    "discard temp",
    "discard plans",
    "discard sequences",
    "select 1/0",
    "selec 1",
    "select 1",
    "select scoped()",
    "select local_zone()",
    "call zone()",
    "do $$ begin perform set_config('datestyle', 'SQL, MDY', false); end $$",
    "do $$ begin perform set_config('app.tenant', 'done', false); end $$",
    "do $$ begin perform set_config('lock_timeout', '9s', true); perform 1/0; end $$",
];

const CONTROL: &[&str] = &[
    "begin",
    "begin",
    "begin isolation level serializable",
    "begin read write, not deferrable",
    "savepoint s",
    "savepoint s",
    "savepoint t",
    "release s",
    "rollback to s",
    "rollback to s",
    "rollback to t",
    "commit",
    "commit",
    "rollback",
    "commit and chain",
    "rollback and chain",
];

/// A sequence of statements of so many clients.
pub fn steps(clients: usize) -> impl Strategy<Value = Vec<Step>> {
    let step = (0..clients, statement(), any::<bool>());
    let step = step.prop_map(|(client, sql, extended)| Step { client, sql, extended });
    prop::collection::vec(step, 1..24)
}

fn statement() -> impl Strategy<Value = String> {
    prop_oneof![
        10 => setting(),
        7 => select(CONTROL).prop_map(str::to_owned),
        4 => select(OTHERS).prop_map(str::to_owned),
        1 => Just("reset all".to_owned()),
        1 => Just("discard all".to_owned()),
        2 => several(),
    ]
}

/// A statement about one setting.
fn setting() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => given(|name, value| format!("set {name} = {value}")),
        2 => given(|name, value| format!("set local {name} = {value}")),
        1 => given(|name, value| format!("select set_config('{name}', {value}, false)")),
        1 => given(|name, value| format!("select set_config('{name}', {value}, true)")),
        2 => given(|name, _| format!("reset {name}")),
        1 => given(|name, _| format!("set {name} to default")),
        1 => given(|name, _| format!("set local {name} to default")),
        // What it returns is the server's value.
        1 => given(|name, _| format!("select set_config('{name}', null, false) is null")),
    ]
}

/// Several statements in one string, or pipeline. What a RESET among them comes to is seen only when the string has ended, so nothing
/// of it is asked in between.
fn several() -> impl Strategy<Value = String> {
    prop_oneof![
        (setting(), setting()).prop_map(|(a, b)| {
            // RESET before SET LOCAL in one string is a limit, in a transaction that goes on.
            let local = b.starts_with("set local") || b.ends_with("true)");
            if local { format!("{b}; {a}") } else { format!("{a}; {b}") }
        }),
        setting().prop_map(|a| format!("begin; {a}")),
        setting().prop_map(|a| format!("begin; {a}; commit")),
        setting().prop_map(|a| format!("{a}; select 1/0")),
    ]
}

fn given(make: impl Fn(&str, &str) -> String) -> impl Strategy<Value = String> {
    let values = |(name, values): (&'static str, &'static [&'static str])| (Just(name), select(values));
    select(SETTINGS).prop_flat_map(values).prop_map(move |(name, value)| make(name, value))
}
