//! tokio-postgres does what its users do with it.

use std::future::poll_fn;
use std::pin::pin;
use std::time::{Duration, SystemTime};

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, IsolationLevel, NoTls, SimpleQueryMessage};

use super::Schema;

/// Runs every check.
pub async fn run(schema: &Schema) {
    parameters_and_types(schema).await;
    prepared_statements(schema).await;
    pipelining(schema).await;
    errors(schema).await;
    transactions(schema).await;
    transaction_modes(schema).await;
    portals(schema).await;
    copy_in(schema).await;
    simple_queries(schema).await;
    settings(schema).await;
    cancel(schema).await;
    listen_and_notify(schema).await;
    reads_of_writes_on_another_connection(schema).await;
}

/// A connection that is driven in the background; notifications come out of the receiver.
async fn connect(url: &str) -> (Client, mpsc::Receiver<String>, JoinHandle<()>) {
    let (client, mut connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let (heard, notifications) = mpsc::channel(16);
    let driver = tokio::spawn(async move {
        while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
            if let AsyncMessage::Notification(notification) = message.unwrap() {
                heard.send(notification.payload().to_owned()).await.unwrap();
            }
        }
    });
    (client, notifications, driver)
}

async fn client(schema: &Schema) -> Client {
    connect(&schema.url).await.0
}

/// A client and the name of an empty table `(id int primary key, name text)`.
async fn with_table(schema: &Schema) -> (Client, String) {
    let client = client(schema).await;
    let table = schema.fresh_table("tokio_postgres");
    let made = format!("drop table if exists {table}; create table {table} (id int primary key, name text)");
    client.batch_execute(&made).await.unwrap();
    (client, table)
}

