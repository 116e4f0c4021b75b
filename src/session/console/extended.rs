//! The extended protocol at the console: as much of it as drivers use for a statement without parameters.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY>

use std::collections::HashMap;

use super::answer::{self, Refusal};
use super::command::{Command, parse};
use super::{Console, Stopped, readable};
use crate::session::client::Client;
use crate::session::failure::End;
use crate::wire::{self, Bind, Describe, Frontend, Kind, TransactionStatus, encode, parse_message};

/// Most statements, and portals, that are kept for a client.
const MOST: usize = 1_000;

/// A statement; `None` is the empty one.
type Statement = Option<Command>;

/// What a client has prepared.
#[derive(Debug, Default)]
pub(super) struct Desk {
    statements: HashMap<Box<[u8]>, Statement>,
    portals: HashMap<Box<[u8]>, Statement>,
    /// After an error, everything up to Sync is skipped.
    is_skipping: bool,
}

impl Desk {
    /// What was skipped is over.
    pub(super) fn resume(&mut self) {
        self.is_skipping = false;
    }

    fn find(&self, kind: Kind, name: &[u8]) -> Result<&Statement, Refusal> {
        let (known, code, what) = match kind {
            Kind::Statement => (&self.statements, "26000", "prepared statement"),
            Kind::Portal => (&self.portals, "34000", "portal"),
        };
        let name_shown = String::from_utf8_lossy(name);
        known.get(name).ok_or_else(|| Refusal::new(code, format!("{what} \"{name_shown}\" does not exist")))
    }

    fn keep(&mut self, kind: Kind, name: &[u8], statement: Statement) -> Result<(), Refusal> {
        let known = match kind {
            Kind::Statement => &mut self.statements,
            Kind::Portal => &mut self.portals,
        };
        if known.len() >= MOST && !known.contains_key(name) {
            return Err(Refusal::new("54000", format!("there are {MOST} of them already")));
        }
        known.insert(name.into(), statement);
        Ok(())
    }
}

impl Console {
    /// Deals with a message of the extended protocol.
    pub(super) async fn extended(
        &mut self,
        client: &mut Client,
        kind: Frontend,
        body: &[u8],
    ) -> Result<(), End> {
        if kind == Frontend::Sync {
            self.desk.is_skipping = false;
            // Portals end with their transaction.
            self.desk.portals.clear();
            encode::ready(&mut client.outbox, TransactionStatus::Idle);
            return Ok(());
        }
        if self.desk.is_skipping {
            return Ok(());
        }
        let done = match kind {
            Frontend::Parse => self.parse(client, body)?,
            Frontend::Bind => self.bind(client, body)?,
            Frontend::Describe => self.describe(client, body)?,
            Frontend::Close => self.close(client, body)?,
            Frontend::Execute => match self.execute(client, body).await {
                Ok(()) => Ok(()),
                Err(Stopped::Refused(refusal)) => Err(refusal),
                Err(Stopped::Ended(end)) => return Err(end),
            },
            // Flush: whatever there is to say is said when the next message is waited for.
            _ => Ok(()),
        };
        if let Err(refusal) = done {
            refusal.write(&mut client.outbox);
            self.desk.is_skipping = true;
        }
        Ok(())
    }

    fn parse(&mut self, client: &mut Client, body: &[u8]) -> Result<Result<(), Refusal>, End> {
        let message = parse_message(body)?;
        let understood = readable(message.text).and_then(|text| Ok(parse(text)?));
        Ok(understood.and_then(|mut commands| {
            if commands.len() > 1 {
                let text = "cannot insert multiple commands into a prepared statement";
                return Err(Refusal::new("42601", text));
            }
            self.desk.keep(Kind::Statement, message.name, commands.pop())?;
            encode::parse_complete(&mut client.outbox);
            Ok(())
        }))
    }

    fn bind(&mut self, client: &mut Client, body: &[u8]) -> Result<Result<(), Refusal>, End> {
        let names = Bind::read(body)?;
        let found = self.desk.find(Kind::Statement, names.statement).cloned();
        Ok(found.and_then(|statement| {
            self.desk.keep(Kind::Portal, names.portal, statement)?;
            encode::bind_complete(&mut client.outbox);
            Ok(())
        }))
    }

    fn describe(&self, client: &mut Client, body: &[u8]) -> Result<Result<(), Refusal>, End> {
        let wanted = Describe::read(body)?;
        Ok(self.desk.find(wanted.kind, wanted.name).map(|statement| {
            if wanted.kind == Kind::Statement {
                encode::no_parameters(&mut client.outbox);
            }
            let columns = statement.as_ref().map(answer::columns).unwrap_or_default();
            answer::describe(&mut client.outbox, columns);
        }))
    }

    fn close(&mut self, client: &mut Client, body: &[u8]) -> Result<Result<(), Refusal>, End> {
        let wanted = Describe::read(body)?;
        match wanted.kind {
            Kind::Statement => drop(self.desk.statements.remove(wanted.name)),
            Kind::Portal => drop(self.desk.portals.remove(wanted.name)),
        }
        encode::close_complete(&mut client.outbox);
        Ok(Ok(()))
    }

    async fn execute(&mut self, client: &mut Client, body: &[u8]) -> Result<(), Stopped> {
        let portal = wire::execute_portal(body).map_err(|error| Stopped::Ended(error.into()))?;
        let Some(command) = self.desk.find(Kind::Portal, portal)?.clone() else {
            encode::empty_query(&mut client.outbox);
            return Ok(());
        };
        let answer = self.run(client, &command).await?;
        answer::write(&mut client.outbox, &answer, command.tag());
        Ok(())
    }
}
