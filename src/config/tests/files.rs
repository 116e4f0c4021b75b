//! Files, good and bad.

use super::*;

fn good(text: &str) -> Settings {
    from_file(text, Sources::default()).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[test]
fn spelled_out() {
    let settings = good(
        r#"
        log_statements = true
        shutdown_timeout = 5
        listen = "127.0.0.1:7000"
        [database.shop]
        nodes = ["pg2", { address = "pg1:6000", role = "primary" }, "/tmp:1"]
        dbname = "shop_production"
        pool_timeout = "500ms"
        max_clients = 1_000
        consistency = "eventual"
        [database.shop.user.zoe]
        password_file = "password"
        [database.shop.user.adam]
        password = "his own"
        "#,
    );
    assert!(settings.log_statements);
    assert_eq!(settings.shutdown_timeout, Duration::from_secs(5));
    let [shop] = settings.databases.as_slice() else { panic!("{settings:?}") };
    assert_eq!((shop.name.as_str(), shop.server_name.as_str()), ("shop", "shop_production"));
    assert_eq!(nodes(shop), ["pg2:5432", "pg1:6000", "/tmp:1"]);
    assert_eq!(shop.nodes[1].declared, Some(Role::Primary));
    assert_eq!(shop.pool.pool_timeout, Some(Duration::from_millis(500)));
    assert_eq!((shop.max_clients, shop.consistency), (1000, Level::Eventual));
    let users: Vec<_> = shop
        .users
        .iter()
        .map(|user| (user.name.as_str(), user.password.as_ref().unwrap().expose()))
        .collect();
    assert_eq!(users, [("zoe", "from a file"), ("adam", "his own")]);
}

#[test]
fn a_url_and_its_table_may_agree() {
    let settings = good(
        r#"
        [database.app]
        url = "postgres://me@pg1?connection_limit=20"
        connection_limit = 20
        user.me.password = "secret"
        user.you.password = "other"
        "#,
    );
    let app = &settings.databases[0];
    assert_eq!(app.server_name, "app", "the section names it, not the user");
    let names: Vec<_> = app.users.iter().map(|user| user.name.as_str()).collect();
    assert_eq!(names, ["me", "you"]);
    assert_eq!(app.users[0].password.as_ref().unwrap().expose(), "secret");
}

#[test]
fn bad_files() {
    let table: [(&str, &[&str]); 16] = [
        ("listen = [5\nadmin = 'off'\n", &["tidegate.toml:", "this is not TOML"]),
        ("a = 1\na = 2\n", &["tidegate.toml:2", "this is not TOML"]),
        ("database = 5\n", &["database: a value of type integer cannot stand here"]),
        ("[database]\napp = 'x'\n", &["tidegate.toml:2, database.app", "a section in brackets"]),
        ("[databse.app]\n", &["Did you mean database?"]),
        ("\n\nlog = 1.5\n", &["tidegate.toml:3, log: a value of type float cannot stand here"]),
        ("log_statements = 'yes'\n", &["neither true nor false"]),
        (
            "[database.app]\ntidegate_scope = 'database'\n",
            &["tidegate_scope: there is no setting", "Did you mean scope?"],
        ),
        ("[database.app]\nnodes = 'pg1'\nurl = 5\n", &["Write a list such as", "it is not a URL"]),
        (
            "[database.app]\nnodes = ['postgres://a:SECRET@pg1', {role='king'}]\n",
            &[
                "\"postgres://a:…@pg1\" is not the address of a server",
                "a node has no address",
                "It can be primary or replica",
            ],
        ),
        (
            "[database.app]\nurl='postgres://a:SECRET@pg1/x?pool_timeout=1'\nnodes=['pg2']\npool_timeout=2\ndbname='y'\n",
            &[
                "the url and pool_timeout say different things",
                "the url and nodes say",
                "the url and dbname say",
            ],
        ),
        (
            "[database.app]\nnodes=[{address='a',role='primary'},{address='b',role='primary'}]\nuser.a.password='SECRET'\n",
            &["two primaries are declared: a:5432 and b:5432"],
        ),
        (
            "[database.app]\nuser.a.password='SECRET'\nuser.a.password_file='password'\nuser.b.pasword='SECRET'\n",
            &["both password and password_file", "Did you mean password?"],
        ),
        (
            "[database.app]\nnodes=['a']\nmin_connections=5\ndatabase_connection_limit=9\n\
             user.a.password='SECRET'\nuser.b.password='SECRET'\n",
            &["its users are to have 10 connections at least and 9 at most together"],
        ),
        (
            "[database.app]\nnodes=['a']\nmin_connections=5\nconnection_limit=6\nuser.a.password='SECRET'\n\
             user.b={password='SECRET', min_connections=7}\n",
            &["the user b is to have 7 connections at least and 6 at most"],
        ),
        (
            "[database.app]\nnodes=['a']\nuser.a.password_file='missing'\nuser.b={}\n",
            &["cannot be read", "the user b has no password"],
        ),
    ];
    for (text, words) in table {
        let mistakes = from_file(text, Sources::default()).expect_err(text);
        assert_says(&mistakes, words);
        assert!(!mistakes.to_string().contains("SECRET"), "{mistakes}");
    }
}

#[test]
fn a_user_has_limits_of_its_own() {
    let file = "[database.app]\nnodes = ['a']\nquery_timeout = '30s'\nclient_idle_timeout = 600\n\
                [database.app.user.app]\npassword = 'x'\n\
                [database.app.user.reporting]\npassword = 'x'\nquery_timeout = 'off'\n\
                idle_in_transaction_timeout = '1min'\n";
    let settings = from_file(file, Sources::default()).unwrap();
    let limits = |i: usize| {
        let limits = settings.databases[0].users[i].limits;
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
        (
            seconds(limits.query_timeout),
            seconds(limits.idle_in_transaction_timeout),
            seconds(limits.client_idle_timeout),
        )
    };
    assert_eq!(limits(0), (Some(30), None, Some(600)));
    assert_eq!(limits(1), (None, Some(60), Some(600)));

    let file = "[database.app]\nnodes = ['a']\nquery_timeout = 'never'\nclient_idle_timeout = '25h'\n\
                user.app = { password = 'x', query_timout = 5, idle_in_transaction_timeout = '1 week' }\n";
    let mistakes = from_file(file, Sources::default()).unwrap_err();
    assert_says(
        &mistakes,
        &[
            "query_timeout: \"never\" is not a duration",
            ", or off",
            "client_idle_timeout: \"25h\" is longer than a day",
            "Did you mean query_timeout?",
            "idle_in_transaction_timeout: \"1 week\" is not a duration",
        ],
    );
}

#[test]
fn settings_are_locked_for_a_database_and_otherwise_for_a_user() {
    let settings = good(
        r#"
        [database.app]
        url = "postgres://one:secret@pg1"
        locked_settings = ["scope", "consistency"]
        [database.app.user.one]
        [database.app.user.two]
        password = "b"
        locked_settings = []
        [database.app.user.three]
        password = "c"
        locked_settings = "intent,key"
        "#,
    );
    let app = &settings.databases[0];
    assert_eq!(app.locked_settings.to_string(), "consistency, scope");
    let of_users: Vec<_> =
        app.users.iter().map(|user| user.tuning.locked_settings.map(|locked| locked.to_string())).collect();
    assert_eq!(of_users, [None, Some(String::new()), Some("intent, key".to_owned())]);
    let bad = "[database.app]\nurl = \"postgres://a:b@pg1\"\nlocked_settings = [\"scop\", \"trace\"]";
    let mistakes = from_file(bad, Sources::default()).unwrap_err().to_string();
    assert!(mistakes.contains("Did you mean scope?"), "{mistakes}");
}

#[test]
fn a_file_that_is_not_there() {
    let file = Some("/nowhere/tidegate.toml".into());
    let mistakes =
        load(&Sources { file, flags: given("postgres://a:b@h"), ..Sources::default() }).unwrap_err();
    assert_says(&mistakes, &["/nowhere/tidegate.toml: the file cannot be read"]);
}

#[test]
fn a_url_for_a_database_the_file_does_not_have() {
    let file = "[database.app]\nurl = 'postgres://a:b@h'\n";
    let sources = Sources { env: given("postgres://a:b@h/other"), ..Sources::default() };
    let settings = from_file(file, sources).unwrap();
    assert_eq!(settings.databases.len(), 2);
    assert!(settings.warnings[0].contains("the file has no database other"), "{:?}", settings.warnings);
}

#[test]
fn nodes_have_weights_and_places() {
    let file = "locality = 'a'\n[database.app]\nuser.a.password = 'x'\n\
                nodes = ['pg1', {address = 'pg2', zone = 'a', weight = 0}, {address = 'pg3', zone = 'b'}]\n";
    let settings = from_file(file, Sources::default()).unwrap();
    let said = |node: &NodeSettings| (node.weight, node.zone.clone().unwrap_or_default(), node.is_near);
    let nodes: Vec<_> = settings.databases[0].nodes.iter().map(said).collect();
    assert_eq!(nodes, [(1, String::new(), false), (0, "a".to_owned(), true), (1, "b".to_owned(), false)]);
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    // The environment goes before the file, and what is nowhere is said.
    let env = Given { locality: Some("c".to_owned()), ..Given::default() };
    let settings = from_file(file, Sources { env, ..Sources::default() }).unwrap();
    assert!(settings.databases[0].nodes.iter().all(|node| !node.is_near));
    assert!(
        settings.warnings[0].contains("no node of database app is in the zone c"),
        "{:?}",
        settings.warnings
    );
}

#[test]
fn the_shipped_file_leaves_no_setting_out() {
    let shipped = include_str!("../../../config/tidegate.toml");
    for key in keys::file_keys().chain(top::KEYS).chain(["url", "nodes", "dbname"]) {
        let said = |line: &str| line.trim_start_matches(['#', ' ']).starts_with(&format!("{key} = "));
        assert!(shipped.lines().any(said), "{key} is missing");
    }
}
