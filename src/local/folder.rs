//! The folder of a cluster, and the watchdog that guarantees its removal.
//!
//! The watchdog is a `sh` process that blocks reading a pipe whose other end only our process holds. The pipe closes
//! when the [`Folder`] is dropped, and just as surely when our process exits without dropping it (a static), panics,
//! or is killed: the system closes it. Then the watchdog stops whatever server still runs in the folder and removes
//! the folder. It does not poll, and it cannot mistake another process for us.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Error;

/// Where a node that was killed leaves its `postmaster.pid`: under this name neither PostgreSQL nor the watchdog takes
/// its process number, which may be somebody else's by now, for a running server.
pub(super) const CRASHED_PID: &str = "crashed.pid";

/// `$0` is the folder. Signals that are meant for our process group or terminal must not end it.
/// A server is known by its working folder where the system tells (`/proc`); the seventh line of its pid file names
/// the shared memory that a killed server could not give back.
const WATCH: &str = r#"
trap '' HUP INT TERM
cat >/dev/null
case $0 in */tidegate-*) ;; *) exit 1 ;; esac
servers() {
    for file in "$0"/*/postmaster.pid; do
        read -r pid <"$file" || continue
        [ ! -e "/proc/$$" ] || [ "$(readlink "/proc/$pid/cwd")" = "${file%/*}" ] || continue
        echo "$pid"
    done
}
for pid in $(servers); do kill -QUIT "$pid"; done
tries=0
while [ -n "$(servers)" ] && [ $tries -lt 200 ]; do tries=$((tries + 1)); sleep 0.05; done
for pid in $(servers); do kill -KILL "$pid"; done
for file in "$0"/*/postmaster.pid "$0"/*/crashed.pid; do
    [ -e "$file" ] && ipcrm -m "$(sed -n '7s/.* //p' "$file")"
done
tries=0
until rm -rf "$0" || [ $tries -ge 100 ]; do tries=$((tries + 1)); sleep 0.05; done
"#;

/// A fresh folder. It vanishes, with every server in it, when this is dropped or our process ends.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    watchdog: Child,
}

impl Folder {
    /// Makes a folder that only its owner can enter.
    pub(super) fn create(parent: &Path) -> Result<Self, Error> {
        let made = || {
            let path = fs::canonicalize(parent)?.join(format!("tidegate-{:08x}", rand::random::<u32>()));
            DirBuilder::new().mode(0o700).create(&path)?;
            Ok(path)
        };
        let path = made().map_err(Error::io(format!("make a folder in {}", parent.display())))?;
        let watchdog = Command::new("sh")
            .args(["-c", WATCH])
            .arg(&path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn();
        match watchdog {
            Ok(watchdog) => Ok(Self { path, watchdog }),
            Err(error) => {
                let _ = fs::remove_dir(&path);
                Err(Error::io("start sh")(error))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        // Nobody is left to tell if this fails.
        let _ = self.watchdog.wait();
    }
}
