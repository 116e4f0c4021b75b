//! Single values: numbers, durations, switches, words.

use std::str::FromStr;
use std::time::Duration;

use super::mistake::{Problem, quoted};
use super::suggest::nearest;
use crate::sql::{Lockable, Locked, UnknownWord};

/// No wait in a proxy is sensibly longer, and arithmetic on instants stays far from its limits.
const LONGEST: Duration = Duration::from_hours(24);

/// A whole number from `least` to `most`.
pub(super) fn count(text: &str, least: usize, most: usize) -> Result<usize, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits && (least..=most).contains(&number) => Ok(number),
        _ => Err(Problem::new(
            format!("{} is not a whole number from {least} to {most}", quoted(text)),
            "Write digits only",
        )),
    }
}

/// A TCP port, or 0.
pub(super) fn port(text: &str) -> Result<u16, Problem> {
    count(text, 0, usize::from(u16::MAX)).map(|port| u16::try_from(port).unwrap_or(0))
}

/// A time: a number of seconds, or a number with a unit (`500ms`, `20s`, `2min`, `1h`), at most a day.
pub(super) fn duration(text: &str) -> Result<Duration, Problem> {
    match crate::sql::duration::parse(text) {
        Some(duration) if duration <= LONGEST => Ok(duration),
        Some(_) => Err(Problem::new(format!("{} is longer than a day", quoted(text)), "Write at most 24h")),
        None => Err(Problem::new(
            format!("{} is not a duration", quoted(text)),
            "Write seconds (20) or a number with a unit (500ms, 20s, 2min, 1h)",
        )),
    }
}

/// A time that cannot be nothing.
pub(super) fn positive_duration(text: &str) -> Result<Duration, Problem> {
    match duration(text)? {
        Duration::ZERO => Err(Problem::new("no time at all would fail every attempt", "Write at least 1ms")),
        duration => Ok(duration),
    }
}

/// A time that can also be `off`, which is the same as no time at all.
pub(super) fn limit(text: &str) -> Result<Duration, Problem> {
    if text == "off" {
        return Ok(Duration::ZERO);
    }
    duration(text).map_err(|problem| problem.or_write("off"))
}

/// `true` or `false`.
pub(super) fn switch(text: &str) -> Result<bool, Problem> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Problem::new(format!("{} is neither true nor false", quoted(text)), "Write true or false")),
    }
}

/// One word out of a few.
pub(super) fn word<T: FromStr<Err = UnknownWord>>(text: &str) -> Result<T, Problem> {
    text.parse().map_err(|UnknownWord { expected }| {
        let advice = match nearest(text, expected.iter().copied()) {
            Some(near) => format!("Did you mean {near}? It can be {}", listed(expected)),
            None => format!("It can be {}", listed(expected)),
        };
        Problem::new(format!("{} is not known here", quoted(text)), advice)
    })
}

/// Names of settings, with commas between them.
pub(super) fn locked(text: &str) -> Result<Locked, Problem> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names.map(word::<Lockable>).collect()
}

/// `a, b or c`.
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => format!("only {only}"),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}
