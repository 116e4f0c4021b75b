//! `tidegate demo`.
use std::process::ExitCode;
use super::args::DemoArgs;
/// Runs the demo.
pub fn demo(_: &DemoArgs) -> ExitCode {
    ExitCode::FAILURE
}
