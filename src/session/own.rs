//! What clients say to Tidegate itself: its settings, and its answers to `SHOW tidegate.last_route` and
//! `EXPLAIN (ROUTE)`.

use std::sync::Arc;

use super::client::Client;
use super::explain::Taken;
use super::failure::{End, Failure};
use super::known::Known;
use super::leased::Leased;
use super::segment::{Ending, Item};
use super::serve::Session;
use super::statements::Prepared;
use super::understand::Understood;
use crate::sql::{Class, Intent, Level, Own, Scope, explained};
use crate::wire::{self, Describe, Frontend, Kind, TransactionStatus, WireError, encode, query_text};

/// The settings a session can give, with the words they take.
const SETTINGS: [(&str, &[&str]); 4] = [
    ("intent", Intent::WORDS),
    ("consistency", Level::WORDS),
    ("scope", Scope::WORDS),
    ("trace", &["on", "off", "true", "false", "yes", "no", "1", "0"]),
];

/// What can only be shown.
const LAST_ROUTE: &str = "last_route";

/// What is wrong with giving a setting this value; its name is in lower case and without the prefix `tidegate.`.
pub(super) fn mistake(name: &str, value: &str) -> Option<Failure> {
    let Some((_, words)) = SETTINGS.iter().find(|(known, _)| *known == name) else {
        if name == LAST_ROUTE {
            let text = format!("parameter \"tidegate.{name}\" cannot be changed");
            return Some(Failure::error("55P02", text));
        }
        let text = format!("unrecognized configuration parameter \"tidegate.{name}\"");
        let hint = "There are tidegate.intent, tidegate.consistency, tidegate.scope and tidegate.trace.";
        return Some(Failure::error("42704", text).with_hint(hint));
    };
    let known = words.iter().any(|word| word.eq_ignore_ascii_case(value));
    let list = words.join(", ");
    let text = format!("invalid value for parameter \"tidegate.{name}\": \"{value}\" (one of: {list})");
    (!known).then(|| Failure::error("22023", text))
}

/// The value of a switch, if it is one.
pub(super) fn switch(value: &str) -> bool {
    ["on", "true", "yes", "1"].iter().any(|word| word.eq_ignore_ascii_case(value))
}

/// A question that the proxy answers itself.
#[derive(Clone, Copy)]
enum Question {
    LastRoute,
    ExplainRoute,
}

impl Question {
    /// The name of the answer's column.
    fn column(self) -> &'static str {
        match self {
            Question::LastRoute => "tidegate.last_route",
            Question::ExplainRoute => "QUERY PLAN",
        }
    }

    /// What the answer's end calls the command.
    fn tag(self) -> &'static str {
        match self {
            Question::LastRoute => "SHOW",
            Question::ExplainRoute => "EXPLAIN",
        }
    }
}

fn question(known: &Known) -> Option<Question> {
    let Class::Own(own) = &known.statement.class else { return None };
    match &**own {
        Own::Show { name } if **name == *LAST_ROUTE => Some(Question::LastRoute),
        Own::ExplainRoute => Some(Question::ExplainRoute),
        _ => None,
    }
}

impl Session {
    /// Answers a segment that asks the proxy and nobody else; false when it is the server's business.
    pub(super) async fn answer_question(
        &mut self,
        client: &mut Client,
        u: &Understood,
        ending: Ending,
    ) -> Result<bool, End> {
        let status = self.leased.as_ref().map_or(TransactionStatus::Idle, |l| l.exchange.status());
        let unsynced = self.leased.as_ref().is_some_and(|l| l.exchange.is_unsynced());
        if unsynced || status == TransactionStatus::Failed || u.foreign_portal || !self.only_asks(u, ending) {
            return Ok(false);
        }
        if let Some(leased) = &mut self.leased {
            leased.hand_over(client);
        }
        if let (Ending::Query, Some(known)) = (ending, &u.summary.known) {
            let item = self.items[0];
            let text = query_text(wire::body(&client.inbox[item.start..], item.len))?.to_vec();
            if let Some(about) = question(known) {
                encode::text_columns(&mut client.outbox, &[about.column()]);
                self.rows(client, about, &text).await;
            }
        } else {
            self.answer_messages(client).await?;
        }
        if matches!(ending, Ending::Query | Ending::Sync) {
            encode::ready(&mut client.outbox, status);
        }
        Ok(true)
    }

