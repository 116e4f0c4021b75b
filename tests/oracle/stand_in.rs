//! Stands in for Tidegate's trace by asking the library.

use tidegate::sql::{Class, Leaves, classify};

use crate::word::{Target, Word};

const PINS: [Leaves; 7] = [
    Leaves::TEMP_TABLE,
    Leaves::ADVISORY_LOCK,
    Leaves::HOLD_CURSOR,
    Leaves::LISTEN,
    Leaves::PREPARE,
    Leaves::LOAD,
    Leaves::SEED,
];

#[derive(Default)]
pub struct StandIn {
    pinned: bool,
}

impl StandIn {
    pub fn word(&mut self, text: &str) -> Word {
        let statement = classify(text);
        let detail = format!("{:?}: {}", statement.class, statement.cause);
        if PINS.iter().any(|pin| statement.leaves.intersects(*pin)) {
            self.pinned = true;
        }
        if statement.leaves.intersects(Leaves::DISCARD_ALL) {
            self.pinned = false;
        }
        let (target, reason) = match statement.class {
            _ if self.pinned => (Target::Primary, "pinned"),
            Class::Read => (Target::Replica, "fresh"),
            Class::Unknown => (Target::Primary, "unknown"),
            Class::Write => (Target::Primary, "write"),
            Class::Session | Class::Own(_) => (Target::Primary, "session_state"),
            _ => (Target::Primary, "transaction"),
        };
        Word { target, reason: reason.to_owned(), detail }
    }
}
