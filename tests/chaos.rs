//! The proof of availability: `make chaos`, explained in `docs/availability.md`, and the part of it that is short enough for
//! `make test`.
//!
//! Real servers, the real proxy, a network that can be broken, clients at work; and one fault after the other. After each:
//! what clients were told is true, nothing they read was stale, they were served again soon, and nothing has leaked.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

#[path = "chaos/aftermath.rs"]
mod aftermath;
#[path = "chaos/args.rs"]
mod args;
#[path = "chaos/client.rs"]
mod client;
#[path = "soak_drivers/dice.rs"]
mod dice;
#[path = "chaos/former.rs"]
mod former;
#[path = "chaos/ledger.rs"]
mod ledger;
#[path = "chaos/link.rs"]
mod link;
#[path = "chaos/load.rs"]
mod load;
#[path = "chaos/progress.rs"]
mod progress;
#[path = "chaos/report.rs"]
mod report;
#[path = "chaos/rig.rs"]
mod rig;
#[path = "chaos/run.rs"]
mod run;
#[path = "chaos/scenarios/mod.rs"]
mod scenarios;
#[path = "chaos/scene.rs"]
mod scene;
#[path = "chaos/stage.rs"]
mod stage;

use std::process::ExitCode;

use args::{Args, HELP, Task};

fn main() -> ExitCode {
    let args = match Args::parse(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    let scenarios = scenarios::all();
    let unknown = args.unknown(&scenarios);
    if !unknown.is_empty() {
        eprintln!("no such scenario: {}; --list says which there are", unknown.join(", "));
        return ExitCode::from(2);
    }
    match args.task {
        Task::Help => print!("{HELP}"),
        Task::List => scenarios.iter().for_each(|s| println!("{}: test", s.name)),
        Task::Run => {
            ledger::prove();
            let wanted: Vec<_> = scenarios.iter().filter(|scenario| args.wants(scenario)).collect();
            return run::run(&wanted, &args);
        }
    }
    ExitCode::SUCCESS
}
