//! One actor: an application of one user with a pool of two connections.
//!
//! It writes its own counter over one connection and reads it back over the other, and reads this and that over both.
//! Whoever reads a counter, the actor's own or another's, checks it: it must not be older than what had been
//! acknowledged, to anybody, when the read began.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_postgres::{Client, Config, NoTls, Statement};

use super::stage::PRODUCTS;
use super::tally::Tally;

/// One step in so many writes and reads back: with the read that follows, a tenth of all statements.
const STEPS_PER_WRITE: u32 = 9;
/// Longest pause between steps; half of it on average.
const PAUSE: Duration = Duration::from_millis(40);
/// An answer that takes longer than this is a failure.
const ANSWER: Duration = Duration::from_secs(10);
/// Pause after a failure.
const RETRY: Duration = Duration::from_millis(300);

const WRITE: &str = "update counters set value = $2 where id = $1";
const READ_BACK: &str = "select value from counters where id = $1";
const OTHER_READS: [&str; 3] = [
    "select name, price from products where id = $1",
    "select count(*), sum(quantity) from orders where product_id = $1",
    "select o.id, p.name, o.quantity * p.price as total from orders o join products p on p.id = o.product_id
     where p.id = $1 order by total desc limit 3",
];

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{}", text(.0))]
    Database(#[from] tokio_postgres::Error),
    #[error("no answer within {} s", ANSWER.as_secs())]
    Silence(#[from] tokio::time::error::Elapsed),
    #[error("a counter is negative")]
    Nonsense(#[from] std::num::TryFromIntError),
}

/// What the database said, where it said anything.
fn text(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(said) => format!("{} (SQLSTATE {})", said.message(), said.code().code()),
        None => match std::error::Error::source(error) {
            Some(cause) => format!("{error}: {cause}"),
            None => error.to_string(),
        },
    }
}

/// One connection with what is prepared on it.
struct Connection {
    client: Client,
    write: Statement,
    read_back: Statement,
    other_reads: Vec<Statement>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Result<Self, Fault> {
        let mut config = Config::new();
        config.host(address.ip().to_string()).port(address.port());
        config.user("app").password("secret").dbname("app").application_name("tidegate demo");
        let (client, connection) = config.connect(NoTls).await?;
        // Its end is seen by the next statement.
        tokio::spawn(connection);
        let mut other_reads = Vec::new();
        for sql in OTHER_READS {
            other_reads.push(client.prepare(sql).await?);
        }
        let (write, read_back) = (client.prepare(WRITE).await?, client.prepare(READ_BACK).await?);
        Ok(Self { client, write, read_back, other_reads })
    }
}

/// One actor.
pub(super) struct Actor {
    number: usize,
    /// The value it wrote last, whether or not that was acknowledged.
    written: u64,
    address: SocketAddr,
    tally: Arc<Tally>,
}

impl Actor {
    /// One that uses the counter of its own number.
    pub(super) fn new(number: usize, address: SocketAddr, tally: Arc<Tally>) -> Self {
        Self { number, written: 0, address, tally }
    }

    /// Works until it is told to stop; connects anew after a failure, which is counted.
    pub(super) async fn run(mut self, mut stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() {
            if let Err(fault) = self.work(&mut stopping).await {
                self.tally.failed(fault.to_string());
                pause(RETRY, &mut stopping).await;
            }
        }
    }

    async fn work(&mut self, stopping: &mut watch::Receiver<bool>) -> Result<(), Fault> {
        let open = || tokio::time::timeout(ANSWER, Connection::open(self.address));
        let pool = [open().await??, open().await??];
        while !*stopping.borrow() {
            tokio::time::timeout(ANSWER, self.step(&pool)).await??;
            pause(PAUSE.mul_f64(rand::random()), stopping).await;
        }
        Ok(())
    }

    async fn step(&mut self, pool: &[Connection; 2]) -> Result<(), Fault> {
        let first = rand::random_range(0..pool.len());
        let (one, other) = (&pool[first], &pool[1 - first]);
        if rand::random_ratio(1, STEPS_PER_WRITE) {
            self.write(one).await?;
            return self.read_counter(other, self.number).await;
        }
        match one.other_reads.get(rand::random_range(0..=OTHER_READS.len())) {
            Some(read) => {
                one.client.query(read, &[&rand::random_range(1..=PRODUCTS)]).await?;
                Ok(())
            }
            None => self.read_counter(one, rand::random_range(0..self.tally.actors())).await,
        }
    }

    async fn write(&mut self, on: &Connection) -> Result<(), Fault> {
        self.written += 1;
        let (id, value) = (i32::try_from(self.number)?, i64::try_from(self.written)?);
        on.client.execute(&on.write, &[&id, &value]).await?;
        self.tally.acknowledge(self.number, self.written);
        Ok(())
    }

    async fn read_counter(&self, on: &Connection, of: usize) -> Result<(), Fault> {
        let expected = self.tally.acknowledged(of);
        let row = on.client.query_one(&on.read_back, &[&i32::try_from(of)?]).await?;
        self.tally.check(expected, u64::try_from(row.try_get::<_, i64>(0)?)?);
        Ok(())
    }
}

/// Waits, but not past the end.
async fn pause(time: Duration, stopping: &mut watch::Receiver<bool>) {
    // An error means that nobody is left to tell it to stop, which tokio::time::timeout then waits out.
    let _ = tokio::time::timeout(time, stopping.wait_for(|stop| *stop)).await;
}
