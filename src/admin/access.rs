//! Who may see what at the admin address.
//!
//! Whether the process lives and is ready says nothing that must stay secret, and is shown to everybody: those who probe it
//! have no credentials. The rest is for those who show the token, unless the settings say otherwise.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::pages;
use crate::auth::same;
use crate::config::{AdminOpen, Secret, Settings};

/// Wrong credentials that an address may show within [`WINDOW`]; what it shows beyond that is not looked at.
const FAILURES: u32 = 10;
const WINDOW: Duration = Duration::from_mins(1);
/// Addresses that are remembered for wrong credentials.
const ADDRESSES: usize = 1024;
/// The longest header with credentials that is looked at, in bytes.
const LONGEST: usize = 4096;

/// What is shown to whom, as the settings say it by now.
#[derive(Debug)]
pub struct Access {
    rule: ArcSwap<Rule>,
    failures: Mutex<Failures>,
    /// Told when something else is shown to whom.
    changes: watch::Sender<()>,
}

#[derive(Debug, PartialEq)]
struct Rule {
    open: AdminOpen,
    token: Option<Secret>,
}

/// Where a request comes from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller(pub(super) IpAddr);

/// Whether whoever asks may know names of databases and nodes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trusted(pub(super) bool);

/// What credentials are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    Right,
    Wrong,
    /// There were too many wrong ones before, so these were not looked at.
    TooMany,
}

impl Access {
    /// What these settings say of an admin address that is reached here.
    pub fn new(address: SocketAddr, settings: &Settings) -> Self {
        Self::by(Rule::new(address, settings))
    }

    fn by(rule: Rule) -> Self {
        let changes = watch::Sender::new(());
        Self { rule: ArcSwap::from_pointee(rule), failures: Mutex::default(), changes }
    }

    /// Goes by these settings from now on.
    pub fn follow(&self, address: SocketAddr, settings: &Settings) {
        let rule = Arc::new(Rule::new(address, settings));
        if self.rule.swap(Arc::clone(&rule)) != rule {
            self.changes.send_replace(());
        }
    }

    /// Told when something else is shown to whom: who was let in before may not be any more.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    /// What credentials are worth that come from this address.
    fn look(&self, headers: &HeaderMap, address: IpAddr, now: Instant) -> Shown {
        let Some(shown) = headers.get(header::AUTHORIZATION) else { return Shown::Nothing };
        let rule = self.rule.load();
        let Some(token) = &rule.token else { return Shown::Nothing };
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.are_too_many(address, now) {
            return Shown::TooMany;
        }
        if credentials(shown.as_bytes()).is_some_and(|shown| same(&shown, token.expose().as_bytes())) {
            return Shown::Right;
        }
        failures.add(address, now);
        Shown::Wrong
    }

    /// Why a path is not shown, if it is not.
    fn refuse(&self, path: &str, shown: Shown) -> Option<StatusCode> {
        let rule = self.rule.load();
        let is_open = match path {
            "/healthz" | "/readyz" => true,
            "/metrics" => rule.open != AdminOpen::Health,
            // It asks for the token itself, and says nothing without.
            path if pages::is_one(path) => rule.open == AdminOpen::All || rule.token.is_some(),
            _ => rule.open == AdminOpen::All,
        };
        match shown {
            _ if is_open => None,
            Shown::Right => None,
            Shown::TooMany => Some(StatusCode::TOO_MANY_REQUESTS),
            _ if rule.token.is_none() => Some(StatusCode::FORBIDDEN),
            Shown::Nothing | Shown::Wrong => Some(StatusCode::UNAUTHORIZED),
        }
    }
}

impl Rule {
    /// The address is the one that is listened on: a reload does not change it, and systemd may have opened another one.
    fn new(address: SocketAddr, settings: &Settings) -> Self {
        let token = settings.admin_token.clone();
        let by_default = match &token {
            None if address.ip().is_loopback() => AdminOpen::All,
            _ => AdminOpen::Health,
        };
        Self { open: settings.admin_open.unwrap_or(by_default), token }
    }
}

