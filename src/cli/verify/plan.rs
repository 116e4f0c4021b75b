//! What was asked for, checked: everything a run needs to know before it begins.

use std::time::Duration;

use tokio_postgres::Config;

use super::args::{FaultKind, Level, Path, VerifyArgs};
use crate::config::{Given, Secret, Sources, load, redact_url};
use crate::history::Promise;
use crate::server::ServerAddress;

/// What our connections through the proxy are called.
const APPLICATION: &str = "tidegate verify";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// So long after the beginning, tables may still be on their way to some replica.
const TABLES_ARRIVE: Duration = Duration::from_secs(30);
/// Parameters of a URL that mean something to us, besides those about TLS. Those of drivers and pools do not.
const KNOWN: [&str; 4] = ["options", "application_name", "connect_timeout", "keepalives"];

/// Someone to connect to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// As whom.
    pub(super) config: Config,
    /// Where, and how encrypted.
    pub(super) address: ServerAddress,
    pub(super) connect_timeout: Duration,
    /// The URL as it may be shown.
    pub(super) shown: String,
}

/// A run.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// The proxies; at least one.
    pub(super) proxies: Vec<Target>,
    /// The primary, if it was given.
    pub(super) primary: Option<Target>,
    /// The replicas that faults are made on.
    pub(super) replicas: Vec<Target>,
    /// The faults to make.
    pub(super) faults: Vec<FaultKind>,
    /// What is promised.
    pub(super) level: Level,
    /// The paths that were asked for; all that are possible if none was.
    pub(super) paths: Vec<Path>,
    pub(super) actors: usize,
    pub(super) tables: usize,
    /// Percent of the steps.
    pub(super) writes: u32,
    pub(super) think: Duration,
    pub(super) time: Duration,
}

impl Plan {
    /// Checks what was asked for. The error is the list of all mistakes, without passwords.
    pub(super) fn new(args: &VerifyArgs) -> Result<Self, Vec<String>> {
        let mut mistakes = Vec::new();
        let mut read = |flag: &str, urls: &[Secret]| -> Vec<Target> {
            let read = urls.iter().map(|url| target(flag, url, args.pg_password.as_ref()));
            read.filter_map(|target| target.map_err(|mistake| mistakes.push(mistake)).ok()).collect()
        };
        let mut proxies = read("--url", &args.url);
        let replicas = read("--replica", &args.replica);
        let primary = read("--primary", args.primary.as_slice()).pop();
        if let Some(level) = &args.level {
            for proxy in &mut proxies {
                ask_for(level, &mut proxy.config);
            }
        }
        if !mistakes.is_empty() {
            return Err(mistakes);
        }
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(Self {
            proxies,
            primary,
            replicas,
            faults: args.faults.clone(),
            level: args.level.clone().unwrap_or_default(),
            paths: args.paths.clone(),
            actors: count(args.actors),
            tables: count(args.tables).min(count(args.actors)),
            writes: args.writes,
            think: Duration::from_millis(args.think),
            time: Duration::from_secs(args.seconds),
        })
    }

    /// Connections of each actor: two through its own proxy, and one through another where there is one.
    pub(super) fn links(&self) -> usize {
        if self.proxies.len() > 1 { 3 } else { 2 }
    }

    /// Whether a read may come to a node that has not even the tables yet: where nothing promises that it has.
    pub(super) fn tables_may_be_missing(&self, elapsed: Duration) -> bool {
        let promised =
            matches!(self.level.promise, Promise::Session | Promise::Strong) && self.proxies.len() == 1;
        !promised && elapsed < TABLES_ARRIVE
    }

    /// Through which proxy an actor's connection goes.
    pub(super) fn proxy_of(&self, actor: usize, link: usize) -> usize {
        (actor + usize::from(link == 2)) % self.proxies.len()
    }
}

/// Adds the level to the options that connections start with.
fn ask_for(level: &Level, config: &mut Config) {
    let asked = format!("-c tidegate.consistency={}", level.word);
    let options = match config.get_options() {
        Some(options) => format!("{options} {asked}"),
        None => asked,
    };
    config.options(options);
}

