//! One node of a local cluster: who it is, and what SQL can tell it to do.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::host::{Host, succeeded};
use super::server::Server;
use super::{Error, wait_for};

/// Who connects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// `app`, password `secret`, owner of the database `app`.
    App,
    /// `postgres`, with a random password.
    Superuser,
}

/// A primary or a replica. It keeps its name, port and data folder for as long as the cluster lives.
#[derive(Debug)]
pub struct LocalNode {
    pub(super) name: String,
    pub(super) port: u16,
    pub(super) data_dir: PathBuf,
    pub(super) host: Arc<Host>,
    pub(super) server: Mutex<Option<Server>>,
}

impl LocalNode {
    /// `primary`, or `r1`, `r2` and so on: what the node was at first. Replicas use it as their `application_name` and
    /// as the name of their slot.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The data folder.
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// `postgres://user:password@127.0.0.1:port/app`
    pub fn url(&self, login: Login) -> String {
        let (user, password) = match login {
            Login::App => ("app", "secret"),
            Login::Superuser => ("postgres", self.host.superuser_password.as_str()),
        };
        format!("postgres://{user}:{password}@127.0.0.1:{}/app", self.port)
    }

    /// The postmaster's process number, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.server().as_ref().map(Server::id)
    }

    /// Runs `sql` as the superuser in the database `app` and returns what psql prints: no headings, columns separated
    /// by `|`. Every statement is a transaction of its own; the first error ends it.
    pub fn psql(&self, sql: &str) -> Result<String, Error> {
        self.psql_in("app", sql)
    }

    pub(super) fn psql_in(&self, database: &str, sql: &str) -> Result<String, Error> {
        let mut psql = self.host.command("psql");
        psql.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database, "-f", "-"]);
        psql.arg("-h").arg(self.host.socket_dir()).args(["-p", &self.port.to_string()]);
        psql.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = psql.spawn().map_err(|source| self.host.not_run("psql", source))?;
        let input = child.stdin.take();
        let output = thread::scope(|scope| {
            // psql may already print while it still reads.
            scope.spawn(move || input.map(|mut input| input.write_all(sql.as_bytes())));
            child.wait_with_output()
        });
        succeeded("psql", &output.map_err(Error::io("run psql"))?)
    }

    /// Holds back replay on this replica; it still receives WAL.
    pub fn pause_replay(&self) -> Result<(), Error> {
        self.psql("select pg_wal_replay_pause()")?;
        wait_for(&format!("{} has paused its replay", self.name), || {
            Ok(self.psql("select pg_get_wal_replay_pause_state()")?.trim() == "paused")
        })
    }

    /// Lets replay go on.
    pub fn resume_replay(&self) -> Result<(), Error> {
        self.psql("select pg_wal_replay_resume()").map(drop)
    }

    /// Makes this replica apply commits no earlier than `delay` after they were made.
    pub fn set_apply_delay(&self, delay: Duration) -> Result<(), Error> {
        let delay = format!("{}ms", delay.as_millis());
        self.psql(&format!(
            "alter system set recovery_min_apply_delay = '{delay}'; select pg_reload_conf();"
        ))?;
        // A server reloads when it gets to it, and shows the value in a unit of its own choice.
        wait_for(&format!("{} has taken over its new apply delay", self.name), || {
            let same =
                format!("select current_setting('recovery_min_apply_delay')::interval = '{delay}'::interval");
            Ok(self.psql(&same)?.trim() == "t")
        })
    }

    /// Makes this replica a primary and waits until it is one.
    pub fn promote(&self) -> Result<(), Error> {
        self.psql("select pg_promote(true)")?;
        wait_for(&format!("{} is a primary", self.name), || {
            Ok(self.psql("select pg_is_in_recovery()")?.trim() == "f")
        })
    }

    /// Makes this replica follow another node, such as a replica that was promoted.
    pub fn follow(&self, upstream: &Self) -> Result<(), Error> {
        let slot = &self.name;
        upstream.psql(&format!(
            "select pg_create_physical_replication_slot('{slot}')
             where not exists (select from pg_replication_slots where slot_name = '{slot}')"
        ))?;
        let conninfo = upstream.conninfo(&self.name).replace('\'', "''");
        self.psql(&format!(
            "alter system set primary_conninfo = '{conninfo}';
             alter system set primary_slot_name = '{slot}';
             select pg_reload_conf();"
        ))?;
        let streaming = format!("select from pg_stat_replication where application_name = '{slot}'");
        wait_for(&format!("{} follows {}", self.name, upstream.name), || {
            Ok(upstream.psql(&format!("select exists ({streaming} and state = 'streaming')"))?.trim() == "t")
        })
    }

    /// How a replica called `name` connects to this node: through the socket, which needs no password.
    pub(super) fn conninfo(&self, name: &str) -> String {
        let socket_dir = self.host.socket_dir();
        format!("host={} port={} user=postgres application_name={name}", socket_dir.display(), self.port)
    }

    /// The running server. A panic in another thread leaves it as usable as it was.
    pub(super) fn server(&self) -> MutexGuard<'_, Option<Server>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
