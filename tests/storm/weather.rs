//! Attacks at a rate, and what became of them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::attack::{ALL, Attack, Ending, Target};

/// How a storm is made.
#[derive(Clone, Copy, Debug)]
pub struct Weather {
    pub target: Target,
    /// Connections in a minute.
    pub rate: u32,
    pub lasts: Duration,
    /// By when the proxy must have answered a connection, or closed it.
    pub patience: Duration,
}

/// What became of the attacks.
#[derive(Debug, Default)]
pub struct Tally {
    endings: BTreeMap<Attack, BTreeMap<Ending, u64>>,
    longest: BTreeMap<Attack, Duration>,
    /// Those that the proxy neither answered nor closed in time.
    overdue: BTreeMap<Attack, u64>,
    /// Those that could not even connect, and why.
    unreachable: Vec<String>,
    /// Connections made, over the time in which they were.
    pub made: u64,
    pub took: Duration,
}

/// What one attack came to; no ending is too late a one.
type Outcome = (Attack, Duration, Option<std::io::Result<Ending>>);

impl Weather {
    /// Attacks for as long as it lasts, and then waits for the last ones. Its clients have one thread.
    pub fn rages(self, runtime: &Runtime) -> Tally {
        runtime.block_on(async {
            let round: Vec<Attack> =
                ALL.iter().flat_map(|attack| std::iter::repeat_n(*attack, attack.weight())).collect();
            // Neighbours differ: kinds come mixed, and each with its share in every second.
            let mixed = (0..).map(|turn| round[turn * 37 % round.len()]);
            self.wage(mixed, true).await
        })
    }

    /// One attack of each kind that does not wait for time to pass.
    pub fn drizzles(self, runtime: &Runtime) -> Tally {
        let each = ALL.into_iter().filter(|attack| !attack.takes_time()).cycle().take(ALL.len() * 3);
        runtime.block_on(self.wage(each, false))
    }

    async fn wage(self, attacks: impl Iterator<Item = Attack>, until_it_is_over: bool) -> Tally {
        let mut tick = tokio::time::interval(Duration::from_mins(1) / self.rate);
        // Whatever was missed is made up for: the rate is kept.
        tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let (begun, mut tally, mut under_way) = (Instant::now(), Tally::default(), JoinSet::new());
        for attack in attacks {
            tick.tick().await;
            if until_it_is_over && begun.elapsed() >= self.lasts {
                break;
            }
            tally.made += 1;
            under_way.spawn(async move {
                let begun = Instant::now();
                let ended = tokio::time::timeout(self.patience, attack.wage(self.target)).await;
                (attack, begun.elapsed(), ended.ok())
            });
            while let Some(ended) = under_way.try_join_next() {
                tally.add(ended.unwrap());
            }
        }
        tally.took = begun.elapsed();
        while let Some(ended) = under_way.join_next().await {
            tally.add(ended.unwrap());
        }
        tally
    }
}

impl Tally {
    fn add(&mut self, (attack, took, ended): Outcome) {
        match ended {
            None => *self.overdue.entry(attack).or_default() += 1,
            Some(Err(error)) => self.unreachable.push(format!("{attack:?}: {error}")),
            Some(Ok(ending)) => {
                let longest = self.longest.entry(attack).or_default();
                *longest = took.max(*longest);
                *self.endings.entry(attack).or_default().entry(ending).or_default() += 1;
            }
        }
    }

    /// Adds another storm's.
    pub fn and(&mut self, other: Self) {
        for (attack, endings) in other.endings {
            for (ending, count) in endings {
                *self.endings.entry(attack).or_default().entry(ending).or_default() += count;
            }
        }
        for (attack, took) in other.longest {
            let longest = self.longest.entry(attack).or_default();
            *longest = took.max(*longest);
        }
        for (attack, count) in other.overdue {
            *self.overdue.entry(attack).or_default() += count;
        }
        self.unreachable.extend(other.unreachable);
        self.made += other.made;
        self.took += other.took;
    }

    /// Fails unless every connection was accepted, and answered or closed in time, and nobody was let in who should not
    /// have been.
    pub fn check(&self) {
        assert!(self.overdue.is_empty(), "neither answered nor closed in time: {:?}\n{self}", self.overdue);
        assert!(self.unreachable.is_empty(), "could not connect: {:?}\n{self}", self.unreachable);
        for (attack, endings) in &self.endings {
            assert!(!endings.contains_key(&Ending::LetIn), "{attack:?} was let in\n{self}");
        }
        for attack in ALL {
            assert!(self.endings.contains_key(&attack), "{attack:?} never came\n{self}");
        }
        // Who could be a client of good faith is told why it is refused.
        for attack in [Attack::Stuffed, Attack::UnknownVersion, Attack::WrongPassword, Attack::UnknownUser] {
            let told = self.endings[&attack].keys().any(|ending| matches!(ending, Ending::Refused(_)));
            assert!(told, "{attack:?} is never told why\n{self}");
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let a_minute = self.made as f64 / self.took.as_secs_f64() * 60.0;
        writeln!(f, "{} connections, {a_minute:.0} a minute", self.made)?;
        for (attack, endings) in &self.endings {
            let endings: Vec<_> =
                endings.iter().map(|(ending, count)| format!("{ending:?} {count}")).collect();
            let longest = self.longest[attack];
            writeln!(f, "  {:<18} at most {longest:>9.1?}: {}", format!("{attack:?}"), endings.join(", "))?;
        }
        Ok(())
    }
}
