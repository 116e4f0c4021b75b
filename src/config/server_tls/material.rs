//! What handshakes with servers are begun with: files are read here, and nowhere else.

use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::version::{TLS12, TLS13};
use sha2::{Digest, Sha256};

use super::{SYSTEM, SslAccept, SslMode, Version};
use crate::config::layer::Tuning;
use crate::config::mistake::{Findings, Origin, Problem, quoted};
use crate::tls::{self, Authorities, FileError, Identity, Outgoing, Trust};

/// What handshakes are begun with; `None` if something is wrong with a file, which has been noted.
pub(super) fn outgoing(
    tuning: &Tuning,
    mode: SslMode,
    origin: &Origin,
    findings: &mut Findings,
    print: &mut Sha256,
) -> Option<Outgoing> {
    let mut note = |part: &[u8]| {
        print.update(part.len().to_be_bytes());
        print.update(part);
    };
    let least = tuning.ssl_min_protocol_version.unwrap_or(Version::OneTwo);
    let most = tuning.ssl_max_protocol_version.unwrap_or(Version::OneThree);
    let versions = [(Version::OneTwo, &TLS12), (Version::OneThree, &TLS13)];
    let versions: Vec<_> = versions.into_iter().filter(|(v, _)| (least..=most).contains(v)).collect();
    for (version, _) in &versions {
        note(version.as_str().as_bytes());
    }
    let sends_name = tuning.sslsni.unwrap_or(true);
    note(&[u8::from(sends_name)]);
    let trust = trust(tuning, mode, origin, findings, &mut note);
    let identity = identity(tuning, origin, findings, &mut note);
    let versions: Vec<_> = versions.into_iter().map(|(_, version)| version).collect();
    (!versions.is_empty()).then_some(Outgoing {
        trust: trust?,
        identity: identity.ok()?,
        versions,
        sends_name,
    })
}

/// Whose certificates are accepted. As with libpq, whoever names authorities has certificates checked in every mode.
fn trust(
    tuning: &Tuning,
    mode: SslMode,
    origin: &Origin,
    findings: &mut Findings,
    note: &mut impl FnMut(&[u8]),
) -> Option<Trust> {
    let roots = match tuning.sslrootcert.as_deref() {
        Some(path) if path != SYSTEM => {
            findings.keep(&origin.inside("sslrootcert"), usable(tls::certificates(Path::new(path))))?
        }
        Some(_) => findings.keep(&origin.inside("sslrootcert"), system_roots())?,
        None if tuning.sslaccept == Some(SslAccept::Strict) => {
            findings.keep(&origin.inside("sslaccept"), system_roots())?
        }
        None => return Some(Trust::Anyone),
    };
    let revoked = match &tuning.sslcrl {
        Some(path) => {
            findings.keep(&origin.inside("sslcrl"), usable(tls::revocation_lists(Path::new(path))))?
        }
        None => Vec::new(),
    };
    for root in &roots {
        note(root);
    }
    note(b"revoked");
    for list in &revoked {
        note(list);
    }
    let names_host = mode == SslMode::VerifyFull;
    note(&[u8::from(names_host)]);
    Some(Trust::Authorities(Authorities { roots, revoked, names_host }))
}

/// The authorities that the system trusts.
fn system_roots() -> Result<Vec<CertificateDer<'static>>, Problem> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
        let problem = format!("the system has no store of trusted authorities{why}");
        return Err(Problem::new(problem, "Install ca-certificates, or name a file"));
    }
    Ok(found.certs)
}

/// Something is wrong, and has been noted.
struct Noted;

/// Who we are to servers, if that was said.
fn identity(
    tuning: &Tuning,
    origin: &Origin,
    findings: &mut Findings,
    note: &mut impl FnMut(&[u8]),
) -> Result<Option<Identity>, Noted> {
    let (Some(certificate), Some(key)) = (&tuning.sslcert, &tuning.sslkey) else { return Ok(None) };
    let certificates =
        findings.keep(&origin.inside("sslcert"), usable(tls::certificates(Path::new(certificate))));
    let key = findings.keep(&origin.inside("sslkey"), usable(tls::private_key(Path::new(key))));
    let (certificates, key) = (certificates.ok_or(Noted)?, key.ok_or(Noted)?);
    note(b"identity");
    for certificate in &certificates {
        note(certificate);
    }
    note(key.secret_der());
    Ok(Some(Identity { certificates, key }))
}

/// A file that cannot be used, told as a mistake.
fn usable<T>(read: Result<T, FileError>) -> Result<T, Problem> {
    read.map_err(|FileError { path, problem }| {
        let path = quoted(&path.display().to_string());
        Problem::new(
            format!("the file {path} {problem}"),
            "Check its path, what is in it, and who may read it",
        )
    })
}
