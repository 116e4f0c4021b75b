//! What holds for the whole proxy: addresses, TLS towards clients, rules, peers, the console.

use std::net::IpAddr;

use super::ini::pairs;
use super::known::PEER;
use super::listing::Listing;
use super::plan::{Group, Plan, Settings, Value};
use super::translate::{Said, Sections, convert, judge, take};
use super::values::LOGIN;

/// The port there and here.
const PORT: &str = "6432";

/// Everything but the console's users, who need to be known first.
pub(super) fn top(sections: &Sections<'_>, listing: &Listing, plan: &mut Plan) {
    let mut top = Settings::default();
    listen(sections, &mut top, plan);
    if let Some(said) = sections.proxy(LOGIN.theirs) {
        convert(&LOGIN, said, "", &mut top, plan);
    }
    if sections.or("auth_type", "md5").value == "hba" {
        take("auth_hba_file", "hba_file", sections.proxy("auth_hba_file"), &mut top, plan);
        take("auth_ident_file", "ident_file", sections.proxy("auth_ident_file"), &mut top, plan);
        if top.get("hba_file").is_none() {
            let text = "there is no auth_hba_file: name the rules with hba_file";
            plan.say(Group::Look, "auth_type", sections.or("auth_type", "").place, text);
        }
    } else {
        for name in ["auth_hba_file", "auth_ident_file"] {
            if let Some(said) = sections.proxy(name) {
                plan.say(Group::Unneeded, name, said.place, "nobody reads it, because auth_type is not hba");
            }
        }
    }
    if let (Some(said), None) = (sections.proxy("auth_file"), &listing.path) {
        plan.say(Group::Look, "auth_file", said.place, "it was not read, so nobody in it is known here");
    }
    encryption(sections, &mut top, plan);
    peers(sections, &mut top, plan);
    plan.top = top;
}

fn listen(sections: &Sections<'_>, top: &mut Settings, plan: &mut Plan) {
    let port = sections.or("listen_port", PORT);
    let mut addresses = Vec::new();
    if let Some(said) = sections.proxy("listen_addr") {
        for word in said.value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match address(word) {
                Some(ip) => addresses.push(format!("{ip}:{}", port.value)),
                None => plan.say(
                    Group::Look,
                    "listen_addr",
                    said.place,
                    "a name is not looked up here: add its IP address to listen",
                ),
            }
            if word == "*" {
                let text = format!("for clients that come by IPv6, add \"[::]:{}\" to listen", port.value);
                plan.say(Group::Look, "listen_addr", said.place, text);
            }
        }
    }
    let socket = sections.or("unix_socket_dir", "/tmp");
    if socket.value.starts_with('@') {
        let text = "there are no sockets without a file here: name a directory in listen, such as \"/run/tidegate:6432\"";
        plan.say(Group::Missing, "unix_socket_dir", socket.place, text);
    } else if !socket.value.is_empty() {
        addresses.push(format!("{}:{}", socket.value.trim_end_matches('/'), port.value));
    }
    if addresses.is_empty() {
        let text =
            "clients cannot come from anywhere there: listen is left as it is by default, 127.0.0.1:6432";
        return plan.say(Group::Look, "listen_addr", None, text);
    }
    let value = Value::List(addresses);
    let place =
        [sections.proxy("listen_addr"), sections.proxy("listen_port"), sections.proxy("unix_socket_dir")];
    let place = place.into_iter().flatten().find_map(|said| said.place);
    plan.say(Group::Taken, "listen_addr, listen_port, unix_socket_dir", place, format!("listen = {value}"));
    top.set("listen", value);
}

/// An address to listen on, as it is written before a port.
fn address(word: &str) -> Option<String> {
    match word {
        "*" => Some("0.0.0.0".to_owned()),
        "localhost" => Some("127.0.0.1".to_owned()),
        word => match word.parse().ok()? {
            IpAddr::V4(ip) => Some(ip.to_string()),
            IpAddr::V6(ip) => Some(format!("[{ip}]")),
        },
    }
}

