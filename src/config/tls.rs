//! TLS towards clients: who must use it, and where its files are.
//!
//! The files are not read here: that a configuration can be read must not depend on what is in them.

use std::path::{Path, PathBuf};

use super::mistake::{Findings, Origin, Problem, quoted};
use super::top::TopLayer;
use crate::sql::words::words;

words! {
    /// Whether clients' connections are encrypted.
    #[derive(Default)]
    pub enum Ssl {
        /// Never: a client that asks for it is told that there is none.
        #[default]
        Off = "off",
        /// If the client asks for it.
        Allow = "allow",
        /// Always: a client that does not ask for it is refused, unless it comes by a Unix socket.
        Require = "require",
    }
}

words! {
    /// A version of TLS.
    #[derive(Default)]
    pub enum TlsVersion {
        /// TLS 1.2.
        #[default]
        V1_2 = "TLSv1.2",
        /// TLS 1.3.
        V1_3 = "TLSv1.3",
    }
}

/// A certificate with its key, in PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The certificate, followed by those of the authorities between it and the one that clients know.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// A certificate for clients that ask for another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SniSettings {
    /// The server's name, in lower case: `db1.example.com`, or `*.example.com` for any name with one more label.
    pub name: String,
    /// Its certificate.
    pub files: CertificateFiles,
}

/// TLS towards clients.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// Whether clients' connections are encrypted.
    pub ssl: Ssl,
    /// The proxy's certificate. Always there unless `ssl` is [`Ssl::Off`].
    pub certificate: Option<CertificateFiles>,
    /// Certificates of the authorities whose certificates clients may show; `None`: clients are not asked for one.
    pub authorities: Option<PathBuf>,
    /// Lists of certificates that are not valid any more.
    pub revocation_lists: Option<PathBuf>,
    /// The oldest version that is spoken.
    pub oldest: TlsVersion,
    /// Certificates for other names of this server, none twice.
    pub names: Vec<SniSettings>,
}

/// What a file says of one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SniLayer {
    pub(super) name: String,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    pub(super) origin: Origin,
}

/// The path of a file.
pub(super) fn path(text: &str) -> Result<PathBuf, Problem> {
    match text {
        "" => Err(Problem::new("no file is named", "Write its path, or remove the setting")),
        text => Ok(text.into()),
    }
}

/// Paths in a file of settings start where that file is.
pub(super) fn start_at(layer: &mut TopLayer, folder: &Path) {
    let own =
        [&mut layer.ssl_cert_file, &mut layer.ssl_key_file, &mut layer.ssl_ca_file, &mut layer.ssl_crl_file];
    let names = layer.sni.iter_mut().flatten().flat_map(|sni| [&mut sni.certificate, &mut sni.key]);
    for path in own.into_iter().chain(names).flatten() {
        *path = folder.join(&*path);
    }
}

/// What only shows when everything is known.
pub(super) fn settings(layer: &mut TopLayer, findings: &mut Findings) -> TlsSettings {
    let (certificate, key) = (layer.ssl_cert_file.take(), layer.ssl_key_file.take());
    let is_named = certificate.is_some();
    let certificate = match (certificate, key) {
        (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
        (None, None) => None,
        (certificate, _) => {
            let (there, missing) = match certificate {
                Some(_) => ("ssl_cert_file", "ssl_key_file"),
                None => ("ssl_key_file", "ssl_cert_file"),
            };
            let problem = Problem::new(
                format!("{missing} is missing"),
                format!("Name it too; {missing} can be the same file as {there}"),
            );
            findings.mistake(&Origin::new(there), problem);
            None
        }
    };
    let ssl = layer.ssl.unwrap_or(if is_named { Ssl::Allow } else { Ssl::Off });
    let settings = TlsSettings {
        ssl,
        certificate,
        authorities: layer.ssl_ca_file.take(),
        revocation_lists: layer.ssl_crl_file.take(),
        oldest: layer.ssl_min_protocol_version.unwrap_or_default(),
        names: names(layer.sni.take().unwrap_or_default(), findings),
    };
    let needs = |findings: &mut Findings, what: &str, other: &str, advice: &str| {
        findings.mistake(&Origin::new(what), Problem::new(format!("there is no {other}"), advice));
    };
    if ssl != Ssl::Off && !is_named && settings.certificate.is_none() {
        needs(findings, "ssl", "ssl_cert_file", "Name the certificate and its key, or say off");
    }
    if !settings.names.is_empty() && !is_named {
        needs(findings, "sni", "ssl_cert_file", "Name a certificate for clients that say no name of these");
    }
    if settings.revocation_lists.is_some() && settings.authorities.is_none() {
        needs(
            findings,
            "ssl_crl_file",
            "ssl_ca_file",
            "Name the authorities whose certificates clients may show",
        );
    }
    settings
}

fn names(layers: Vec<SniLayer>, findings: &mut Findings) -> Vec<SniSettings> {
    let mut names: Vec<SniSettings> = Vec::new();
    for SniLayer { name, certificate, key, origin } in layers {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if !is_host_name(&name) {
            let problem = format!("{} is not the name of a server", quoted(&name));
            findings.mistake(&origin, Problem::new(problem, "Write db1.example.com or *.example.com"));
        } else if names.iter().any(|known| known.name == name) {
            let problem = format!("the name {name} is given twice");
            findings.mistake(&origin, Problem::new(problem, "Give it once"));
        } else if let (Some(certificate), Some(key)) = (certificate, key) {
            names.push(SniSettings { name, files: CertificateFiles { certificate, key } });
        } else {
            let problem = Problem::new("cert_file or key_file is missing", "Name both files");
            findings.mistake(&origin, problem);
        }
    }
    names
}

/// Clients say names only, never addresses. <https://www.rfc-editor.org/rfc/rfc6066#section-3>
fn is_host_name(name: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let plain = name.strip_prefix("*.").unwrap_or(name);
    let is_address = plain.parse::<std::net::IpAddr>().is_ok();
    name.len() <= 253 && !is_address && plain.split('.').all(label)
}
