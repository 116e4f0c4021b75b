//! A proxy between scripted clients and scripted servers, all on one thread.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::watch;
use tokio::task::{JoinHandle, yield_now};

use super::super::admission::Arrival;
use super::super::client::Client;
use super::super::listener::{attend, enter};
use super::super::lock::lock;
use super::super::proxy::Proxy;
use super::judge::{Ear, Expected, foreign};
use super::script::{Dice, Leaves, Script, Step};
use super::server::{Fault, Server};
use crate::cluster::Clock;
use crate::config::{Given, Host, Secret, Sources, load};
use crate::net::{Peer, Stream};
use crate::server::InProcess;
use crate::stats::Stats;
use crate::wire::{CancelKey, Startup, startup_packet};

/// Whoever waits for longer waits for ever: nothing here takes any time.
const FOR_EVER: Duration = Duration::from_mins(1);

/// Most lines that a client can say.
const MOST_SAID: usize = 64 * 1024;

/// What there was to see in a case that went well.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Answers that clients were told.
    pub answers: usize,
    /// Server connections that were made.
    pub connections: usize,
    /// Of these, on replicas.
    pub on_replicas: usize,
}

/// What a case is, apart from what its clients say.
struct Setting {
    connections: usize,
    replicas: usize,
    pool_mode: &'static str,
    /// Bytes that are on their way at most.
    pipe: usize,
    clients: usize,
}

impl Setting {
    fn read(dice: &mut Dice<'_>) -> Self {
        let connections = 1 + dice.below(2);
        let replicas = dice.below(2);
        let pool_mode = ["transaction", "transaction", "session"][dice.below(3)];
        let pipe = [4096, 64, 7, 1][dice.below(4)];
        let clients = 1 + dice.below(3);
        // In session pooling two could wait for ever for the node that the other one has a connection to.
        let connections = if pool_mode == "session" { clients } else { connections };
        Self { connections, replicas, pool_mode, pipe, clients }
    }

    fn url(&self) -> String {
        let hosts = ["one", "two"][..=self.replicas].join(",");
        format!(
            "postgres://app@{hosts}/app?connection_limit={}&pool_timeout=0&tidegate_client_auth=trust&tidegate_pool_mode={}",
            self.connections, self.pool_mode
        )
    }
}

/// A server process, as its connection sees it.
type Backend = Arc<Mutex<(Host, Server, bool)>>;

/// Everything in the case.
struct Stage {
    proxy: Arc<Proxy>,
    backends: Arc<Mutex<Vec<Backend>>>,
    pipe: usize,
    _in_process: InProcess,
}

/// Plays the case that `data` makes, on servers with a fault, if any. The error says what was wrong.
pub fn play(data: &[u8], fault: Option<Fault>) -> Result<Seen, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(async {
        match tokio::time::timeout(FOR_EVER * 10, case(data, fault)).await {
            Ok(result) => result,
            Err(_) => Err("the case hangs".to_owned()),
        }
    })
}

async fn case(data: &[u8], fault: Option<Fault>) -> Result<Seen, String> {
    let mut dice = Dice::new(data);
    let setting = Setting::read(&mut dice);
    let stage = Stage::set(&setting, fault)?;
    let mut scripts: Vec<_> = (0..setting.clients).map(|n| Script::new(n, &mut dice)).collect();
    let steps = write(&mut scripts, &mut dice);
    let mut seen = stage.act(&scripts, &steps).await?;
    // Whoever comes later, on whichever connection, finds nothing of those that were there.
    let probes: Vec<_> = (0..setting.connections).map(|n| Script::probe(setting.clients + n)).collect();
    let mut probes = probes;
    probes.iter_mut().for_each(Script::recover);
    seen.answers += stage.act(&probes, &[]).await?.answers;
    // What was closed is seen to be closed.
    tokio::time::sleep(FOR_EVER).await;
    stage.strike(&mut seen)?;
    Ok(seen)
}

/// Writes the scripts, and in which order they are said.
fn write(scripts: &mut [Script], dice: &mut Dice<'_>) -> Vec<Step> {
    let (mut steps, mut sent) = (Vec::new(), vec![0; scripts.len()]);
    while !dice.is_empty() {
        let client = dice.below(scripts.len());
        scripts[client].add(dice);
        let waiting = scripts[client].sends.len() - sent[client];
        let bytes = match dice.below(4) {
            0 => 0,
            1 => dice.below(64).min(waiting),
            _ => waiting,
        };
        sent[client] += bytes;
        steps.push(Step { client, bytes, turns: [0, 1, 8, 64][dice.below(4)] });
    }
    scripts.iter_mut().filter(|script| script.leaves == Leaves::InOrder).for_each(Script::recover);
    steps
}

