//! What a segment's statements may do, and which of the client's names they use.

use std::sync::Arc;

use bytes::BytesMut;

use super::failure::Failure;
use super::leased::Summary;
use super::segment::Ending;
use super::serve::Session;
use super::statements::{Known, Prepared};
use crate::routing::Wants;
use crate::sql::{Class, HintError, Hints, Leaves, Level};
use crate::wire::{self, Bind, Describe, Frontend, Kind, Parse, WireError, parse_message, query_text};

/// A segment as far as it was understood, before it is sent.
pub(super) struct Understood {
    pub(super) summary: Summary,
    pub(super) defined: Vec<Box<[u8]>>,
    /// The Parse whose name is taken, and what the client is told instead of the server's error.
    pub(super) taken: Option<(usize, BytesMut)>,
    /// A portal is executed that an earlier segment has bound.
    pub(super) foreign_portal: bool,
    pub(super) hint_error: Option<HintError>,
}

impl Session {
    /// Finds out what the segment's statements may do, and gives the client's names to those it prepares.
    pub(super) async fn understand(&mut self, inbox: &[u8], ending: Ending) -> Result<Understood, WireError> {
        let mut u = Understood {
            summary: Summary::nothing(),
            defined: Vec::new(),
            taken: None,
            foreign_portal: false,
            hint_error: None,
        };
        self.plan.clear();
        let mut bound = false;
        let readable = !self.settings.steering.unreadable;
        for i in 0..self.items.len() {
            let item = self.items[i];
            let body = &inbox[item.start + wire::HEADER_LEN..item.start + item.len];
            let mut about = None;
            match item.kind {
                Frontend::Query => {
                    let text = query_text(body)?;
                    self.names.forget_unnamed();
                    let (known, hints) = if readable {
                        self.proxy.statements.look_up(text).await
                    } else {
                        (self.proxy.statements.unreadable(), Ok(Hints::default()))
                    };
                    u.summary.count += u64::from(known.statement.count);
                    u.add(&known, &hints);
                }
                Frontend::Parse => {
                    let parse = parse_message(body)?;
                    let prepared = self.proxy.statements.prepare(parse.text, parse.types, readable).await;
                    self.define(i, &parse, &prepared, &mut u);
                    // What is prepared and not run here is at home where it will be run.
                    u.add(&prepared.known, &prepared.hints);
                    about = Some(prepared);
                }
                Frontend::Bind => {
                    bound = true;
                    about = self.names.get(Bind::read(body)?.statement).cloned();
                    match &about {
                        Some(prepared) => u.add(&prepared.known, &prepared.hints),
                        None => u.summary.unknown(),
                    }
                }
                Frontend::Describe | Frontend::Close => {
                    let describe = Describe::read(body)?;
                    if describe.kind == Kind::Statement {
                        about = self.names.get(describe.name).cloned();
                        if item.kind == Frontend::Close {
                            self.names.remove(describe.name);
                        }
                    }
                }
                Frontend::Execute => {
                    u.summary.count += 1;
                    u.foreign_portal |= !bound;
                }
                Frontend::FunctionCall => {
                    u.summary.count += 1;
                    u.summary.unknown();
                }
                _ => {}
            }
            self.plan.push(about);
        }
        if matches!(ending, Ending::Open) || u.foreign_portal {
            u.summary.unknown();
        }
        Ok(u)
    }

    /// Gives the client's name to a statement. A name that is taken is the client's mistake.
    fn define(&mut self, item: usize, parse: &Parse<'_>, prepared: &Arc<Prepared>, u: &mut Understood) {
        if !parse.name.is_empty() && self.names.get(parse.name).is_some() {
            let text =
                format!("prepared statement \"{}\" already exists", String::from_utf8_lossy(parse.name));
            let mut error = BytesMut::new();
            Failure::error("42P05", text).write(&mut error);
            u.taken.get_or_insert((item, error));
            return;
        }
        self.names.set(parse.name, Arc::clone(prepared));
        u.defined.push(parse.name.into());
    }
}

impl Summary {
    pub(super) fn nothing() -> Self {
        Self {
            wants: Wants::Read,
            intent: None,
            level: None,
            scope: None,
            refused_before: false,
            may_write: false,
            leaves: Leaves::default(),
            count: 0,
            known: None,
        }
    }

    /// A part that may do anything.
    pub(super) fn unknown(&mut self) {
        self.wants = strictest(self.wants, Wants::Unknown);
        self.may_write = true;
    }
}

impl Understood {
    /// One more statement of the segment.
    fn add(&mut self, known: &Arc<Known>, hints: &Result<Hints, HintError>) {
        let s = &mut self.summary;
        s.wants = strictest(s.wants, wants(&known.statement.class));
        s.may_write |= known.may_write();
        s.leaves |= known.statement.leaves;
        s.refused_before |= known.was_refused();
        s.known.get_or_insert_with(|| Arc::clone(known));
        match hints {
            Ok(hints) => {
                s.intent = hints.intent.or(s.intent);
                s.level = hints.consistency.or(s.level);
                s.scope = hints.scope.or(s.scope);
            }
            Err(error) => {
                // A hint that cannot be followed never opens a replica.
                s.level = Some(Level::Primary);
                self.hint_error = Some(error.clone());
            }
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

fn strictest(a: Wants, b: Wants) -> Wants {
    let rank = |w| match w {
        Wants::Read => 0,
        Wants::ReadOnlyTransaction => 1,
        Wants::SessionState => 2,
        Wants::Transaction => 3,
        Wants::Unknown => 4,
        Wants::Write => 5,
    };
    if rank(a) >= rank(b) { a } else { b }
}
