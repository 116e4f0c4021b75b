//! Files that hold secrets: how they are read, and who else can read them.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use zeroize::{Zeroize, Zeroizing};

use super::mistake::{Findings, Origin, Problem, quoted};
use super::secret::Secret;

/// Bytes that are read at first: nearly every file of this kind is shorter.
const START: usize = 4096;

/// The right of every user to read a file, and all rights of others than its owner.
const READ_BY_ALL: u32 = 0o004;
const FOR_OTHERS: u32 = 0o077;

/// A file and what is known of it.
pub(super) struct SecretFile {
    /// All of it, overwritten when it goes.
    pub(super) text: Zeroizing<String>,
    metadata: Metadata,
}

impl SecretFile {
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        Ok(Self { text: text(&mut file)?, metadata })
    }

    /// Whether every user of the machine can read it.
    pub(super) fn is_open_to_all(&self) -> bool {
        self.metadata.permissions().mode() & READ_BY_ALL != 0
    }

    /// Whether it is a file for its owner alone.
    pub(super) fn is_private(&self) -> bool {
        self.metadata.is_file() && self.metadata.permissions().mode() & FOR_OTHERS == 0
    }
}

/// Reads to the end. A vector that grew by itself would leave what it held in the memory it had before.
fn text(source: &mut impl Read) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(vec![0; START]);
    let mut length = 0;
    loop {
        if length == bytes.len() {
            let mut larger = Zeroizing::new(vec![0; 2 * length]);
            larger[..length].copy_from_slice(&bytes);
            bytes = larger;
        }
        match source.read(&mut bytes[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    bytes.truncate(length);
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        error.into_bytes().zeroize();
        io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8")
    })
}

/// The secret in a file, without the line ends behind it; `None` if it cannot be read, which has been noted.
pub(super) fn secret(path: &Path, origin: &Origin, findings: &mut Findings) -> Option<Secret> {
    let file = SecretFile::read(path).map_err(|error| unreadable(path, &error));
    let file = findings.keep(origin, file)?;
    if file.is_open_to_all() {
        let shown = quoted(&path.display().to_string());
        findings.warn(origin, format_args!("every user of this machine can read {shown}: chmod o-r"));
    }
    Some(Secret::new(file.text.trim_end_matches(['\r', '\n'])))
}

/// A file that is named and cannot be read.
pub(super) fn unreadable(path: &Path, error: &io::Error) -> Problem {
    let path = quoted(&path.display().to_string());
    Problem::new(format!("the file {path} cannot be read: {error}"), "Check the path and who may read it")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_read_whole() {
        for length in [0, 1, START - 1, START, START + 1, 5 * START] {
            let written = "x".repeat(length);
            assert_eq!(*text(&mut written.as_bytes()).expect("it is text"), written);
        }
        assert!(text(&mut &b"\xff"[..]).is_err());
    }
}
