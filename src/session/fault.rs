//! Whose fault an error of a server is, and what interrupted a read on a replica.

use super::leased::{Rerun, ServesAs};
use super::serve::Session;

/// What interrupted a read on a replica through no fault of its own. The labels are part of the metrics' contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// Replay had to remove what the read was using.
    Conflict,
    /// Replay and the read waited for each other.
    Deadlock,
    /// The server was shut down, or told to end the connection.
    Shutdown,
    /// The connection broke.
    ConnectionLost,
}

impl Interruption {
    /// What an error of a replica says, if it says that.
    pub(super) fn of(code: &str, fatal: bool) -> Option<Self> {
        match code {
            "40001" => Some(Self::Conflict),
            "40P01" => Some(Self::Deadlock),
            _ if fatal && code.starts_with("57P") => Some(Self::Shutdown),
            _ => None,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Conflict => "conflict",
            Self::Deadlock => "deadlock",
            Self::Shutdown => "shutdown",
            Self::ConnectionLost => "connection_lost",
        }
    }
}

impl Session {
    /// Counts what an error says about the server that gave it. `how` the segment is run again: then the client does not see
    /// it.
    pub(super) fn blame(&self, code: &str, fatal: bool, routine: &[u8], how: Option<Rerun>) {
        let Some(leased) = &self.leased else { return };
        if is_servers(code, fatal, routine) {
            leased.node.node().failed();
        }
        if let Some(what) = Interruption::of(code, fatal) {
            self.interrupted(what, how.is_some());
        }
    }

    /// Counts a read that was interrupted, if it was one on a replica.
    pub(super) fn interrupted(&self, what: Interruption, again: bool) {
        let Some(leased) = &self.leased else { return };
        if leased.serves_as == ServesAs::Replica && !leased.exchange.is_ready() {
            let outcome = if again { "rerun" } else { "told" };
            self.database.stats.interrupted(leased.node.node().id.0, what.label(), outcome);
        }
    }
}

/// Whether an error is the server's fault, and not that of the statement or of whoever sent it. `routine` is the function of
/// PostgreSQL that gave it.
///
/// <https://www.postgresql.org/docs/current/errcodes-appendix.html>: classes 53 (insufficient resources), 58 (system
/// error) and XX (internal error), and 57P0x where it ends the connection.
pub(super) fn is_servers(code: &str, fatal: bool, routine: &[u8]) -> bool {
    match code.get(..2) {
        // A standby refuses with XX000, too, what only a primary can do.
        Some("XX") => !matches!(
            routine,
            b"GetNewTransactionId"
                | b"GetNewObjectId"
                | b"GetNewMultiXactId"
                | b"XLogBeginInsert"
                | b"AssignTransactionId"
        ),
        Some("53" | "58") => true,
        Some("57") => fatal && code.starts_with("57P0"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_fault_it_is() {
        for (code, fatal, routine, is) in [
            ("23505", false, "_bt_check_unique", false),
            ("42P01", false, "parserOpenTable", false),
            ("40001", false, "ProcessInterrupts", false),
            ("57014", false, "ProcessInterrupts", false),
            ("25006", false, "PreventCommandIfReadOnly", false),
            ("XX000", false, "GetNewTransactionId", false),
            ("XX000", false, "mdread", true),
            ("XX001", false, "PageIsVerifiedExtended", true),
            ("53100", false, "FileWrite", true),
            ("53200", false, "palloc", true),
            ("53300", true, "ProcessStartupPacket", true),
            ("58P01", false, "mdopenfork", true),
            ("58030", false, "mdread", true),
            ("57P01", true, "ProcessInterrupts", true),
            ("57P03", true, "ProcessStartupPacket", true),
            ("57P01", false, "", false),
            ("", false, "", false),
        ] {
            assert_eq!(is_servers(code, fatal, routine.as_bytes()), is, "{code} {routine}");
        }
    }
}
