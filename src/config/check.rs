//! From layers laid over each other to checked values: what only shows when everything is known.

use super::access;
use super::accounts::AccountSettings;
use super::admin;
use super::admission::AdmissionSettings;
use super::console;
use super::health;
use super::layer::{DatabaseLayer, RuleLayer, Tuning, UserLayer};
use super::limits::LimitSettings;
use super::listen::{ListenAddress, check_directory, clash};
use super::listing;
use super::mistake::{Findings, Origin, Problem};
use super::node::{NodeSettings, Role};
use super::passfile::{Fallback, Login};
use super::peers;
use super::rule::RuleSettings;
use super::server_tls::server_tls;
use super::settings::{
    ClientAuth, DEFAULT_ADMIN, DEFAULT_LISTEN, DEFAULT_LOG, DEFAULT_MAX_CLIENTS, DEFAULT_PREPARED_PER_SERVER,
    DEFAULT_SHUTDOWN_DELAY, DEFAULT_SHUTDOWN_TIMEOUT, DEFAULT_STARTUP_TIMEOUT, DEFAULT_UPGRADE_TIMEOUT,
    DatabaseSettings, PoolSettings, Settings, SpanSettings, UserSettings,
};
use super::tls;
use super::top::{Admin, TopLayer};
use super::topology::{NodeSource, Place, TopologySettings};
use crate::auth::Stored;
use std::net::SocketAddr;

/// Checks everything and fills in defaults. The warnings are left to the caller.
pub(super) fn settings(
    mut top: TopLayer,
    databases: Vec<(String, DatabaseLayer)>,
    mut fallback: Fallback<'_>,
    findings: &mut Findings,
) -> Settings {
    let tls = tls::settings(&mut top, findings);
    let access = access::read(&top, findings);
    let is_ruled = top.hba_file.is_some();
    let said = listing::said_of_top(&top);
    let admission = AdmissionSettings::of(&top);
    let listen = top.listen.unwrap_or_else(|| vec![ListenAddress::Tcp(DEFAULT_LISTEN)]);
    let admin = match top.admin.unwrap_or(Admin::At(DEFAULT_ADMIN)) {
        Admin::Off => None,
        Admin::At(address) => Some(address),
    };
    let mut databases: Vec<DatabaseSettings> = databases
        .into_iter()
        .map(|(name, mut layer)| {
            access::check_database(is_ruled, &mut layer, findings);
            database(name, layer, &mut fallback, findings)
        })
        .collect();
    if let Some(locality) = &top.locality {
        place(locality, &mut databases, findings);
    }
    addresses(&listen, admin, &databases, findings);
    if let Some(access) = &access {
        access::warn(access, &listen, findings);
    }
    if let Some(admin) = admin {
        admin::check(admin, top.admin_token.as_ref(), top.admin_open, findings);
    }
    let others = top.peers.unwrap_or_default();
    peers::check(top.peer_id, &others, &listen, findings);
    let spans = top.otlp_endpoint.flatten();
    let sample = top.trace_sample.unwrap_or_default();
    let spans = spans.map(|endpoint| SpanSettings { endpoint, sample });
    let console_users =
        console::users(top.console_users, top.console_password.as_ref(), &databases, &listen, findings);
    Settings {
        listen,
        admin,
        admin_open: top.admin_open,
        admin_token: top.admin_token,
        workers: top.workers,
        locality: top.locality,
        log: top.log.unwrap_or_else(|| DEFAULT_LOG.to_owned()),
        log_format: top.log_format.unwrap_or_default(),
        spans,
        databases,
        warnings: Vec::new(),
        shutdown_timeout: top.shutdown_timeout.unwrap_or(DEFAULT_SHUTDOWN_TIMEOUT),
        shutdown_delay: top.shutdown_delay.unwrap_or(DEFAULT_SHUTDOWN_DELAY),
        upgrade_timeout: top.upgrade_timeout.unwrap_or(DEFAULT_UPGRADE_TIMEOUT),
        log_statements: top.log_statements.unwrap_or(false),
        console_users,
        peer_id: top.peer_id,
        peers: others,
        tls,
        access,
        admission,
        said,
    }
}

/// Finds out which nodes are where the proxy is.
fn place(locality: &str, databases: &mut [DatabaseSettings], findings: &mut Findings) {
    for database in databases {
        for node in &mut database.nodes {
            node.is_near = node.zone.as_deref() == Some(locality);
        }
        if let NodeSource::Hosts(hosts) = &mut database.topology.source {
            hosts.clone_from(&database.nodes);
        }
        if !database.nodes.iter().any(|node| node.is_near) {
            let warning = format!("no node of database {} is in the zone {locality}", database.name);
            findings.warn(&Origin::new("locality"), warning);
        }
    }
}

