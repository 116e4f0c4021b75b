//! What clients were told about each of their writes, and whether it was true.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What a client knows of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Sent, and no answer yet.
    Sent,
    /// Acknowledged.
    Acknowledged,
    /// It was told, with this SQLSTATE, that the write is not there.
    Refused(String),
    /// It may be there or not.
    Unknown(String),
}

/// Rows that one write makes. The column `part` tells them apart, so that half a transaction is seen.
pub type Parts = &'static [i32];

/// The writes of one client, by their sequence number, which begins at 0.
#[derive(Debug)]
pub struct Account {
    /// Its number, for ever and in the table.
    pub writer: i32,
    parts: Parts,
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    fates: Vec<Fate>,
    acknowledged: Vec<i64>,
}

impl Account {
    pub fn new(writer: i32, parts: Parts) -> Self {
        Self { writer, parts, book: Mutex::default() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A write is about to be sent. Returns its sequence number.
    pub fn send(&self) -> i64 {
        let mut book = self.book();
        book.fates.push(Fate::Sent);
        number(book.fates.len() - 1)
    }

    /// What the client was told about it.
    pub fn told(&self, seq: i64, fate: Fate) {
        let mut book = self.book();
        if fate == Fate::Acknowledged {
            book.acknowledged.push(seq);
        }
        book.fates[index(seq)] = fate;
    }

    /// The last writes that were acknowledged, at most so many, in their order.
    pub fn acknowledged(&self, most: usize) -> Vec<i64> {
        let book = self.book();
        book.acknowledged[book.acknowledged.len().saturating_sub(most)..].to_vec()
    }

    /// How many writes were acknowledged, refused, and are of an unknown outcome.
    pub fn tally(&self) -> [usize; 3] {
        let book = self.book();
        let count = |is: fn(&Fate) -> bool| book.fates.iter().filter(|fate| is(fate)).count();
        [
            count(|fate| *fate == Fate::Acknowledged),
            count(|fate| matches!(fate, Fate::Refused(_))),
            count(|fate| matches!(fate, Fate::Sent | Fate::Unknown(_))),
        ]
    }

    /// Holds what the client was told against the rows that are there: the parts of each of its writes.
    pub fn audit(&self, rows: &BTreeMap<i64, Vec<i32>>) -> Vec<Falsehood> {
        let book = self.book();
        let mut found = Vec::new();
        let mut find = |seq: i64, what: &str| {
            found.push(Falsehood { writer: self.writer, seq, what: what.to_owned() });
        };
        for (seq, fate) in book.fates.iter().enumerate() {
            let seq = number(seq);
            let there = rows.get(&seq).map(Vec::as_slice).unwrap_or_default();
            match fate {
                _ if there.len() > self.parts.len() => find(seq, "was applied more than once"),
                _ if !there.is_empty() && there != self.parts => find(seq, "is there in part"),
                Fate::Acknowledged if there.is_empty() => find(seq, "was acknowledged and is not there"),
                Fate::Refused(code) if !there.is_empty() => {
                    find(seq, &format!("was refused for certain ({code}) and is there"));
                }
                _ => {}
            }
        }
        for seq in rows.keys().filter(|seq| index(**seq) >= book.fates.len()) {
            find(*seq, "is there and was never sent");
        }
        found
    }
}

/// Something that a client was told and that is not so.
#[derive(Clone, Debug)]
pub struct Falsehood {
    writer: i32,
    seq: i64,
    what: String,
}

impl fmt::Display for Falsehood {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "write {} of writer {} {}", self.seq, self.writer, self.what)
    }
}

fn number(index: usize) -> i64 {
    i64::try_from(index).unwrap()
}

fn index(number: i64) -> usize {
    usize::try_from(number).unwrap()
}

/// What makes an audit worth something is that it fails.
pub fn prove() {
    let account = Account::new(1, &[1, 2]);
    let codes = ["08007", "57P03"];
    let fates = [
        Fate::Acknowledged,
        Fate::Acknowledged,
        Fate::Refused(codes[1].to_owned()),
        Fate::Unknown(codes[0].to_owned()),
        Fate::Acknowledged,
        Fate::Acknowledged,
    ];
    for fate in fates {
        account.told(account.send(), fate);
    }
    let true_rows = BTreeMap::from([(0, vec![1, 2]), (1, vec![1, 2]), (4, vec![1, 2]), (5, vec![1, 2])]);
    assert!(account.audit(&true_rows).is_empty());
    let mut rows = true_rows;
    rows.remove(&0);
    rows.insert(1, vec![1, 1, 2, 2]);
    rows.insert(2, vec![1, 2]);
    rows.insert(3, vec![1, 2]);
    rows.insert(4, vec![2]);
    rows.insert(9, vec![1, 2]);
    let found = account.audit(&rows).iter().map(|falsehood| falsehood.seq).collect::<Vec<_>>();
    assert_eq!(found, [0, 1, 2, 4, 9]);
}
