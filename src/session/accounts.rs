//! What a server keeps of the passwords of users that the configuration does not name, asked for and believed for a while.
//!
//! Whoever asks is nobody yet, so all of it is bounded: what is remembered, how many questions are under way at one time, and
//! how long one may take. Those of whom something is known have a connection of their own, so that who tries many names stands
//! in nobody's way but other strangers'.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::sync::Mutex as Line;

use super::failure::Failure;
use super::lock::lock;
use crate::auth::Stored;
use crate::cluster::{AskError, Cluster, Control, Inquiry, ProbeError};
use crate::config::DatabaseSettings;

/// Most answers of each kind that are remembered.
const REMEMBERED: usize = 10_000;
/// Longest name of a role, in bytes (`NAMEDATALEN`).
const LONGEST: usize = 63;
/// An answer that a client could not prove is asked for anew from this age on.
const DOUBTFUL: Duration = Duration::from_secs(1);

/// What is asked of the servers of a database, and what they have said.
#[derive(Debug)]
pub(super) struct Accounts {
    control: Control,
    query: String,
    ttl: Duration,
    within: Duration,
    /// Those who may log in.
    known: Mutex<HashMap<String, Answer>>,
    /// Names that are nobody's.
    unknown: Mutex<HashMap<String, Instant>>,
    /// For those who were known before, and for the others.
    lines: [Line<Option<Inquiry>>; 2],
    /// Whether it has been said that nothing can be found out.
    is_in_trouble: AtomicBool,
}

#[derive(Clone, Debug)]
struct Answer {
    stored: Arc<Stored>,
    at: Instant,
}

/// What is remembered of a name: what is kept of somebody's password, or that there is nobody.
struct Found(Option<Arc<Stored>>);

impl Accounts {
    /// What these settings say; `None`: nobody is asked.
    pub(super) fn new(settings: &DatabaseSettings) -> Option<Arc<Self>> {
        Some(Arc::new(Self {
            control: Control::for_accounts(settings),
            query: settings.accounts.query.clone()?,
            ttl: settings.accounts.ttl,
            within: settings.pool.connect_timeout,
            known: Mutex::default(),
            unknown: Mutex::default(),
            lines: Default::default(),
            is_in_trouble: AtomicBool::new(false),
        }))
    }

    /// Whether it is what these settings say.
    pub(super) fn is_by(&self, settings: &DatabaseSettings) -> bool {
        settings.accounts.query.as_ref() == Some(&self.query)
            && settings.accounts.ttl == self.ttl
            && settings.pool.connect_timeout == self.within
            && Control::for_accounts(settings) == self.control
    }

    /// What is kept of the password of whoever has this name, if somebody has and may log in with it.
    pub(super) async fn find(&self, cluster: &Cluster, name: &str) -> Result<Option<Arc<Stored>>, Failure> {
        if name.len() > LONGEST || name.contains('\0') {
            return Ok(None);
        }
        if let Some(Found(found)) = self.remembered(name) {
            return Ok(found);
        }
        let asked = tokio::time::timeout(self.within, self.ask_in_turn(cluster, name)).await;
        let asked = asked.unwrap_or_else(|_| Err(AskError::Probe(ProbeError::Timeout(self.within))));
        match asked {
            Ok(found) => {
                if self.is_in_trouble.swap(false, Ordering::Relaxed) {
                    tracing::info!("auth_query works again");
                }
                Ok(found)
            }
            Err(error) => {
                if self.is_in_trouble.swap(true, Ordering::Relaxed) {
                    tracing::debug!(%error, "auth_query failed");
                } else {
                    tracing::warn!(%error, "auth_query failed: users that are not configured cannot log in");
                }
                let text = "the servers cannot be asked at the moment who may log in";
                Err(Failure::fatal("57P03", text).with_hint("The reason is in the proxy's log (auth_query)."))
            }
        }
    }

    /// A client could not prove what was remembered: the password may have been changed.
    pub(super) fn doubt(&self, name: &str) {
        let mut known = lock(&self.known);
        if known.get(name).is_some_and(|answer| answer.at.elapsed() >= DOUBTFUL) {
            known.remove(name);
        }
    }

    /// Whether the name was somebody's when it was last asked for.
    fn was_known(&self, name: &str) -> bool {
        lock(&self.known).contains_key(name)
    }

    fn remembered(&self, name: &str) -> Option<Found> {
        let known = lock(&self.known).get(name).filter(|answer| answer.at.elapsed() < self.ttl).cloned();
        if let Some(answer) = known {
            return Some(Found(Some(answer.stored)));
        }
        let is_nobody = lock(&self.unknown).get(name).is_some_and(|at| at.elapsed() < self.ttl);
        is_nobody.then_some(Found(None))
    }

    /// One question at a time on each of the two connections.
    async fn ask_in_turn(&self, cluster: &Cluster, name: &str) -> Result<Option<Arc<Stored>>, AskError> {
        let [regulars, strangers] = &self.lines;
        let line = if self.was_known(name) { regulars } else { strangers };
        let mut line = line.lock().await;
        // Whoever was before may have asked for the same.
        if let Some(Found(found)) = self.remembered(name) {
            return Ok(found);
        }
        let node = cluster.informed().ok_or(AskError::NoNode)?;
        // What comes to no end leaves no connection behind.
        let inquiry = match line.take().filter(|inquiry| inquiry.is_with(&node)) {
            Some(inquiry) => inquiry,
            None => Inquiry::open(&self.control, &node, &self.query).await?,
        };
        let at = Instant::now();
        let kept = inquiry.ask(name).await?;
        *line = Some(inquiry);
        let stored = kept.and_then(|kept| Stored::read(kept.expose())).map(Arc::new);
        self.remember(name, stored.as_ref(), at);
        Ok(stored)
    }

    fn remember(&self, name: &str, stored: Option<&Arc<Stored>>, at: Instant) {
        if let Some(stored) = stored {
            let mut known = lock(&self.known);
            make_room(&mut known, |answer| answer.at.elapsed() < self.ttl);
            known.insert(name.to_owned(), Answer { stored: Arc::clone(stored), at });
            drop(known);
            lock(&self.unknown).remove(name);
        } else {
            lock(&self.known).remove(name);
            let mut unknown = lock(&self.unknown);
            make_room(&mut unknown, |at| at.elapsed() < self.ttl);
            unknown.insert(name.to_owned(), at);
        }
    }
}

/// Drops what is not worth anything any more when there is no room, and everything where that is not enough.
fn make_room<T>(remembered: &mut HashMap<String, T>, is_good: impl Fn(&T) -> bool) {
    if remembered.len() >= REMEMBERED {
        remembered.retain(|_, one| is_good(one));
    }
    // Not one by one: each would be looked for among all.
    if remembered.len() >= REMEMBERED {
        remembered.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_tries_many_names_fills_no_memory() {
        let mut remembered = HashMap::new();
        for number in 0..5 * REMEMBERED {
            make_room(&mut remembered, |is_good| *is_good);
            remembered.insert(number.to_string(), number % 2 == 0);
            assert!(remembered.len() <= REMEMBERED);
        }
        assert!(remembered.contains_key(&(5 * REMEMBERED - 1).to_string()));
    }
}
