//! Waiting until the standby has replayed what the primary has written.

use std::io;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use tidegate::freshness::Lsn;
use tidegate::wire::StartupParameters;

use crate::peer::Peer;

/// How long replay may take. It waits itself for what reads on the standby: see `docs/oracle.md`.
const LIMIT: Duration = Duration::from_secs(5);
/// After this time the primary is made to flush.
const NUDGE: Duration = Duration::from_millis(4);
const PAUSE: Duration = Duration::from_micros(300);

/// The control connections of one session of the oracle.
pub struct Tide {
    primary: Peer,
    standby: Peer,
    replayed: Lsn,
}

impl Tide {
    pub fn watch(primary: SocketAddr, standby: SocketAddr) -> io::Result<Self> {
        let parameters = |name: &str| {
            let values = [("user", "postgres"), ("database", "app"), ("application_name", name)];
            let values = values.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
            StartupParameters { values, ..StartupParameters::default() }
        };
        let (primary, _) = Peer::log_in(primary, &parameters("oracle"))?;
        let (standby, _) = Peer::log_in(standby, &parameters("oracle"))?;
        Ok(Self { primary, standby, replayed: Lsn(0) })
    }

    /// Waits until the standby has replayed everything that the primary has written by now, and says whether it has.
    ///
    /// The insert position covers commits that nobody has flushed yet. It can also stand where no record ends, and
    /// replay does not get there before the next one: then a small commit is made.
    pub fn wait(&mut self) -> io::Result<bool> {
        let written = position(&mut self.primary, "select pg_current_wal_insert_lsn()")?;
        let began = Instant::now();
        let mut nudged = false;
        while self.replayed < written {
            self.replayed = position(&mut self.standby, "select pg_last_wal_replay_lsn()")?;
            if began.elapsed() > LIMIT {
                return Ok(false);
            }
            if began.elapsed() > NUDGE && !nudged {
                self.primary.query("select pg_logical_emit_message(true, 'oracle', '')")?;
                nudged = true;
            }
            if self.replayed < written {
                thread::sleep(PAUSE);
            }
        }
        Ok(true)
    }
}

fn position(peer: &mut Peer, question: &str) -> io::Result<Lsn> {
    let answer = peer.query(question)?;
    let value = answer.value().and_then(|value| value.parse().ok());
    value.ok_or_else(|| io::Error::other(format!("{question}: {answer:?}")))
}
