//! What clients say to Tidegate itself: its settings, and its answers to `SHOW tidegate.…` and `EXPLAIN (ROUTE)`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::client::Client;
use super::explain::Taken;
use super::failure::{End, Failure};
use super::known::Known;
use super::leased::Leased;
use super::pins::PinView;
use super::rules::Defaults;
use super::segment::{Ending, Item};
use super::serve::Session;
use super::statements::Prepared;
use super::understand::Understood;
use crate::freshness::Position;
use crate::sql::{Class, Intent, Level, Logged, OnStale, Own, Scope, explained};
use crate::wire::{self, Describe, Frontend, Kind, TransactionStatus, WireError, encode, query_text};

/// What a setting takes.
#[derive(Clone, Copy)]
enum Takes {
    /// One word out of these, as this reads it.
    Word(&'static [&'static str], fn(&str) -> bool),
    /// A token, or nothing.
    Token,
    /// Anything.
    Text,
}

/// The settings a session can give.
const SETTINGS: [(&str, Takes); 8] = [
    ("intent", Takes::Word(Intent::WORDS, |text| Intent::parse(text).is_some())),
    ("consistency", Takes::Word(Level::WORDS, |text| Level::parse(text).is_some())),
    ("scope", Takes::Word(Scope::WORDS, |text| Scope::parse(text).is_some())),
    ("key", Takes::Text),
    ("on_stale", Takes::Word(OnStale::WORDS, |text| OnStale::parse(text).is_some())),
    ("after", Takes::Token),
    ("log", Takes::Word(Logged::WORDS, |text| Logged::parse(text).is_some())),
    ("trace", Takes::Word(SWITCH, |text| SWITCH.iter().any(|word| word.eq_ignore_ascii_case(text)))),
];

/// How a switch is written, on before off.
const SWITCH: &[&str] = &["on", "true", "yes", "1", "off", "false", "no", "0"];

/// What can only be shown.
const LAST_ROUTE: &str = "last_route";
const TOKEN: &str = "token";
/// Also as `SHOW PINS`: PostgreSQL has no setting of that name.
const PINS: &str = "pins";

/// What is wrong with giving a setting this value; its name is in lower case and without the prefix `tidegate.`.
pub(super) fn mistake(name: &str, value: &str) -> Option<Failure> {
    let Some((_, takes)) = SETTINGS.iter().find(|(known, _)| *known == name) else {
        if [LAST_ROUTE, TOKEN, PINS].contains(&name) {
            let text = format!("parameter \"tidegate.{name}\" cannot be changed");
            return Some(Failure::error("55P02", text));
        }
        let text = format!("unrecognized configuration parameter \"tidegate.{name}\"");
        let hint = "There are tidegate.intent, tidegate.consistency, tidegate.scope, tidegate.key, \
                    tidegate.on_stale, tidegate.after, tidegate.log and tidegate.trace.";
        return Some(Failure::error("42704", text).with_hint(hint));
    };
    let invalid = |what: &dyn std::fmt::Display| {
        let text = format!("invalid value for parameter \"tidegate.{name}\": \"{value}\" ({what})");
        Some(Failure::error("22023", text))
    };
    match takes {
        Takes::Word(words, is_one) if !is_one(value) => {
            invalid(&format_args!("one of: {}", words.join(", ")))
        }
        Takes::Token if !value.is_empty() => {
            value.parse::<Position>().err().and_then(|error| invalid(&error))
        }
        _ => None,
    }
}

/// The value of a switch, if it is one.
pub(super) fn switch(value: &str) -> bool {
    SWITCH[..4].iter().any(|word| word.eq_ignore_ascii_case(value))
}

/// A question that the proxy answers itself.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    LastRoute,
    ExplainRoute,
    Token,
    Pins,
    /// What is in force of one of [`SETTINGS`].
    Setting(&'static str),
}

impl Question {
    /// The names of the answer's columns.
    fn columns(self) -> Vec<Cow<'static, str>> {
        match self {
            Question::LastRoute => vec!["tidegate.last_route".into()],
            Question::Token => vec!["tidegate.token".into()],
            Question::Setting(name) => vec![format!("tidegate.{name}").into()],
            Question::ExplainRoute => vec!["QUERY PLAN".into()],
            Question::Pins => PinView::COLUMNS.map(Cow::from).to_vec(),
        }
    }

    /// What the answer's end calls the command.
    fn tag(self) -> &'static str {
        match self {
            Question::LastRoute | Question::Token | Question::Pins | Question::Setting(_) => "SHOW",
            Question::ExplainRoute => "EXPLAIN",
        }
    }
}

/// The columns of the answer.
fn describe(client: &mut Client, about: Question) {
    let columns = about.columns();
    let columns: Vec<_> = columns.iter().map(|column| &**column).collect();
    encode::text_columns(&mut client.outbox, &columns);
}

fn question(known: &Known) -> Option<Question> {
    let Class::Own(own) = &known.statement.class else { return None };
    match &**own {
        Own::Show { name } if **name == *LAST_ROUTE => Some(Question::LastRoute),
        Own::Show { name } if **name == *TOKEN => Some(Question::Token),
        Own::Show { name } if **name == *PINS => Some(Question::Pins),
        Own::Show { name } => {
            SETTINGS.iter().find(|(known, _)| *known == &**name).map(|(known, _)| Question::Setting(known))
        }
        Own::ExplainRoute => Some(Question::ExplainRoute),
        _ => None,
    }
}

