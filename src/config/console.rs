//! Who may use the console.

use super::listen::ListenAddress;
use super::mistake::{Findings, Origin, Problem};
use super::secret::Secret;
use super::settings::DatabaseSettings;
use crate::auth::Stored;

/// The databases' names by which clients ask for the console. The second is PgBouncer's, whose tools know no other.
pub const CONSOLE_NAMES: [&str; 2] = ["tidegate", "pgbouncer"];

/// Somebody who may use the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleUser {
    /// The name to log in with.
    pub name: String,
    /// What it proves itself with, or a SCRAM verifier of that. Nobody gets in without one, whatever `client_auth` says.
    pub password: Secret,
    /// Whether that password is the console's own. One of a database is good on this machine only.
    pub is_own: bool,
}

/// Those who are named, each with the password of all of them or that of the databases' user of the same name.
pub(super) fn users(
    names: Option<Vec<String>>,
    password: Option<&Secret>,
    databases: &[DatabaseSettings],
    listen: &[ListenAddress],
    findings: &mut Findings,
) -> Vec<ConsoleUser> {
    let names = names.unwrap_or_default();
    let is_remote = listen.iter().any(ListenAddress::is_open_to_others);
    if password.is_none() && is_remote && !names.is_empty() {
        let warning = "they have the passwords of the databases' users, so they get in from this machine only; \
                       console_password_file lets them in from others";
        findings.warn(&Origin::new("console_users"), warning);
    }
    let hidden = databases.iter().find(|database| CONSOLE_NAMES.contains(&database.name.as_str()));
    if let Some(hidden) = hidden.filter(|_| !names.is_empty()) {
        let warning =
            format!("the database {} hides the console, which has the other name only", hidden.name);
        findings.warn(&Origin::new("console_users"), warning);
    }
    names
        .into_iter()
        .filter_map(|name| {
            let is_own = password.is_some();
            let password = password.cloned().map_or_else(|| of_databases(&name, databases), Ok);
            let password = findings.keep(&Origin::new("console_users"), password)?;
            Some(ConsoleUser { name, password, is_own })
        })
        .collect()
}

/// The password that a user has in the databases, which must be one.
fn of_databases(name: &str, databases: &[DatabaseSettings]) -> Result<Secret, Problem> {
    const ADVICE: &str = "Give the console a password of its own, with console_password_file";
    let users = databases.iter().flat_map(|database| &database.users).filter(|user| user.name == name);
    let of_users = users.filter_map(|user| user.password.as_ref().or(user.stored.as_ref()));
    let listed = databases.iter().filter_map(|database| database.accounts.listed.get(name));
    // An md5 hash proves nothing here.
    let is_md5 = |text: &Secret| matches!(Stored::read(text.expose()), Some(Stored::Md5(_)));
    let mut passwords = of_users.chain(listed).filter(|text| !is_md5(text));
    let Some(password) = passwords.next() else {
        return Err(Problem::new(format!("the user {name} has no password in any database"), ADVICE));
    };
    if passwords.any(|other| other != password) {
        return Err(Problem::new(format!("the user {name} has several passwords"), ADVICE));
    }
    Ok(password.clone())
}