async fn ids(client: &impl tokio_postgres::GenericClient, table: &str) -> Vec<i32> {
    let rows = client.query(&format!("select id from {table} order by id"), &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

async fn parameters_and_types(schema: &Schema) {
    let client = client(schema).await;
    let now = SystemTime::UNIX_EPOCH + Duration::from_micros(1_700_000_000_123_456);
    let sent: [&(dyn ToSql + Sync); 7] =
        [&7_i32, &"ü'\\", &vec![0_u8, 255], &2.5_f64, &vec![Some(1_i64), None], &now, &None::<i16>];
    let query = "select $1::int, $2::text, $3::bytea, $4::float8, $5::bigint[], $6::timestamptz, $7::int2";
    let row = client.query_one(query, &sent).await.unwrap();
    assert_eq!(row.get::<_, i32>(0), 7);
    assert_eq!(row.get::<_, &str>(1), "ü'\\");
    assert_eq!(row.get::<_, &[u8]>(2), [0, 255]);
    assert_eq!(row.get::<_, f64>(3).to_string(), "2.5");
    assert_eq!(row.get::<_, Vec<Option<i64>>>(4), [Some(1), None]);
    assert_eq!(row.get::<_, SystemTime>(5), now);
    assert_eq!(row.get::<_, Option<i16>>(6), None);
    let text = "y".repeat(2_000_000);
    let length: i32 = client.query_one("select length($1)", &[&text]).await.unwrap().get(0);
    assert_eq!(length, 2_000_000);
    let typed = client.query_typed("select $1 + 1", &[(&41_i32, Type::INT4)]).await.unwrap();
    assert_eq!(typed[0].get::<_, i32>(0), 42);
    assert_eq!(client.query("select generate_series(1, 50000)", &[]).await.unwrap().len(), 50_000);
}

async fn prepared_statements(schema: &Schema) {
    let (one, two) = (client(schema).await, client(schema).await);
    // Both call their first statement s0.
    let text = one.prepare("select $1::text || ' of one'").await.unwrap();
    let number = two.prepare_typed("select $1 + 1", &[Type::INT4]).await.unwrap();
    assert_eq!(number.columns()[0].type_(), &Type::INT4);
    for round in 0..10_i32 {
        let said: String = one.query_one(&text, &[&"text"]).await.unwrap().get(0);
        assert_eq!(said, "text of one");
        let next: i32 = two.query_one(&number, &[&round]).await.unwrap().get(0);
        assert_eq!(next, round + 1);
    }
    for round in 0..100 {
        // Dropped, and so closed, at once.
        let short_lived = one.prepare(&format!("select {round} + $1::int")).await.unwrap();
        let sum: i32 = one.query_one(&short_lived, &[&1_i32]).await.unwrap().get(0);
        assert_eq!(sum, round + 1);
    }
    // The type is looked up in the catalog by queries of the driver itself.
    let mood = format!("{}.mood", schema.name);
    one.batch_execute(&format!("create type {mood} as enum ('sad', 'ok')")).await.unwrap();
    let typed = one.prepare(&format!("select 'ok'::{mood}")).await.unwrap();
    assert_eq!(typed.columns()[0].type_().name(), "mood");
}

async fn pipelining(schema: &Schema) {
    let (client, table) = with_table(schema).await;
    let statement = client.prepare("select 10 / $1::int").await.unwrap();
    let ask = |by: i32| {
        let (client, statement) = (&client, &statement);
        async move { client.query_one(statement, &[&by]).await.map(|row| row.get::<_, i32>(0)) }
    };
    let (first, failed, third, fourth) = tokio::join!(ask(1), ask(0), ask(5), ask(10));
    assert_eq!([first.unwrap(), third.unwrap(), fourth.unwrap()], [10, 2, 1]);
    assert_eq!(failed.unwrap_err().code(), Some(&SqlState::DIVISION_BY_ZERO));
    let insert = format!("insert into {table} values (1, 'x')");
    let read = format!("select count(*) from {table}");
    let (inserted, counted) = tokio::join!(client.execute(&insert, &[]), client.query_one(&read, &[]));
    assert_eq!(inserted.unwrap(), 1);
    // Prepared side by side, the read may be first; asked again it must see the row.
    assert!(counted.unwrap().get::<_, i64>(0) <= 1);
    assert_eq!(client.query_one(&read, &[]).await.unwrap().get::<_, i64>(0), 1);
}

async fn errors(schema: &Schema) {
    let (client, table) = with_table(schema).await;
    let insert = format!("insert into {table} values ($1, 'x')");
    client.execute(&insert, &[&1_i32]).await.unwrap();
    let error = client.execute(&insert, &[&1_i32]).await.unwrap_err();
    let details = error.as_db_error().unwrap();
    assert_eq!(details.code(), &SqlState::UNIQUE_VIOLATION);
    assert_eq!(details.schema(), Some(schema.name.as_str()));
    assert!(details.constraint().unwrap().ends_with("_pkey"));
    for (sql, code) in [
        ("selec 1", SqlState::SYNTAX_ERROR),
        ("select * from no_such_table", SqlState::UNDEFINED_TABLE),
        ("select no_such_function(1)", SqlState::UNDEFINED_FUNCTION),
        ("do $$ begin raise 'mine'; end $$", SqlState::RAISE_EXCEPTION),
    ] {
        assert_eq!(client.query(sql, &[]).await.unwrap_err().code(), Some(&code), "{sql}");
        assert_eq!(client.simple_query(sql).await.unwrap_err().code(), Some(&code), "{sql}");
    }
    assert_eq!(ids(&client, &table).await, [1]);
}

async fn transactions(schema: &Schema) {
    let (mut writer, table) = with_table(schema).await;
    let other = client(schema).await;
    let insert = format!("insert into {table} values ($1, 'x')");
    let mut outer = writer.transaction().await.unwrap();
    outer.execute(&insert, &[&1_i32]).await.unwrap();
    let inner = outer.transaction().await.unwrap();
    inner.execute(&insert, &[&2_i32]).await.unwrap();
    inner.execute(&insert, &[&1_i32]).await.unwrap_err();
    let refused = inner.query("select 1", &[]).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::IN_FAILED_SQL_TRANSACTION));
    inner.rollback().await.unwrap();
    let inner = outer.savepoint("named").await.unwrap();
    inner.execute(&insert, &[&3_i32]).await.unwrap();
    inner.commit().await.unwrap();
    assert_eq!(ids(&outer, &table).await, [1, 3]);
    assert_eq!(ids(&other, &table).await, [0; 0]);
    outer.commit().await.unwrap();
    assert_eq!(ids(&other, &table).await, [1, 3]);
    let dropped = writer.transaction().await.unwrap();
    dropped.execute(&insert, &[&4_i32]).await.unwrap();
    drop(dropped);
    assert_eq!(ids(&writer, &table).await, [1, 3]);
}

async fn transaction_modes(schema: &Schema) {
    let (mut reader, table) = with_table(schema).await;
    let other = client(schema).await;
    let snapshot = reader.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let snapshot = snapshot.start().await.unwrap();
    assert_eq!(ids(&snapshot, &table).await, [0; 0]);
    other.execute(&format!("insert into {table} values (1, 'x')"), &[]).await.unwrap();
    assert_eq!(ids(&snapshot, &table).await, [0; 0]);
    let refused = snapshot.execute(&format!("delete from {table}"), &[]).await.unwrap_err();
    assert_eq!(refused.code(), Some(&SqlState::READ_ONLY_SQL_TRANSACTION));
    snapshot.rollback().await.unwrap();
    assert_eq!(ids(&reader, &table).await, [1]);
    let serializable = reader.build_transaction().isolation_level(IsolationLevel::Serializable);
    let serializable = serializable.deferrable(true).read_only(true).start().await.unwrap();
    assert_eq!(ids(&serializable, &table).await, [1]);
}

