//! Load for `bench/freshness.py`, on one thread and with little CPU. It knows which node answered a read, and whether the
//! answer was stale; figures are printed as one line of JSON.
//!
//! ```text
//! tidegate-bench-load offload proxy=DSN | primary=DSN replica=DSN… window=session|database window_ms=N
//!                             tables=N writes=PERCENT rate=N seconds=S
//! tidegate-bench-load reopen  proxy=DSN writers=N rate=N (0: as fast as it goes) seconds=S
//! tidegate-bench-load readers proxy=DSN readers=N writes_per_second=N think_ms=MS seconds=S
//! ```
#![forbid(unsafe_code)]

mod arguments;
mod figures;
mod link;
mod offload;
mod random;
mod readers;
mod reopen;

use arguments::Arguments;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments = Arguments::read(std::env::args().skip(1))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let line = runtime.block_on(async {
        match arguments.command.as_str() {
            "offload" => offload::run(&arguments).await,
            "reopen" => reopen::run(&arguments).await,
            "readers" => readers::run(&arguments).await,
            other => Err(format!("unknown command {other}").into()),
        }
    })?;
    println!("{line}");
    Ok(())
}
