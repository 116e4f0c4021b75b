//! The extended protocol at the console: as much of it as drivers use for a statement without parameters.
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-EXT-QUERY>

use std::collections::HashMap;

use super::answer::{self, Refusal};
use super::command::{Command, parse};
use super::{Console, Stopped, readable};
use crate::session::client::Client;
use crate::session::failure::End;
use crate::wire::{
    self, Bind, Describe, Frontend, Kind, ResultFormats, TransactionStatus, encode, parse_message,
};

/// Most statements, and portals, that are kept for a client.
const MOST: usize = 1_000;

/// A statement; `None` is the empty one.
type Statement = Option<Command>;

/// A statement, and the forms in which its values are wanted.
type Portal = (Statement, ResultFormats);

/// What a client has prepared.
#[derive(Debug, Default)]
pub(super) struct Desk {
    statements: HashMap<Box<[u8]>, Statement>,
    portals: HashMap<Box<[u8]>, Portal>,
    /// After an error, everything up to Sync is skipped.
    is_skipping: bool,
}

impl Desk {
    /// What was skipped is over.
    pub(super) fn resume(&mut self) {
        self.is_skipping = false;
    }

    fn statement(&self, name: &[u8]) -> Result<&Statement, Refusal> {
        self.statements.get(name).ok_or_else(|| none("26000", "prepared statement", name))
    }

    fn portal(&self, name: &[u8]) -> Result<&Portal, Refusal> {
        self.portals.get(name).ok_or_else(|| none("34000", "portal", name))
    }
}

fn none(code: &'static str, what: &str, name: &[u8]) -> Refusal {
    Refusal::new(code, format!("{what} \"{}\" does not exist", String::from_utf8_lossy(name)))
}

/// Keeps something under a name, if there are not too many of its kind.
fn keep<T>(known: &mut HashMap<Box<[u8]>, T>, name: &[u8], value: T) -> Result<(), Refusal> {
    if known.len() >= MOST && !known.contains_key(name) {
        return Err(Refusal::new("54000", format!("there are {MOST} of them already")));
    }
    known.insert(name.into(), value);
    Ok(())
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
            keep(&mut self.desk.statements, message.name, commands.pop())?;
            encode::parse_complete(&mut client.outbox);
            Ok(())
        }))
    }

    fn bind(&mut self, client: &mut Client, body: &[u8]) -> Result<Result<(), Refusal>, End> {
        let (names, formats) = (Bind::read(body)?, ResultFormats::read(body)?);
        let found = self.desk.statement(names.statement).cloned();
        Ok(found.and_then(|statement| {
            keep(&mut self.desk.portals, names.portal, (statement, formats))?;
            encode::bind_complete(&mut client.outbox);
            Ok(())
        }))
    }

    fn describe(&self, client: &mut Client, body: &[u8]) -> Result<Result<(), Refusal>, End> {
        let wanted = Describe::read(body)?;
        // The forms of a statement's values are not known before it is bound, and said to be text.
        let found = match wanted.kind {
            Kind::Statement => self.desk.statement(wanted.name).map(|statement| {
                encode::no_parameters(&mut client.outbox);
                (statement, ResultFormats::default())
            }),
            Kind::Portal => {
                self.desk.portal(wanted.name).map(|(statement, formats)| (statement, formats.clone()))
            }
        };
        Ok(found.map(|(statement, formats)| {
            let columns = statement.as_ref().map(answer::columns).unwrap_or_default();
            answer::describe(&mut client.outbox, &columns, &formats);
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
        let (Some(command), formats) = self.desk.portal(portal)?.clone() else {
            encode::empty_query(&mut client.outbox);
            return Ok(());
        };
        let answer = self.run(client, &command).await?;
        answer::write(&mut client.outbox, &answer, &command, &formats);
        Ok(())
    }
}
