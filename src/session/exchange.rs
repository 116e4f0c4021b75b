//! What a server still owes to the messages sent to it, and what state that leaves it in.
//!
//! Pure bookkeeping, one per lease. The messages whose answers need more than passing on (those the proxy added,
//! changed or left out) and the ends of commands are queued in the order sent; PostgreSQL answers in that order.

use std::collections::VecDeque;

use crate::wire::{Backend, Frontend, Kind, TransactionStatus, WireError};

/// Answers that may be owed before more is sent. A server keeps answers back until Sync, Flush, or until 8 KiB of them
/// have come together, which are 1,638 of the shortest: beyond that it has to tell some.
const MOST_OWED: usize = 4096;

/// An answer the server owes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owed {
    /// `ParseComplete`, for the client or not; `id` is the statement's number if it is named on the server.
    Parse { id: Option<u64>, visible: bool },
    /// `CloseComplete` the client asked for, of a statement or a portal.
    Close { of: Kind },
    /// `CloseComplete` in the place of a `ParseComplete`: the server had the statement already.
    CloseAsParse,
    /// `CloseComplete` for the statement the proxy made room with.
    Evicted { id: u64 },
    /// `CloseComplete` nobody asked for but the proxy.
    Hidden,
    /// `ReadyForQuery` nobody asked for but the proxy: after it, the session leaves this server or goes on.
    Leave,
    /// The whole answer to the settings that were sent ahead.
    Settings,
    /// ReadyForQuery. A Sync that arrives while the server waits for COPY data is ignored by it.
    Ready { by_sync: bool },
}

/// What to do with a message of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// Pass it on.
    Pass,
    /// Keep it from the client.
    Hide,
    /// Pass it on as `ParseComplete`.
    AsParseComplete,
    /// Pass it on; the server is ready for the next command.
    Ready(TransactionStatus),
    /// Keep it from the client; the server is ready to be left.
    Left(TransactionStatus),
    /// Pass it on; the statement failed.
    Error,
}

/// What an error undid of the answers that were owed: the server skips everything up to the next Sync.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Undone {
    /// Statements that were not prepared on the server after all.
    pub(super) not_prepared: Vec<u64>,
    /// Statements that were not closed on the server after all.
    pub(super) not_closed: Vec<u64>,
    /// How many of the client's own messages that give a name to a statement, or take it back, had no effect.
    pub(super) renamed: usize,
}

/// Places of a queue that are kept for the next conversation.
const KEPT: usize = 8;

/// COPY as it affects who may speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Copy {
    #[default]
    None,
    /// The server waits for COPY data from the client.
    In,
}

/// What was sent behind an Execute, and would fail its COPY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Behind {
    #[default]
    Nothing,
    Something,
}

/// The state of the conversation with one leased server.
#[derive(Debug, Default)]
pub(super) struct Exchange {
    owed: VecDeque<Owed>,
    status: TransactionStatus,
    copy: Copy,
    /// Messages were sent that no Sync has ended yet.
    unsynced: bool,
    /// Execute messages whose end is awaited.
    executing: usize,
    /// What was sent behind the last of them.
    behind: Behind,
}

impl Exchange {
    /// A conversation that begins, with a queue that was used before.
    pub(super) fn with(queue: VecDeque<Owed>) -> Self {
        debug_assert!(queue.is_empty());
        Self { owed: queue, ..Self::default() }
    }

    /// The conversation is over; its queue can be used again.
    pub(super) fn into_queue(mut self) -> VecDeque<Owed> {
        self.owed.clear();
        self.owed.shrink_to(KEPT);
        self.owed
    }

    /// A message went out whose answer is `owed`.
    pub(super) fn sent(&mut self, owed: Owed) {
        match owed {
            Owed::Ready { .. } | Owed::Leave | Owed::Settings => self.unsynced = false,
            _ => self.unsynced = true,
        }
        self.owed.push_back(owed);
    }

    /// Extended-query messages went out that need no bookkeeping.
    pub(super) fn sent_unsynced(&mut self) {
        self.unsynced = true;
    }

    /// Messages of the client's go out.
    pub(super) fn sends(&mut self, kinds: impl Iterator<Item = Frontend>) {
        for kind in kinds {
            match kind {
                Frontend::Execute => {
                    self.executing += 1;
                    self.behind = Behind::Nothing;
                }
                Frontend::Parse | Frontend::Bind | Frontend::Describe | Frontend::Close => {
                    self.behind = Behind::Something;
                }
                _ => {}
            }
        }
    }

    /// Whether the server works on something, and not the client has to go on.
    pub(super) fn is_working(&self) -> bool {
        self.copy == Copy::None && (self.executing > 0 || !self.owed.is_empty())
    }

    /// Whether the server may still ask for COPY data: it runs what no Sync has ended.
    pub(super) fn may_copy(&self) -> bool {
        self.unsynced && self.executing > 0 && self.behind == Behind::Nothing
    }

    /// Whether the end of everything that was run has been told, and nothing more comes until the client goes on.
    pub(super) fn has_told_all(&self) -> bool {
        self.unsynced && self.executing == 0
    }

    /// The client has ended the COPY data it sends.
    pub(super) fn copy_ended(&mut self) {
        self.copy = Copy::None;
    }

    /// Whether the client's COPY data is awaited.
    pub(super) fn copies_in(&self) -> bool {
        self.copy == Copy::In
    }

    /// Transaction status at the last ReadyForQuery.
    pub(super) fn status(&self) -> TransactionStatus {
        self.status
    }

    /// A transaction was begun by the proxy's own means.
    pub(super) fn began(&mut self) {
        self.status = TransactionStatus::Open;
    }

