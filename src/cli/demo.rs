//! `tidegate demo`.
use super::args::DemoArgs;
use std::process::ExitCode;
/// Runs the demo.
pub fn demo(_: &DemoArgs) -> ExitCode {
    ExitCode::FAILURE
}
