//! What a segment's statements may do, and which of the client's names they use.

use std::sync::Arc;

use bytes::BytesMut;

use super::failure::Failure;
use super::known::Known;
use super::pins::PINNING;
use super::rules::Defaults;
use super::segment::Ending;
use super::serve::Session;
use super::statements::{Prepared, Statements};
use super::summary::{Summary, strictest};
use crate::freshness::PositionError;
use crate::routing::{Doubt, Wants};
use crate::sql::catalog::{Does, Tables};
use crate::sql::{Cause, Class, HintError, Hints, Intent, Leaves, Level, Touched};
use crate::wire::{
    self, Bind, Describe, Frontend, Kind, Parse, TransactionStatus, WireError, parse_message, query_text,
};

/// A segment as far as it was understood, before it is sent.
#[allow(clippy::struct_excessive_bools, reason = "two independent facts about portals")]
pub(super) struct Understood {
    pub(super) summary: Box<Summary>,
    /// The Parse whose name cannot be given, and what the client is told instead of the server's error.
    pub(super) taken: Option<(usize, BytesMut)>,
    /// A statement of the client's that is run by its name in SQL.
    pub(super) by_name: Option<(String, Arc<Prepared>)>,
    /// A portal was bound in this segment.
    bound: bool,
    /// A portal is executed that an earlier segment has bound.
    pub(super) foreign_portal: bool,
    pub(super) hint_error: Option<HintError>,
    /// A hint gives something else than a token.
    pub(super) no_token: Option<PositionError>,
    /// Why it must not be run: it would change a setting that is locked.
    pub(super) denied: Option<Box<Failure>>,
    /// Hints about settings that are locked were ignored.
    pub(super) ignores_hints: bool,
    catalog_is_behind: bool,
}

impl Session {
    /// Finds out what the segment's statements may do, and gives the client's names to those it prepares.
    pub(super) async fn understand(&mut self, inbox: &[u8], ending: Ending) -> Result<Understood, WireError> {
        self.stand_under_rules();
        let generation = self.database.cluster.catalog.generation();
        let catalog_is_behind = self.database.cluster.catalog.is_behind();
        let mut u = Understood { catalog_is_behind, ..Understood::unread(self.blanks.take()) };
        u.summary.generation = generation;
        self.plan.clear();
        self.renamed.clear();
        for i in 0..self.items.len() {
            let item = self.items[i];
            let body = &inbox[item.start + wire::HEADER_LEN..item.start + item.len];
            let about = self.understand_one(i, item.kind, body, &mut u).await?;
            self.plan.push(about);
        }
        if matches!(ending, Ending::Open) || u.foreign_portal {
            u.summary.unknown();
        }
        if let Some((_, prepared)) = &u.by_name {
            let known = prepared.known();
            u.summary.leave(&known.statement);
            self.names_settings(&known, &mut u);
        }
        let keeps_opening = ending == Ending::Query && u.summary.count == 1;
        u.summary.doubt = u.summary.doubt.or(self.doubt());
        if u.summary.leaves.contains(Leaves::SEQUENCE) {
            self.asks_for_sequence();
        }
        if self.settings.steering.temp_path {
            u.summary.wants = strictest(u.summary.wants, Wants::SessionState);
        }
        let serializable = self.settings.steering.serializable || self.database.cluster.is_serializable();
        if u.summary.wants == Wants::ReadOnlyTransaction && (!keeps_opening || serializable) {
            // A standby refuses serializable transactions; and one that began in another way than by a single simple
            // query could not be moved to the primary when it turns out to need it.
            u.summary.wants = Wants::Transaction;
        }
        Ok(u)
    }

