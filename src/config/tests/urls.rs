//! URLs, good and bad.

use super::*;
use crate::health::Limits;

#[test]
fn hosts_as_libpq_writes_them() {
    let table: [(&str, &[&str]); 12] = [
        ("postgres://a:b@pg1", &["pg1:5432"]),
        ("postgresql://a:b@PG1.example.com:6000/db", &["pg1.example.com:6000"]),
        ("postgres://a:b@h1,h2:5433,[::1]:5434/db", &["h1:5432", "h2:5433", "[::1]:5434"]),
        ("postgres://a:b@[fe80::1%25eth0]/db", &["[fe80::1%eth0]:5432"]),
        ("postgres://a:b@%2Fvar%2Frun%2Fpostgresql:5433/db", &["/var/run/postgresql:5433"]),
        ("postgres://a:b@/db?host=/var/run/postgresql", &["/var/run/postgresql:5432"]),
        ("postgres://a:b@localhost/db?host=/cloudsql/x", &["/cloudsql/x:5432"]),
        ("postgres://a:b@localhost:6000/db?host=h1,h2", &["h1:6000", "h2:6000"]),
        ("postgres:///db?host=h1,h2&port=1,2&user=a&password=b", &["h1:1", "h2:2"]),
        ("postgres://a:b@h1,h2/db?port=7", &["h1:7", "h2:7"]),
        ("postgres://a:b@h1:,h2/db", &["h1:5432", "h2:5432"]),
        ("  postgres://a:b@192.0.2.1/db\n", &["192.0.2.1:5432"]),
    ];
    for (url, expected) in table {
        let database = database(url);
        assert_eq!(nodes(&database), expected, "{url}");
        assert!(database.nodes.iter().all(|node| node.declared.is_none()), "{url}");
    }
}

#[test]
fn names_and_passwords() {
    let table = [
        ("postgres://a:b@h", "a", "b", "a"),
        ("postgres://a:b@h/", "a", "b", "a"),
        ("postgres://a:b@h/db", "a", "b", "db"),
        ("postgres://a:b@h?dbname=db", "a", "b", "db"),
        ("postgres://a%40x:p%40%3A%2F%3F%25%23@h/my%20db", "a@x", "p@:/?%#", "my db"),
        ("postgres://a:x#y:z@h/db", "a", "x#y:z", "db"),
        ("postgres://h/db?user=a&password=b%26c", "a", "b&c", "db"),
        ("postgres://a:b+c@h", "a", "b+c", "a"),
    ];
    for (url, user, password, name) in table {
        let database = database(url);
        assert_eq!(database.users[0].name, user, "{url}");
        assert_eq!(database.users[0].password.as_ref().unwrap().expose(), password, "{url}");
        assert_eq!((database.name.as_str(), database.server_name.as_str()), (name, name), "{url}");
    }
}

