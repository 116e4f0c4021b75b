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

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use kind::Kind;
use record::Record;
use regress::Regress;
use stage::Stage;

/// Where everything is, and what has been found.
struct Places {
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
    let (suite, bin) = (Path::new(&home).join("regress"), Path::new(&home).join("install/bin"));
    let tests: Vec<String> = words(&setting("TIDEGATE_ORACLE_TESTS"));
    let (mut records, mut preface) = (Vec::new(), String::new());
    for corpus in words(&setting("TIDEGATE_ORACLE_CORPUS")) {
        if corpus == "regress" {
            let suite = Regress { suite: &suite, bin: &bin, tests: &tests };
            records.extend(on_stage(&bin, |stage, address| {
                preface += &summary(&suite.run(&stage.cluster, address));
            }));
            continue;
        }
        for file in corpus::files(&corpus) {
            records.extend(on_stage(&bin, |_, address| corpus::run(&file, &bin, address)));
        }
    }
    println!("{}", report::write(&records, &preface));
    let misses = records.iter().filter(|record| record.is_miss()).count();
    assert_eq!(misses, 0, "statements that need the primary would have gone to a replica");
    // Some statements Tidegate answers itself, and says nothing of them.
    let unheard = records.iter().filter(|record| record.word.is_none() && record.kind == Kind::Read).count();
    assert_eq!(unheard, 0, "reads that Tidegate has said nothing about");
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Has `play` send statements to the address it is given, and returns what became of them.
fn on_stage(bin: &Path, play: impl FnOnce(&Stage, SocketAddr)) -> Vec<Record> {
    let stage = Stage::set(bin);
    let places = Arc::new(stage.places());
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
    format!("{passed} tests as without a proxy, {} otherwise: {}\n\n", failed.len(), failed.join(" "))
}