    /// One message of the segment; returns the prepared statement it is about.
    async fn understand_one(
        &mut self,
        number: usize,
        kind: Frontend,
        body: &[u8],
        u: &mut Understood,
    ) -> Result<Option<Arc<Prepared>>, WireError> {
        match kind {
            Frontend::Query => {
                let text = query_text(body)?;
                // A simple query destroys the unnamed statement.
                if self.names.get(b"").is_some() {
                    self.renamed.push(self.names.take(b""));
                }
                let (known, hints) = if text.len() + 1 == body.len() {
                    self.look_up(text).await
                } else {
                    // There is more behind the text's end: the server refuses it.
                    self.proxy.statements.unreadable()
                };
                u.summary.count += u64::from(known.statement.count);
                self.names_settings(&known, u);
                u.by_name = self.run_by_name(&known, text);
                u.add(&known, &hints, self.defaults(Some(&known)));
            }
            Frontend::Parse => {
                let parse = parse_message(body)?;
                let ground = self.ground();
                let readable = self.is_readable(parse.text);
                let (statements, catalog) = (&self.proxy.statements, &self.database.cluster.catalog);
                let prepared = match statements.prepared(&parse, &ground, catalog, readable) {
                    Some(prepared) => prepared,
                    None => Box::pin(statements.prepare(&parse, &ground, catalog, readable)).await,
                };
                self.define(number, &parse, &prepared, u);
                // What is prepared and not run here is at home where it will be run.
                let known = prepared.known();
                u.add(&known, &prepared.hints, self.defaults(Some(&known)));
                return Ok(Some(prepared));
            }
            Frontend::Bind => {
                u.bound = true;
                let about = self.names.get(Bind::read(body)?.statement).cloned();
                match &about {
                    Some(prepared) => {
                        let known = self.refreshed(prepared).await;
                        self.names_settings(&known, u);
                        u.add(&known, &prepared.hints, self.defaults(Some(&known)));
                        u.by_name = self.run_by_name(&known, &prepared.text);
                    }
                    None => u.summary.unknown(),
                }
                return Ok(about);
            }
            Frontend::Describe | Frontend::Close => {
                let describe = Describe::read(body)?;
                if describe.kind == Kind::Statement {
                    let about = self.names.get(describe.name).cloned();
                    if kind == Frontend::Close && u.taken.is_none() {
                        self.renamed.push(self.names.take(describe.name));
                    }
                    return Ok(about);
                }
            }
            Frontend::Execute => {
                u.summary.count += 1;
                u.foreign_portal |= !u.bound;
            }
            Frontend::FunctionCall => {
                u.summary.count += 1;
                u.summary.leaves |= Leaves::ANYTHING;
                u.summary.unknown();
            }
            _ => {}
        }
        Ok(None)
    }

    /// Notes the settings that a statement is about.
    fn names_settings(&mut self, known: &Known, u: &mut Understood) {
        if known.statement.setting_names.is_empty() {
            return;
        }
        self.settings.named(&known.statement.setting_names);
        if u.denied.is_none() {
            u.denied = self.locked_change(known).map(Box::new);
        }
    }

    /// Whether the lexer can follow a text: in some encodings a byte of a character can look like another character, but
    /// never where there are only ASCII ones.
    pub(super) fn is_readable(&self, text: &[u8]) -> bool {
        !self.settings.steering.unreadable || text.is_ascii()
    }

    /// What is known of a text, for this session.
    async fn look_up(&mut self, text: &[u8]) -> (Arc<Known>, Result<Hints, HintError>) {
        if !self.is_readable(text) {
            return self.proxy.statements.unreadable();
        }
        let ground = self.ground();
        let (statements, catalog) = (&self.proxy.statements, &self.database.cluster.catalog);
        match statements.known(text, &ground, catalog) {
            Some(found) => found,
            None => Box::pin(statements.look_up(text, &ground, catalog)).await,
        }
    }

    /// What is known of a prepared statement: the catalog may have changed since it was prepared.
    async fn refreshed(&mut self, prepared: &Prepared) -> Arc<Known> {
        let known = prepared.known();
        if known.is_current(&self.database.cluster.catalog) || !self.is_readable(&prepared.text) {
            return known;
        }
        let (known, _) = Box::pin(self.look_up(&prepared.text)).await;
        prepared.learn(&known);
        known
    }

    /// Why no statement of this session should be tried on a replica.
    fn doubt(&self) -> Option<Doubt> {
        let standing = self.standing.as_ref();
        standing.is_some_and(|standing| standing.serializable).then_some(Doubt::Serializable)
    }

    /// What a text would need if it were a segment by itself.
    pub(super) async fn summary_of(&mut self, text: &[u8]) -> Box<Summary> {
        let generation = self.database.cluster.catalog.generation();
        let mut u = Understood::unread(Box::default());
        u.summary.generation = generation;
        u.catalog_is_behind = self.database.cluster.catalog.is_behind();
        let (known, hints) = self.look_up(text).await;
        u.add(&known, &hints, self.defaults(Some(&known)));
        u.summary.doubt = u.summary.doubt.or(self.doubt());
        u.summary
    }

    /// The client's statement that SQL text runs by its name.
    fn run_by_name(&self, known: &Known, text: &[u8]) -> Option<(String, Arc<Prepared>)> {
        if known.statement.class != Class::Unknown || self.names.is_empty() {
            return None;
        }
        let name = Statements::executed(text)?;
        let prepared = Arc::clone(self.names.get(name.as_bytes())?);
        // What takes the name off again would end up in the COPY data.
        let known = prepared.known();
        let copies = known.statement.cause == Cause::Copy && known.statement.class == Class::Write;
        (!copies).then_some((name, prepared))
    }

