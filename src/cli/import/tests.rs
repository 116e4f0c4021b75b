//! Whole configurations, from text to text.

use super::ini::{Text, read};
use super::listing::Listing;
use super::plan::{Group, Plan};
use super::translate::{Wishes, translate};

const FULL: &str = include_str!("../../../tests/import/full.ini");
const USERS: &str = include_str!("../../../tests/import/users.ini");
const USERLIST: &str = include_str!("../../../tests/import/userlist.txt");

fn import(text: &str, userlist: Option<&str>, databases: &[&str]) -> Plan {
    let named = |name: &str, text: &str| Text { name: name.to_owned(), text: text.to_owned() };
    let (entries, faults) = read(&named("pgbouncer.ini", text), &mut |name: &str| Ok(named(name, USERS)));
    assert_eq!(faults, []);
    let listing = userlist.map(|text| Listing::read("/etc/pgbouncer/userlist.txt".to_owned(), text).0);
    let databases = databases.iter().map(|name| (*name).to_owned()).collect();
    let wishes = Wishes { databases, stem: "tidegate".to_owned() };
    translate(&entries, &listing.unwrap_or_default(), &wishes)
}

fn lines(plan: &Plan, group: Group) -> Vec<String> {
    let lines = plan.report.iter().filter(|line| line.group == group);
    lines.map(|line| format!("{}: {}", line.name, line.text)).collect()
}

#[track_caller]
fn has(lines: &[String], start: &str, part: &str) {
    let found = lines.iter().any(|line| line.starts_with(start) && line.contains(part));
    assert!(found, "no line {start}…{part} in {lines:#?}");
}

#[test]
fn a_full_configuration_is_taken_over() {
    let plan = import(FULL, Some(USERLIST), &["ledger"]);
    let toml = plan.toml();
    let table: toml::Table = toml.parse().expect("it is TOML");
    let database = |name: &str| table["database"][name].as_table().expect("a section").clone();
    let text =
        |table: &toml::Table, key: &str| table.get(key).and_then(|v| v.as_str()).unwrap_or("-").to_owned();
    let number = |table: &toml::Table, key: &str| table.get(key).and_then(toml::Value::as_integer);

    let listen: Vec<&str> =
        table["listen"].as_array().expect("a list").iter().filter_map(|v| v.as_str()).collect();
    assert_eq!(listen, ["0.0.0.0:7432", "[::1]:7432", "127.0.0.1:7432", "/tmp:7432"]);
    assert_eq!(text(&table, "ssl"), "require");
    assert_eq!(text(&table, "ssl_min_protocol_version"), "TLSv1.3");
    assert_eq!(text(&table, "authentication_timeout"), "30s");
    assert_eq!(table["console_users"].as_array().map(Vec::len), Some(1));
    assert_eq!(number(&table, "peer_id"), Some(1));
    assert_eq!(text(table["peers"].as_table().expect("a section"), "2"), "/run/bouncer2:7432");

    let app = database("app");
    assert_eq!(app["nodes"].as_array().map(Vec::len), Some(3));
    assert_eq!((number(&app, "connection_limit"), number(&app, "min_connections")), (Some(30), Some(30)));
    assert_eq!(text(&app, "options"), "-c search_path=app,\\ public");
    assert_eq!(
        (text(&app, "pool_mode"), text(&app, "pool_timeout")),
        ("transaction".to_owned(), "0s".to_owned())
    );
    assert_eq!(
        (text(&app, "connect_timeout"), text(&app, "sslmode")),
        ("2500ms".to_owned(), "verify-full".to_owned())
    );
    assert_eq!(
        (number(&app, "max_clients"), number(&app, "max_user_client_connections")),
        (Some(5000), Some(400))
    );
    assert_eq!(text(app["user"]["app"].as_table().expect("a section"), "query_timeout"), "60s");
    assert!(app["user"].get("admin").is_some() && app["user"].get("stranger").is_none(), "{toml}");

    let billing = database("billing");
    assert_eq!(text(&billing, "dbname"), "invoices");
    assert_eq!(
        (text(&billing, "pool_mode"), number(&billing, "database_connection_limit")),
        ("session".to_owned(), Some(50))
    );
    let biller = billing["user"]["biller"].as_table().expect("a section");
    assert_eq!(text(biller, "password_file"), "tidegate.billing.password");
    let odd = database("odd \"name\"");
    assert_eq!(text(&odd, "auth_query"), "select * from look.up($1)");
    assert_eq!(text(&odd, "options"), "-c datestyle=ISO,\\ DMY -c timezone=Europe/Berlin");
    assert_eq!(database("local")["nodes"][0].as_str(), Some("/tmp:5432"));
    assert_eq!(text(&database("app_ro"), "pool_timeout"), "0s");
    assert_eq!(database("ledger")["nodes"][0].as_str(), Some("pg9:5432"));
    assert!(table["database"].get("*").is_none() && table["database"].get("broken").is_none());
}

