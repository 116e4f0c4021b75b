//! PgBouncer's configuration file as text: sections, settings, comments, `%include`.
//!
//! Pure: files that are included are asked for. <https://www.pgbouncer.org/config.html>. A comment begins with `;` or `#` at the
//! start of a line and nowhere else; a value goes to the end of its line, without the white space around it.

/// Files within files, at most.
const DEEPEST: usize = 10;

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name, as it is to be shown.
    pub file: String,
    /// From 1.
    pub line: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// A line `key = value`.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// The section that it stands in, without brackets; empty before the first one.
    pub section: String,
    /// What is set, without quotation marks.
    pub key: String,
    /// To what. It may hold a password.
    pub value: String,
    /// Where.
    pub place: Place,
}

/// The value may hold a password.
impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "[{}] {} = … at {}", self.section, self.key, self.place)
    }
}

/// A line that cannot be read. Nothing of it is shown, because it may be a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub problem: String,
}

/// A file's name and text.
pub struct Text {
    /// As it is to be shown.
    pub name: String,
    /// All of it.
    pub text: String,
}

/// Gives the text of a file that is included, or says why it cannot.
pub type Include<'a> = &'a mut dyn FnMut(&str) -> Result<Text, String>;

/// Everything that a file says, in its order, and every line that cannot be read.
pub fn read(file: &Text, include: Include<'_>) -> (Vec<Entry>, Vec<Fault>) {
    let mut reader = Reader { include, section: String::new(), entries: Vec::new(), faults: Vec::new() };
    reader.file(file, 0);
    (reader.entries, reader.faults)
}

struct Reader<'a> {
    include: Include<'a>,
    section: String,
    entries: Vec<Entry>,
    faults: Vec<Fault>,
}

impl Reader<'_> {
    fn file(&mut self, file: &Text, depth: usize) {
        for (line, text) in (1..).zip(file.text.lines()) {
            let place = Place { file: file.name.clone(), line };
            if let Err(problem) = self.line(text.trim(), &place, depth) {
                self.faults.push(Fault { place, problem });
            }
        }
    }

    fn line(&mut self, text: &str, place: &Place, depth: usize) -> Result<(), String> {
        if text.is_empty() || text.starts_with([';', '#']) {
            return Ok(());
        }
        if let Some(rest) = text.strip_prefix("%include").filter(|rest| rest.starts_with([' ', '\t'])) {
            if depth == DEEPEST {
                return Err(format!("files include each other more than {DEEPEST} deep"));
            }
            let file = (self.include)(rest.trim())?;
            self.file(&file, depth + 1);
            return Ok(());
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (name, _) = rest.split_once(']').ok_or("the name of a section is not closed by ]")?;
            name.trim().clone_into(&mut self.section);
            return Ok(());
        }
        let (key, rest) = key(text)?;
        let value = rest.trim_start().strip_prefix('=').ok_or("it is not written as name = value")?;
        self.entries.push(Entry {
            section: self.section.clone(),
            key,
            value: value.trim().to_owned(),
            place: place.clone(),
        });
        Ok(())
    }
}

/// A name, in quotation marks where it has other characters than letters, digits and `_.-*`, and what follows it.
fn key(text: &str) -> Result<(String, &str), String> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.-*".contains(c) || !c.is_ascii();
        let end = text.find(|c| !is_plain(c)).unwrap_or(text.len());
        if end == 0 {
            return Err("it does not begin with a name".to_owned());
        }
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut key = String::new();
    loop {
        let (piece, tail) = rest.split_once('"').ok_or("a quotation mark is not closed on its line")?;
        key.push_str(piece);
        let Some(more) = tail.strip_prefix('"') else { return Ok((key, tail)) };
        key.push('"');
        rest = more;
    }
}

/// The pairs of a connection string: `host=pg1 password='it''s'`. Nothing of the text is in the error.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let mut pairs = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (key, tail) = rest.split_once('=').ok_or("it is not written as name=value name=value")?;
        let key = key.trim();
        if key.is_empty() || key.contains(char::is_whitespace) {
            return Err("it is not written as name=value name=value");
        }
        let (value, tail) = value(tail.trim_start())?;
        pairs.push((key.to_owned(), value));
        rest = tail.trim_start();
    }
    Ok(pairs)
}

