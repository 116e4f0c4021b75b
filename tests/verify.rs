//! `tidegate verify`: it finds nothing where nothing is stale, finds what is, and leaves nothing behind.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use support::proxy::{RunningProxy, Tidegate};
use tidegate::local::{LocalCluster, Login};

fn verify(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    command.arg("verify").args(args).env_remove("PGPASSWORD").stdin(Stdio::null());
    command
}

/// Runs it to its end.
fn run(args: &[&str]) -> (Option<i32>, String) {
    told(&verify(args).output().unwrap())
}

/// The exit code, and all that was said.
fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat();
    assert!(!text.contains("secret"), "a password is shown:\n{text}");
    (output.status.code(), text)
}

/// The number that follows `label`.
fn number(text: &str, label: &str) -> u64 {
    let at = text.find(label).unwrap_or_else(|| panic!("no \"{label}\" in:\n{text}"));
    let digits: String = text[at + label.len()..].chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or_else(|_| panic!("no number after \"{label}\" in:\n{text}"))
}

fn cluster() -> LocalCluster {
    support::exclusive_cluster(&support::options())
}

/// A proxy that uses every replica.
fn proxy(cluster: &LocalCluster, parameters: &str) -> RunningProxy {
    let proxy = Tidegate::tuned(cluster, parameters).start();
    support::wait_until("the proxy uses the replicas", || {
        proxy.metric("tidegate_node_up", &["role=\"replica\""]) > 1.5
    });
    proxy
}

/// The flags for faults on every replica.
fn faults(cluster: &LocalCluster, login: Login, kinds: &str) -> Vec<String> {
    let urls = cluster.replicas().iter().map(|replica| replica.url(login));
    let flags = urls.flat_map(|url| ["--replica".to_owned(), url]);
    flags.chain(["--faults".to_owned(), kinds.to_owned()]).collect()
}

fn schemas(cluster: &LocalCluster) -> String {
    cluster.primary().psql("select nspname from pg_namespace where nspname ~ 'verify'").unwrap()
}

/// Holds that nothing is left of a run: no schema, no pause, no delay.
fn nothing_is_left(cluster: &LocalCluster) {
    assert_eq!(schemas(cluster), "");
    for replica in cluster.replicas() {
        assert_eq!(replica.psql("select pg_get_wal_replay_pause_state()").unwrap().trim(), "not paused");
        let delay = "select pg_reload_conf(); select setting from pg_file_settings where name = 'recovery_min_apply_delay'";
        assert_eq!(replica.psql(delay).unwrap().trim(), "t");
    }
}

#[test]
fn nothing_is_found_where_nothing_is_stale() {
    let cluster = cluster();
    let proxy = proxy(&cluster, "");
    let url = proxy.url();
    let faults = faults(&cluster, Login::Superuser, "pause,delay,terminate");
    let mut args = vec!["--url", &url, "--seconds", "7", "--actors", "16", "--think", "2"];
    args.extend(faults.iter().map(String::as_str));
    let (code, text) = run(&args);
    println!("{text}");
    assert_eq!(code, Some(0), "{text}");
    assert!(number(&text, "reads checked: ") > 2_000, "{text}");
    assert!(number(&text, "faults: ") > 1, "{text}");
    assert!(number(&text, "served by replicas: ") > 0, "{text}");
    nothing_is_left(&cluster);
}

#[test]
fn stale_reads_are_found() {
    let cluster = cluster();
    cluster.replicas().iter().for_each(|r| r.set_apply_delay(Duration::from_millis(200)).unwrap());
    let proxy = proxy(&cluster, "tidegate_consistency=eventual");
    let url = proxy.url();
    let (code, text) = run(&["--url", &url, "--seconds", "3", "--actors", "8"]);
    println!("{text}");
    assert_eq!(code, Some(1), "{text}");
    assert!(number(&text, "reads with violations: ") > 10, "{text}");
    assert!(text.contains(" × missed an acknowledged write, for example:\n"), "{text}");
    assert!(text.contains("      to: replica 127.0.0.1:"), "the node is named: {text}");

    // What the same proxy does is right where nothing more was promised, and its age is told.
    let (code, text) = run(&["--url", &url, "--seconds", "3", "--actors", "8", "--level", "eventual"]);
    println!("{text}");
    assert_eq!(code, Some(0), "{text}");
    assert!(number(&text, "ms, max ") >= 150, "{text}");
    assert_eq!(schemas(&cluster), "");
}

