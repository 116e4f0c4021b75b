//! A real Patroni cluster on this machine: etcd, and members with PostgreSQL under them, as Debian's packages have them.
//!
//! Everything runs on loopback under an unprivileged account, in a folder of its own. Nothing is left behind, however our own
//! process ends: a watchdog waits for a pipe to close whose other end only this process holds; then it kills what runs in the
//! folder and removes it.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// What must be there, by the names of Debian's packages.
const PROGRAMS: [(&str, &str); 3] =
    [("/usr/bin/etcd", "etcd-server"), ("/usr/bin/patroni", "patroni"), ("/usr/bin/patronictl", "patroni")];

/// Kills every process that runs in the folder `$0` or was told of it, until there is none, and removes the folder. A
/// postmaster works in its data folder; etcd and Patroni have it among their arguments.
const WATCHDOG: &str = r#"
trap '' HUP INT TERM
cat >/dev/null
exec 2>/dev/null
round=0
while [ $round -lt 100 ]; do
    found=
    for process in /proc/[0-9]*; do
        id=${process#/proc/}
        [ "$id" != $$ ] || continue
        case "$(readlink "$process/cwd"; tr '\0' ' ' <"$process/cmdline")" in
            *"$0"*) kill -KILL "$id" 2>/dev/null && found=1 ;;
        esac
    done
    [ -n "$found" ] || break
    round=$((round + 1))
    sleep 0.05
done
rm -rf "$0"
"#;

/// The name of the cluster in etcd.
const SCOPE: &str = "tide";
/// The superuser's password, and that of replication.
const PASSWORD: &str = "only-here";

/// Who runs the servers: PostgreSQL refuses to run as root.
#[derive(Clone, Copy, Debug)]
struct Account(Option<(u32, u32)>);

impl Account {
    fn of(ours: &Path) -> Self {
        if fs::metadata(ours).unwrap().uid() != 0 {
            return Self(None);
        }
        let passwd = fs::read_to_string("/etc/passwd").unwrap();
        let line = passwd.lines().find(|line| line.starts_with("postgres:")).expect("a user postgres");
        let mut numbers = line.split(':').skip(2).map(|field| field.parse().unwrap());
        Self(Some((numbers.next().unwrap(), numbers.next().unwrap())))
    }

    fn give(self, path: &Path) {
        if let Some((user, group)) = self.0 {
            chown(path, Some(user), Some(group)).unwrap();
        }
    }

    fn command(self, program: &str) -> Command {
        let mut command = Command::new(program);
        if let Some((user, group)) = self.0 {
            command.uid(user).gid(group);
        }
        command.stdin(Stdio::null()).process_group(0).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("LC_ALL", "C.UTF-8");
        command
    }
}

/// etcd, and Patroni's members.
#[derive(Debug)]
pub struct PatroniCluster {
    folder: PathBuf,
    account: Account,
    etcd_port: u16,
    etcd: Child,
    members: Vec<Member>,
    watchdog: Child,
}

/// One member: Patroni, and the server it looks after.
#[derive(Debug)]
pub struct Member {
    /// Its name in the cluster.
    pub name: String,
    /// The port of PostgreSQL.
    pub port: u16,
    /// The port of the REST API.
    pub rest: u16,
    data: PathBuf,
    patroni: Option<Child>,
}

impl Member {
    /// How Tidegate's metrics call it.
    pub fn label(&self) -> String {
        format!("node=\"127.0.0.1:{}\"", self.port)
    }

    /// The number of its postmaster, while it runs.
    fn postmaster(&self) -> Option<String> {
        let file = fs::read_to_string(self.data.join("postmaster.pid")).ok()?;
        file.lines().next().map(str::to_owned)
    }
}

impl PatroniCluster {
    /// Starts etcd and as many members, `p1` and so on, and waits until the first leads and the others stream. With
    /// synchronous replication, so that a failover loses nothing.
    pub fn start(members: usize) -> Self {
        let missing: Vec<_> = PROGRAMS.iter().filter(|(path, _)| !Path::new(path).exists()).collect();
        let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
        assert!(
            missing.is_empty(),
            "missing: {missing:?}; install them: apt-get install {}",
            packages.join(" ")
        );
        let folder = tempfile::Builder::new().prefix("tidegate-patroni-").tempdir().unwrap().keep();
        let account = Account::of(&folder);
        account.give(&folder);
        let watchdog = Command::new("sh")
            .args(["-c", WATCHDOG])
            .arg(&folder)
            .current_dir("/")
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let [etcd_port, peers] = free_ports();
        let etcd = start_etcd(account, &folder, etcd_port, peers);
        let mut cluster = Self { folder, account, etcd_port, etcd, members: Vec::new(), watchdog };
        for _ in 0..members {
            cluster.add("");
            if cluster.members.len() == 1 {
                super::wait_until("the first member leads", || cluster.leader() == Some(0));
            }
        }
        cluster.wait_streaming();
        cluster
    }

