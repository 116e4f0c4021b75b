//! What the example does.

use std::fmt;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnection, PgPool, PgPoolOptions};

const ROUNDS: u32 = 20;
/// How long to wait for replicas to be up to date.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many reads were served where.
#[derive(Debug, Default)]
pub struct Places {
    /// By the primary.
    pub primary: u32,
    /// By replicas.
    pub replica: u32,
    /// By PostgreSQL, without a Tidegate before it.
    pub direct: u32,
}

impl Places {
    fn count(&mut self, route: &str) {
        // `to: replica pg2:5432, reason fresh`
        match route.split(' ').nth(1) {
            Some("replica") => self.replica += 1,
            Some("primary") => self.primary += 1,
            _ => self.direct += 1,
        }
    }
}

/// What happened.
#[derive(Debug)]
pub struct Report {
    /// Tasks that the read right after the write did not see.
    pub not_seen: u32,
    /// Where these reads were served.
    pub at_once: Places,
    /// Where reads were served while nobody wrote.
    pub later: Places,
    /// What Tidegate said of the last of them.
    pub route: String,
    /// What it said of a read in a transaction that only reads.
    pub read_only: String,
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { not_seen, at_once, later, route, read_only } = self;
        writeln!(out, "{ROUNDS} tasks, each read at once on another connection: {not_seen} not seen")?;
        writeln!(out, "those reads: primary {}, replica {}", at_once.primary, at_once.replica)?;
        writeln!(out, "reads while nobody writes: primary {}, replica {}", later.primary, later.replica)?;
        writeln!(out, "the last of them: {route}")?;
        writeln!(out, "a READ ONLY transaction: {read_only}")
    }
}

/// Writes tasks at `url`, and reads them.
pub async fn run(url: &str) -> Result<Report, sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(10).connect(url).await?;
    let table =
        "CREATE TABLE IF NOT EXISTS task (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, what text)";
    sqlx::query(table).execute(&pool).await?;

    let (mut not_seen, mut at_once, mut later) = (0, Places::default(), Places::default());
    let mut what = String::new();
    // Two connections held at the same time, so that the read cannot take the one that wrote.
    let (mut writer, mut reader) = (pool.acquire().await?, pool.acquire().await?);
    for number in 0..ROUNDS {
        what = format!("{}-{number}", std::process::id());
        sqlx::query("INSERT INTO task (what) VALUES ($1)").bind(&what).execute(&mut *writer).await?;
        not_seen += u32::from(!is_there(&mut reader, &what).await?);
        at_once.count(&last_route(&mut reader).await?);
    }

    let (deadline, mut route) = (Instant::now() + PATIENCE, String::new());
    while later.replica < ROUNDS && later.direct < ROUNDS && Instant::now() < deadline {
        is_there(&mut reader, &what).await?;
        route = last_route(&mut reader).await?;
        later.count(&route);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let read_only = in_a_read_only_transaction(&pool, &what).await?;
    Ok(Report { not_seen, at_once, later, route, read_only })
}

async fn is_there(connection: &mut PgConnection, what: &str) -> Result<bool, sqlx::Error> {
    let id: Option<i64> = sqlx::query_scalar("SELECT id FROM task WHERE what = $1")
        .bind(what)
        .fetch_optional(connection)
        .await?;
    Ok(id.is_some())
}

/// `pool.begin()` would begin on the primary.
async fn in_a_read_only_transaction(pool: &PgPool, what: &str) -> Result<String, sqlx::Error> {
    let mut transaction = pool.begin_with("BEGIN READ ONLY").await?;
    is_there(&mut transaction, what).await?;
    let route = last_route(&mut transaction).await?;
    transaction.commit().await?;
    Ok(route)
}

/// Where the last statement of this connection went, and why.
async fn last_route(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    match sqlx::query_scalar("SHOW tidegate.last_route").fetch_all(connection).await {
        Ok(lines) => Ok(lines.into_iter().next().unwrap_or_default()),
        Err(error) => match error.as_database_error().and_then(sqlx::error::DatabaseError::code) {
            Some(code) if code == "42704" => Ok("to: PostgreSQL itself, no Tidegate here".to_owned()),
            _ => Err(error),
        },
    }
}
