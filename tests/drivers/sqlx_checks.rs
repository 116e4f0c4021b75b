//! sqlx does what its users do with it.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener, PgPool, PgPoolCopyExt, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row, Statement, TypeInfo};

use super::Schema;

/// Runs every check.
pub async fn run(schema: &Schema) {
    parameters_and_types(schema).await;
    cached_statements(schema).await;
    statements_without_a_name(schema).await;
    described_statements(schema).await;
    errors(schema).await;
    transactions(schema).await;
    an_abandoned_query(schema).await;
    copy_in(schema).await;
    several_statements(schema).await;
    settings(schema).await;
    listen_and_notify(schema).await;
    a_pool_reads_what_it_wrote(schema).await;
}

async fn pool(schema: &Schema) -> PgPool {
    PgPoolOptions::new().max_connections(8).connect(&schema.url).await.unwrap()
}

/// A pool and the name of an empty table `(id int primary key, name text)`.
async fn with_table(schema: &Schema) -> (PgPool, String) {
    let pool = pool(schema).await;
    let table = schema.fresh_table("sqlx");
    let made = format!("drop table if exists {table}; create table {table} (id int primary key, name text)");
    sqlx::raw_sql(&made).execute(&pool).await.unwrap();
    (pool, table)
}

async fn ids(executor: impl sqlx::PgExecutor<'_>, table: &str) -> Vec<i32> {
    sqlx::query_scalar(&format!("select id from {table} order by id")).fetch_all(executor).await.unwrap()
}

fn code(error: &sqlx::Error) -> String {
    error
        .as_database_error()
        .and_then(|error| error.code().map(String::from))
        .unwrap_or_else(|| error.to_string())
}

async fn parameters_and_types(schema: &Schema) {
    let pool = pool(schema).await;
    let row = sqlx::query("select $1, $2, $3, $4, $5, $6")
        .bind(7_i32)
        .bind("ü'\\")
        .bind(vec![0_u8, 255])
        .bind(2.5_f64)
        .bind(vec![Some(1_i64), None])
        .bind(None::<i16>)
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!((row.get::<i32, _>(0), row.get::<&str, _>(1)), (7, "ü'\\"));
    assert_eq!(
        (row.get::<&[u8], _>(2), row.get::<f64, _>(3).to_string().as_str()),
        (&[0_u8, 255][..], "2.5")
    );
    assert_eq!(
        (row.get::<Vec<Option<i64>>, _>(4), row.get::<Option<i16>, _>(5)),
        (vec![Some(1), None], None)
    );
    let length = sqlx::query_scalar::<_, i32>("select length($1)").bind("y".repeat(2_000_000));
    assert_eq!(length.fetch_one(&pool).await.unwrap(), 2_000_000);
    let many: Vec<i32> =
        sqlx::query_scalar("select generate_series(1, 50000)").fetch_all(&pool).await.unwrap();
    assert_eq!(many.len(), 50_000);
    assert!(sqlx::query("select 1 where false").fetch_optional(&pool).await.unwrap().is_none());
}

async fn cached_statements(schema: &Schema) {
    let options = PgConnectOptions::from_str(&schema.url).unwrap().statement_cache_capacity(10);
    let mut one = options.connect().await.unwrap();
    let mut two = options.connect().await.unwrap();
    for number in 0..60_i32 {
        // More than the cache holds: the oldest are closed.
        for (connection, text) in [(&mut one, "one"), (&mut two, "two")] {
            let query = format!("select $1 + {number}, '{text}'");
            let row: (i32, String) = sqlx::query_as(&query).bind(1_i32).fetch_one(connection).await.unwrap();
            assert_eq!(row, (number + 1, text.to_owned()));
        }
    }
    let divide = |by: i32| sqlx::query_scalar::<_, i32>("select 6 / $1").bind(by);
    assert_eq!(code(&divide(0).fetch_one(&mut one).await.unwrap_err()), "22012");
    assert_eq!(divide(2).fetch_one(&mut one).await.unwrap(), 3);
    one.clear_cached_statements().await.unwrap();
    assert_eq!(divide(3).fetch_one(&mut one).await.unwrap(), 2);
}

