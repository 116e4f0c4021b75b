//! RESET returns to what the client gave at start-up, and the client is told so.
//!
//! A server connection serves many clients, so on the server RESET returns to the server's own value. Before the client
//! hears that its segment has ended, the value from start-up is put in that one's place. What the server reports
//! meanwhile is kept back, and the client is told what has come of it.

use std::fmt::Write;
use std::sync::Arc;

use bytes::BytesMut;

use super::failure::{End, Failure};
use super::leased::Leased;
use super::serve::Session;
use super::settings::{SessionSettings, difference, is_identity, literal, quoted};
use super::summary::Summary;
use crate::sql::Leaves;
use crate::wire::{self, TransactionStatus, encode};

/// Settings whose values are lists of names, which SET quotes.
const LISTS: [&str; 4] =
    ["search_path", "temp_tablespaces", "local_preload_libraries", "session_preload_libraries"];

impl Session {
    /// A setting was reported, by a message of `len` bytes. True when the client is told later: what was reset may not
    /// have its last value yet.
    pub(super) fn postpones_report(&mut self, name: String, value: String, len: usize) -> bool {
        let Some(l) = &mut self.leased else { return false };
        if !l.exchange.is_ready() && self.settings.may_be_reset(l) {
            l.turn.reported.push((name, value));
            l.hide(len);
            return true;
        }
        self.told.tell(&name, &value);
        false
    }

    /// The segment that has just ended may have reset settings. Its last message is still to be passed on.
    pub(super) async fn restore(&mut self, status: TransactionStatus) -> Result<(), End> {
        let Some(l) = &mut self.leased else { return Ok(()) };
        let mut reported = std::mem::take(&mut l.turn.reported);
        let leaves = l.turn.summary.leaves;
        let by_name = leaves.contains(Leaves::RESET_ALL) || !l.turn.summary.resets.is_empty();
        let is_settled = l.exchange.is_settled();
        match status {
            TransactionStatus::Open if by_name || !reported.is_empty() => {
                let sql = self.settings.restoration(&l.turn.summary, &reported);
                self.apply(&sql, &mut reported).await?;
                if let Some(l) = self.leased.as_mut().filter(|_| by_name) {
                    // What is empty from here on was made so.
                    l.left = l.left.without(Leaves::RESET_ALL);
                    if is_covered(&l.turn.summary) {
                        l.left |= Leaves::RESET_ALL;
                    }
                }
            }
            // Where the client was told nothing but what it was told at login, that is still true.
            TransactionStatus::Idle if is_settled && !(reported.is_empty() && self.told.is_as_at_login()) => {
                self.take_stock().await;
                let Some(l) = &self.leased else { return Ok(()) };
                let sql = difference(&l.lease, &self.settings.current);
                self.apply(&sql, &mut reported).await?;
                if let Some(l) = &mut self.leased {
                    l.lease.settings = Arc::clone(&self.settings.current);
                }
            }
            _ => {}
        }
        self.tell(&reported);
        Ok(())
    }

    /// Runs statements of the proxy's own, and adds what the server reports.
    async fn apply(&mut self, sql: &str, reported: &mut Vec<(String, String)>) -> Result<(), End> {
        let Some(l) = self.leased.as_mut().filter(|_| !sql.is_empty()) else { return Ok(()) };
        let failed = |e| Failure::fatal("08006", format!("could not restore settings from start-up: {e}"));
        reported.extend(l.ask(sql).await.map_err(failed)?.reported);
        Ok(())
    }

    /// Tells the client what it does not know yet, before the message that ends the segment.
    fn tell(&mut self, reported: &[(String, String)]) {
        let mut messages = BytesMut::new();
        for (i, (name, value)) in reported.iter().enumerate() {
            let is_last = reported[i + 1..].iter().all(|(later, _)| later != name);
            if is_last && self.told.tell(name, value) {
                encode::parameter_status(&mut messages, name, value);
            }
        }
        if let Some(l) = self.leased.as_mut().filter(|_| !messages.is_empty()) {
            l.put_before(wire::READY_LEN, &messages);
        }
    }
}

