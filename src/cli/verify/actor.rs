//! One actor: an application with a pool of connections, the only writer of one register and one list.
//!
//! It writes them on one connection or another and reads them back, and reads its own and others' in between. What it
//! sees is judged by the book.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::args::Path;
use super::book::Book;
use super::errand::{Errand, Errands, Written};
use super::link::{Answer, Link, Tables, Thing};
use super::plan::Plan;
use super::route::Route;
use super::tally::Example;
use super::trouble::Trouble;
use crate::history::{SessionId, Ticket, Verdict};

/// One read in so many is asked where it was served.
const SAMPLE: u32 = 20;
/// Pause after an error.
const RETRY: Duration = Duration::from_millis(200);

/// What all actors of a run have in common.
pub(super) struct Scene {
    pub(super) plan: Plan,
    pub(super) tables: Tables,
    pub(super) errands: Errands,
    /// Whether the proxy says where statements went.
    pub(super) tells_routes: bool,
    pub(super) book: Book,
}

/// One actor.
pub(super) struct Actor {
    number: usize,
    scene: Arc<Scene>,
    links: Vec<Option<Link>>,
    written: Written,
    writes: u32,
    reads: u32,
}

impl Actor {
    /// It writes the register and the list of its own number.
    pub(super) fn new(number: usize, scene: Arc<Scene>) -> Self {
        let links = (0..scene.plan.links()).map(|_| None).collect();
        let written = Written { thing: Thing { actor: number, is_list: false }, value: 1, link: 0 };
        Self { number, scene, links, written, writes: 0, reads: 0 }
    }

