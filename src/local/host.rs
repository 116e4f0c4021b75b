//! What the nodes of one cluster share: the programs, the account that runs them, the folder, the superuser's password.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::Error;
use super::account::Account;
use super::binaries::PgBin;
use super::folder::Folder;

/// What libpq and PostgreSQL would otherwise take from our own environment.
const FOREIGN_SETTINGS: [&str; 14] = [
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGPASSFILE",
    "PGSERVICE",
    "PGOPTIONS",
    "PGAPPNAME",
    "PGSSLMODE",
    "PGCLIENTENCODING",
    "PGTARGETSESSIONATTRS",
    "PGDATA",
];

/// What the nodes of one cluster have in common.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) bin: PgBin,
    pub(super) folder: Folder,
    account: Account,
    pub(super) superuser_password: String,
}

impl Host {
    pub(super) fn new(bin: PgBin, folder: Folder) -> Result<Self, Error> {
        let account = Account::for_owner_of(folder.path())?;
        account.own(folder.path()).map_err(Error::io("give the cluster's folder to its account"))?;
        let host =
            Self { bin, folder, account, superuser_password: format!("{:032x}", rand::random::<u128>()) };
        host.check_reachable()?;
        for sub in ["socket", "log"] {
            let path = host.folder.path().join(sub);
            let made = fs::create_dir(&path).and_then(|()| host.account.own(&path));
            made.map_err(Error::io(format!("make {}", path.display())))?;
        }
        Ok(host)
    }

    fn check_reachable(&self) -> Result<(), Error> {
        let mut enter = Command::new("sh");
        self.account.apply(&mut enter);
        enter.args(["-c", "cd \"$0\""]).arg(self.folder.path());
        let status = enter.current_dir("/").stderr(Stdio::null()).status();
        if status.map_err(Error::io("run sh"))?.success() {
            return Ok(());
        }
        Err(Error::Unreachable {
            folder: self.folder.path().to_owned(),
            account: self.account.name().to_owned(),
        })
    }

    pub(super) fn socket_dir(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// One of PostgreSQL's programs, to be run under the cluster's account.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.bin.program(program));
        self.account.apply(&mut command);
        for name in FOREIGN_SETTINGS {
            command.env_remove(name);
        }
        // A known time zone spares initdb the search for ours.
        command.current_dir(self.folder.path()).env("LC_ALL", "C").env("TZ", "UTC").stdin(Stdio::null());
        command
    }

    pub(super) fn run(&self, program: &str, args: &[&str]) -> Result<(), Error> {
        let output =
            self.command(program).args(args).output().map_err(|source| self.not_run(program, source))?;
        succeeded(program, &output).map(drop)
    }

    pub(super) fn not_run(&self, program: &str, source: io::Error) -> Error {
        let program = self.bin.program(program);
        Error::NotRunnable { program, account: self.account.name().to_owned(), source }
    }

    pub(super) fn write(&self, path: &Path, text: &str) -> Result<(), Error> {
        let written = fs::write(path, text).and_then(|()| self.account.own(path));
        written.map_err(Error::io(format!("write {}", path.display())))
    }
}

pub(super) fn succeeded(program: &str, output: &Output) -> Result<String, Error> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let output = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(Error::Failed { program: program.to_owned(), output })
}
