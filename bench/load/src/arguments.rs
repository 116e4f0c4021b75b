//! `COMMAND name=value…`.

use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// What was typed.
pub struct Arguments {
    pub command: String,
    values: Vec<(String, String)>,
}

impl Arguments {
    pub fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let command = words.next().ok_or("a command is wanted: offload, reopen or readers")?;
        let pair = |word: String| match word.split_once('=') {
            Some((name, value)) => Ok((name.to_owned(), value.to_owned())),
            None => Err(format!("{word}: name=value is wanted")),
        };
        Ok(Self { command, values: words.map(pair).collect::<Result<_, _>>()? })
    }

    /// All values of that name.
    pub fn all(&self, name: &str) -> Vec<String> {
        self.values.iter().filter(|(given, _)| given == name).map(|(_, value)| value.clone()).collect()
    }

    /// The value of that name, which must be there.
    pub fn one<T: FromStr<Err: Display>>(&self, name: &str) -> Result<T, String> {
        let given = self.all(name);
        let value = given.last().ok_or_else(|| format!("{name}=… is wanted"))?;
        value.parse().map_err(|error| format!("{name}={value}: {error}"))
    }

    pub fn seconds(&self) -> Result<Duration, String> {
        Ok(Duration::from_secs_f64(self.one::<f64>("seconds")?.clamp(0.1, 600.0)))
    }
}
