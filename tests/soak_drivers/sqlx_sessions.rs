//! Random sessions of sqlx.

use std::collections::BTreeMap;

use sqlx::postgres::{PgConnection, Postgres};
use sqlx::{Connection, Error};

use super::dice::Dice;

/// One connection, and what must be in its rows.
pub struct Session {
    connection: PgConnection,
    owner: String,
    values: BTreeMap<i32, i32>,
    persistent: bool,
}

impl Session {
    pub async fn connect(url: &str, owner: String, dice: &mut Dice) -> Result<Self, Error> {
        let connection = PgConnection::connect(url).await?;
        Ok(Self { connection, owner, values: BTreeMap::new(), persistent: dice.below(2) == 0 })
    }

    /// Does one random thing.
    pub async fn act(&mut self, dice: &mut Dice) -> Result<&'static str, Error> {
        match dice.below(6) {
            0..3 => self.check().await.map(|()| "read"),
            3 => {
                let (key, value) = self.put(dice).await?;
                self.values.insert(key, value);
                self.check().await.map(|()| "write")
            }
            4 => self.transaction(dice).await,
            _ => self.copy(dice).await,
        }
    }

    async fn check(&mut self) -> Result<(), Error> {
        let query = sqlx::query_as::<Postgres, (i32, i32)>("select id, value from soak where owner = $1");
        let query = query.bind(&self.owner).persistent(self.persistent);
        let found: BTreeMap<_, _> = query.fetch_all(&mut self.connection).await?.into_iter().collect();
        assert_eq!(found, self.values, "rows of {}", self.owner);
        Ok(())
    }

    async fn put(&mut self, dice: &mut Dice) -> Result<(i32, i32), Error> {
        let (key, value) = (dice.below(6), dice.below(1_000_000));
        let sql = "insert into soak values ($1, $2, $3) on conflict (owner, id) do update set value = excluded.value";
        let query = sqlx::query(sql).bind(&self.owner).bind(key).bind(value);
        query.persistent(self.persistent).execute(&mut self.connection).await?;
        Ok((key, value))
    }

    async fn transaction(&mut self, dice: &mut Dice) -> Result<&'static str, Error> {
        sqlx::raw_sql("begin").execute(&mut self.connection).await?;
        let (key, value) = self.put(dice).await?;
        let commits = dice.below(2) == 0;
        if commits {
            self.values.insert(key, value);
        } else {
            let error = sqlx::query("select 1 / 0").execute(&mut self.connection).await.unwrap_err();
            let code = error.as_database_error().and_then(|e| e.code().map(std::borrow::Cow::into_owned));
            assert_eq!(code.as_deref(), Some("22012"), "{error:?}");
        }
        sqlx::raw_sql(if commits { "commit" } else { "rollback" }).execute(&mut self.connection).await?;
        self.check().await.map(|()| "transaction")
    }

    async fn copy(&mut self, dice: &mut Dice) -> Result<&'static str, Error> {
        let count = u64::from(dice.below(300).unsigned_abs()) + 1;
        sqlx::raw_sql("begin").execute(&mut self.connection).await?;
        let mut copy = self.connection.copy_in_raw("copy soak from stdin").await?;
        for n in 0..count {
            copy.send(format!("{}\t{}\t1\n", self.owner, 100 + n).as_bytes()).await?;
        }
        assert_eq!(copy.finish().await?, count);
        sqlx::raw_sql("rollback").execute(&mut self.connection).await?;
        self.check().await.map(|()| "copy")
    }

    /// Leaves, cleanly or with a transaction open, and looks from elsewhere at what was done.
    pub async fn leave(mut self, url: &str, dice: &mut Dice) -> Result<(), Error> {
        let way = dice.below(3);
        if way == 2 {
            sqlx::raw_sql("begin").execute(&mut self.connection).await?;
            self.put(dice).await?;
        }
        let Self { connection, owner, values, persistent } = self;
        if way == 0 {
            connection.close().await?;
        } else {
            drop(connection);
        }
        let connection = PgConnection::connect(url).await?;
        Self { connection, owner, values, persistent }.check().await
    }
}
