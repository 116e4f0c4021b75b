//! A standby as the oracle for the classifier: `make oracle`, explained in `docs/oracle.md`.
//!
//! Every statement of PostgreSQL's regression suite goes through Tidegate to the primary, and Tidegate says what it would
//! have done with it. Each statement that succeeds is tried on a standby that has replayed it. What the standby refuses,
//! or answers otherwise, Tidegate must want on the primary.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../support/mod.rs"]
mod support;

mod answer;
mod corpus;
mod kind;
mod peer;
mod record;
mod relay;
mod report;
mod session;
mod settle;
mod stage;
mod standby;
mod tide;
mod touched;
mod touching;
mod trial;
mod word;

use std::fmt::Write;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use tidegate::local::{LocalCluster, Login};

use kind::Kind;
use record::{Outcome, Record};
use stage::Stage;
use support::regress::{self, Home};
use support::watched::Watched;
use touched::Touch;

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
#[ignore = "needs PostgreSQL's regression suite: run `make oracle`"]
fn what_is_wrong_is_found() {
    let records = files(&home(), "control");
    let misses: Vec<&str> =
        records.iter().filter(|record| record.is_miss()).map(|record| record.text.as_str()).collect();
    let mark = "/* tidegate: intent=replica */ ";
    let expected = ["select pg_is_in_recovery();", "select writes();", "select inet_server_port();"];
    assert_eq!(misses, expected.map(|text| format!("{mark}{text}")));
}

#[test]
#[ignore = "takes minutes and PostgreSQL's regression suite: run `make oracle`"]
fn nothing_that_needs_the_primary_goes_to_a_replica() {
    let home = home();
    report::begin();
    let (mut records, mut preface) = (Vec::new(), String::new());
    for corpus in words(&setting("TIDEGATE_ORACLE_CORPUS")) {
        let Some(suites) = home.suites(&corpus, &words(&setting("TIDEGATE_ORACLE_TESTS"))) else {
            records.extend(files(&home, &corpus));
            continue;
        };
        let mut told = String::new();
        for suite in &suites {
            records.extend(on_stage(&home, &corpus, |stage, address| {
                told += &home.run(suite, &stage.cluster, address, &report::folder().join("regression.diffs"));
            }));
        }
        let _ = writeln!(preface, "{corpus}: {}", summary(&told));
    }
    println!("{}", report::write(&records, &preface));
    judge(&records);
}

#[test]
#[ignore = "needs PostgreSQL's regression suite: run `make oracle`"]
fn tables_that_are_forgotten_are_found() {
    let home = home();
    let [file] = &corpus::files("forgetful")[..] else { panic!("one file") };
    let touches = touched_on_stage(&home, "forgetful", Some("public.forgotten"), |_, address| {
        corpus::run(file, &home.bin(), address);
    });
    let beyond = touches.iter().filter(|touch| touch.is_beyond()).map(|touch| touch.text.as_str());
    let expected = [
        "insert into forgotten values (1, 1), (2, 2);",
        "select * from over_forgotten;",
        "update forgotten set n = 3 where id = 1;",
        "truncate forgotten, child;",
        "select * from known where exists (select from forgotten);",
        "select 1 from forgotten where false;",
    ];
    assert_eq!(beyond.collect::<Vec<_>>(), expected);
}

#[test]
#[ignore = "takes minutes and PostgreSQL's regression suite: run `make oracle`"]
fn what_is_touched_is_within_what_is_said() {
    let home = home();
    let mut touches = Vec::new();
    for corpus in words(&setting("TIDEGATE_ORACLE_CORPUS")) {
        let suites = home.suites(&corpus, &words(&setting("TIDEGATE_ORACLE_TESTS")));
        for suite in suites.iter().flatten() {
            touches.extend(touched_on_stage(&home, &corpus, None, |cluster, address| {
                home.run(suite, cluster, address, &report::folder().join("regression.diffs"));
            }));
        }
        if suites.is_none() {
            for file in &corpus::files(&corpus) {
                touches.extend(touched_on_stage(&home, &corpus, None, |_, address| {
                    corpus::run(file, &home.bin(), address);
                }));
            }
        }
    }
    println!("{}", touched::write(&touches));
    let count = |is: &dyn Fn(&Touch) -> bool| touches.iter().filter(|touch| is(touch)).count();
    let (told, lost) = (count(&Touch::tells), count(&Touch::is_skipped));
    assert!(told > 0 && lost * 10 <= told, "too little could be asked about to tell anything");
    assert_eq!(count(&Touch::is_beyond), 0, "tables that nobody has spoken of");
}

/// Where PostgreSQL is.
fn home() -> Home {
    let home = setting("TIDEGATE_ORACLE_POSTGRES");
    assert!(!home.is_empty(), "run `make oracle`: scripts/oracle.sh says where PostgreSQL is");
    Home::new(&home)
}

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
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
    let shared = Arc::clone(&places);
    let address = listen(move |client| session::serve(client, &shared)).unwrap();
    play(&stage, address);
    std::mem::take(&mut *places.records.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Serves clients in the background for as long as the process lives.
fn listen(serve: impl Fn(TcpStream) -> io::Result<()> + Send + Sync + 'static) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = listener.local_addr()?;
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            // Clients come and go as they like.
            thread::spawn(move || serve(client));
        }
    });
    Ok(address)
}

/// Has `play` send statements to the address it is given, and returns what they have touched.
fn touched_on_stage(
    home: &Home,
    corpus: &str,
    forgotten: Option<&'static str>,
    play: impl FnOnce(&LocalCluster, SocketAddr),
) -> Vec<Touch> {
    let cluster = regress::cluster(&home.bin(), 0);
    let watched = Watched::in_database(&cluster, Login::Superuser, regress::DATABASE);
    let places = Arc::new(touched::Places {
        corpus: corpus.to_owned(),
        primary: SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.primary().port())),
        watched,
        forgotten,
        touches: Mutex::default(),
    });
    let shared = Arc::clone(&places);
    let address = listen(move |client| touching::serve(client, &shared)).unwrap();
    play(&cluster, address);
    places.take()
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
