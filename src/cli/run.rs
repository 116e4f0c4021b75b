//! `tidegate run`.

use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use super::orders::{Stop, until_stopped};
use super::reload::Reloader;
use super::running::Running;
use super::{logging, refuse};
use crate::cluster::Survey;
use crate::config::{Settings, Sources};
use crate::topology;

/// Runs the proxy until it is told to stop.
pub fn run(settings: &Settings, sources: &Sources) -> ExitCode {
    let filter = match logging::set_up(&settings.log) {
        Ok(filter) => filter,
        Err(text) => return refuse(&text),
    };
    let reloader = Reloader::new(sources.clone(), settings.clone(), filter);
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(reloader)),
        Err(error) => refuse(&error),
    }
}

async fn serve(mut reloader: Reloader) -> ExitCode {
    let settings = match topology::located(&reloader.settings, |_| None).await {
        Ok(settings) => settings,
        Err(text) => return refuse(&text),
    };
    let mut faults = Vec::new();
    for database in &settings.databases {
        let survey = Survey::take_patiently(database).await;
        let found = survey.faults(database);
        let missing = survey.findings.iter().filter(|_| found.is_empty());
        for (node, error) in missing.filter_map(|f| Some((&f.node, f.answer.as_ref().err()?))) {
            tracing::warn!(%node, %error, "starting without this node, it joins when it answers");
        }
        for oddity in survey.oddities(database) {
            tracing::warn!("{oddity}");
        }
        faults.extend(found);
    }
    if !faults.is_empty() {
        return refuse(&faults.join("\ntidegate: "));
    }
    let running = match Running::start(&settings).await {
        Ok(running) => running,
        Err(text) => return refuse(&text),
    };
    reloader.follow(&running.proxy, &settings);
    for address in &running.listen {
        println!("listening on {address}");
    }
    if let Some(address) = running.admin {
        println!("admin on {address}");
    }
    let stop = until_stopped(&mut reloader, &running).await;
    tracing::info!(?stop, "stopping");
    match stop {
        Stop::Gently => running.stop(reloader.settings.shutdown_timeout).await,
        Stop::AtOnce => running.stop_now(reloader.settings.shutdown_timeout).await,
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
