//! One connection of an actor, with what is prepared on it.

use tokio_postgres::{Client, SimpleQueryMessage, Statement};

use super::plan::Target;
use super::route::Route;
use super::trouble::{Trouble, answer};
use crate::server::{About, ConnectError, drive};

/// Connects. Whether the connection has ended is seen by the next statement.
pub(super) async fn connect(target: &Target) -> Result<Client, Trouble> {
    let mut config = target.config.clone();
    let opened =
        tokio::time::timeout(target.connect_timeout, drive(&target.address, &mut config, About::Public))
            .await;
    let timeout = |_| Trouble::Connection(ConnectError::Timeout(target.connect_timeout));
    let (client, connection) = opened.map_err(timeout)??;
    tokio::spawn(connection);
    Ok(client)
}

/// The names of the tables: those of registers and those of lists are numbered alike.
#[derive(Clone, Debug)]
pub(super) struct Tables {
    /// The schema that holds them.
    pub(super) schema: String,
    /// How many of each.
    pub(super) count: usize,
}

impl Tables {
    /// The table of an actor's register or list.
    pub(super) fn of(&self, actor: usize) -> usize {
        actor % self.count
    }

    fn reads(&self) -> impl Iterator<Item = [String; 2]> {
        let schema = self.schema.clone();
        let elements = "coalesce(array_agg(n order by n), '{}')";
        (0..self.count).map(move |table| {
            [
                format!("select value from {schema}.register_{table} where id = $1"),
                format!("select {elements} from {schema}.list_{table} where list = $1 and n > $2"),
            ]
        })
    }

    /// A later value never gives way to an earlier one whose write was long on its way, and an element that is there
    /// already is no mistake: so a write whose outcome is unknown can be repeated.
    fn writes(&self, actor: usize) -> [String; 3] {
        let (schema, table) = (&self.schema, self.of(actor));
        [
            format!("update {schema}.register_{table} set value = $2 where id = $1 and value < $2"),
            format!("insert into {schema}.list_{table} (list, n) values ($1, $2) on conflict do nothing"),
            format!("delete from {schema}.list_{table} where list = $1 and n <= $2"),
        ]
    }
}

/// What is read.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    Value(i64),
    Elements(Vec<i64>),
}

/// A register or a list of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Thing {
    /// Whose it is.
    pub(super) actor: usize,
    pub(super) is_list: bool,
}

/// One connection.
pub(super) struct Link {
    client: Client,
    tables: Tables,
    /// By table: of registers, and of lists.
    reads: Vec<[Statement; 2]>,
    /// Of a register, to a list, and of what is thrown away.
    writes: [Statement; 3],
}

impl Link {
    /// Connects and prepares what the actor will say.
    pub(super) async fn open(target: &Target, tables: &Tables, actor: usize) -> Result<Self, Trouble> {
        let client = connect(target).await?;
        let mut reads = Vec::with_capacity(tables.count);
        for [register, list] in tables.reads() {
            reads.push([answer(client.prepare(&register)).await?, answer(client.prepare(&list)).await?]);
        }
        let [set, append, trim] = tables.writes(actor);
        let set = answer(client.prepare(&set)).await?;
        let append = answer(client.prepare(&append)).await?;
        let trim = answer(client.prepare(&trim)).await?;
        Ok(Self { client, tables: tables.clone(), reads, writes: [set, append, trim] })
    }

    /// Sets a register, or appends to a list.
    pub(super) async fn write(&self, thing: Thing, value: u64) -> Result<(), Trouble> {
        self.change(&self.writes[usize::from(thing.is_list)], thing, value).await
    }

    /// Throws away the elements of a list up to this one.
    pub(super) async fn trim(&self, list: Thing, up_to: u64) -> Result<(), Trouble> {
        self.change(&self.writes[2], list, up_to).await
    }

    async fn change(&self, statement: &Statement, thing: Thing, value: u64) -> Result<(), Trouble> {
        answer(self.client.execute(statement, &[&id(thing.actor), &number(value)])).await.map(drop)
    }

    /// Reads a register, or a list from after `base` on.
    pub(super) async fn read(&self, thing: Thing, base: u64) -> Result<Answer, Trouble> {
        let [register, list] = &self.reads[self.tables.of(thing.actor)];
        if thing.is_list {
            let row = answer(self.client.query_one(list, &[&id(thing.actor), &number(base)])).await?;
            return Ok(Answer::Elements(row.try_get(0)?));
        }
        let row = answer(self.client.query_opt(register, &[&id(thing.actor)])).await?;
        Ok(Answer::Value(row.map_or(Ok(0), |row| row.try_get(0))?))
    }

    /// The same, where everything up to a token's position must be there.
    pub(super) async fn read_after(&self, token: &Token, thing: Thing, base: u64) -> Result<Answer, Trouble> {
        let (Tables { schema, .. }, table, id) = (&self.tables, self.tables.of(thing.actor), thing.actor);
        let select = if thing.is_list {
            format!("select n from {schema}.list_{table} where list = {id} and n > {base} order by n")
        } else {
            format!("select value from {schema}.register_{table} where id = {id}")
        };
        let hinted = format!("/* tidegate: after='{}' */ {select}", token.0);
        let cells = first_column(&answer(self.client.simple_query(&hinted)).await?);
        let numbers: Result<Vec<i64>, _> = cells.iter().map(|cell| cell.parse()).collect();
        let numbers = numbers.map_err(|_| Trouble::Nonsense("a value that is no number"))?;
        Ok(if thing.is_list {
            Answer::Elements(numbers)
        } else {
            Answer::Value(numbers.first().copied().unwrap_or(0))
        })
    }

    /// The position of what was written on this connection.
    pub(super) async fn token(&self) -> Result<Token, Trouble> {
        Token::ask(&self.client).await
    }

    /// Where the last statement on this connection went, if the proxy says so.
    pub(super) async fn last_route(&self) -> Result<Option<Route>, Trouble> {
        last_route(&self.client).await
    }
}

/// Where the last statement on this connection went, if the proxy says so. It is an error where nobody knows the question.
pub(super) async fn last_route(client: &Client) -> Result<Option<Route>, Trouble> {
    let rows = answer(client.simple_query("show tidegate.last_route")).await?;
    Ok(Route::read(first_column(&rows)))
}

/// A position that reads can be asked to include.
#[derive(Clone, Debug)]
pub(super) struct Token(String);

impl Token {
    /// Asks for the position of what was written on this connection.
    pub(super) async fn ask(client: &Client) -> Result<Self, Trouble> {
        let rows = answer(client.simple_query("show tidegate.token")).await?;
        let token = first_column(&rows).pop().unwrap_or_default();
        // It goes into a comment.
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | ':' | '.');
        if token.is_empty() || !token.chars().all(is_plain) {
            return Err(Trouble::Nonsense("SHOW tidegate.token did not answer with a token"));
        }
        Ok(Self(token))
    }
}

fn first_column(messages: &[SimpleQueryMessage]) -> Vec<String> {
    let cell = |message: &SimpleQueryMessage| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    messages.iter().filter_map(cell).collect()
}

/// Actors are few.
fn id(actor: usize) -> i32 {
    i32::try_from(actor).unwrap_or(i32::MAX)
}

/// Nobody writes so often.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