    /// Works until it is told to stop. What fails is counted.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() {
            let pause = match self.step().await {
                Ok(()) => self.scene.plan.think.mul_f64(2.0 * rand::random::<f64>()),
                Err(trouble) => {
                    self.failed(&trouble);
                    RETRY
                }
            };
            if !pause.is_zero() {
                // An error means that nobody is left to tell it to stop, which timeout then waits out.
                let _ = tokio::time::timeout(pause, stopping.wait_for(|stop| *stop)).await;
            }
        }
    }

    fn failed(&self, trouble: &Trouble) {
        let Scene { plan, book, .. } = &*self.scene;
        let is_early = trouble.is_missing_table() && plan.tables_may_be_missing(book.elapsed());
        book.count(|tally| {
            if is_early {
                tally.early += 1;
            } else {
                tally.failed(trouble.code(), || trouble.to_string());
            }
        });
    }

    /// One write and the read that follows it, or one read.
    async fn step(&mut self) -> Result<(), Trouble> {
        if !rand::random_ratio(self.scene.plan.writes, 100) {
            let (percent, any) = (rand::random_range(0..100), rand::random_range(0..usize::MAX));
            let errand = self.scene.errands.between(self.written, percent, any);
            return self.read(errand).await;
        }
        self.write().await?;
        let errand = self.scene.errands.back(self.written, self.writes);
        self.writes = self.writes.wrapping_add(1);
        self.read(errand).await
    }

    /// Writes the register or the list, in turn, on one of the connections to the actor's own proxy.
    async fn write(&mut self) -> Result<(), Trouble> {
        let thing = Thing { actor: self.number, is_list: !self.written.thing.is_list };
        let link = rand::random_range(0..2);
        let session = self.connect(link).await?;
        let scene = Arc::clone(&self.scene);
        let value = scene.book.writing(thing, session);
        let begun = Instant::now();
        self.on(link, async |link| link.write(thing, value).await).await?;
        let gone = scene.book.wrote(thing, value, session, begun.elapsed());
        self.written = Written { thing, value, link };
        match gone {
            Some(up_to) => self.on(link, async |link| link.trim(thing, up_to).await).await,
            None => Ok(()),
        }
    }

    async fn read(&mut self, errand: Errand) -> Result<(), Trouble> {
        let Errand { thing, link, path } = errand;
        let token = match path {
            Path::Token => {
                let writer = self.written.link;
                self.connect(writer).await?;
                Some(self.on(writer, async |link| link.token().await).await?)
            }
            Path::Same | Path::Cross => None,
        };
        let session = self.connect(link).await?;
        let scene = Arc::clone(&self.scene);
        let ticket = scene.book.reading(session, thing, token.is_some().then_some(self.written.value));
        let begun = Instant::now();
        let answer = self
            .on(link, async |link| match &token {
                Some(token) => link.read_after(token, thing, ticket.base).await,
                None => link.read(thing, ticket.base).await,
            })
            .await?;
        let judged = scene.book.read(&ticket, &answer, path, begun.elapsed());
        let answered_at = scene.book.elapsed();
        self.reads = self.reads.wrapping_add(1);
        let is_sample = self.reads.is_multiple_of(SAMPLE);
        let wanted = judged.filter(|(verdict, wanted)| *wanted && !verdict.kinds.is_empty());
        let route = if is_sample || wanted.is_some() { self.last_route(link).await } else { None };
        if let Some(route) = route.as_ref().filter(|_| is_sample) {
            scene.book.count(|tally| tally.sample(route));
        }
        if let Some((verdict, _)) = wanted {
            self.keep(errand, &ticket, &verdict, &answer, (answered_at, route.as_ref()));
        }
        Ok(())
    }

    /// Where the read went. What was found about it counts also where this fails.
    async fn last_route(&mut self, link: usize) -> Option<Route> {
        if !self.scene.tells_routes {
            return None;
        }
        match self.on(link, async |link| link.last_route().await).await {
            Ok(route) => route,
            Err(trouble) => {
                self.failed(&trouble);
                None
            }
        }
    }

    /// Keeps what was wrong with a read as examples.
    fn keep(
        &self,
        errand: Errand,
        ticket: &Ticket,
        verdict: &Verdict,
        answer: &Answer,
        (answered_at, route): (Duration, Option<&Route>),
    ) {
        let Thing { actor, is_list } = errand.thing;
        let plan = &self.scene.plan;
        let proxy = &plan.proxies[plan.proxy_of(self.number, errand.link)].shown;
        for kind in verdict.kinds.iter() {
            let example = Example {
                kind,
                thing: format!("{} {actor}", if is_list { "list" } else { "register" }),
                path: errand.path,
                place: format!("connection {} to {proxy}", self.session(errand.link).0),
                limits: verdict.limits,
                seen: match answer {
                    Answer::Value(value) => value.to_string(),
                    Answer::Elements(elements) => format!("{elements:?} after {}", ticket.base),
                },
                sent_at: ticket.sent_at,
                answered_at,
                route: route.cloned(),
            };
            self.scene.book.count(|tally| tally.keep(example));
        }
    }

    fn session(&self, link: usize) -> SessionId {
        SessionId(self.number * self.links.len() + link)
    }

    /// Sees to it that this connection is there.
    async fn connect(&mut self, link: usize) -> Result<SessionId, Trouble> {
        let session = self.session(link);
        if self.links[link].is_none() {
            let plan = &self.scene.plan;
            let proxy = &plan.proxies[plan.proxy_of(self.number, link)];
            self.links[link] = Some(Link::open(proxy, &self.scene.tables, self.number).await?);
            self.scene.book.reconnected(session);
            if link == self.written.link {
                // A token of the new connection need not know what was written on the old one.
                self.written.value = 0;
            }
        }
        Ok(session)
    }

    /// Says something on a connection, and gives the connection up if it is in doubt afterwards.
    async fn on<T>(
        &mut self,
        number: usize,
        say: impl AsyncFnOnce(&Link) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let Some(link) = &self.links[number] else { return Err(Trouble::Nonsense("not connected")) };
        let said = say(link).await;
        if said.as_ref().is_err_and(|trouble| !trouble.leaves_connection()) {
            self.links[number] = None;
        }
        said
    }
}
