//! What is there when the load is gone: the rows, the server connections, the memory.

use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::load::Load;
use super::stage::{Site, Stage, ask};

/// How long a server may take to see that a connection was closed, and the proxy that a client has gone.
const SETTLING: Duration = Duration::from_secs(10);
/// What a proxy may have grown by, in KiB: buffers, caches and what the allocator keeps.
const MEMORY: u64 = 16 * 1024;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Aftermath {
    /// Server connections of the proxy's pools, on all servers.
    pub connections: u64,
    pub complaints: Vec<String>,
}

/// Resident memory of a process, in KiB.
pub fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Looks at everything. No load may run.
pub fn look(stage: &dyn Stage, load: &Load, runtime: &Handle) -> Aftermath {
    let mut found = Aftermath::default();
    found.complaints.extend(load.wrong());
    let sql = format!("select writer, seq, part from ledger where writer >= {}", load.first_writer());
    let rows = runtime.block_on(ask(&stage.primary(), &sql, |row| (row.get(0), row.get(1), row.get(2))));
    match rows {
        Ok(rows) => found.complaints.extend(load.audit(&rows).iter().map(ToString::to_string)),
        Err(error) => found.complaints.push(format!("the primary cannot be asked for the rows: {error}")),
    }
    for site in stage.sites() {
        match settled(stage, &site, runtime) {
            Ok(connections) => found.connections += connections,
            Err(complaint) => found.complaints.push(complaint),
        }
    }
    let proxy = stage.proxy();
    let panics = proxy.metric("tidegate_panics_total", &[]);
    if panics > 0.5 {
        found.complaints.push(format!("{panics} sessions were ended by a panic"));
    }
    found
}

/// Waits until a server has exactly the connections that the proxy's pools know of, and all of them are idle.
fn settled(stage: &dyn Stage, site: &Site, runtime: &Handle) -> Result<u64, String> {
    let open = "select count(*), count(*) filter (where state <> 'idle') from pg_stat_activity
        where usename = 'app' and backend_type = 'client backend' and application_name not like 'tidegate %'";
    let begun = Instant::now();
    loop {
        let known = |state: &str| {
            let metrics = stage.proxy().metrics();
            pool_connections(&metrics, &site.name, state)
        };
        let (used, kept) = (known("used"), known("idle"));
        let asked = runtime.block_on(ask(site, open, |row| (row.get::<_, i64>(0), row.get::<_, i64>(1))));
        let there = asked.map_err(|error| format!("{} cannot be asked: {error}", site.name))?;
        let (all, busy) = there[0];
        let clients = stage.proxy().metric("tidegate_clients", &[]);
        if used == 0 && busy == 0 && clients < 0.5 && u64::try_from(all).is_ok_and(|all| all == kept) {
            return Ok(kept);
        }
        if begun.elapsed() > SETTLING {
            return Err(format!(
                "{} has {all} connections of the proxy, {busy} of them not idle; the proxy knows of {kept} that are idle and \
                 {used} in use, and has {clients} clients",
                site.name
            ));
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Server connections to a node that are so, by the metrics.
fn pool_connections(metrics: &str, node: &str, state: &str) -> u64 {
    let (at, state) = (format!("@{node}/"), format!("state=\"{state}\""));
    let series = metrics.lines().filter(|line| {
        line.starts_with("tidegate_pool_connections{") && line.contains(&at) && line.contains(&state)
    });
    series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<u64>().ok()).sum()
}

/// Why this is too much memory, if it is.
pub fn grown(before: u64, after: u64) -> Option<String> {
    (after > before + MEMORY).then(|| format!("the proxy had {before} KiB before and has {after} KiB after"))
}
