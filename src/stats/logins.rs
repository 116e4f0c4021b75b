//! Logins by what came of them.

use metrics::Counter;

use super::Stats;

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginRefusal {
    /// No rule lets it in, or one sends it away.
    Rule,
    /// A wrong password, or nobody of that name.
    Password,
    /// No certificate, or that of somebody else.
    Certificate,
    /// Somebody else by the operating system.
    Peer,
    /// It has proven who it is, but there is no such user or database, or it may not use it.
    Unknown,
    /// Too many connections: of the database, the user or the address.
    TooMany,
    /// Too many failures from its address.
    Throttled,
    /// The servers could not be asked who it is.
    Lookup,
    /// It took too long, or had to make room for others.
    Timeout,
    /// What it said was no login.
    Protocol,
}

impl LoginRefusal {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Rule,
        Self::Password,
        Self::Certificate,
        Self::Peer,
        Self::Unknown,
        Self::TooMany,
        Self::Throttled,
        Self::Lookup,
        Self::Timeout,
        Self::Protocol,
    ];

    /// As it is called in metrics and in the log.
    pub fn label(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Password => "password",
            Self::Certificate => "certificate",
            Self::Peer => "peer",
            Self::Unknown => "unknown",
            Self::TooMany => "too_many",
            Self::Throttled => "throttled",
            Self::Lookup => "lookup",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
        }
    }
}

/// Logins by what came of them.
pub struct Logins {
    /// Those that have proven who they are.
    pub ok: Counter,
    refused: [Counter; LoginRefusal::ALL.len()],
}

impl std::fmt::Debug for Logins {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Logins")
    }
}

impl Logins {
    /// All counters.
    pub fn new(stats: &Stats) -> Self {
        let counter = |outcome, reason| {
            stats.counter("tidegate_logins_total", &[("outcome", outcome), ("reason", reason)])
        };
        Self {
            ok: counter("ok", ""),
            refused: LoginRefusal::ALL.map(|refusal| counter("refused", refusal.label())),
        }
    }

    /// Counts those that were not let in for this reason.
    pub fn refused(&self, refusal: LoginRefusal) -> &Counter {
        &self.refused[refusal as usize]
    }
}
