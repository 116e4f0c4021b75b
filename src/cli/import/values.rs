//! Settings that are translated one by one: numbers, times, words.

use std::time::Duration;

use super::plan::Value;

/// How a value is written there, and what zero means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A number, at least 1.
    Count,
    /// A number; 0 means that there is no limit, in both.
    CountOrNone,
    /// Seconds; 0 means that there is no limit, in both.
    Time,
    /// Seconds, at least a moment.
    TimeAtLeast(Duration),
    /// `session`, `transaction` or `statement`.
    Mode,
}

/// A setting that has a counterpart.
pub struct Pair {
    /// Its name there.
    pub theirs: &'static str,
    /// Its name here.
    pub ours: &'static str,
    /// How it is written.
    pub form: Form,
    /// What it is here unless it is said.
    pub default: Written,
    /// What it is there unless it is said, where that is so different that it is said here.
    pub implied: Option<&'static str>,
}

/// A default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// A number.
    Number(u64),
    /// A time, in seconds; zero: off.
    Seconds(u64),
    /// A word.
    Word(&'static str),
}

const fn pair(
    theirs: &'static str,
    ours: &'static str,
    form: Form,
    default: Written,
    implied: Option<&'static str>,
) -> Pair {
    Pair { theirs, ours, form, default, implied }
}

use Form::{Count, CountOrNone, Mode, Time, TimeAtLeast};
use Written::{Number, Seconds, Word};

const MOMENT: Duration = Duration::from_millis(1);

/// Settings of `[pgbouncer]` that hold for every database here; those of `[databases]` and `[users]` have names of them.
pub const PAIRS: &[Pair] = &[
    pair("pool_mode", "pool_mode", Mode, Word("transaction"), Some("session")),
    pair("max_client_conn", "max_clients", Count, Number(10_000), Some("100")),
    pair("max_db_client_connections", "max_clients", CountOrNone, Number(10_000), None),
    pair("default_pool_size", "connection_limit", Count, Number(20), None),
    pair("pool_size", "connection_limit", Count, Number(20), None),
    pair("min_pool_size", "min_connections", CountOrNone, Number(0), None),
    pair("max_db_connections", "database_connection_limit", CountOrNone, Number(0), None),
    pair("max_user_client_connections", "max_user_client_connections", CountOrNone, Number(0), None),
    pair("max_prepared_statements", "prepared_statements_per_server", Count, Number(500), None),
    pair("server_lifetime", "server_lifetime", TimeAtLeast(MOMENT), Seconds(3600), None),
    pair("server_idle_timeout", "server_idle_timeout", Time, Seconds(600), None),
    pair("server_connect_timeout", "connect_timeout", TimeAtLeast(MOMENT), Seconds(5), Some("15")),
    pair("dns_max_ttl", "dns_interval", TimeAtLeast(MOMENT), Seconds(5), None),
    pair("query_timeout", "query_timeout", Time, Seconds(0), None),
    pair("query_wait_timeout", "pool_timeout", Time, Seconds(20), Some("120")),
    pair("client_idle_timeout", "client_idle_timeout", Time, Seconds(0), None),
    pair("idle_transaction_timeout", "idle_in_transaction_timeout", Time, Seconds(0), None),
];

/// Of the whole proxy.
pub const LOGIN: Pair = pair(
    "client_login_timeout",
    "authentication_timeout",
    TimeAtLeast(Duration::from_secs(1)),
    Seconds(60),
    None,
);

/// The counterpart of a setting.
pub fn counterpart(theirs: &str) -> Option<&'static Pair> {
    PAIRS.iter().find(|pair| pair.theirs == theirs)
}

/// What a value becomes.
#[derive(Debug, PartialEq, Eq)]
pub enum Became {
    /// This, and what there is to know about it.
    Value(Value, &'static str),
    /// What it is anyway.
    Default,
    /// Nothing, and why.
    Nothing(String),
}

/// The longest time here.
const LONGEST: Duration = Duration::from_hours(24);
/// More connections than any server has.
const MOST: u64 = 262_143;

impl Pair {
    /// What a value becomes here.
    pub fn read(&self, text: &str) -> Became {
        match self.form {
            Mode => self.mode(text),
            Count | CountOrNone => self.count(text),
            Time => self.time(text, Duration::ZERO),
            TimeAtLeast(least) => self.time(text, least),
        }
    }

