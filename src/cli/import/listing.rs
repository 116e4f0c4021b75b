//! Who is in `userlist.txt`, and what is known of their passwords.

use crate::auth::{Listed, Stored, read_userlist};

/// The file that `auth_file` names.
#[derive(Default)]
pub struct Listing {
    /// Its path, as it is written into the settings.
    pub path: Option<String>,
    /// Who is in it.
    entries: Vec<Listed>,
}

impl Listing {
    /// Reads the text of the file at this path. The numbers of lines that cannot be read are returned, too.
    pub fn read(path: String, text: &str) -> (Self, Vec<usize>) {
        let (entries, unreadable) = read_userlist(text);
        (Self { path: Some(path), entries }, unreadable.into_iter().map(|bad| bad.line).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether a user's password itself is in it.
    pub fn has_password(&self, name: &str) -> bool {
        self.find(name).is_some_and(is_plain)
    }

    /// Whether a user can prove something to the console: with a password, or a SCRAM verifier.
    pub fn can_use_console(&self, name: &str) -> bool {
        let is_md5 = |entry: &Listed| matches!(Stored::read(&entry.password), Some(Stored::Md5(_)));
        self.find(name).is_some_and(|entry| !entry.password.is_empty() && !is_md5(entry))
    }

    /// Whether a user is in it, with whatever.
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some_and(|entry| !entry.password.is_empty())
    }

    /// The first user whose password itself is in it; if none, and nobody must prove anything, the first user.
    pub fn asker(&self, needs_password: bool) -> Option<&str> {
        let plain = self.entries.iter().find(|entry| is_plain(entry));
        let any = self.entries.first().filter(|_| !needs_password);
        plain.or(any).map(|entry| entry.name.as_str())
    }

    /// Whether there are hashes of the old kind, which prove nothing by SCRAM.
    pub fn has_md5(&self) -> bool {
        self.entries.iter().any(|entry| matches!(Stored::read(&entry.password), Some(Stored::Md5(_))))
    }

    fn find(&self, name: &str) -> Option<&Listed> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

fn is_plain(entry: &Listed) -> bool {
    !entry.password.is_empty() && Stored::read(&entry.password).is_none()
}