#[test]
fn parameters() {
    let database = database(
        "postgres://a:b@h/db?connection_limit=5&pool_timeout=0&connect_timeout=1500ms&application_name=shop%20web\
         &options=-c%20geqo%3Doff&sslmode=prefer&tidegate_pool_mode=session&tidegate_consistency=eventual\
         &tidegate_scope=connection&tidegate_on_stale=wait(5ms)&tidegate_locked_settings=scope,consistency&tidegate_primary_read_limit=7\
         &tidegate_primary_read_overflow=error&tidegate_client_auth=scram&tidegate_max_clients=9\
         &tidegate_prepared_statements_per_server=8&tidegate_startup_timeout=1min&tidegate_failover_timeout=7&tidegate_query_timeout=30\
         &tidegate_idle_in_transaction_timeout=500ms&tidegate_client_idle_timeout=off&tidegate_server_lifetime=2h\
         &tidegate_server_idle_timeout=0&tidegate_min_connections=3&tidegate_max_user_client_connections=4&tidegate_long_pin=1min&tidegate_slow_statement=200ms&tidegate_database_connection_limit=30\
         &tidegate_dns_interval=off&tidegate_patroni_interval=300ms&tidegate_discover_replicas=true&tidegate_discovered_port=6000\
         &tidegate_slow_start=5s&tidegate_max_replica_lag=2s&tidegate_max_error_percent=20&tidegate_max_latency_factor=off\
         &tidegate_max_holdback=30s",
    );
    let pool = PoolSettings {
        mode: PoolMode::Session,
        connection_limit: 5,
        database_connection_limit: Some(30),
        pool_timeout: None,
        connect_timeout: Duration::from_millis(1500),
        failover_timeout: Duration::from_secs(7),
    };
    assert_eq!(database.pool, pool);
    assert_eq!((database.consistency, database.scope), (Level::Eventual, Scope::Connection));
    assert_eq!(
        (database.on_stale, database.client_auth),
        (OnStale::Wait(Duration::from_millis(5)), ClientAuth::Scram)
    );
    assert_eq!(database.locked_settings.to_string(), "consistency, scope");
    assert_eq!((database.primary_read_limit, database.primary_read_overflow), (Some(7), Overflow::Error));
    assert_eq!((database.max_clients, database.prepared_per_server), (9, 8));
    assert_eq!(database.startup_timeout, Duration::from_mins(1));
    let limits = LimitSettings {
        query_timeout: Some(Duration::from_secs(30)),
        idle_in_transaction_timeout: Some(Duration::from_millis(500)),
        client_idle_timeout: None,
        server_lifetime: Some(Duration::from_hours(2)),
        server_idle_timeout: None,
        min_connections: 3,
        long_pin: Some(Duration::from_mins(1)),
        max_client_connections: Some(4),
        slow_statement: Some(Duration::from_millis(200)),
    };
    assert_eq!(database.users[0].limits, limits);
    let topology = TopologySettings {
        source: NodeSource::Hosts(database.nodes.clone()),
        dns_interval: None,
        patroni_interval: Duration::from_millis(300),
        discovery: Some(DiscoverySettings { port: Some(6000) }),
    };
    assert_eq!(database.topology, topology);
    let health = Limits {
        slow_start: Duration::from_secs(5),
        max_lag: Some(Duration::from_secs(2)),
        max_error_percent: Some(20),
        latency_factor: None,
        max_holdback: Duration::from_secs(30),
    };
    assert_eq!(database.health, health);
    let settings = [("application_name", "shop web"), ("geqo", "off")];
    assert_eq!(database.server_settings, settings.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn hosts_of_patroni() {
    let table: [(&str, &[&str]); 3] = [
        ("patroni://a:b@p1/db", &["p1:8008"]),
        ("patroni://a:b@p1:80,[::1]:81,p2/db?tidegate_patroni_interval=5", &["p1:80", "[::1]:81", "p2:8008"]),
        ("patroni://a:b@/db?host=p1,p2&port=8009", &["p1:8009", "p2:8009"]),
    ];
    for (url, expected) in table {
        let database = database(url);
        let NodeSource::Patroni(hosts) = &database.topology.source else { panic!("{url}") };
        assert_eq!(hosts.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{url}");
        assert!(database.nodes.is_empty(), "{url}: its servers are not known yet");
        assert_eq!(database.users[0].password.as_ref().unwrap().expose(), "b", "{url}");
    }
    let sources = |flags| Sources { flags, ..Sources::default() };
    let (patroni, postgres) = (Secret::new("patroni://a:b@p1/db"), Secret::new("postgres://h"));
    let declared = Given { primaries: vec![patroni.clone()], ..Given::default() };
    assert_says(
        &load(&sources(declared)).unwrap_err(),
        &["Patroni's members have no declared roles", "--url"],
    );
    let added = Given { url: Some(patroni), replicas: vec![postgres], ..Given::default() };
    assert_says(&load(&sources(added)).unwrap_err(), &["no server can be added to those that Patroni names"]);
}

#[test]
fn what_is_said_of_the_hosts() {
    let said = |url: &str| -> Vec<_> {
        database(url).nodes.into_iter().map(|node| (node.weight, node.zone.unwrap_or_default())).collect()
    };
    let nodes = |said: &[(u32, &str)]| -> Vec<_> {
        said.iter().map(|(weight, zone)| (*weight, (*zone).to_owned())).collect()
    };
    assert_eq!(said("postgres://a:b@h1,h2/db"), nodes(&[(1, ""), (1, "")]));
    assert_eq!(said("postgres://a:b@h1,h2/db?tidegate_weight=5"), nodes(&[(5, ""), (5, "")]));
    let url = "postgres://a:b@h1,h2,h3/db?tidegate_weight=0,,3&tidegate_zone=a,eu-west/1b,";
    assert_eq!(said(url), nodes(&[(0, "a"), (1, "eu-west/1b"), (3, "")]));
}

#[test]
fn parameters_without_a_meaning_are_warned_of() {
    let settings = from_url(
        "postgres://a:b@h/db?schema=app&pgbouncer=true&statement_cache_size=0&socket_timeout=5&gssencmode=prefer\
         &target_session_attrs=any&keepalives=1&keepalives_idle=5&sslmode=disable",
    );
    let warnings = settings.unwrap().warnings;
    assert_eq!(warnings.len(), 8, "{warnings:?}");
    assert!(warnings[0].contains("schema: ignored, "), "{}", warnings[0]);
}

#[test]
fn bad_urls() {
    let table: [(&str, &[&str]); 51] = [
        ("", &["it is not a URL"]),
        ("app:pw@pg1/app", &["it is not a URL", "--url …"]),
        ("mysql://a:b@h", &["it is not a URL of PostgreSQL"]),
        ("\"postgres://a:b@h\"", &["without quotation marks"]),
        ("postgres://", &["neither a user nor a database is given"]),
        ("postgres://h/", &["neither a user"]),
        ("postgres://h/db", &["no user is given"]),
        ("postgres://a:b@/db", &["no host is given"]),
        ("postgres://a:b@h1,,h2", &["a host is empty"]),
        ("postgres://a:b@h1,h1:5432,H1", &["the host h1:5432 is given twice"]),
        ("postgres://a:b@h 1", &["a host is neither a name"]),
        ("postgres://a:b@::1", &["more than one colon", "in brackets"]),
        ("postgres://a:b@[::1", &["not closed"]),
        ("postgres://a:b@[::1]5432", &["not closed"]),
        ("postgres://a:b@[::zz]", &["a host is neither"]),
        ("postgres://a:b@h:0", &["the port of host h"]),
        ("postgres://a:b@h:65536", &["the port of host h"]),
        ("postgres://a:b@h:+5", &["the port of host h"]),
        ("postgres://a:b@h1,h2,h3?port=1,2", &["2 ports are given for 3 hosts"]),
        ("postgres://a:b@h1,h2,h3?tidegate_weight=1,2", &["tidegate_weight: 2 of it are given for 3 hosts"]),
        ("postgres://a:b@h?tidegate_weight=1001", &["not a whole number from 0 to 1000"]),
        ("postgres://a:b@h?tidegate_zone=a%20b", &["is not the name of a zone"]),
        ("postgres://a:b@h?tidegate_max_replica_lag=500ms", &["too short to tell", "at least 1s"]),
        ("postgres://a:b@h?tidegate_max_error_percent=100", &["from 1 to 99", "or off"]),
        ("postgres://a@h", &["the user a has no password", "PGPASSWORD", "tidegate_client_auth=trust"]),
        ("postgres://a:@h", &["the user a has no password"]),
        ("patronis://a:b@p1/db", &["TLS towards Patroni is not available in this version", "patroni://"]),
        ("https://a:b@p1/db", &["TLS towards Patroni is not available in this version"]),
        ("patroni://a:b@/db", &["no host is given"]),
        ("patroni://a:b@%2Frun%2Fpatroni/db", &["Patroni is not asked by a Unix socket"]),
        ("patroni://a:b@p1?tidegate_discover_replicas=true", &["Patroni names every replica already"]),
        ("postgres://a:b@h?tidegate_discover_replicas=yes", &["neither true nor false"]),
        ("postgres://a:b@h?tidegate_patroni_interval=0", &["no time at all"]),
        ("postgres://a:p@w@h", &["it has an @ besides", "%40"]),
        ("postgres://a:p/w@h", &["it has an @ besides"]),
        ("postgres://a:p%zz@h", &["password: a % is not followed"]),
        ("postgres://a:p%ff@h", &["password: it is not UTF-8"]),
        ("postgres://a:p%00@h", &["%00"]),
        ("postgres://a:b@h?user=c", &["the user is given twice"]),
        ("postgres://a:b@h?options=geqo%3Doff", &["something else than -c name=value"]),
        ("postgres://a:b@h?pool_timeout=1&pool_timeout=1", &["the parameter pool_timeout is given twice"]),
        ("postgres://a:b@h?connection_limit", &["a parameter is not written as name=value"]),
        ("postgres://a:b@h?connection_limit=0", &["connection_limit: \"0\" is not a whole number from 1"]),
        ("postgres://a:b@h?connect_timeout=0", &["no time at all"]),
        ("postgres://a:b@h?pool_timeout=25h", &["longer than a day"]),
        ("postgres://a:b@h?tidegate_consistency=bounded", &["bounded(5s), session"]),
        ("postgres://a:b@h?tidegate_on_stale=wait(5)ms", &["primary, wait(5ms) or error"]),
        ("postgres://a:b@h?tidegate_primary_read_limit=-1", &["not a whole number from 0"]),
        (
            "postgres://a:b@h?tidegate_scope=databse",
            &["Did you mean database?", "connection, client, key or database"],
        ),
        ("postgres://a:b@h?pool_mode=session", &["Did you mean tidegate_pool_mode?"]),
        (
            "postgres://a:b@h?Connection_Limit=5&colour=red",
            &["Did you mean connection_limit?", "colour: there is no"],
        ),
    ];
    for (url, words) in table {
        let mistakes = from_url(url).expect_err(url);
        assert_says(&mistakes, words);
    }
}

#[test]
fn encryption_that_cannot_be_had_is_never_promised() {
    for (parameters, says) in [
        ("gssencmode=require", "cannot be encrypted by GSSAPI"),
        ("sslmode=disable&channel_binding=require", "there is nothing to bind to without encryption"),
        ("sslmode=disable&ssl=true", "do not go together"),
    ] {
        let mistakes = from_url(&format!("postgres://a:b@h?{parameters}")).expect_err(parameters);
        assert_says(&mistakes, &[says]);
        assert_eq!(mistakes.iter().count(), 1);
    }
    let mistakes = from_url("postgres://a:b@h?sslmode=requier").unwrap_err();
    assert_says(&mistakes, &["Did you mean require?"]);
}

#[test]
fn redaction() {
    let table = [
        ("postgres://app:secret@pg1/app", "postgres://app:…@pg1/app"),
        ("postgres://app:secret@pg1,pg2:5433/app?a=b", "postgres://app:…@pg1,pg2:5433/app?…"),
        ("postgresql://app@[::1]:5432", "postgresql://app@[::1]:5432"),
        ("patroni://app:secret@p1:8008,p2/app", "patroni://app:…@p1:8008,p2/app"),
        ("postgres://app:secret", "postgres://app:…"),
        ("postgres://app:se]cret", "postgres://app:…"),
        ("postgres://[app:secret]", "postgres://[app:…"),
        ("postgres://[::1]:5432", "postgres://[::1]:…"),
        ("postgres://app@pg1:secret/app", "postgres://app@pg1:…/app"),
        ("postgres://app:se@cret@pg1", "postgres://…"),
        ("postgres://app:se/cret@pg1", "postgres://…"),
        ("postgres://app:secret/pg1", "postgres://app:…/…"),
        ("postgres://pg1?password=secret", "postgres://pg1?…"),
        ("postgres://app:a\nb@pg1\n/x", "postgres://app:…@pg1\u{fffd}/x"),
        ("app:secret@pg1", "…"),
        ("secret://pg1", "…"),
        ("", "…"),
    ];
    for (url, shown) in table {
        assert_eq!(redact_url(url), shown, "{url}");
    }
}
