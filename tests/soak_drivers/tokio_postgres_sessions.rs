//! Random sessions of tokio-postgres.

use std::collections::BTreeMap;

use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Error, NoTls};

use super::dice::Dice;

/// One connection, and what must be in its rows.
pub struct Session {
    client: Client,
    driver: JoinHandle<Result<(), Error>>,
    owner: String,
    values: BTreeMap<i32, i32>,
}

impl Session {
    pub async fn connect(url: &str, owner: String) -> Result<Self, Error> {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        Ok(Self { client, driver: tokio::spawn(connection), owner, values: BTreeMap::new() })
    }

    /// Does one random thing.
    pub async fn act(&mut self, dice: &mut Dice) -> Result<&'static str, Error> {
        match dice.below(10) {
            0..3 => self.read(dice).await,
            3..5 => self.write(dice).await,
            5..7 => self.transaction(dice).await,
            7 => self.pipeline(dice).await,
            8 => self.prepared(dice).await,
            _ => self.bound(dice).await,
        }
    }

    async fn read(&mut self, dice: &mut Dice) -> Result<&'static str, Error> {
        let sql = "select value from soak where owner = $1 and id = $2";
        let key = dice.below(6);
        let row = self.client.query_opt(sql, &[&self.owner, &key]).await?;
        assert_eq!(row.map(|row| row.get(0)), self.values.get(&key).copied(), "row {key}");
        Ok("read")
    }

    async fn put(&self, dice: &mut Dice) -> Result<(i32, i32), Error> {
        let (key, value) = (dice.below(6), dice.below(1_000_000));
        let sql = "insert into soak values ($1, $2, $3) on conflict (owner, id) do update set value = excluded.value";
        self.client.execute(sql, &[&self.owner, &key, &value]).await?;
        Ok((key, value))
    }

    async fn write(&mut self, dice: &mut Dice) -> Result<&'static str, Error> {
        let (key, value) = self.put(dice).await?;
        self.values.insert(key, value);
        self.check().await?;
        Ok("write")
    }

    async fn check(&self) -> Result<(), Error> {
        let rows = self.client.query("select id, value from soak where owner = $1", &[&self.owner]).await?;
        let found: BTreeMap<i32, i32> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
        assert_eq!(found, self.values, "rows of {}", self.owner);
        Ok(())
    }

    async fn transaction(&mut self, dice: &mut Dice) -> Result<&'static str, Error> {
        self.client.batch_execute("begin").await?;
        let (key, value) = self.put(dice).await?;
        if dice.below(3) == 0 {
            let error = self.client.query("select 1 / 0", &[]).await.unwrap_err();
            assert_eq!(error.code(), Some(&SqlState::DIVISION_BY_ZERO), "{error:?}");
        } else if dice.below(3) > 0 {
            self.client.batch_execute("commit").await?;
            self.values.insert(key, value);
            self.check().await?;
            return Ok("commit");
        }
        self.client.batch_execute("rollback").await?;
        self.check().await?;
        Ok("rollback")
    }

    /// Several statements under way at once.
    async fn pipeline(&mut self, dice: &mut Dice) -> Result<&'static str, Error> {
        let sent = [dice.below(9), dice.below(9)];
        let one = async |n: i32| self.client.query_one("select $1::int4 + 1", &[&n]).await;
        let (first, second) = tokio::try_join!(one(sent[0]), one(sent[1]))?;
        assert_eq!([first.get::<_, i32>(0), second.get(0)], sent.map(|n| n + 1));
        Ok("pipeline")
    }

    async fn prepared(&mut self, dice: &mut Dice) -> Result<&'static str, Error> {
        let add = dice.below(50);
        let statement = self.client.prepare(&format!("select $1::int4 + {add}")).await?;
        for n in 0..3 {
            assert_eq!(self.client.query_one(&statement, &[&n]).await?.get::<_, i32>(0), n + add);
        }
        Ok("prepared")
    }

    /// What binds the session to its server connection.
    async fn bound(&mut self, dice: &mut Dice) -> Result<&'static str, Error> {
        let number = dice.next();
        let name = format!("own_{number:x}");
        match dice.below(4) {
            0 => {
                let sql = format!("create temp table {name} as select 7 n");
                self.client.batch_execute(&sql).await?;
                let row = self.client.query_one(&format!("select n from {name}"), &[]).await?;
                assert_eq!(row.get::<_, i32>(0), 7);
                Ok("temp_table")
            }
            1 => {
                let key = i64::try_from(number >> 8).unwrap_or(1);
                let row = self.client.query_one("select pg_try_advisory_lock($1)", &[&key]).await?;
                assert!(row.get::<_, bool>(0));
                Ok("lock")
            }
            2 => {
                self.client.batch_execute(&format!("prepare {name} as select 5")).await?;
                let messages =
                    self.client.simple_query(&format!("execute {name}; deallocate {name}")).await?;
                assert!(messages.len() > 2, "{messages:?}");
                Ok("sql_prepare")
            }
            _ => {
                let sql = format!(
                    "declare {name} cursor with hold for select 1; fetch all from {name}; close {name}"
                );
                self.client.batch_execute(&sql).await?;
                Ok("hold_cursor")
            }
        }
    }

    /// Leaves, cleanly or in the middle of something, and looks from elsewhere at what was done.
    pub async fn leave(mut self, url: &str, dice: &mut Dice) -> Result<(), Error> {
        let way = dice.below(4);
        if way > 1 {
            self.client.batch_execute("begin").await?;
            self.put(dice).await?;
        }
        if way == 3 {
            let query = self.client.query("select repeat('x', 100), generate_series(1, 300000)", &[]);
            let patience = std::time::Duration::from_millis(u64::from(dice.below(50).unsigned_abs()));
            let _ = tokio::time::timeout(patience, query).await;
        }
        if way > 0 {
            self.driver.abort();
        }
        let (owner, values) = (std::mem::take(&mut self.owner), std::mem::take(&mut self.values));
        drop(self);
        let mut witness = Self::connect(url, owner).await?;
        witness.values = values;
        witness.check().await
    }
}