    fn mode(&self, text: &str) -> Became {
        let (word, note) = match text.to_ascii_lowercase().as_str() {
            "session" => (
                "session",
                "transaction keeps session settings and prepared statements, too, and needs fewer connections",
            ),
            "transaction" => ("transaction", ""),
            "statement" => ("transaction", "transactions of several statements are allowed here"),
            _ => return Became::Nothing("it is neither session, transaction nor statement".to_owned()),
        };
        self.unless_default(Word(word), Value::Text(word.to_owned()), note)
    }

    fn count(&self, text: &str) -> Became {
        let Ok(number) = text.parse::<u64>() else {
            return Became::Nothing("it is not a whole number".to_owned());
        };
        if number == 0 && self.form == CountOrNone && self.default != Number(0) {
            return Became::Default;
        }
        if number == 0 && self.form == Count {
            return Became::Nothing(format!("{} cannot be 0", self.ours));
        }
        let most = if self.ours.contains("client") { 1_000_000 } else { MOST };
        let note = if number > most { "more cannot be said" } else { "" };
        let number = number.min(most);
        self.unless_default(Number(number), Value::Number(number), note)
    }

    fn time(&self, text: &str, least: Duration) -> Became {
        let Some(time) = seconds(text) else {
            return Became::Nothing("it is not a number of seconds".to_owned());
        };
        let (time, note) = match time {
            time if time < least => (least, "nothing shorter can be said"),
            time if time > LONGEST => (LONGEST, "nothing longer can be said"),
            time => (time, ""),
        };
        if time == Duration::from_secs(time.as_secs()) && self.default == Seconds(time.as_secs()) {
            return Became::Default;
        }
        Became::Value(Value::Text(written(time)), note)
    }

    fn unless_default(&self, written: Written, value: Value, note: &'static str) -> Became {
        if self.default == written && note.is_empty() { Became::Default } else { Became::Value(value, note) }
    }
}

/// A number of seconds, whole or not.
fn seconds(text: &str) -> Option<Duration> {
    let number: f64 = text.parse().ok()?;
    Duration::try_from_secs_f64(number).ok()
}

/// A time as it is written here.
fn written(time: Duration) -> String {
    let millis = time.as_millis();
    if millis.is_multiple_of(1000) { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_translated() {
        let text = |value: &str| Became::Value(Value::Text(value.to_owned()), "");
        for (name, value, wanted) in [
            ("query_wait_timeout", "120", text("120s")),
            ("query_wait_timeout", "20.0", Became::Default),
            ("query_wait_timeout", "0", text("0s")),
            ("server_connect_timeout", "0.25", text("250ms")),
            ("query_timeout", "0", Became::Default),
            ("default_pool_size", "20", Became::Default),
            ("pool_size", "7", Became::Value(Value::Number(7), "")),
            ("max_db_connections", "0", Became::Default),
            ("max_db_client_connections", "0", Became::Default),
            ("pool_mode", "Transaction", Became::Default),
            (
                "server_lifetime",
                "0",
                Became::Value(Value::Text("1ms".to_owned()), "nothing shorter can be said"),
            ),
            (
                "server_lifetime",
                "1e6",
                Became::Value(Value::Text("86400s".to_owned()), "nothing longer can be said"),
            ),
        ] {
            assert_eq!(counterpart(name).expect("it has one").read(value), wanted, "{name} = {value}");
        }
        for (name, value) in [
            ("pool_mode", "sesion"),
            ("pool_size", "0"),
            ("pool_size", "-1"),
            ("pool_size", "many"),
            ("query_timeout", "-1"),
            ("query_timeout", "nan"),
            ("query_timeout", "1 h"),
        ] {
            let read = counterpart(name).expect("it has one").read(value);
            assert!(matches!(read, Became::Nothing(_)), "{name} = {value}: {read:?}");
        }
    }
}
