//! What start-up parameters and transactions make of settings.

use super::*;

fn startup(pairs: &[(&str, &str)]) -> SessionSettings {
    let pairs: Vec<_> = pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    SessionSettings::at_startup(&pairs).unwrap()
}

#[test]
fn start_up_options_are_settings_like_any_other() {
    let s = startup(&[
        ("user", "app"),
        ("options", r"-c IntervalStyle=iso_8601 --search-path=a\ b -ctidegate.intent=primary"),
        ("TimeZone", "UTC"),
    ]);
    let pairs: Vec<_> = s.current.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(
        pairs,
        [
            ("intervalstyle", "iso_8601"),
            ("search_path", "a b"),
            ("tidegate.intent", "primary"),
            ("timezone", "UTC")
        ]
    );
    assert_eq!(s.steering.intent, Some(Intent::Primary));
    assert!(SessionSettings::at_startup(&[("options".into(), "-B 7".into())]).is_err());
}

#[test]
fn texts_that_cannot_be_read_are_not_read() {
    assert!(startup(&[("client_encoding", "SJIS")]).steering.unreadable);
    assert!(!startup(&[("standard_conforming_strings", "off")]).steering.unreadable);
    assert_eq!(startup(&[("standard_conforming_strings", "off")]).steering.strings, Strings::Escaped);
    assert!(!startup(&[("client_encoding", "LATIN1")]).steering.unreadable);
}

#[test]
fn literals_cannot_be_left() {
    assert_eq!(literal(r"a'b\'; drop"), r"E'a\'b\\\'; drop'");
}

#[test]
fn what_is_locked_says_nothing_however_it_was_set() {
    let mut s =
        startup(&[("options", "-c tidegate.consistency=eventual -c tidegate.key=a -c tidegate.trace=on")]);
    s.set_in_transaction("intent", Some("replica"));
    s.set_in_transaction("scope", Some("connection"));
    let free = s.steering;
    assert_eq!((free.level, free.scope), (Some(Level::Eventual), Some(Scope::Connection)));
    s.lock(Lockable::ALL.into_iter().collect());
    let locked = s.steering;
    assert_eq!((locked.intent, locked.level, locked.scope, locked.key), (None, None, None, None));
    assert!(locked.trace, "it changes no decision");
    // Nor after a savepoint, where the stricter of two would count.
    s.savepoint();
    assert_eq!((s.steering.level, s.steering.scope), (None, None));
    assert_eq!((s.own("consistency"), s.own("key"), s.own("trace")), (None, None, Some("on")));
    s.end_transaction();
    s.lock(Locked::default());
    assert_eq!(s.steering.level, Some(Level::Eventual));
}

#[test]
fn after_a_savepoint_the_default_is_not_weakened() {
    let mut s = startup(&[]);
    s.set_in_transaction("key", Some("a"));
    s.savepoint();
    assert_eq!((s.steering.level, s.steering.scope), (None, None), "whatever holds for the user");
    s.set_in_transaction("consistency", Some("eventual"));
    assert_eq!(s.steering.level, Some(Level::Strong), "it may have been taken back");
}