    /// The members, by the order in which they were added.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// `patroni://app:secret@…/app` with the REST addresses of the first two members.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.members.iter().take(2).map(|m| format!("127.0.0.1:{}", m.rest)).collect();
        format!("patroni://app:secret@{}/app", hosts.join(","))
    }

    /// What Patroni says of the cluster, asked at the first member that answers.
    pub fn status(&self) -> serde_json::Value {
        let text = self.members.iter().find_map(|member| ask(member.rest));
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default()
    }

    /// The member that leads and runs.
    pub fn leader(&self) -> Option<usize> {
        let status = self.status();
        let leader = status["members"].as_array()?.iter().find(|member| {
            member["role"] == "leader" && member["state"] == "running" && member["timeline"].is_number()
        })?;
        self.members.iter().position(|member| leader["name"] == *member.name)
    }

    /// Waits until there is a leader, and every member that runs as Patroni sees it is in the same timeline.
    pub fn wait_streaming(&self) {
        let count = self.members.iter().filter(|member| member.patroni.is_some()).count();
        super::wait_until("every member runs", || {
            let status = self.status();
            let Some(all) = status["members"].as_array() else { return false };
            let leader = all.iter().find(|member| member["role"] == "leader");
            let Some(timeline) = leader.and_then(|leader| leader["timeline"].as_u64()) else { return false };
            let is_well = |member: &&serde_json::Value| {
                matches!(member["state"].as_str(), Some("running" | "streaming"))
                    && member["timeline"].as_u64() == Some(timeline)
                    && (member["role"] == "leader" || member["lag"].is_number())
            };
            all.iter().filter(is_well).count() == count
        });
    }

    /// Adds a member with these tags, as YAML writes them: `noloadbalance: true`. Returns its place.
    pub fn add(&mut self, tags: &str) -> usize {
        let name = format!("p{}", self.members.len() + 1);
        let [port, rest] = free_ports();
        let data = self.folder.join(&name).join("data");
        fs::create_dir(self.folder.join(&name)).unwrap();
        self.account.give(&self.folder.join(&name));
        let member = Member { name, port, rest, data, patroni: None };
        fs::write(self.config(&member), self.yaml(&member, tags)).unwrap();
        self.members.push(member);
        self.start_member(self.members.len() - 1);
        self.members.len() - 1
    }

    /// Starts Patroni of a member that was stopped or killed.
    pub fn start_member(&mut self, member: usize) {
        let config = self.config(&self.members[member]);
        let log = fs::File::create(config.with_extension("log")).unwrap();
        let mut command = self.account.command("/usr/bin/patroni");
        command.arg(config).current_dir(&self.folder);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.members[member].patroni = Some(command.spawn().unwrap());
    }

    /// Kills Patroni and its server, at once and without a word.
    pub fn kill(&mut self, member: usize) {
        let member = &mut self.members[member];
        if let Some(mut patroni) = member.patroni.take() {
            patroni.kill().unwrap();
            patroni.wait().unwrap();
        }
        if let Some(id) = member.postmaster() {
            assert!(Command::new("kill").args(["-KILL", &id]).status().unwrap().success());
        }
    }

    /// Stops Patroni, which stops its server.
    pub fn stop(&mut self, member: usize) {
        let mut patroni = self.members[member].patroni.take().expect("it runs");
        assert!(Command::new("kill").args(["-TERM", &patroni.id().to_string()]).status().unwrap().success());
        super::wait_until("a member has stopped", || patroni.try_wait().unwrap().is_some());
    }

    /// Hands the lead to the synchronous standby, and returns which member that is.
    pub fn switch_over(&self) -> usize {
        let from = self.leader().expect("a leader");
        self.wait_standby();
        let new = self.with_role("sync_standby").expect("a synchronous standby");
        let [from, to] = [from, new].map(|member| self.members[member].name.as_str());
        let mut command = self.account.command("/usr/bin/patronictl");
        command.arg("-c").arg(self.config(&self.members[0])).current_dir(&self.folder);
        command.args(["switchover", SCOPE, "--master", from, "--candidate", to, "--force"]);
        let said = super::tools::run(&mut command);
        assert!(said.contains("Successfully switched over"), "{said}");
        new
    }

    /// Waits until there is a synchronous standby, to which nothing acknowledged is lost.
    pub fn wait_standby(&self) {
        super::wait_until("there is a synchronous standby", || self.with_role("sync_standby").is_some());
    }

    fn with_role(&self, role: &str) -> Option<usize> {
        let status = self.status();
        let member = status["members"].as_array()?.iter().find(|member| member["role"] == role)?;
        self.members.iter().position(|ours| member["name"] == *ours.name)
    }

    /// `postgres://` to a member's server, as the superuser.
    pub fn superuser_url(&self, member: usize, database: &str) -> String {
        format!("postgres://postgres:{PASSWORD}@127.0.0.1:{}/{database}", self.members[member].port)
    }

    fn config(&self, member: &Member) -> PathBuf {
        self.folder.join(format!("{}.yml", member.name))
    }

    fn yaml(&self, member: &Member, tags: &str) -> String {
        let Self { folder, etcd_port, .. } = self;
        let Member { name, port, rest, data, .. } = member;
        let (folder, data) = (folder.display(), data.display());
        let bin = super::pg_bin();
        let bin = bin.dir().display();
        // Short times, so that a failover is a matter of seconds. On a machine that is busy etcd may not answer in time, and
        // without failsafe_mode a leader would step down for that.
        format!(
            "scope: {SCOPE}
name: {name}
restapi: {{listen: '127.0.0.1:{rest}', connect_address: '127.0.0.1:{rest}'}}
etcd3: {{hosts: '127.0.0.1:{etcd_port}'}}
bootstrap:
  dcs:
    ttl: 9
    loop_wait: 1
    retry_timeout: 4
    failsafe_mode: true
    synchronous_mode: true
    postgresql: {{use_pg_rewind: true, parameters: {{fsync: 'off', wal_keep_size: 256MB, max_connections: 50}}}}
  initdb: [{{auth-host: scram-sha-256}}, {{auth-local: scram-sha-256}}, {{encoding: UTF8}}]
  pg_hba: ['host all all 127.0.0.1/32 scram-sha-256', 'host replication replicator 127.0.0.1/32 scram-sha-256']
postgresql:
  listen: '127.0.0.1:{port}'
  connect_address: '127.0.0.1:{port}'
  data_dir: '{data}'
  bin_dir: '{bin}'
  pgpass: '{folder}/{name}.pgpass'
  basebackup: [{{checkpoint: fast}}]
  parameters: {{unix_socket_directories: '{folder}'}}
  authentication:
    superuser: {{username: postgres, password: '{PASSWORD}'}}
    replication: {{username: replicator, password: '{PASSWORD}'}}
tags: {{{tags}}}
"
        )
    }
}

