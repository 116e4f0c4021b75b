//! Whom somebody from outside may be here: the maps of a `pg_ident.conf`.
//!
//! Format and meaning are PostgreSQL's: <https://www.postgresql.org/docs/current/auth-username-maps.html>.

use super::lines::{self, Fault, Files, Line, Text, Word, Wrong};
use super::regex::Expression;

/// The maps of a file.
#[derive(Clone, Debug, Default)]
pub struct IdentMaps(Vec<Entry>);

/// A line: by this map, whoever is called so outside may be this user.
#[derive(Clone, Debug)]
struct Entry {
    map: String,
    outside: Outside,
    user: User,
}

/// What somebody is called outside.
#[derive(Clone, Debug)]
enum Outside {
    Named(String),
    Like(Expression),
}

/// Whom they may be.
#[derive(Clone, Debug)]
enum User {
    Anybody,
    Named(String),
    Like(Expression),
    /// What stands before and behind the part of the name outside that is in parentheses.
    Around(String, String),
}

impl IdentMaps {
    /// Reads a text and those that it asks for. The error is everything that is wrong.
    pub fn read(text: &Text, files: &mut Files<'_>) -> Result<Self, Vec<Fault>> {
        let (lines, mut faults) = lines::read(text, files);
        let mut entries = Vec::with_capacity(lines.len());
        for line in lines {
            match Entry::read(&line) {
                Ok(entry) => entries.push(entry),
                Err(wrong) => faults.push(wrong.at(&line)),
            }
        }
        if faults.is_empty() { Ok(Self(entries)) } else { Err(faults) }
    }

    /// Whether there is a map of this name.
    pub fn has(&self, map: &str) -> bool {
        self.0.iter().any(|entry| entry.map == map)
    }

    /// Whether somebody who is called `outside` may be `user`. Without a map, both must be the same.
    pub fn allow(&self, map: Option<&str>, outside: &str, user: &str) -> bool {
        match map {
            None => outside == user,
            Some(map) => self.0.iter().any(|entry| entry.map == map && entry.allows(outside, user)),
        }
    }
}

impl Entry {
    fn read(line: &Line) -> Result<Self, Wrong> {
        let advice = "Write the map's name, the name outside and the user";
        let mut words = line.fields.iter().map(|field| match field.as_slice() {
            [word] => Ok(word),
            _ => Err(Wrong::new("multiple values in a field", advice)),
        });
        let mut next = || words.next().unwrap_or_else(|| Err(Wrong::new("the line ends too early", advice)));
        let (map, outside, user) = (next()?, next()?, next()?);
        if words.next().is_some() {
            return Err(Wrong::new("the line has more than three fields", advice));
        }
        let outside = match outside.text.strip_prefix('/') {
            Some(expression) => Outside::Like(Expression::read(expression)?),
            None => Outside::Named(outside.text.clone()),
        };
        let user = User::read(user, &outside)?;
        Ok(Self { map: map.text.clone(), outside, user })
    }

    fn allows(&self, outside: &str, user: &str) -> bool {
        let is_meant = match &self.outside {
            Outside::Named(name) => name == outside,
            Outside::Like(expression) => expression.is_in(outside),
        };
        is_meant
            && match (&self.user, &self.outside) {
                (User::Anybody, _) => true,
                (User::Named(name), _) => name == user,
                (User::Like(expression), _) => expression.is_in(user),
                (User::Around(before, behind), Outside::Like(expression)) => {
                    let part = expression.first_group(outside);
                    part.is_some_and(|part| {
                        let rest =
                            user.strip_prefix(before.as_str()).and_then(|rest| rest.strip_prefix(part));
                        rest == Some(behind.as_str())
                    })
                }
                (User::Around(..), Outside::Named(_)) => false,
            }
    }
}

impl User {
    fn read(word: &Word, outside: &Outside) -> Result<Self, Wrong> {
        const PART: &str = r"\1";
        let text = word.text.as_str();
        if let Some(role) = text.strip_prefix('+').filter(|_| !word.is_quoted) {
            let problem = format!("+{role} asks who is a member of {role}, which only the servers know");
            return Err(Wrong::new(problem, "Write a line for each user"));
        }
        if word.is("all") {
            return Ok(Self::Anybody);
        }
        if let Some(expression) = text.strip_prefix('/') {
            return Expression::read(expression).map(Self::Like);
        }
        let (Outside::Like(expression), Some((before, behind))) = (outside, text.split_once(PART)) else {
            return Ok(Self::Named(text.to_owned()));
        };
        if !expression.has_group() {
            let problem = format!("the expression has no part in parentheses as requested by {text:?}");
            return Err(Wrong::new(problem, "Put parentheses around the part that is to be the user's name"));
        }
        Ok(Self::Around(before.to_owned(), behind.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps(text: &str) -> Result<IdentMaps, Vec<Fault>> {
        let text = Text { name: "pg_ident.conf".to_owned(), text: text.to_owned() };
        IdentMaps::read(&text, &mut |_, _| Err("there are no files here".to_owned()))
    }

    #[test]
    fn whoever_is_called_so_outside_may_be_the_users_of_its_lines() {
        let maps = maps(
            "# comment\n\
             m ann  ann\n\
             m ann  app\n\
             m \"Bob Hope\" bob\n\
             x /^(.*)@corp\\.example$ \\1\n\
             x /^(.*)@guest\\.example$ guest_\\1\n\
             y root all\n\
             y web \"/^app_\"\n\
             z root \"all\"\n",
        )
        .unwrap();
        let table = [
            (Some("m"), "ann", "ann", true),
            (Some("m"), "ann", "app", true),
            (Some("m"), "ann", "bob", false),
            (Some("m"), "Ann", "ann", false),
            (Some("m"), "Bob Hope", "bob", true),
            (Some("x"), "ann@corp.example", "ann", true),
            (Some("x"), "ann@corp.example", "bob", false),
            (Some("x"), "ann@corp.example.evil", "ann", false),
            (Some("x"), "@corp.example", "", true),
            (Some("x"), "ann@guest.example", "guest_ann", true),
            (Some("x"), "ann@guest.example", "ann", false),
            (Some("x"), "all@corp.example", "ann", false),
            (Some("y"), "root", "anybody", true),
            (Some("y"), "web", "app_1", true),
            (Some("y"), "web", "ap", false),
            (Some("z"), "root", "anybody", false),
            (Some("z"), "root", "all", true),
            (Some("none"), "ann", "ann", false),
            (None, "ann", "ann", true),
            (None, "ann", "app", false),
        ];
        for (map, outside, user, may) in table {
            assert_eq!(maps.allow(map, outside, user), may, "{map:?} {outside} {user}");
        }
        assert!(maps.has("x") && !maps.has("none"));
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let faults = maps("m a\n\nm a b c\nm a,b c\nm /( x\nm /a \\1\nm a +role\n").unwrap_err();
        let lines: Vec<_> = faults.iter().map(|fault| fault.line).collect();
        assert_eq!(lines, [1, 3, 4, 5, 6, 7], "{faults:#?}");
    }
}
