//! Whether clients' connections are encrypted, and with which certificates: what the settings and the files they name
//! say together.

use std::sync::Arc;
use std::time::SystemTime;

use super::proxy::Proxy;
use crate::config::{CertificateFiles, Ssl, TlsSettings, TlsVersion};
use crate::tls::{AcceptFiles, Acceptor, FileError, Oldest, PairFiles, Validity};

/// Whether clients' connections are encrypted, and with which certificates.
#[derive(Clone, Debug, Default)]
pub struct Encryption {
    ssl: Ssl,
    acceptor: Option<Arc<Acceptor>>,
}

/// Files that cannot be used, and why: a line each.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

impl From<Vec<FileError>> for Unreadable {
    fn from(errors: Vec<FileError>) -> Self {
        let lines = errors.iter().map(|error| format!("TLS towards clients: {error}"));
        Self(lines.collect::<Vec<_>>().join("\n"))
    }
}

impl Encryption {
    /// Reads the files that the settings name. The error names all that cannot be used.
    pub fn read(settings: &TlsSettings) -> Result<Self, Unreadable> {
        let acceptor = match (settings.ssl, &settings.certificate) {
            (Ssl::Off, _) | (_, None) => None,
            (Ssl::Allow | Ssl::Require, Some(own)) => Some(Arc::new(Acceptor::read(&files(settings, own))?)),
        };
        Ok(Self { ssl: settings.ssl, acceptor })
    }

    /// As these settings say, before their files have been read: who must be encrypted does not get in until then.
    pub(super) fn unread(settings: &TlsSettings) -> Self {
        Self { ssl: settings.ssl, acceptor: None }
    }

    /// What encrypts, if anything does.
    pub(super) fn acceptor(&self) -> Option<&Acceptor> {
        self.acceptor.as_deref()
    }

    /// Whether a client that comes by TCP must be encrypted.
    pub(super) fn is_required(&self) -> bool {
        self.ssl == Ssl::Require
    }

    /// How long the files with certificates are good for.
    pub fn validities(&self) -> &[Validity] {
        self.acceptor().map_or(&[], Acceptor::validities)
    }

    /// What is worrying about the certificates, a sentence each.
    pub fn concerns(&self) -> Vec<String> {
        let now = SystemTime::now();
        self.validities().iter().filter_map(|validity| validity.concern(now)).collect()
    }

    /// Whether the files had other certificates, authorities or lists in them.
    pub fn has_other_files_than(&self, other: &Self) -> bool {
        match (&self.acceptor, &other.acceptor) {
            (Some(now), Some(before)) => !now.is_like(before),
            (now, before) => now.is_some() != before.is_some(),
        }
    }
}

fn files<'a>(settings: &'a TlsSettings, own: &'a CertificateFiles) -> AcceptFiles<'a> {
    fn pair(files: &CertificateFiles) -> PairFiles<'_> {
        PairFiles { certificate: &files.certificate, key: &files.key }
    }
    AcceptFiles {
        own: pair(own),
        names: settings.names.iter().map(|sni| (sni.name.as_str(), pair(&sni.files))).collect(),
        authorities: settings.authorities.as_deref(),
        revocation_lists: settings.revocation_lists.as_deref(),
        oldest: match settings.oldest {
            TlsVersion::V1_2 => Oldest::V1_2,
            TlsVersion::V1_3 => Oldest::V1_3,
        },
    }
}

impl Proxy {
    /// Clients that come from now on are encrypted so. The others stay as they are.
    pub fn encrypt(&self, encryption: Encryption) {
        let before = self.encryption.swap(Arc::new(encryption));
        let now = self.encryption();
        let is_gone = |validity: &&Validity| now.validities().iter().all(|other| other.file != validity.file);
        for validity in before.validities().iter().filter(is_gone) {
            self.gauge_certificate(validity, f64::NAN);
        }
    }

    /// How clients that come now are encrypted.
    pub fn encryption(&self) -> Arc<Encryption> {
        self.encryption.load_full()
    }

    /// Says in the metrics how long each certificate is still good for.
    pub fn gauge_certificates(&self) {
        let now = SystemTime::now();
        for validity in self.encryption().validities() {
            self.gauge_certificate(validity, validity.left(now) as f64);
        }
    }

    fn gauge_certificate(&self, validity: &Validity, left: f64) {
        let file = validity.file.display().to_string();
        self.stats.gauge("tidegate_certificate_expiry_seconds", &[("file", &file)]).set(left);
    }
}
