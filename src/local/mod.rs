//! A throwaway PostgreSQL cluster on this machine: one primary and its streaming replicas, for `tidegate demo` and for
//! the tests.
//!
//! This module owns everything about such a cluster: finding PostgreSQL's programs, the unprivileged account they run
//! under, ports, configuration, start and stop, and the promise that **nothing is left behind**, neither a process nor
//! a folder, however our own process ends (see `folder`). It must not know the proxy.
//!
//! Everything here blocks; call it from a test or from `spawn_blocking`.

mod account;
pub mod binaries;
mod creation;
mod folder;
mod host;
mod lifecycle;
mod node;
mod ports;
mod server;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

pub use binaries::{NotFound, PgBin};
pub use node::{LocalNode, Login};
pub use server::StopMode;

use folder::Folder;
use host::Host;

/// How long any one step may take before it counts as failed. Generous: a loaded machine is not an error.
const PATIENCE: Duration = Duration::from_mins(1);

/// What kind of cluster to make.
#[derive(Clone, Debug)]
pub struct Options {
    /// PostgreSQL's programs.
    pub bin: PgBin,
    /// How many streaming replicas; they are named `r1`, `r2` and so on.
    pub replicas: usize,
    /// Where the cluster's own folder is made.
    pub parent: PathBuf,
    /// Makes the user `app` a superuser.
    pub app_is_superuser: bool,
    /// Lines for the primary's `postgresql.conf`; the last one wins.
    pub primary_conf: Vec<String>,
    /// Lines for every replica's `postgresql.conf`; the last one wins.
    pub replica_conf: Vec<String>,
}

impl Options {
    /// One primary with two replicas in the system's folder for temporary files.
    pub fn new(bin: PgBin) -> Self {
        Self {
            bin,
            replicas: 2,
            parent: std::env::temp_dir(),
            app_is_superuser: false,
            primary_conf: Vec::new(),
            replica_conf: Vec::new(),
        }
    }
}

/// Why a local cluster did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// The reason it gave.
        source: io::Error,
    },
    /// PostgreSQL's programs cannot be run by the account that has to run them.
    #[error(
        "{program} cannot be run by the user {account} ({source}); PostgreSQL refuses to run as root, so its folder \
         and every folder above it must be readable by {account}"
    )]
    NotRunnable {
        /// The program tried.
        program: PathBuf,
        /// The account it was tried as.
        account: String,
        /// The reason the system gave.
        source: io::Error,
    },
    /// The account that runs PostgreSQL cannot enter the cluster's folder.
    #[error(
        "the user {account} cannot enter {folder}; choose a parent folder that everybody may enter, such as /tmp"
    )]
    Unreachable {
        /// The cluster's folder.
        folder: PathBuf,
        /// The account that has to enter it.
        account: String,
    },
    /// We are root, and there is no account to run PostgreSQL as.
    #[error(
        "PostgreSQL refuses to run as root, and /etc/passwd has neither a user postgres nor a user nobody"
    )]
    NoAccount,
    /// A program failed.
    #[error("{program} failed: {output}")]
    Failed {
        /// The program's name.
        program: String,
        /// What it wrote to its standard error.
        output: String,
    },
    /// A server ended while it was starting, or could not be stopped.
    #[error("{node} {what}; the end of its log:\n{log}")]
    Server {
        /// The node's name.
        node: String,
        /// What went wrong.
        what: String,
        /// The last lines of its log.
        log: String,
    },
    /// Something did not happen within a minute.
    #[error("gave up waiting until {0}")]
    TimedOut(String),
}

