//! When replicas are taken out, and how they come back.

use std::time::Duration;

use super::layer::Tuning;
use super::mistake::{Problem, quoted};
use super::value::{count, duration, limit};
use crate::health::Limits;

/// Shorter times cannot be told from everyday ones: while nothing is written, a horizon may lie half a second back.
const LEAST: Duration = Duration::from_secs(1);

/// What was said, and the defaults elsewhere. Zero stands for "off", as people write it.
pub(super) fn limits(tuning: &Tuning) -> Limits {
    let defaults = Limits::default();
    let number = |said: Option<usize>, default: Option<u32>| {
        said.map_or(default, |number| u32::try_from(number).ok().filter(|number| *number > 0))
    };
    Limits {
        slow_start: tuning.slow_start.unwrap_or(defaults.slow_start),
        max_lag: tuning
            .max_replica_lag
            .map_or(defaults.max_lag, |lag| Some(lag).filter(|lag| !lag.is_zero())),
        max_error_percent: number(tuning.max_error_percent, defaults.max_error_percent),
        latency_factor: number(tuning.max_latency_factor, defaults.latency_factor),
        max_holdback: tuning.max_holdback.unwrap_or(defaults.max_holdback),
    }
}

/// How old a replica's state may be, or `off`.
pub(super) fn lag(text: &str) -> Result<Duration, Problem> {
    let lag = limit(text)?;
    if lag.is_zero() { Ok(lag) } else { at_least(lag, text) }
}

/// For how long a replica may be held back.
pub(super) fn holdback(text: &str) -> Result<Duration, Problem> {
    at_least(duration(text)?, text)
}

/// A whole number from `least` to `most`, or `off`.
pub(super) fn number(text: &str, least: usize, most: usize) -> Result<usize, Problem> {
    if matches!(text, "off" | "0") {
        return Ok(0);
    }
    count(text, least, most).map_err(|problem| problem.or_write("off"))
}

fn at_least(time: Duration, text: &str) -> Result<Duration, Problem> {
    if time < LEAST {
        return Err(Problem::new(
            format!("{} is too short to tell anything", quoted(text)),
            "Write at least 1s",
        ));
    }
    Ok(time)
}
