//! Where spans are sent.

use std::fmt;
use std::str::FromStr;

use super::mistake::{Problem, quoted};

/// Where a collector takes spans: `http://host:port`, and a path in front of `/v1/traces` if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// A name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The path that spans are posted to.
    pub path: String,
}

/// Text that is no address of a collector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEndpoint {
    /// It is encrypted.
    #[error(
        "HTTPS is not spoken here: send spans to a collector on this machine or in this network by http://"
    )]
    Https,
    /// It is something else.
    #[error("it must be like http://localhost:4318")]
    Malformed,
}

impl FromStr for Endpoint {
    type Err = NoEndpoint;

    fn from_str(text: &str) -> Result<Self, NoEndpoint> {
        if text.starts_with("https://") {
            return Err(NoEndpoint::Https);
        }
        let uri: hyper::Uri = text.parse().map_err(|_| NoEndpoint::Malformed)?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let (Some("http"), Some(authority), None) = (uri.scheme_str(), authority, uri.query()) else {
            return Err(NoEndpoint::Malformed);
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(NoEndpoint::Malformed);
        }
        let path = uri.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1/traces").unwrap_or(path);
        Ok(Self { host, port: authority.port_u16().unwrap_or(4318), path: format!("{path}/v1/traces") })
    }
}

/// `http://localhost:4318/v1/traces`
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}{}", self.authority(), self.path)
    }
}

impl Endpoint {
    /// Host and port, as a URL has them.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

/// A share of all, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share(u32);

impl Share {
    /// All.
    const WHOLE: u32 = 1_000_000;

    /// From 0 to 1.
    pub fn as_f64(self) -> f64 {
        f64::from(self.0) / f64::from(Self::WHOLE)
    }
}

/// The address of a collector; `off` for none.
pub(super) fn read(text: &str) -> Result<Option<Endpoint>, Problem> {
    if text.is_empty() || text.eq_ignore_ascii_case("off") {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: NoEndpoint| {
        Problem::new(format!("this is no address of a collector: {error}"), "Write http://host:port, or off")
    })
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_f64().fmt(f)
    }
}

/// A number from 0 to 1.
pub(super) fn share(text: &str) -> Result<Share, Problem> {
    let number: Option<f64> = text.trim().parse().ok();
    let Some(number) = number.filter(|number| (0.0..=1.0).contains(number)) else {
        return Err(Problem::new(
            format!("{} is no share", quoted(text)),
            "Write a number from 0 to 1, as 0.01",
        ));
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is between 0 and a million"
    )]
    let millionths = (number * f64::from(Share::WHOLE)).round() as u32;
    Ok(Share(millionths))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        for (text, expected) in [
            ("http://localhost:4318", Ok("http://localhost:4318/v1/traces")),
            ("http://collector", Ok("http://collector:4318/v1/traces")),
            ("http://[::1]:1/", Ok("http://[::1]:1/v1/traces")),
            ("http://c:1/otlp/", Ok("http://c:1/otlp/v1/traces")),
            ("http://c:1/v1/traces", Ok("http://c:1/v1/traces")),
            ("https://c", Err(NoEndpoint::Https)),
            ("c:4318", Err(NoEndpoint::Malformed)),
            ("http://user:secret@c", Err(NoEndpoint::Malformed)),
            ("http://", Err(NoEndpoint::Malformed)),
            ("", Err(NoEndpoint::Malformed)),
        ] {
            let read = text.parse::<Endpoint>().map(|endpoint| endpoint.to_string());
            assert_eq!(read.as_deref(), expected.as_ref().copied(), "{text}");
        }
    }
    #[test]
    fn shares() {
        for (text, expected) in
            [("0", Some(0.0)), ("0.25", Some(0.25)), ("1", Some(1.0)), ("1.1", None), ("-1", None)]
        {
            assert_eq!(share(text).ok().map(Share::as_f64), expected, "{text}");
        }
        assert!(share("NaN").is_err() && share("").is_err());
    }
}