impl SessionSettings {
    /// Whether the segment may have reset a setting to the server's value, where the client gave another one at
    /// start-up.
    pub(super) fn may_be_reset(&self, leased: &Leased) -> bool {
        let summary = &leased.turn.summary;
        let unnamed = Leaves::RESET_ALL | Leaves::DISCARD_ALL | Leaves::ANYTHING;
        let has_been = || leased.left.contains(Leaves::RESET_ALL);
        !self.base.is_empty()
            && (!summary.resets.is_empty() || summary.leaves.intersects(unnamed) || has_been())
    }

    /// The statements that give the settings a segment has reset, in a transaction that is open, the values from start-up.
    pub(super) fn restoration(&self, summary: &Summary, reported: &[(String, String)]) -> String {
        let leaves = summary.leaves;
        let local = !leaves.contains(Leaves::SETTINGS) || leaves.contains(Leaves::LOCAL_SETTINGS);
        let plain = || self.base.iter().filter(|(name, _)| !is_identity(name));
        let named = self.base.iter().filter(|(name, _)| summary.resets.iter().any(|n| **n == ***name));
        let mut sql =
            if is_covered(summary) { set_where_reset(named, local) } else { set_again(named, local) };
        if leaves.contains(Leaves::RESET_ALL) && summary.count == 1 {
            sql.push_str(&set_again(plain(), local));
        } else if leaves.contains(Leaves::RESET_ALL) {
            sql.push_str(&set_where_reset(plain(), local));
        } else if leaves.contains(Leaves::ANYTHING) && !reported.is_empty() {
            // A custom setting that is empty does not say whether it was reset.
            sql.push_str(&set_where_reset(plain().filter(|(name, _)| !name.contains('.')), true));
        }
        sql
    }
}

/// Whether what was reset may have been set again until the end of the transaction: then it is a reset one again.
fn is_covered(summary: &Summary) -> bool {
    summary.count > 1
        && !summary.resets.is_empty()
        && summary.leaves.contains(Leaves::SETTINGS | Leaves::LOCAL_SETTINGS)
}

/// SET takes no snapshot, so that SET TRANSACTION may still follow.
fn set_again<'a>(settings: impl Iterator<Item = (&'a String, &'a String)>, local: bool) -> String {
    let mut sql = String::new();
    for (name, value) in settings {
        let value = if LISTS.contains(&name.as_str()) { list(value) } else { literal(value) };
        let _ = write!(sql, "set {} {} = {value};", if local { "local" } else { "session" }, quoted(name));
    }
    sql
}

/// Only those that nothing has set after they were reset.
fn set_where_reset<'a>(settings: impl Iterator<Item = (&'a String, &'a String)>, local: bool) -> String {
    let rows: Vec<_> = settings.map(|(n, v)| format!("({},{})", literal(n), literal(v))).collect();
    if rows.is_empty() {
        return String::new();
    }
    format!(
        "select pg_catalog.set_config(w.name, w.value, {local}) from (values {}) w(name, value) \
         left join pg_catalog.pg_settings s on pg_catalog.lower(s.name) operator(pg_catalog.=) w.name \
         where s.source operator(pg_catalog.<>) 'session' or s.name is null and \
         coalesce(pg_catalog.current_setting(w.name, true), '') operator(pg_catalog.=) ''",
        rows.join(",")
    )
}

/// A list of names as SET takes it: each a literal of its own.
fn list(value: &str) -> String {
    let (mut items, mut item, mut inside) = (Vec::new(), String::new(), false);
    let mut chars = value.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if inside && chars.next_if_eq(&'"').is_some() => item.push('"'),
            '"' => inside = !inside,
            ',' if !inside => items.push(std::mem::take(&mut item)),
            c if inside => item.push(c),
            c if c.is_ascii_whitespace() => {}
            c => item.extend(c.to_lowercase()),
        }
    }
    items.push(item);
    items.iter().map(|item| literal(item)).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_names() {
        assert_eq!(list(r#"a, "B ""c", $user"#), r#"E'a',E'B "c',E'$user'"#);
    }

    #[test]
    fn what_was_reset_is_set_again_without_a_snapshot() {
        let (name, value) = ("app.x".to_owned(), "it's".to_owned());
        assert_eq!(set_again([(&name, &value)].into_iter(), true), r#"set local "app"."x" = E'it\'s';"#);
        assert_eq!(set_where_reset([].into_iter(), true), "");
    }
}
