//! Who is served when there are not enough connections for all, and when.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Raw, V3_0};
use super::{role, schema, shared, support, wait_open};

const PRIMARY: &str = "/* tidegate: intent=primary */";

/// A proxy for the user `app` and these roles, with more settings of the database.
fn shared_by(roles: &[&str], settings: &str) -> RunningProxy {
    let user = |role: &&str| format!("[database.app.user.{role}]\npassword = 'secret'\n");
    let users = roles.iter().map(user).collect::<Vec<_>>().concat();
    let text = format!("[database.app]\nclient_auth = 'trust'\n{settings}\n{users}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    std::fs::write(&file, text).unwrap();
    let proxy = Tidegate::before(shared()).args(["--config", file.to_str().unwrap()]).start();
    wait_open(&proxy);
    proxy
}

fn client(proxy: &RunningProxy, role: &str) -> Raw {
    Raw::log_in(proxy.address(), V3_0, &[("user", role), ("database", "app")], "secret").unwrap()
}

fn waiting(proxy: &RunningProxy) -> f64 {
    proxy.metric("tidegate_pool_waiting", &[])
}

/// How many connections the primary has under this name.
fn named(name: &str) -> usize {
    let sql = format!("select count(*) from pg_stat_activity where application_name = '{name}'");
    shared().primary().psql(&sql).unwrap().trim().parse().unwrap()
}

#[test]
fn within_a_pool_who_comes_first_is_served_first() {
    for settings in ["connection_limit = 1", "database_connection_limit = 1"] {
        let schema = schema();
        let proxy = shared_by(&[], settings);
        let mut holder = Raw::app(proxy.address());
        holder.ok(&format!("create sequence {schema}.turn"));
        holder.ok("begin");
        let clients: Vec<_> = (0..12_u32).map(|_| Raw::app(proxy.address())).collect();
        thread::scope(|scope| {
            let mut served = Vec::new();
            for (i, mut raw) in (1_u32..).zip(clients) {
                let sql = format!("select nextval('{schema}.turn')");
                served.push(scope.spawn(move || raw.ok(&sql).value()));
                support::wait_until("it stands in line", || waiting(&proxy) >= f64::from(i));
            }
            holder.ok("commit");
            for (i, served) in (1..).zip(served) {
                assert_eq!(served.join().unwrap(), i.to_string(), "{settings}");
            }
        });
    }
}

#[test]
fn an_idle_connection_makes_room_for_another_user() {
    let (a, b) = (role(), role());
    let name = format!("shares_{:08x}", rand::random::<u32>());
    let settings = format!("database_connection_limit = 2\napplication_name = '{name}'");
    let proxy = shared_by(&[&a, &b], &settings);
    let mut of_a: Vec<_> = (0..2).map(|_| client(&proxy, &a)).collect();
    of_a.iter_mut().for_each(|raw| drop(raw.ok("begin")));
    of_a.iter_mut().for_each(|raw| drop(raw.ok("commit")));
    let begun = Instant::now();
    let mut of_b = client(&proxy, &b);
    of_b.ok("begin");
    of_b.ok("select 1");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let pool = format!("pool=\"{a}@127.0.0.1:{}/app\"", shared().primary().port());
    assert!(proxy.metric("tidegate_server_connections_closed_total", &["cause=\"room\"", &pool]) >= 1.0);
    // The user that had to give way goes on with the one it has left, and gets no other.
    of_a[0].ok("begin");
    assert_eq!(named(&name), 2);
    thread::scope(|scope| {
        let last = &mut of_a[1];
        let waits = scope.spawn(|| last.ok("begin").status());
        support::wait_until("it waits", || waiting(&proxy) >= 1.0);
        of_b.ok("commit");
        assert_eq!(waits.join().unwrap(), 'T');
    });
    support::wait_until("there are no more than allowed", || named(&name) == 2);
}

#[test]
fn who_waits_in_vain_is_told_that_it_is_the_database() {
    let (a, b) = (role(), role());
    let settings = "database_connection_limit = 2\nconnection_limit = 2\npool_timeout = 1";
    let proxy = shared_by(&[&a, &b], settings);
    let mut of_b = client(&proxy, &b);
    let mut of_a: Vec<_> = (0..3).map(|_| client(&proxy, &a)).collect();
    of_a[..2].iter_mut().for_each(|raw| drop(raw.ok("begin")));
    let begun = Instant::now();
    let (code, text) = of_b.query("begin").error().unwrap();
    assert_eq!(code, "53300");
    for word in ["database_connection_limit=2", "pool_timeout=1s", b.as_str()] {
        assert!(text.contains(word), "{word} is not in {text}");
    }
    assert!(begun.elapsed() >= Duration::from_millis(900), "{:?}", begun.elapsed());
    // The one that has all of them is told that these are all it may have.
    let (code, text) = of_a[2].query("begin").error().unwrap();
    assert_eq!(code, "53300");
    assert!(text.contains("(connection_limit=2"), "{text}");
    of_a[0].ok("commit");
    of_b.ok("begin");
    of_b.ok("commit");
}

#[test]
fn a_crowd_of_one_user_does_not_bar_another() {
    let (crowd, single) = (role(), role());
    let proxy = shared_by(&[&crowd, &single], "database_connection_limit = 2\nconnection_limit = 50");
    let mut one = client(&proxy, &single);
    let clients: Vec<_> = (0..150).map(|_| client(&proxy, &crowd)).collect();
    let (served, done) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut passed = Vec::new();
    thread::scope(|scope| {
        for mut raw in clients {
            let (served, done) = (&served, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    raw.ok(&format!("select pg_sleep(0.01) {PRIMARY}"));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        support::wait_until("most of them wait", || waiting(&proxy) >= 140.0);
        for _ in 0..10 {
            let before = served.load(Ordering::Relaxed);
            one.ok(&format!("select pg_sleep(0.001) {PRIMARY}"));
            passed.push(served.load(Ordering::Relaxed) - before);
        }
        done.store(true, Ordering::Relaxed);
    });
    println!("while one client waited, so many of the crowd were served: {passed:?}");
    assert!(passed.iter().all(|passed| *passed <= 30), "{passed:?}");
}

#[test]
fn many_users_never_have_more_than_allowed() {
    let roles = [role(), role(), role()];
    let name = format!("shares_{:08x}", rand::random::<u32>());
    let settings = format!(
        "database_connection_limit = 4\napplication_name = '{name}'\nmin_connections = 1\nserver_lifetime = '700ms'"
    );
    let proxy = shared_by(&[&roles[0], &roles[1], &roles[2]], &settings);
    let until = Instant::now() + Duration::from_secs(4);
    let clients: Vec<_> = (0..12).map(|i| (i, client(&proxy, &roles[i % 3]))).collect();
    let mut most = 0;
    thread::scope(|scope| {
        for (i, mut raw) in clients {
            scope.spawn(move || {
                let mut count = 0;
                while Instant::now() < until {
                    raw.ok(&format!("begin {PRIMARY}"));
                    raw.ok("select pg_sleep(0.002)");
                    raw.ok("commit");
                    count += 1;
                }
                assert!(count > 5, "client {i} was served {count} times");
            });
        }
        while Instant::now() < until {
            most = most.max(named(&name));
        }
    });
    println!("at most {most} connections were seen");
    // A connection that was closed takes the server a moment to end.
    assert!((4..=7).contains(&most), "{most}");
    support::wait_until("no more are left than allowed", || (1..=4).contains(&named(&name)));
    assert!(!proxy.stderr().contains("is exceeded"), "{}", proxy.stderr());
}

/// Their turns are counted, not the time: how fast the machine is does not matter.
#[test]
fn two_hundred_clients_of_twenty_connections_are_served_alike() {
    const CLIENTS: usize = 200;
    let proxy = shared_by(&[], "connection_limit = 20");
    let clients: Vec<_> = (0..CLIENTS).map(|_| Raw::app(proxy.address())).collect();
    let (turns, together) = (AtomicUsize::new(40 * CLIENTS), Barrier::new(CLIENTS));
    let mut served: Vec<usize> = Vec::new();
    thread::scope(|scope| {
        let threads: Vec<_> = clients
            .into_iter()
            .map(|mut raw| {
                let (turns, together) = (&turns, &together);
                scope.spawn(move || {
                    let mut served = 0;
                    together.wait();
                    while turns
                        .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                        .is_ok()
                    {
                        raw.ok(&format!("select pg_sleep(0.005) {PRIMARY}"));
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        served.extend(threads.into_iter().map(|thread| thread.join().unwrap()));
    });
    let (least, most) = (*served.iter().min().unwrap(), *served.iter().max().unwrap());
    println!("served {least} to {most} times");
    assert!(most * 2 <= least * 3, "{served:?}");
}
