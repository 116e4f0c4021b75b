//! Listening addresses: TCP and Unix sockets.

use super::*;

fn listen(addresses: &[&str]) -> Result<Settings, Mistakes> {
    let mut flags = given("postgres://a@pg1?tidegate_client_auth=trust");
    flags.listen = addresses.iter().map(ToString::to_string).collect();
    load(&Sources { flags, ..Sources::default() })
}

#[test]
fn directories_with_and_without_a_port() {
    let folder = tempfile::tempdir().unwrap();
    let with_colon = folder.path().join("a:b");
    std::fs::create_dir(&with_colon).unwrap();
    let (plain, with_colon) = (folder.path().to_str().unwrap(), with_colon.to_str().unwrap());
    let table = [
        (plain.to_owned(), format!("{plain}:6432")),
        (format!(" {plain}:5432 "), format!("{plain}:5432")),
        (format!("/{plain}//:6433"), format!("{plain}:6433")),
        (format!("{with_colon}:6432"), format!("{with_colon}:6432")),
        ("/".to_owned(), "/:6432".to_owned()),
    ];
    for (text, shown) in table {
        let settings = listen(&[&text]).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        assert_eq!(settings.listen[0].to_string(), shown);
        // Whoever is on this machine is no more of a stranger than by 127.0.0.1.
        assert_eq!(settings.warnings, [""; 0], "{text}");
        let settings = from_file(
            &format!("listen = ['127.0.0.1:0', '{text}']\n"),
            Sources { flags: given("postgres://a:b@h"), ..Sources::default() },
        );
        assert_eq!(settings.unwrap().listen[1].to_string(), shown);
    }
    let ListenAddress::Unix { directory, port } = listen(&[plain]).unwrap().listen.remove(0) else {
        panic!()
    };
    assert_eq!(socket_path(&directory, port), folder.path().join(".s.PGSQL.6432"));
}

#[test]
fn several_sockets() {
    let settings = listen(&["127.0.0.1:6432", "/tmp", "/tmp:5432"]).unwrap();
    assert_eq!(settings.listen.len(), 3, "a port is one of a directory or of an address");
    assert_says(&listen(&["/tmp", "/tmp/:6432"]).unwrap_err(), &["the address /tmp:6432 is given twice"]);
}

#[test]
fn mistakes() {
    let long = format!("/{}", "x".repeat(93));
    let table = [
        ("run/tidegate", "is not an IP address with a port. Write 127.0.0.1:6432"),
        ("run/tidegate", "or /run/tidegate:6432 for a Unix socket"),
        ("/tmp:0", "the port in \"/tmp:0\" is not a number from 1 to 65535"),
        ("/tmp:", "the port in \"/tmp:\" is not a number"),
        ("/tmp:65536", "is not a number from 1 to 65535"),
        ("/tmp:a", "is not a number from 1 to 65535"),
        ("/nowhere/tidegate", "listen: there is no directory \"/nowhere/tidegate\". Create it"),
        ("/dev/null", "there is no directory \"/dev/null\""),
        (&long, "would have a name of 108 bytes, and the system allows 107"),
    ];
    for (text, words) in table {
        let mistakes = listen(&[text]).expect_err(text);
        assert_says(&mistakes, &[words]);
        assert_eq!(mistakes.iter().count(), 1, "{mistakes}");
    }
    // One byte less is a name that can be.
    assert_says(&listen(&[&long[1..].replacen('x', "/", 1)]).unwrap_err(), &["there is no directory"]);
}
