//! What is done without a proxy or a server: settings, the shell, the manual, the move from PgBouncer.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use clap_complete::Shell;

use super::SourceArgs;

/// What is imported, and where it goes.
#[derive(Clone, Debug, Args)]
pub struct ImportArgs {
    /// PgBouncer's configuration. What it includes is read, too.
    #[arg(value_name = "PGBOUNCER.INI")]
    pub file: PathBuf,

    /// The list of users [default: the one that auth_file names].
    #[allow(clippy::doc_markdown, reason = "shown in a terminal, where backticks are noise")]
    #[arg(long, value_name = "FILE")]
    pub userlist: Option<PathBuf>,

    /// File for the settings; files with passwords are put beside it. Without it, the settings go to standard output and what
    /// is said of them to standard error.
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Name of a database that * stands for; repeat it for several.
    #[arg(long, value_name = "NAME")]
    pub database: Vec<String>,

    /// Replace files that are there.
    #[arg(long)]
    pub force: bool,
}

/// What is shown of the settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the settings that hold, as TOML: each with where it was said (a file and line, a variable, a flag), or that it is
    /// the default. Passwords and tokens are not shown. The exit code is 2 for a mistake.
    Print(Box<SourceArgs>),
    /// Print a JSON schema of the file of settings, by which editors complete and check it.
    Schema,
    /// Print what every setting is, as Markdown: docs/configuration-reference.md.
    Reference,
}

/// Whose completions are printed.
#[derive(Clone, Debug, Args)]
pub struct CompletionArgs {
    /// The shell.
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// What is printed of the manual.
#[derive(Clone, Debug, Args)]
pub struct ManArgs {
    /// Write a page for each subcommand into this folder, which must be there, instead of printing the one.
    #[arg(long, value_name = "DIR")]
    pub all: Option<PathBuf>,
}
