//! What a scenario is played on, as far as the load and the checks must know it.
//!
//! [`super::rig::Rig`] is streaming replication by hand. A cluster that promotes by itself, or one whose names change, is
//! another stage: it says where clients connect, which servers run, and which one is the primary.

use std::cell::Ref;

use tokio_postgres::{Client, NoTls};

use super::support::proxy::RunningProxy;

/// A server that runs.
#[derive(Clone, Debug)]
pub struct Site {
    /// As the proxy's metrics call it.
    pub name: String,
    /// Its superuser, without any proxy.
    pub url: String,
}

pub trait Stage {
    /// Where clients connect, as `app`.
    fn url(&self) -> String;

    /// The proxy at this moment.
    fn proxy(&self) -> Ref<'_, RunningProxy>;

    /// Every server that runs.
    fn sites(&self) -> Vec<Site>;

    /// The one that takes writes.
    fn primary(&self) -> Site;
}

/// Runs a query on a server as its superuser and returns its first column's rows as `read` sees them.
pub async fn ask<T>(
    site: &Site,
    sql: &str,
    read: fn(&tokio_postgres::Row) -> T,
) -> Result<Vec<T>, tokio_postgres::Error> {
    let client = connect(&site.url).await?;
    Ok(client.query(sql, &[]).await?.iter().map(read).collect())
}

/// A connection without any proxy.
pub async fn connect(url: &str) -> Result<Client, tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
