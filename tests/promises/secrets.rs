//! No secret comes out: not in logs at any level, errors, answers, metrics or reports; and in memory as seldom as can be.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use tidegate::cluster::{Clock, Control};
use tidegate::config::{Given, Secret, Sources, load};
use tidegate::session::Proxy;

use super::support::metrics::get_with;
use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Message, Raw, V3_0, startup};
use super::support::wait_until;
use super::{role, shared};

/// Texts that must not come out, with what they are.
#[derive(Default)]
struct Hidden(Vec<(String, String)>);

impl Hidden {
    /// A text of its own that does not turn up by chance.
    fn make(&mut self, what: &str) -> String {
        let secret = format!("hush{:032x}", rand::random::<u128>());
        self.0.push((what.to_owned(), secret.clone()));
        let encoded = BASE64.encode(format!(":{secret}"));
        self.0.push((format!("{what}, encoded"), encoded));
        secret
    }

    fn add(&mut self, what: String, bytes: &[u8]) {
        let hex = bytes.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        self.0.push((format!("{what} in hexadecimal"), hex));
        self.0.push((what, BASE64.encode(bytes)));
    }

    /// What a password becomes: PostgreSQL's md5, and the keys of SCRAM with the salt that a login has shown.
    fn derive(&mut self, who: &str, user: &str, password: &str, salt: &[u8]) {
        use md5::Md5;
        assert!(!salt.is_empty(), "{who} has shown no salt");
        self.add(format!("md5 of {who}"), &Md5::digest(format!("{password}{user}")));
        let mac = |key: &[u8], text: &[u8]| -> [u8; 32] {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
            mac.update(text);
            mac.finalize().into_bytes().into()
        };
        let mut round = mac(password.as_bytes(), &[salt, &[0, 0, 0, 1]].concat());
        let mut salted = round;
        for _ in 1..4096 {
            round = mac(password.as_bytes(), &round);
            salted.iter_mut().zip(round).for_each(|(byte, other)| *byte ^= other);
        }
        let client = mac(&salted, b"Client Key");
        self.add(format!("salted password of {who}"), &salted);
        self.add(format!("client key of {who}"), &client);
        self.add(format!("stored key of {who}"), &Sha256::digest(client));
        self.add(format!("server key of {who}"), &mac(&salted, b"Server Key"));
    }

    #[track_caller]
    fn search(&self, place: &str, text: &str) {
        assert!(!text.is_empty(), "{place} is empty, so nothing was looked at");
        for (what, secret) in &self.0 {
            assert!(secret.len() >= 16, "{what} is too short to be looked for");
            let at = text.find(secret.as_str());
            let around = at.map(|at| text[..at].chars().rev().take(200).collect::<Vec<_>>());
            let around = around.map(|around| around.into_iter().rev().collect::<String>());
            assert!(at.is_none(), "{place} shows the {what}: {around:?}");
        }
    }
}

