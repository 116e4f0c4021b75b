//! Logs go to standard error: warnings and errors by default.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use crate::config::LogFormat;

/// What clients want to be logged is logged, however little else is: see `tidegate.log`.
const ASKED_FOR: &str = "tidegate::route=info";

/// Changes which events are logged.
pub struct Filter(Box<dyn Fn(EnvFilter) -> Result<(), String> + Send>);

impl Filter {
    /// Logs by this filter from now on. The error says what is wrong with it; nothing changes then.
    pub fn change(&self, filter: &str) -> Result<(), String> {
        (self.0)(read(filter)?)
    }
}

fn read(filter: &str) -> Result<EnvFilter, String> {
    let wrong = |e: &dyn std::fmt::Display| format!("log filter \"{filter}\": {e}");
    let read = EnvFilter::try_new(filter).map_err(|e| wrong(&e))?;
    if filter.eq_ignore_ascii_case("off") || filter.contains("tidegate::route") {
        return Ok(read);
    }
    Ok(read.add_directive(ASKED_FOR.parse().map_err(|e: tracing_subscriber::filter::ParseError| wrong(&e))?))
}

/// Sets up logging by a filter such as `warn` or `tidegate::session=debug`. The error says what is wrong with it.
pub fn set_up(filter: &str, format: LogFormat) -> Result<Filter, String> {
    let filter = read(filter)?;
    // pg_query points standard error elsewhere for the moment of a parse; a descriptor of our own is not affected.
    let own = io::stderr().as_fd().try_clone_to_owned().map_err(|e| format!("standard error: {e}"))?;
    let writer = Mutex::new(File::from(own));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    let failed = |e: tracing_subscriber::reload::Error| format!("log filter: {e}");
    Ok(match format {
        LogFormat::Text => {
            let builder = builder.with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Filter(Box::new(move |filter| handle.reload(filter).map_err(failed)))
        }
        LogFormat::Json => {
            let builder =
                builder.json().with_current_span(false).with_span_list(false).with_filter_reloading();
            let handle = builder.reload_handle();
            let _ = builder.try_init();
            Filter(Box::new(move |filter| handle.reload(filter).map_err(failed)))
        }
    })
}
