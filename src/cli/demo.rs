//! `tidegate demo`: a primary, two replicas, the proxy and a workload on this machine, and a table of what goes where.
//!
//! Owns the order in which the parts come and go. The servers outlive everything that talks to them, and nothing is
//! left behind however this ends (see [`crate::local`]).

mod actor;
mod figures;
mod report;
mod screen;
mod stage;
mod tally;
mod workload;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;

use super::args::DemoArgs;
use super::interrupt::Interrupt;
use super::running::Running;
use super::{logging, refuse};
use crate::config::{ListenAddress, LogFormat};
use crate::local::LocalCluster;
use figures::Figures;
use report::View;
use screen::Screen;
use workload::Workload;

/// The proxy's tasks get this long to end.
const RUNTIME_END: Duration = Duration::from_secs(1);

/// Runs the demonstration. The exit code is 0 when nothing went wrong, 1 when a read was stale or anything failed,
/// 2 when it could not be started.
pub fn demo(args: &DemoArgs) -> ExitCode {
    let screen = Screen::of_stdout();
    // Warnings would tear the table: what they say about nodes is shown in it.
    if let Err(text) = logging::set_up(if screen.is_live() { "error" } else { "warn" }, LogFormat::Text) {
        return refuse(&text);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return refuse(&error),
    };
    let mut servers = None;
    let played = runtime.block_on(play(args, screen, &mut servers));
    // Whoever watches the servers ends before they do, and so reports nothing as lost.
    runtime.shutdown_timeout(RUNTIME_END);
    drop(servers);
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => refuse(&text),
    }
}

/// Whether all went well. The error says why it could not be started and what to do.
async fn play(
    args: &DemoArgs,
    mut screen: Screen,
    servers: &mut Option<LocalCluster>,
) -> Result<bool, String> {
    let mut interrupt = Interrupt::listen().map_err(|e| format!("cannot listen for signals: {e}"))?;
    let bin = stage::prepare(args)?;
    screen.say(&report::starting(&bin));
    let building = stage::build(bin, args);
    tokio::pin!(building);
    let built = tokio::select! {
        built = &mut building => built,
        () = interrupt.heard() => {
            // Programs that are running right now would outlive us: what was begun is finished, then removed.
            *servers = building.await.ok();
            return Ok(given_up());
        }
    };
    let cluster = servers.insert(built?);
    let settings = stage::settings(cluster, args)?;
    let running = Running::start(&settings).await?;
    tokio::select! {
        ready = stage::ready(&running) => ready?,
        () = interrupt.heard() => return Ok(given_up()),
    }
    let address = stage::reachable(running.listen.iter().find_map(ListenAddress::tcp).unwrap_or(args.listen));
    screen.say(&report::intro(address, running.admin, args));
    let workload = (!args.no_workload).then(|| Workload::start(address, args.clients));
    let all_well = watch(args, &running, workload, &mut screen, &mut interrupt).await;
    running.stop().await;
    Ok(all_well)
}

fn given_up() -> bool {
    eprintln!("tidegate: stopped before it had started; everything is removed");
    false
}

/// Shows the table once a second until it is time to end, then a last time with the verdict. True when all went well.
async fn watch(
    args: &DemoArgs,
    running: &Running,
    workload: Option<Workload>,
    screen: &mut Screen,
    interrupt: &mut Interrupt,
) -> bool {
    let begun = Instant::now();
    let end = args.seconds.map(|seconds| begun + Duration::from_secs(seconds));
    let tally = workload.as_ref().map(Workload::tally);
    let mut view = View::new(Figures::of(&running.proxy));
    let mut seconds = tokio::time::interval(Duration::from_secs(1));
    seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    seconds.tick().await;
    while end.is_none_or(|end| Instant::now() < end) {
        tokio::select! {
            _ = seconds.tick() => {}
            () = interrupt.heard() => break,
        }
        view.update(Figures::of(&running.proxy), begun.elapsed(), tally.as_deref());
        if screen.show(&view).is_err() {
            // Nobody reads any more.
            break;
        }
    }
    let played = begun.elapsed();
    if let Some(workload) = workload {
        workload.stop().await;
    }
    view.update(Figures::of(&running.proxy), played, tally.as_deref());
    let verdict = tally.map(|tally| tally.verdict());
    let all_well = verdict.as_ref().is_none_or(Result::is_ok);
    screen.finish(&view, verdict);
    all_well
}
