//! Sections `[databases]` and `[users]`.

use super::ini::{Entry, pairs};
use super::known::{DATABASE, USER};
use super::listing::Listing;
use super::login::Login;
use super::plan::{Database, Group, Plan, Settings, Value};
use super::session::settings;
use super::top::protocols;
use super::translate::{Said, Sections, Wishes, convert, judge, shown, take};
use super::values::{PAIRS, counterpart};

/// Names of servers' settings that a database can have.
const SESSION: [&str; 2] = ["datestyle", "timezone"];

/// A line of `[databases]`.
pub(super) struct Line<'a> {
    pub(super) entry: &'a Entry,
    pub(super) pairs: Vec<(String, String)>,
}

impl Line<'_> {
    /// What it says of a setting; what was said last counts.
    pub(super) fn get(&self, name: &str) -> Option<Said<'_>> {
        let (_, value) = self.pairs.iter().rev().find(|(key, _)| key == name)?;
        Some(Said { value, place: Some(&self.entry.place) })
    }
}

/// All of them.
pub(super) fn databases(sections: &Sections<'_>, listing: &Listing, wishes: &Wishes, plan: &mut Plan) {
    let shared = shared(sections, plan);
    let login = Login::of(sections, listing, plan);
    let common = Common { sections, shared, login, wishes };
    let mut fallback = None;
    for entry in &sections.databases {
        let pairs = match pairs(&entry.value) {
            Ok(pairs) => pairs,
            Err(problem) => {
                plan.say(Group::Look, &entry.key, Some(&entry.place), format!("{problem}: it is left out"));
                continue;
            }
        };
        let of = &entry.key;
        let line = Line { entry, pairs };
        for (name, value) in &line.pairs {
            judge(DATABASE, name, value, &entry.place, of, plan);
        }
        if of == "*" {
            fallback = Some(line);
        } else {
            add(of, &line, &common, plan);
        }
    }
    if let Some(line) = fallback {
        for name in &wishes.databases {
            if plan.databases.iter().all(|database| database.name != *name) {
                add(name, &line, &common, plan);
            }
        }
        let text = "databases are named here, there is none for all other names: say --database NAME for each that clients ask \
                    for, or copy a section";
        plan.say(Group::Missing, "*", Some(&line.entry.place), text);
    }
    if plan.databases.is_empty() {
        let text =
            "there is no database, and nothing can be served without one: add a section [database.NAME]";
        plan.say(Group::Look, "[databases]", None, text);
    }
    alike(plan);
}

/// What `[pgbouncer]` says of all databases.
fn shared(sections: &Sections<'_>, plan: &mut Plan) -> Settings {
    let mut shared = Settings::default();
    for pair in PAIRS {
        let implied = pair.implied.map(|value| Said { value, place: None });
        if let Some(said) = sections.proxy(pair.theirs).or(implied) {
            // One that is 0 takes nothing away from one that says the same otherwise.
            if pair.theirs != "max_db_client_connections" || said.value != "0" {
                convert(pair, said, "", &mut shared, plan);
            }
        }
    }
    let mode = sections.proxy("server_tls_sslmode");
    match mode.filter(|said| said.value == "prefer") {
        Some(said) => plan.say(Group::Same, "server_tls_sslmode", said.place, "sslmode is prefer by default"),
        None => take("server_tls_sslmode", "sslmode", mode, &mut shared, plan),
    }
    for (theirs, ours) in [
        ("server_tls_ca_file", "sslrootcert"),
        ("server_tls_cert_file", "sslcert"),
        ("server_tls_key_file", "sslkey"),
    ] {
        take(theirs, ours, sections.proxy(theirs), &mut shared, plan);
    }
    if let Some(said) = sections.proxy("server_tls_protocols") {
        let (oldest, newest) = protocols(said.value);
        let mut is_said = false;
        for (ours, version, default) in
            [("ssl_min_protocol_version", oldest, "TLSv1.2"), ("ssl_max_protocol_version", newest, "TLSv1.3")]
        {
            if version != default {
                is_said = true;
                take("server_tls_protocols", ours, Some(Said { value: version, ..said }), &mut shared, plan);
            }
        }
        if !is_said {
            plan.say(Group::Same, "server_tls_protocols", said.place, "TLS 1.2 and 1.3 are spoken");
        }
    }
    shared
}

/// What holds for all databases.
struct Common<'a> {
    sections: &'a Sections<'a>,
    shared: Settings,
    login: Login<'a>,
    wishes: &'a Wishes,
}

/// One database, by the name that clients have for it.
fn add(name: &str, line: &Line<'_>, common: &Common<'_>, plan: &mut Plan) {
    let Common { sections, shared, login, wishes } = common;
    let mut database = Database { name: name.to_owned(), settings: Settings::default(), users: Vec::new() };
    let place = Some(&line.entry.place);
    match nodes(line, sections) {
        Ok(nodes) => {
            let value = Value::List(nodes);
            plan.say(Group::Taken, shown("host, port", name), place, format!("nodes = {value}"));
            database.settings.set("nodes", value);
        }
        Err(problem) => plan.say(Group::Look, shown("host", name), place, problem),
    }
    if let Some(said) = line.get("dbname").filter(|said| said.value != name) {
        take("dbname", "dbname", Some(said), &mut database.settings, plan);
    }
    database.settings.fill(shared);
    for (key, _) in &line.pairs {
        if let (Some(pair), Some(said)) = (counterpart(key), line.get(key))
            && !(key == "query_wait_timeout" && said.value == "-1")
        {
            convert(pair, said, name, &mut database.settings, plan);
        }
    }
    session(line, name, &mut database.settings, plan);
    login.of_database(line, &mut database, wishes, plan);
    users(sections, login, &mut database, plan);
    cap(&mut database, plan);
    plan.databases.retain(|known| known.name != name);
    plan.databases.push(database);
}

