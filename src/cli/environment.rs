//! Secrets in the environment. They are not left to clap, which would keep copies.

use std::env;
use std::path::PathBuf;

use crate::config::{Secret, SecretVariable, Sources};

/// The token of the admin address, as the environment says it.
#[derive(Clone, Debug, Default)]
pub enum Token {
    /// It says none.
    #[default]
    None,
    /// Itself.
    Is(Secret),
    /// The path of a file with it.
    In(PathBuf),
    /// Both are said, and it is not clear which one is meant.
    Twice,
}

impl Token {
    pub(super) fn from_environment() -> Self {
        match (secret(SecretVariable::AdminToken), file(SecretVariable::AdminToken)) {
            (Some(_), Some(_)) => Self::Twice,
            (Some(token), None) => Self::Is(token),
            (None, Some(path)) => Self::In(path),
            (None, None) => Self::None,
        }
    }
}

/// Adds every secret that the environment holds, and the files that it names instead.
pub(super) fn add_secrets(sources: &mut Sources) {
    for variable in SecretVariable::ALL {
        *variable.slot(sources) = secret(variable);
        sources.files.extend(file(variable).map(|path| (variable, path)));
    }
    (sources.passfile, sources.home) = (path("PGPASSFILE"), path("HOME"));
}

/// A secret in the environment; one that is empty is none.
pub(super) fn secret(variable: SecretVariable) -> Option<Secret> {
    env::var(variable.name()).ok().map(Secret::new).filter(|secret| !secret.is_empty())
}

/// The file that is to be read instead.
fn file(variable: SecretVariable) -> Option<PathBuf> {
    path(&variable.file_name())
}

fn path(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from)
}
