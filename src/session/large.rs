//! Messages too long to be held whole: they pass in pieces, unread, to the primary.

use super::client::Client;
use super::exchange::Owed;
use super::failure::{End, Failure};
use super::leased::Fate;
use super::segment::{Ending, Item};
use super::serve::Session;
use super::summary::Summary;
use super::understand::Understood;
use crate::server::Unnamed;
use crate::sql::Leaves;
use crate::sql::catalog::Does;
use crate::wire::{self, Bind, Frontend};

impl Session {
    /// A message that is not held whole passes in pieces. False when its beginning has not arrived yet.
    pub(super) async fn take_large(
        &mut self,
        client: &mut Client,
        kind: Frontend,
        len: usize,
    ) -> Result<bool, End> {
        let head = match kind {
            Frontend::CopyData => {
                self.pass_away(len);
                return Ok(true);
            }
            Frontend::Bind => match Bind::read(wire::body(&client.inbox, len)) {
                Ok(_) => len.min(client.inbox.len()),
                Err(_) if client.inbox.len() < 4096 => return Ok(false),
                Err(error) => return Err(error.into()),
            },
            Frontend::Query | Frontend::FunctionCall => 0,
            _ => {
                return Err(Failure::fatal(
                    "54000",
                    format!("a {kind:?} message of {len} bytes is too long"),
                )
                .into());
            }
        };
        if self.skipping {
            self.pass_away(len);
            return Ok(true);
        }
        self.renamed.clear();
        if kind != Frontend::Bind && self.cut_pipeline(Ending::Query) {
            return Ok(true);
        }
        let mut summary = self.blanks.take();
        summary.unknown();
        if kind == Frontend::Query {
            summary.does |= Does::CHANGES_CATALOG;
        }
        summary.count = u64::from(kind != Frontend::Bind);
        if let Err(end) = self.send_large(client, kind, len, head, summary).await {
            let End::Failure(failure) = end else { return Err(end) };
            if failure.severity != wire::Severity::Error {
                return Err(failure.into());
            }
            self.pass_away(len);
            self.fail(client, &failure, if kind == Frontend::Bind { Ending::Open } else { Ending::Query });
        }
        Ok(true)
    }

    async fn send_large(
        &mut self,
        client: &mut Client,
        kind: Frontend,
        len: usize,
        head: usize,
        mut summary: Box<Summary>,
    ) -> Result<(), End> {
        let item = Item { kind, start: 0, len };
        self.items.clear();
        self.plan.clear();
        let mut names = 0;
        if kind == Frontend::Bind {
            let bind = Bind::read(wire::body(&client.inbox[..head], len))?;
            names = wire::HEADER_LEN + bind.names_len();
            let about = self.names.get(bind.statement).cloned();
            // Its text could be looked at again, but a message this long pays for one question more.
            summary.leaves |= Leaves::ANYTHING;
            if let Some(prepared) = &about {
                let known = prepared.known();
                summary.leaves |= known.statement.leaves;
                self.settings.named(&known.statement.setting_names);
            }
            self.plan.push(about);
            self.items.push(item);
        } else if kind == Frontend::Query {
            self.names.forget_unnamed();
        }
        // Nothing is in the segment but the head of this message: its rest follows byte by byte.
        let u = Understood::unread(summary);
        self.send(client, u, names, Ending::Open, None).await?;
        if let (Some(leased), true) = (&mut self.leased, kind != Frontend::Bind) {
            leased.exchange.sent(Owed::Ready { by_sync: false });
            if kind == Frontend::Query {
                leased.lease.prepared.set_unnamed(Unnamed::Absent);
            }
            // Nobody has read what it says, so nobody vouches for the session it leaves behind.
            leased.fate = Fate::Closed;
        }
        self.pass_on(len - names);
        Ok(())
    }
}