    /// Gives the client's name to a statement, if it can be given.
    fn define(&mut self, item: usize, parse: &Parse<'_>, prepared: &Arc<Prepared>, u: &mut Understood) {
        if u.taken.is_some() {
            return;
        }
        let known = prepared.known();
        let class = &known.statement.class;
        let has_failed =
            self.leased.as_ref().is_some_and(|l| l.exchange.status() == TransactionStatus::Failed);
        let is_sound = !known.statement.is_unread() && known.statement.count < 2;
        // PostgreSQL looks at the name last. A server that has the statement already would not be asked.
        let is_ignored = has_failed
            && is_sound
            && !parse.name.is_empty()
            && !matches!(class, Class::End | Class::Savepoint);
        let refused =
            if is_ignored { Some(Failure::in_failed_transaction()) } else { self.names.refuse(parse.name) };
        if let Some(failure) = refused {
            let mut error = BytesMut::new();
            failure.write(&mut error);
            u.taken = Some((item, error));
            return;
        }
        self.renamed.push(self.names.set(parse.name, Arc::clone(prepared)));
    }
}

impl Understood {
    /// One more statement of the segment, and what holds for it where its hints say nothing.
    fn add(&mut self, known: &Arc<Known>, hints: &Result<Hints, HintError>, defaults: Defaults) {
        let s = &mut self.summary;
        s.wants = strictest(s.wants, wants(&known.statement.class));
        s.does |= known.does();
        s.touched.reads = s.touched.reads.and(&known.reads());
        s.touched.writes = s.touched.writes.and(&known.writes());
        s.leave(&known.statement);
        s.doubt = s.doubt.or(known.was_refused().then_some(Doubt::RefusedBefore));
        if known.depends_on_catalog() && self.catalog_is_behind {
            s.doubt = s.doubt.or(Some(Doubt::Catalog));
            // What was known of its names may be wrong in every respect: a function that only read may write by now.
            s.does |= Does::WRITES;
            s.touched = Touched { reads: Tables::Any, writes: Tables::Any };
            s.leaves |= Leaves::ANYTHING;
        }
        if known.statement.is_opaque() {
            s.leaves |= Leaves::ANYTHING;
        }
        if known.statement.leaves.intersects(PINNING) {
            // What binds the session to a connection binds it to the primary.
            s.wants = strictest(s.wants, Wants::SessionState);
        }
        let first = s.known.is_none();
        s.known.get_or_insert_with(|| Arc::clone(known));
        let allowed;
        let hints = match hints {
            Ok(given) if !defaults.locked.is_empty() && !given.is_empty() => {
                allowed = defaults.locked.allowed(given);
                self.ignores_hints |= allowed != *given;
                Ok(&allowed)
            }
            given => given.as_ref(),
        };
        match hints {
            Ok(hints) => {
                s.intent = match (s.intent, hints.intent.or(defaults.intent)) {
                    (Some(Intent::Primary), _) | (_, Some(Intent::Primary)) => Some(Intent::Primary),
                    // Who vouches for one statement does not vouch for its neighbours.
                    (before, now) => now.filter(|_| first || before == now),
                };
                let level = hints.consistency.unwrap_or(defaults.level);
                s.level = Some(s.level.map_or(level, |before| before.and(level)));
                s.see(hints, &defaults);
                s.log = s.log.or(hints.log);
                s.trace = s.trace.or(hints.trace);
                let on_stale = hints.on_stale.unwrap_or(defaults.on_stale);
                s.on_stale = Some(s.on_stale.map_or(on_stale, |before| before.and(on_stale)));
                match hints.after.as_deref().map(str::parse) {
                    Some(Ok(position)) => s.after.push(position),
                    Some(Err(error)) => self.no_token = Some(error),
                    None => {}
                }
            }
            Err(error) => {
                // A hint that cannot be followed never opens a replica.
                s.level = Some(Level::Primary);
                self.hint_error = Some(error.clone());
            }
        }
    }

    /// What is known of a segment that is not read, or not yet.
    pub(super) fn unread(summary: Box<Summary>) -> Self {
        Self {
            summary,
            taken: None,
            by_name: None,
            bound: false,
            foreign_portal: false,
            hint_error: None,
            no_token: None,
            denied: None,
            ignores_hints: false,
            catalog_is_behind: false,
        }
    }
}

fn wants(class: &Class) -> Wants {
    match class {
        Class::Read => Wants::Read,
        Class::Begin(begin) if begin.read_only => Wants::ReadOnlyTransaction,
        Class::Begin(_) | Class::End | Class::Savepoint => Wants::Transaction,
        Class::Own(_) | Class::Session => Wants::SessionState,
        Class::Write => Wants::Write,
        Class::Unknown => Wants::Unknown,
    }
}
