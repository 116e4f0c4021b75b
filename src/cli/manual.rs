//! What the command line says of itself: the manual, completions, and `docs/command-line.md`.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::args::{Cli, CompletionArgs, ManArgs};
use super::refuse;

const NAME: &str = "tidegate";

/// Prints completions for a shell.
pub fn completions(args: &CompletionArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), NAME, &mut script);
    print(&script)
}

/// Prints the manual page, or writes all of them.
pub fn man(args: &ManArgs) -> ExitCode {
    let Some(folder) = &args.all else {
        let mut page = Vec::new();
        return match Man::new(command()).render(&mut page) {
            Ok(()) => print(&page),
            Err(error) => refuse(&error),
        };
    };
    match write_all(folder) {
        Ok(count) => {
            println!("{count} pages written into {}", folder.display());
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&format!(
            "cannot write the manual into {}: {error}. Check that the folder is there and who may write into it",
            folder.display()
        )),
    }
}

/// A page per command, called as `man` looks for it. Returns how many.
fn write_all(folder: &Path) -> io::Result<usize> {
    let root = command();
    let mut pages = vec![root.clone()];
    for (name, command) in subcommands(&root, NAME) {
        // The page's title is the whole name; what it is called by is in its synopsis.
        pages.push(command.name(name.replace(' ', "-")).bin_name(name));
    }
    for page in &pages {
        let mut text = Vec::new();
        Man::new(page.clone()).render(&mut text)?;
        fs::write(folder.join(format!("{}.1", page.get_name())), text)?;
    }
    Ok(pages.len())
}

/// The command line without what only a terminal needs, and the same in every environment.
fn command() -> Command {
    without_values(Cli::command()).disable_help_subcommand(true)
}

fn without_values(command: Command) -> Command {
    command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(without_values)
}

/// Every subcommand below a command, with its whole name.
fn subcommands(command: &Command, name: &str) -> Vec<(String, Command)> {
    let mut found = Vec::new();
    for inner in command.get_subcommands() {
        let name = format!("{name} {}", inner.get_name());
        found.push((name.clone(), inner.clone()));
        found.extend(subcommands(inner, &name));
    }
    found
}

/// `docs/command-line.md`: the help of every command, as a terminal shows it.
pub fn markdown() -> String {
    let mut out = String::from(
        "# Command line\n\n\
         What `tidegate COMMAND --help` says of each command, put here by a test: `UPDATE=1 cargo test --locked --test reference`.\n\
         What the settings mean is in [configuration](configuration.md), all of them are in the \
         [reference](configuration-reference.md).\n",
    );
    let root = command().term_width(100);
    for (name, command) in [(NAME.to_owned(), root.clone())].into_iter().chain(subcommands(&root, NAME)) {
        let mut command = command.bin_name(name.clone()).term_width(100);
        let help = command.render_long_help().to_string();
        let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
        let _ = write!(out, "\n## {name}\n\n```text\n{}\n```\n", lines.join("\n").trim_end());
    }
    out
}

/// A reader who has seen enough is no error.
fn print(bytes: &[u8]) -> ExitCode {
    match io::stdout().write_all(bytes) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => refuse(&error),
        _ => ExitCode::SUCCESS,
    }
}
