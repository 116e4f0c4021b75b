//! Passwords that are said nowhere in the settings: `PGPASSWORD`, and libpq's password file.
//!
//! The file's format and the order in which it is asked are libpq's:
//! <https://www.postgresql.org/docs/current/libpq-pgpass.html>. Unlike libpq, which takes the first server that answers,
//! the proxy talks to all of them as the same user, so the file must have one password for all of them.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::mistake::{Findings, Origin, Problem, quoted};
use super::node::{Host, NodeSettings};
use super::secret::Secret;
use super::secret_file::SecretFile;

/// The file's name in the home directory.
const NAME: &str = ".pgpass";

/// What is known besides the settings, and the files that have been read.
pub(super) struct Fallback<'a> {
    /// `PGPASSWORD`.
    pub(super) password: Option<&'a Secret>,
    /// `PGPASSFILE`.
    pub(super) named: Option<&'a Path>,
    /// `HOME`.
    pub(super) home: Option<&'a Path>,
    read: Vec<(PathBuf, Option<Zeroizing<String>>)>,
}

/// Who needs a password, and where.
pub(super) struct Login<'a> {
    /// The file that the database's settings name.
    pub(super) passfile: Option<&'a Path>,
    /// The nodes that are known; none if somebody else is to name them.
    pub(super) nodes: &'a [NodeSettings],
    /// The database's name on the servers.
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

impl<'a> Fallback<'a> {
    pub(super) fn new(password: Option<&'a Secret>, named: Option<&'a Path>, home: Option<&'a Path>) -> Self {
        Self { password, named, home, read: Vec::new() }
    }

    /// The password of a user for whom the settings say none.
    pub(super) fn password(
        &mut self,
        login: &Login<'_>,
        origin: &Origin,
        findings: &mut Findings,
    ) -> Option<Secret> {
        if let Some(password) = self.password {
            return Some(password.clone());
        }
        let named = login.passfile.or(self.named);
        let is_named = named.is_some();
        let path = named.map(Path::to_owned).or_else(|| Some(self.home?.join(NAME)))?;
        let text = self.text(&path, is_named, findings)?;
        let found = in_text(text, login);
        let place = Origin::new(format!("{origin}, {}", path.display()));
        findings.keep(&place, found).flatten()
    }

    /// The file's text, unless it is not to be used; why not is said once.
    fn text(&mut self, path: &Path, is_named: bool, findings: &mut Findings) -> Option<&str> {
        let at = self.read.iter().position(|(known, _)| known == path).unwrap_or_else(|| {
            self.read.push((path.to_owned(), read(path, is_named, findings)));
            self.read.len() - 1
        });
        self.read[at].1.as_deref().map(String::as_str)
    }
}

fn read(path: &Path, is_named: bool, findings: &mut Findings) -> Option<Zeroizing<String>> {
    let origin = Origin::new(path.display().to_string());
    match SecretFile::read(path) {
        Ok(file) if file.is_private() => Some(file.text),
        Ok(_) => {
            let warning = "the password file is not used, as in libpq: it must be a file that nobody but its owner can \
                           read or write (chmod 0600)";
            findings.warn(&origin, warning);
            None
        }
        Err(error) => {
            if is_named {
                findings.warn(&origin, format_args!("the password file cannot be read: {error}"));
            }
            None
        }
    }
}

/// The one password that the file has for all nodes.
fn in_text(text: &str, login: &Login<'_>) -> Result<Option<Secret>, Problem> {
    const ADVICE: &str = "Servers of one cluster know the same passwords. Write one line for all of them, with * in the \
                          place of host and port, or give the password in the settings";
    let user = quoted(login.user);
    let Some((first, others)) = login.nodes.split_first() else {
        return Ok(for_node(text, None, login));
    };
    let password = for_node(text, Some(first), login);
    for node in others {
        let other = for_node(text, Some(node), login);
        if other == password {
            continue;
        }
        let problem = if let (Some(_), Some(_)) = (&password, &other) {
            format!("it has one password of the user {user} for {first} and another for {node}")
        } else {
            let (with, without) = if password.is_some() { (first, node) } else { (node, first) };
            format!("it has a password of the user {user} for {with} and none for {without}")
        };
        return Err(Problem::new(problem, ADVICE));
    }
    Ok(password)
}

/// The password for a node: that of the first line that is about it. An empty one is none.
fn for_node(text: &str, node: Option<&NodeSettings>, login: &Login<'_>) -> Option<Secret> {
    let (hosts, ports) =
        node.map_or_else(Default::default, |node| (hosts(node), vec![node.port.to_string().into()]));
    let wanted = [hosts, ports, vec![login.database.into()], vec![login.user.into()]];
    let mut lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.find_map(|line| of_line(line, &wanted)).filter(|password| !password.is_empty())
}

/// The names under which a line may know a node. libpq calls a Unix socket `localhost` where it is in the directory that
/// libpq was built with, and by its directory elsewhere; here both will do.
fn hosts(node: &NodeSettings) -> Vec<Cow<'_, str>> {
    match &node.host {
        Host::Tcp(name) => vec![name.into()],
        Host::Unix(directory) => vec!["localhost".into(), directory.to_string_lossy()],
    }
}

