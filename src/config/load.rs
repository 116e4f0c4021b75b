//! The sources, in rising precedence: file, environment, flags.

use std::path::PathBuf;

use super::check;
use super::file::{self, FileLayer};
use super::layer::DatabaseLayer;
use super::mistake::{Findings, Mistakes, Origin, Problem};
use super::node::Role;
use super::redact::redact_url;
use super::secret::Secret;
use super::settings::Settings;
use super::top::TopLayer;
use super::topology::Place;
use super::url::{self, Url};

/// Everything that was said, as plain text: filled in from the command line by `cli::args`, by hand in tests.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The TOML file, if there is one.
    pub file: Option<PathBuf>,
    /// What the environment says.
    pub env: Given,
    /// What the flags say.
    pub flags: Given,
    /// `PGPASSWORD`: for users whose password is said nowhere else.
    pub pg_password: Option<Secret>,
}

/// What the environment or the flags say, unchecked.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// `DATABASE_URL` or `--url`.
    pub url: Option<Secret>,
    /// `--primary`, a URL each. More than one is a mistake that is reported with the others.
    pub primaries: Vec<Secret>,
    /// `--replica`, a URL each.
    pub replicas: Vec<Secret>,
    /// `TIDEGATE_LISTEN` or `--listen`, an address each.
    pub listen: Vec<String>,
    /// `TIDEGATE_ADMIN` or `--admin`: an address or `off`.
    pub admin: Option<String>,
    /// `TIDEGATE_WORKERS` or `--workers`.
    pub workers: Option<String>,
    /// `TIDEGATE_LOCALITY` or `--locality`.
    pub locality: Option<String>,
    /// `TIDEGATE_LOG` or `--log`.
    pub log: Option<String>,
    /// `TIDEGATE_CONSOLE_USERS` or `--console-users`, a name each.
    pub console_users: Vec<String>,
    /// `TIDEGATE_PEER_ID` or `--peer-id`.
    pub peer_id: Option<String>,
}

impl Sources {
    /// Whether no database is named anywhere.
    pub fn is_empty(&self) -> bool {
        let names_none =
            |given: &Given| given.url.is_none() && given.primaries.is_empty() && given.replicas.is_empty();
        self.file.is_none() && names_none(&self.env) && names_none(&self.flags)
    }
}

/// Reads and checks everything that was said. The only I/O is reading the file and the password files it names.
pub fn load(sources: &Sources) -> Result<Settings, Mistakes> {
    let mut findings = Findings::default();
    let file = sources.file.as_ref().map(|path| file::read(path, &mut findings));
    merge(file, sources, findings)
}

/// What [`load`] makes of a file with this text.
#[cfg(fuzzing)]
pub fn load_text(text: &str, sources: &Sources) -> Result<Settings, Mistakes> {
    let mut findings = Findings::default();
    let file = file::parse(std::path::Path::new("tidegate.toml"), text, &mut findings);
    merge(Some(file), sources, findings)
}

fn merge(file: Option<FileLayer>, sources: &Sources, mut findings: Findings) -> Result<Settings, Mistakes> {
    let FileLayer { top, mut databases, broken } = file.unwrap_or_default();
    let env = top_layer(&sources.env, |key| format!("TIDEGATE_{}", key.to_ascii_uppercase()), &mut findings);
    let flags = top_layer(&sources.flags, |key| format!("--{}", key.replace('_', "-")), &mut findings);
    match Cluster::from(sources, &mut findings) {
        Some(cluster) => cluster.place(&mut databases, broken, &mut findings),
        None if !databases.is_empty() || broken => {}
        None => findings.mistake(
            &Origin::new("database"),
            Problem::new(
                "no database is given",
                "Give its URL with --url or DATABASE_URL, or a section [database.NAME] in a file with --config",
            ),
        ),
    }
    let top = flags.over(env).over(top);
    let settings = check::settings(top, databases, sources.pg_password.as_ref(), &mut findings);
    Ok(Settings { warnings: findings.into_warnings()?, ..settings })
}

fn top_layer(given: &Given, name: impl Fn(&str) -> String, findings: &mut Findings) -> TopLayer {
    let mut layer = TopLayer::default();
    let single = [
        ("admin", &given.admin),
        ("workers", &given.workers),
        ("locality", &given.locality),
        ("log", &given.log),
        ("peer_id", &given.peer_id),
    ];
    let said = single.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let listed = given.listen.iter().map(|value| ("listen", value));
    let listed = listed.chain(given.console_users.iter().map(|value| ("console_users", value)));
    for (key, value) in listed.chain(said) {
        let result = layer.set(key, value);
        findings.keep(&Origin::new(name(key)), result);
    }
    layer
}

