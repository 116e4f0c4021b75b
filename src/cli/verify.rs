//! `tidegate verify`: reads and writes through a running proxy, and a check of every answer.
//!
//! Owns the order in which the parts come and go. Whatever was made in the database or done to replicas is gone before
//! the report is printed, however the run ends.

mod actor;
pub mod args;
mod book;
mod errand;
mod faults;
mod histogram;
mod link;
mod plan;
mod report;
mod route;
mod stage;
mod tally;
mod trouble;
mod workload;

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::interrupt::Interrupt;
use super::refuse;
use actor::Scene;
use args::VerifyArgs;
use book::Book;
use errand::Errands;
use faults::{Done, Faults};
use plan::Plan;
use report::Outcome;
use workload::Workload;

/// What is said when it is told to end too soon.
const EARLY: &str = "stopped before it had started";

/// Verifies. The exit code is 0 when no violation was found, 1 when one was, when statements failed without a fault, or
/// when nothing could be told, 2 for a mistake in the arguments.
pub fn verify(args: &VerifyArgs) -> ExitCode {
    let plan = match Plan::new(args) {
        Ok(plan) => plan,
        Err(mistakes) => return refuse(&mistakes.join("\ntidegate: ")),
    };
    // One thread: waiting is most of what is done here, and this way little is left of the machine's time to be missed.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(from_beginning_to_end(&plan)),
        Err(error) => refuse(&error),
    }
}

async fn from_beginning_to_end(plan: &Plan) -> ExitCode {
    let mut interrupt = match Interrupt::listen() {
        Ok(interrupt) => interrupt,
        Err(error) => return refuse(&format!("cannot listen for signals: {error}")),
    };
    let entered = tokio::select! {
        entered = stage::enter(plan) => entered,
        () = interrupt.heard() => Err(EARLY.to_owned()),
    };
    let clients = match entered {
        Ok(clients) => clients,
        Err(text) => return given_up(&text),
    };
    let tables = stage::tables(plan);
    let set_up = tokio::select! {
        set_up = stage::set_up(plan, &tables, &clients) => set_up,
        () = interrupt.heard() => Err(EARLY.to_owned()),
    };
    // What was begun on these connections is over when they are.
    drop(clients);
    let skills = match set_up {
        Ok(skills) => skills,
        Err(text) => {
            // The schema may be there all the same, if its answer was not waited for.
            let left = stage::clear(plan, &tables).await.err();
            return given_up(&[Some(text), left].into_iter().flatten().collect::<Vec<_>>().join("; "));
        }
    };
    let scene = Arc::new(Scene {
        errands: Errands::new(&skills.paths, plan.actors, plan.links()),
        tells_routes: skills.tells_routes,
        book: Book::new(plan),
        tables: tables.clone(),
        plan: plan.clone(),
    });
    for note in &skills.notes {
        eprintln!("tidegate: {note}");
    }
    let faults = play(&scene, &mut interrupt).await;
    let time = scene.book.elapsed();
    let left = stage::clear(plan, &tables).await.err();
    let tally = scene.book.tally();
    let outcome =
        Outcome { plan, tally: &tally, time, notes: &skills.notes, faults: &faults, left: left.as_deref() };
    print(&outcome.text());
    if outcome.verdict().is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Actors at work, and faults, until it is time to end.
async fn play(scene: &Arc<Scene>, interrupt: &mut Interrupt) -> Done {
    let faults = Faults::start(&scene.plan).await;
    let workload = Workload::start(scene);
    let is_watched = io::stdout().is_terminal();
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let end = tokio::time::sleep(scene.plan.time);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            () = interrupt.heard() => break,
            _ = seconds.tick() => {}
        }
        if is_watched {
            print(&format!("\r{}\x1b[K", report::progress(&scene.book.tally(), scene.book.elapsed())));
        }
    }
    if is_watched {
        print("\r\x1b[K");
    }
    workload.stop().await;
    faults.stop().await
}

/// Nothing was verified.
fn given_up(text: &str) -> ExitCode {
    eprintln!("tidegate: {text}");
    ExitCode::FAILURE
}

/// Whoever read this may be gone; what is to be cleaned up is cleaned up all the same.
fn print(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
