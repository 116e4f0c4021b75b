//! Users that the configuration does not name.

use super::*;

const VERIFIER: &str = "SCRAM-SHA-256$4096:c2FsdHNhbHQ=$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
const HASH: &str = "md50123456789abcdef0123456789abcdef";

/// What a file of this text gives, beside a list of users.
fn with_list(text: &str, list: &str) -> Result<Settings, Mistakes> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("userlist.txt"), list).unwrap();
    let path = folder.path().join("tidegate.toml");
    std::fs::write(&path, text).unwrap();
    load(&Sources { file: Some(path), ..Sources::default() })
}

fn names(database: &DatabaseSettings) -> Vec<&str> {
    database.users.iter().map(|user| user.name.as_str()).collect()
}

#[test]
fn who_is_looked_up_and_by_whom() {
    let off = database("postgres://a:b@h/d");
    assert_eq!((off.accounts.query.as_deref(), off.has_guests()), (None, false));
    let default =
        database("postgres://a:b@h/d?tidegate_auth_query=default&tidegate_auth_ttl=0&tidegate_user_limit=7");
    assert!(default.accounts.query.as_ref().unwrap().contains("pg_catalog.pg_authid"));
    assert_eq!((default.accounts.ttl, default.accounts.limit), (Duration::ZERO, 7));
    assert!(default.takes_guest("anybody") && !default.takes_guest("a"));
    // Who asks may be the only one that is known.
    let url = Secret::new("postgres://h/d?tidegate_auth_query=true&tidegate_auth_user=asker");
    let flags = Given { url: Some(url), ..Given::default() };
    let sources = Sources { flags, pg_password: Some(Secret::new("x")), ..Sources::default() };
    let alone = load(&sources).unwrap().databases.remove(0);
    assert_eq!((names(&alone), alone.accounts.user.as_deref()), (vec!["asker"], Some("asker")));
    // What is said of somebody who is looked up.
    let text = "[database.d]\nurl = 'postgres://a:b@h/d'\nauth_query = 'select * from f($1)'\nuser.c.consistency = 'eventual'\n";
    let said = with_list(text, "").unwrap().databases.remove(0);
    assert!(said.takes_guest("c") && said.stored("c").is_none());
    // The password of whoever asks is not that of somebody who is looked up.
    let text = "[database.d]\nurl = 'postgres://a@h/d'\nauth_query = true\nuser.c.consistency = 'eventual'\n";
    let sources = Sources { pg_password: Some(Secret::new("x")), ..Sources::default() };
    let said = from_file(text, sources).unwrap().databases.remove(0);
    let passwords: Vec<_> = said.users.iter().map(|user| user.password.is_some()).collect();
    assert_eq!((passwords, said.takes_guest("c")), (vec![true, false], true));
}

#[test]
fn a_list_is_joined() {
    let list = format!(
        "\"plain\" \"p\"\n\"hashed\" \"{HASH}\"\n\"a\" \"other\"\n\"kept\" \"{VERIFIER}\"\n\"lone\" \"{VERIFIER}\"\n\"none\" \"\"\n"
    );
    let text =
        "[database.d]\nurl = 'postgres://a:b@h/d'\nauth_file = 'userlist.txt'\nuser.kept.scope = 'client'\n";
    let database = with_list(text, &list).unwrap().databases.remove(0);
    assert_eq!(names(&database), ["a", "kept", "plain"]);
    assert_eq!(database.users[0].password, Some(Secret::new("b")), "what is said elsewhere goes first");
    assert_eq!(
        (&database.users[1].password, &database.users[1].stored),
        (&None, &Some(Secret::new(VERIFIER)))
    );
    assert_eq!(database.accounts.listed.keys().collect::<Vec<_>>(), ["hashed", "lone"]);
    let guests = ["hashed", "lone", "kept"].map(|name| database.takes_guest(name));
    assert_eq!(
        (guests, database.takes_guest("none"), database.takes_guest("plain")),
        ([true; 3], false, false)
    );
    assert!(!format!("{database:?}").contains("SCRAM-SHA"));
}

#[test]
fn mistakes_are_told_and_secrets_are_not() {
    let bad = |text: &str, words: &[&str]| {
        let mistakes = with_list(text, "\"x\" SECRET\n\"y\" \"SECRET\"\n\"y\" \"SECRET\"\n").unwrap_err();
        assert_says(&mistakes, words);
        assert!(!mistakes.to_string().contains("SECRET"), "{mistakes}");
    };
    let database = "[database.d]\nurl = 'postgres://a:b@h/d'\n";
    bad(&format!("{database}auth_file = 'userlist.txt'\n"), &["line 1 of", "line 3 of", "listed before"]);
    bad(&format!("{database}auth_file = 'nothing.txt'\n"), &["cannot be read"]);
    bad(&format!("{database}auth_query = 'select 1'\n"), &["$1 is missing"]);
    bad(&format!("{database}auth_user = 'a'\n"), &["there is no question"]);
    bad(&format!("{database}auth_query = true\nclient_auth = 'trust'\n"), &["nobody proves anything"]);
    bad(
        &format!("{database}auth_query = true\nauth_user = 'c'\n"),
        &["the user c logs in to the servers for auth_query and needs a password, but has none"],
    );
    bad(
        "[database.d]\nurl = 'postgres://a@h/d'\nauth_query = true\n",
        &["the proxy's own questions and needs a password, but has none"],
    );
    bad("[database.d]\nurl = 'postgres://h/d'\nauth_query = true\n", &["no user is given"]);
    let verifier = format!("[database.d]\nurl = 'postgres://a@h/d'\nuser.a.password = '{VERIFIER}'\n");
    bad(&verifier, &["needs a password, but has a verifier"]);
}
