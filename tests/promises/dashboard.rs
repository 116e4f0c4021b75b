//! The dashboard and its document: true, shown to nobody else, and harmless whatever names are in it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::support::browser::Browser;
use super::support::metrics::get;
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::Raw;
use super::support::{PATIENCE, wait_until};
use super::{own_with_facts, proxy, shared, wait_both};

/// Names the folder for pictures, if some are wanted.
const PICTURES: &str = "TIDEGATE_TEST_PICTURES";
const TOKEN: &str = "d7a0c5e9b1f3428d";

fn status(proxy: &RunningProxy) -> Value {
    let (head, body) = get(proxy.admin(), "/status");
    assert!(head.contains(" 200 ") && head.contains("application/json"), "{head}");
    serde_json::from_str(&body).unwrap()
}

fn database(proxy: &RunningProxy) -> Value {
    status(proxy)["databases"][0].clone()
}

/// The node that listens on this port.
fn node(database: &Value, port: u16) -> Value {
    let name = format!("127.0.0.1:{port}");
    let nodes = database["nodes"].as_array().unwrap();
    nodes.iter().find(|node| node["name"] == *name).unwrap().clone()
}

/// A line of server-sent events, and what its head said.
fn watch(admin: SocketAddr) -> (String, BufReader<TcpStream>) {
    let mut stream = TcpStream::connect_timeout(&admin, PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET /events HTTP/1.0\r\nHost: {admin}\r\n\r\n").as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    (head, reader)
}

fn event(reader: &mut BufReader<TcpStream>) -> Value {
    let mut line = String::new();
    while !line.starts_with("data: ") {
        line.clear();
        assert!(reader.read_line(&mut line).unwrap() > 0, "the line has ended");
    }
    serde_json::from_str(&line[6..]).unwrap()
}

/// Clients that read and write until this is dropped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<thread::JoinHandle<()>>,
}

impl Load {
    pub(super) fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let client = |writes: bool, stop: Arc<AtomicBool>| {
            move || {
                let mut raw = Raw::app(address);
                while !stop.load(Ordering::Relaxed) {
                    let sql = if writes { "update facts set n = n + 1" } else { "select n from facts" };
                    raw.query(sql);
                    // A load that leaves the machine to others.
                    thread::sleep(Duration::from_millis(if writes { 25 } else { 4 }));
                }
            }
        };
        let clients =
            [true, false, false, false].map(|writes| thread::spawn(client(writes, Arc::clone(&stop))));
        Self { stop, clients: clients.into() }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.drain(..).for_each(|client| drop(client.join()));
    }
}

#[test]
fn the_document_says_what_is() {
    let cluster = own_with_facts();
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    let mut raw = Raw::app(proxy.address());
    let before = database(&proxy);
    assert!(before["clients"]["now"].as_u64() >= Some(1), "{before}");
    for _ in 0..20 {
        raw.query("select n from facts /* tidegate: consistency=eventual */").ok();
    }
    raw.query("listen something").ok();
    let ran = |database: &Value| database["statements"]["replica"].as_u64().unwrap();
    // A document is shown for a moment.
    wait_until("what has run is shown", || ran(&database(&proxy)) == ran(&before) + 20);
    let now = database(&proxy);
    let shapes = now["shapes"].as_array().unwrap();
    let shape = shapes.iter().find(|shape| shape["text"].as_str().unwrap().contains("n from facts")).unwrap();
    assert!(shape["calls"].as_u64() >= Some(20) && shape["mean_ms"].as_f64() > Some(0.0), "{shape}");
    assert_eq!(now["pins"][0]["reason"], "listen");
    let primary = node(&now, cluster.primary().port());
    assert_eq!((&primary["role"], &primary["state"]), (&"primary".into(), &"up".into()));
    assert_eq!(now["primary"], primary["name"]);
    let paused = cluster.replica(0);
    assert_eq!(node(&now, paused.port())["gate"], "open");
    // What a replica lacks is seen, and so is that it has it again.
    paused.pause_replay().unwrap();
    raw.query("unlisten *").ok();
    raw.query("update facts set n = n + 1").ok();
    wait_until("its gate is closed", || node(&database(&proxy), paused.port())["gate"] == "closed");
    let shown = node(&database(&proxy), paused.port());
    assert!(
        shown["staleness_ms"].as_f64() >= Some(1_000.0) && shown["level"].as_f64() < Some(0.5),
        "{shown}"
    );
    assert!(shown["lag_bytes"].as_u64() > Some(0), "{shown}");
    paused.resume_replay().unwrap();
    wait_until("its gate is open", || node(&database(&proxy), paused.port())["gate"] == "open");
    // A failover is an event.
    cluster.primary().kill().unwrap();
    cluster.replica(1).promote().unwrap();
    let failover = |database: &Value| {
        let events = database["events"].as_array().unwrap();
        let of = |what: &str| events.iter().find(|event| event["event"] == what).cloned();
        Some((of("failover")?, of("primary_lost")?))
    };
    wait_until("the failover is shown", || failover(&database(&proxy)).is_some());
    let (failover, lost) = failover(&database(&proxy)).unwrap();
    assert_eq!(failover["node"], format!("127.0.0.1:{}", cluster.replica(1).port()));
    assert_eq!(lost["node"], format!("127.0.0.1:{}", cluster.primary().port()));
    assert!(failover["detail"].as_str().unwrap().starts_with("timeline 2"), "{failover}");
}

