//! Every setting as it is in force, for people: names as in the file, values as they could stand there, and no secret.

use std::path::Path;
use std::time::Duration;

use super::layer::Tuning;
use super::load::{Given, Sources, load};
use super::reference::NEEDS_RESTART;
use super::secret::Secret;
use super::settings::{DatabaseSettings, Settings, UserSettings};
use super::top::TopLayer;
use super::topology::NodeSource;

/// What stands in the place of a secret.
const HIDDEN: &str = "…";
/// Where nothing was said.
const NONE: &str = "";

/// A setting and its value.
type Item = (&'static str, String);

/// A setting as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// `log`, or `database.app.pool_mode`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// What holds where nothing is said; `None`: what is named only by whoever sets it.
    pub default: Option<String>,
    /// Whether it can be changed while the proxy runs.
    pub is_changeable: bool,
}

/// All of them.
pub fn listing(settings: &Settings) -> Vec<Listed> {
    let defaults = defaults();
    let find = |items: &[Item], key: &str| {
        items.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone())
    };
    let top_defaults = defaults.as_ref().map(top).unwrap_or_default();
    let mut all: Vec<_> = top(settings)
        .into_iter()
        .map(|(key, value)| listed(key, key.to_owned(), value, find(&top_defaults, key)))
        .collect();
    let of_defaults = defaults.as_ref().and_then(|settings| settings.databases.first());
    let of_defaults = of_defaults.map(of_database).unwrap_or_default();
    for database in &settings.databases {
        let name = |key: &str| format!("database.{}.{key}", database.name);
        all.extend(places(database).map(|(key, value)| listed(key, name(key), value, None)));
        let items = of_database(database).into_iter();
        all.extend(items.map(|(key, value)| listed(key, name(key), value, find(&of_defaults, key))));
        for user in &database.users {
            let name = |key: &str| format!("database.{}.user.{}.{key}", database.name, user.name);
            all.extend(
                of_user(database, user)
                    .map(|(key, value, of_database)| listed(key, name(key), value, Some(of_database))),
            );
        }
    }
    all
}

fn listed(key: &str, name: String, value: String, default: Option<String>) -> Listed {
    Listed { key: name, value, default, is_changeable: !NEEDS_RESTART.contains(&key) }
}

/// What holds where nothing is said.
fn defaults() -> Option<Settings> {
    let url = Some(Secret::new("postgres://nobody:nothing@localhost/nothing"));
    load(&Sources { env: Given { url, ..Given::default() }, ..Sources::default() }).ok()
}

fn top(settings: &Settings) -> Vec<Item> {
    let (admission, tls) = (&settings.admission, &settings.tls);
    let failures = admission.failures.unwrap_or_default();
    let file = |key| said(&settings.said, key);
    let path = |path: Option<&Path>| path.map(|path| path.display().to_string()).unwrap_or_default();
    let certificate = tls.certificate.as_ref();
    vec![
        ("listen", joined(&settings.listen)),
        ("admin", shown(settings.admin.as_ref(), "off")),
        ("admin_open", settings.admin_open.map_or(NONE, super::AdminOpen::as_str).to_owned()),
        ("admin_token", hidden(settings.admin_token.is_some())),
        ("workers", shown(settings.workers.as_ref(), NONE)),
        ("locality", settings.locality.clone().unwrap_or_default()),
        ("log", settings.log.clone()),
        ("log_format", settings.log_format.to_string()),
        ("log_statements", settings.log_statements.to_string()),
        ("otlp_endpoint", shown(settings.spans.as_ref().map(|spans| &spans.endpoint), "off")),
        ("trace_sample", settings.spans.as_ref().map(|spans| spans.sample).unwrap_or_default().to_string()),
        ("shutdown_timeout", time(settings.shutdown_timeout)),
        ("shutdown_delay", time(settings.shutdown_delay)),
        ("upgrade_timeout", time(settings.upgrade_timeout)),
        ("console_users", joined(settings.console_users.iter().map(|user| &user.name))),
        ("console_password", hidden(settings.console_users.iter().any(|user| user.is_own))),
        ("peer_id", shown(settings.peer_id.as_ref(), NONE)),
        ("peers", joined(&settings.peers)),
        ("ssl", tls.ssl.to_string()),
        ("ssl_cert_file", path(certificate.map(|files| &*files.certificate))),
        ("ssl_key_file", path(certificate.map(|files| &*files.key))),
        ("ssl_ca_file", path(tls.authorities.as_deref())),
        ("ssl_crl_file", path(tls.revocation_lists.as_deref())),
        ("ssl_min_protocol_version", tls.oldest.to_string()),
        ("sni", joined(tls.names.iter().map(|sni| &sni.name))),
        ("hba_file", file("hba_file")),
        ("ident_file", file("ident_file")),
        ("authentication_timeout", time(admission.authentication_timeout)),
        ("auth_failure_limit", admission.failures.map_or(0, |failures| failures.limit).to_string()),
        ("auth_failure_window", time(failures.window)),
        ("auth_failure_delay", time(failures.delay)),
        ("max_unauthenticated_clients", admission.max_unauthenticated_clients.to_string()),
        ("max_connections_per_address", number(admission.max_connections_per_address)),
    ]
}

