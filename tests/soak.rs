//! Freshness for as long as one likes: `make soak`, explained in `docs/freshness.md`.
//!
//! Two proxies before one cluster, `tidegate verify` over both, replay paused and delayed on one replica, the other one
//! killed and restarted again and again. One violation fails it.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::proxy::Tidegate;
use tidegate::local::Login;

/// How long a replica that was killed stays away, and how long it is there again.
const AWAY: Duration = Duration::from_secs(3);
const THERE: Duration = Duration::from_secs(12);

fn setting(name: &str, default: &str) -> String {
    std::env::var(name).ok().filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
}

#[test]
#[ignore = "takes as long as it is told to: run `make soak`"]
fn nothing_is_stale_however_long_it_takes() {
    let seconds = setting("TIDEGATE_SOAK_SECONDS", "60");
    for level in setting("TIDEGATE_SOAK_LEVELS", "session strong").split_whitespace() {
        let cluster = support::exclusive_cluster(&support::options());
        let proxies = [Tidegate::before(&cluster).start(), Tidegate::before(&cluster).start()];
        let urls = proxies.each_ref().map(support::proxy::RunningProxy::url);
        let (steady, killed) = (cluster.replica(0), cluster.replica(1));
        let mut verify = Command::new(env!("CARGO_BIN_EXE_tidegate"))
            .args(["verify", "--url", &urls[0], "--url", &urls[1], "--level", level, "--seconds", &seconds])
            .args(["--faults", "pause,delay", "--replica", &steady.url(Login::Superuser)])
            .env_remove("PGPASSWORD")
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let mut kills = 0;
        let status = loop {
            let since = Instant::now();
            let mut there = || {
                let ended = verify.try_wait().unwrap();
                if ended.is_none() {
                    std::thread::sleep(Duration::from_millis(100));
                }
                ended
            };
            if let Some(status) =
                std::iter::from_fn(|| (since.elapsed() < THERE).then(&mut there)).flatten().next()
            {
                break status;
            }
            killed.kill().unwrap();
            kills += 1;
            let since = Instant::now();
            let ended = std::iter::from_fn(|| (since.elapsed() < AWAY).then(&mut there)).flatten().next();
            killed.start().unwrap();
            if let Some(status) = ended {
                break status;
            }
        };
        println!("level {level}: a replica was killed and restarted {kills} times");
        for proxy in &proxies {
            let share =
                |target| proxy.metric("tidegate_statements_total", &[&format!("target=\"{target}\"")]);
            let (replicas, primary) = (share("replica"), share("primary"));
            println!("a proxy has sent {replicas} statements to replicas and {primary} to the primary");
            assert!(replicas > 0.0);
        }
        assert!(status.success(), "level {level}: {status}");
    }
}