#[test]
fn who_watches_gets_a_document_each_second() {
    let proxy = proxy("");
    let (head, mut line) = watch(proxy.admin());
    assert!(head.contains("text/event-stream") && head.contains("no-store"), "{head}");
    assert_eq!(event(&mut line)["format"], 1);
    let second = event(&mut line);
    let interval = second["interval_seconds"].as_f64().unwrap();
    assert!(interval > 0.5, "{interval}");
    assert!(second["databases"][0]["statements"]["primary_per_second"].is_number(), "{second}");
    // So many, and no more; whoever leaves makes room.
    let others: Vec<_> = (0..31).map(|_| watch(proxy.admin())).collect();
    let (head, body) = get(proxy.admin(), "/events");
    assert!(head.contains(" 503 ") && body.contains("/status"), "{head} {body}");
    drop(others);
    wait_until("there is room again", || {
        let mut stream = TcpStream::connect_timeout(&proxy.admin(), PATIENCE).unwrap();
        stream.write_all(b"GET /events HTTP/1.0\r\n\r\n").unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).is_ok() && first.ends_with(b"200")
    });
    assert!(get(proxy.admin(), "/status").0.contains(" 200 "));
}

#[test]
fn other_credentials_end_what_is_watched() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let proxy = Tidegate::before(shared()).env("TIDEGATE_ADMIN_TOKEN_FILE", file.to_str().unwrap()).start();
    for path in ["/status", "/events"] {
        assert!(get(proxy.admin(), path).0.contains(" 401 "), "{path}");
    }
    let mut stream = TcpStream::connect_timeout(&proxy.admin(), PATIENCE).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET /events HTTP/1.0\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut line = BufReader::new(stream);
    event(&mut line);
    std::fs::write(&file, "another-token-0123456789").unwrap();
    proxy.signal("HUP");
    let mut rest = Vec::new();
    line.read_to_end(&mut rest).unwrap();
}

#[test]
fn the_page_comes_from_here_and_runs_nothing_else() {
    let proxy = proxy("");
    for (path, kind) in [
        ("/", "text/html"),
        ("/dashboard.css", "text/css"),
        ("/dashboard.js", "text/javascript"),
        ("/dashboard.svg", "image/svg+xml"),
    ] {
        let (head, body) = get(proxy.admin(), path);
        let head = head.to_lowercase();
        assert!(head.contains(" 200 ") && head.contains(kind), "{path}: {head}");
        assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self';"), "{head}");
        assert!(!head.contains("unsafe"), "{head}");
        let elsewhere = body.replace("http://www.w3.org/2000/svg", "");
        assert!(!elsewhere.contains("://"), "{path} mentions another place");
    }
}

