//! Users that only the servers know.

use std::time::{Duration, Instant};

use super::support::proxy::{RunningProxy, Tidegate};
use super::support::raw::{Message, Raw, V3_0, startup};
use super::support::{self, wait_until};
use super::{WHERE, role, shared, wait_both};
use tidegate::local::{LocalCluster, Login};

/// On the primary.
const PRIMARY: &str = " /* tidegate: intent=primary */";

/// A proxy that is told of no user but the superuser, and asks for the others.
pub(super) fn asking(cluster: &LocalCluster, parameters: &str) -> Tidegate {
    let url = format!("{}?tidegate_auth_query=default&{parameters}", cluster.url(Login::Superuser));
    let mut tidegate = Tidegate::bare().args(["--primary", &url]);
    for replica in cluster.replicas() {
        tidegate = tidegate.args(["--replica", &replica.url(Login::Superuser)]);
    }
    tidegate
}

fn started(parameters: &str) -> RunningProxy {
    let proxy = asking(shared(), parameters).start();
    wait_both(&proxy);
    proxy
}

pub(super) fn log_in(proxy: &RunningProxy, user: &str, password: &str) -> Result<Raw, Message> {
    Raw::log_in(proxy.address(), V3_0, &[("user", user), ("database", "app")], password)
}

/// SQLSTATE of a refusal.
#[track_caller]
pub(super) fn code(result: Result<Raw, Message>) -> String {
    result.err().expect("a refusal").field(b'C').unwrap()
}

/// Runs it on the primary, and waits until the replicas have it.
pub(super) fn alter(sql: &str) {
    shared().primary().psql(sql).unwrap();
    shared().wait_caught_up().unwrap();
}

/// Who it is on every node.
pub(super) fn is_itself_everywhere(raw: &mut Raw, name: &str) {
    let whoami = "select current_user || ' ' || session_user";
    let wanted = format!("{name} {name}");
    assert_eq!(raw.ok(&format!("{whoami}{PRIMARY}")).value(), wanted);
    let mut seen = std::collections::BTreeSet::new();
    wait_until("both replicas have said who it is", || {
        let row = raw.ok("select current_setting('app.node'), current_user, session_user").rows().remove(0);
        assert_eq!(row[1..], [Some(name.to_owned()), Some(name.to_owned())]);
        seen.extend(row[0].clone());
        seen.contains("r1") && seen.contains("r2")
    });
}

#[test]
fn who_is_made_by_sql_is_itself_on_every_node() {
    let proxy = started("");
    for name in [role(), role()] {
        let mut raw = log_in(&proxy, &name, "secret").unwrap();
        is_itself_everywhere(&mut raw, &name);
    }
    assert_eq!(Raw::app(proxy.address()).ok("select current_user").value(), "app");
}

#[test]
fn who_may_not_log_in_looks_like_nobody() {
    let proxy = started("");
    let names: Vec<String> = (0..6).map(|_| role()).collect();
    let [past, nologin, none, md5, gone, wrong] = names.as_slice() else { unreachable!() };
    alter(&format!(
        "alter role {past} valid until '2001-01-01'; alter role {nologin} nologin; alter role {none} password null; \
         set password_encryption = md5; alter role {md5} password 'secret'; drop role {gone}"
    ));
    let fields = |name: &str, password: &str| {
        let mut fields = log_in(&proxy, name, password).err().expect("a refusal").fields();
        let text = fields[&b'M'].replace(name, "nobody");
        fields.insert(b'M', text);
        fields
    };
    let stranger = fields("promise_no_such_role", "secret");
    assert_eq!(stranger[&b'C'], "28P01");
    for name in [past, nologin, none, md5, gone] {
        assert_eq!(fields(name, "secret"), stranger, "{name}");
    }
    assert_eq!(fields(wrong, "guess"), stranger);
    // What the server keeps is no password.
    let kept =
        shared().primary().psql(&format!("select rolpassword from pg_authid where rolname = '{wrong}'"));
    assert_eq!(fields(wrong, kept.unwrap().trim()), stranger, "a stolen verifier logs in");
    assert!(log_in(&proxy, wrong, "secret").is_ok());
    // Valid for a while yet, and without end.
    alter(&format!(
        "alter role {past} valid until '2999-01-01'; alter role {nologin} login valid until 'infinity'"
    ));
    wait_until("they may log in again", || {
        [past, nologin].iter().all(|name| log_in(&proxy, name, "secret").is_ok())
    });
}
