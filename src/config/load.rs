//! The sources, in rising precedence: file, environment, flags.

use std::path::PathBuf;

use super::check;
use super::file::{self, FileLayer};
use super::layer::DatabaseLayer;
use super::mistake::{Findings, Mistakes, Origin, Problem};
use super::node::Role;
use super::notes::{DatabaseTrace, Notes, Trace};
use super::passfile::Fallback;
use super::redact::redact_url;
use super::secret::Secret;
use super::settings::Settings;
use super::top::TopLayer;
use super::topology::Place;
use super::url::{self, Url};
use super::variables::{SecretFiles, SecretVariable, with_files};

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
    /// Variables whose secret is in a file: `DATABASE_URL_FILE` and the like. The files are read with each load.
    pub files: SecretFiles,
    /// `PGPASSFILE`: for users whose password is not even in `PGPASSWORD`.
    pub passfile: Option<PathBuf>,
    /// `HOME`, in which the password file is sought where `PGPASSFILE` is not said.
    pub home: Option<PathBuf>,
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
    /// `TIDEGATE_ADMIN_OPEN` or `--admin-open`.
    pub admin_open: Option<String>,
    /// `TIDEGATE_ADMIN_TOKEN`; there is no flag, which others could read.
    pub admin_token: Option<Secret>,
    /// `TIDEGATE_WORKERS` or `--workers`.
    pub workers: Option<String>,
    /// `TIDEGATE_LOCALITY` or `--locality`.
    pub locality: Option<String>,
    /// `TIDEGATE_LOG` or `--log`.
    pub log: Option<String>,
    /// `TIDEGATE_LOG_FORMAT` or `--log-format`.
    pub log_format: Option<String>,
    /// `TIDEGATE_OTLP_ENDPOINT` or `--otlp-endpoint`.
    pub otlp_endpoint: Option<String>,
    /// `TIDEGATE_TRACE_SAMPLE` or `--trace-sample`.
    pub trace_sample: Option<String>,
    /// `TIDEGATE_CONSOLE_USERS` or `--console-users`, a name each.
    pub console_users: Vec<String>,
    /// `TIDEGATE_CONSOLE_PASSWORD`; there is no flag.
    pub console_password: Option<Secret>,
    /// `TIDEGATE_PEER_ID` or `--peer-id`.
    pub peer_id: Option<String>,
    /// `TIDEGATE_SSL` or `--ssl`.
    pub ssl: Option<String>,
    /// `TIDEGATE_SSL_CERT_FILE` or `--ssl-cert-file`.
    pub ssl_cert_file: Option<String>,
    /// `TIDEGATE_SSL_KEY_FILE` or `--ssl-key-file`.
    pub ssl_key_file: Option<String>,
    /// `TIDEGATE_SSL_CA_FILE` or `--ssl-ca-file`.
    pub ssl_ca_file: Option<String>,
    /// `TIDEGATE_SSL_CRL_FILE` or `--ssl-crl-file`.
    pub ssl_crl_file: Option<String>,
    /// `TIDEGATE_SSL_MIN_PROTOCOL_VERSION` or `--ssl-min-protocol-version`.
    pub ssl_min_protocol_version: Option<String>,
}

impl Sources {
    /// Whether no database is named anywhere.
    pub fn is_empty(&self) -> bool {
        let names_none =
            |given: &Given| given.url.is_none() && given.primaries.is_empty() && given.replicas.is_empty();
        let in_file = self.files.iter().any(|(variable, _)| *variable == SecretVariable::DatabaseUrl);
        self.file.is_none() && !in_file && names_none(&self.env) && names_none(&self.flags)
    }

    /// What the command line shows to every user of the machine, if it shows a password: a sentence.
    pub fn exposed(&self) -> Option<String> {
        let Given { url, primaries, replicas, .. } = &self.flags;
        let urls = url.iter().chain(primaries).chain(replicas);
        urls.map(Secret::expose).find(|url| url::has_password(url)).map(|url| {
            format!(
                "every user of this machine can read the password of {} in the list of processes; give the URL with \
                 DATABASE_URL_FILE, DATABASE_URL or --config, or leave its password to PGPASSWORD or a passfile",
                redact_url(url)
            )
        })
    }
}

