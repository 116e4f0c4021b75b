//! Connection URLs as they may be shown.

use std::net::Ipv6Addr;

use super::url::{SCHEMES, split};

/// The URL without anything that could be a password: `postgres://app:…@pg1/app?…`.
///
/// Safe on text that is no URL: what cannot be told apart for certain is left out. Values of parameters are never
/// shown, and neither is anything in the place of a port that is not one, because a forgotten `@` puts the password
/// there.
pub fn redact_url(text: &str) -> String {
    let text = text.trim();
    let Ok(parts) = split(text) else {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme);
        return match scheme.filter(|scheme| SCHEMES.contains(scheme)) {
            Some(scheme) => format!("{scheme}://…"),
            None => "…".to_owned(),
        };
    };
    let mut shown = format!("{}://", parts.scheme);
    if let Some((user, password)) = parts.credentials {
        shown.push_str(user);
        shown.push_str(if password.is_some() { ":…@" } else { "@" });
    }
    // Without an @ the "host:port" may be user and password, and the rest the end of the password.
    let trusted = parts.credentials.is_some();
    let hosts: Vec<String> = parts.hosts.split(',').map(|host| redact_host(host, trusted)).collect();
    shown.push_str(&hosts.join(","));
    match parts.path {
        Some(path) if trusted => shown.extend(["/", path]),
        Some(path) if !path.is_empty() => shown.push_str("/…"),
        _ => {}
    }
    if parts.query.is_some() {
        shown.push_str("?…");
    }
    shown.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// A host with its port, if that is one for certain.
fn redact_host(host: &str, trusted: bool) -> String {
    let (name, port) = match host.find(']') {
        Some(end) if is_ipv6(&host[..=end]) => host.split_at(end + 1),
        _ => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let certain = trusted && port.trim_start_matches(':').parse::<u16>().is_ok();
    if port.is_empty() || certain { host.to_owned() } else { format!("{name}:…") }
}

/// Whether text is an IPv6 address in brackets.
fn is_ipv6(text: &str) -> bool {
    let address = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
    let address = address.and_then(|text| text.split('%').next());
    address.is_some_and(|text| text.parse::<Ipv6Addr>().is_ok())
}