impl Drop for PatroniCluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for member in &self.members {
                let log = fs::read_to_string(self.config(member).with_extension("log")).unwrap_or_default();
                let lines: Vec<_> = log.lines().collect();
                eprintln!(
                    "---- {} logged:\n{}",
                    member.name,
                    lines[lines.len().saturating_sub(25)..].join("\n")
                );
            }
        }
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
        let _ = self.etcd.wait();
        self.members.iter_mut().filter_map(|member| member.patroni.as_mut()).for_each(|patroni| {
            let _ = patroni.wait();
        });
    }
}

fn start_etcd(account: Account, folder: &Path, port: u16, peers: u16) -> Child {
    let [clients, peers] = [port, peers].map(|port| format!("http://127.0.0.1:{port}"));
    let log = fs::File::create(folder.join("etcd.log")).unwrap();
    let mut command = account.command("/usr/bin/etcd");
    command.arg("--data-dir").arg(folder.join("etcd")).current_dir(folder);
    command.args(["--name", "e1", "--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
    command.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
    command.args(["--initial-cluster", &format!("e1={peers}"), "--log-level", "warn"]);
    command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
}

/// What the REST API answers to `GET /cluster`; `None` if nobody answers.
fn ask(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(3))).ok()?;
    stream.write_all(b"GET /cluster HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    head.lines().next()?.contains(" 200").then(|| body.to_owned())
}

/// Two ports that nobody listens on, below those that the system gives to outgoing connections.
fn free_ports() -> [u16; 2] {
    let mut next = (0..).map(|_| 20_000 + rand::random::<u16>() % 12_000);
    let mut free = || next.find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()).unwrap();
    [free(), free()]
}