    /// Whether another segment may be sent: no ReadyForQuery is awaited.
    pub(super) fn is_ready(&self) -> bool {
        self.copy == Copy::None && !self.owed.iter().any(|o| matches!(o, Owed::Ready { .. } | Owed::Leave))
    }

    /// Whether the client awaits a ReadyForQuery.
    pub(super) fn owes_ready(&self) -> bool {
        self.owed.iter().any(|owed| matches!(owed, Owed::Ready { .. }))
    }

    /// Whether nothing but what the proxy has asked for by itself is awaited, as far as that is kept account of.
    pub(super) fn has_answered(&self) -> bool {
        let unseen = |owed: &Owed| {
            matches!(
                owed,
                Owed::Leave | Owed::Hidden | Owed::Evicted { .. } | Owed::Parse { visible: false, .. }
            )
        };
        self.executing == 0 && self.owed.iter().all(unseen)
    }

    /// Whether the server owes so much that more would only wait, and the memory of what it owes would grow.
    pub(super) fn is_far_behind(&self) -> bool {
        self.owed.len() >= MOST_OWED
    }

    /// Whether the session only waits to leave this server.
    pub(super) fn is_leaving(&self) -> bool {
        self.owed.contains(&Owed::Leave)
    }

    /// Whether the session waits for nothing but to leave this server, of which the client knows nothing.
    pub(super) fn is_about_to_leave(&self) -> bool {
        self.owed.len() == 1 && self.owed.front() == Some(&Owed::Leave)
    }

    /// Whether the server is idle outside any transaction and owes nothing.
    pub(super) fn is_settled(&self) -> bool {
        self.owes_nothing() && self.status == TransactionStatus::Idle
    }

    /// Whether the server waits for the next command, in a transaction or not.
    pub(super) fn owes_nothing(&self) -> bool {
        self.owed.is_empty() && !self.unsynced && self.copy == Copy::None
    }

    /// Whether what arrives next answers settings that were sent ahead.
    pub(super) fn is_preparing(&self) -> bool {
        self.owed.front() == Some(&Owed::Settings)
    }

    /// Whether messages have been sent that no Sync has ended yet.
    pub(super) fn is_unsynced(&self) -> bool {
        self.unsynced
    }

    /// A message of the server has arrived. `body` is whole.
    pub(super) fn received(&mut self, kind: Backend, body: &[u8]) -> Result<Seen, WireError> {
        const OUT_OF_ORDER: WireError = WireError::Malformed("out-of-order");
        if self.is_preparing() {
            return match kind {
                Backend::ReadyForQuery => {
                    self.owed.pop_front();
                    Ok(Seen::Hide)
                }
                // Which cannot be, and what came behind them has run without them.
                Backend::ErrorResponse => Err(WireError::Malformed("answer to settings")),
                _ => Ok(Seen::Hide),
            };
        }
        match kind {
            Backend::ParseComplete => match self.owed.pop_front() {
                Some(Owed::Parse { visible: true, .. }) => Ok(Seen::Pass),
                Some(Owed::Parse { visible: false, .. }) => Ok(Seen::Hide),
                _ => Err(OUT_OF_ORDER),
            },
            Backend::CloseComplete => match self.owed.pop_front() {
                Some(Owed::Close { .. }) => Ok(Seen::Pass),
                Some(Owed::CloseAsParse) => Ok(Seen::AsParseComplete),
                Some(Owed::Evicted { .. } | Owed::Hidden) => Ok(Seen::Hide),
                _ => Err(OUT_OF_ORDER),
            },
            Backend::ReadyForQuery => match self.owed.pop_front() {
                Some(owed @ (Owed::Ready { .. } | Owed::Leave)) => {
                    self.status = TransactionStatus::read(body)?;
                    self.copy = Copy::None;
                    self.executing = 0;
                    self.behind = Behind::Nothing;
                    Ok(if owed == Owed::Leave { Seen::Left(self.status) } else { Seen::Ready(self.status) })
                }
                _ => Err(OUT_OF_ORDER),
            },
            // What was sent behind the Execute already fails the COPY, and the server skips up to the Sync that came next.
            Backend::CopyInResponse if self.behind == Behind::Something || self.executing > 1 => {
                Ok(Seen::Pass)
            }
            Backend::CopyInResponse | Backend::CopyBothResponse => {
                self.copy = Copy::In;
                if matches!(self.owed.front(), Some(Owed::Ready { by_sync: true } | Owed::Leave)) {
                    self.owed.pop_front();
                    self.unsynced = true;
                }
                Ok(Seen::Pass)
            }
            Backend::CommandComplete | Backend::EmptyQueryResponse | Backend::PortalSuspended => {
                self.executing = self.executing.saturating_sub(1);
                Ok(Seen::Pass)
            }
            Backend::ErrorResponse => {
                self.copy = Copy::None;
                self.executing = 0;
                Ok(Seen::Error)
            }
            _ => Ok(Seen::Pass),
        }
    }

    /// After an error: what the server skips up to the next Sync it gets.
    pub(super) fn skipped(&mut self) -> Undone {
        let mut undone = Undone::default();
        while let Some(owed) = self.owed.front().copied() {
            match owed {
                Owed::Ready { .. } | Owed::Leave | Owed::Settings => break,
                Owed::Parse { id, visible } => {
                    undone.not_prepared.extend(id);
                    undone.renamed += usize::from(visible);
                }
                Owed::Evicted { id } => undone.not_closed.push(id),
                Owed::CloseAsParse => undone.renamed += 1,
                Owed::Close { of } => undone.renamed += usize::from(of == Kind::Statement),
                Owed::Hidden => {}
            }
            self.owed.pop_front();
        }
        undone
    }
}

#[cfg(test)]
mod tests;
