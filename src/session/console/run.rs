//! Carrying out commands.

use std::sync::Arc;
use std::time::Duration;

use super::answer::{Answer, Refusal};
use super::cell::row;
use super::command::{Command, Foreign, NodeName};
use super::inventory::{chosen, database, nodes, pools};
use super::tables;
use crate::config::{Adjustment, NotAdjusted, Settings};
use crate::session::control::Control;
use crate::session::gate::{Gate, Passage};
use crate::session::proxy::{Database, Proxy};

/// How often it is looked whether what is waited for has come.
const LOOK: Duration = Duration::from_millis(5);
/// How long clients that were told to go, and their servers, are waited for.
const GOES: Duration = Duration::from_secs(10);

/// Carries out a command, said at the console by this name. Cancel safe: a pause that has not come to its end is taken back.
pub(super) async fn run(proxy: &Proxy, console: &str, command: &Command) -> Result<Answer, Refusal> {
    match command {
        Command::Show(table) => {
            return Ok(Answer { rows: tables::rows(table, proxy, console), ..Answer::default() });
        }
        Command::ShowParameter(_, value) => {
            return Ok(Answer { rows: vec![row![*value]], ..Answer::default() });
        }
        Command::SetForSession => {}
        Command::Set(wanted) => return set(proxy, wanted).await,
        Command::Foreign(foreign) => return Err(no_such(*foreign)),
        Command::Pause(name) => pause(&chosen(proxy, name.as_deref())?).await?,
        Command::Resume(name) => resume(&chosen(proxy, name.as_deref())?)?,
        Command::Disable(name) => {
            let database = database(proxy, name)?;
            changed(database.gate.disable(), || format!("database \"{name}\" is disabled already"))?;
        }
        Command::Enable(name) => {
            let database = database(proxy, name)?;
            changed(database.gate.enable(), || format!("database \"{name}\" is not disabled"))?;
        }
        Command::DisableNode(name) => return take_out(proxy, name),
        Command::EnableNode(name) => take_back(proxy, name)?,
        Command::Reconnect(name) => {
            let databases = chosen(proxy, name.as_deref())?;
            databases.iter().flat_map(|database| pools(database)).for_each(|share| share.pool.retire());
        }
        Command::ReconnectNode(name) => {
            for (database, node) in nodes(proxy, name)? {
                let shares = pools(&database).into_iter().filter(|share| share.node.id == node.id);
                shares.for_each(|share| share.pool.retire());
            }
        }
        Command::WaitClose(name) => wait_close(proxy, name.as_deref()).await?,
        Command::Kill(name) => {
            let database = database(proxy, name)?;
            return Ok(kill(proxy, &database).await);
        }
        Command::KillClient(id) => {
            let found = proxy.cancels.find(*id);
            let none = || {
                Refusal::new("42704", format!("there is no client {id}"))
                    .with_hint("SHOW CLIENTS has them in its column id.")
            };
            found.ok_or_else(none)?.kill();
        }
        Command::Reload => return order(proxy, Control::Reload).await,
        Command::Shutdown => return order(proxy, Control::Shutdown).await,
        Command::ShutdownNow => return order(proxy, Control::ShutdownNow).await,
    }
    Ok(Answer::default())
}

/// What could be done, or why not.
fn changed(is_so: bool, already: impl FnOnce() -> String) -> Result<(), Refusal> {
    if is_so { Ok(()) } else { Err(Refusal::new("55000", already())) }
}

/// Gates that open again when this is dropped before the pause is complete.
struct Pausing(Vec<Arc<Gate>>);

impl Drop for Pausing {
    fn drop(&mut self) {
        self.0.iter().for_each(|gate| gate.pause_is_given_up());
    }
}

/// Lets statements wait, and returns when all that had begun is over and no server connection is left.
async fn pause(databases: &[Arc<Database>]) -> Result<(), Refusal> {
    let paused: Vec<_> = databases.iter().filter(|database| database.gate.pause()).collect();
    let mut pausing = Pausing(paused.iter().map(|database| Arc::clone(&database.gate)).collect());
    changed(!paused.is_empty(), || match databases {
        [only] => format!("database \"{}\" is paused already", only.settings.name),
        _ => "every database is paused already".to_owned(),
    })?;
    for database in &paused {
        retire(database);
    }
    while !paused.iter().all(|database| is_empty(database)) {
        tokio::time::sleep(LOOK).await;
        if let Some(database) = paused.iter().find(|database| database.gate.passage() == Passage::Open) {
            let text = format!("database \"{}\" was resumed before it was paused", database.settings.name);
            return Err(Refusal::new("55000", text));
        }
    }
    pausing.0.clear();
    Ok(())
}

