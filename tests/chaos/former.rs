//! A node that was the primary, and has to follow the one that took its place.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tidegate::local::LocalNode;

/// A program run by the account that runs the node.
pub fn as_owner_of(node: &LocalNode, program: impl AsRef<OsStr>) -> Command {
    let owner = fs::metadata(node.data_dir()).unwrap();
    let mut command = Command::new(program);
    command.uid(owner.uid()).gid(owner.gid()).current_dir("/");
    command
}

pub struct Former<'a> {
    /// It is not running.
    pub node: &'a LocalNode,
    /// The cluster's.
    pub folder: &'a Path,
    /// The program `pg_rewind`.
    pub rewind: PathBuf,
}

impl Former<'_> {
    /// Undoes what the other one has not got, and sets it up to follow.
    /// <https://www.postgresql.org/docs/current/app-pgrewind.html>
    pub fn becomes_replica_of(&self, primary: &LocalNode) {
        let data = self.node.data_dir();
        let own = fs::read(data.join("node.conf")).unwrap();
        let source =
            format!("host={} port={} user=postgres", self.folder.join("socket").display(), primary.port());
        // Until its next checkpoint, a node that was promoted says that it is on its old timeline, and nothing is rewound.
        primary.psql("checkpoint").unwrap();
        self.rewind(&format!("{source} dbname=postgres"));
        // Rewinding has copied the settings of the other one, too.
        self.write("node.conf", &own);
        let mut settings = fs::read(data.join("postgresql.auto.conf")).unwrap();
        let name = self.node.name();
        settings.extend(
            format!("primary_conninfo = '{source} application_name={name}'\nprimary_slot_name = ''\n")
                .bytes(),
        );
        self.write("postgresql.auto.conf", &settings);
        self.write("standby.signal", b"");
    }

    fn rewind(&self, source: &str) {
        // It refuses to run as root.
        let output = as_owner_of(self.node, &self.rewind)
            .arg("--no-sync")
            .arg(format!("--target-pgdata={}", self.node.data_dir().display()))
            .arg(format!("--source-server={source}"))
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(output.status.success(), "pg_rewind: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn write(&self, file: &str, text: &[u8]) {
        let (data, path) = (self.node.data_dir(), self.node.data_dir().join(file));
        fs::write(&path, text).unwrap();
        let owner = fs::metadata(data).unwrap();
        chown(&path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
}