async fn portals(schema: &Schema) {
    let mut client = client(schema).await;
    let transaction = client.transaction().await.unwrap();
    let portal = transaction.bind("select generate_series(1, $1::int)", &[&10_i32]).await.unwrap();
    let mut found = Vec::new();
    for expected in [4, 4, 2, 0] {
        let rows = transaction.query_portal(&portal, 4).await.unwrap();
        assert_eq!(rows.len(), expected);
        found.extend(rows.iter().map(|row| row.get::<_, i32>(0)));
        transaction.query_one("select 'between'", &[]).await.unwrap();
    }
    assert_eq!(found, (1..=10).collect::<Vec<_>>());
    transaction.commit().await.unwrap();
}

async fn copy_in(schema: &Schema) {
    let (client, table) = with_table(schema).await;
    let sink = client.copy_in(&format!("copy {table} from stdin binary")).await.unwrap();
    let mut writer = pin!(BinaryCopyInWriter::new(sink, &[Type::INT4, Type::TEXT]));
    for number in 0..5000_i32 {
        writer.as_mut().write(&[&number, &format!("name {number}")]).await.unwrap();
    }
    assert_eq!(writer.as_mut().finish().await.unwrap(), 5000);
    assert_eq!(ids(&client, &table).await.len(), 5000);
    // A COPY that is given up undoes itself.
    let sink = client.copy_in(&format!("copy {table} from stdin binary")).await.unwrap();
    {
        let mut writer = pin!(BinaryCopyInWriter::new(sink, &[Type::INT4, Type::TEXT]));
        writer.as_mut().write(&[&9000_i32, &"x"]).await.unwrap();
    }
    assert_eq!(ids(&client, &table).await.len(), 5000);
}

async fn simple_queries(schema: &Schema) {
    let client = client(schema).await;
    let messages = client.simple_query("select 1; select 2 where false; select null, 'c'").await.unwrap();
    let rows: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row.get(row.len() - 1).unwrap_or_default()),
            _ => None,
        })
        .collect();
    assert_eq!(rows, ["1", "c"]);
    client.batch_execute("").await.unwrap();
}

async fn settings(schema: &Schema) {
    let (client, ..) =
        connect(&format!("{}?options=-c%20work_mem%3D6MB&application_name=rust", schema.url)).await;
    let show = async |name: &str| -> Option<String> {
        client.query_one("select current_setting($1, true)", &[&name]).await.unwrap().get(0)
    };
    assert_eq!(show("application_name").await.unwrap(), "rust");
    assert_eq!(show("work_mem").await.unwrap(), "6MB");
    client.batch_execute("set work_mem = '7MB'; set app.tenant = '42'").await.unwrap();
    assert_eq!(show("work_mem").await.unwrap(), "7MB");
    client.batch_execute("begin; set local work_mem = '8MB'; set app.tenant = '43'").await.unwrap();
    assert_eq!(show("work_mem").await.unwrap(), "8MB");
    client.batch_execute("rollback").await.unwrap();
    assert_eq!(show("work_mem").await.unwrap(), "7MB");
    assert_eq!(show("app.tenant").await.unwrap(), "42");
    client.batch_execute("discard all").await.unwrap();
    assert_eq!(show("work_mem").await.unwrap(), "6MB");
}

async fn cancel(schema: &Schema) {
    let client = client(schema).await;
    let token = client.cancel_token();
    let mut sleep = pin!(client.query("select pg_sleep(60)", &[]));
    // A cancel that comes before the query is at work has no effect, so it is repeated.
    let error = loop {
        tokio::select! {
            result = &mut sleep => break result.unwrap_err(),
            () = tokio::time::sleep(Duration::from_millis(200)) => token.cancel_query(NoTls).await.unwrap(),
        }
    };
    assert_eq!(error.code(), Some(&SqlState::QUERY_CANCELED));
}

async fn listen_and_notify(schema: &Schema) {
    let (listener, mut heard, _driver) = connect(&schema.url).await;
    let mut sender = client(schema).await;
    let channel = format!("{}_rust", schema.name);
    listener.batch_execute(&format!("listen {channel}")).await.unwrap();
    let transaction = sender.transaction().await.unwrap();
    transaction.execute("select pg_notify($1, 'first')", &[&channel]).await.unwrap();
    listener.query_one("select 1", &[]).await.unwrap();
    assert!(heard.try_recv().is_err(), "heard before the commit");
    transaction.commit().await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), "first");
    sender.batch_execute(&format!("notify {channel}, 'second'")).await.unwrap();
    assert_eq!(heard.recv().await.unwrap(), "second");
}

async fn reads_of_writes_on_another_connection(schema: &Schema) {
    let (writer, table) = with_table(schema).await;
    let reader = client(schema).await;
    let insert = writer.prepare(&format!("insert into {table} values ($1, 'x')")).await.unwrap();
    let read = reader.prepare(&format!("select count(*) from {table}")).await.unwrap();
    for number in 1..=300_i32 {
        writer.execute(&insert, &[&number]).await.unwrap();
        let count: i64 = reader.query_one(&read, &[]).await.unwrap().get(0);
        assert_eq!(count, i64::from(number), "a stale read");
    }
}
