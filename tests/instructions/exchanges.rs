//! What the client does, always in the same way.

use super::support::raw::{Raw, bind, describe, execute, parse, query, sync};

/// Made on the primary before.
pub const TABLE: &str = "create table facts (id int primary key, n int); \
     insert into facts select i, 0 from generate_series(1, 100) i; grant all on facts to app";

const READ: &str = "select n from facts where id = 7";
const READ_BY: &str = "select n from facts where id = $1";

/// Names and texts of the prepared statements.
const PREPARED: [(&str, &str); 4] = [
    ("begin", "begin"),
    ("update", "update facts set n = n + 1 where id = $1"),
    ("read", READ_BY),
    ("commit", "commit"),
];

/// Prepares what some exchanges run by name.
pub fn prepare(client: &mut Raw) {
    client.send(&[PREPARED.map(|(name, sql)| parse(name, sql)).concat(), sync()].concat());
    client.answer().ok();
}

/// One transaction, again and again.
pub struct Exchange {
    pub name: &'static str,
    /// Statements that replicas must have run.
    pub reads: u64,
    /// What the client sends, piece by piece; each is answered before the next.
    pieces: fn() -> Vec<Vec<u8>>,
}

pub const EXCHANGES: [Exchange; 5] = [
    Exchange { name: "select-simple", reads: 1, pieces: || vec![query(READ)] },
    Exchange { name: "select-extended", reads: 1, pieces: || vec![[one_read(), sync()].concat()] },
    Exchange { name: "select-prepared", reads: 1, pieces: || vec![run("read", &["7"])] },
    Exchange {
        name: "pipeline-of-ten",
        reads: 10,
        pieces: || vec![[one_read().repeat(10), sync()].concat()],
    },
    Exchange {
        name: "transaction",
        reads: 0,
        pieces: || vec![run("begin", &[]), run("update", &["7"]), run("read", &["7"]), run("commit", &[])],
    },
];

impl Exchange {
    pub fn run(&self, client: &mut Raw) {
        for piece in (self.pieces)() {
            client.send(&piece);
            client.answer().ok();
        }
    }
}

/// A read through the unnamed statement and portal.
fn one_read() -> Vec<u8> {
    [parse("", READ_BY), bind("", "", &["7"]), describe(b'P', ""), execute("")].concat()
}

/// A prepared statement by its name.
fn run(name: &str, parameters: &[&str]) -> Vec<u8> {
    [bind("", name, parameters), execute(""), sync()].concat()
}

/// Whether a read runs on a replica at this moment.
pub fn is_open(client: &mut Raw) -> bool {
    client.ok(READ);
    client.ok("show tidegate.last_route").value().starts_with("to: replica")
}
