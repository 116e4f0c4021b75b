//! Logs go to standard error: warnings and errors by default.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;

use tracing_subscriber::EnvFilter;

/// Sets up logging by a filter such as `warn` or `tidegate::session=debug`. The error says what is wrong with it.
pub fn set_up(filter: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| format!("log filter \"{filter}\": {e}"))?;
    // pg_query points standard error elsewhere for the moment of a parse; a descriptor of our own is not affected.
    let own = io::stderr().as_fd().try_clone_to_owned().map_err(|e| format!("standard error: {e}"))?;
    let writer = std::sync::Mutex::new(File::from(own));
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false).try_init();
    Ok(())
}
