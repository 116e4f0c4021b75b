//! What signals and the console have the program do while it runs.

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::reload::Reloader;
use super::run::wait_for_signal;
use super::running::Running;
use crate::session::{Control, Order, Orders, Reply};

/// How the process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// When clients have finished their transactions.
    Gently,
    /// Whatever they do.
    AtOnce,
}

/// Reads the configuration again whenever SIGHUP or the console says so, until a signal or the console says that the
/// process is to end.
pub(super) async fn until_stopped(reloader: &mut Reloader, running: &Running) -> Stop {
    let mut hangup = signal(SignalKind::hangup()).ok();
    let mut orders = running.proxy.controls.take();
    let mut signalled = std::pin::pin!(wait_for_signal());
    loop {
        let order = tokio::select! {
            () = &mut signalled => return Stop::Gently,
            () = hung_up(&mut hangup) => None,
            order = next(&mut orders) => Some(order),
        };
        let stop = match order.as_ref().map(|order| order.control) {
            Some(Control::Shutdown) => Some(Stop::Gently),
            Some(Control::ShutdownNow) => Some(Stop::AtOnce),
            Some(Control::Reload) | None => None,
        };
        let reply = match stop {
            Some(_) => Ok(Vec::new()),
            None => tokio::select! {
                () = &mut signalled => return Stop::Gently,
                reply = reload(reloader, running) => reply,
            },
        };
        if let Some(order) = order {
            order.reply(reply);
        }
        if let Some(stop) = stop {
            return stop;
        }
    }
}

/// Reads the configuration again, and says in the log what came of it. Cancel safe.
async fn reload(reloader: &mut Reloader, running: &Running) -> Reply {
    match reloader.reload(&running.proxy).await {
        Ok(outcome) => {
            let lines = outcome.lines();
            if outcome.pending.is_empty() {
                tracing::info!("configuration reloaded: {}", lines.join("; "));
            } else {
                tracing::warn!("configuration reloaded: {}", lines.join("; "));
            }
            Ok(lines)
        }
        Err(refusal) => {
            tracing::error!("the configuration cannot be used, and the one before stays in force: {refusal}");
            Err(refusal.to_string())
        }
    }
}

async fn hung_up(hangup: &mut Option<Signal>) {
    match hangup {
        Some(hangup) => drop(hangup.recv().await),
        None => std::future::pending().await,
    }
}

async fn next(orders: &mut Option<Orders>) -> Order {
    if let Some(orders) = orders
        && let Some(order) = orders.recv().await
    {
        return order;
    }
    std::future::pending().await
}