#[test]
fn what_is_not_taken_over_is_said() {
    let plan = import(FULL, Some(USERLIST), &[]);
    let [unneeded, missing, look] =
        [Group::Unneeded, Group::Missing, Group::Look].map(|group| lines(&plan, group));
    for (start, part) in [
        ("server_reset_query:", "follow it"),
        ("so_reuseport:", "workers"),
        ("load_balance_hosts of app_ro:", "primary"),
        ("auth_hba_file:", "auth_type is not hba"),
    ] {
        has(&unneeded, start, part);
    }
    for (start, part) in [
        ("reserve_pool of app:", "connection_limit"),
        ("user of billing:", "biller"),
        ("*:", "--database NAME"),
        ("stats_users:", "admin_open"),
        ("transaction_timeout:", "PostgreSQL 17"),
        ("pool_mode of user app:", "all users"),
        ("client_tls_sslmode:", "clientcert"),
    ] {
        has(&missing, start, part);
    }
    for (start, part) in [
        ("pol_mode:", "did you mean pool_mode?"),
        ("auth_type:", "said again"),
        ("broken:", "name=value"),
        ("listen_addr:", "[::]:7432"),
        ("listen_addr:", "a name is not looked up"),
        ("admin_users:", "nobody has no password"),
        ("peer 4000:", "1 to 1023"),
        ("auth_user of odd", "lookup"),
        ("user stranger:", "password"),
        ("app_ro:", "replicas"),
        ("max_prepared_statements:", "cannot be 0"),
    ] {
        has(&look, start, part);
    }
    has(&lines(&plan, Group::Same), "reserve_pool_size:", "off");
}

#[test]
fn no_secret_is_shown() {
    let plan = import(FULL, Some(USERLIST), &[]);
    let shown = format!("{}{:#?}{}", plan.toml(), plan.report, super::report(&plan, None));
    for secret in ["it's secret", "correct horse", "AAAA"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    assert_eq!(plan.secrets.len(), 1);
    assert_eq!(plan.secrets[0].content.as_str(), "it's secret\n");
}

#[test]
fn what_pgbouncer_does_by_default_is_written_out_where_it_differs() {
    let plan = import("[databases]\napp = host=pg1\n[pgbouncer]\n", Some("\"app\" \"x\"\n"), &[]);
    let app = plan.toml().parse::<toml::Table>().expect("it is TOML")["database"]["app"].clone();
    for (key, value) in [("pool_mode", "session"), ("pool_timeout", "120s"), ("connect_timeout", "15s")] {
        assert_eq!(app[key].as_str(), Some(value), "{key}");
    }
    assert_eq!(app["max_clients"].as_integer(), Some(100));
    assert!(app.get("client_auth").is_none());
}

#[test]
fn ways_to_log_in() {
    let md5 = "\"app\" \"md500000000000000000000000000000000\"\n";
    for (auth, list, wanted) in [
        ("auth_type = md5", "\"app\" \"x\"\n", None),
        ("auth_type = md5", md5, Some("md5")),
        ("auth_type = trust", md5, Some("trust")),
        ("auth_type = any", md5, Some("trust")),
        ("auth_type = cert", md5, Some("cert")),
        ("auth_type = pam", md5, None),
        ("auth_type = hba\nauth_hba_file = /etc/hba", md5, None),
        ("auth_type = scram-sha-256", md5, None),
    ] {
        let text = format!("[databases]\napp = host=pg1\n[pgbouncer]\n{auth}\n");
        let table: toml::Table = import(&text, Some(list), &[]).toml().parse().expect("it is TOML");
        assert_eq!(table["database"]["app"].get("client_auth").and_then(|v| v.as_str()), wanted, "{auth}");
        assert_eq!(table.get("hba_file").is_some(), auth.contains("hba"), "{auth}");
    }
}

proptest::proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "(\\[(databases|users|peers|pgbouncer)\\]\n)?([a-z_*]{1,9} ?= ?\\PC{0,30}\n){0,5}") {
        let named = |text: &str| Text { name: "x".to_owned(), text: text.to_owned() };
        let (entries, _) = read(&named(&text), &mut |_: &str| Err(String::new()));
        let plan = translate(&entries, &Listing::default(), &Wishes::default());
        proptest::prop_assert!(plan.toml().parse::<toml::Table>().is_ok());
    }
}
