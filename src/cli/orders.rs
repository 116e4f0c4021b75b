//! What the console has the program do.

use super::run::wait_for_signal;
use crate::session::{Control, Proxy};

/// How the process is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// When clients have finished their transactions.
    Gently,
    /// Whatever they do.
    AtOnce,
}

/// Carries out what the console asks for, until it or a signal says that the process is to end.
pub(super) async fn until_stopped(proxy: &Proxy) -> Stop {
    let signal = std::pin::pin!(wait_for_signal());
    let Some(mut orders) = proxy.controls.take() else {
        signal.await;
        return Stop::Gently;
    };
    let carry_out = async {
        while let Some(order) = orders.recv().await {
            let stop = match order.control {
                Control::Shutdown => Stop::Gently,
                Control::ShutdownNow => Stop::AtOnce,
                Control::Reload => {
                    let why = "the configuration cannot be read again while the proxy runs; restart it";
                    order.reply(Err(why.to_owned()));
                    continue;
                }
            };
            order.reply(Ok(Vec::new()));
            return stop;
        }
        std::future::pending().await
    };
    tokio::select! {
        () = signal => Stop::Gently,
        stop = carry_out => stop,
    }
}