/// Where a database is, and who may come: what has no default.
fn places(database: &DatabaseSettings) -> impl Iterator<Item = Item> {
    let nodes = match &database.topology.source {
        NodeSource::Hosts(_) => joined(&database.nodes),
        NodeSource::Patroni(hosts) => format!("patroni: {}", joined(hosts)),
    };
    let users = joined(database.users.iter().map(|user| &user.name));
    [("dbname", database.server_name.clone()), ("nodes", nodes), ("user", users)].into_iter()
}

fn of_database(database: &DatabaseSettings) -> Vec<Item> {
    let DatabaseSettings { pool, accounts, topology, health, server_tls, .. } = database;
    let text = |key| said(&database.said, key);
    let (application, options): (Vec<_>, Vec<_>) =
        database.server_settings.iter().partition(|(name, _)| name == "application_name");
    let mut items = vec![
        ("connection_limit", pool.connection_limit.to_string()),
        ("pool_timeout", limit(pool.pool_timeout, "0")),
        ("connect_timeout", time(pool.connect_timeout)),
        ("passfile", text("passfile")),
        ("application_name", application.first().map(|(_, value)| value.clone()).unwrap_or_default()),
        // A setting of an application's own may hold anything.
        (
            "options",
            options.iter().map(|(name, _)| format!("-c {name}={HIDDEN}")).collect::<Vec<_>>().join(" "),
        ),
    ];
    items.extend(super::server_tls::KEYS.map(|key| {
        let value = match key {
            "sslmode" => server_tls.mode.to_string(),
            "sslnegotiation" => server_tls.negotiation.to_string(),
            "channel_binding" => server_tls.channel_binding.to_string(),
            kept_as_said => text(kept_as_said),
        };
        (key, value)
    }));
    items.extend([
        ("mode", database.mode.to_string()),
        ("pool_mode", pool.mode.to_string()),
        ("consistency", database.consistency.to_string()),
        ("scope", database.scope.to_string()),
        ("on_stale", database.on_stale.to_string()),
        ("locked_settings", database.locked_settings.to_string()),
        ("primary_read_limit", number(database.primary_read_limit)),
        ("primary_read_overflow", database.primary_read_overflow.to_string()),
        ("client_auth", database.client_auth.to_string()),
        ("auth_query", accounts.query.clone().unwrap_or_else(|| "off".to_owned())),
        ("auth_user", accounts.user.clone().unwrap_or_default()),
        ("auth_ttl", time(accounts.ttl)),
        ("auth_file", text("auth_file")),
        ("user_limit", accounts.limit.to_string()),
        ("max_clients", database.max_clients.to_string()),
        ("prepared_statements_per_server", database.prepared_per_server.to_string()),
        ("startup_timeout", time(database.startup_timeout)),
        ("failover_timeout", time(pool.failover_timeout)),
    ]);
    items.extend(limits(&database.limits));
    items.extend([
        ("database_connection_limit", number(pool.database_connection_limit)),
        ("dns_interval", limit(topology.dns_interval, "off")),
        ("patroni_interval", time(topology.patroni_interval)),
        ("discover_replicas", topology.discovery.is_some().to_string()),
        ("discovered_port", topology.discovery.and_then(|found| found.port).unwrap_or(0).to_string()),
        ("slow_start", time(health.slow_start)),
        ("max_replica_lag", limit(health.max_lag, "off")),
        ("max_error_percent", shown(health.max_error_percent.as_ref(), "off")),
        ("max_latency_factor", shown(health.latency_factor.as_ref(), "off")),
        ("max_holdback", time(health.max_holdback)),
        ("rules", database.rules.len().to_string()),
    ]);
    items
}

