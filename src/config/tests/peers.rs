//! Several instances side by side.

use super::*;

fn load_file(text: &str, peer_id: Option<&str>) -> Result<Settings, Mistakes> {
    let mut flags = given("postgres://a:b@pg1");
    flags.peer_id = peer_id.map(str::to_owned);
    from_file(text, Sources { flags, ..Sources::default() })
}

fn shown(settings: &Settings) -> Vec<String> {
    settings.peers.iter().map(ToString::to_string).collect()
}

#[test]
fn one_list_serves_all() {
    let list = "[peers]\n3 = 'tg-3'\n1 = 'tg-1:6432'\n1023 = '[::1]:7000'\n2 = '/run/tg2:6440'\n";
    for number in ["1", "2", "1023", "7"] {
        let settings = load_file(list, Some(number)).unwrap();
        assert_eq!(settings.peer_id.unwrap().to_string(), number);
        let expected = ["3 at tg-3:6432", "1 at tg-1:6432", "1023 at [::1]:7000", "2 at /run/tg2:6440"];
        assert_eq!(shown(&settings), expected);
    }
    let settings = load_file(&format!("peer_id = 4\n{list}"), None).unwrap();
    assert_eq!(settings.peer_id, PeerId::new(4));
    assert_eq!(load_file("peer_id = 4\n", Some("5")).unwrap().peer_id, PeerId::new(5), "flags go first");
    let settings = load_file("", None).unwrap();
    assert_eq!((settings.peer_id, settings.peers.len()), (None, 0));
}

#[test]
fn mistakes() {
    let table = [
        ("peer_id = 0\n", "peer_id: \"0\" is not a whole number from 1 to 1023"),
        ("peer_id = 1024\n", "peer_id: \"1024\" is not a whole number from 1 to 1023"),
        ("peer_id = -1\n", "is not a whole number from 1 to 1023"),
        ("[peers]\n1 = 'a'\n", "peer_id: there are peers, and no number of its own. Say which"),
        ("peer_id = 1\n[peers]\n0 = 'a'\n", "tidegate.toml:3, peers.0: \"0\" is not a whole number"),
        ("peer_id = 1\n[peers]\nb = 'a'\n", "peers.b: \"b\" is not a whole number from 1 to 1023"),
        ("peer_id = 1\n[peers]\n2 = 'a'\n02 = 'b'\n", "peers.02: the number 2 is given twice"),
        (
            "peer_id = 1\n[peers]\n2 = 'a:x'\n",
            "the port of host a is not a number from 1 to 65535. Write it as 2 =",
        ),
        ("peer_id = 1\n[peers]\n2 = ''\n", "peers.2: a host is empty"),
        ("peer_id = 1\n[peers]\n2 = ['a']\n", "peers.2: a value of type array cannot stand here"),
        ("peer_id = 1\npeers = 'a'\n", "Write a section [peers]"),
        ("peer_id = 1\n[peers]\n2 = 'a'\n3 = 'A:6432'\n", "peers: 3 at a:6432 has the address of 2"),
        (
            "peer_id = 1\nlisten = '127.0.0.1:7000'\n[peers]\n2 = '127.0.0.1:7000'\n",
            "2 at 127.0.0.1:7000 has an address of this instance",
        ),
    ];
    for (text, words) in table {
        let mistakes = load_file(text, None).expect_err(text);
        assert_says(&mistakes, &[words]);
        assert_eq!(mistakes.iter().count(), 1, "{text}: {mistakes}");
    }
    let mistakes = load_file("", Some("many")).unwrap_err();
    assert_says(&mistakes, &["--peer-id: \"many\" is not a whole number"]);
}