impl Error {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// A running primary with its replicas. Dropping it stops every server and removes the folder.
#[derive(Debug)]
pub struct LocalCluster {
    // Nodes are dropped, and so stopped, before the host takes the folder away.
    primary: LocalNode,
    replicas: Vec<LocalNode>,
    host: Arc<Host>,
}

impl LocalCluster {
    /// Makes the cluster and waits until every replica streams. Takes a few seconds.
    pub fn start(options: &Options) -> Result<Self, Error> {
        let host = Arc::new(Host::new(options.bin.clone(), Folder::create(&options.parent)?)?);
        let primary = LocalNode::create_primary(&host, &options.primary_conf)?;
        primary.psql_in("postgres", &roles(options.app_is_superuser))?;
        let replicas = clone_in_parallel(&host, &primary, options)?;
        let cluster = Self { primary, replicas, host };
        cluster.wait_streaming()?;
        Ok(cluster)
    }

    /// The node that started as the primary.
    pub fn primary(&self) -> &LocalNode {
        &self.primary
    }

    /// The nodes that started as replicas: `r1`, `r2` and so on.
    pub fn replicas(&self) -> &[LocalNode] {
        &self.replicas
    }

    /// The replica at `index`, counted from 0.
    ///
    /// # Panics
    /// When there is no such replica.
    pub fn replica(&self, index: usize) -> &LocalNode {
        &self.replicas[index]
    }

    /// PostgreSQL's programs as this cluster uses them.
    pub fn bin(&self) -> &PgBin {
        &self.host.bin
    }

    /// The folder that holds everything of this cluster.
    pub fn folder(&self) -> &std::path::Path {
        self.host.folder.path()
    }

    /// The address of the primary for `login`, as `postgres://user:password@127.0.0.1:port/app`.
    pub fn url(&self, login: Login) -> String {
        self.primary.url(login)
    }

    /// Waits until every replica has replayed everything the primary has committed by now. All of them must run.
    ///
    /// A small commit is made first: it makes the primary flush, so that its position is one a replica can reach.
    pub fn wait_caught_up(&self) -> Result<(), Error> {
        let lsn = self.primary.psql(
            "select from pg_logical_emit_message(true, 'tidegate', 'caught up?');
             select pg_current_wal_flush_lsn();",
        )?;
        let reached = format!("select pg_last_wal_replay_lsn() >= '{}'", lsn.trim());
        for replica in &self.replicas {
            wait_for(&format!("{} has caught up with the primary", replica.name()), || {
                Ok(replica.psql(&reached)?.trim() == "t")
            })?;
        }
        Ok(())
    }

    /// Waits until every replica streams from the primary.
    pub fn wait_streaming(&self) -> Result<(), Error> {
        let streaming = "select count(*) from pg_stat_replication where state = 'streaming'";
        wait_for("every replica streams from the primary", || {
            Ok(self.primary.psql(streaming)?.trim() == self.replicas.len().to_string())
        })
    }
}

impl Drop for LocalCluster {
    fn drop(&mut self) {
        // All at once here; each node's own Drop then waits for it.
        for node in self.replicas.iter().chain([&self.primary]) {
            node.begin_immediate_stop();
        }
    }
}

fn roles(app_is_superuser: bool) -> String {
    let rights = if app_is_superuser { "superuser" } else { "nosuperuser" };
    format!(
        "create role app login {rights} password 'secret';
         create database app owner app;"
    )
}

fn clone_in_parallel(
    host: &Arc<Host>,
    primary: &LocalNode,
    options: &Options,
) -> Result<Vec<LocalNode>, Error> {
    thread::scope(|scope| {
        let clones: Vec<_> = (1..=options.replicas)
            .map(|number| {
                let name = format!("r{number}");
                scope.spawn(move || LocalNode::create_replica(host, &name, primary, &options.replica_conf))
            })
            .collect();
        clones
            .into_iter()
            .map(|clone| clone.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

/// Asks `is_so` again and again until it says yes. `what` completes "gave up waiting until …".
fn wait_for(what: &str, mut is_so: impl FnMut() -> Result<bool, Error>) -> Result<(), Error> {
    let deadline = Instant::now() + PATIENCE;
    while !is_so()? {
        if Instant::now() >= deadline {
            return Err(Error::TimedOut(what.to_owned()));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
