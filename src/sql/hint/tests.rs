use super::*;
use crate::sql::{Shaper, Strings};
use std::time::Duration;

fn read(text: &str) -> Result<Hints, HintError> {
    Hints::read(&Shaper::new(0).scan(text.as_bytes()).unwrap_or_else(|| panic!("{text}")).hints)
}

fn intent(intent: Intent) -> Hints {
    Hints { intent: Some(intent), ..Hints::default() }
}

#[test]
fn own_comments() {
    assert_eq!(read("/* tidegate: intent=primary */ select 1"), Ok(intent(Intent::Primary)));
    assert_eq!(read("select 1 /*TideGate:intent = 'REPLICA' ,*/ + 2"), Ok(intent(Intent::Replica)));
    let all = "select /* tidegate: intent=primary, consistency=bounded(2s), scope=key, key='tenant 7',\
               on_stale=wait(5ms), after=7/1/0/16B3748, log=route */ 1";
    let expected = Hints {
        intent: Some(Intent::Primary),
        consistency: Some(Level::Bounded(Duration::from_secs(2))),
        scope: Some(Scope::Key),
        key: Some("tenant 7".into()),
        on_stale: Some(OnStale::Wait(Duration::from_millis(5))),
        after: Some("7/1/0/16B3748".into()),
        log: Some(Logged::Route),
        trace: None,
    };
    assert_eq!(read(all), Ok(expected));
    assert_eq!(read("/* tidegate: */ select 1"), Ok(Hints::default()));
}

#[test]
fn mistakes_in_own_comments_are_reported() {
    let cases = [
        ("/* tidegate: intent=write */ select 1", "\"write\" is no intent"),
        ("/* tidegate: consistency=strict */ select 1", "\"strict\" is no consistency"),
        ("/* tidegate: scope= */ select 1", "\"\" is no scope"),
        (
            "/* tidegate: intend=primary */ select 1",
            "there is no hint \"intend\" (there are intent, consistency, scope, key, on_stale, after and log)",
        ),
        ("/* tidegate: primary */ select 1", "a hint must be \"key=value\", not \"primary\""),
        ("/* tidegate: intent=primary, intent=replica */ select 1", "the hint \"intent\" is given twice"),
        (
            "/* tidegate: intent=primary */ select /* tidegate: */ 1",
            "there is more than one comment \"/* tidegate: … */\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text).map_err(|error| error.to_string()), Err(expected.to_owned()), "{text}");
    }
}

#[test]
fn sqlcommenter_comments() {
    let primary = Ok(intent(Intent::Primary));
    assert_eq!(read("select 1 /*intent='primary'*/"), primary);
    assert_eq!(read("select 1 /*controller='a',intent='prim%61ry',traceparent='00-5bd66ef5-01'*/;"), primary);
    assert_eq!(read("select 1 /*a='it\\'s, ok',intent='primary'*/"), primary);
    assert_eq!(read("select 1 /* intent = 'primary' , z='1' */ -- bye"), primary);
    assert_eq!(read("select 1 /*intent='primary'*/ /* by hand */"), primary);
    assert_eq!(read("select 1 /*intent='replica'*/ /*intent='primary'*/"), primary);
    assert_eq!(read("select 1 /*%69ntent='primary'*/"), primary);
    assert_eq!(read("/* tidegate: intent=primary */ select 1 /*intent='replica'*/"), primary);
    let after = Some("1/2/3'".into());
    assert_eq!(read("select 1 /*after='1%2F2%2F3\\'',k='v'*/"), Ok(Hints { after, ..Hints::default() }));
}

#[test]
fn not_hints() {
    for text in [
        "select 1",
        "select /*intent='primary'*/ 1",
        "select '/*intent=''primary''*/'",
        "select 1 -- /*intent='primary'*/",
        "select '/* tidegate: intent=primary */'",
        "select 'it''s /* tidegate: intent=primary */'",
        "select $$/* tidegate: intent=primary */$$",
        "select $a$ $$ /* tidegate: intent=primary */ $a$",
        "select E'\\'/* tidegate: intent=primary */'",
        "select U&'\\0027/* tidegate: intent=primary */'",
        "select B'/* tidegate: intent=primary */'",
        "select 1 as \"/* tidegate: intent=primary */\"",
        "select 1 as U&\"/* tidegate: intent=primary */\"",
        "select 1 -- /* tidegate: intent=primary */",
        "select 1 /* a /* tidegate: intent=primary */ */",
        "select 1 /* don't /* tidegate: intent=primary */ */ + 1",
        "select 1 /* just words, don't mind */",
        "select 1 /* a='b */",
        "select 1 /*route='primary'*/",
        "select 1 /*intent=primary*/",
        "select 1 /*'*/",
        "select 1 /**/",
    ] {
        assert_eq!(read(text), Ok(Hints::default()), "{text}");
    }
}

#[test]
fn where_a_string_ends_is_for_the_session_to_say() {
    let read = |text: &str, strings| {
        let shaper = Shaper::new(0);
        Hints::read(&shaper.scan_with(text.as_bytes(), strings).unwrap_or_else(|| panic!("{text}")).hints)
    };
    let escaped = r"select 'a\'/* tidegate: intent=primary */'";
    assert_eq!(read(escaped, Strings::Escaped), Ok(Hints::default()));
    let ended = r"select 'a\\'/* tidegate: intent=primary */";
    assert_eq!(read(ended, Strings::Escaped), Ok(intent(Intent::Primary)));
    let standard = r"select 'a\'/* tidegate: intent=primary */";
    assert_eq!(read(standard, Strings::Standard), Ok(intent(Intent::Primary)));
}

#[test]
fn mistakes_in_sqlcommenter_comments_are_reported() {
    let unknown = HintError::UnknownValue { key: "intent", value: "writer".into() };
    assert_eq!(read("select 1 /*intent='writer'*/"), Err(unknown));
    assert_eq!(read("select 1 /*intent='primary',x=*/"), Err(HintError::Malformed("x=".into())));
    assert_eq!(read("select 1 /*intent='primary',intent='primary'*/"), Err(HintError::Repeated("intent")));
}

#[test]
fn an_applications_trace_is_no_hint_and_no_mistake() {
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let read_parent =
        |sql: String| read(&sql).map(|hints| (hints.trace.map(|trace| trace.sampled), hints.is_empty()));
    let route = "route='%2Fpolls',";
    assert_eq!(read_parent(format!("select 1 /*{route}traceparent='{parent}'*/")), Ok((Some(true), true)));
    assert_eq!(read_parent(format!("select 1 /*traceparent='{parent}' and more*/")), Ok((None, true)));
    assert_eq!(read_parent("select 1 /*traceparent='00-x'*/".to_owned()), Ok((None, true)));
    // Others call something a log, too.
    assert_eq!(read("select 1 /*log='debug'*/"), Ok(Hints::default()));
    assert_eq!(read("select 1 /*log='route'*/").unwrap().log, Some(Logged::Route));
}
