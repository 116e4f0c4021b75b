//! `tidegate run`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use super::inherited::Inherited;
use super::notify::Notifier;
use super::pulse::Pulse;
use super::reload::Reloader;
use super::running::Running;
use super::signals::{Asked, Signals};
use super::takeover::Summons;
use super::upgrade::{Refusal, Successor, upgrade};
use super::{logging, orders, refuse};
use crate::cluster::{State, Survey};
use crate::config::{Settings, Sources};
use crate::net::system;
use crate::session::{Encryption, Orders, Proxy};
use crate::topology;

/// How often systemd is told what the proxy does, if it has changed.
const STATUS: Duration = Duration::from_secs(5);

/// Runs the proxy until it is told to stop.
pub fn run(settings: &Settings, sources: &Sources) -> ExitCode {
    let filter = match logging::set_up(&settings.log, settings.log_format) {
        Ok(filter) => filter,
        Err(text) => return refuse(&text),
    };
    if let Err(error) = system::raise_file_limit() {
        tracing::warn!(%error, "the number of files that may be open cannot be raised");
    }
    let reloader = Reloader::new(sources.clone(), settings.clone(), filter);
    for warning in settings.warnings.iter().chain(&sources.exposed()) {
        tracing::warn!("{warning}");
    }
    let inherited = match Summons::from_environment() {
        Ok(Some((summons, inherited))) => Ok((inherited, Some(summons))),
        Ok(None) => Inherited::from_environment().map(|inherited| (inherited, None)),
        Err(text) => Err(text),
    };
    let (inherited, summons) = match inherited {
        Ok(inherited) => inherited,
        Err(text) => return refuse(&text),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime {
        Ok(runtime) => runtime.block_on(serve(reloader, inherited, summons)),
        Err(error) => refuse(&error),
    }
}

async fn serve(mut reloader: Reloader, inherited: Inherited, summons: Option<Summons>) -> ExitCode {
    let mut signals = match Signals::listen() {
        Ok(signals) => signals,
        Err(error) => return refuse(&format!("cannot listen for signals: {error}")),
    };
    let started = tokio::select! {
        started = start(&mut reloader, inherited, summons) => started,
        () = signals.stop() => return ExitCode::SUCCESS,
    };
    let running = match started {
        Ok(running) => running,
        Err(text) => return refuse(&text),
    };
    live(running, &mut reloader, &mut signals).await;
    ExitCode::SUCCESS
}

async fn start(
    reloader: &mut Reloader,
    inherited: Inherited,
    summons: Option<Summons>,
) -> Result<Running, String> {
    // Before the servers are asked, which may take a while.
    let encryption = Encryption::read(&reloader.settings.tls).map_err(|unreadable| unreadable.to_string())?;
    for concern in encryption.concerns() {
        tracing::warn!("{concern}");
    }
    let mut former = summons.map(Summons::answer).transpose()?;
    let abandoned = async {
        match &mut former {
            Some(former) => former.abandons().await,
            None => std::future::pending().await,
        }
    };
    let found = tokio::select! {
        found = look(&reloader.settings) => found,
        why = abandoned => return Err(why),
    };
    let settings = found?;
    let pid = former.as_ref().map(|former| former.pid);
    let running = Running::start_with(&settings, inherited, former).await?;
    reloader.follow(&running.proxy, &settings);
    for address in &running.listen {
        println!("listening on {address}");
    }
    if let Some(address) = running.admin {
        println!("admin on {address}");
    }
    if let Some(pid) = pid {
        println!("process {} has taken the place of {pid}", std::process::id());
    }
    Ok(running)
}

/// Looks at every node. Returns the settings with the nodes there are; the error says what keeps the proxy from starting.
async fn look(settings: &Settings) -> Result<Settings, String> {
    let settings = topology::located(settings, |_| None).await?;
    let mut faults = Vec::new();
    for database in &settings.databases {
        let survey = Survey::take_patiently(database).await;
        let found = survey.faults(database);
        let missing = survey.findings.iter().filter(|_| found.is_empty());
        for concern in survey.concerns(database) {
            tracing::info!("{concern}");
        }
        for (node, error) in missing.filter_map(|f| Some((&f.node, f.trouble(database)?))) {
            tracing::warn!(%node, %error, "starting without this node, it joins when it answers");
        }
        for oddity in survey.oddities(database) {
            tracing::warn!("{oddity}");
        }
        faults.extend(found);
    }
    if faults.is_empty() { Ok(settings) } else { Err(faults.join("\ntidegate: ")) }
}

/// Serves until it is told to stop, or another process has taken its place and no client is left.
async fn live(mut running: Running, reloader: &mut Reloader, signals: &mut Signals) {
    let notifier = Arc::new(Notifier::from_environment());
    notifier.ready(&status(&running.proxy));
    let (proxy, pulse) = (Arc::clone(&running.proxy), Arc::clone(&running.pulse));
    let telling = tokio::spawn(tell(Arc::clone(&notifier), proxy, pulse));
    let mut orders = running.proxy.controls.take();
    let is_hurried = loop {
        let (asked, order) = tokio::select! {
            asked = signals.next() => (asked, None),
            order = orders::next(&mut orders) => (Asked::from(&order.control), Some(order)),
        };
        let mut reply = Ok(Vec::new());
        let stop = match asked {
            Asked::Stop => Some(false),
            Asked::StopNow => Some(true),
            Asked::Reload => {
                notifier.reloading();
                reply = tokio::select! {
                    reply = orders::reload(reloader, &running.proxy) => reply,
                    () = signals.stop() => break false,
                };
                running.follow(&reloader.settings);
                notifier.reloaded(&status(&running.proxy));
                None
            }
            Asked::Set => {
                reply = tokio::select! {
                    reply = orders::set(reloader, &running.proxy, order.as_ref()) => reply,
                    () = signals.stop() => break false,
                };
                running.follow(&reloader.settings);
                None
            }
            Asked::Upgrade => match upgrade(&running, signals).await {
                Ok(successor) => {
                    telling.abort();
                    notifier.succeeded_by(successor.pid);
                    let limit = reloader.settings.upgrade_timeout;
                    let is_hurried =
                        serve_the_rest(&mut running, successor, limit, signals, &mut orders).await;
                    return stop(running, is_hurried, signals, &mut orders).await;
                }
                Err(Refusal::Failed(text)) => {
                    tracing::error!("no new process takes the place of this one, which goes on: {text}");
                    None
                }
                Err(Refusal::Stop) => Some(false),
            },
        };
        if let Some(order) = order {
            order.reply(reply);
        }
        if let Some(is_hurried) = stop {
            break is_hurried;
        }
    };
    telling.abort();
    tracing::info!("stopping");
    notifier.stopping("waiting for clients to finish their transactions");
    stop(running, is_hurried, signals, &mut orders).await;
}

/// Stops: at once, or when clients are ready, unless somebody is in a hurry meanwhile.
async fn stop(running: Running, is_hurried: bool, signals: &mut Signals, orders: &mut Option<Orders>) {
    let hurry = async {
        if !is_hurried {
            orders::hurry(signals, orders).await;
        }
    };
    running.stop_unless(hurry).await;
}

/// Another process accepts the clients. Those that are here are served until they leave, within limits. Returns whether the rest
/// is to end at once.
async fn serve_the_rest(
    running: &mut Running,
    successor: Successor,
    limit: Duration,
    signals: &mut Signals,
    orders: &mut Option<Orders>,
) -> bool {
    running.hand_over();
    let (pid, clients) = (successor.pid, running.proxy.door.present());
    tracing::info!(
        pid,
        clients,
        "a new process has taken the place of this one, which serves those that are here for at most {limit:?}"
    );
    tokio::spawn(successor.attend(Arc::clone(&running.proxy)));
    let is_hurried = tokio::select! {
        () = running.empty() => false,
        () = tokio::time::sleep(limit) => false,
        () = signals.stop() => false,
        is_hurried = orders::stop(orders, "a new process has taken the place of this one: connect again") => is_hurried,
    };
    tracing::info!("stopping");
    is_hurried
}

/// Tells systemd that the process lives, all threads of it, and what it does.
async fn tell(notifier: Arc<Notifier>, proxy: Arc<Proxy>, pulse: Arc<Pulse>) {
    if !notifier.is_heard() {
        return;
    }
    // Often enough that one answer may be late.
    let watchdog = notifier.watchdog().map(|limit| limit / 4);
    let mut beats = tokio::time::interval(watchdog.unwrap_or(STATUS).min(STATUS));
    let mut told = String::new();
    let mut silent_before = Vec::new();
    loop {
        beats.tick().await;
        if watchdog.is_some() {
            let silent = pulse.silent();
            if silent.is_empty() {
                notifier.alive();
            } else if silent != silent_before {
                tracing::warn!(workers = ?silent, "workers do not answer, systemd is not told that the process lives");
            }
            silent_before = silent;
        }
        let status = status(&proxy);
        if status != told {
            notifier.status(&status);
            told = status;
        }
    }
}

/// What the proxy does, in a line.
fn status(proxy: &Proxy) -> String {
    let all = proxy.databases();
    let mut databases: Vec<_> = all.iter().collect();
    databases.sort_by_key(|(name, _)| *name);
    let about = databases.into_iter().map(|(name, database)| {
        let cluster = &database.cluster;
        let primary = cluster.primary().map_or_else(|| "no primary".to_owned(), |node| node.name.clone());
        let replicas = cluster.nodes().iter().filter(|node| node.state() == State::Replica).count();
        let clients = database.clients();
        format!("{name}: {clients} clients, primary {primary}, {replicas} replicas")
    });
    about.collect::<Vec<_>>().join("; ")
}
