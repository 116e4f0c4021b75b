//! One replica: what is done to it, what it was like before, and how it gets like that again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use crate::cli::verify::link::connect;
use crate::cli::verify::plan::Target;
use crate::cli::verify::trouble::{Trouble, answer};

/// What our own connections here are called, so that they are not terminated.
const APPLICATION: &str = "tidegate faults";
const RESTORES: u32 = 5;
const RETRY: Duration = Duration::from_secs(1);

/// A replica to make faults on.
pub(super) struct Replica {
    target: Target,
    /// How the delay was set before, as `ALTER SYSTEM` is told.
    delay_before: String,
    /// Taken for as long as something is asked, so faults on one replica come one after the other.
    client: Mutex<Option<Client>>,
    paused: AtomicBool,
    delayed: AtomicBool,
}

impl Replica {
    /// Connects and looks. The error says why nothing can be done here.
    pub(super) async fn open(target: &Target) -> Result<Self, String> {
        let mut target = target.clone();
        target.config.application_name(APPLICATION);
        let client = connect(&target).await.map_err(|trouble| trouble.to_string())?;
        let delay_before = look(&client).await?;
        Ok(Self {
            target,
            delay_before,
            client: Mutex::new(Some(client)),
            paused: AtomicBool::new(false),
            delayed: AtomicBool::new(false),
        })
    }

    /// How it is called.
    pub(super) fn shown(&self) -> &str {
        &self.target.shown
    }

    /// Holds replay back for so many milliseconds. The server ends this by itself, also when we are killed meanwhile.
    pub(super) async fn pause_for(&self, millis: u32) -> Result<u64, Trouble> {
        self.paused.store(true, Ordering::Relaxed);
        let seconds = f64::from(millis) / 1000.0;
        let sql = format!(
            "select pg_wal_replay_pause(); select pg_sleep({seconds}); select pg_wal_replay_resume()"
        );
        self.ask(async |client| {
            let paused = answer(client.batch_execute(&sql)).await;
            if paused.as_ref().is_err_and(Trouble::leaves_connection) {
                // It may have been canceled in the middle. That nothing could be paused is what is told.
                let _ = answer(client.batch_execute("select pg_wal_replay_resume()")).await;
            }
            paused.map(|()| 1)
        })
        .await
    }

    /// Makes it apply commits so much later than they were made.
    pub(super) async fn delay(&self, delay: Duration) -> Result<u64, Trouble> {
        let sql = format!("alter system set recovery_min_apply_delay = '{}ms'", delay.as_millis());
        self.ask(async |client| {
            answer(client.batch_execute(&sql)).await?;
            self.delayed.store(true, Ordering::Relaxed);
            answer(client.batch_execute("select pg_reload_conf()")).await
        })
        .await
        .map(|()| 1)
    }

    /// Terminates some connections of this user, and says how many.
    pub(super) async fn terminate(&self, user: &str) -> Result<u64, Trouble> {
        let sql = "select count(*) filter (where pg_terminate_backend(pid)) from (
                       select pid from pg_stat_activity
                       where usename = $1 and backend_type = 'client backend' and pid <> pg_backend_pid()
                         and application_name not in ($2, 'tidegate monitor', 'tidegate catalog')
                       order by random() limit 3
                   ) as chosen";
        let row =
            self.ask(async |client| answer(client.query_one(sql, &[&user, &APPLICATION])).await).await?;
        Ok(u64::try_from(row.try_get::<_, i64>(0)?).unwrap_or(0))
    }

    /// Undoes what was done. The error says what is left, and what to do about it.
    pub(super) async fn restore(&self) -> Result<(), String> {
        let mut last = None;
        for attempt in 0..RESTORES {
            if attempt > 0 {
                tokio::time::sleep(RETRY).await;
            }
            match self.ask(async |client| self.undo(client).await).await {
                Ok(()) => return Ok(()),
                Err(trouble) => last = Some(trouble),
            }
        }
        let (paused, delayed) = self.done();
        let by_hand = [
            (paused, "select pg_wal_replay_resume()"),
            (delayed, &self.delay_before),
            (delayed, "select pg_reload_conf()"),
        ];
        let by_hand: Vec<&str> = by_hand.iter().filter(|(is_so, _)| *is_so).map(|(_, sql)| *sql).collect();
        let why = last.map_or_else(String::new, |trouble| trouble.to_string());
        Err(format!("faults on {} are not undone ({why}); run there: {}", self.shown(), by_hand.join("; ")))
    }

    /// Whether replay was paused, and whether the delay was changed.
    fn done(&self) -> (bool, bool) {
        (self.paused.load(Ordering::Relaxed), self.delayed.load(Ordering::Relaxed))
    }

    async fn undo(&self, client: &Client) -> Result<(), Trouble> {
        let (paused, delayed) = self.done();
        if delayed {
            answer(client.batch_execute(&self.delay_before)).await?;
            answer(client.batch_execute("select pg_reload_conf()")).await?;
        }
        if !paused {
            return Ok(());
        }
        match answer(client.batch_execute("select pg_wal_replay_resume()")).await {
            // It has become a primary: nothing is replayed any more, and where nothing could be paused nothing is.
            Err(Trouble::Database(error))
                if [
                    Some(&SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE),
                    Some(&SqlState::INSUFFICIENT_PRIVILEGE),
                ]
                .contains(&error.code()) =>
            {
                Ok(())
            }
            other => other,
        }
    }

    /// Asks on the connection that is there, or on a new one.
    async fn ask<T>(&self, question: impl AsyncFnOnce(&Client) -> Result<T, Trouble>) -> Result<T, Trouble> {
        let mut slot = self.client.lock().await;
        // Taken out: a question that is given up leaves no connection in the middle of an answer.
        let client = match slot.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => connect(&self.target).await?,
        };
        let answered = question(&client).await;
        if answered.as_ref().err().is_none_or(Trouble::leaves_connection) {
            *slot = Some(client);
        }
        answered
    }
}

/// What brings the delay back to what it is now. The error says why the node is to be left alone.
async fn look(client: &Client) -> Result<String, String> {
    let ask =
        async |sql: &str| answer(client.query_one(sql, &[])).await.map_err(|trouble| trouble.to_string());
    let malformed = |error: tokio_postgres::Error| error.to_string();
    if !ask("select pg_is_in_recovery()").await?.try_get::<_, bool>(0).map_err(malformed)? {
        return Err("it is no replica".to_owned());
    }
    if ask("select pg_is_wal_replay_paused()").await?.try_get::<_, bool>(0).map_err(malformed)? {
        return Err("somebody else has paused its replay".to_owned());
    }
    let row = ask("select setting, sourcefile like '%postgresql.auto.conf', source
                   from pg_settings where name = 'recovery_min_apply_delay'")
    .await?;
    let setting: &str = row.try_get(0).map_err(malformed)?;
    let (is_auto, source): (Option<bool>, &str) =
        (row.try_get(1).map_err(malformed)?, row.try_get(2).map_err(malformed)?);
    let millis: u32 = setting.parse().map_err(|_| "its apply delay is no number".to_owned())?;
    // Where the value comes from is hidden from some users; to set it is then right as well.
    let is_ours_to_set = is_auto.unwrap_or(source == "configuration file");
    Ok(if is_ours_to_set {
        format!("alter system set recovery_min_apply_delay = '{millis}ms'")
    } else {
        "alter system reset recovery_min_apply_delay".to_owned()
    })
}
