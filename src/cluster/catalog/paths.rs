//! What `search_path` and `default_transaction_isolation` are for somebody who has not said anything about them.

use crate::sql::catalog::SearchPath;

/// Which setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Of {
    /// `search_path`
    Path,
    /// `default_transaction_isolation`
    Isolation,
}

/// What the user who asks was given when it connected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) path: Box<str>,
    pub(super) isolation: Box<str>,
}

/// A setting that `ALTER ROLE` or `ALTER DATABASE` made.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PathSetting {
    pub(super) of: Of,
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
    isolation: Option<Box<str>>,
}

impl Paths {
    /// `seen` is what the user `by` got when it connected. That is the server's own value only if nothing was set for it.
    pub(super) fn new(settings: Vec<PathSetting>, by: &str, seen: Seen) -> Self {
        let unless_set = |of, seen| if find(&settings, of, by).is_none() { Some(seen) } else { None };
        let (server, isolation) =
            (unless_set(Of::Path, seen.path), unless_set(Of::Isolation, seen.isolation));
        Paths { settings, server, isolation }
    }

    /// Whether a user's transactions are serializable unless they say otherwise.
    pub(super) fn is_serializable(&self, user: &str) -> bool {
        let found = find(&self.settings, Of::Isolation, user).or(self.isolation.as_deref());
        found.is_some_and(|level| level.eq_ignore_ascii_case("serializable"))
    }

    /// The search path of a user.
    pub(super) fn of(&self, user: &str) -> SearchPath {
        let found = find(&self.settings, Of::Path, user).or(self.server.as_deref());
        found.map_or(SearchPath::Any, |value| SearchPath::parse(value, user))
    }
}

/// In the order of `process_settings` in `src/backend/utils/init/postinit.c`: a role's settings before everybody's, and in
/// each this database's first.
fn find<'a>(settings: &'a [PathSetting], of: Of, user: &str) -> Option<&'a str> {
    let counts = settings.iter().filter(|s| s.of == of && s.role.as_deref().is_none_or(|role| role == user));
    counts.max_by_key(|s| (s.role.is_some(), s.here)).map(|s| &*s.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_special_setting_wins() {
        let seen = |path: &str| Seen { path: path.into(), isolation: "read committed".into() };
        let setting = |role: Option<&str>, here, value: &str| PathSetting {
            of: Of::Path,
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
        let paths = Paths::new(settings.clone(), "eve", seen("database"));
        let known = |schemas: &[&str]| SearchPath::Known(schemas.iter().map(|s| Box::from(*s)).collect());
        assert_eq!(paths.of("ann"), known(&["ann", "role"]));
        assert_eq!(paths.of("bob"), known(&["role_here"]));
        assert_eq!(paths.of("eve"), known(&["database"]));
        let paths = Paths::new(settings[1..].to_vec(), "ann", seen("ann, role"));
        assert_eq!(paths.of("eve"), SearchPath::Any, "what the server says is hidden from ann");
        let paths = Paths::new(settings[1..].to_vec(), "app", seen("public"));
        assert_eq!(paths.of("eve"), known(&["public"]));
        let of = Of::Isolation;
        let strict = PathSetting { of, ..setting(Some("ann"), Where::Here, "serializable") };
        let paths = Paths::new(vec![strict], "app", seen("public"));
        assert!(paths.is_serializable("ann") && !paths.is_serializable("bob"));
    }
}