/// A value, in quotation marks where it has white space, and what follows it.
fn value(text: &str) -> Result<(String, &str), &'static str> {
    let Some(mut rest) = text.strip_prefix('\'') else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Ok((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    loop {
        let (piece, tail) = rest.split_once('\'').ok_or("a quotation mark is not closed")?;
        value.push_str(piece);
        let Some(more) = tail.strip_prefix('\'') else { return Ok((value, tail)) };
        value.push('\'');
        rest = more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(name: &str, text: &str) -> Text {
        Text { name: name.to_owned(), text: text.to_owned() }
    }

    fn all(main: &str) -> (Vec<String>, Vec<String>) {
        let mut include = |name: &str| match name {
            "users.ini" => Ok(text("users.ini", "app = pool_mode=session\n[pgbouncer]\npeer_id = 3\n")),
            "self.ini" => Ok(text("self.ini", "%include self.ini\n")),
            _ => Err("there is no such file".to_owned()),
        };
        let (entries, faults) = read(&text("main.ini", main), &mut include);
        let shown = |e: &Entry| format!("{} [{}] {}={}", e.place, e.section, e.key, e.value);
        (
            entries.iter().map(shown).collect(),
            faults.iter().map(|f| format!("{} {}", f.place, f.problem)).collect(),
        )
    }

    #[test]
    fn as_pgbouncer_reads_it() {
        let main = "; a comment\n# another\n\n[databases]\napp = host=pg1 ; no comment\n  \"a \"\"b\"\"\"=host=pg2  \r\n* =\n[users]\n\
                    %include users.ini\nauth_type\t=\tmd5 # nor this\n";
        let (entries, faults) = all(main);
        assert_eq!(faults, Vec::<String>::new());
        assert_eq!(
            entries,
            [
                "main.ini:5 [databases] app=host=pg1 ; no comment",
                "main.ini:6 [databases] a \"b\"=host=pg2",
                "main.ini:7 [databases] *=",
                "users.ini:1 [users] app=pool_mode=session",
                "users.ini:3 [pgbouncer] peer_id=3",
                "main.ini:10 [pgbouncer] auth_type=md5 # nor this",
            ]
        );
    }

    #[test]
    fn every_line_that_cannot_be_read_is_told_and_none_is_shown() {
        let (entries, faults) = all(
            "[a\nSECRET\n\"x = SECRET\n= SECRET\n%include nowhere\n%include self.ini\nok = 1\n%includes = 1\n",
        );
        assert_eq!(entries, ["main.ini:7 [] ok=1"]);
        let places: Vec<&str> =
            faults.iter().map(|fault| fault.split(' ').next().unwrap_or_default()).collect();
        assert_eq!(
            places,
            [
                "main.ini:1",
                "main.ini:2",
                "main.ini:3",
                "main.ini:4",
                "main.ini:5",
                "self.ini:1",
                "main.ini:8"
            ]
        );
        assert!(faults.iter().all(|fault| !fault.contains("SECRET")), "{faults:?}");
    }

    #[test]
    fn connection_strings_are_cut_into_pairs() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let read = pairs(" host = pg1,pg2 password='it''s a = b' user=app\tconnect_query='select 1' dbname=");
        assert_eq!(
            read.expect("it is one"),
            [
                pair("host", "pg1,pg2"),
                pair("password", "it's a = b"),
                pair("user", "app"),
                pair("connect_query", "select 1"),
                pair("dbname", ""),
            ]
        );
        assert_eq!(pairs(""), Ok(Vec::new()));
        for broken in ["host", "host=a user", "=x", "a b=c", "password='SECRET"] {
            assert!(pairs(broken).is_err(), "{broken}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_quoted_is_read_back(values in proptest::collection::vec("[^\r\n]{0,12}", 0..5)) {
            let quoted = values.iter().enumerate().map(|(i, v)| format!("k{i}='{}'", v.replace('\'', "''")));
            let text = quoted.collect::<Vec<_>>().join(" ");
            let read: Vec<String> = pairs(&text).expect("it is well-formed").into_iter().map(|(_, v)| v).collect();
            proptest::prop_assert_eq!(read, values);
        }

        #[test]
        fn nothing_makes_it_panic(main in "\\PC{0,80}(\n\\PC{0,40}){0,4}") {
            let (entries, _) = all(&main);
            proptest::prop_assert!(entries.len() <= main.lines().count() * 3);
            let _ = pairs(&main);
        }
    }
}