/// All its server connections go when nobody uses them.
fn retire(database: &Database) {
    for share in pools(database) {
        share.pool.retire();
    }
}

/// Whether it has no server connection. What was given back a moment too late is closed.
fn is_empty(database: &Database) -> bool {
    pools(database).iter().all(|share| {
        share.pool.tend();
        share.pool.is_empty()
    })
}

fn resume(databases: &[Arc<Database>]) -> Result<(), Refusal> {
    let resumed = databases.iter().filter(|database| database.gate.resume()).count();
    changed(resumed > 0, || match databases {
        [only] => format!("database \"{}\" is not paused", only.settings.name),
        _ => "no database is paused".to_owned(),
    })
}

/// Ends every session of the database, closes its server connections, and leaves it paused.
async fn kill(proxy: &Proxy, database: &Database) -> Answer {
    database.gate.kill();
    retire(database);
    let name = &database.settings.name;
    let end_all = || {
        let all = proxy.cancels.all().into_iter().map(|(_, slot)| slot);
        all.filter(|slot| slot.entry().is_some_and(|entry| entry.is_of(name))).for_each(|slot| slot.kill());
    };
    end_all();
    let gone = async {
        while database.clients() > 0 || !is_empty(database) {
            tokio::time::sleep(LOOK).await;
        }
    };
    let mut answer = Answer::default();
    if tokio::time::timeout(GOES, gone).await.is_err() {
        answer.notices.push(format!(
            "{} clients have not gone yet; they end as soon as their servers answer, or give up",
            database.clients()
        ));
    }
    answer
}

/// Takes a node out.
fn take_out(proxy: &Proxy, name: &NodeName) -> Result<Answer, Refusal> {
    let found = nodes(proxy, name)?;
    let all = found.iter().all(|(_, node)| node.is_disabled());
    changed(!all, || format!("node {} is disabled already", found[0].1.name))?;
    let mut answer = Answer::default();
    for (database, node) in found {
        let is_primary = database.cluster.primary().is_some_and(|primary| primary.id == node.id);
        database.cluster.disable(&node);
        if is_primary {
            answer.notices.push(format!(
                "{} is the primary of {}: writes wait for failover_timeout and fail then, until it is enabled or \
                 another node is promoted",
                node.name, database.settings.name
            ));
        }
    }
    Ok(answer)
}

/// Takes it back.
fn take_back(proxy: &Proxy, name: &NodeName) -> Result<(), Refusal> {
    let found = nodes(proxy, name)?;
    let any = found.iter().any(|(_, node)| node.is_disabled());
    changed(any, || format!("node {} is not disabled", found[0].1.name))?;
    for (database, node) in found {
        database.cluster.enable(&node);
    }
    Ok(())
}

/// Gives a setting another value. What is wrong with that is said before anybody is asked.
async fn set(proxy: &Proxy, wanted: &Adjustment) -> Result<Answer, Refusal> {
    let mut settings = Settings::clone(&proxy.settings.load());
    settings.adjust(wanted).map_err(|NotAdjusted { problem, advice }| {
        let stop = if advice.ends_with('?') { "" } else { "." };
        Refusal::new("22023", problem).with_hint(format!("{advice}{stop}"))
    })?;
    order(proxy, Control::Set(wanted.clone())).await
}

/// Waits until all connections are closed that are only there because they are in use.
async fn wait_close(proxy: &Proxy, name: Option<&str>) -> Result<(), Refusal> {
    chosen(proxy, name)?;
    loop {
        // A database may be removed meanwhile, and then has none.
        let databases = chosen(proxy, name).unwrap_or_default();
        let outdated =
            |database: &Arc<Database>| pools(database).iter().any(|share| share.pool.outdated() > 0);
        if !databases.iter().any(outdated) {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What is to be done in the place of a command of PgBouncer's.
fn no_such(foreign: Foreign) -> Refusal {
    let (text, hint) = match foreign {
        Foreign::Suspend => (
            "there is no SUSPEND",
            "PAUSE lets statements wait. To replace the process without losing a client, send it SIGUSR2.",
        ),
        Foreign::ShutdownWait => (
            "SHUTDOWN waits for clients to finish their transactions, up to shutdown_timeout, and for nothing else",
            "Say SHUTDOWN. To wait for longer, say SET shutdown_timeout = '1h' before.",
        ),
    };
    Refusal::new("0A000", text).with_hint(hint)
}

/// Has the program do something.
async fn order(proxy: &Proxy, control: Control) -> Result<Answer, Refusal> {
    match proxy.controls.ask(control).await {
        Ok(notices) => Ok(Answer { notices, ..Answer::default() }),
        Err(why) => Err(Refusal::new("55000", why)),
    }
}