async fn statements_without_a_name(schema: &Schema) {
    let mut connection = PgConnection::connect(&schema.url).await.unwrap();
    for number in 0..20_i32 {
        let query = sqlx::query_scalar::<_, i32>("select $1 + 1").bind(number).persistent(false);
        assert_eq!(query.fetch_one(&mut connection).await.unwrap(), number + 1);
    }
}

async fn described_statements(schema: &Schema) {
    let (pool, table) = with_table(schema).await;
    let mood = format!("{}.sqlx_mood", schema.name);
    sqlx::raw_sql(&format!("create type {mood} as enum ('sad', 'ok')")).execute(&pool).await.unwrap();
    let query = format!("select id, name, 'ok'::{mood} as mood from {table}");
    let statement = pool.prepare(&query).await.unwrap();
    let types: Vec<_> =
        statement.columns().iter().map(|column| sqlx::Column::type_info(column).name()).collect();
    assert_eq!(types[..2], ["INT4", "TEXT"]);
    let described = pool.describe(&format!("select * from {table} where id = $1")).await.unwrap();
    assert_eq!(described.columns.len(), 2);
}

async fn errors(schema: &Schema) {
    let (pool, table) = with_table(schema).await;
    let insert = format!("insert into {table} values (1)");
    sqlx::query(&insert).execute(&pool).await.unwrap();
    let error = sqlx::query(&insert).execute(&pool).await.unwrap_err();
    let details = error.as_database_error().unwrap();
    assert!(details.is_unique_violation());
    assert!(details.constraint().unwrap().ends_with("_pkey"));
    for (sql, expected) in [("selec 1", "42601"), ("select * from no_such_table", "42P01")] {
        assert_eq!(code(&sqlx::query(sql).execute(&pool).await.unwrap_err()), expected, "{sql}");
        assert_eq!(code(&sqlx::raw_sql(sql).execute(&pool).await.unwrap_err()), expected, "{sql}");
    }
    assert_eq!(ids(&pool, &table).await, [1]);
}

async fn transactions(schema: &Schema) {
    let (pool, table) = with_table(schema).await;
    let insert = |id: i32| format!("insert into {table} values ({id})");
    let mut outer = pool.begin().await.unwrap();
    outer.execute(insert(1).as_str()).await.unwrap();
    let mut inner = outer.begin().await.unwrap();
    inner.execute(insert(2).as_str()).await.unwrap();
    assert_eq!(code(&inner.execute(insert(1).as_str()).await.unwrap_err()), "23505");
    assert_eq!(code(&inner.execute("select 1").await.unwrap_err()), "25P02");
    inner.rollback().await.unwrap();
    let mut inner = outer.begin().await.unwrap();
    inner.execute(insert(3).as_str()).await.unwrap();
    inner.commit().await.unwrap();
    assert_eq!(ids(&mut *outer, &table).await, [1, 3]);
    assert_eq!(ids(&pool, &table).await, [0; 0]);
    outer.commit().await.unwrap();
    assert_eq!(ids(&pool, &table).await, [1, 3]);
    let mut dropped = pool.begin().await.unwrap();
    dropped.execute(insert(4).as_str()).await.unwrap();
    drop(dropped);
    assert_eq!(ids(&pool, &table).await, [1, 3]);
    let mut snapshot = pool.begin_with("begin isolation level repeatable read read only").await.unwrap();
    assert_eq!(ids(&mut *snapshot, &table).await, [1, 3]);
    sqlx::query(&insert(5)).execute(&pool).await.unwrap();
    assert_eq!(ids(&mut *snapshot, &table).await, [1, 3]);
    assert_eq!(code(&snapshot.execute(insert(6).as_str()).await.unwrap_err()), "25006");
}

async fn an_abandoned_query(schema: &Schema) {
    let mut connection = PgConnection::connect(&schema.url).await.unwrap();
    for _ in 0..3 {
        let slow = sqlx::query("select pg_sleep(0.2)").execute(&mut connection);
        tokio::time::timeout(Duration::from_millis(20), slow).await.unwrap_err();
        // The rest of the answer is read and thrown away first.
        let answer: i32 = sqlx::query_scalar("select 1").fetch_one(&mut connection).await.unwrap();
        assert_eq!(answer, 1);
    }
}

