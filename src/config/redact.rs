//! Connection URLs as they may be shown.

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
    let hosts: Vec<String> = parts
        .hosts
        .split(',')
        .map(|host| redact_host(host, trusted))
        .collect();
    shown.push_str(&hosts.join(","));
    match parts.path {
        Some(path) if trusted => shown.extend(["/", path]),
        Some(path) if !path.is_empty() => shown.push_str("/…"),
        _ => {}
    }
    if parts.query.is_some() {
        shown.push_str("?…");
    }
    shown
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

/// A host with its port, if that is one for certain.
fn redact_host(host: &str, trusted: bool) -> String {
    let start = host.rfind(']').unwrap_or(0);
    match host[start..].find(':') {
        None => host.to_owned(),
        Some(colon) => {
            let (name, port) = host.split_at(start + colon);
            if trusted && port[1..].parse::<u16>().is_ok() {
                host.to_owned()
            } else {
                format!("{name}:…")
            }
        }
    }
}
