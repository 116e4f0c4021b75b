use proptest::prelude::*;

use super::*;

fn node(node: &str, database: Option<&str>) -> NodeName {
    NodeName { node: node.to_owned(), database: database.map(str::to_owned) }
}

#[test]
fn what_is_understood() {
    let app = || "app".to_owned();
    let table = [
        ("show pools", vec![Command::Show(Table::Pools)]),
        ("  SHOW\n\tHelp ; ", vec![Command::Show(Table::Help)]),
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
    for (name, table) in TABLES {
        assert_eq!(parse(&format!("show {name}")), Ok(vec![Command::Show(table)]));
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
