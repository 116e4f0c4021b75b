//! Users that the configuration does not name: those in a file, and those that a server is asked for.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use super::layer::{Tuning, UserLayer};
use super::mistake::{Findings, Origin, Problem, quoted};
use super::notes::Notes;
use super::secret::Secret;
use super::settings::{ClientAuth, DatabaseSettings, UserSettings, UserTuning};
use crate::auth::{Stored, read_userlist};

/// What a server is asked where nothing else is said. Whoever may not log in, or not any more, is asked for apart.
const DEFAULT_QUERY: &str = "select rolname, rolpassword from pg_catalog.pg_authid where rolname = $1";
const DEFAULT_TTL: Duration = Duration::from_secs(1);
const DEFAULT_USER_LIMIT: usize = 1_000;
/// The largest file of users that is read, in bytes.
const LARGEST_FILE: u64 = 64 << 20;

/// Users that the configuration does not name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSettings {
    /// What a server is asked for a user's kept password; `None`: it is not asked.
    pub query: Option<String>,
    /// Who asks it; `None`: the first user.
    pub user: Option<String>,
    /// How long an answer is believed.
    pub ttl: Duration,
    /// Most users at one time that are not configured.
    pub limit: usize,
    /// What is kept of the passwords of those in the file, by their names.
    pub listed: BTreeMap<String, Secret>,
}

impl AccountSettings {
    /// What was said about a database. Those in the file whose password is known are added to its users, and whoever is to ask.
    pub(super) fn of(
        tuning: &Tuning,
        users: &mut Vec<UserLayer>,
        origin: &Origin,
        findings: &mut Findings,
    ) -> Self {
        let query = tuning.auth_query.clone().filter(|query| !query.is_empty());
        let listed = match &tuning.auth_file {
            Some(path) => read(path, users, &origin.inside("auth_file"), findings),
            None => BTreeMap::new(),
        };
        let user = tuning.auth_user.clone().filter(|_| query.is_some());
        if let Some(name) = user.iter().find(|name| users.iter().all(|user| user.name != **name)) {
            users.push(unnamed(name, None, &origin.inside("auth_user")));
        }
        if query.is_none() && tuning.auth_user.is_some() {
            let problem = "somebody is to ask the server, and there is no question";
            findings
                .mistake(&origin.inside("auth_user"), Problem::new(problem, "Add auth_query = \"default\""));
        }
        if query.is_some() && tuning.client_auth == Some(ClientAuth::Trust) {
            let problem = "nobody proves anything (client_auth = trust), so there is nothing to log in to the servers with";
            findings
                .mistake(&origin.inside("auth_query"), Problem::new(problem, "Say client_auth = \"scram\""));
        }
        Self {
            query,
            user,
            ttl: tuning.auth_ttl.unwrap_or(DEFAULT_TTL),
            limit: tuning.user_limit.unwrap_or(DEFAULT_USER_LIMIT),
            listed,
        }
    }

    /// Those who ask the servers questions of the proxy's own must be able to log in without anybody having come before.
    pub(super) fn check_askers(
        &self,
        users: &[UserSettings],
        client_auth: ClientAuth,
        origin: &Origin,
        findings: &mut Findings,
    ) {
        let Some(first) = users.first().filter(|_| client_auth == ClientAuth::Scram) else { return };
        let asker = self.user.iter().filter(|name| **name != first.name);
        let asker = asker.filter_map(|name| users.iter().find(|user| user.name == *name));
        for (user, why) in
            [(first, "the proxy's own questions")].into_iter().chain(asker.map(|user| (user, "auth_query")))
        {
            let problem = match (&user.password, &user.stored) {
                (None, Some(_)) => "a verifier, which is not enough to log in with",
                (None, None) if self.query.is_some() => "none",
                // It has one, or that it has none is said already.
                _ => continue,
            };
            let name = &user.name;
            let problem = format!(
                "the user {name} logs in to the servers for {why} and needs a password, but has {problem}"
            );
            let advice = "Put it into the URL (user:password@host), into PGPASSWORD, or into password_file in the file; or \
                          let another user come first";
            findings.mistake(origin, Problem::new(problem, advice));
        }
    }
}

