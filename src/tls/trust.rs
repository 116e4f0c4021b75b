//! Whose certificate a server may show.
//!
//! libpq's rules: <https://www.postgresql.org/docs/current/libpq-ssl.html#LIBQ-SSL-CERTIFICATES>. Whoever is trusted, the server
//! must have the key that belongs to the certificate it shows: its signature in the handshake is always checked.

use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature,
};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

/// Whose certificates are accepted of a server.
#[derive(Debug)]
pub enum Trust {
    /// Anybody's.
    Anyone,
    /// Those that one of these has signed.
    Authorities(Authorities),
}

/// Who is trusted to sign certificates.
#[derive(Debug)]
pub struct Authorities {
    /// Their certificates, at least one.
    pub roots: Vec<CertificateDer<'static>>,
    /// Lists of what they have revoked; if there is one, there must be one of each authority.
    pub revoked: Vec<CertificateRevocationListDer<'static>>,
    /// Whether the certificate must be that of the host which was asked for.
    pub names_host: bool,
}

impl Trust {
    /// What checks certificates by this.
    pub(super) fn verifier(self, provider: &Arc<CryptoProvider>) -> Result<Verifier, Error> {
        let algorithms = provider.signature_verification_algorithms;
        let Self::Authorities(Authorities { roots, revoked, names_host }) = self else {
            return Ok(Verifier { algorithms, signed: None });
        };
        let mut store = RootCertStore::empty();
        for root in &roots {
            store.add(root.clone())?;
        }
        let pinned = if revoked.is_empty() { roots } else { Vec::new() };
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider))
            .with_crls(revoked)
            .enforce_revocation_expiration()
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        Ok(Verifier { algorithms, signed: Some(Signed { chain, pinned, names_host }) })
    }
}

/// Checks a server's certificate.
#[derive(Debug)]
pub(super) struct Verifier {
    algorithms: WebPkiSupportedAlgorithms,
    signed: Option<Signed>,
}

/// How it must be signed.
#[derive(Debug)]
struct Signed {
    chain: Arc<WebPkiServerVerifier>,
    /// Trusted as they are: a server's self-signed certificate, which may be marked as an authority's.
    pinned: Vec<CertificateDer<'static>>,
    names_host: bool,
}

impl Signed {
    fn check(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        now: UnixTime,
    ) -> Result<(), Error> {
        let misnamed = match self.chain.verify_server_cert(shown, between, host, &[], now) {
            Ok(_) => return Ok(()),
            // The name is the last thing that is looked at: everything else is well.
            Err(error) if is_misnamed(&error) => error,
            Err(_) if self.pinned.contains(shown) => {
                is_current(shown, now)?;
                match verify_server_name(&ParsedCertificate::try_from(shown)?, host) {
                    Ok(()) => return Ok(()),
                    Err(error) => error,
                }
            }
            Err(error) => return Err(error),
        };
        if !self.names_host || is_named_otherwise(shown, &host.to_str()) { Ok(()) } else { Err(misnamed) }
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        host: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if let Some(signed) = &self.signed {
            signed.check(shown, between, host, now)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn is_misnamed(error: &Error) -> bool {
    use CertificateError::{NotValidForName, NotValidForNameContext};
    matches!(error, Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. }))
}

fn is_current(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|_| CertificateError::BadEncoding)?;
    let seconds = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let now = ASN1Time::from_timestamp(seconds).map_err(|_| CertificateError::BadEncoding)?;
    if now > parsed.validity().not_after {
        return Err(CertificateError::Expired.into());
    }
    if now < parsed.validity().not_before {
        return Err(CertificateError::NotValidYet.into());
    }
    Ok(())
}

/// Whether libpq would take the certificate for the host's where webpki does not: by the common name, if there is no
/// alternative name of the host's kind, or by an alternative name that has an IP address as text, or an asterisk under a
/// domain of one label.
fn is_named_otherwise(certificate: &CertificateDer<'_>, host: &str) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    let Ok(alternatives) = parsed.subject_alternative_name() else { return false };
    let is_address = host.parse::<IpAddr>().is_ok();
    let mut has_its_kind = false;
    for name in alternatives.iter().flat_map(|names| &names.value.general_names) {
        match name {
            GeneralName::DNSName(text) if matches(text, host, is_address) => return true,
            GeneralName::DNSName(_) => has_its_kind |= !is_address,
            GeneralName::IPAddress(_) => has_its_kind |= is_address,
            GeneralName::Invalid(..) => return false,
            _ => {}
        }
    }
    let common_name = parsed.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    !has_its_kind && common_name.is_some_and(|pattern| matches(pattern, host, is_address))
}

/// `pg1.example`, or `*.example` for exactly one label in the place of the asterisk.
fn matches(pattern: &str, host: &str, is_address: bool) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let (Some(domain), Some((label, rest))) = (pattern.strip_prefix("*."), host.split_once('.')) else {
        return false;
    };
    !is_address && !label.is_empty() && !domain.is_empty() && domain.eq_ignore_ascii_case(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_asterisk_stands_for_one_label() {
        for (pattern, host, expected) in [
            ("pg.example", "PG.example", true),
            ("*.example", "pg.example", true),
            ("*.example", "a.pg.example", false),
            ("*.example", ".example", false),
            ("*.example", "example", false),
            ("*", "example", false),
            ("*.", "example.", false),
            ("p*.example", "pg.example", false),
            ("pg.example\0.evil", "pg.example", false),
        ] {
            assert_eq!(matches(pattern, host, false), expected, "{pattern} {host}");
        }
        assert!(matches("10.0.0.1", "10.0.0.1", true) && !matches("*.0.0.1", "10.0.0.1", true));
    }
}
