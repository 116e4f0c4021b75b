//! Queries that do nothing but make settings, as `connect_query` often is one.

/// The settings that `SET a = 'x'; SET b TO y` makes; `None` if it is or may be anything else.
pub fn settings(query: &str) -> Option<Vec<(String, String)>> {
    let mut found = Vec::new();
    for statement in query.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        let rest = word(statement, "set")?;
        let rest = word(rest, "session").unwrap_or(rest);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')))?;
        let (name, rest) = rest.split_at(end);
        let rest = rest.trim_start();
        let value = rest.strip_prefix('=').or_else(|| word(rest, "to"))?.trim();
        found.push((name.to_owned(), plain(value)?));
    }
    // `SET TIME ZONE`, `SET LOCAL` and the like are no settings of this form.
    let is_setting = |name: &str| !name.is_empty() && !["local", "time", "role", "names"].contains(&name);
    (!found.is_empty() && found.iter().all(|(name, _)| is_setting(&name.to_ascii_lowercase())))
        .then_some(found)
}

/// What follows a word.
fn word<'a>(text: &'a str, wanted: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(wanted.len())?;
    let is_it = head.eq_ignore_ascii_case(wanted) && rest.starts_with(char::is_whitespace);
    is_it.then(|| rest.trim_start())
}

/// A value without quotation marks; a list of them is left as it is.
fn plain(value: &str) -> Option<String> {
    if let Some(quoted) = value.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        let inner = quoted.replace("''", "");
        return (!inner.contains('\'')).then(|| quoted.replace("''", "'"));
    }
    let is_simple =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | ',' | ' ' | '$' | '"');
    (!value.is_empty() && value.chars().all(is_simple)).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_recognised_and_nothing_else_is() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            settings("SET search_path TO app, public; set session statement_timeout='5 s';"),
            Some(vec![pair("search_path", "app, public"), pair("statement_timeout", "5 s")])
        );
        assert_eq!(settings("set x.y = 'it''s'"), Some(vec![pair("x.y", "it's")]));
        for other in [
            "select 1",
            "set local a = 1",
            "set time zone 'UTC'",
            "set a = 1; select f()",
            "set a = f()",
            "set a",
            "",
            ";",
            "set a = 'x' || 'y'",
        ] {
            assert_eq!(settings(other), None, "{other}");
        }
    }
}
