//! Plays scenarios one after the other and says what came of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use tokio::runtime::{Handle, Runtime};

use super::aftermath::{self, Aftermath};
use super::args::Args;
use super::load::Load;
use super::progress::KINDS;
use super::report::{self, Outcome, Played};
use super::rig::{NODES, Rig};
use super::scene::{Play, Scenario, Scene};
use super::stage::Stage;
use super::support;

/// How often each client has been served before harm is done.
const WARM: usize = 30;
/// How much of the proxy's log is shown of a scenario that failed, in lines.
const LOG_SHOWN: usize = 60;

pub fn run(scenarios: &[&Scenario], args: &Args) -> ExitCode {
    let runtime = Runtime::new().unwrap();
    let mut house = House { runtime: runtime.handle().clone(), rig: None, round: 0 };
    let begun = Instant::now();
    let mut rows = Vec::new();
    for scenario in scenarios {
        let since = Instant::now();
        println!("{}: {}", scenario.name, scenario.what);
        let outcome = house.play(scenario, args);
        match &outcome {
            Outcome::Skipped(why) => println!("  skipped: {why}"),
            Outcome::Broken(why) => println!("  BROKEN: {why}"),
            Outcome::Played(played) => {
                played.complaints.iter().for_each(|complaint| println!("  FAILED: {complaint}"));
                println!("  {:.1} s", since.elapsed().as_secs_f64());
            }
        }
        rows.push((*scenario, outcome));
    }
    drop(house);
    runtime.shutdown_timeout(Duration::from_secs(1));
    if rows.is_empty() {
        return ExitCode::SUCCESS;
    }
    let table = report::table(&rows);
    println!(
        "\n{table}\n{} scenarios in {:.0} s, seed {}",
        rows.len(),
        begun.elapsed().as_secs_f64(),
        args.seed
    );
    if let Some(page) = &args.page {
        report::write(page, &format!("{}\n\n{table}", conditions(args))).unwrap();
    }
    let failed: Vec<_> = rows.iter().filter(|(_, o)| o.is_failure()).map(|(s, _)| s.name).collect();
    if failed.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("failed: {}", failed.join(", "));
    // Once more where they are found first.
    for (scenario, outcome) in &rows {
        outcome.complaints().iter().for_each(|complaint| println!("  {}: {complaint}", scenario.name));
    }
    ExitCode::FAILURE
}

/// What the figures depend on.
fn conditions(args: &Args) -> String {
    let asked = Command::new(support::pg_bin().program("postgres")).arg("--version").output().unwrap();
    let version = String::from_utf8_lossy(&asked.stdout);
    let version = version.split_whitespace().nth(2).unwrap_or("?");
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!(
        "PostgreSQL {version}, {cores} cores for everything, debug build; faults of {} s or more, seed {}.",
        args.hold.as_secs(),
        args.seed
    )
}

/// Keeps a stage for the next scenario as long as it is as it was.
struct House {
    runtime: Handle,
    rig: Option<Rig>,
    /// Loads so far.
    round: usize,
}

impl House {
    fn play(&mut self, scenario: &Scenario, args: &Args) -> Outcome {
        let runtime = self.runtime.clone();
        self.round += 1;
        let round = self.round;
        let rig = self.rig.take().unwrap_or_else(|| Rig::build(&runtime));
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let outcome = match scenario.play {
                Play::Streaming(play) => {
                    warmed(&rig);
                    perform(scenario, &rig, args, &runtime, round, |scene| play(scene, &rig))
                }
            };
            if outcome.is_failure() {
                show_log(&rig);
            }
            outcome
        }));
        let outcome = outcome.unwrap_or_else(|panic| {
            show_log(&rig);
            let said = panic.downcast_ref::<String>().map(String::as_str);
            let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
            Outcome::Broken(said.to_owned())
        });
        if !outcome.is_failure() {
            self.rig = Some(rig);
        }
        outcome
    }
}

fn show_log(rig: &Rig) {
    let Some(log) = rig.log() else { return };
    let lines: Vec<_> = log.lines().collect();
    println!("  the proxy's log:");
    lines[lines.len().saturating_sub(LOG_SHOWN)..].iter().for_each(|line| println!("    {line}"));
}

/// Waits until the proxy sees every node in its role.
fn warmed(rig: &Rig) {
    for index in NODES {
        let role = if index == rig.reigning() { "primary" } else { "replica" };
        support::wait_until("the proxy sees every node in its role", || rig.is_seen_as(index, role));
    }
}

fn perform(
    scenario: &Scenario,
    stage: &dyn Stage,
    args: &Args,
    runtime: &Handle,
    round: usize,
    play: impl FnOnce(&Scene<'_>),
) -> Outcome {
    let load = Load::start(runtime, stage.url(), args.seed, round);
    support::wait_until("every client was served", || {
        KINDS.iter().all(|kind| load.of(*kind).all(|client| client.successes() >= WARM))
    });
    let pid = stage.proxy().pid();
    let before = aftermath::memory(pid);
    let scene = Scene::new(&load, args.hold, scenario.limit);
    play(&scene);
    let end = Instant::now();
    let stopped = load.stop();
    if let Some(why) = scene.skipped() {
        return Outcome::Skipped(why);
    }
    let Aftermath { connections, complaints } = aftermath::look(stage, &load, runtime);
    let clients = KINDS.map(|kind| load.summary(kind, end));
    let mut all = scene.complaints();
    all.extend(complaints);
    if !stopped {
        all.push("a client is still at work, and cannot be stopped".to_owned());
    }
    all.extend(too_many(&load, scenario));
    let after = aftermath::memory(stage.proxy().pid());
    // A proxy that was restarted has a level of its own.
    let before = if stage.proxy().pid() == pid { before } else { after };
    all.extend(aftermath::grown(before, after));
    Outcome::Played(Box::new(Played {
        back: scene.back(),
        clients,
        writes: load.tally(),
        connections,
        memory: [before, after],
        complaints: judge(scenario, all),
    }))
}

/// Clients who were told of too many errors.
fn too_many(load: &Load, scenario: &Scenario) -> Vec<String> {
    let clients = KINDS.into_iter().flat_map(|kind| load.of(kind));
    let judged = clients.filter_map(|client| {
        let (kind, way, told) = (client.kind, client.way, client.told());
        let may = scenario.errors[kind.index()];
        (!may.allow(way.is_block(), &told))
            .then(|| format!("{} ({way:?}): a client was told of {told:?}; allowed: {may:?}", kind.name()))
    });
    judged.collect()
}

/// Whether the checks have found what they must.
fn judge(scenario: &Scenario, complaints: Vec<String>) -> Vec<String> {
    match scenario.must_find {
        None => complaints,
        Some(part) if complaints.iter().any(|complaint| complaint.contains(part)) => Vec::new(),
        Some(part) => vec![format!("the checks must find \"{part}\", and found {complaints:?}")],
    }
}