/// Where it is: by a Unix socket in PgBouncer's own directory where no host is said.
fn nodes(line: &Line<'_>, sections: &Sections<'_>) -> Result<Vec<String>, &'static str> {
    let port = line.get("port").map_or("5432", |said| said.value);
    let host = line.get("host").map(|said| said.value).filter(|host| !host.is_empty());
    let host = host.unwrap_or_else(|| sections.or("unix_socket_dir", "/tmp").value);
    if host.is_empty() || host.starts_with('@') {
        return Err(
            "it is reached by a socket without a file, and there are none here: name the servers with nodes",
        );
    }
    let address = |host: &str| match host {
        host if host.contains(':') && !host.starts_with('/') => format!("[{host}]:{port}"),
        host => format!("{host}:{port}"),
    };
    let mut nodes: Vec<String> = Vec::new();
    for host in host.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        let node = address(host);
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    Ok(nodes)
}

/// What every server connection is told at its start.
fn session(line: &Line<'_>, of: &str, ours: &mut Settings, plan: &mut Plan) {
    let mut options = Vec::new();
    for name in SESSION {
        if let Some(said) = line.get(name).filter(|said| !said.value.is_empty()) {
            options.push((name.to_owned(), said.value.to_owned()));
            plan.say(Group::Taken, shown(name, of), said.place, "options");
        }
    }
    if let Some(said) = line.get("connect_query").filter(|said| !said.value.is_empty()) {
        if let Some(found) = settings(said.value) {
            options.extend(found);
            plan.say(Group::Taken, shown("connect_query", of), said.place, "options");
        } else {
            let text = "no query is run on new server connections, only settings are made (options): let the database or the role have \
                        what it does, by ALTER DATABASE … SET or ALTER ROLE … SET";
            plan.say(Group::Missing, shown("connect_query", of), said.place, text);
        }
    }
    if !options.is_empty() {
        let escaped = |value: &str| value.replace('\\', "\\\\").replace(' ', "\\ ");
        let options: Vec<String> =
            options.iter().map(|(name, value)| format!("-c {name}={}", escaped(value))).collect();
        ours.set("options", Value::Text(options.join(" ")));
    }
}

/// What `[users]` says, for each database.
fn users(sections: &Sections<'_>, login: &Login<'_>, database: &mut Database, plan: &mut Plan) {
    let is_first = plan.databases.is_empty();
    for entry in &sections.users {
        let user = format!("user {}", entry.key);
        let pairs = match pairs(&entry.value) {
            Ok(pairs) => pairs,
            Err(problem) => {
                if is_first {
                    plan.say(Group::Look, user, Some(&entry.place), format!("{problem}: it is left out"));
                }
                continue;
            }
        };
        let mut settings = Settings::default();
        for (name, value) in &pairs {
            // What is the same for every database is said once.
            let is_taken = if is_first {
                judge(USER, name, value, &entry.place, &user, plan)
            } else {
                USER.iter().any(|(known, fate)| known == name && *fate == super::known::Fate::Taken)
            };
            if let Some(pair) = counterpart(name).filter(|_| is_taken) {
                let said = Said { value, place: Some(&entry.place) };
                let mut silent = Plan::default();
                let loud = if is_first { &mut *plan } else { &mut silent };
                convert(pair, said, &user, &mut settings, loud);
            }
        }
        if settings != Settings::default() {
            login.section(&entry.key, database, &settings, plan);
        }
    }
}

/// There, what is to be kept open gives way to what may be; here it is a mistake.
fn cap(database: &mut Database, plan: &mut Plan) {
    let most = match database.settings.get("connection_limit") {
        Some(Value::Number(most)) => *most,
        _ => 20,
    };
    if let Some(Value::Number(least)) = database.settings.get("min_connections")
        && *least > most
    {
        let text = format!("min_connections = {most}: it cannot be more than connection_limit");
        plan.say(Group::Taken, shown("min_pool_size", &database.name), None, text);
        database.settings.set("min_connections", Value::Number(most));
    }
}

/// A second database that is the same one on other servers is most likely its replicas.
fn alike(plan: &mut Plan) {
    let key = |database: &Database| match database.settings.get("dbname") {
        Some(Value::Text(name)) => name.clone(),
        _ => database.name.clone(),
    };
    let mut said = Vec::new();
    for (index, database) in plan.databases.iter().enumerate() {
        let nodes = database.settings.get("nodes");
        let other = plan.databases[..index]
            .iter()
            .find(|other| key(other) == key(database) && other.settings.get("nodes") != nodes);
        if let Some(other) = other {
            said.push((
                database.name.clone(),
                format!(
                    "it is the database of {} on other servers: if those are its replicas, put them into the nodes of {}, and reads \
                     go there by themselves",
                    other.name, other.name
                ),
            ));
        }
    }
    for (name, text) in said {
        plan.say(Group::Look, name, None, text);
    }
}