/// The URLs of the environment and the flags, joined to one cluster.
struct Cluster {
    origin: Origin,
    /// `None` if no URL could be read, which has been noted.
    url: Option<Url>,
}

impl Cluster {
    /// `--primary` or `--url` hide `DATABASE_URL`; replicas are added to either.
    fn from(sources: &Sources, findings: &mut Findings) -> Option<Self> {
        let Sources { env, flags, .. } = sources;
        if let (Some(_), [_, ..]) = (&flags.url, flags.primaries.as_slice()) {
            let problem = "both --url and --primary are given";
            findings.mistake(&Origin::new("--primary"), Problem::new(problem, "Give one of the two"));
        }
        let base = match (&flags.url, &env.url) {
            (Some(url), _) => Some(("--url", url)),
            (None, Some(url)) if flags.primaries.is_empty() => Some(("DATABASE_URL", url)),
            _ => None,
        };
        let base = base.into_iter().map(|(name, url)| (name, url, None));
        let primaries = flags.primaries.iter().map(|url| ("--primary", url, Some(Role::Primary)));
        let replicas = flags.replicas.iter().map(|url| ("--replica", url, Some(Role::Replica)));
        let mut cluster: Option<Self> = None;
        for (name, text, role) in base.chain(primaries).chain(replicas) {
            let origin = Origin::new(format!("{name} {}", redact_url(text.expose())));
            let mut url = url::read(text.expose(), &origin, findings);
            if let (Some(Url { place: Place::Patroni, .. }), Some(_)) = (&url, role) {
                let problem = "Patroni's members have no declared roles";
                findings.mistake(&origin, Problem::new(problem, "Give the patroni:// URL with --url, alone"));
                url = None;
            }
            if let (Some(url), Some(role)) = (&mut url, role) {
                url.nodes.iter_mut().for_each(|node| node.declared = Some(role));
            }
            match &mut cluster {
                None => cluster = Some(Self { origin, url }),
                Some(cluster) => cluster.add(&origin, url, findings),
            }
        }
        cluster
    }

    /// Adds the nodes of another URL, which must not contradict this one.
    fn add(&mut self, origin: &Origin, url: Option<Url>, findings: &mut Findings) {
        let (Some(ours), Some(theirs)) = (&mut self.url, url) else {
            if let Some(ours) = &mut self.url {
                ours.broken = true;
            }
            return;
        };
        if [ours.place, theirs.place].contains(&Place::Patroni) {
            let problem = "no server can be added to those that Patroni names";
            findings.mistake(origin, Problem::new(problem, "Leave it out, or add it to the Patroni cluster"));
        }
        let mut conflicts = theirs.tuning.conflicts(&ours.tuning);
        conflicts.extend(differ(ours.user.as_ref(), theirs.user.as_ref()).then_some("user"));
        conflicts.extend(differ(ours.password.as_ref(), theirs.password.as_ref()).then_some("password"));
        conflicts.extend(differ(ours.database.as_ref(), theirs.database.as_ref()).then_some("database"));
        for what in conflicts {
            let problem = format!("its {what} is not the same as in {}", self.origin);
            findings.mistake(&origin.inside(what), Problem::new(problem, "Say it in one of the URLs only"));
        }
        ours.nodes.extend(theirs.nodes);
        ours.user = ours.user.take().or(theirs.user);
        ours.password = ours.password.take().or(theirs.password);
        ours.database = ours.database.take().or(theirs.database);
        ours.tuning = std::mem::take(&mut ours.tuning).over(theirs.tuning);
        ours.broken |= theirs.broken;
    }

    /// Lays the cluster over the database of its name in the file, or adds it. What is absent may stand in a file
    /// that is `broken`.
    fn place(self, databases: &mut Vec<(String, DatabaseLayer)>, broken: bool, findings: &mut Findings) {
        let Self { origin, url } = self;
        let Some(mut url) = url else { return };
        url.broken |= broken;
        // libpq: the database is named like the user unless it is named.
        url.database = url.database.or_else(|| url.user.clone());
        let Some(name) = url.database.clone() else {
            if !url.broken {
                let advice = "Write it as postgres://user:password@host/database";
                findings.mistake(&origin, Problem::new("neither a user nor a database is given", advice));
            }
            return;
        };
        let layer = url.into_layer(&origin);
        if let Some((_, below)) = databases.iter_mut().find(|(known, _)| *known == name) {
            *below = layer.over(below.clone());
            return;
        }
        if !databases.is_empty() {
            findings.warn(
                &origin,
                format_args!("the file has no database {name}, so it is added to those there"),
            );
        }
        databases.push((name, layer));
    }
}

fn differ<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
    matches!((a, b), (Some(a), Some(b)) if a != b)
}
