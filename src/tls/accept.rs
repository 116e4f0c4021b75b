//! What a server shows of itself, and asks of its clients: one configuration for each of its certificates.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SigningKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest, Sha256};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::files::{FileError, FileProblem, certificates, private_key, revocation_lists};
use super::{ALPN, Validity, end_point};

/// A certificate with its key, by the names of their files.
#[derive(Clone, Copy, Debug)]
pub struct PairFiles<'a> {
    /// The chain of certificates.
    pub certificate: &'a Path,
    /// The key of its first one.
    pub key: &'a Path,
}

/// The oldest version that is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oldest {
    /// TLS 1.2.
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// Everything that clients' TLS is made of.
#[derive(Clone, Debug)]
pub struct AcceptFiles<'a> {
    /// For clients that ask for no name, or for none of `names`.
    pub own: PairFiles<'a>,
    /// Others, by the names that clients ask for: whole ones, and those with `*` as their first label; in lower case.
    pub names: Vec<(&'a str, PairFiles<'a>)>,
    /// The authorities whose certificates clients may show; without them, they are not asked.
    pub authorities: Option<&'a Path>,
    /// Certificates of clients that are not valid any more.
    pub revocation_lists: Option<&'a Path>,
    /// The oldest version that is spoken.
    pub oldest: Oldest,
}

/// What a server shows of itself, and asks of its clients.
#[derive(Debug)]
pub struct Acceptor {
    own: ServerIdentity,
    /// By the name that it is for.
    names: Vec<(Box<str>, ServerIdentity)>,
    /// How long each of the files with certificates is good for.
    validities: Vec<Validity>,
    /// Of everything that was read but for the keys, which belong to their certificates.
    fingerprint: [u8; 32],
}

/// One of a server's certificates.
#[derive(Debug)]
pub struct ServerIdentity {
    /// For a connection on which it is shown.
    pub config: Arc<ServerConfig>,
    /// What a SCRAM proof on such a connection is bound to: see [`end_point()`].
    pub end_point: Option<Vec<u8>>,
}

impl Acceptor {
    /// Reads all files; the errors are those of all of them.
    pub fn read(files: &AcceptFiles<'_>) -> Result<Self, Vec<FileError>> {
        let mut reading = Reading::default();
        let verifier = reading.verifier(files.authorities, files.revocation_lists);
        let own = reading.pair(files.own);
        let names: Vec<_> =
            files.names.iter().filter_map(|(name, pair)| Some((*name, reading.pair(*pair)?))).collect();
        let (Some(own), Some(verifier), []) = (own, verifier, &reading.errors[..]) else {
            return Err(reading.errors);
        };
        let identity = |pair| ServerIdentity::new(pair, verifier.as_ref(), files.oldest, &reading.provider);
        let names = names.into_iter().map(|(name, pair)| (name.into(), identity(pair))).collect();
        let own = identity(own);
        let Reading { validities, hash, .. } = reading;
        Ok(Self { own, names, validities, fingerprint: hash.finalize().into() })
    }

    /// The certificate for a client that asks for this server.
    pub fn identity(&self, server_name: Option<&str>) -> &ServerIdentity {
        let Some(asked) = server_name.map(|name| name.trim_end_matches('.').to_ascii_lowercase()) else {
            return &self.own;
        };
        let parent = asked.split_once('.').map(|(_, parent)| parent);
        let stands_for = |name: &str| name.strip_prefix("*.").is_some_and(|rest| Some(rest) == parent);
        let exact = self.names.iter().find(|(name, _)| **name == *asked);
        let found = exact.or_else(|| self.names.iter().find(|(name, _)| stands_for(name)));
        found.map_or(&self.own, |(_, identity)| identity)
    }

    /// How long each of the files with certificates is good for.
    pub fn validities(&self) -> &[Validity] {
        &self.validities
    }

