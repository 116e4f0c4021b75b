//! What the console has the program do while it runs.

use super::reload::Reloader;
use super::signals::{Asked, Signals};
use crate::session::{Control, Order, Orders, Proxy, Reply};

impl From<&Control> for Asked {
    fn from(control: &Control) -> Self {
        match control {
            Control::Reload => Self::Reload,
            Control::Set(_) => Self::Set,
            Control::Shutdown => Self::Stop,
            Control::ShutdownNow => Self::StopNow,
        }
    }
}

/// The next order, if there ever is one. Cancel safe.
pub(super) async fn next(orders: &mut Option<Orders>) -> Order {
    if let Some(orders) = orders
        && let Some(order) = orders.recv().await
    {
        return order;
    }
    std::future::pending().await
}

/// Waits for an order to stop, and says whether that is to be at once. Whatever else is asked for is refused, and told `why`.
/// Cancel safe.
pub(super) async fn stop(orders: &mut Option<Orders>, why: &str) -> bool {
    loop {
        let order = next(orders).await;
        let is_hurried = match order.control {
            Control::Shutdown => false,
            Control::ShutdownNow => true,
            Control::Reload | Control::Set(_) => {
                order.reply(Err(why.to_owned()));
                continue;
            }
        };
        order.reply(Ok(Vec::new()));
        return is_hurried;
    }
}

/// The proxy is stopping: waits until it is to do so at once, by a signal or an order. Cancel safe.
pub(super) async fn hurry(signals: &mut Signals, orders: &mut Option<Orders>) {
    tokio::select! {
        () = signals.stop() => {}
        () = async { while !stop(orders, "the proxy is stopping").await {} } => {}
    }
}

/// Reads the configuration again, and says in the log what came of it. Cancel safe.
pub(super) async fn reload(reloader: &mut Reloader, proxy: &std::sync::Arc<Proxy>) -> Reply {
    match reloader.reload(proxy).await {
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

/// Gives a setting the value that was asked for, until the configuration is read again. Cancel safe.
pub(super) async fn set(
    reloader: &mut Reloader,
    proxy: &std::sync::Arc<Proxy>,
    order: Option<&Order>,
) -> Reply {
    let Some(Control::Set(wanted)) = order.map(|order| &order.control) else { return Ok(Vec::new()) };
    reloader.adjust(proxy, wanted).await.map_err(|refusal| refusal.to_string())?;
    let said = format!("{} = {} until the next RELOAD or restart", wanted.key, wanted.value);
    tracing::info!("set at the console: {said}");
    Ok(vec![said])
}