fn target(flag: &str, url: &Secret, password: Option<&Secret>) -> Result<Target, String> {
    let (text, shown) = (url.expose().trim(), redact_url(url.expose()));
    let mistake = |what: &str| format!("{flag} {shown}: {what}");
    if !["postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err(mistake("write it as postgres://user:password@host:5432/database"));
    }
    // What the parser says may repeat what stands in a password's place.
    let unreadable =
        |_| mistake("it cannot be read; in user and password write @ as %40, / as %2F, : as %3A");
    let mut config: Config = without_foreign_parameters(text).parse().map_err(unreadable)?;
    if config.get_hosts().len() + config.get_hostaddrs().len() != 1 {
        return Err(mistake("it must name one host; repeat the flag for another one"));
    }
    let address = address(text).map_err(|what| mistake(&what))?;
    if config.get_password().is_none()
        && let Some(password) = password
    {
        config.password(password.expose());
    }
    if config.get_application_name().is_none() {
        config.application_name(APPLICATION);
    }
    let connect_timeout = config.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT);
    Ok(Target { config, address, connect_timeout, shown })
}

/// Where the one host of a URL is and how it is spoken to, by the same rules as those for the servers of a proxy.
fn address(url: &str) -> Result<ServerAddress, String> {
    let (_, rest) = url.split_once("://").unwrap_or_default();
    let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
    let hosts = before.split('/').next().and_then(|authority| authority.rsplit('@').next());
    let is_about_tls = |pair: &&str| pair.starts_with("ssl") || pair.starts_with("channel_binding=");
    let words: Vec<&str> = query.split('&').filter(is_about_tls).collect();
    let hosts = hosts.unwrap_or_default();
    let url = format!("postgres://nobody@{hosts}/nothing?tidegate_client_auth=trust&{}", words.join("&"));
    let flags = Given { url: Some(Secret::new(url)), ..Given::default() };
    let settings = load(&Sources { flags, ..Sources::default() }).map_err(|mistakes| {
        let said = mistakes.iter().map(|mistake| format!("{}. {}", mistake.problem, mistake.advice));
        said.collect::<Vec<_>>().join("; ")
    })?;
    let database = settings.databases.first().ok_or("it names no database")?;
    let node = database.nodes.first().ok_or("it names no host")?;
    Ok(ServerAddress::new(node, &database.server_tls))
}

/// The URL without parameters such as Prisma's `connection_limit`, which an app's URL may have.
fn without_foreign_parameters(url: &str) -> String {
    let Some((address, query)) = url.split_once('?') else { return url.to_owned() };
    let known = |pair: &&str| KNOWN.contains(&pair.split('=').next().unwrap_or_default());
    let kept: Vec<&str> = query.split('&').filter(known).collect();
    format!("{address}?{}", kept.join("&"))
}

#[cfg(test)]
mod tests {
    use super::super::args::parsed;
    use super::*;

    fn args(urls: &[&str]) -> VerifyArgs {
        parsed(&urls.iter().flat_map(|url| ["--url", url]).collect::<Vec<_>>())
    }

    #[test]
    fn a_level_is_asked_for_only_if_it_was_given() {
        let mut args = args(&["postgres://a:b@h/d?options=-c%20x.y%3D1"]);
        let options =
            |args: &VerifyArgs| Plan::new(args).unwrap().proxies[0].config.get_options().map(str::to_owned);
        assert_eq!(options(&args).as_deref(), Some("-c x.y=1"));
        args.level = Some("strong".parse().unwrap());
        assert_eq!(options(&args).as_deref(), Some("-c x.y=1 -c tidegate.consistency=strong"));
    }

    #[test]
    fn the_url_of_an_app_will_do() {
        let mut args = args(&["postgresql://a@h:6432/d?connection_limit=3&pgbouncer=true&sslmode=prefer"]);
        args.pg_password = Some(Secret::new("kept"));
        let plan = Plan::new(&args).unwrap();
        assert_eq!(plan.proxies[0].config.get_password(), Some(&b"kept"[..]));
        assert_eq!((plan.links(), plan.proxy_of(5, 1)), (2, 0));
    }

    #[test]
    fn actors_are_spread_over_the_proxies() {
        let plan = Plan::new(&args(&["postgres://a@h/d", "postgres://a@i/d"])).unwrap();
        assert_eq!(plan.links(), 3);
        let of = |actor| [0, 1, 2].map(|link| plan.proxy_of(actor, link));
        assert_eq!((of(0), of(1)), ([0, 0, 1], [1, 1, 0]));
    }

    #[test]
    fn all_mistakes_are_told_and_no_password() {
        let urls = [
            "postgres://a:hunter2@h1,h2/d",
            "postgres://a:hunter2@h/d?sslmode=verify-full",
            "host=h password=hunter2",
            "postgres://a:hunter2@h:port/d",
            "postgres://a:hunter2@/d",
        ];
        let mistakes = Plan::new(&args(&urls)).unwrap_err();
        assert_eq!(mistakes.len(), urls.len(), "{mistakes:?}");
        assert!(!mistakes.concat().contains("hunter2"), "{mistakes:?}");
    }
}
