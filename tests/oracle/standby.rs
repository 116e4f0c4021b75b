//! One client's session on the standby.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tidegate::wire::{CancelKey, StartupParameters, TransactionStatus, encode};

use crate::answer::Answer;
use crate::peer::Peer;

/// How long a statement may run there. Those that take longer wait for a lock that replay holds.
const LIMIT: Duration = Duration::from_secs(10);
/// How long the rest of an answer, or the answer to a cancel request, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A session with the client's user, database and settings, outside a transaction between two calls.
pub struct Standby {
    address: SocketAddr,
    peer: Peer,
    key: Option<CancelKey>,
}

impl Standby {
    pub fn log_in(address: SocketAddr, parameters: &StartupParameters) -> io::Result<Self> {
        let (peer, key) = Peer::log_in(address, parameters)?;
        peer.limit_silence(PATIENCE)?;
        Ok(Self { address, peer, key })
    }

    /// Runs a text; `None` when it took too long and was cancelled. After an error the session is lost.
    pub fn run(&mut self, text: &str) -> io::Result<Option<Answer>> {
        self.peer.send(|out| encode::query(out, text))?;
        let in_time = self.peer.has_word_within(LIMIT)?;
        if !in_time {
            self.cancel()?;
        }
        self.peer.limit_silence(PATIENCE)?;
        let answer = self.peer.answer()?;
        if answer.status != TransactionStatus::Idle {
            // A snapshot or a lock that stays would hold up replay, and with it everybody.
            self.peer.query("rollback")?;
        }
        Ok(in_time.then_some(answer))
    }

    fn cancel(&self) -> io::Result<()> {
        let Some(key) = &self.key else { return Ok(()) };
        let mut peer = Peer::connect(self.address)?;
        peer.send(|out| encode::cancel_request(out, key))?;
        peer.drain();
        Ok(())
    }
}
