//! Programs made for PgBouncer's console, unchanged, at ours; and drivers.

use tokio_postgres::types::{FromSql, Type};

use super::console::{console, with_console};
use super::support::daemon::Daemon;
use super::support::metrics::{get, sum};
use super::support::proxy::RunningProxy;
use super::support::raw::Raw;
use super::{block_on, connect, wait_both};

const EXPORTER: &str = "prometheus-pgbouncer-exporter";

/// Debian's exporter while it runs.
struct Exporter(Daemon);

impl Exporter {
    fn start(proxy: &RunningProxy) -> Self {
        let console = proxy.address();
        Self(Daemon::start(EXPORTER, |command, own| {
            command
                .args(["--host", "127.0.0.1", "--port", &own.port().to_string()])
                .args(["--pgbouncer-host", &console.ip().to_string()])
                .args(["--pgbouncer-port", &console.port().to_string()])
                .args(["--pgbouncer-user", "app"])
                .env("PGPASSWORD", "secret");
        }))
    }

    fn metrics(&self) -> String {
        let (head, body) = get(self.0.address, "/metrics");
        assert!(head.starts_with("HTTP/1.0 200"), "{head}\n{body}");
        body
    }
}

#[test]
fn the_exporter_of_debian_works_unchanged() {
    let proxy = with_console("connection_limit=7");
    wait_both(&proxy);
    let (mut busy, _idle) = (Raw::app(proxy.address()), Raw::app(proxy.address()));
    busy.ok("begin; select 1");
    let exporter = Exporter::start(&proxy);
    let text = exporter.metrics();
    let value = |text: &str, name: &str, labels: &[&str]| {
        assert!(text.contains(&format!("\n{name}")), "no {name} in\n{text}");
        sum(text, name, labels)
    };
    let [database, user] = ["database=\"app\"", "user=\"app\""];
    for (name, labels, wanted) in [
        ("pgbouncer_pool_size", &[database][..], 7.0),
        ("pgbouncer_reserve_pool", &[database], 0.0),
        ("pgbouncer_waiting_clients", &[database, user], 0.0),
        ("pgbouncer_databases", &[], 1.0),
        ("pgbouncer_users", &[], 1.0),
        ("pgbouncer_pools", &[], 3.0),
        ("pgbouncer_dns_pending", &[], 0.0),
    ] {
        assert!((value(&text, name, labels) - wanted).abs() < 0.01, "{name}\n{text}");
    }
    assert!(value(&text, "pgbouncer_active_clients", &[database, user]) > 1.5, "{text}");
    // One series per database and user: none hides another.
    assert_eq!(text.matches("\npgbouncer_active_clients{").count(), 1, "{text}");
    let requests = value(&text, "pgbouncer_requests_total", &[database]);
    assert!(requests >= 4.0, "{text}");
    for name in ["received_bytes_total", "sent_bytes_total", "query_microseconds_total"] {
        value(&text, &format!("pgbouncer_{name}"), &[database]);
    }
    busy.ok("select 1");
    busy.ok("commit");
    let later = value(&exporter.metrics(), "pgbouncer_requests_total", &[database]);
    assert!((later - requests - 2.0).abs() < 0.01, "{requests} {later}");
}

#[test]
fn tools_are_told_a_version_they_can_read() {
    let proxy = with_console("");
    let parameters = [("user", "app"), ("database", "pgbouncer")];
    let mut tool =
        Raw::log_in(proxy.address(), super::support::raw::V3_0, &parameters, "secret").ok().unwrap();
    let ours = format!("Tidegate {}", env!("CARGO_PKG_VERSION"));
    assert_eq!(tool.ok("SHOW VERSION;").value(), format!("PgBouncer 1.18.0 ({ours})"));
    assert_eq!(console(&proxy).ok("show version").value(), ours);
}

/// A whole number from `numeric`, in binary.
struct Whole(u64);

impl<'a> FromSql<'a> for Whole {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        let words: Vec<u64> =
            raw.chunks(2).map(|word| u64::from(u16::from_be_bytes([word[0], word[1]]))).collect();
        let [count, weight, 0, 0, digits @ ..] = &words[..] else { return Err("not a whole number".into()) };
        assert!(
            usize::try_from(*count)? == digits.len() && (*count == 0 || *weight + 1 == *count),
            "{words:?}"
        );
        Ok(Self(digits.iter().fold(0, |number, digit| number * 10_000 + digit)))
    }

    fn accepts(kind: &Type) -> bool {
        *kind == Type::NUMERIC
    }
}

/// By the extended protocol, in binary.
#[test]
fn drivers_get_numbers() {
    let proxy = with_console("connection_limit=7");
    wait_both(&proxy);
    let url = format!("postgres://app:secret@{}/pgbouncer", proxy.address());
    block_on(async {
        let client = connect(&url).await;
        let pools = client.query("SHOW POOLS;", &[]).await.unwrap();
        assert_eq!(
            (pools[0].get::<_, String>("database"), pools[0].get::<_, i32>("pool_size")),
            ("app".to_owned(), 7)
        );
        let databases = client.query("show databases", &[]).await.unwrap();
        assert_eq!(databases[0].get::<_, Option<String>>("force_user"), None);
        assert_eq!(databases[0].get::<_, i32>("max_client_connections"), 10_000);
        let stats = client.query("show stats", &[]).await.unwrap();
        assert!(stats[0].get::<_, Whole>("total_query_count").0 >= 2);
        let tide = client.query("show freshness", &[]).await.unwrap();
        let staleness = tide.iter().filter_map(|row| row.get::<_, Option<i64>>("staleness_ms"));
        assert_eq!(staleness.filter(|age| (0..60_000).contains(age)).count(), 2);
        let routes = client.query("show routes", &[]).await.unwrap();
        let shares: f64 = routes.iter().map(|row| row.get::<_, f64>("share_percent")).sum();
        assert!((shares - 100.0).abs() < 1.0, "{shares}");
        // A prepared statement is run again and again.
        let statement = client.prepare("show lists").await.unwrap();
        for _ in 0..3 {
            let lists = client.query(&statement, &[]).await.unwrap();
            assert_eq!(
                (lists[0].get::<_, String>(0), lists[0].get::<_, i32>(1)),
                ("databases".to_owned(), 1)
            );
        }
    });
}