fn addresses(
    listen: &[ListenAddress],
    admin: Option<SocketAddr>,
    databases: &[DatabaseSettings],
    findings: &mut Findings,
) {
    let origin = Origin::new("listen");
    for (index, address) in listen.iter().enumerate() {
        if let Some(other) = listen[..index].iter().find(|other| address.clashes_with(other)) {
            let problem = format!("the addresses {other} and {address} cannot be taken both");
            findings.mistake(&origin, Problem::new(problem, "Leave one out"));
        }
        findings.keep(&origin, check_directory(address));
    }
    let taken =
        |admin: &SocketAddr| listen.iter().filter_map(ListenAddress::tcp).find(|other| clash(admin, other));
    if let Some((admin, other)) = admin.and_then(|admin| Some((admin, taken(&admin)?))) {
        let problem = format!("its address {admin} is taken by listen ({other})");
        findings.mistake(&Origin::new("admin"), Problem::new(problem, "Give it another port, or say off"));
    }
    let trusting = databases.iter().find(|database| database.client_auth == ClientAuth::Trust);
    if let (Some(database), Some(open)) =
        (trusting, listen.iter().find(|address| address.is_open_to_others()))
    {
        let warning =
            format!("{open} can be reached from other machines and {} asks for no password", database.name);
        findings.warn(&Origin::new("client_auth"), warning);
    }
}

fn database(
    name: String,
    layer: DatabaseLayer,
    fallback: &mut Fallback<'_>,
    findings: &mut Findings,
) -> DatabaseSettings {
    let DatabaseLayer { origin, broken, server_name, nodes, mut users, rules, tuning, said: _ } = layer;
    let accounts = AccountSettings::of(&tuning, &mut users, &origin, findings);
    let (nodes, place, nodes_origin) = match nodes {
        Some(layer) => (layer.nodes, layer.place, layer.origin),
        None => (Vec::new(), Place::Servers, origin.clone()),
    };
    if !broken {
        check_presence(&origin, &nodes, &users, findings);
    }
    check_nodes(&nodes_origin, &nodes, findings);
    check_rules(&rules, &users, &accounts, findings);
    let topology = TopologySettings::of(&tuning, place, nodes, &origin, findings);
    let client_auth = tuning.client_auth.unwrap_or_default();
    let server_name = server_name.unwrap_or_else(|| name.clone());
    let nodes = topology.known();
    let is_looked_up = accounts.query.is_some();
    let askers = [users.first().map(|user| user.name.clone()), accounts.user.clone()];
    let said = Said { tuning: &tuning, may_lack: broken || is_looked_up };
    let user = |mut layer: UserLayer| {
        // Whoever is looked up has a password of its own, on the server.
        let may_fall_back = !is_looked_up || askers.contains(&Some(layer.name.clone()));
        if layer.password.is_none() && may_fall_back {
            let passfile = tuning.passfile.as_deref();
            let login = Login { passfile, nodes: &nodes, database: &server_name, user: &layer.name };
            layer.password = fallback.password(&login, &layer.origin, findings);
        }
        user(layer, &said, findings)
    };
    let users: Vec<_> = users.into_iter().map(user).collect();
    // A certificate may be enough for the servers.
    if !broken && tuning.sslcert.is_none() {
        accounts.check_askers(&users, client_auth, &origin, findings);
    }
    let database_connection_limit = tuning.database_connection_limit.filter(|limit| *limit > 0);
    check_least(&origin, database_connection_limit, &users, findings);
    let health = health::limits(&tuning);
    let server_tls = server_tls(&tuning, &origin, findings);
    let limits = LimitSettings::of(&tuning);
    let kept = listing::said_of_database(&tuning);
    let server_settings = server_settings(&origin, tuning.application_name, tuning.options, findings);
    let defaults = PoolSettings::default();
    DatabaseSettings {
        server_name,
        name,
        nodes,
        topology,
        users,
        accounts,
        limits,
        pool: PoolSettings {
            mode: tuning.pool_mode.unwrap_or(defaults.mode),
            database_connection_limit,
            connection_limit: tuning.connection_limit.unwrap_or(defaults.connection_limit),
            pool_timeout: tuning
                .pool_timeout
                .map_or(defaults.pool_timeout, |wait| Some(wait).filter(|w| !w.is_zero())),
            connect_timeout: tuning.connect_timeout.unwrap_or(defaults.connect_timeout),
            failover_timeout: tuning.failover_timeout.unwrap_or(defaults.failover_timeout),
        },
        server_tls,
        consistency: tuning.consistency.unwrap_or_default(),
        scope: tuning.scope.unwrap_or_default(),
        mode: tuning.mode.unwrap_or_default(),
        on_stale: tuning.on_stale.unwrap_or_default(),
        locked_settings: tuning.locked_settings.unwrap_or_default(),
        primary_read_limit: tuning.primary_read_limit.filter(|limit| *limit > 0),
        primary_read_overflow: tuning.primary_read_overflow.unwrap_or_default(),
        client_auth,
        max_clients: tuning.max_clients.unwrap_or(DEFAULT_MAX_CLIENTS),
        prepared_per_server: tuning.prepared_statements_per_server.unwrap_or(DEFAULT_PREPARED_PER_SERVER),
        startup_timeout: tuning.startup_timeout.unwrap_or(DEFAULT_STARTUP_TIMEOUT),
        health,
        server_settings,
        rules: rules.into_iter().map(|layer| layer.rule).collect(),
        said: kept,
    }
}

