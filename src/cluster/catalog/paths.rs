//! What `search_path` is for somebody who has not said anything about it.

use crate::sql::catalog::SearchPath;

/// A setting of `search_path` that `ALTER ROLE` or `ALTER DATABASE` made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PathSetting {
    /// For whom; `None` for everybody.
    pub(super) role: Option<Box<str>>,
    /// Where.
    pub(super) here: Where,
    /// The value.
    pub(super) value: Box<str>,
}

/// Where a setting counts. The more special one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Where {
    /// In every database.
    Everywhere,
    /// In this database.
    Here,
}

impl From<bool> for Where {
    fn from(here: bool) -> Self {
        if here { Where::Here } else { Where::Everywhere }
    }
}

/// All of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Paths {
    settings: Vec<PathSetting>,
    /// What the server's configuration says, if that could be found out.
    server: Option<Box<str>>,
}

impl Paths {
    /// `seen` is what the user `by` got when it connected. That is the server's own value only if nothing was set for it.
    pub(super) fn new(settings: Vec<PathSetting>, by: &str, seen: Box<str>) -> Self {
        let server = if find(&settings, by).is_none() { Some(seen) } else { None };
        Paths { settings, server }
    }

    /// The search path of a user.
    pub(super) fn of(&self, user: &str) -> SearchPath {
        let found = find(&self.settings, user).or(self.server.as_deref());
        found.map_or(SearchPath::Any, |value| SearchPath::parse(value, user))
    }
}

/// In the order of `process_settings` in `src/backend/utils/init/postinit.c`: a role's settings before everybody's, and in
/// each this database's first.
fn find<'a>(settings: &'a [PathSetting], user: &str) -> Option<&'a str> {
    let counts = settings.iter().filter(|s| s.role.as_deref().is_none_or(|role| role == user));
    counts.max_by_key(|s| (s.role.is_some(), s.here)).map(|s| &*s.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_special_setting_wins() {
        let setting = |role: Option<&str>, here, value: &str| PathSetting {
            role: role.map(Box::from),
            here,
            value: value.into(),
        };
        let settings = vec![
            setting(None, Where::Here, "database"),
            setting(Some("ann"), Where::Everywhere, "\"$user\", role"),
            setting(Some("bob"), Where::Everywhere, "role"),
            setting(Some("bob"), Where::Here, "role_here"),
        ];
        let paths = Paths::new(settings.clone(), "eve", "database".into());
        let known = |schemas: &[&str]| SearchPath::Known(schemas.iter().map(|s| Box::from(*s)).collect());
        assert_eq!(paths.of("ann"), known(&["ann", "role"]));
        assert_eq!(paths.of("bob"), known(&["role_here"]));
        assert_eq!(paths.of("eve"), known(&["database"]));
        let paths = Paths::new(settings[1..].to_vec(), "ann", "ann, role".into());
        assert_eq!(paths.of("eve"), SearchPath::Any, "what the server says is hidden from ann");
        let paths = Paths::new(settings[1..].to_vec(), "app", "public".into());
        assert_eq!(paths.of("eve"), known(&["public"]));
    }
}