impl Stage {
    fn set(setting: &Setting, fault: Option<Fault>) -> Result<Self, String> {
        let flags = Given { url: Some(Secret::new(setting.url())), ..Given::default() };
        let settings =
            load(&Sources { flags, ..Sources::default() }).map_err(|mistakes| mistakes.to_string())?;
        let proxy = Arc::new(Proxy::new(&settings, Arc::new(Stats::default()), Clock::start()));
        for database in proxy.databases().values() {
            database.cluster.stage();
        }
        let backends: Arc<Mutex<Vec<Backend>>> = Arc::default();
        let (pipe, made) = (setting.pipe, Arc::clone(&backends));
        let in_process = InProcess::begin(move |host| {
            let (ours, theirs) = tokio::io::duplex(pipe);
            tokio::spawn(serve(theirs, host.clone(), fault, Arc::clone(&made)));
            ours
        });
        Ok(Self { proxy, backends, pipe, _in_process: in_process })
    }

    /// Clients come, say what is in their scripts, and leave.
    async fn act(&self, scripts: &[Script], steps: &[Step]) -> Result<Seen, String> {
        let mut actors: Vec<_> = scripts.iter().map(|script| Actor::enter(self, script)).collect();
        for step in steps {
            actors[step.client].say(step.bytes);
            for _ in 0..step.turns {
                yield_now().await;
            }
        }
        actors.iter_mut().for_each(Actor::finish);
        let mut seen = Seen::default();
        // At the same time: some wait for what others hold until they leave.
        let leaving: Vec<_> = actors.into_iter().map(|actor| tokio::spawn(actor.leave())).collect();
        for (leaving, script) in leaving.into_iter().zip(scripts) {
            let said = String::from_utf8_lossy(&script.sends).escape_debug().to_string();
            let left = leaving.await.map_err(|error| error.to_string())?;
            let (expected, heard, raw) =
                left.map_err(|objection| format!("{objection}\nit has said {said}"))?;
            let others = scripts.iter().filter(|other| other.tag != script.tag).map(|other| &*other.tag);
            let objection = foreign(&raw, others).or_else(|| expected.objection(script, &heard));
            if let Some(objection) = objection {
                return Err(format!("{} {objection}\nit has said {said}", script.tag));
            }
            seen.answers += heard.told.len();
        }
        Ok(seen)
    }

    /// Server connections that are still there are fit to be lent.
    fn strike(&self, seen: &mut Seen) -> Result<(), String> {
        for backend in lock(&self.backends).iter() {
            let (host, server, is_there) = &*lock(backend);
            seen.connections += 1;
            seen.on_replicas += usize::from(*host == Host::Tcp("two".into()));
            if *is_there && !server.is_clean() {
                return Err(format!("a server connection is idle and not clean: {server:?}"));
            }
        }
        let stats = self.proxy.stats.render();
        let panics = stats.lines().find_map(|line| line.strip_prefix("tidegate_panics_total "));
        if panics == Some("0") { Ok(()) } else { Err("a session has panicked".to_owned()) }
    }
}

/// One connection to a scripted server.
async fn serve(mut stream: DuplexStream, host: Host, fault: Option<Fault>, made: Arc<Mutex<Vec<Backend>>>) {
    let (mut inbox, mut out) = (BytesMut::new(), BytesMut::new());
    let startup = loop {
        match startup_packet(&inbox) {
            Ok(Some((Startup::Session(parameters), len))) => {
                let _ = inbox.split_to(len);
                break parameters.values;
            }
            // A cancel request finds nothing to cancel: everything here is done as soon as it is asked for.
            Ok(Some(_)) | Err(_) => return,
            Ok(None) => {}
        }
        if !matches!(stream.read_buf(&mut inbox).await, Ok(1..)) {
            return;
        }
    };
    let mut server = Server::new(&startup, fault);
    server.is_standby = host == Host::Tcp("two".into());
    let number = u32::try_from(lock(&made).len()).unwrap_or(0);
    server.greet(&CancelKey { pid: number + 1, secret: vec![7; 4] }, &mut out);
    let backend: Backend = Arc::new(Mutex::new((host, server, true)));
    lock(&made).push(Arc::clone(&backend));
    loop {
        if stream.write_all_buf(&mut out).await.is_err() || lock(&backend).1.over {
            break;
        }
        if !matches!(stream.read_buf(&mut inbox).await, Ok(1..)) {
            break;
        }
        lock(&backend).1.feed(&mut inbox, &mut out);
    }
    lock(&backend).2 = false;
}