/// The password in a line, if it is about what is wanted: `host:port:database:user:password`.
fn of_line(line: &str, wanted: &[Vec<Cow<'_, str>>; 4]) -> Option<Secret> {
    let mut rest = line;
    for (at, names) in wanted.iter().enumerate() {
        let (field, behind) = cut(rest);
        let is_it = |name: &Cow<'_, str>| {
            let field = plain(field);
            // Names of hosts are the same in capitals.
            if at == 0 { name.eq_ignore_ascii_case(&field) } else { **name == **field }
        };
        if field != "*" && !names.iter().any(is_it) {
            return None;
        }
        rest = behind?;
    }
    Some(plain(cut(rest).0).into())
}

/// The text before the first colon that no backslash stands before, and what is behind it.
fn cut(text: &str) -> (&str, Option<&str>) {
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b':' if !is_escaped => return (&text[..at], Some(&text[at + 1..])),
            byte => is_escaped = byte == b'\\' && !is_escaped,
        }
    }
    (text, None)
}

/// A field without the backslashes that escape.
fn plain(field: &str) -> Zeroizing<String> {
    let mut plain = Zeroizing::new(String::with_capacity(field.len()));
    let mut characters = field.chars();
    while let Some(character) = characters.next() {
        plain.push(if character == '\\' { characters.next().unwrap_or('\\') } else { character });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::super::node::node;
    use super::*;

    fn found(text: &str, host: &str, port: &str, database: &str, user: &str) -> Option<String> {
        let node = node(host, port).unwrap_or_else(|problem| panic!("{problem:?}"));
        let login = Login { passfile: None, nodes: &[], database, user };
        for_node(text, Some(&node), &login).map(|password| password.expose().to_owned())
    }

    #[test]
    fn lines_are_found_as_libpq_finds_them() {
        let table = [
            ("pg1:5432:app:me:secret", Some("secret")),
            ("PG1:5432:app:me:secret", Some("secret")),
            ("*:*:*:*:secret", Some("secret")),
            ("# a comment\n\npg2:5432:app:me:no\npg1:5432:app:me:first\n*:*:*:*:second", Some("first")),
            ("pg1:5432:app:me:secret\r\n", Some("secret")),
            ("pg1:5432:app:me:se\\:cr\\\\et", Some("se:cr\\et")),
            ("pg1:5432:app:me:ends:here", Some("ends")),
            ("pg1:5432:app:me:with blanks and #", Some("with blanks and #")),
            // The first line that is about it counts, also with nothing in it.
            ("pg1:5432:app:me:\n*:*:*:*:second", None),
            ("pg1:5433:app:me:other port", None),
            ("pg1:5432:APP:me:names of databases have capitals", None),
            ("pg1:5432:app:you:other user", None),
            ("pg*:5432:app:me:no pattern", None),
            ("pg1:5432:app:me", None),
            ("pg1", None),
            ("#pg1:5432:app:me:a comment", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(found(text, "pg1", "5432", "app", "me").as_deref(), expected, "{text}");
        }
        assert_eq!(found("*:*:a\\:b:c\\\\d:x", "pg1", "", "a:b", "c\\d").as_deref(), Some("x"));
        assert_eq!(found("\\:\\:1:5432:*:*:x", "::1", "", "app", "me").as_deref(), Some("x"));
        for host in ["localhost", "/run/postgresql"] {
            let line = format!("{host}:5432:app:me:x");
            assert_eq!(found(&line, "/run/postgresql", "", "app", "me").as_deref(), Some("x"));
        }
    }

    #[test]
    fn nodes_must_agree() {
        let nodes = ["pg1", "pg2"].map(|host| node(host, "").unwrap_or_else(|problem| panic!("{problem:?}")));
        let login = Login { passfile: None, nodes: &nodes, database: "app", user: "me" };
        let said = |text: &str| in_text(text, &login).map(|found| found.map(|p| p.expose().to_owned()));
        assert_eq!(said("pg1:*:*:*:x\npg2:*:*:*:x"), Ok(Some("x".to_owned())));
        assert_eq!(said("*:*:*:*:x"), Ok(Some("x".to_owned())));
        assert_eq!(said("pg3:*:*:*:x"), Ok(None));
        for (text, words) in [
            ("pg1:*:*:*:SECRET\npg2:*:*:*:SECRETS", "for pg1:5432 and another for pg2:5432"),
            ("pg2:*:*:*:SECRET", "for pg2:5432 and none for pg1:5432"),
        ] {
            let problem = said(text).expect_err(text);
            assert!(problem.problem.contains(words) && !problem.problem.contains("SECRET"), "{problem:?}");
        }
        // Whoever names the nodes later is asked for by nobody's name.
        let unknown = Login { nodes: &[], ..login };
        assert_eq!(in_text("pg1:*:*:*:x\n*:5432:*:*:y", &unknown), Ok(None));
        assert!(in_text("*:*:app:me:x", &unknown).is_ok_and(|found| found.is_some()));
    }
}