/// What a row of the page says in figures.
fn figure(browser: &mut Browser, port: u16, term: &str) -> String {
    let card = format!(
        "[...document.querySelectorAll('.node')].find((card) => card.dataset.node.endsWith(':{port}'))"
    );
    let row = format!("[...{card}.querySelectorAll('dt')].find((dt) => dt.textContent === '{term}')");
    browser.value(&format!("{row}.nextElementSibling.textContent")).as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_page_shows_it_and_says_when_the_proxy_is_gone() {
    let Some(mut browser) = Browser::start() else { return };
    let cluster = own_with_facts();
    let proxy = Tidegate::before(&cluster).start();
    wait_both(&proxy);
    let load = Load::start(proxy.address());
    let mut listener = Raw::app(proxy.address());
    listener.query("listen something").ok();
    cluster.replica(1).pause_replay().unwrap();
    browser.looks(1440, 900, "light");
    browser.open(&format!("http://{}/", proxy.admin()));
    let (open, paused) = (cluster.replica(0).port(), cluster.replica(1).port());
    browser.wait("document.querySelectorAll('.node').length === 3");
    let card = format!("document.querySelector('.node[data-node$=\":{paused}\"]').innerText");
    browser.wait(&format!("{card}.includes('Gate closed')"));
    browser.wait("Number.parseFloat(document.querySelector('#share').textContent) > 50");
    browser.wait("document.querySelector('#pins').innerText.includes('listen')");
    browser.wait("document.querySelector('#kept').innerText.includes('it writes')");
    assert_ne!(figure(&mut browser, open, "reads/s"), "0");
    assert!(figure(&mut browser, paused, "behind by").ends_with('s'));
    if std::env::var_os(PICTURES).is_some() {
        // Something to look at in the curves.
        browser.wait("past.get(chosen).length >= 15");
    }
    pictures(&mut browser, "load");
    for (width, height) in [(1440, 900), (375, 800)] {
        browser.looks(width, height, "light");
        browser.wait(&format!("innerWidth === {width}"));
        let overflow = browser.value("document.documentElement.scrollWidth - innerWidth");
        assert!(overflow.as_i64() <= Some(0), "at {width} the page is too wide by {overflow}");
    }
    // Nothing was refused by the policy of the page, and no script has failed.
    assert!(browser.said.is_empty(), "{:?}", browser.said);
    drop((load, listener, proxy));
    browser.wait("document.querySelector('#notices').innerText.includes('What is shown is')");
    browser.wait("document.querySelector('#link').innerText.includes('connection lost')");
    browser.looks(1440, 900, "light");
    pictures(&mut browser, "lost");
}

#[test]
fn the_page_asks_for_the_token_and_keeps_it_to_itself() {
    let Some(mut browser) = Browser::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, TOKEN).unwrap();
    let proxy = Tidegate::before(shared()).env("TIDEGATE_ADMIN_TOKEN_FILE", file.to_str().unwrap()).start();
    browser.looks(375, 800, "dark");
    browser.open(&format!("http://{}/", proxy.admin()));
    browser.wait("document.activeElement.id === 'token'");
    assert!(!browser.text().contains("127.0.0.1"), "nothing is shown before");
    browser.types("not-the-token-0123");
    browser.presses("Enter", 13);
    browser.wait("document.querySelector('#login-error').innerText.includes('not the token')");
    pictures(&mut browser, "login");
    browser.types(TOKEN);
    browser.presses("Enter", 13);
    browser.wait("document.querySelectorAll('.node').length === 3");
    let kept = browser
        .value("JSON.stringify([location.href, {...localStorage}, {...sessionStorage}, document.cookie])");
    assert!(!kept.to_string().contains(TOKEN), "{kept}");
    // The first key that is pressed leads to what matters, and it can be seen where it is.
    browser.value("document.activeElement.blur()");
    browser.presses("Tab", 9);
    browser.wait("document.activeElement.className === 'skip' && document.activeElement.getBoundingClientRect().left >= 0");
}

#[test]
fn attack_of_names_that_are_markup() {
    let Some(mut browser) = Browser::start() else { return };
    let name = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tidegate.toml");
    let node = format!("127.0.0.1:{}", shared().primary().port());
    let databases = [name, "second"].map(|name| {
        let name = serde_json::to_string(name).unwrap();
        format!("[database.{name}]\nnodes = ['{node}']\ndbname = 'app'\nuser.app.password = 'secret'\n")
    });
    let text = format!("listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\n{}", databases.concat());
    std::fs::write(&file, text).unwrap();
    let proxy = Tidegate::by_file(&file).start();
    browser.open(&format!("http://{}/", proxy.admin()));
    browser.wait("document.querySelectorAll('#databases button').length === 2");
    browser.value("[...document.querySelectorAll('#databases button')].find((b) => b.textContent.includes('script')).click()");
    browser.wait("document.title.includes('<script>')");
    assert!(browser.text().contains(name), "it is shown as it is");
    assert_eq!(
        browser.value("document.querySelectorAll('#databases script, #databases img, main script').length"),
        0
    );
    assert_ne!(browser.value("document.title"), "owned");
    assert!(browser.said.is_empty(), "{:?}", browser.said);
}

/// Pictures of the page in the folder that [`PICTURES`] names, for people to look at.
fn pictures(browser: &mut Browser, name: &str) {
    let Some(folder) = std::env::var_os(PICTURES) else { return };
    for (width, scheme) in [(1440, "light"), (1440, "dark"), (375, "light"), (375, "dark")] {
        browser.looks(width, 900, scheme);
        browser.wait(&format!("innerWidth === {width}"));
        browser.picture(&Path::new(&folder).join(format!("{name}-{width}-{scheme}.png")));
    }
}