/// What an actor sends.
enum Line {
    Bytes(BytesMut),
    /// Nothing more.
    End,
}

/// One client at work.
struct Actor {
    script: Script,
    expected: Expected,
    rest: BytesMut,
    lines: Sender<Line>,
    heard: watch::Receiver<usize>,
    ear: JoinHandle<(Ear, Vec<u8>)>,
    mouth: JoinHandle<()>,
    session: JoinHandle<()>,
}

impl Actor {
    fn enter(stage: &Stage, script: &Script) -> Self {
        let (ours, theirs) = tokio::io::duplex(stage.pipe);
        let proxy = Arc::clone(&stage.proxy);
        let client = Client::new(Stream::Memory(theirs), Peer::Local);
        let Arrival { counted, place } = proxy.admission.arrive(Peer::Local, None);
        let presence = (proxy.door.enter(), counted);
        let entering = Box::pin(enter(Arc::clone(&proxy), client, place));
        let session = tokio::spawn(attend(proxy, presence, entering));
        let (listens, speaks) = tokio::io::split(ours);
        let (lines, to_say) = channel(MOST_SAID);
        let (tells, heard) = watch::channel(0);
        let ear = tokio::spawn(listen(listens, tells));
        let mouth = tokio::spawn(speak(speaks, to_say));
        let _ = lines.try_send(Line::Bytes(script.hello()));
        let (script, rest) = (script.clone(), script.sends.clone());
        Self { expected: Expected::of(&script), script, rest, lines, heard, ear, mouth, session }
    }

    fn say(&mut self, bytes: usize) {
        if bytes > 0 {
            let line = self.rest.split_to(bytes.min(self.rest.len()));
            let _ = self.lines.try_send(Line::Bytes(line));
        }
    }

    fn finish(&mut self) {
        self.say(self.rest.len());
        if self.script.leaves == Leaves::Silently {
            let _ = self.lines.try_send(Line::End);
        }
        if self.script.leaves == Leaves::Abruptly {
            self.ear.abort();
            self.mouth.abort();
        }
    }

    /// Waits until the client has been told everything, or its session is over, and leaves.
    async fn leave(mut self) -> Result<(Expected, Ear, Vec<u8>), String> {
        let tag = self.script.tag.clone();
        if self.script.leaves == Leaves::InOrder {
            let due = if self.expected.ends { usize::MAX } else { self.expected.certain };
            let _ = tokio::time::timeout(FOR_EVER, self.heard.wait_for(|heard| *heard >= due)).await;
            let _ = self.lines.try_send(Line::Bytes(Script::goodbye()));
            let _ = self.lines.try_send(Line::End);
        }
        // It may wait for a connection of others, and each of them may have waited in vain.
        let over = tokio::time::timeout(FOR_EVER * 4, &mut self.session).await;
        match over {
            Err(_) => return Err(format!("{tag} its session does not end")),
            Ok(Err(error)) => return Err(format!("{tag} its session has failed: {error}")),
            Ok(Ok(())) => {}
        }
        let (ear, raw) = self.ear.await.unwrap_or_default();
        Ok((self.expected, ear, raw))
    }
}

async fn listen(
    mut stream: tokio::io::ReadHalf<DuplexStream>,
    tells: watch::Sender<usize>,
) -> (Ear, Vec<u8>) {
    let (mut ear, mut raw, mut bytes) = (Ear::default(), Vec::new(), BytesMut::new());
    while let Ok(1..) = stream.read_buf(&mut bytes).await {
        ear.hear(&bytes);
        raw.extend_from_slice(&bytes);
        bytes.clear();
        tells.send_replace(ear.told.len());
    }
    (ear, raw)
}

async fn speak(mut stream: tokio::io::WriteHalf<DuplexStream>, mut lines: Receiver<Line>) {
    while let Some(line) = lines.recv().await {
        let said = match line {
            Line::Bytes(bytes) => stream.write_all(&bytes).await,
            Line::End => stream.shutdown().await,
        };
        if said.is_err() {
            return;
        }
    }
}
