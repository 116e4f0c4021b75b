//! Connections, and the two statements they send.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

pub type Error = Box<dyn std::error::Error>;

/// Longest wait for any answer: a benchmark must end.
const ANSWER: Duration = Duration::from_secs(20);

pub async fn connect(dsn: &str) -> Result<Client, Error> {
    let (client, connection) = tokio::time::timeout(ANSWER, tokio_postgres::connect(dsn, NoTls)).await??;
    tokio::spawn(async move {
        // What breaks shows at the statement that waits for its answer.
        let _ = connection.await;
    });
    Ok(client)
}

/// What a read saw.
pub struct Seen {
    pub value: u64,
    /// The setting `app.node` of the server that answered is `node0` on the primary.
    pub on_replica: bool,
}

pub async fn read(client: &Client, table: &str, row: usize) -> Result<Seen, Error> {
    let sql = format!("select value, current_setting('app.node') from {table} where id = {row}");
    for message in tokio::time::timeout(ANSWER, client.simple_query(&sql)).await?? {
        if let SimpleQueryMessage::Row(found) = message {
            let (value, node) = (found.try_get(0)?, found.try_get(1)?);
            let value = value.ok_or("a value is wanted")?.parse()?;
            return Ok(Seen { value, on_replica: node.is_some_and(|node| node != "node0") });
        }
    }
    Err(format!("{table} has no row {row}").into())
}

pub async fn write(client: &Client, table: &str, row: usize, value: u64) -> Result<(), Error> {
    let sql = format!("update {table} set value = {value} where id = {row}");
    tokio::time::timeout(ANSWER, client.simple_query(&sql)).await??;
    Ok(())
}

/// A value that no earlier write had: values of a row must grow, also over runs.
pub fn fresh_value() -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_micros() as u64;
    let last = LAST.load(Ordering::Relaxed);
    let value = now.max(last + 1);
    LAST.store(value, Ordering::Relaxed);
    value
}