fn private(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// A login's messages as text, and the salt among them.
fn conversation(messages: &[Message]) -> (String, Vec<u8>) {
    let shown = |message: &Message| String::from_utf8_lossy(&message.body).into_owned();
    let texts: Vec<String> = messages.iter().map(shown).collect();
    let salt = texts.iter().find_map(|text| text.split(",s=").nth(1)?.split(',').next().map(str::to_owned));
    (texts.join("\n"), salt.map(|salt| BASE64.decode(salt).unwrap()).unwrap_or_default())
}

fn log_in(proxy: &RunningProxy, user: &str, database: &str, password: &str) -> (Raw, Option<Message>) {
    let mut raw = Raw::silent(proxy.address());
    let parameters = [("user", user), ("database", database)];
    raw.send(&startup(V3_0, &parameters));
    let refused = raw.authenticate(password).err();
    (raw, refused)
}

fn settings(nodes: &str, user: &str, password: &str, more: &str) -> String {
    format!(
        "console_users = ['ops']\n[database.app]\nurl = 'postgres://{user}:{password}@{nodes}/app'\n\
         user.second.password_file = 'second'\nuser.third = {{}}\n{more}"
    )
}

#[test]
fn attack_of_reading_all_output_finds_no_secret() {
    let mut hidden = Hidden::default();
    let names =
        ["password of the URL", "password of a file", "PGPASSWORD", "console's password", "token", "guess"];
    let [password, second, third, console, token, guess] = names.map(|name| hidden.make(name));
    let user = role();
    shared().primary().psql(&format!("alter role {user} password '{password}'")).unwrap();
    shared().wait_caught_up().unwrap();
    let nodes =
        [shared().primary(), shared().replica(0)].map(|node| format!("127.0.0.1:{}", node.port())).join(",");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    private(&path("second"), &second);
    private(&path("token"), &token);
    private(&path("tidegate.toml"), &settings(&nodes, &user, &password, ""));
    let told = UnixDatagram::bind(path("notify")).unwrap();
    told.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
    let proxy = Tidegate::bare()
        .args(["--log", "trace", "--config", path("tidegate.toml").to_str().unwrap()])
        .env("PGPASSWORD", &third)
        .env("TIDEGATE_CONSOLE_PASSWORD", &console)
        .env("TIDEGATE_ADMIN_TOKEN_FILE", path("token").to_str().unwrap())
        .env("NOTIFY_SOCKET", path("notify").to_str().unwrap())
        .start();
    let mut said = String::new();

    // Logins: good ones, wrong ones, those that the servers refuse.
    let (mut raw, refused) = log_in(&proxy, &user, "app", &password);
    assert!(refused.is_none(), "{refused:?}");
    let (text, salt) = conversation(&raw.greeting);
    hidden.derive("the proxy's login", &user, &password, &salt);
    said += &text;
    raw.ok("select 1");
    write!(said, "{:?}", raw.query("select * from nothing_of_that_name")).unwrap();
    for (user, password, code) in [
        (user.as_str(), &guess, "28P01"),
        ("second", &second, "28P01"),
        ("third", &third, "28P01"),
        ("nob", &guess, "28P01"),
    ] {
        let (raw, refused) = log_in(&proxy, user, "app", password);
        let refused = refused.unwrap_or_else(|| panic!("{user} got in"));
        assert_eq!(refused.field(b'C').unwrap(), code, "{refused:?}");
        let (text, salt) = conversation(&raw.greeting);
        if user != "nob" {
            hidden.derive(&format!("{user}'s login"), user, password, &salt);
        }
        said += &text;
    }
    let on_server =
        shared().primary().psql(&format!("select rolpassword from pg_authid where rolname = '{user}'"));
    for part in on_server.unwrap().trim().split([':', '$']).skip(2) {
        hidden.0.push(("verifier on the servers".to_owned(), part.to_owned()));
    }

    // The console: everything it shows, and a configuration with mistakes.
    let (mut ops, refused) = log_in(&proxy, "ops", "tidegate", &console);
    assert!(refused.is_none(), "{refused:?}");
    hidden.derive("the console's login", "ops", &console, &conversation(&ops.greeting).1);
    said += &log_in(&proxy, "ops", "tidegate", &guess)
        .1
        .map(|refused| format!("{:?}", refused.fields()))
        .unwrap();
    let shows = ops.ok("show help").rows().into_iter().filter_map(|row| row[0].clone());
    for show in shows.filter(|command| command.starts_with("SHOW ")) {
        writeln!(said, "{:?}", ops.ok(&show)).unwrap();
    }
    for mistaken in [
        settings(&nodes, &user, &format!("{password}@more"), ""),
        settings(&nodes, &user, &format!("{password}%zz"), ""),
        settings(
            &nodes,
            &user,
            &password,
            &format!("pasword = '{password}'\npool_mode = 'postgres://a:{password}@b'\n"),
        ),
        settings(&nodes, &user, &password, &format!("password = '{password}\nx")),
        settings(
            &nodes,
            &user,
            &password,
            &format!("user.{user}.password_file = 'second'\nuser.x.password = ['{password}']\n"),
        ),
    ] {
        private(&path("tidegate.toml"), &mistaken);
        let answer = ops.query("reload");
        assert!(answer.error().is_some(), "{answer:?}");
        said += &answer.error().map(|(code, text)| code + &text).unwrap();
    }
    private(&path("tidegate.toml"), &settings(&nodes, &user, &password, "pool_timeout = 7\n"));
    write!(said, "{:?}", ops.ok("reload")).unwrap();
    raw.ok("select 1");

    // HTTP.
    for header in [token.as_str(), guess.as_str(), ""] {
        for path in ["/healthz", "/readyz", "/metrics", "/report", "/pins", "/learned", "/nothing"] {
            let (head, body) = get_with(proxy.admin(), path, &format!("Authorization: Bearer {header}\r\n"));
            write!(said, "{head}{body}").unwrap();
        }
    }
    let mut buffer = [0; 4096];
    let mut heard = String::new();
    wait_until("systemd is told", || {
        if let Ok(count) = told.recv(&mut buffer) {
            heard += &String::from_utf8_lossy(&buffer[..count]);
        }
        heard.contains("STATUS=")
    });
    hidden.search("what systemd is told", &heard);
    hidden.search("the command line", &fs::read_to_string(format!("/proc/{}/cmdline", proxy.pid())).unwrap());
    hidden.search("an answer", &said);
    proxy.signal("HUP");
    wait_until("it is read again", || proxy.stderr().matches("configuration reloaded").count() >= 2);
    let log = proxy.stderr();
    for wanted in [
        "TRACE",
        "DEBUG",
        "login refused",
        "the configuration cannot be used",
        "wrong credentials at the admin",
    ] {
        assert!(log.contains(wanted), "{wanted} was not logged, so the test looks at too little:\n{log}");
    }
    hidden.search("the log", &log);
}

#[test]
fn attack_of_starting_with_mistakes_shows_no_secret() {
    let mut hidden = Hidden::default();
    let [url, environment, file] = ["URL's password", "PGPASSWORD", "passfile"].map(|name| hidden.make(name));
    let folder = tempfile::tempdir().unwrap();
    let passfile = folder.path().join("passfile");
    private(&passfile, &format!("127.0.0.1:1:app:third:{file}\n"));
    let primary = format!("127.0.0.1:{}", shared().primary().port());
    for (database, more) in [
        // Nobody is there.
        (format!("postgres://app:{url}@127.0.0.1:1/app?tidegate_startup_timeout=1ms"), vec![]),
        (format!("postgres://app:{url}@/nowhere:1/app?tidegate_startup_timeout=1ms"), vec![]),
        // The server refuses the password.
        (format!("postgres://app:{url}@{primary}/app?tidegate_startup_timeout=1ms"), vec![]),
        (
            format!("postgres://app@{primary}/app?tidegate_startup_timeout=1ms"),
            vec![("PGPASSWORD", environment.as_str())],
        ),
        (
            "postgres://third@127.0.0.1:1/app?tidegate_startup_timeout=1ms".to_owned(),
            vec![("PGPASSFILE", passfile.to_str().unwrap())],
        ),
        // It cannot be read.
        (format!("postgres://app:{url}@@{primary}/app"), vec![]),
        (format!("postgres://app:{url}/{primary}/app"), vec![]),
        (format!("app:{url}@{primary}"), vec![]),
        (format!("postgres://app@{primary}:{url}/app"), vec![]),
        (format!("postgres://app@{primary}/app?password={url}&{url}&sslmode={url}@"), vec![]),
    ] {
        for command in ["run", "check"] {
            let mut tidegate = std::process::Command::new(env!("CARGO_BIN_EXE_tidegate"));
            tidegate.args([command, "--log", "trace", "--listen", "127.0.0.1:0", "--admin", "off"]);
            tidegate.env_remove("PGPASSWORD").env("DATABASE_URL", &database).envs(more.iter().copied());
            let output = tidegate.output().unwrap();
            assert!(!output.status.success(), "{database}");
            let said = [output.stdout, output.stderr].concat();
            hidden.search(&format!("{command} {database}"), &String::from_utf8_lossy(&said));
        }
    }
}

#[test]
fn attack_of_printing_the_whole_proxy_finds_no_secret() {
    let mut hidden = Hidden::default();
    let [url, environment, console, token] =
        ["URL", "PGPASSWORD", "console", "token"].map(|name| hidden.make(name));
    let sources = Sources {
        env: Given {
            url: Some(Secret::new(format!("postgres://app:{url}@pg1,pg2/app"))),
            console_users: vec!["ops".to_owned()],
            console_password: Some(Secret::new(console)),
            admin_token: Some(Secret::new(token)),
            ..Given::default()
        },
        pg_password: Some(Secret::new(environment)),
        ..Sources::default()
    };
    let settings = load(&sources).unwrap();
    let proxy = super::block_on(async {
        let proxy = Proxy::new(&settings, Arc::default(), Clock::start());
        let database = proxy.database("app").unwrap();
        let pools = database.users["app"].pools.iter();
        let endpoints: Vec<_> = pools.map(|(_, pool)| pool.endpoint().clone()).collect();
        format!("{:?}{:#?}{proxy:?}{proxy:#?}", endpoints, Control::new(&settings.databases[0]))
    });
    assert!(proxy.contains("Endpoint") && proxy.contains("Verifier(…)"), "{proxy}");
    hidden.search("Debug output", &format!("{sources:?}{sources:#?}{settings:?}{settings:#?}{proxy}"));
}

/// Where this text is in the memory of a process: names of mappings, one for each time.
fn in_memory(pid: u32, text: &str) -> Vec<String> {
    const CHUNK: usize = 1 << 20;
    let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let finder = text.as_bytes();
    let (mut found, mut seen) = (Vec::new(), 0);
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        let name = fields.nth(3).unwrap_or("anonymous");
        if !rights.starts_with("rw") {
            continue;
        }
        let (start, end) = range.split_once('-').unwrap();
        let [start, end] = [start, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        let mut mapping = Vec::new();
        let mut at = start;
        while at < end {
            let mut piece = vec![0; CHUNK.min(usize::try_from(end - at).unwrap())];
            let Ok(count @ 1..) = memory.read_at(&mut piece, at) else { break };
            mapping.extend_from_slice(&piece[..count]);
            at += count as u64;
        }
        seen += mapping.len();
        let times = mapping
            .windows(finder.len())
            .filter(|window| window[0] == finder[0] && *window == finder)
            .count();
        found.extend(std::iter::repeat_n(name.to_owned(), times));
    }
    assert!(seen > CHUNK, "only {seen} bytes could be read");
    found
}

#[test]
fn attack_of_reading_the_memory_finds_no_copies() {
    let mut hidden = Hidden::default();
    let [password, token] = ["password", "token"].map(|name| hidden.make(name));
    let user = role();
    shared().primary().psql(&format!("alter role {user} password '{password}'")).unwrap();
    shared().wait_caught_up().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let url = format!("postgres://{user}:{password}@127.0.0.1:{}/app", shared().primary().port());
    let token_file = path("token").to_str().unwrap().to_owned();
    private(&path("url"), &url);
    private(&path("token"), &token);
    private(&path("tidegate.toml"), &format!("[database.app]\nurl = '{url}'\n"));
    let named = Tidegate::bare().env("DATABASE_URL_FILE", path("url").to_str().unwrap());
    let configured = Tidegate::bare().args(["--config", path("tidegate.toml").to_str().unwrap()]);
    for tidegate in [named, configured] {
        let proxy = tidegate.env("TIDEGATE_ADMIN_TOKEN_FILE", &token_file).start();
        for _ in 0..3 {
            let (mut raw, refused) = log_in(&proxy, &user, "app", &password);
            assert!(refused.is_none(), "{refused:?}");
            raw.ok("select 1");
        }
        get_with(proxy.admin(), "/metrics", &format!("Authorization: Bearer {token}\r\n"));
        let [url, password, token] = [&url, &password, &token].map(|text| in_memory(proxy.pid(), text));
        println!("url {url:?}, password {password:?}, token {token:?}");
        // The URL is taken apart, and its text is overwritten.
        assert!(url.is_empty(), "{url:?}");
        // It is needed once, for the next connection; the monitor's library leaves more where it has logged in.
        assert!((1..=4).contains(&password.len()), "{password:?}");
        assert!(token.len() <= 3 && !token.is_empty(), "{token:?}");
    }
    // What is in the environment stays there, and is kept for a reload, which is why there are files.
    let proxy = Tidegate::bare().env("DATABASE_URL", &url).start();
    let found = in_memory(proxy.pid(), &url);
    println!("url in the environment {found:?}");
    assert_eq!(found, ["[heap]", "[stack]"]);
}