/// Reads and checks everything that was said. The only I/O is reading the file and the password files it names.
pub fn load(sources: &Sources) -> Result<Settings, Mistakes> {
    traced(sources).map(|(settings, _)| settings)
}

/// As [`load`], with what was said where.
pub fn traced(sources: &Sources) -> Result<(Settings, Trace), Mistakes> {
    let mut findings = Findings::default();
    let (sources, lacks_url) = &with_files(sources, &mut findings);
    let file = sources.file.as_ref().map(|path| file::read(path, &mut findings));
    merge(file, sources, *lacks_url, findings)
}

/// What [`load`] makes of a file with this text.
#[cfg(fuzzing)]
pub fn load_text(text: &str, sources: &Sources) -> Result<Settings, Mistakes> {
    let mut findings = Findings::default();
    let file = file::parse(std::path::Path::new("tidegate.toml"), text, &mut findings);
    merge(Some(file), sources, false, findings).map(|(settings, _)| settings)
}

fn merge(
    file: Option<FileLayer>,
    sources: &Sources,
    lacks_url: bool,
    mut findings: Findings,
) -> Result<(Settings, Trace), Mistakes> {
    let FileLayer { top, said, mut databases, broken } = file.unwrap_or_default();
    let broken = broken || lacks_url;
    let (env, said_env) =
        top_layer(&sources.env, |key| format!("TIDEGATE_{}", key.to_ascii_uppercase()), &mut findings);
    let (flags, said_flags) =
        top_layer(&sources.flags, |key| format!("--{}", key.replace('_', "-")), &mut findings);
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
    let trace = Trace {
        top: said_flags.over(said_env).over(said),
        databases: databases.iter().map(|(_, layer)| DatabaseTrace::of(layer)).collect(),
    };
    let Sources { pg_password, passfile, home, .. } = sources;
    let fallback = Fallback::new(pg_password.as_ref(), passfile.as_deref(), home.as_deref());
    let settings = check::settings(top, databases, fallback, &mut findings);
    Ok((Settings { warnings: findings.into_warnings()?, ..settings }, trace))
}

fn top_layer(given: &Given, name: impl Fn(&str) -> String, findings: &mut Findings) -> (TopLayer, Notes) {
    let (mut layer, mut said_so) = (TopLayer::default(), Notes::default());
    let single = [
        ("admin", &given.admin),
        ("admin_open", &given.admin_open),
        ("workers", &given.workers),
        ("locality", &given.locality),
        ("log", &given.log),
        ("log_format", &given.log_format),
        ("otlp_endpoint", &given.otlp_endpoint),
        ("trace_sample", &given.trace_sample),
        ("peer_id", &given.peer_id),
        ("ssl", &given.ssl),
        ("ssl_cert_file", &given.ssl_cert_file),
        ("ssl_key_file", &given.ssl_key_file),
        ("ssl_ca_file", &given.ssl_ca_file),
        ("ssl_crl_file", &given.ssl_crl_file),
        ("ssl_min_protocol_version", &given.ssl_min_protocol_version),
    ];
    let said = single.into_iter().filter_map(|(key, value)| Some((key, value.as_ref()?)));
    let listed = given.listen.iter().map(|value| ("listen", value));
    let listed = listed.chain(given.console_users.iter().map(|value| ("console_users", value)));
    for (key, value) in listed.chain(said) {
        let (result, origin) = (layer.set(key, value), Origin::new(name(key)));
        findings.keep(&origin, result);
        said_so.say(key, value, &origin);
    }
    let secrets = [("console_password", &given.console_password), ("admin_token", &given.admin_token)];
    for (key, secret) in secrets.into_iter().filter_map(|(key, secret)| Some((key, secret.clone()?))) {
        let (result, origin) = (layer.set_secret(key, secret), Origin::new(name(key)));
        findings.keep(&origin, result);
        said_so.hide(key, &origin);
    }
    (layer, said_so)
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
        ours.said = std::mem::take(&mut ours.said).over(theirs.said);
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
