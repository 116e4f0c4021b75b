//! A line of the log for each login, and a count.
//!
//! What a stranger has said stands in it, so it is cut short, and nothing of it can begin a line or look like the end of a
//! value. The target `tidegate::audit` lets it be switched on by itself: successes are told at `info`, the others at `warn`.

use std::fmt;

use super::Applicant;
use super::demand::Demand;
use crate::net::Peer;
use crate::session::client::Client;
use crate::session::proxy::Proxy;
use crate::stats::LoginRefusal;

/// Characters of a name that are shown. Names in PostgreSQL have 63 bytes at most.
const LONGEST: usize = 63;

/// What is known of somebody who logs in.
pub(in crate::session) struct Audit<'a> {
    proxy: &'a Proxy,
    user: &'a str,
    database: &'a str,
    address: Peer,
    is_encrypted: bool,
    /// How it must prove who it is, and by which rule.
    method: &'static str,
    rule: String,
}

impl<'a> Audit<'a> {
    pub(in crate::session) fn new(proxy: &'a Proxy, client: &Client, applicant: &Applicant<'a>) -> Self {
        Self {
            proxy,
            user: applicant.user,
            database: applicant.database,
            address: client.address(),
            is_encrypted: client.is_encrypted(),
            method: "",
            rule: String::new(),
        }
    }

    /// This is demanded of it.
    pub(in crate::session) fn demands(&mut self, demand: &Demand) {
        self.method = demand.method.name();
        self.rule = demand.rule().unwrap_or_default();
    }

    /// It has proven who it is.
    pub(in crate::session) fn succeeded(&self) {
        self.proxy.logins.ok.increment(1);
        let (user, database, address) = (Shown(self.user), Shown(self.database), &self.address);
        let Self { is_encrypted: tls, method, rule, .. } = self;
        tracing::info!(target: "tidegate::audit", ?user, ?database, %address, tls, method, rule, "login accepted");
    }

    /// It is not let in.
    pub(in crate::session) fn refused(&self, refusal: LoginRefusal) {
        self.proxy.logins.refused(refusal).increment(1);
        let (user, database, address) = (Shown(self.user), Shown(self.database), &self.address);
        let Self { is_encrypted: tls, method, rule, .. } = self;
        let reason = refusal.label();
        tracing::warn!(target: "tidegate::audit", ?user, ?database, %address, tls, method, rule, reason, "login refused");
    }
}

/// What somebody has said, quoted and short.
struct Shown<'a>(&'a str);

impl fmt::Debug for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.char_indices().nth(LONGEST) {
            Some((end, _)) => write!(f, "{:?}…", &self.0[..end]),
            None => write!(f, "{:?}", self.0),
        }
    }
}

/// A text that strangers' words may stand in, on one line and without what would change how it is shown.
pub(in crate::session) fn one_line(text: &str) -> String {
    const LONGEST: usize = 500;
    let mut shown = String::with_capacity(text.len().min(LONGEST));
    for c in text.chars().take(LONGEST) {
        match c {
            '"' | '\'' | '\\' => shown.push(c),
            c => shown.extend(c.escape_debug()),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_forged_lines_in_the_log() {
        let evil = "app\" reason=none\r\n2026-01-01 INFO \u{1b}[2Jlogin accepted\u{202e}\0";
        for shown in [format!("{:?}", Shown(evil)), one_line(evil)] {
            let is_plain = |c: char| !c.is_control() && c != '\u{202e}';
            assert!(shown.chars().all(is_plain), "{shown}");
        }
        assert!(format!("{:?}", Shown(evil)).starts_with(r#""app\" reason"#));
        assert_eq!(format!("{:?}", Shown(&"é".repeat(64))), format!("\"{}\"…", "é".repeat(63)));
        assert_eq!(one_line(&"x".repeat(10_000)).len(), 500);
        assert_eq!(one_line("user \"app\" café"), "user \"app\" café");
    }
}
