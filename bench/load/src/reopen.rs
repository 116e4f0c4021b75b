//! How long after a write a replica serves its table again, while others write to other tables all the time.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::LocalSet;
use tokio_postgres::Client;

use crate::arguments::Arguments;
use crate::figures::{Times, json};
use crate::link::{self, Error};
use crate::random::Random;

const TABLE: &str = "probe";
/// A gate that stays closed for longer is counted as this.
const LONGEST: Duration = Duration::from_secs(2);

/// Shared by the probe and the writers.
struct Load {
    until: Instant,
    written: Cell<usize>,
}

#[derive(Default)]
struct Found {
    /// From the acknowledgement until a replica's answer was there.
    answered: Times,
    /// From the acknowledgement until that read was sent: the gate was open by then, or a little later.
    sent: Times,
    /// One statement that the primary serves, for comparison.
    trip: Times,
    within_3: usize,
    stale: usize,
}

pub async fn run(arguments: &Arguments) -> Result<String, Error> {
    let proxy: String = arguments.one("proxy")?;
    let (writers, rate): (usize, f64) = (arguments.one("writers")?, arguments.one("rate")?);
    let seconds = arguments.seconds()?;
    let (writing, reading) = (link::connect(&proxy).await?, link::connect(&proxy).await?);
    let mut clients = Vec::new();
    for _ in 0..writers {
        clients.push(link::connect(&proxy).await?);
    }
    let begun = Instant::now();
    let load = Rc::new(Load { until: begun + seconds, written: Cell::new(0) });
    let pause = if rate > 0.0 { Duration::from_secs_f64(writers as f64 / rate) } else { Duration::ZERO };
    let set = LocalSet::new();
    let tasks: Vec<_> = (0..)
        .zip(clients)
        .map(|(number, client)| set.spawn_local(hammer(Rc::clone(&load), client, number, pause)))
        .collect();
    let mut found = set.run_until(probe(&load, &writing, &reading)).await?;
    let took = begun.elapsed().as_secs_f64();
    set.await;
    for task in tasks {
        task.await??;
    }
    Ok(json(&[
        ("count", found.answered.len() as f64),
        ("p50", found.answered.percentile(50.0)),
        ("p90", found.answered.percentile(90.0)),
        ("p99", found.answered.percentile(99.0)),
        ("max", found.answered.percentile(100.0)),
        ("sent_p50", found.sent.percentile(50.0)),
        ("sent_p99", found.sent.percentile(99.0)),
        ("trip_p50", found.trip.percentile(50.0)),
        ("trip_p99", found.trip.percentile(99.0)),
        ("within_3", 100.0 * found.within_3 as f64 / found.answered.len().max(1) as f64),
        ("stale", found.stale as f64),
        ("writes_per_second", load.written.get() as f64 / took),
    ]))
}

/// Writes to a table of its own every 20 to 50 ms, and then reads it back to back until a replica answers.
async fn probe(load: &Load, writing: &Client, reading: &Client) -> Result<Found, Error> {
    let mut random = Random::new(1);
    let mut found = Found::default();
    while Instant::now() < load.until {
        tokio::time::sleep(Duration::from_millis(20) + Duration::from_millis(30).mul_f64(random.unit()))
            .await;
        let value = link::fresh_value();
        link::write(writing, TABLE, 0, value).await?;
        let acknowledged = Instant::now();
        loop {
            let sent = Instant::now();
            let seen = link::read(reading, TABLE, 0).await?;
            found.stale += usize::from(seen.value < value);
            let waited = acknowledged.elapsed();
            if seen.on_replica || waited > LONGEST {
                found.answered.add(waited);
                found.sent.add(sent - acknowledged);
                found.within_3 += usize::from(waited <= Duration::from_millis(3));
                break;
            }
            found.trip.add(sent.elapsed());
        }
    }
    Ok(found)
}

/// Writes to another table, at Poisson intervals or without a pause.
async fn hammer(load: Rc<Load>, client: Client, number: u64, pause: Duration) -> Result<(), String> {
    let mut random = Random::new(100 + number);
    let table = format!("hammer_{number}");
    let mut due = Instant::now();
    while Instant::now() < load.until {
        if !pause.is_zero() {
            due += random.pause(pause);
            tokio::time::sleep_until(due.min(load.until).into()).await;
        }
        link::write(&client, &table, 0, link::fresh_value()).await.map_err(|error| error.to_string())?;
        load.written.set(load.written.get() + 1);
    }
    Ok(())
}