async fn copy_in(schema: &Schema) {
    let (pool, table) = with_table(schema).await;
    let copy = format!("copy {table} from stdin");
    let mut sink = pool.copy_in_raw(&copy).await.unwrap();
    for number in 0..5000 {
        sink.send(format!("{number}\tname {number}\n").as_bytes()).await.unwrap();
    }
    assert_eq!(sink.finish().await.unwrap(), 5000);
    assert_eq!(ids(&pool, &table).await.len(), 5000);
    let mut sink = pool.copy_in_raw(&copy).await.unwrap();
    sink.send(b"9000\tx\n".as_slice()).await.unwrap();
    sink.abort("given up").await.unwrap();
    let mut sink = pool.copy_in_raw(&copy).await.unwrap();
    sink.send(b"not a number\tx\n".as_slice()).await.unwrap();
    assert_eq!(code(&sink.finish().await.unwrap_err()), "22P02");
    assert_eq!(ids(&pool, &table).await.len(), 5000);
}

async fn several_statements(schema: &Schema) {
    let (pool, table) = with_table(schema).await;
    let rows = sqlx::raw_sql("select 1; select 2 where false; select 3").fetch_all(&pool).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get::<i32, _>(0)).collect::<Vec<_>>(), [1, 3]);
    let twice = format!("insert into {table} values (1); insert into {table} values (1)");
    assert_eq!(code(&sqlx::raw_sql(&twice).execute(&pool).await.unwrap_err()), "23505");
    assert_eq!(ids(&pool, &table).await, [0; 0], "one string is one transaction");
}

async fn settings(schema: &Schema) {
    let options = PgConnectOptions::from_str(&schema.url).unwrap();
    let options = options.options([("work_mem", "6MB")]).application_name("sqlx");
    let mut connection = options.connect().await.unwrap();
    let mut expect = async |change: &str, expected: [&str; 2]| {
        sqlx::raw_sql(change).execute(&mut connection).await.unwrap();
        let query = "select current_setting('work_mem'), current_setting('application_name')";
        let found: (String, String) = sqlx::query_as(query).fetch_one(&mut connection).await.unwrap();
        assert_eq!([found.0.as_str(), found.1.as_str()], expected, "after: {change}");
    };
    expect("", ["6MB", "sqlx"]).await;
    expect("set work_mem = '7MB'; set application_name = 'changed'", ["7MB", "changed"]).await;
    expect("begin; set local work_mem = '8MB'", ["8MB", "changed"]).await;
    expect("commit", ["7MB", "changed"]).await;
    expect("begin; set work_mem = '9MB'; rollback", ["7MB", "changed"]).await;
    expect("reset all", ["6MB", "sqlx"]).await;
}

async fn listen_and_notify(schema: &Schema) {
    let pool = pool(schema).await;
    let channel = format!("{}_sqlx", schema.name);
    let mut listener = PgListener::connect_with(&pool).await.unwrap();
    listener.listen(&channel).await.unwrap();
    for payload in ["first", "second"] {
        sqlx::query("select pg_notify($1, $2)").bind(&channel).bind(payload).execute(&pool).await.unwrap();
        let heard = tokio::time::timeout(Duration::from_secs(10), listener.recv()).await.unwrap().unwrap();
        assert_eq!((heard.channel(), heard.payload()), (channel.as_str(), payload));
    }
    listener.unlisten_all().await.unwrap();
}

async fn a_pool_reads_what_it_wrote(schema: &Schema) {
    let (pool, table) = with_table(schema).await;
    let workers: Vec<_> = (0..16_i32)
        .map(|worker| {
            let (pool, table) = (pool.clone(), table.clone());
            tokio::spawn(async move {
                let select = format!("select name from {table} where id = $1");
                for number in 0..25 {
                    let id = worker * 100 + number;
                    let name = || sqlx::query_scalar::<_, String>(&select).bind(id).fetch_one(&pool);
                    let insert = format!("insert into {table} values ($1, 'new')");
                    sqlx::query(&insert).bind(id).execute(&pool).await.unwrap();
                    assert_eq!(name().await.unwrap(), "new", "a stale read");
                    let mut transaction = pool.begin().await.unwrap();
                    let update = format!("update {table} set name = 'changed' where id = $1");
                    sqlx::query(&update).bind(id).execute(&mut *transaction).await.unwrap();
                    transaction.commit().await.unwrap();
                    assert_eq!(name().await.unwrap(), "changed", "a stale read");
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(ids(&pool, &table).await.len(), 400);
}
