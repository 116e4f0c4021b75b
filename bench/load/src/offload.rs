//! A moderate mix of single-row reads and writes: where the reads are served, and which are stale.
//!
//! Each actor picks a table at random and takes the next pooled connection for every statement, so that a read after a write
//! uses another one. Every other read asks for the row that was written last in its table: that is where staleness shows.
//! An answer is stale if it is older than a write of that row that was acknowledged before the read was sent.
//!
//! Without a proxy, a router with a fixed window is played here: reads go to the primary for so long after a write of the
//! same user's session, or of anybody, and to a random replica otherwise.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;
use tokio_postgres::Client;

use crate::arguments::Arguments;
use crate::figures::{Times, json};
use crate::link::{self, Error};
use crate::random::Random;

const ACTORS: usize = 16;
/// More than actors: the connection that an actor has just given back is not the one it gets next.
const CONNECTIONS: usize = 24;
/// Users whose sessions share the actors. A window is kept per session.
const SESSIONS: usize = 1000;
/// Not counted at the start.
const WARM_UP: Duration = Duration::from_millis(200);

/// One pooled connection: to the proxy, or to every node.
struct Link {
    primary: Client,
    replicas: Vec<Client>,
}

/// Until when the reads of a session, or of all, go to the primary.
struct Windows {
    length: Duration,
    until: Vec<Cell<Instant>>,
}

struct Row {
    acknowledged: Cell<u64>,
}

struct Table {
    name: String,
    rows: Vec<Row>,
    written_last: Cell<usize>,
}

#[derive(Default)]
struct Counts {
    times: Times,
    writes: usize,
    on_replicas: usize,
    stale: usize,
}

struct Load {
    links: RefCell<VecDeque<Rc<Link>>>,
    windows: Option<Windows>,
    tables: Vec<Table>,
    writes: f64,
    pause: Duration,
    counted_from: Instant,
    until: Instant,
    counts: RefCell<Counts>,
}

pub async fn run(arguments: &Arguments) -> Result<String, Error> {
    let mut links = VecDeque::new();
    for _ in 0..CONNECTIONS {
        links.push_back(Rc::new(open(arguments).await?));
    }
    let (rate, writes): (f64, f64) = (arguments.one("rate")?, arguments.one("writes")?);
    let tables: usize = arguments.one("tables")?;
    let begun = Instant::now();
    let load = Rc::new(Load {
        links: RefCell::new(links),
        windows: windows(arguments, rate * writes / 100.0, begun)?,
        tables: (0..tables).map(Table::new).collect(),
        writes,
        pause: Duration::from_secs_f64(ACTORS as f64 / rate),
        counted_from: begun + WARM_UP,
        until: begun + WARM_UP + arguments.seconds()?,
        counts: RefCell::default(),
    });
    let set = LocalSet::new();
    let actors: Vec<_> = (0..ACTORS).map(|actor| set.spawn_local(act(Rc::clone(&load), actor))).collect();
    set.await;
    for actor in actors {
        actor.await??;
    }
    let mut counts = load.counts.borrow_mut();
    let reads = counts.times.len();
    Ok(json(&[
        ("reads", reads as f64),
        ("writes", counts.writes as f64),
        ("rate", (reads + counts.writes) as f64 / load.counted_from.elapsed().as_secs_f64()),
        ("share", 100.0 * counts.on_replicas as f64 / reads.max(1) as f64),
        ("stale", counts.stale as f64),
        ("p50", counts.times.percentile(50.0)),
        ("p99", counts.times.percentile(99.0)),
    ]))
}

async fn open(arguments: &Arguments) -> Result<Link, Error> {
    if let Some(proxy) = arguments.all("proxy").first() {
        return Ok(Link { primary: link::connect(proxy).await?, replicas: Vec::new() });
    }
    let mut replicas = Vec::new();
    for replica in arguments.all("replica") {
        replicas.push(link::connect(&replica).await?);
    }
    Ok(Link { primary: link::connect(&arguments.one::<String>("primary")?).await?, replicas })
}

/// Windows as they are when the load has been running for long: the last write of each session lies as far back as
/// it would.
fn windows(arguments: &Arguments, writes_per_second: f64, now: Instant) -> Result<Option<Windows>, Error> {
    let sessions = match arguments.all("window").first().map(String::as_str) {
        None => return Ok(None),
        Some("session") => SESSIONS,
        Some("database") => 1,
        Some(other) => return Err(format!("window={other}: session or database is wanted").into()),
    };
    let length = Duration::from_millis(arguments.one("window_ms")?);
    let between = Duration::from_secs_f64(sessions as f64 / writes_per_second);
    let mut random = Random::new(4711);
    let mut end = || (now + length).checked_sub(random.pause(between)).unwrap_or(now);
    Ok(Some(Windows { length, until: (0..sessions).map(|_| Cell::new(end())).collect() }))
}

impl Table {
    fn new(number: usize) -> Self {
        Self {
            name: format!("offload_{number}"),
            rows: (0..ACTORS).map(|_| Row { acknowledged: Cell::new(0) }).collect(),
            written_last: Cell::new(0),
        }
    }
}

async fn act(load: Rc<Load>, actor: usize) -> Result<(), String> {
    let mut random = Random::new(actor as u64);
    let mut due = Instant::now();
    loop {
        due += random.pause(load.pause);
        if due >= load.until {
            return Ok(());
        }
        tokio::time::sleep_until(due.into()).await;
        let link = load.links.borrow_mut().pop_front().ok_or("there are fewer connections than actors")?;
        let done = if random.percent(load.writes) {
            load.write(&link, actor, &mut random).await
        } else {
            load.read(&link, &mut random).await
        };
        done.map_err(|error| error.to_string())?;
        load.links.borrow_mut().push_back(link);
    }
}

impl Load {
    /// Each row is written by one actor only, so that its values grow.
    async fn write(&self, link: &Link, row: usize, random: &mut Random) -> Result<(), Error> {
        let table = &self.tables[random.below(self.tables.len())];
        let value = link::fresh_value();
        link::write(&link.primary, &table.name, row, value).await?;
        table.rows[row].acknowledged.set(value);
        table.written_last.set(row);
        if let Some(windows) = &self.windows {
            let session = random.below(windows.until.len());
            windows.until[session].set(Instant::now() + windows.length);
        }
        self.counts.borrow_mut().writes += usize::from(Instant::now() >= self.counted_from);
        Ok(())
    }

    async fn read(&self, link: &Link, random: &mut Random) -> Result<(), Error> {
        let table = &self.tables[random.below(self.tables.len())];
        let row = if random.percent(50.0) { table.written_last.get() } else { random.below(ACTORS) };
        let client = self.route(link, random);
        let acknowledged = table.rows[row].acknowledged.get();
        let begun = Instant::now();
        let seen = link::read(client, &table.name, row).await?;
        if begun >= self.counted_from {
            let mut counts = self.counts.borrow_mut();
            counts.times.add(begun.elapsed());
            counts.on_replicas += usize::from(seen.on_replica);
            counts.stale += usize::from(seen.value < acknowledged);
        }
        Ok(())
    }

    /// Where a read goes.
    fn route<'a>(&self, link: &'a Link, random: &mut Random) -> &'a Client {
        let Some(windows) = &self.windows else { return &link.primary };
        let session = random.below(windows.until.len());
        if Instant::now() < windows.until[session].get() {
            return &link.primary;
        }
        &link.replicas[random.below(link.replicas.len())]
    }
}