fn limits(limits: &super::LimitSettings) -> [Item; 9] {
    [
        ("query_timeout", limit(limits.query_timeout, "off")),
        ("idle_in_transaction_timeout", limit(limits.idle_in_transaction_timeout, "off")),
        ("client_idle_timeout", limit(limits.client_idle_timeout, "off")),
        ("server_lifetime", limit(limits.server_lifetime, "off")),
        ("server_idle_timeout", limit(limits.server_idle_timeout, "off")),
        ("long_pin", limit(limits.long_pin, "off")),
        ("slow_statement", limit(limits.slow_statement, "off")),
        ("max_user_client_connections", number(limits.max_client_connections)),
        ("min_connections", limits.min_connections.to_string()),
    ]
}

/// What is said of a user that differs from what holds for its database: key, value, and that.
fn of_user(
    database: &DatabaseSettings,
    user: &UserSettings,
) -> impl Iterator<Item = (&'static str, String, String)> {
    let tuning = &user.tuning;
    let promised = [
        ("consistency", tuning.consistency.map(|level| level.to_string()), database.consistency.to_string()),
        ("scope", tuning.scope.map(|scope| scope.to_string()), database.scope.to_string()),
        ("on_stale", tuning.on_stale.map(|stale| stale.to_string()), database.on_stale.to_string()),
        (
            "locked_settings",
            tuning.locked_settings.map(|locked| locked.to_string()),
            database.locked_settings.to_string(),
        ),
    ];
    let promised = promised.into_iter().filter_map(|(key, own, of_all)| Some((key, own?, of_all)));
    let own = limits(&user.limits).into_iter().zip(limits(&database.limits));
    promised
        .chain(own.filter(|(own, of_all)| own != of_all).map(|((key, own), (_, of_all))| (key, own, of_all)))
}

/// Settings of which only the effect is kept, as they were said; those of a database.
pub(super) fn said_of_database(tuning: &Tuning) -> Vec<Item> {
    let path = tuning.passfile.as_ref().map(|path| path.display().to_string());
    let version = |said: Option<super::server_tls::Version>, default: &str| {
        Some(said.map_or_else(|| default.to_owned(), |version| version.to_string()))
    };
    let all = [
        ("passfile", path),
        ("auth_file", tuning.auth_file.clone()),
        ("sslrootcert", tuning.sslrootcert.clone()),
        ("sslcert", tuning.sslcert.clone()),
        ("sslkey", tuning.sslkey.clone()),
        ("sslcrl", tuning.sslcrl.clone()),
        ("sslsni", Some(u8::from(tuning.sslsni.unwrap_or(true)).to_string())),
        ("ssl_min_protocol_version", version(tuning.ssl_min_protocol_version, "TLSv1.2")),
        ("ssl_max_protocol_version", version(tuning.ssl_max_protocol_version, "TLSv1.3")),
    ];
    all.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

/// The same of the whole proxy.
pub(super) fn said_of_top(layer: &TopLayer) -> Vec<Item> {
    let all = [("hba_file", &layer.hba_file), ("ident_file", &layer.ident_file)];
    all.into_iter().filter_map(|(key, path)| Some((key, path.as_ref()?.display().to_string()))).collect()
}

fn said(all: &[Item], key: &str) -> String {
    all.iter().find(|(known, _)| *known == key).map(|(_, value)| value.clone()).unwrap_or_default()
}

fn hidden(is_set: bool) -> String {
    if is_set { HIDDEN } else { NONE }.to_owned()
}

fn joined<T: ToString>(all: impl IntoIterator<Item = T>) -> String {
    all.into_iter().map(|one| one.to_string()).collect::<Vec<_>>().join(", ")
}

fn shown<T: ToString>(value: Option<&T>, none: &str) -> String {
    value.map_or_else(|| none.to_owned(), ToString::to_string)
}

/// Zero stands for "any number".
fn number(limit: Option<usize>) -> String {
    limit.unwrap_or(0).to_string()
}

fn limit(limit: Option<Duration>, none: &str) -> String {
    limit.map_or_else(|| none.to_owned(), time)
}

/// In the largest unit that leaves a whole number.
fn time(time: Duration) -> String {
    let millis = time.as_millis();
    for (unit, length) in [("h", 3_600_000), ("min", 60_000), ("s", 1_000)] {
        if millis > 0 && millis.is_multiple_of(length) {
            return format!("{}{unit}", millis / length);
        }
    }
    if millis == 0 { "0s".to_owned() } else { format!("{millis}ms") }
}