    /// Whether its files had the same in them.
    pub fn is_like(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl ServerIdentity {
    fn new(
        (certified, end_point): (CertifiedKey, Option<Vec<u8>>),
        verifier: Option<&Arc<dyn ClientCertVerifier>>,
        oldest: Oldest,
        provider: &Arc<CryptoProvider>,
    ) -> Self {
        let versions = match oldest {
            Oldest::V1_2 => &[&TLS13, &TLS12][..],
            Oldest::V1_3 => &[&TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
            .with_protocol_versions(versions)
            .unwrap_or_else(|_| unreachable!("the provider has suites of both versions"));
        let builder = match verifier {
            Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(certified)));
        config.alpn_protocols = vec![ALPN.to_vec()];
        // As PostgreSQL: no session is resumed. So nothing is kept for clients that may never come back, and each shows
        // anew that its certificate is still good.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Self { config: Arc::new(config), end_point }
    }
}

/// What has been read so far.
struct Reading {
    provider: Arc<CryptoProvider>,
    errors: Vec<FileError>,
    validities: Vec<Validity>,
    hash: Sha256,
}

impl Default for Reading {
    fn default() -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self { provider, errors: Vec::new(), validities: Vec::new(), hash: Sha256::new() }
    }
}

impl Reading {
    fn keep<T>(&mut self, result: Result<T, FileError>) -> Option<T> {
        result.map_err(|error| self.errors.push(error)).ok()
    }

    /// With a mark of what it is and where it ends, so that no two lists are alike that are not the same.
    fn note(&mut self, kind: &str, items: &[impl AsRef<[u8]>]) {
        self.hash.update(format!("{kind} {} ", items.len()));
        for item in items.iter().map(AsRef::as_ref) {
            self.hash.update(format!("{} ", item.len()));
            self.hash.update(item);
        }
    }

    /// A certificate and the key that belongs to it.
    fn pair(&mut self, files: PairFiles<'_>) -> Option<(CertifiedKey, Option<Vec<u8>>)> {
        let chain = self.keep(certificates(files.certificate));
        let key = self.keep(private_key(files.key).and_then(|key| self.signing(files.key, key)));
        let (chain, key) = (chain?, key?);
        self.note("chain", &chain);
        self.validities.push(Validity::of(files.certificate, &chain));
        if !belongs(key.as_ref(), &chain[0]) {
            let problem = FileProblem::Mismatch(files.certificate.to_owned());
            self.errors.push(FileError::new(files.key, problem));
            return None;
        }
        let end_point = end_point(&chain[0]);
        Some((CertifiedKey::new(chain, key), end_point))
    }

    fn signing(&self, path: &Path, key: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, FileError> {
        let signing = self.provider.key_provider.load_private_key(key);
        signing.map_err(|error| FileError::new(path, FileProblem::Key(error)))
    }

    /// What checks the certificates of clients, which need not show one. The inner `None`: they are not asked.
    #[allow(clippy::option_option, reason = "read or not, and wanted or not")]
    fn verifier(
        &mut self,
        authorities: Option<&Path>,
        lists: Option<&Path>,
    ) -> Option<Option<Arc<dyn ClientCertVerifier>>> {
        let Some(path) = authorities else { return Some(None) };
        let trusted = self.keep(certificates(path));
        let revoked = match lists {
            Some(path) => self.keep(revocation_lists(path)),
            None => Some(Vec::new()),
        };
        let (trusted, revoked) = (trusted?, revoked?);
        self.note("authorities", &trusted);
        self.note("revoked", &revoked);
        let mut roots = RootCertStore::empty();
        for certificate in trusted {
            let added = roots.add(certificate);
            self.keep(added.map_err(|error| unusable(path, &error)))?;
        }
        let provider = Arc::clone(&self.provider);
        // As OpenSSL does for PostgreSQL: with lists, every certificate of a chain must be on none of them, and an
        // authority without a list, or with one that is out of date, vouches for nobody.
        let built = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
            .with_crls(revoked)
            .enforce_revocation_expiration()
            .allow_unauthenticated()
            .build();
        let blamed: PathBuf = lists.unwrap_or(path).to_owned();
        self.keep(built.map_err(|error| unusable(&blamed, &error))).map(Some)
    }
}

fn unusable(path: &Path, error: &dyn std::fmt::Display) -> FileError {
    FileError::new(path, FileProblem::Unusable(error.to_string()))
}

/// Whether the key is that of the certificate. A kind of key that does not say what its public half is does no harm:
/// then no client believes what it signs.
fn belongs(key: &dyn SigningKey, certificate: &CertificateDer<'_>) -> bool {
    let Some(public) = key.public_key() else { return true };
    // Not by way of rustls, which knows certificates of version 3 only, while OpenSSL makes those of version 1, too.
    let parsed = X509Certificate::from_der(certificate);
    parsed.is_ok_and(|(_, parsed)| parsed.public_key().raw == public.as_ref())
}

#[cfg(test)]
#[path = "accept_tests.rs"]
mod tests;
