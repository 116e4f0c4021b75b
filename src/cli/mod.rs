//! The command line: what each subcommand does, from parsed arguments to an exit code.

pub mod args;
pub mod build;
pub mod check;
pub mod demo;
pub mod environment;
pub mod explain;
pub mod import;
mod inherited;
mod interrupt;
mod link;
pub mod logging;
pub mod manual;
mod nodes;
pub mod notify;
mod orders;
mod pulse;
mod reload;
pub mod remote;
pub mod run;
pub mod running;
pub mod settings;
mod signals;
mod sockets;
mod takeover;
mod toml_text;
pub mod top;
mod upgrade;
pub mod verify;
mod worker;

use std::process::ExitCode;

/// Exit code for a configuration that cannot be used.
pub const EXIT_MISTAKES: u8 = 2;

/// Prints what was wrong, in full, and says so by the exit code.
fn refuse(text: &dyn std::fmt::Display) -> ExitCode {
    eprintln!("tidegate: {text}");
    ExitCode::from(EXIT_MISTAKES)
}