impl Session {
    /// Whether a segment asks the proxy and nobody else.
    pub(super) fn is_question(&self, u: &Understood, ending: Ending) -> bool {
        let status = self.leased.as_ref().map_or(TransactionStatus::Idle, |l| l.exchange.status());
        let unsynced = self.leased.as_ref().is_some_and(|l| l.exchange.is_unsynced());
        let has_to_fail = unsynced || status == TransactionStatus::Failed || u.foreign_portal;
        !has_to_fail && self.only_asks(u, ending)
    }

    /// Answers a segment that [is a question](Session::is_question).
    pub(super) async fn answer_question(
        &mut self,
        client: &mut Client,
        u: &Understood,
        ending: Ending,
    ) -> Result<(), End> {
        let status = self.leased.as_ref().map_or(TransactionStatus::Idle, |l| l.exchange.status());
        if let Some(leased) = &mut self.leased {
            leased.hand_over(client);
        }
        if let (Ending::Query, Some(known)) = (ending, &u.summary.known) {
            let item = self.items[0];
            let text = query_text(wire::body(&client.inbox[item.start..], item.len))?.to_vec();
            if let Some(about) = question(known) {
                describe(client, about);
                if let Err(failure) = self.rows(client, about, &text).await {
                    self.database.stats.proxy_error(&failure.code);
                    failure.write(&mut client.outbox);
                }
            }
        } else if let Err(failure) = self.answer_messages(client).await? {
            self.database.stats.proxy_error(&failure.code);
            failure.write(&mut client.outbox);
            self.skipping = ending == Ending::Flush;
        }
        if matches!(ending, Ending::Query | Ending::Sync) {
            encode::ready(&mut client.outbox, status);
        }
        Ok(())
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
    async fn answer_messages(&mut self, client: &mut Client) -> Result<Result<(), Failure>, WireError> {
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
                    describe(client, *about);
                }
                Frontend::Execute => {
                    let (about, text) = (*about, prepared.text.clone());
                    if let Err(failure) = self.rows(client, about, &text).await {
                        return Ok(Err(failure));
                    }
                }
                Frontend::Close => encode::close_complete(&mut client.outbox),
                _ => {}
            }
        }
        Ok(Ok(()))
    }

    /// The rows of the answer and its tag.
    async fn rows(&mut self, client: &mut Client, about: Question, text: &[u8]) -> Result<(), Failure> {
        if about == Question::Pins {
            let own =
                |pin: &PinView| pin.database == self.database.settings.name && pin.user == self.user.name;
            for pin in self.proxy.pins.all().iter().filter(|pin| own(pin)) {
                encode::text_row(&mut client.outbox, &pin.cells().each_ref().map(String::as_str));
            }
            encode::command_complete(&mut client.outbox, about.tag());
            return Ok(());
        }
        let lines = match (about, &self.last_route) {
            (Question::ExplainRoute, _) => self.explain_route(text).await?,
            (Question::Token, _) => vec![self.token().await?],
            (Question::Setting(name), _) => vec![self.in_force(name)],
            (Question::LastRoute, Some(route)) => self.lines(route),
            (Question::LastRoute, None) => vec!["no statement was routed yet".to_owned()],
            (Question::Pins, _) => Vec::new(),
        };
        for line in lines {
            encode::text_row(&mut client.outbox, &[&line]);
        }
        encode::command_complete(&mut client.outbox, about.tag());
        Ok(())
    }

    /// A token of everything that was acknowledged until now.
    async fn token(&self) -> Result<String, Failure> {
        let token = self.database.cluster.token().await;
        token.map(|token| token.to_string()).map_err(|lost| Failure::error("57P03", lost.to_string()))
    }

    /// What is in force of a setting, by whatever it was set.
    pub(super) fn in_force(&mut self, name: &str) -> String {
        self.stand_under_rules();
        let Defaults { intent, level, scope, on_stale, .. } = self.defaults(None);
        match name {
            "intent" => intent.map_or_else(String::new, |intent| intent.to_string()),
            "consistency" => level.to_string(),
            "scope" => scope.to_string(),
            "on_stale" => on_stale.to_string(),
            "log" => self.settings.steering.log.to_string(),
            "trace" => if self.settings.steering.trace { "on" } else { "off" }.to_owned(),
            _ => self.settings.own(name).unwrap_or_default().to_owned(),
        }
    }

    /// Where the explained statement would go at this moment.
    async fn explain_route(&mut self, text: &[u8]) -> Result<Vec<String>, Failure> {
        let inner = std::str::from_utf8(text).ok().and_then(explained).unwrap_or_default().to_owned();
        let mut summary = self.summary_of(inner.as_bytes()).await;
        self.require(&mut summary, Ending::Query).await?;
        let held = self.leased.as_ref().map(Leased::held);
        let decision = self.decide(&summary, held, None, Duration::ZERO);
        let taken = if held.is_some() { Taken::from(decision) } else { self.carry_out(decision) };
        let node = self.leased.as_ref().map(|leased| leased.node.node().id);
        let last = self.last_route.take();
        let now = self.database.cluster.clock.now();
        let route = self.route(&summary, taken, node, now, self.view.clone());
        self.last_route = last;
        Ok(self.lines(&route))
    }
}
