//! The account that PostgreSQL's programs run under. PostgreSQL refuses to run as root; everybody else runs it as
//! themselves.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::Error;

const ROOT: u32 = 0;

/// Who runs PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// The user we run as.
    Ourselves,
    /// We are root, so somebody else does.
    Other {
        /// The user's name.
        name: String,
        /// The user's number.
        uid: u32,
        /// The number of the user's group.
        gid: u32,
    },
}

impl Account {
    /// The account for servers whose files we make: `ours` is something that we have just created, so its owner is
    /// the user we really act as.
    pub(super) fn for_owner_of(ours: &Path) -> Result<Self, Error> {
        let owner = fs::metadata(ours).map_err(Error::io(format!("look at {}", ours.display())))?.uid();
        if owner != ROOT {
            return Ok(Self::Ourselves);
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(Error::io("read /etc/passwd"))?;
        ["postgres", "nobody"].into_iter().find_map(|name| look_up(&passwd, name)).ok_or(Error::NoAccount)
    }

    /// Makes `command` run under this account.
    pub(super) fn apply(&self, command: &mut Command) {
        if let Self::Other { uid, gid, .. } = self {
            command.uid(*uid).gid(*gid);
        }
    }

    /// Gives `path` to this account.
    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid, .. } => chown(path, Some(*uid), Some(*gid)),
        }
    }

    /// The name for messages.
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Ourselves => "running this",
            Self::Other { name, .. } => name,
        }
    }
}

fn look_up(passwd: &str, name: &str) -> Option<Account> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        (fields.next() == Some(name)).then_some(())?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(Account::Other { name: name.to_owned(), uid, gid })
    })
}

#[cfg(test)]
mod tests {
    use super::{Account, look_up};

    #[test]
    fn reads_the_numbers_of_exactly_that_user() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres2:x:7:8::/:/bin/sh\npostgres:x:101:104:a b,,:/var:/bin/bash\n";
        let found = Account::Other { name: "postgres".to_owned(), uid: 101, gid: 104 };
        assert_eq!(look_up(passwd, "postgres"), Some(found));
        assert_eq!(look_up(passwd, "nobody"), None);
    }
}
