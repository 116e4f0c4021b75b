//! Where names without a schema are looked for.

use super::Name;

/// Where names without a schema are looked for
/// (<https://www.postgresql.org/docs/current/ddl-schemas.html#DDL-SCHEMAS-PATH>).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum SearchPath {
    /// In these schemas, in this order, `$user` put in already. `pg_catalog` comes first unless it is named.
    Known(Box<[Box<str>]>),
    /// Nobody knows: of all objects of a name in any schema, the strictest counts.
    Any,
}

impl SearchPath {
    /// Reads the value of the setting `search_path`, for somebody who is `user`.
    pub fn parse(text: &str, user: &str) -> SearchPath {
        let mut schemas = Vec::new();
        let mut rest = text.trim_matches(is_space);
        if rest.is_empty() {
            return SearchPath::Known(Box::default());
        }
        loop {
            let Some((name, behind)) = identifier(rest) else { return SearchPath::Any };
            schemas.push(if name == "$user" { Box::from(user) } else { name.into_boxed_str() });
            let behind = behind.trim_start_matches(is_space);
            if behind.is_empty() {
                return SearchPath::Known(schemas.into());
            }
            let Some(next) = behind.strip_prefix(',') else { return SearchPath::Any };
            rest = next.trim_start_matches(is_space);
        }
    }

    /// The place of a schema among those a name is looked for in, if it is among them.
    pub(super) fn place(&self, name: &Name, schema: &str) -> Option<usize> {
        if let Some(given) = &name.schema {
            return (**given == *schema).then_some(0);
        }
        match self {
            SearchPath::Any => Some(0),
            SearchPath::Known(schemas) => {
                let listed = schemas.iter().position(|listed| **listed == *schema);
                match listed {
                    Some(place) => Some(place + 1),
                    None => (schema == "pg_catalog").then_some(0),
                }
            }
        }
    }

    /// Whether, of two objects that a name could mean, the one in the earlier schema is meant.
    pub(super) fn has_order(&self, name: &Name) -> bool {
        name.schema.is_some() || matches!(self, SearchPath::Known(_))
    }
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\x0b' | '\x0c')
}

/// The identifier that `text` begins with, as `SplitIdentifierString` reads it, and the rest. The server cuts names that
/// are too long; nobody has a schema of such a name.
fn identifier(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(|c| c == ',' || is_space(c)).unwrap_or(text.len());
        let (word, rest) = (text.get(..end)?, text.get(end..)?);
        // The folding of other letters depends on the server's locale.
        let is_plain = !word.is_empty() && !word.contains('"') && word.is_ascii();
        return is_plain.then(|| (word.to_ascii_lowercase(), rest));
    };
    let mut name = String::new();
    loop {
        let (part, behind) = rest.split_once('"')?;
        name.push_str(part);
        match behind.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None => return Some((name, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(schemas: &[&str]) -> SearchPath {
        SearchPath::Known(schemas.iter().map(|s| Box::from(*s)).collect())
    }

    #[test]
    fn parses_what_the_server_does() {
        for (text, expected) in [
            ("\"$user\", public", known(&["ann", "public"])),
            ("$user,public", known(&["ann", "public"])),
            ("", known(&[])),
            ("\"\"", known(&[""])),
            ("  App , \"App\" ", known(&["app", "App"])),
            ("\"a\"\"b, c\",d", known(&["a\"b, c", "d"])),
            ("a,", SearchPath::Any),
            (",a", SearchPath::Any),
            ("a b", SearchPath::Any),
            ("\"a", SearchPath::Any),
            ("Ärger", SearchPath::Any),
        ] {
            assert_eq!(SearchPath::parse(text, "ann"), expected, "{text}");
        }
    }

    #[test]
    fn pg_catalog_comes_first_unless_it_is_named() {
        let name = Name { schema: None, name: "x".into() };
        assert_eq!(known(&["a"]).place(&name, "pg_catalog"), Some(0));
        assert_eq!(known(&["a", "pg_catalog"]).place(&name, "pg_catalog"), Some(2));
        assert_eq!(known(&["a"]).place(&name, "b"), None);
        let qualified = Name { schema: Some("b".into()), name: "x".into() };
        assert_eq!(known(&["a"]).place(&qualified, "b"), Some(0));
        assert_eq!(SearchPath::Any.place(&qualified, "a"), None);
    }
}