#[test]
fn two_proxies_before_one_cluster_are_as_good_as_one() {
    let cluster = cluster();
    let proxies = [proxy(&cluster, ""), proxy(&cluster, "")];
    let urls = proxies.each_ref().map(RunningProxy::url);
    let faults = faults(&cluster, Login::Superuser, "pause,delay");
    for level in ["session", "strong"] {
        let mut args =
            vec!["--url", &urls[0], "--url", &urls[1], "--seconds", "5", "--actors", "16", "--level", level];
        args.extend(faults.iter().map(String::as_str));
        let (code, text) = run(&args);
        println!("{text}");
        assert_eq!(code, Some(0), "{text}");
        assert!(number(&text, "reads checked: ") > 1_000, "{text}");
        assert!(number(&text, ", token ") > 10, "{text}");
        assert!(number(&text, "served by replicas: ") > 0, "{text}");
    }
    nothing_is_left(&cluster);
}

#[test]
fn any_proxy_will_do_and_tokens_lead_from_one_to_another() {
    let cluster = cluster();
    let primary = cluster.primary().url(Login::App);
    // A server answers SHOW with a setting of any name that the connection was begun with.
    let token = format!("{primary}?options=-c%20tidegate.token%3D7/1/0&connection_limit=3");
    let (code, text) = run(&["--url", &token, "--url", &token, "--seconds", "2", "--level", "strong"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(number(&text, ", token ") > 10, "{text}");
    assert!(text.contains("reads served by replicas: unknown"), "{text}");

    let (code, text) = run(&["--url", &primary, "--paths", "token"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no path is left to verify"), "{text}");
    assert_eq!(schemas(&cluster), "");
}

#[test]
fn faults_that_are_not_permitted_are_told_and_the_rest_goes_on() {
    let cluster = cluster();
    let proxy = proxy(&cluster, "");
    let url = proxy.url();
    let faults = faults(&cluster, Login::App, "pause,delay");
    let mut args = vec!["--url", &url, "--seconds", "4", "--actors", "8"];
    args.extend(faults.iter().map(String::as_str));
    let (code, text) = run(&args);
    assert_eq!(code, Some(0), "{text}");
    for kind in ["pause", "delay"] {
        for replica in cluster.replicas() {
            let told =
                format!("not possible: {kind} on postgres://app:…@127.0.0.1:{}/app: perm", replica.port());
            assert!(text.contains(&told), "{told}: {text}");
        }
    }
    nothing_is_left(&cluster);
}

/// A run that a test stops. It is killed when this is dropped.
struct Run(Option<Child>);

impl Drop for Run {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn ctrl_c_ends_it_cleans_up_and_shows_the_report() {
    let cluster = cluster();
    let proxy = proxy(&cluster, "");
    let url = proxy.url();
    let faults = faults(&cluster, Login::Superuser, "pause,delay");
    let mut args = vec!["--url", &url, "--seconds", "600", "--actors", "4"];
    args.extend(faults.iter().map(String::as_str));
    let mut command = verify(&args);
    let mut run = Run(Some(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()));
    let delay = "select setting from pg_settings where name = 'recovery_min_apply_delay'";
    support::wait_until("a fault is made", || cluster.replica(1).psql(delay).unwrap().trim() != "0");
    support::wait_until("replay is paused", || {
        let state =
            |replica: &tidegate::local::LocalNode| replica.psql("select pg_get_wal_replay_pause_state()");
        cluster.replicas().iter().any(|replica| state(replica).unwrap().trim() != "not paused")
    });
    assert!(schemas(&cluster).starts_with("tidegate_verify_"));
    let child = run.0.take().unwrap();
    let id = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "INT", &id]).status().unwrap().success());
    let (_, text) = told(&child.wait_with_output().unwrap());
    assert!(number(&text, "reads checked: ") > 0, "{text}");
    assert!(text.contains("\nok: ") || text.contains("\nfailed: too little was checked"), "{text}");
    nothing_is_left(&cluster);
}

#[test]
fn what_cannot_be_verified_is_told() {
    let table: [(&[&str], &str); 7] = [
        (&[], "--url"),
        (&["--url", "app:secret@pg1"], "write it as postgres://"),
        (&["--url", "postgres://app:secret@a,b/app"], "must name one host"),
        (&["--url", "postgres://app:secret@a/app", "--level", "serializable"], "bounded(500ms)"),
        (&["--url", "postgres://app:secret@a/app", "--faults", "pause"], "--replica"),
        (&["--url", "postgres://app:secret@a/app", "--writes", "0"], "1..=100"),
        (&["--url", "postgres://app:secret@a/app", "--paths", "shortest"], "cross"),
    ];
    for (args, advice) in table {
        let (code, text) = run(args);
        assert_eq!(code, Some(2), "{args:?}: {text}");
        assert!(text.contains(advice), "{args:?}: {text}");
    }
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, text) = run(&["--url", &format!("postgres://app:secret@{nobody}/app")]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("cannot connect to postgres://app:…@127.0.0.1:"), "{text}");
}
