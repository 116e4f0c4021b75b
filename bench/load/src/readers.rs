//! Readers with a short pause between their reads, with or without a writer to the same table.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;
use tokio_postgres::Client;

use crate::arguments::Arguments;
use crate::figures::{Times, json};
use crate::link::{self, Error};
use crate::random::Random;

const TABLE: &str = "readers";

struct Load {
    until: Instant,
    pause: Duration,
    acknowledged: Cell<u64>,
    written: Cell<usize>,
    times: RefCell<Times>,
    on_replicas: Cell<usize>,
    stale: Cell<usize>,
}

pub async fn run(arguments: &Arguments) -> Result<String, Error> {
    let proxy: String = arguments.one("proxy")?;
    let readers: usize = arguments.one("readers")?;
    let writes_per_second: f64 = arguments.one("writes_per_second")?;
    let mut clients = Vec::new();
    for _ in 0..=readers {
        clients.push(link::connect(&proxy).await?);
    }
    let writer = clients.pop().filter(|_| writes_per_second > 0.0);
    let begun = Instant::now();
    let load = Rc::new(Load {
        until: begun + arguments.seconds()?,
        pause: Duration::from_secs_f64(arguments.one::<f64>("think_ms")? / 1000.0),
        acknowledged: Cell::new(0),
        written: Cell::new(0),
        times: RefCell::default(),
        on_replicas: Cell::new(0),
        stale: Cell::new(0),
    });
    let set = LocalSet::new();
    let mut tasks: Vec<_> = (0..)
        .zip(clients)
        .map(|(number, client)| set.spawn_local(read(Rc::clone(&load), client, number)))
        .collect();
    if let Some(client) = writer {
        tasks.push(set.spawn_local(write(Rc::clone(&load), client, writes_per_second)));
    }
    set.await;
    for task in tasks {
        task.await??;
    }
    let mut times = load.times.borrow_mut();
    Ok(json(&[
        ("reads", times.len() as f64),
        ("rate", times.len() as f64 / begun.elapsed().as_secs_f64()),
        ("writes_per_second", load.written.get() as f64 / begun.elapsed().as_secs_f64()),
        ("share", 100.0 * load.on_replicas.get() as f64 / times.len().max(1) as f64),
        ("stale", load.stale.get() as f64),
        ("p50", times.percentile(50.0)),
        ("p99", times.percentile(99.0)),
    ]))
}

async fn read(load: Rc<Load>, client: Client, number: u64) -> Result<(), String> {
    let mut random = Random::new(number);
    while Instant::now() < load.until {
        tokio::time::sleep(random.pause(load.pause)).await;
        let acknowledged = load.acknowledged.get();
        let sent = Instant::now();
        let seen = link::read(&client, TABLE, 0).await.map_err(|error| error.to_string())?;
        load.times.borrow_mut().add(sent.elapsed());
        load.on_replicas.set(load.on_replicas.get() + usize::from(seen.on_replica));
        load.stale.set(load.stale.get() + usize::from(seen.value < acknowledged));
    }
    Ok(())
}

async fn write(load: Rc<Load>, client: Client, per_second: f64) -> Result<(), String> {
    let mut random = Random::new(1000);
    while Instant::now() < load.until {
        tokio::time::sleep(random.pause(Duration::from_secs_f64(1.0 / per_second))).await;
        let value = link::fresh_value();
        link::write(&client, TABLE, 0, value).await.map_err(|error| error.to_string())?;
        load.acknowledged.set(value);
        load.written.set(load.written.get() + 1);
    }
    Ok(())
}
