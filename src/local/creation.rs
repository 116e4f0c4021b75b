//! Making a node: `initdb` for the primary, `pg_basebackup` for a replica, its settings, its first start.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::host::Host;
use super::lifecycle::Started;
use super::node::LocalNode;
use super::{Error, ports};

/// Settings of every node. A node's own come after them, in `node.conf`, which a copy of the data folder replaces.
const SETTINGS: &str = "
listen_addresses = '127.0.0.1'
unix_socket_permissions = 0700
fsync = off
wal_level = replica
hot_standby = on
max_connections = 300
max_wal_senders = 20
max_replication_slots = 20
wal_keep_size = '256MB'
wal_retrieve_retry_interval = '200ms'
wal_receiver_status_interval = '1s'
shared_buffers = '64MB'
# Files in the data folder: they go when it goes, even after a kill.
dynamic_shared_memory_type = mmap
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
include_if_exists = 'node.conf'
";

const PORT_TRIES: usize = 10;

impl LocalNode {
    pub(super) fn create_primary(host: &Arc<Host>, conf: &[String]) -> Result<Self, Error> {
        let data_dir = host.folder.path().join("primary");
        let password = host.folder.path().join("password");
        host.write(&password, &host.superuser_password)?;
        host.run(
            "initdb",
            &[
                &format!("--pgdata={}", data_dir.display()),
                &format!("--pwfile={}", password.display()),
                "--username=postgres",
                // The socket lies in a folder that only the cluster's account can enter.
                "--auth-local=trust",
                "--auth-host=scram-sha-256",
                "--encoding=UTF8",
                "--locale=C",
                "--no-sync",
            ],
        )?;
        let settings = OpenOptions::new().append(true).open(data_dir.join("postgresql.conf"));
        let appended = settings.and_then(|mut file| file.write_all(SETTINGS.as_bytes()));
        appended.map_err(Error::io("write postgresql.conf"))?;
        Self::launch(host, "primary", data_dir, conf)
    }

    pub(super) fn create_replica(
        host: &Arc<Host>,
        name: &str,
        primary: &Self,
        conf: &[String],
    ) -> Result<Self, Error> {
        let data_dir = host.folder.path().join(name);
        host.run(
            "pg_basebackup",
            &[
                &format!("--pgdata={}", data_dir.display()),
                &format!("--dbname={}", primary.conninfo(name)),
                &format!("--slot={name}"),
                "--create-slot",
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ],
        )?;
        Self::launch(host, name, data_dir, conf)
    }

    /// Starts a node for the first time, on a port of its own.
    fn launch(host: &Arc<Host>, name: &str, data_dir: PathBuf, conf: &[String]) -> Result<Self, Error> {
        let socket_dir = host.socket_dir();
        let own = format!(
            "cluster_name = '{name}'\nunix_socket_directories = '{}'\n{}\n",
            socket_dir.display(),
            conf.join("\n")
        );
        host.write(&data_dir.join("node.conf"), &own)?;
        let host = Arc::clone(host);
        let mut node = Self { name: name.to_owned(), port: 0, data_dir, host, server: Mutex::default() };
        for _ in 0..PORT_TRIES {
            node.port = ports::free().ok_or_else(|| Error::TimedOut("a port is free".to_owned()))?;
            match node.try_start()? {
                Started::Ready => return Ok(node),
                Started::PortTaken => {}
            }
        }
        Err(node.complaint("found every port taken"))
    }
}