    /// Whether every message of the segment is about a question, or only ends it.
    fn only_asks(&self, u: &Understood, ending: Ending) -> bool {
        // The first statement that runs tells for nearly every segment. One that only describes has none.
        if u.summary.known.as_ref().is_some_and(|known| question(known).is_none()) {
            return false;
        }
        if ending == Ending::Query {
            return u.summary.known.is_some();
        }
        let asks =
            |about: &Option<Arc<Prepared>>| about.as_ref().is_some_and(|p| question(&p.known()).is_some());
        let fits = |(item, about): (&Item, &Option<Arc<Prepared>>)| match item.kind {
            Frontend::Parse | Frontend::Bind => asks(about),
            Frontend::Describe | Frontend::Execute | Frontend::Close | Frontend::Sync | Frontend::Flush => {
                about.is_none() || asks(about)
            }
            _ => false,
        };
        matches!(ending, Ending::Sync | Ending::Flush)
            && self.plan.iter().any(asks)
            && self.items.iter().zip(&self.plan).all(fits)
    }

    /// Answers the messages of the extended protocol one by one, as a server would.
    async fn answer_messages(&mut self, client: &mut Client) -> Result<(), WireError> {
        let mut asked = None;
        for i in 0..self.items.len() {
            let item = self.items[i];
            if let Some(prepared) = &self.plan[i] {
                asked = question(&prepared.known()).map(|about| (about, Arc::clone(prepared)));
            }
            let Some((about, prepared)) = &asked else { continue };
            match item.kind {
                Frontend::Parse => encode::parse_complete(&mut client.outbox),
                Frontend::Bind => encode::bind_complete(&mut client.outbox),
                Frontend::Describe => {
                    let body = wire::body(&client.inbox[item.start..], item.len);
                    if Describe::read(body)?.kind == Kind::Statement {
                        encode::no_parameters(&mut client.outbox);
                    }
                    encode::text_columns(&mut client.outbox, &[about.column()]);
                }
                Frontend::Execute => {
                    let (about, text) = (*about, prepared.text.clone());
                    self.rows(client, about, &text).await;
                }
                Frontend::Close => encode::close_complete(&mut client.outbox),
                _ => {}
            }
        }
        Ok(())
    }

    /// The rows of the answer and its tag.
    async fn rows(&mut self, client: &mut Client, about: Question, text: &[u8]) {
        let lines = match (about, &self.last_route) {
            (Question::ExplainRoute, _) => self.explain_route(text).await,
            (Question::LastRoute, Some(route)) => self.lines(route),
            (Question::LastRoute, None) => vec!["no statement was routed yet".to_owned()],
        };
        for line in lines {
            encode::text_row(&mut client.outbox, &[&line]);
        }
        encode::command_complete(&mut client.outbox, about.tag());
    }

    /// Where the explained statement would go at this moment.
    async fn explain_route(&mut self, text: &[u8]) -> Vec<String> {
        let inner = std::str::from_utf8(text).ok().and_then(explained).unwrap_or_default().to_owned();
        let summary = self.summary_of(inner.as_bytes()).await;
        let held = self.leased.as_ref().map(Leased::held);
        let decision = self.decide(&summary, held, None);
        let taken = if held.is_some() { Taken::from(decision) } else { self.carry_out(decision) };
        let node = self.leased.as_ref().map(|leased| leased.node.node().id);
        let last = self.last_route.take();
        let route = self.route(&summary, self.required(&summary), taken, node);
        self.last_route = last;
        self.lines(&route)
    }
}
