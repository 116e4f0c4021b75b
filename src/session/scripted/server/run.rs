//! Running a statement.

use bytes::BytesMut;

use super::{Failed, Fault, Pinning, Ran, Server, Sql, Statement, ends_transaction, read, stand_in};
use crate::wire::TransactionStatus;

impl Server {
    /// The columns of its rows, if it has any.
    pub(super) fn columns(&self, sql: &Sql) -> Option<Vec<&'static str>> {
        match sql {
            Sql::Value(_) | Sql::Parameter | Sql::Rows(..) | Sql::Fail => Some(vec!["v"]),
            Sql::Show(_) => Some(vec!["setting"]),
            Sql::SetConfig { .. } | Sql::Restore { .. } => Some(vec!["set_config"]),
            Sql::AskPins(_) => Some(vec!["pin"]),
            Sql::AskSettings(_) => Some(vec!["name", "setting"]),
            Sql::Execute(name) => match &self.statements.get(name.as_bytes())?.sql {
                Sql::Execute(_) => None,
                sql => self.columns(sql),
            },
            _ => None,
        }
    }

    pub(super) fn run(&mut self, sql: &Sql, several: bool, out: &mut BytesMut) -> Result<Ran, Failed> {
        if self.state.status == TransactionStatus::Failed && !ends_transaction(sql) && *sql != Sql::Empty {
            return Err("25P02");
        }
        if (self.is_standby || self.state.read_only) && writes(sql) {
            return Err("25006");
        }
        let in_block = several || self.executed;
        self.state.touch();
        let tag = |tag: &str| Ok(Ran::Tag(tag.to_owned()));
        let rows = |values: Vec<Vec<String>>, columns| {
            let tag = format!("SELECT {}", values.len());
            Ok(Ran::Rows(columns, values, tag))
        };
        let columns = self.columns(sql).unwrap_or_default();
        match sql {
            Sql::Empty => Ok(Ran::Empty),
            Sql::Begin { .. } | Sql::Commit | Sql::Rollback => tag(self.transaction(sql)),
            Sql::Savepoint(_) | Sql::Release(_) | Sql::RollbackTo(_) => self.savepoint(sql),
            Sql::Value(value) => rows(vec![vec![value.clone()]], columns),
            Sql::Rows(count, value) => rows((0..*count).map(|_| vec![value.clone()]).collect(), columns),
            Sql::Parameter => Err("42P02"),
            Sql::Fail => Err("22012"),
            Sql::CopyIn => {
                stand_in::copy_in(out);
                Ok(Ran::Copying)
            }
            Sql::CopyOut(value) => {
                stand_in::copy_out(out);
                stand_in::copy_data(out, value.as_bytes());
                stand_in::copy_done(out);
                tag("COPY 1")
            }
            Sql::Show(_)
            | Sql::Set { .. }
            | Sql::SetConfig { .. }
            | Sql::Restore { .. }
            | Sql::Reset(_)
            | Sql::ResetAll => self.settings(sql),
            Sql::DiscardAll => {
                if in_block || self.state.status != TransactionStatus::Idle {
                    return Err("25001");
                }
                if self.fault != Some(Fault::StickySetting) {
                    self.state.discard_all();
                }
                self.statements.clear();
                self.portals.clear();
                tag("DISCARD ALL")
            }
            Sql::Nothing(word) => tag(word),
            _ => self.keep(sql, out),
        }
    }

    /// What shows and changes settings.
    fn settings(&mut self, sql: &Sql) -> Result<Ran, Failed> {
        let tag = |tag: &str| Ok(Ran::Tag(tag.to_owned()));
        let rows = |values: Vec<Vec<String>>, columns| {
            let tag = format!("SELECT {}", values.len());
            Ok(Ran::Rows(columns, values, tag))
        };
        let columns = self.columns(sql).unwrap_or_default();
        match sql {
            Sql::Show(name) => match self.state.get(name) {
                Some(value) => Ok(Ran::Rows(columns, vec![vec![value]], "SHOW".to_owned())),
                None => Err("42704"),
            },
            Sql::Set { name, value, local } => {
                if self.state.set(name, value.clone(), *local) {
                    tag("SET")
                } else {
                    Err("42704")
                }
            }
            Sql::SetConfig { name, value, local } => {
                if !self.state.set(name, value.clone(), *local) {
                    return Err("42704");
                }
                rows(vec![vec![value.clone()]], columns)
            }
            Sql::Restore { settings, local } => {
                let lacks = |name: &str| {
                    if name.contains('.') {
                        self.state.get(name) == Some(String::new())
                    } else {
                        !self.state.is_set(name)
                    }
                };
                let lacking: Vec<_> = settings.iter().filter(|(name, _)| lacks(name)).cloned().collect();
                for (name, value) in &lacking {
                    self.state.set(name, value.clone(), *local);
                }
                rows(lacking.into_iter().map(|(_, value)| vec![value]).collect(), columns)
            }
            Sql::Reset(_) | Sql::ResetAll if self.fault == Some(Fault::StickySetting) => tag("RESET"),
            Sql::Reset(name) => {
                if self.state.reset(name) {
                    tag("RESET")
                } else {
                    Err("42704")
                }
            }
            Sql::ResetAll => {
                self.state.reset_all();
                tag("RESET")
            }
            _ => Err("0A000"),
        }
    }

    /// What stays in the session, and who asks for it.
    fn keep(&mut self, sql: &Sql, out: &mut BytesMut) -> Result<Ran, Failed> {
        let tag = |tag: &str| Ok(Ran::Tag(tag.to_owned()));
        match sql {
            Sql::Listen(channel) => {
                self.state.channels().insert(channel.clone());
                tag("LISTEN")
            }
            Sql::Unlisten => {
                self.state.channels().clear();
                tag("UNLISTEN")
            }
            Sql::CreateTemp(table) => {
                if self.state.temps().insert(table.clone()) {
                    tag("CREATE TABLE")
                } else {
                    Err("42P07")
                }
            }
            Sql::DropTemp(table) => {
                if self.state.temps().remove(table) {
                    tag("DROP TABLE")
                } else {
                    Err("42P01")
                }
            }
            Sql::Prepare(name, text) => {
                if self.statements.contains_key(name.as_bytes()) {
                    return Err("42P05");
                }
                self.statements.insert(name.clone().into(), Statement { sql: read(text), from_sql: true });
                tag("PREPARE")
            }
            Sql::Deallocate(None) => {
                self.statements.clear();
                tag("DEALLOCATE ALL")
            }
            Sql::Deallocate(Some(name)) => match self.statements.remove(name.as_bytes()) {
                Some(_) => tag("DEALLOCATE"),
                None => Err("26000"),
            },
            Sql::Execute(name) => {
                // In docs/limits.md: a COPY that was prepared with the protocol has no name in SQL.
                let is_known = |statement: &&Statement| statement.from_sql || statement.sql != Sql::CopyIn;
                let statement =
                    self.statements.get(name.as_bytes()).filter(is_known).cloned().ok_or("26000")?;
                if matches!(statement.sql, Sql::Execute(_)) {
                    return Err("0A000");
                }
                self.run(&statement.sql, true, out)
            }
            Sql::AskPins(asked) => {
                let there: Vec<_> = asked.iter().filter(|(_, about)| self.has(*about)).collect();
                let rows: Vec<_> = there.into_iter().map(|(label, _)| vec![label.clone()]).collect();
                let tag = format!("SELECT {}", rows.len());
                Ok(Ran::Rows(vec!["pin"], rows, tag))
            }
            Sql::AskSettings(custom) => {
                let mut found = self.state.listed();
                let identity = [("role", "none"), ("session_authorization", "app")];
                for (name, usual) in identity {
                    found.extend(self.state.get(name).filter(|v| v != usual).map(|v| (name.to_owned(), v)));
                }
                for (name, tells_empty) in custom {
                    let value = self.state.get(name).unwrap_or_default();
                    if *tells_empty || !value.is_empty() {
                        found.push((name.clone(), value));
                    }
                }
                let rows: Vec<_> = found.into_iter().map(|(name, value)| vec![name, value]).collect();
                let tag = format!("SELECT {}", rows.len());
                Ok(Ran::Rows(vec!["name", "setting"], rows, tag))
            }
            _ => Err("0A000"),
        }
    }

    fn has(&mut self, what: Pinning) -> bool {
        match what {
            Pinning::Temp => !self.state.temps().is_empty(),
            Pinning::Listen => !self.state.channels().is_empty(),
            Pinning::Prepare => self.statements.values().any(|statement| statement.from_sql),
            Pinning::Never => false,
        }
    }

    /// Where no transaction is open PostgreSQL warns, and no more.
    fn transaction(&mut self, sql: &Sql) -> &'static str {
        let failed = self.state.status == TransactionStatus::Failed;
        match sql {
            Sql::Begin { read_only } => {
                self.state.status = TransactionStatus::Open;
                self.state.read_only |= read_only;
                return "BEGIN";
            }
            Sql::Commit if !failed => self.state.commit(),
            _ => self.state.roll_back(),
        }
        self.portals.clear();
        if failed || *sql == Sql::Rollback { "ROLLBACK" } else { "COMMIT" }
    }

    fn savepoint(&mut self, sql: &Sql) -> Result<Ran, Failed> {
        if self.state.status == TransactionStatus::Idle {
            return Err("25P01");
        }
        let (found, tag) = match sql {
            Sql::Savepoint(name) => {
                self.state.savepoint(name);
                (true, "SAVEPOINT")
            }
            Sql::Release(name) => (self.state.release(name), "RELEASE"),
            Sql::RollbackTo(name) => (self.state.roll_back_to(name), "ROLLBACK"),
            _ => (false, ""),
        };
        if found { Ok(Ran::Tag(tag.to_owned())) } else { Err("3B001") }
    }
}

/// What no standby takes. (A primary would, of some of it, in a READ ONLY transaction; through the proxy that depends on where
/// the transaction runs.)
fn writes(sql: &Sql) -> bool {
    matches!(sql, Sql::CopyIn | Sql::Listen(_) | Sql::Unlisten | Sql::CreateTemp(_) | Sql::DropTemp(_))
}
