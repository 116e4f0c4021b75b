//! PgBouncer's `userlist.txt`: lines of `"name" "password"`.
//!
//! A quotation mark within is written twice, a line that begins with `;` is a comment, and what follows the password on its line
//! means nothing: <https://www.pgbouncer.org/config.html#authentication-file-format>.

use zeroize::Zeroizing;

/// A line of the file.
pub struct Listed {
    /// The line's number, from 1.
    pub line: usize,
    /// Whose password it is.
    pub name: String,
    /// The password, or what is [kept in its place](super::Stored).
    pub password: Zeroizing<String>,
}

/// A line that cannot be read. It shows nothing of the line, which may be a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The line's number, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: &'static str,
}

/// Reads a file: what it lists, and every line that cannot be read.
pub fn read_userlist(text: &str) -> (Vec<Listed>, Vec<Unreadable>) {
    let (mut listed, mut unreadable) = (Vec::<Listed>::new(), Vec::new());
    for (line, text) in (1..).zip(text.lines()) {
        let text = text.trim_start();
        if text.is_empty() || text.starts_with(';') {
            continue;
        }
        match entry(text) {
            Ok((name, _)) if name.is_empty() => {
                unreadable.push(Unreadable { line, problem: "the name is empty" });
            }
            Ok((name, password)) => listed.push(Listed { line, name, password: Zeroizing::new(password) }),
            Err(problem) => unreadable.push(Unreadable { line, problem }),
        }
    }
    (listed, unreadable)
}

fn entry(text: &str) -> Result<(String, String), &'static str> {
    let (name, rest) = quoted(text)?;
    let (password, _) = quoted(rest.trim_start())?;
    Ok((name, password))
}

/// A text in quotation marks, and what follows it.
fn quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut rest =
        text.strip_prefix('"').ok_or("there is not a name and a password, each in quotation marks")?;
    let mut found = String::new();
    loop {
        let (piece, tail) = rest.split_once('"').ok_or("a quotation mark is not closed on its line")?;
        found.push_str(piece);
        let Some(more) = tail.strip_prefix('"') else { return Ok((found, tail)) };
        found.push('"');
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(String, String)> {
        let (listed, unreadable) = read_userlist(text);
        assert_eq!(unreadable, []);
        listed.into_iter().map(|entry| (entry.name, entry.password.to_string())).collect()
    }

    fn pair(name: &str, password: &str) -> (String, String) {
        (name.to_owned(), password.to_owned())
    }

    #[test]
    fn as_pgbouncer_reads_it() {
        let text = "; people\n\"app\" \"secret\"\n\n  \"a\"\"b\"\t\"p\"\"\"\"q\" and more\r\n\"none\"\"\" \"\"\n\"back\\\" \"s\"\n";
        let wanted = [pair("app", "secret"), pair("a\"b", "p\"\"q"), pair("none\"", ""), pair("back\\", "s")];
        assert_eq!(names(text), wanted);
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(name in "[^\r\n]{1,9}", password in "[^\r\n]{0,9}", noise in "\\PC{0,20}") {
            let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
            let text = format!("{noise}\n{} {}\n{noise}", quoted(&name), quoted(&password));
            let (listed, _) = read_userlist(&text);
            let found = listed.iter().find(|entry| entry.line == 2);
            let found = found.map(|entry| (entry.name.as_str(), entry.password.as_str()));
            proptest::prop_assert_eq!(found, Some((name.as_str(), password.as_str())));
        }
    }

    #[test]
    fn every_bad_line_is_told_and_none_is_shown() {
        let (listed, unreadable) =
            read_userlist("app secret\n\"a\" \"b\"\n\"a\nb\" \"SECRET\"\n\"\" \"x\"\n\"a\" SECRET\n");
        assert_eq!(listed.len(), 1);
        assert_eq!(unreadable.iter().map(|bad| bad.line).collect::<Vec<_>>(), [1, 3, 4, 5, 6]);
        assert!(unreadable.iter().all(|bad| !bad.problem.contains("SECRET")));
    }
}