fn encryption(sections: &Sections<'_>, top: &mut Settings, plan: &mut Plan) {
    let mode = sections.or("client_tls_sslmode", "disable");
    let (ssl, verifies) = match mode.value {
        "disable" | "" => {
            for name in
                ["client_tls_sslmode", "client_tls_key_file", "client_tls_cert_file", "client_tls_ca_file"]
            {
                if let Some(said) = sections.proxy(name) {
                    plan.say(
                        Group::Same,
                        name,
                        said.place,
                        "clients are not encrypted, as without any certificate here",
                    );
                }
            }
            return;
        }
        "allow" | "prefer" => ("allow", false),
        "require" => ("require", false),
        "verify-ca" | "verify-full" => ("require", true),
        _ => {
            let text = "it is no mode of TLS: ssl is left as it is by default";
            return plan.say(Group::Look, "client_tls_sslmode", mode.place, text);
        }
    };
    take("client_tls_sslmode", "ssl", Some(Said { value: ssl, ..mode }), top, plan);
    take("client_tls_cert_file", "ssl_cert_file", sections.proxy("client_tls_cert_file"), top, plan);
    take("client_tls_key_file", "ssl_key_file", sections.proxy("client_tls_key_file"), top, plan);
    if verifies || sections.or("auth_type", "md5").value == "cert" {
        take("client_tls_ca_file", "ssl_ca_file", sections.proxy("client_tls_ca_file"), top, plan);
    }
    if verifies {
        let text = "a certificate that a client shows must be one of these authorities', but it need not show one: ask for it \
                    with client_auth = \"cert\", or with clientcert=verify-ca in the rules of hba_file";
        plan.say(Group::Missing, "client_tls_sslmode", mode.place, text);
    }
    if let Some(said) = sections.proxy("client_tls_protocols") {
        let (oldest, _) = protocols(said.value);
        if oldest == "TLSv1.3" {
            take(
                "client_tls_protocols",
                "ssl_min_protocol_version",
                Some(Said { value: oldest, ..said }),
                top,
                plan,
            );
        } else {
            let text = "TLS 1.2 and 1.3 are spoken; older versions never are";
            plan.say(Group::Same, "client_tls_protocols", said.place, text);
        }
    }
}

/// The oldest and the newest version of those in a list that are spoken here.
pub(super) fn protocols(text: &str) -> (&'static str, &'static str) {
    let words: Vec<String> = text.split([',', ':']).map(|word| word.trim().to_ascii_lowercase()).collect();
    let has = |word: &str| words.iter().any(|known| known == word);
    let only_new = has("tlsv1.3") && !has("tlsv1.2");
    let only_old = has("tlsv1.2") && !has("tlsv1.3");
    (if only_new { "TLSv1.3" } else { "TLSv1.2" }, if only_old { "TLSv1.2" } else { "TLSv1.3" })
}

fn peers(sections: &Sections<'_>, top: &mut Settings, plan: &mut Plan) {
    let said = sections.or("peer_id", "0");
    match said.value.parse::<u64>() {
        Ok(0) if said.place.is_some() => {
            plan.say(Group::Same, "peer_id", said.place, "there are no peers by default");
        }
        Ok(0) => {}
        Ok(number @ 1..=1023) => {
            plan.say(Group::Taken, "peer_id", said.place, format!("peer_id = {number}"));
            top.set("peer_id", Value::Number(number));
        }
        _ => plan.say(
            Group::Look,
            "peer_id",
            said.place,
            "here it is a number from 1 to 1023: choose others for all peers",
        ),
    }
    let is_one = top.get("peer_id").is_some();
    for entry in &sections.peers {
        let of = format!("peer {}", entry.key);
        let (number, pairs) = match (entry.key.parse::<u64>(), pairs(&entry.value)) {
            (Ok(number @ 1..=1023), Ok(pairs)) if is_one => (number, pairs),
            (Ok(1..=1023), Ok(_)) => {
                plan.say(
                    Group::Look,
                    of,
                    Some(&entry.place),
                    "it is left out, because this one has no peer_id",
                );
                continue;
            }
            (_, Err(problem)) => {
                plan.say(Group::Look, of, Some(&entry.place), problem);
                continue;
            }
            _ => {
                plan.say(Group::Look, of, Some(&entry.place), "its number is not from 1 to 1023");
                continue;
            }
        };
        for (name, value) in &pairs {
            judge(PEER, name, value, &entry.place, &of, plan);
        }
        let get =
            |name: &str| pairs.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let Some(host) = get("host").filter(|host| !host.is_empty() && !host.starts_with('@')) else {
            plan.say(Group::Look, of, Some(&entry.place), "it has no host that can be reached here");
            continue;
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        let address = format!("{host}:{}", get("port").unwrap_or(PORT));
        plan.say(Group::Taken, of, Some(&entry.place), format!("[peers] {number} = {address:?}"));
        plan.peers.retain(|(known, _)| *known != number);
        plan.peers.push((number, address));
    }
}

/// Who may use the console.
pub(super) fn console(sections: &Sections<'_>, listing: &Listing, plan: &mut Plan) {
    let Some(said) = sections.proxy("admin_users") else { return };
    let names = said.value.split(',').map(str::trim).filter(|name| !name.is_empty());
    let is_configured = |name: &str| {
        let users = plan.databases.iter().flat_map(|database| &database.users);
        users.filter(|user| user.name == name).any(|user| user.settings.get("password_file").is_some())
    };
    let (known, unknown): (Vec<&str>, Vec<&str>) =
        names.partition(|name| listing.can_use_console(name) || is_configured(name));
    for name in unknown {
        let text = format!(
            "{name} has no password that is known here: add it to console_users, with a console_password_file"
        );
        plan.say(Group::Look, "admin_users", said.place, text);
    }
    if !known.is_empty() {
        let value = Value::List(known.into_iter().map(str::to_owned).collect());
        let text =
            format!("console_users = {value}: they may use the database tidegate, also called pgbouncer");
        plan.say(Group::Taken, "admin_users", said.place, text);
        plan.top.set("console_users", value);
    }
}
