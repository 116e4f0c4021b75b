//! A standby as the oracle for the classifier: `make oracle`, explained in `docs/oracle.md`.
//!
//! Every statement of PostgreSQL's regression suite goes through Tidegate to the primary, and Tidegate says what it would
//! have done with it. Each statement that succeeds is tried on a standby that has replayed it. What the standby refuses,
//! or answers otherwise, Tidegate must want on the primary.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod answer;
mod corpus;
mod kind;
mod peer;
mod record;
mod regress;
mod report;
mod session;
mod settle;
mod stage;
mod standby;
mod tide;
mod trial;
mod word;

use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use kind::Kind;
use record::{Outcome, Record};
use regress::Home;
use stage::Stage;

/// Where everything is, and what has been found.
struct Places {
    /// What is being run.
    corpus: String,
    tidegate: SocketAddr,
    primary: SocketAddr,
    standby: SocketAddr,
    records: Mutex<Vec<Record>>,
}

#[test]
#[ignore = "takes minutes and PostgreSQL's regression suite: run `make oracle`"]
fn nothing_that_needs_the_primary_goes_to_a_replica() {
    let setting = |name| std::env::var(name).unwrap_or_default();
    let home = setting("TIDEGATE_ORACLE_POSTGRES");
    assert!(!home.is_empty(), "run `make oracle`: scripts/oracle.sh says where PostgreSQL is");
    let home = Home::new(&home);
    report::begin();
    let (mut records, mut preface) = (Vec::new(), String::new());
    for corpus in words(&setting("TIDEGATE_ORACLE_CORPUS")) {
        let suites = match corpus.as_str() {
            "regress" => vec![home.regress(&words(&setting("TIDEGATE_ORACLE_TESTS")))],
            "contrib" => home.contrib(),
            _ => {
                records.extend(files(&home, &corpus));
                continue;
            }
        };
        let mut told = String::new();
        for suite in &suites {
            records.extend(on_stage(&home, &corpus, |stage, address| {
                told += &home.run(suite, &stage.cluster, address);
            }));
        }
        let _ = writeln!(preface, "{corpus}: {}", summary(&told));
    }
    println!("{}", report::write(&records, &preface));
    judge(&records);
}

fn files(home: &Home, corpus: &str) -> Vec<Record> {
    let files = corpus::files(corpus);
    let run = |file| on_stage(home, corpus, |_, address| corpus::run(file, &home.bin(), address));
    files.iter().flat_map(|file| run(file)).collect()
}

fn judge(records: &[Record]) {
    let count = |is: &dyn Fn(&Record) -> bool| records.iter().filter(|record| is(record)).count();
    // Some statements Tidegate answers itself, and says nothing of them.
    let unheard = count(&|record| record.word.is_none() && record.kind == Kind::Read);
    assert_eq!(unheard, 0, "reads that Tidegate has said nothing about");
    let same = count(&|record| record.outcome == Outcome::Same);
    let lost = count(&|record| matches!(record.outcome, Outcome::NotComparable(_)));
    assert!(same > 0 && lost * 100 <= same, "too little could be compared to tell anything");
    assert_eq!(count(&Record::is_miss), 0, "statements that need the primary would have gone to a replica");
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Has `play` send statements to the address it is given, and returns what became of them.
fn on_stage(home: &Home, corpus: &str, play: impl FnOnce(&Stage, SocketAddr)) -> Vec<Record> {
    let stage = Stage::set(&home.bin());
    let places = Arc::new(stage.places(corpus));
    let address = listen(&places).unwrap();
    play(&stage, address);
    std::mem::take(&mut *places.records.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Serves clients in the background for as long as the process lives.
fn listen(places: &Arc<Places>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let places = Arc::clone(places);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let places = Arc::clone(&places);
            // Clients come and go as they like.
            thread::spawn(move || session::serve(client, &places));
        }
    });
    Ok(address)
}

/// How the tests themselves did. Not what is measured, but tests that break early leave statements untried.
fn summary(told: &str) -> String {
    let passed = told.matches("... ok").count();
    let failed: Vec<&str> = told
        .lines()
        .filter(|line| line.contains("... FAILED"))
        .filter_map(|line| line.trim_start_matches("test").split_whitespace().next())
        .collect();
    format!("{passed} tests as without a proxy, {} otherwise: {}", failed.len(), failed.join(" "))
}