impl DatabaseSettings {
    /// What is kept of the password of this user, where the configuration or the file has it.
    pub fn stored(&self, name: &str) -> Option<&Secret> {
        match self.users.iter().find(|user| user.name == name) {
            Some(user) => user.stored.as_ref(),
            None => self.accounts.listed.get(name),
        }
    }

    /// Whether it is known from the start with what this user logs in to the servers, or that it needs nothing.
    pub fn is_resident(&self, user: &UserSettings) -> bool {
        user.password.is_some() || self.client_auth == ClientAuth::Trust
    }

    /// Whether there can be users who come and go.
    pub fn has_guests(&self) -> bool {
        let stored = self.users.iter().any(|user| !self.is_resident(user));
        stored || self.accounts.query.is_some() || !self.accounts.listed.is_empty()
    }

    /// Whether a user of this name comes and goes: it logs in to the servers with what its client shows.
    pub fn takes_guest(&self, name: &str) -> bool {
        let resident = self.users.iter().any(|user| user.name == name && self.is_resident(user));
        !resident && (self.accounts.query.is_some() || self.stored(name).is_some())
    }
}

/// What a server is to be asked.
pub(super) fn query(text: &str) -> Result<String, Problem> {
    match text {
        "off" | "false" => Ok(String::new()),
        "default" | "true" => Ok(DEFAULT_QUERY.to_owned()),
        _ if text.contains("$1") => Ok(text.to_owned()),
        _ => Err(Problem::new(
            format!("the query {} does not ask for a user: $1 is missing", quoted(text)),
            "Write default, off, or a query such as select * from tidegate.user_lookup($1)",
        )),
    }
}

/// Somebody of whom nothing but a password is said.
fn unnamed(name: &str, password: Option<Secret>, origin: &Origin) -> UserLayer {
    let (tuning, limits) = (UserTuning::default(), Tuning::default());
    UserLayer {
        name: name.to_owned(),
        password,
        tuning,
        limits,
        said: Notes::default(),
        origin: origin.clone(),
    }
}

/// Reads the file of users. Passwords go to the users; what is kept of others, to the result. A user of whom a password is said
/// elsewhere keeps that one.
fn read(
    path: &str,
    users: &mut Vec<UserLayer>,
    origin: &Origin,
    findings: &mut Findings,
) -> BTreeMap<String, Secret> {
    let mut kept = BTreeMap::new();
    let shown = quoted(path);
    let length = fs::metadata(path).map(|file| file.len());
    let text = match length {
        Ok(length) if length > LARGEST_FILE => {
            let problem = Problem::new(format!("the file {shown} is larger than 64 MiB"), "Use auth_query");
            findings.mistake(origin, problem);
            return kept;
        }
        Ok(_) => fs::read_to_string(path),
        Err(error) => Err(error),
    };
    let text = match text {
        Ok(text) => zeroize::Zeroizing::new(text),
        Err(error) => {
            let problem = format!("the file {shown} cannot be read: {error}");
            findings.mistake(origin, Problem::new(problem, "Check the path and who may read it"));
            return kept;
        }
    };
    let (listed, unreadable) = read_userlist(&text);
    for bad in unreadable {
        let problem = format!("line {} of {shown} cannot be read: {}", bad.line, bad.problem);
        findings.mistake(origin, Problem::new(problem, "Write it as \"name\" \"password or verifier\""));
    }
    let mut seen = std::collections::BTreeSet::new();
    let configured: std::collections::BTreeMap<_, _> =
        users.iter().enumerate().map(|(index, user)| (user.name.clone(), index)).collect();
    for entry in listed {
        if !seen.insert(entry.name.clone()) {
            let problem = format!("line {} of {shown} is about a user that was listed before", entry.line);
            findings.mistake(origin, Problem::new(problem, "List every user once"));
            continue;
        }
        // No password fits an empty one.
        if entry.password.is_empty() {
            continue;
        }
        let password = Secret::new(entry.password.as_str());
        match configured.get(&entry.name).and_then(|index| users.get_mut(*index)) {
            Some(user) => user.password = user.password.take().or(Some(password)),
            None if Stored::read(&entry.password).is_some() => drop(kept.insert(entry.name, password)),
            None => users.push(unnamed(&entry.name, Some(password), origin)),
        }
    }
    kept
}
