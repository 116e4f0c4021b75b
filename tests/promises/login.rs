//! Who gets in, and what the others are told.

use super::support::raw::{Message, Raw, V3_0};
use super::{proxy, support, wait_both};

fn refused(proxy: &super::RunningProxy, user: &str, database: &str, password: &str) -> Message {
    let parameters = [("user", user), ("database", database)];
    Raw::log_in(proxy.address(), V3_0, &parameters, password).err().expect("a refusal")
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_the_same() {
    let proxy = proxy("");
    wait_both(&proxy);
    let wrong = refused(&proxy, "app", "app", "guess");
    let unknown = refused(&proxy, "nob", "app", "guess");
    assert_eq!(wrong.field(b'C').unwrap(), "28P01");
    let (mut wrong, unknown) = (wrong.fields(), unknown.fields());
    let text = wrong[&b'M'].replace("app", "nob");
    wrong.insert(b'M', text);
    assert_eq!(wrong, unknown);
    // A stranger learns nothing of databases, either.
    assert_eq!(refused(&proxy, "nob", "nothing", "guess").field(b'C').unwrap(), "28P01");
    let database = refused(&proxy, "app", "nothing", "secret");
    assert_eq!(database.field(b'C').unwrap(), "3D000");
    assert_eq!(database.field(b'M').unwrap(), "database \"nothing\" does not exist");
    assert_eq!(refused(&proxy, "app", "nothing", "guess").field(b'C').unwrap(), "28P01");
    assert_eq!(Raw::app(proxy.address()).ok("select 1").value(), "1");
    assert!(proxy.metric("tidegate_logins_total", &["outcome=\"refused\""]) >= 4.0);
}

#[test]
fn more_clients_than_allowed_are_told_so() {
    let proxy = proxy("tidegate_max_clients=3");
    let mut clients: Vec<_> = (0..3).map(|_| Raw::app(proxy.address())).collect();
    let error = refused(&proxy, "app", "app", "secret");
    assert_eq!(error.field(b'C').unwrap(), "53300");
    assert!(error.field(b'M').unwrap().contains("max_clients=3"), "{error:?}");
    assert_eq!(clients[0].ok("select 1").value(), "1");
    // A wrong password is not told how full it is.
    assert_eq!(refused(&proxy, "app", "app", "guess").field(b'C').unwrap(), "28P01");
    clients.pop().unwrap().terminate();
    support::wait_until("there is room again", || {
        Raw::log_in(proxy.address(), V3_0, &[("user", "app"), ("database", "app")], "secret").is_ok()
    });
}

#[test]
fn clients_are_told_what_a_direct_connection_tells() {
    let proxy = proxy("");
    wait_both(&proxy);
    let direct = Raw::app(([127, 0, 0, 1], super::shared().primary().port()).into());
    let through = Raw::app(proxy.address());
    assert_eq!(through.reported, direct.reported);
    let tags = |raw: &Raw| raw.greeting.iter().map(|m| char::from(m.tag)).collect::<String>();
    assert_eq!(tags(&through), tags(&direct));
}