fn check_presence(origin: &Origin, nodes: &[NodeSettings], users: &[UserLayer], findings: &mut Findings) {
    if nodes.is_empty() {
        let advice = "Name the servers between @ and /, as in postgres://user:password@pg1,pg2/database";
        findings.mistake(origin, Problem::new("no host is given", advice));
    }
    if users.is_empty() {
        let advice =
            "Write it as postgres://user:password@host/database, or add a section [database.NAME.user.USER]";
        findings.mistake(origin, Problem::new("no user is given", advice));
    }
}

/// What the users are to have at least must fit into what they may have together.
fn check_least(origin: &Origin, limit: Option<usize>, users: &[UserSettings], findings: &mut Findings) {
    let least: usize = users.iter().map(|user| user.limits.min_connections).sum();
    if let Some(limit) = limit.filter(|limit| least > *limit) {
        let problem =
            format!("its users are to have {least} connections at least and {limit} at most together");
        let advice = "Raise database_connection_limit, or lower min_connections";
        findings.mistake(&origin.inside("database_connection_limit"), Problem::new(problem, advice));
    }
}

fn check_nodes(origin: &Origin, nodes: &[NodeSettings], findings: &mut Findings) {
    for (index, node) in nodes.iter().enumerate() {
        if nodes[..index].iter().any(|other| other.host == node.host && other.port == node.port) {
            findings.mistake(origin, Problem::new(format!("the host {node} is given twice"), "Give it once"));
        }
    }
    let names = |role| {
        let with_role = nodes.iter().filter(move |node| node.declared == Some(role));
        with_role.map(ToString::to_string).collect::<Vec<_>>()
    };
    let primaries = names(Role::Primary);
    if primaries.len() > 1 {
        let problem = format!("two primaries are declared: {}", primaries.join(" and "));
        findings.mistake(origin, Problem::new(problem, "Declare one, and the others as replicas"));
    }
    if !nodes.is_empty() && names(Role::Replica).len() == nodes.len() {
        let advice = "Declare the primary too, with --primary or role = \"primary\"";
        findings.mistake(origin, Problem::new("every node is declared a replica", advice));
    }
}

/// A rule for somebody who cannot log in is no mistake: users come and go.
fn check_rules(
    rules: &[RuleLayer],
    users: &[UserLayer],
    accounts: &AccountSettings,
    findings: &mut Findings,
) {
    let is_known = |name: &String| {
        accounts.query.is_some()
            || accounts.listed.contains_key(name)
            || users.iter().any(|user| user.name == *name)
    };
    for RuleLayer { rule, origin } in rules {
        let RuleSettings::Statements(rule) = rule else { continue };
        for name in rule.users.iter().filter(|name| !is_known(name)) {
            let warning = format!("nobody can log in as the user {name}, so the rule never holds for it");
            findings.warn(origin, warning);
        }
    }
}

/// What is said of all users of a database.
struct Said<'a> {
    tuning: &'a Tuning,
    /// Whether a password may be missing: it stands in what could not be read, or is looked up.
    may_lack: bool,
}

fn user(layer: UserLayer, said: &Said<'_>, findings: &mut Findings) -> UserSettings {
    let Said { tuning: database, may_lack } = *said;
    let UserLayer { name, password, tuning, limits, said: _, origin } = layer;
    let client_auth = database.client_auth.unwrap_or_default();
    if password.is_none() && client_auth.needs_password() && !may_lack {
        let advice = "Put it into the URL (user:password@host), into PGPASSWORD, into a passfile, or into password_file in the file; \
                      to let everyone in without one, say tidegate_client_auth=trust";
        findings.mistake(&origin, Problem::new(format!("the user {name} has no password"), advice));
    }
    let limits = LimitSettings::of(&limits.over(database.clone()));
    let most = database.connection_limit.unwrap_or(PoolSettings::default().connection_limit);
    if limits.min_connections > most {
        let problem = format!(
            "the user {name} is to have {} connections at least and {most} at most",
            limits.min_connections
        );
        let advice = "Raise connection_limit, or lower min_connections";
        findings.mistake(&origin.inside("min_connections"), Problem::new(problem, advice));
    }
    // What PostgreSQL itself takes for a kept password is none.
    let (stored, password) = match password {
        Some(text) if Stored::read(text.expose()).is_some() => (Some(text), None),
        password => (None, password),
    };
    UserSettings { name, password, stored, tuning, limits }
}

fn server_settings(
    origin: &Origin,
    application_name: Option<String>,
    options: Option<Vec<(String, String)>>,
    findings: &mut Findings,
) -> Vec<(String, String)> {
    const NAME: &str = "application_name";
    let mut settings = options.unwrap_or_default();
    if let Some(name) = application_name {
        if settings.iter().any(|(known, value)| known.eq_ignore_ascii_case(NAME) && *value != name) {
            let problem =
                Problem::new("the options set application_name too, to something else", "Say it once");
            findings.mistake(&origin.inside(NAME), problem);
        }
        settings.retain(|(known, _)| !known.eq_ignore_ascii_case(NAME));
        settings.insert(0, (NAME.to_owned(), name));
    }
    settings
}
