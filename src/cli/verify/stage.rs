//! What a run needs in the database: a schema of its own, made through the first proxy and dropped in the end.

use std::fmt::Write;
use std::time::Duration;

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::args::Path;
use super::link::{Tables, Token, connect, last_route};
use super::plan::{Plan, Target};
use super::trouble::{Trouble, answer};

/// The schema is tried to be dropped for so long, a pause after each time.
const DROPS: u32 = 5;
const RETRY: Duration = Duration::from_secs(1);

/// What the proxies know, as far as it matters here.
#[derive(Clone, Debug)]
pub(super) struct Skills {
    /// Whether they say where a statement went, which a Tidegate does.
    pub(super) tells_routes: bool,
    /// The paths that are possible, of those that were asked for.
    pub(super) paths: Vec<Path>,
    /// What is to be said about that.
    pub(super) notes: Vec<String>,
}

/// A schema with a name of its own.
pub(super) fn tables(plan: &Plan) -> Tables {
    Tables { schema: format!("tidegate_verify_{:08x}", rand::random::<u32>()), count: plan.tables }
}

/// Connects to every proxy.
pub(super) async fn enter(plan: &Plan) -> Result<Vec<Client>, String> {
    let mut clients = Vec::new();
    for proxy in &plan.proxies {
        let connected = connect(proxy).await;
        clients.push(connected.map_err(|trouble| format!("cannot connect to {}: {trouble}", proxy.shown))?);
    }
    Ok(clients)
}

/// Makes the tables, and finds out what the proxies know. The error says what to do.
pub(super) async fn set_up(plan: &Plan, tables: &Tables, clients: &[Client]) -> Result<Skills, String> {
    let Some(first) = clients.first() else { return Err("no --url was given".to_owned()) };
    answer(first.batch_execute(&creation(tables, plan.actors))).await.map_err(|trouble| {
        let advice = match &trouble {
            Trouble::Database(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => {
                "; the user needs the right CREATE on the database"
            }
            _ => "",
        };
        format!("cannot make the schema {}: {trouble}{advice}", tables.schema)
    })?;
    skills(plan, clients).await
}

fn creation(tables: &Tables, actors: usize) -> String {
    let Tables { schema, count } = tables;
    let mut sql = format!("create schema {schema};");
    for table in 0..*count {
        let _ = write!(
            sql,
            "create table {schema}.register_{table} (id int primary key, value bigint not null) with (fillfactor = 50);
             insert into {schema}.register_{table} select i, 1 from generate_series(0, {}) i where i % {count} = {table};
             create table {schema}.list_{table} (list int, n bigint, primary key (list, n));",
            actors - 1
        );
    }
    sql
}

async fn skills(plan: &Plan, clients: &[Client]) -> Result<Skills, String> {
    let (mut tells_routes, mut tokens) = (true, Ok(()));
    for (client, proxy) in clients.iter().zip(&plan.proxies) {
        tells_routes &= last_route(client).await.is_ok();
        if let Err(trouble) = Token::ask(client).await {
            tokens = Err(format!("{} gives no tokens: {trouble}", proxy.shown));
        }
    }
    let mut notes = Vec::new();
    if !tells_routes {
        notes
            .push("where reads are served is unknown: SHOW tidegate.last_route is not understood".to_owned());
    }
    let wished: &[Path] = if plan.paths.is_empty() { &Path::ALL } else { &plan.paths };
    let mut paths = wished.to_vec();
    paths.sort_unstable();
    paths.dedup();
    if let Err(why) = tokens
        && paths.contains(&Path::Token)
    {
        paths.retain(|path| *path != Path::Token);
        if paths.is_empty() {
            return Err(format!("no path is left to verify: {why}"));
        }
        notes.push(format!("without the path token: {why}"));
    }
    Ok(Skills { tells_routes, paths, notes })
}

/// Drops the schema, through any proxy or on the primary itself. The error says what is left to be done by hand.
pub(super) async fn clear(plan: &Plan, tables: &Tables) -> Result<(), String> {
    let sql = format!("drop schema if exists {} cascade", tables.schema);
    let mut last = String::new();
    for attempt in 0..DROPS {
        if attempt > 0 {
            tokio::time::sleep(RETRY).await;
        }
        for target in plan.proxies.iter().chain(&plan.primary) {
            match run(target, &sql).await {
                Ok(()) => return Ok(()),
                Err(trouble) => last = format!("{}: {trouble}", target.shown),
            }
        }
    }
    Err(format!("the schema {} is still there ({last}); drop it by: {sql}", tables.schema))
}

async fn run(target: &Target, sql: &str) -> Result<(), Trouble> {
    let client = connect(target).await?;
    answer(client.batch_execute(sql)).await
}
