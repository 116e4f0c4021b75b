//! A new process takes the place of one that runs, and no client notices.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tidegate::local::Login;
use tokio_postgres::{Client, Config, NoTls};

use super::console::console;
use super::support::proxy::{RunningProxy, Tidegate, is_alive, signal};
use super::support::raw::{Raw, query};
use super::{block_on, shared, support, wait_both};

const PORT: &str = "6432";

fn start(folder: &Path) -> RunningProxy {
    let address = format!("{}:{PORT}", folder.display());
    Tidegate::before(shared()).args(["--listen", &address, "--workers", "2", "--log", "info"]).start()
}

/// Replaces the process `pid`; returns the number of the new one.
fn upgrade(proxy: &mut RunningProxy, pid: u32) -> u32 {
    signal(pid, "USR2");
    proxy.wait_successor()
}

async fn connect(config: &Config) -> Client {
    let (client, connection) = config.connect(NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// What goes on meanwhile.
struct Load {
    schema: String,
    connected: AtomicU64,
    knocked: AtomicU64,
    transactions: AtomicU64,
    is_over: AtomicBool,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.is_over.load(Ordering::Relaxed)
    }

    /// Connects, writes and reads what it wrote, again and again.
    async fn come_and_go(self: Arc<Self>, config: Config, id: i32) {
        let Self { schema, .. } = &*self;
        let mut written = 0_i32;
        while self.goes_on() {
            let client = connect(&config).await;
            written += 1;
            client
                .execute(&format!("update {schema}.t set n = $1 where id = $2"), &[&written, &id])
                .await
                .unwrap();
            drop(client);
            let client = connect(&config).await;
            self.see(&client, id, written).await;
            self.connected.fetch_add(2, Ordering::Relaxed);
        }
    }

    /// Stays connected and runs transactions; what it wrote, whoever connects anew must see.
    async fn stay(self: Arc<Self>, config: Config, id: i32) {
        let Self { schema, .. } = &*self;
        let client = connect(&config).await;
        let mut written = 0_i32;
        while self.goes_on() {
            written += 1;
            client.batch_execute("begin").await.unwrap();
            client
                .execute(&format!("update {schema}.t set n = $1 where id = $2"), &[&written, &id])
                .await
                .unwrap();
            client.batch_execute("commit").await.unwrap();
            let other = connect(&config).await;
            self.see(&other, id, written).await;
            // And the other way round.
            written += 1;
            other
                .execute(&format!("update {schema}.t set n = $1 where id = $2"), &[&written, &id])
                .await
                .unwrap();
            self.see(&client, id, written).await;
            self.transactions.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Connects and asks whether there is encryption, as fast as that goes: somebody always waits to be accepted.
    fn knock(&self, address: SocketAddr) {
        while self.goes_on() {
            let mut knocking: Vec<_> = (0..8).map(|_| TcpStream::connect(address).unwrap()).collect();
            for stream in &mut knocking {
                stream.write_all(&[0, 0, 0, 8, 4, 210, 22, 47]).unwrap();
                let mut answer = [0];
                stream.read_exact(&mut answer).expect("who has connected is accepted");
                assert_eq!(answer, *b"N");
            }
            self.knocked.fetch_add(8, Ordering::Relaxed);
        }
    }

    async fn see(&self, client: &Client, id: i32, written: i32) {
        let sql = format!("select n from {}.t where id = $1", self.schema);
        assert_eq!(
            client.query_one(&sql, &[&id]).await.unwrap().get::<_, i32>(0),
            written,
            "a read is stale"
        );
    }
}

#[test]
fn no_client_notices() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut proxy = start(folder);
    wait_both(&proxy);
    let schema = super::schema();
    let fill = format!(
        "create table {schema}.t (id int primary key, n int); insert into {schema}.t select i, 0 from generate_series(1, 12) i; grant all on {schema}.t to app"
    );
    shared().primary().psql(&fill).unwrap();
    let load = Arc::new(Load {
        schema,
        connected: AtomicU64::new(0),
        knocked: AtomicU64::new(0),
        transactions: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    });
    let mut app = Config::new();
    app.user("app").password("secret").dbname("app");
    let (mut tcp, mut unix) = (app.clone(), app);
    tcp.host("127.0.0.1").port(proxy.address().port());
    unix.host_path(folder).port(6432);
    let first = proxy.pid();
    let address = proxy.address();
    let knocking: Vec<_> = (0..4)
        .map(|_| Arc::clone(&load))
        .map(|load| std::thread::spawn(move || load.knock(address)))
        .collect();
    // This thread may block: the clients run on others.
    let second = block_on(async {
        let mut clients = Vec::new();
        for id in 0..4 {
            clients.push(tokio::spawn(Arc::clone(&load).come_and_go(tcp.clone(), id + 1)));
            clients.push(tokio::spawn(Arc::clone(&load).come_and_go(unix.clone(), id + 5)));
            clients.push(tokio::spawn(Arc::clone(&load).stay(tcp.clone(), id + 9)));
        }
        let more = async |what: &str| {
            let (connected, transactions) =
                (load.connected.load(Ordering::Relaxed), load.transactions.load(Ordering::Relaxed));
            let deadline = std::time::Instant::now() + support::PATIENCE;
            while load.connected.load(Ordering::Relaxed) < connected + 200
                || load.transactions.load(Ordering::Relaxed) < transactions + 40
            {
                assert!(std::time::Instant::now() < deadline, "the load stands still {what}");
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        more("at first").await;
        let second = upgrade(&mut proxy, first);
        more("after the upgrade").await;
        assert!(is_alive(first), "it serves those who stay");
        // Two at a time are enough.
        signal(second, "USR2");
        support::wait_until("a third process is refused", || {
            proxy.stderr().contains("the process before this one still serves clients")
        });
        more("beside each other").await;
        load.is_over.store(true, Ordering::Relaxed);
        knocking.into_iter().for_each(|thread| thread.join().unwrap());
        for client in clients {
            client.await.unwrap();
        }
        second
    });
    assert_eq!(proxy.wait_exit().code(), Some(0), "it ends when nobody is left");
    support::wait_until("the second process knows", || {
        proxy.stderr().contains("that was here before has ended")
    });
    assert_eq!(std::fs::read_to_string(folder.join(".s.PGSQL.6432.lock")).unwrap(), format!("{second}\n"));
    let third = upgrade(&mut proxy, second);
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1");
    block_on(async {
        assert_eq!(connect(&unix).await.query_one("select 1", &[]).await.unwrap().get::<_, i32>(0), 1);
    });
    support::wait_until("the second process has ended", || !is_alive(second));
    assert!(support::metrics::get(proxy.admin(), "/readyz").0.contains(" 200 "));
    signal(third, "TERM");
    support::wait_until("the third process has ended", || !is_alive(third));
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "nothing is left");
    println!(
        "connected {:?}, knocked {:?}, transactions {:?}",
        load.connected, load.knocked, load.transactions
    );
}

/// A proxy whose settings are in a file, which can be changed.
fn with_file(file: &Path, settings: &str) -> RunningProxy {
    write(file, settings);
    Tidegate::bare().args(["--log", "info", "--config", file.to_str().unwrap()]).start()
}

fn write(file: &Path, settings: &str) {
    let url = shared().url(Login::App);
    std::fs::write(file, format!("{settings}\n[database.app]\nurl = \"{url}\"\n")).unwrap();
}

#[test]
fn the_new_process_has_settings_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let (file, sockets) = (folder.path().join("tidegate.toml"), folder.path().join("sockets"));
    std::fs::create_dir(&sockets).unwrap();
    let names = || std::fs::read_dir(&sockets).unwrap().count();
    let listen = |more: &str| format!("listen = [\"127.0.0.1:0\"{more}]\nadmin = \"127.0.0.1:0\"\n");
    let both = listen(&format!(", \"{}:6432\"", sockets.display()));
    let by_file = |settings: &str| write(&file, settings);
    by_file(&format!("{both}workers = 3"));
    let mut proxy = Tidegate::by_file(&file).start();
    let mut pid = proxy.pid();
    // Fewer workers than sockets, the same, and more.
    for (settings, count) in [
        (format!("{}workers = 1", listen("")), 0),
        (format!("{both}workers = 2"), 2),
        (format!("{both}workers = 5"), 2),
    ] {
        by_file(&settings);
        let next = upgrade(&mut proxy, pid);
        support::wait_until("the process before has ended", || !is_alive(pid));
        assert_eq!(names(), count, "{settings}");
        (0..20).for_each(|_| assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1"));
        pid = next;
    }
    signal(pid, "TERM");
    support::wait_until("the last one has ended", || !is_alive(pid));
    assert_eq!(names(), 0);
}

#[test]
fn a_new_process_ends_when_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    let mut proxy = with_file(&file, "");
    let nowhere = "postgres://app:secret@127.0.0.1:1/app?tidegate_startup_timeout=3600";
    std::fs::write(&file, format!("[database.app]\nurl = \"{nowhere}\"\n")).unwrap();
    proxy.signal("USR2");
    let mut pid = None;
    support::wait_until("a new process is started", || {
        let log = proxy.stderr();
        pid = log
            .split_once("the place of this one pid=")
            .and_then(|(_, rest)| rest.split_once('\n').and_then(|(pid, _)| pid.trim().parse().ok()));
        pid.is_some()
    });
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1");
    proxy.signal("TERM");
    assert_eq!(proxy.wait_exit().code(), Some(0));
    support::wait_until("the new process has ended", || !is_alive(pid.unwrap()));
    assert!(proxy.stderr().contains("does not hand over its place"), "{}", proxy.stderr());
}

#[test]
fn a_new_process_that_fails_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    let proxy = with_file(&file, "");
    let mut client = Raw::app(proxy.address());
    std::fs::write(&file, "listen = 1").unwrap();
    proxy.signal("USR2");
    support::wait_until("it says so", || {
        proxy.stderr().contains("no new process takes the place of this one")
    });
    let log = proxy.stderr();
    assert!(log.contains("has ended (exit status: 2)"), "{log}");
    client.ok("select 1");
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1");
    assert!(support::metrics::get(proxy.admin(), "/readyz").0.contains(" 200 "));
}

#[test]
fn cancel_requests_find_the_process_before() {
    let folder = tempfile::tempdir().unwrap();
    let mut proxy = start(folder.path());
    let mut client = Raw::app(proxy.address());
    upgrade_of(&mut proxy);
    client.send(&query("select pg_sleep(60) /* tidegate: intent=primary */"));
    let (pid, secret) = (client.pid, client.secret.clone());
    // Until the statement has begun, a request does nothing.
    let (asked, answered) = (Arc::new(AtomicBool::new(false)), proxy.address());
    let over = Arc::clone(&asked);
    let asking = std::thread::spawn(move || {
        support::wait_until("it is cancelled", || {
            Raw::cancel(answered, pid, &secret);
            over.load(Ordering::Relaxed)
        });
    });
    let answer = client.answer();
    asked.store(true, Ordering::Relaxed);
    asking.join().unwrap();
    assert_eq!(answer.code(), "57014");
}

fn upgrade_of(proxy: &mut RunningProxy) -> u32 {
    let pid = proxy.pid();
    upgrade(proxy, pid)
}

#[test]
fn who_stays_too_long_is_asked_to_come_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut proxy = with_file(&folder.path().join("tidegate.toml"), "upgrade_timeout = \"300ms\"");
    let mut idle = Raw::app(proxy.address());
    upgrade_of(&mut proxy);
    let told = idle.until_closed();
    assert_eq!(told.last().unwrap().field(b'C').as_deref(), Some("57P01"), "{told:?}");
    assert_eq!(proxy.wait_exit().code(), Some(0));
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1");
}

/// Who is at its console is told where to turn, and can end it.
#[test]
fn the_process_before_obeys_no_order_but_to_stop() {
    let folder = tempfile::tempdir().unwrap();
    let mut proxy = with_file(&folder.path().join("tidegate.toml"), "console_users = [\"app\"]");
    let mut ops = console(&proxy);
    let mut busy = Raw::app(proxy.address());
    busy.ok("begin");
    upgrade_of(&mut proxy);
    let told = ops.query("reload").error().unwrap();
    let expected = "a new process has taken the place of this one: connect again";
    assert_eq!((&*told.0, &*told.1), ("55000", expected));
    busy.ok("select 1");
    ops.send(&query("shutdown now"));
    assert_eq!(busy.until_closed().last().unwrap().field(b'C').as_deref(), Some("57P01"));
    assert_eq!(proxy.wait_exit().code(), Some(0));
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1");
}
