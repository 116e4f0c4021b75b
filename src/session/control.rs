//! What sessions may ask of the program that runs the proxy: it alone can end the process, and knows the configuration.

use std::sync::Mutex;

use tokio::sync::{mpsc, oneshot};

use super::lock::lock;
use crate::config::Adjustment;

/// Orders that may wait for the one before.
const WAITING: usize = 8;

/// Something the program is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// Read the configuration again.
    Reload,
    /// Give a setting another value.
    Set(Adjustment),
    /// Stop when clients have finished their transactions, as at SIGTERM.
    Shutdown,
    /// Stop at once.
    ShutdownNow,
}

/// What was asked for, and who waits for what becomes of it.
#[derive(Debug)]
pub struct Order {
    /// What is to be done.
    pub control: Control,
    reply: oneshot::Sender<Reply>,
}

/// Orders as they come.
pub type Orders = mpsc::Receiver<Order>;

/// Lines for people: what was done, or why nothing was.
pub type Reply = Result<Vec<String>, String>;

impl Order {
    /// Says what became of it. Whoever asked may have gone; that is no reason not to do it.
    pub fn reply(self, reply: Reply) {
        let _ = self.reply.send(reply);
    }
}

/// Orders on their way from sessions to the program.
#[derive(Debug)]
pub struct Controls {
    orders: mpsc::Sender<Order>,
    taken: Mutex<Option<mpsc::Receiver<Order>>>,
}

impl Default for Controls {
    fn default() -> Self {
        let (orders, received) = mpsc::channel(WAITING);
        Self { orders, taken: Mutex::new(Some(received)) }
    }
}

impl Controls {
    /// The orders there will be, for the one who carries them out: `None` for anybody else.
    pub fn take(&self) -> Option<mpsc::Receiver<Order>> {
        lock(&self.taken).take()
    }

    /// Asks the program for something. Cancel safe; what was asked for is then done all the same.
    pub(super) async fn ask(&self, control: Control) -> Reply {
        let nobody = || Err("nobody carries out such orders in this process".to_owned());
        if lock(&self.taken).is_some() {
            return nobody();
        }
        let (reply, replied) = oneshot::channel();
        if self.orders.send(Order { control, reply }).await.is_err() {
            return nobody();
        }
        replied.await.unwrap_or_else(|_| nobody())
    }
}