/// Lets a request pass that may see what it asks for.
pub(super) async fn guard(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let address =
        request.extensions().get::<Caller>().map_or(Ipv6Addr::UNSPECIFIED.into(), |caller| caller.0);
    let shown = access.look(request.headers(), address, Instant::now());
    if shown == Shown::Wrong {
        tracing::warn!(%address, "wrong credentials at the admin address");
    }
    let Some(status) = access.refuse(request.uri().path(), shown) else {
        let is_trusted = shown == Shown::Right || access.rule.load().open == AdminOpen::All;
        request.extensions_mut().insert(Trusted(is_trusted));
        return next.run(request).await;
    };
    let text = match status {
        StatusCode::UNAUTHORIZED => "the token of the admin address is needed (setting admin_token)\n",
        StatusCode::FORBIDDEN => "this is not shown, as there is no admin_token in the settings\n",
        _ => "too many wrong credentials; wait a minute\n",
    };
    let mut response = (status, text).into_response();
    if status == StatusCode::UNAUTHORIZED {
        for scheme in ["Bearer realm=\"tidegate\"", "Basic realm=\"tidegate\""] {
            response.headers_mut().append(header::WWW_AUTHENTICATE, header::HeaderValue::from_static(scheme));
        }
    }
    response
}

/// The token in `Bearer TOKEN`, or in the password's place of `Basic`, whoever the user is.
fn credentials(header: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let header = Some(header).filter(|header| header.len() <= LONGEST)?;
    let (scheme, rest) = header.split_at(header.iter().position(|byte| *byte == b' ')?);
    let rest = rest.trim_ascii();
    if scheme.eq_ignore_ascii_case(b"bearer") {
        return Some(Zeroizing::new(rest.to_vec()));
    }
    if !scheme.eq_ignore_ascii_case(b"basic") {
        return None;
    }
    let decoded = Zeroizing::new(BASE64.decode(rest).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    Some(Zeroizing::new(decoded[colon + 1..].to_vec()))
}

/// How often addresses have shown wrong credentials of late.
#[derive(Debug, Default)]
struct Failures(HashMap<IpAddr, (Instant, u32)>);

impl Failures {
    fn are_too_many(&self, address: IpAddr, now: Instant) -> bool {
        let failures = self.0.get(&network(address));
        failures.is_some_and(|(since, count)| *count >= FAILURES && now.duration_since(*since) < WINDOW)
    }

    fn add(&mut self, address: IpAddr, now: Instant) {
        let address = network(address);
        if self.0.len() >= ADDRESSES && !self.0.contains_key(&address) {
            self.0.retain(|_, (since, _)| now.duration_since(*since) < WINDOW);
            let oldest = self.0.iter().min_by_key(|(_, (since, _))| *since).map(|(address, _)| *address);
            if let Some(oldest) = oldest.filter(|_| self.0.len() >= ADDRESSES) {
                self.0.remove(&oldest);
            }
        }
        let entry = self.0.entry(address).or_insert((now, 0));
        if now.duration_since(entry.0) >= WINDOW {
            *entry = (now, 0);
        }
        entry.1 += 1;
    }
}

/// Whoever has an address of IPv6 has a network of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        ip @ IpAddr::V4(_) => ip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    const TOKEN: &str = "0123456789abcdef";
    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn access(open: AdminOpen, token: Option<&str>) -> Access {
        Access::by(Rule { open, token: token.map(Secret::new) })
    }

    fn headers(value: &str) -> HeaderMap {
        let value = HeaderValue::from_str(value).expect("a header");
        [(header::AUTHORIZATION, value)].into_iter().collect()
    }

    #[test]
    fn paths_are_open_as_the_settings_say() {
        use AdminOpen::{All, Health, Metrics};
        use StatusCode as Code;
        let (wanted, closed) = (Some(Code::UNAUTHORIZED), Some(Code::FORBIDDEN));
        let table = [
            (Health, Some(TOKEN), [None, None, None, wanted, wanted, wanted, wanted]),
            (Metrics, Some(TOKEN), [None, None, None, None, wanted, wanted, wanted]),
            (All, None, [None; 7]),
            (Health, None, [None, None, closed, closed, closed, closed, closed]),
            (Metrics, None, [None, None, closed, None, closed, closed, closed]),
        ];
        for (open, token, expected) in table {
            let access = access(open, token);
            for (path, expected) in ["/healthz", "/readyz", "/", "/metrics", "/report", "/events", "/nothing"]
                .into_iter()
                .zip(expected)
            {
                for shown in [Shown::Nothing, Shown::Wrong] {
                    assert_eq!(access.refuse(path, shown), expected, "{open:?} {path}");
                }
                assert_eq!(access.refuse(path, Shown::Right), None, "{open:?} {path}");
            }
        }
    }

    #[test]
    fn attack_of_credentials_that_look_alike() {
        let access = access(AdminOpen::Health, Some(TOKEN));
        let basic = |text: &str| format!("Basic {}", BASE64.encode(text));
        let table = [
            (format!("Bearer {TOKEN}"), Shown::Right),
            (format!("bearer   {TOKEN}"), Shown::Right),
            (basic(&format!("anybody:{TOKEN}")), Shown::Right),
            (basic(&format!(":{TOKEN}")), Shown::Right),
            (format!("Bearer {TOKEN}0"), Shown::Wrong),
            (format!("Bearer {}", &TOKEN[1..]), Shown::Wrong),
            (format!("Bearer {}", TOKEN.to_uppercase()), Shown::Wrong),
            (format!("Bearer{TOKEN}"), Shown::Wrong),
            (TOKEN.to_owned(), Shown::Wrong),
            (basic(TOKEN), Shown::Wrong),
            (basic(&format!("{TOKEN}:")), Shown::Wrong),
            ("Basic %%%".to_owned(), Shown::Wrong),
            ("Bearer ".to_owned() + &"0".repeat(2 * LONGEST), Shown::Wrong),
        ];
        for (number, (header, expected)) in (1..).zip(table) {
            // Each from another address, as it fails too often otherwise.
            let peer = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, number));
            assert_eq!(access.look(&headers(&header), peer, Instant::now()), expected, "{header}");
        }
        assert_eq!(access.look(&HeaderMap::new(), PEER, Instant::now()), Shown::Nothing);
    }

    #[test]
    fn attack_of_guessing_is_slowed_down() {
        let access = access(AdminOpen::Health, Some(TOKEN));
        let (wrong, right) = (headers("Bearer 0"), headers(&format!("Bearer {TOKEN}")));
        let start = Instant::now();
        for _ in 0..FAILURES {
            assert_eq!(access.look(&wrong, PEER, start), Shown::Wrong);
        }
        for shown in [&wrong, &right] {
            assert_eq!(access.look(shown, PEER, start), Shown::TooMany);
        }
        assert_eq!(access.refuse("/metrics", Shown::TooMany), Some(StatusCode::TOO_MANY_REQUESTS));
        assert_eq!(access.refuse("/healthz", Shown::TooMany), None, "probes get through");
        let other = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));
        assert_eq!(access.look(&right, other, start), Shown::Right, "others are not punished for it");
        assert_eq!(access.look(&right, PEER, start + WINDOW), Shown::Right, "it is over after a while");
        // One network of IPv6 is one address, and one of IPv4 is the same by both protocols.
        let [a, b]: [IpAddr; 2] =
            ["2001:db8::1", "2001:db8::2:3"].map(|text| text.parse().expect("an address"));
        assert_eq!(network(a), network(b));
        assert_eq!(network("::ffff:192.0.2.1".parse().expect("an address")), PEER);
    }

    #[test]
    fn attack_by_many_addresses_takes_no_more_memory() {
        let mut failures = Failures::default();
        let now = Instant::now();
        for number in 0..4 * u32::try_from(ADDRESSES).unwrap_or_default() {
            failures.add(IpAddr::V4(std::net::Ipv4Addr::from_bits(number)), now);
        }
        assert_eq!(failures.0.len(), ADDRESSES);
    }
}
