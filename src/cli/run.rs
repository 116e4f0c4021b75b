//! `tidegate run`.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::orders::{Stop, until_stopped};
use super::running::Running;
use super::{logging, refuse};
use crate::cluster::Survey;
use crate::config::Settings;

/// Runs the proxy until it is told to stop.
pub fn run(settings: &Settings) -> ExitCode {
    if let Err(text) = logging::set_up(&settings.log) {
        return refuse(&text);
    }
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(settings)),
        Err(error) => refuse(&error),
    }
}

async fn serve(settings: &Settings) -> ExitCode {
    let mut faults = Vec::new();
    for database in &settings.databases {
        let survey = Survey::take_patiently(database).await;
        let found = survey.faults(database);
        let missing = survey.findings.iter().filter(|_| found.is_empty());
        for (node, error) in missing.filter_map(|f| Some((&f.node, f.answer.as_ref().err()?))) {
            tracing::warn!(%node, %error, "starting without this node, it joins when it answers");
        }
        faults.extend(found);
    }
    if !faults.is_empty() {
        return refuse(&faults.join("\ntidegate: "));
    }
    let running = match Running::start(settings).await {
        Ok(running) => running,
        Err(text) => return refuse(&text),
    };
    for address in &running.listen {
        println!("listening on {address}");
    }
    if let Some(address) = running.admin {
        println!("admin on {address}");
    }
    let stop = until_stopped(&running.proxy).await;
    tracing::info!(?stop, "stopping");
    match stop {
        Stop::Gently => running.stop().await,
        Stop::AtOnce => running.stop_now().await,
    }
    ExitCode::SUCCESS
}

/// Waits for SIGTERM or SIGINT.
pub(super) async fn wait_for_signal() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}
