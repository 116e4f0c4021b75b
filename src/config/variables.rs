//! Variables of the environment that hold a secret. Each has a second one, `NAME_FILE`, with the path of a file that
//! holds it instead: what is in a file is not seen by whoever can look at the environment of a process.

use std::path::PathBuf;

use super::load::Sources;
use super::mistake::{Findings, Origin, Problem};
use super::secret::Secret;
use super::secret_file;

/// A variable that holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretVariable {
    /// The URL of the database, with its password.
    DatabaseUrl,
    /// The password of users for whom none is said.
    PgPassword,
    /// The password of the console.
    ConsolePassword,
    /// The token of the admin address.
    AdminToken,
}

impl SecretVariable {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::DatabaseUrl, Self::PgPassword, Self::ConsolePassword, Self::AdminToken];

    /// Its name in the environment.
    pub fn name(self) -> &'static str {
        match self {
            Self::DatabaseUrl => "DATABASE_URL",
            Self::PgPassword => "PGPASSWORD",
            Self::ConsolePassword => "TIDEGATE_CONSOLE_PASSWORD",
            Self::AdminToken => "TIDEGATE_ADMIN_TOKEN",
        }
    }

    /// The name of the variable with the path of a file.
    pub fn file_name(self) -> String {
        format!("{}_FILE", self.name())
    }

    /// The place of its value.
    pub fn slot(self, sources: &mut Sources) -> &mut Option<Secret> {
        match self {
            Self::DatabaseUrl => &mut sources.env.url,
            Self::PgPassword => &mut sources.pg_password,
            Self::ConsolePassword => &mut sources.env.console_password,
            Self::AdminToken => &mut sources.env.admin_token,
        }
    }
}

/// Reads the secret that a file holds for a variable. The error says what is wrong with it.
pub fn read_variable_file(variable: SecretVariable, path: &std::path::Path) -> Result<Secret, String> {
    let mut findings = Findings::default();
    let secret = read(variable, path, &mut findings);
    findings.into_warnings().map_err(|mistakes| mistakes.to_string())?;
    secret.ok_or_else(|| "nothing was read".to_owned())
}

fn read(variable: SecretVariable, path: &std::path::Path, findings: &mut Findings) -> Option<Secret> {
    let origin = Origin::new(variable.file_name());
    let secret = secret_file::secret(path, &origin, findings)?;
    if secret.is_empty() {
        findings.mistake(&origin, Problem::new("the file is empty", "Write the secret into it, on one line"));
        return None;
    }
    Some(secret)
}

/// What was said, with the files that stand for variables read. True if the URL is in one that cannot be.
pub(super) fn with_files(sources: &Sources, findings: &mut Findings) -> (Sources, bool) {
    let mut filled = sources.clone();
    let mut lacks_url = false;
    for (variable, path) in &sources.files {
        if variable.slot(&mut filled).is_some() {
            let name = variable.name();
            let problem = Problem::new(format!("{name} is given, too"), "Set one of the two");
            findings.mistake(&Origin::new(variable.file_name()), problem);
            continue;
        }
        let secret = read(*variable, path, findings);
        lacks_url |= secret.is_none() && *variable == SecretVariable::DatabaseUrl;
        *variable.slot(&mut filled) = secret;
    }
    (filled, lacks_url)
}

/// Files by the variables for which they stand.
pub type SecretFiles = Vec<(SecretVariable, PathBuf)>;
