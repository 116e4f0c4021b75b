//! The table of [`super::cases`], held against a real database.

use std::fmt::Write;

use tidegate::local::Login;
use tidegate::sql::catalog::SearchPath;

use super::cases::CASES;
use super::{Watched, ask, support, words};

/// Objects and what is to be known of them.
pub struct Case {
    /// Its schema, in which it makes its objects.
    pub name: &'static str,
    /// Makes the objects.
    pub ddl: &'static str,
    /// Questions (see [`ask`]) and answers (see [`words`]). A question may begin with a search path: `[a,b] call f/1`.
    pub asks: &'static [(&'static str, &'static str)],
}

#[test]
fn says_what_the_table_says() {
    let cluster = support::cluster();
    let mut ddl = String::from("set client_min_messages = warning;\n");
    for Case { name, ddl: own, .. } in CASES {
        write!(ddl, "create schema {name};\nset search_path = {name};\n{own};\n").unwrap();
    }
    cluster.primary().psql(&ddl).unwrap();
    let watched = Watched::new(cluster, Login::App);
    let snapshot = watched.fresh();
    let mut wrong = Vec::new();
    for Case { name, asks, .. } in CASES {
        for (question, expected) in *asks {
            let (path, plain) = match question.strip_prefix('[').and_then(|rest| rest.split_once("] ")) {
                Some(("*", plain)) => (SearchPath::Any, plain),
                Some((path, plain)) => (SearchPath::parse(path, "app"), plain),
                None => (SearchPath::parse(name, "app"), *question),
            };
            let answer = words(&snapshot, &ask(&snapshot, &path, plain), name);
            if answer != *expected {
                wrong.push(format!("{name}: {question}\n  wanted {expected}\n  got    {answer}"));
            }
        }
    }
    watched.stop();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
