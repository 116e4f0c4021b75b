use proptest::prelude::*;

use super::*;

fn node(node: &str, database: Option<&str>) -> NodeName {
    NodeName { node: node.to_owned(), database: database.map(str::to_owned) }
}

fn show(table: &str) -> Command {
    Command::Show(tables::named(table).unwrap_or_else(|| panic!("no table {table}")))
}

fn set(key: &str, value: &str, database: Option<&str>) -> Command {
    let (key, value) = (key.to_owned(), value.to_owned());
    Command::Set(Adjustment { key, value, database: database.map(str::to_owned) })
}

#[test]
fn what_is_understood() {
    let app = || "app".to_owned();
    let table = [
        ("show pools", vec![show("POOLS")]),
        ("  SHOW\n\tHelp ; ", vec![show("HELP")]),
        ("", vec![]),
        (" ;; ", vec![]),
        ("pause", vec![Command::Pause(None)]),
        ("PAUSE app;", vec![Command::Pause(Some(app()))]),
        ("Pause App", vec![Command::Pause(Some("App".to_owned()))]),
        ("resume \"a \"\"b;\"", vec![Command::Resume(Some("a \"b;".to_owned()))]),
        ("disable app; enable 'app'", vec![Command::Disable(app()), Command::Enable(app())]),
        ("disable \"node\"", vec![Command::Disable("node".to_owned())]),
        ("DISABLE NODE pg1:5432", vec![Command::DisableNode(node("pg1:5432", None))]),
        ("enable node [::1]:5432 of app", vec![Command::EnableNode(node("[::1]:5432", Some("app")))]),
        ("enable node \"of\" of \"of\"", vec![Command::EnableNode(node("of", Some("of")))]),
        ("reconnect", vec![Command::Reconnect(None)]),
        ("reconnect app", vec![Command::Reconnect(Some(app()))]),
        ("reconnect node pg1", vec![Command::ReconnectNode(node("pg1", None))]),
        ("kill app", vec![Command::Kill(app())]),
        ("kill client 7; kill_client 8", vec![Command::KillClient(7), Command::KillClient(8)]),
        ("kill \"client\"", vec![Command::Kill("client".to_owned())]),
        ("reload; shutdown", vec![Command::Reload, Command::Shutdown]),
        ("shutdown now", vec![Command::ShutdownNow]),
        ("SHUTDOWN WAIT_FOR_CLIENTS", vec![Command::Foreign(Foreign::ShutdownWait)]),
        ("suspend;", vec![Command::Foreign(Foreign::Suspend)]),
        ("wait_close; WAIT_CLOSE app", vec![Command::WaitClose(None), Command::WaitClose(Some(app()))]),
        ("Show Dns_Hosts;", vec![show("DNS_HOSTS")]),
        ("show client_encoding", vec![Command::ShowParameter("client_encoding", "UTF8")]),
        ("SHOW datestyle", vec![Command::ShowParameter("DateStyle", "ISO")]),
        ("set query_timeout = 5s", vec![set("query_timeout", "5s", None)]),
        ("SET Query_Timeout='5 s';", vec![set("Query_Timeout", "5 s", None)]),
        ("set mode to observe of app", vec![set("mode", "observe", Some("app"))]),
        (
            "set log = 'warn,a=debug'; set log=info",
            vec![set("log", "warn,a=debug", None), set("log", "info", None)],
        ),
        ("SET extra_float_digits = 3", vec![Command::SetForSession]),
        ("SET DateStyle = ISO, MDY", vec![Command::SetForSession]),
    ];
    for (text, commands) in table {
        assert_eq!(parse(text), Ok(commands), "{text}");
    }
}

#[test]
fn mistakes_say_what_may_have_been_meant() {
    for (text, message, hint) in [
        ("shwo pools", "there is no command \"shwo pools\"", "Did you mean SHOW POOLS?"),
        ("show pool", "there is no command \"show pool\"", "Did you mean SHOW POOLS?"),
        ("show everything", "\"show everything\"", "SHOW can show HELP, VERSION, DATABASES"),
        ("show", "\"show\"", "SHOW can show"),
        ("show \"pools\"", "\"show pools\"", "Did you mean SHOW POOLS?"),
        ("puase app", "\"puase app\"", "PAUSE is written PAUSE [db]."),
        ("disable", "\"disable\"", "DISABLE is written DISABLE db or DISABLE NODE name [OF db]."),
        ("disable node", "\"disable node\"", "DISABLE NODE name [OF db]"),
        ("disable node a of", "\"disable node a of\"", "DISABLE NODE name [OF db]"),
        ("kill", "\"kill\"", "KILL is written KILL db or KILL CLIENT id."),
        ("kill client x", "\"x\" is not the id of a client", "SHOW CLIENTS"),
        ("kill client -1", "\"-1\" is not the id", "SHOW CLIENTS"),
        ("select 1", "\"select 1\"", "SHOW HELP lists what there is."),
        ("set", "\"set\"", "SET is written SET key = value [OF db]."),
        ("set query_timeout 5", "\"set query_timeout 5\"", "SET is written SET key = value [OF db]."),
        ("set query_timeout = =", "\"set query_timeout = =\"", "SET is written"),
        ("set query_timeout = 5 in app", "5 in app", "SET is written"),
        ("\"pause\"", "\"pause\"", "PAUSE is written"),
        ("pause \"app", "a quotation mark is not closed: \"\"app\"", "Close it with \""),
        ("pause app; nonsense", "\"nonsense\"", "SHOW HELP"),
        ("pause a\u{1b}[2J b c", "\"pause a\\u{1b}[2J b c\"", "PAUSE is written"),
    ] {
        let mistake = parse(text).expect_err(text);
        assert!(mistake.message.contains(message), "{text}: {}", mistake.message);
        assert!(mistake.hint.contains(hint), "{text}: {}", mistake.hint);
    }
    let long = parse(&"x".repeat(10_000)).unwrap_err();
    assert!(long.message.len() < 120 && long.message.ends_with("…\""), "{}", long.message);
}

#[test]
fn every_command_of_the_help_is_understood() {
    for (usage, _) in COMMANDS {
        let least: Vec<_> = usage.split(" [").take(1).collect();
        let most = usage.replace(['[', ']'], "").replace(" id", " 1");
        for text in [least[0].replace(" id", " 1"), most] {
            assert!(parse(&text).is_ok_and(|commands| commands.len() == 1), "{text}");
        }
    }
    for table in TABLES {
        assert_eq!(parse(&format!("show {}", table.name)), Ok(vec![Command::Show(table)]));
    }
}

proptest! {
    #[test]
    fn any_text_is_a_command_or_a_mistake(text in "\\PC{0,80}") {
        if let Err(Mistake { message, hint }) = parse(&text) {
            prop_assert!(!message.is_empty() && !hint.is_empty());
            prop_assert!(!message.contains('\n'));
        }
    }
}
