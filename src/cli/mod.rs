//! The command line: what each subcommand does, from parsed arguments to an exit code.

pub mod args;
pub mod check;
pub mod demo;
pub mod explain;
mod interrupt;
pub mod logging;
mod nodes;
mod orders;
mod reload;
pub mod remote;
pub mod run;
pub mod running;
mod sockets;
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
