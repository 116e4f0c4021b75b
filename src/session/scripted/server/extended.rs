//! The extended query protocol.

use std::collections::VecDeque;

use bytes::BytesMut;

use super::{
    Copy, Failed, Fault, Portal, Ran, Server, Sql, Statement, ends_transaction, parameters, read, stand_in,
    statements,
};
use crate::wire::{Bind, Describe, Kind, TransactionStatus, encode, execute_portal, parse_message};

impl Server {
    pub(super) fn parse(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), Failed> {
        let parse = parse_message(body).map_err(|_| "08P01")?;
        let all = statements(&String::from_utf8_lossy(parse.text));
        let [text] = &all[..] else { return Err("42601") };
        let sql = read(text);
        if sql == Sql::Malformed {
            // What is no SQL of this server's may be PostgreSQL's.
            let has_failed = self.state.status == TransactionStatus::Failed;
            return Err(if has_failed && !crate::sql::classify(text).is_unread() {
                "25P02"
            } else {
                "42601"
            });
        }
        if self.state.status == TransactionStatus::Failed && !ends_transaction(&sql) {
            return Err("25P02");
        }
        if !parse.name.is_empty() && self.statements.contains_key(parse.name) {
            return Err("42P05");
        }
        self.state.touch();
        self.statements.insert(parse.name.to_vec(), Statement { sql, from_sql: false });
        encode::parse_complete(out);
        Ok(())
    }

    pub(super) fn bind(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), Failed> {
        let bind = Bind::read(body).map_err(|_| "08P01")?;
        let parameters = parameters(&body[bind.names_len()..]).ok_or("08P01")?;
        let foreign = self.fault == Some(Fault::ForeignStatement) && !bind.statement.is_empty();
        let found =
            if foreign { self.statements.values().next_back() } else { self.statements.get(bind.statement) };
        let mut sql = found.ok_or("26000")?.sql.clone();
        if self.state.status == TransactionStatus::Failed && !ends_transaction(&sql) {
            return Err("25P02");
        }
        match (&sql, &parameters[..]) {
            (Sql::Parameter, [value]) => sql = Sql::Value(value.clone()),
            (Sql::Parameter, _) | (_, [_, ..]) => return Err("08P01"),
            _ => {}
        }
        if !bind.portal.is_empty() && self.portals.contains_key(bind.portal) {
            return Err("42P03");
        }
        self.state.touch();
        self.portals.insert(bind.portal.to_vec(), Portal { sql, rows: VecDeque::new(), begun: false });
        encode::bind_complete(out);
        Ok(())
    }

    pub(super) fn describe(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), Failed> {
        let describe = Describe::read(body).map_err(|_| "08P01")?;
        self.about = String::from_utf8_lossy(describe.name).into_owned();
        let sql = match describe.kind {
            Kind::Statement => self.statements.get(describe.name).map(|s| s.sql.clone()).ok_or("26000")?,
            Kind::Portal => self.portals.get(describe.name).map(|p| p.sql.clone()).ok_or("34000")?,
        };
        self.state.touch();
        let columns = self.columns(&sql);
        if self.state.status == TransactionStatus::Failed && columns.is_some() {
            return Err("25P02");
        }
        if describe.kind == Kind::Statement {
            stand_in::parameters(out, u16::from(sql == Sql::Parameter));
        }
        match columns {
            Some(columns) => encode::text_columns(out, &columns),
            None => encode::no_data(out),
        }
        Ok(())
    }

    pub(super) fn close(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), Failed> {
        let close = Describe::read(body).map_err(|_| "08P01")?;
        match close.kind {
            Kind::Statement => drop(self.statements.remove(close.name)),
            Kind::Portal => drop(self.portals.remove(close.name)),
        }
        encode::close_complete(out);
        Ok(())
    }

    pub(super) fn execute(&mut self, body: &[u8], out: &mut BytesMut) -> Result<(), Failed> {
        let name = execute_portal(body).map_err(|_| "08P01")?.to_vec();
        let limit: [u8; 4] = body[name.len() + 1..].try_into().map_err(|_| "08P01")?;
        let limit = usize::try_from(i32::from_be_bytes(limit)).unwrap_or(0);
        let mut portal = self.portals.get(&name).cloned().ok_or("34000")?;
        if self.state.status == TransactionStatus::Failed && !ends_transaction(&portal.sql) {
            return Err("25P02");
        }
        let mut tag = "SELECT".to_owned();
        if !portal.begun {
            match self.run(&portal.sql, false, out)? {
                Ran::Copying => {
                    self.copy = Some(Copy::Extended);
                    return Ok(());
                }
                Ran::Rows(_, rows, complete) => {
                    portal.rows = rows.into_iter().map(|mut row| row.pop().unwrap_or_default()).collect();
                    tag = complete;
                }
                Ran::Tag(complete) => tag = complete,
                Ran::Empty => {
                    encode::empty_query(out);
                    return Ok(());
                }
            }
            portal.begun = true;
            // What ends a transaction has done so.
            self.executed = !matches!(portal.sql, Sql::Begin { .. } | Sql::Commit | Sql::Rollback);
        }
        let now = if limit == 0 { portal.rows.len() } else { limit.min(portal.rows.len()) };
        for value in portal.rows.drain(..now).collect::<Vec<_>>() {
            self.row(&[value], out);
        }
        if limit > 0 && now == limit {
            stand_in::portal_suspended(out);
        } else {
            encode::command_complete(out, &tag);
        }
        // A statement that ends a transaction has taken the portal with it.
        if let Some(kept) = self.portals.get_mut(&name) {
            *kept = portal;
        }
        Ok(())
    }
}
