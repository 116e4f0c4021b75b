//! Certificates, keys and revocation lists from PEM files, as OpenSSL and PostgreSQL have them.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

/// Larger files are not read, in bytes. The certificates of all public authorities together are a fortieth of it.
const LARGEST: u64 = 8 * 1024 * 1024;

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
pub enum FileProblem {
    /// The system does not let it be read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is a folder, a pipe or a device.
    #[error("is not a regular file")]
    Kind,
    /// It is larger than any such file.
    #[error("is larger than {LARGEST} bytes")]
    Size,
    /// It has nothing of what was looked for.
    #[error("has no {0} in PEM format")]
    Empty(&'static str),
    /// What stands between the lines of dashes is broken.
    #[error("has a broken {0}")]
    Broken(&'static str),
    /// It is a private key that wants a password.
    #[error("has a private key that is encrypted with a passphrase; give it without one (openssl pkey)")]
    Encrypted,
    /// Others than its owner can read the private key.
    #[error(
        "is a private key that group or world can access; its permissions must be u=rw (0600) or less, or u=rw,g=r \
         (0640) or less if it is owned by root"
    )]
    Permissions,
    /// The key is another one than that of the certificate.
    #[error("has a private key that does not belong to the certificate in {}", .0.display())]
    Mismatch(PathBuf),
    /// The key cannot be used.
    #[error("has a private key of a kind that is not supported: {0}")]
    Key(rustls::Error),
    /// What it holds is well-formed, and cannot be used.
    #[error("cannot be used: {0}")]
    Unusable(String),
}

/// A file that cannot be used, and why.
#[derive(Debug, thiserror::Error)]
#[error("{} {problem}", .path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub problem: FileProblem,
}

impl FileError {
    /// This is wrong with the file at `path`.
    pub fn new(path: &Path, problem: FileProblem) -> Self {
        Self { path: path.to_owned(), problem }
    }
}

/// The certificates in a file, in its order, at least one: a chain, or authorities that are trusted.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileError> {
    let failed = |problem| FileError::new(path, problem);
    let certificates: Vec<CertificateDer<'static>> = all(path, "certificate")?;
    if certificates.iter().all(|certificate| X509Certificate::from_der(certificate).is_ok()) {
        Ok(certificates)
    } else {
        Err(failed(FileProblem::Broken("certificate")))
    }
}

/// The first private key in a file, which nobody but its owner may be able to read.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileError> {
    const WHAT: &str = "private key";
    let failed = |problem| FileError::new(path, problem);
    let text = read(path, |metadata| {
        is_private(metadata.uid(), metadata.mode()).then_some(()).ok_or(FileProblem::Permissions)
    })?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(&text) => failed(FileProblem::Encrypted),
        pem::Error::NoItemsFound => failed(FileProblem::Empty(WHAT)),
        _ => failed(FileProblem::Broken(WHAT)),
    })
}

/// The certificate revocation lists in a file, at least one.
pub fn revocation_lists(path: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, FileError> {
    all(path, "certificate revocation list")
}

fn all<T: PemObject>(path: &Path, what: &'static str) -> Result<Vec<T>, FileError> {
    let failed = |problem| FileError::new(path, problem);
    let text = read(path, |_| Ok(()))?;
    let items: Result<Vec<T>, _> = T::pem_slice_iter(&text).collect();
    let items = items.map_err(|_| failed(FileProblem::Broken(what)))?;
    if items.is_empty() { Err(failed(FileProblem::Empty(what))) } else { Ok(items) }
}

/// The file's bytes. What is checked is the file that is read, whatever its name stands for a moment later.
fn read(
    path: &Path,
    may_be_read: impl FnOnce(&Metadata) -> Result<(), FileProblem>,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let read = || {
        // Opening a pipe would wait for somebody to write into it.
        if !std::fs::metadata(path)?.is_file() {
            return Err(FileProblem::Kind);
        }
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        may_be_read(&metadata)?;
        // Room for all of it at once: what is moved leaves a copy of the key behind.
        let room = usize::try_from(metadata.len().min(LARGEST) + 1).unwrap_or_default();
        let mut bytes = Zeroizing::new(Vec::with_capacity(room));
        file.take(LARGEST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > LARGEST { Err(FileProblem::Size) } else { Ok(bytes) }
    };
    read().map_err(|problem| FileError::new(path, problem))
}

/// PostgreSQL's rule: root may let a group read a key, for a service's user is in it. Nobody else may.
/// <https://www.postgresql.org/docs/current/ssl-tcp.html#SSL-SETUP>
fn is_private(owner: u32, mode: u32) -> bool {
    let forbidden = if owner == 0 { 0o037 } else { 0o077 };
    mode & forbidden == 0
}

/// PKCS #8 says it in its label, what OpenSSL has made before in a header.
fn is_encrypted(text: &[u8]) -> bool {
    let has = |needle: &[u8]| text.windows(needle.len()).any(|window| window == needle);
    has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED")
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    fn written(folder: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    fn problem<T>(result: Result<T, FileError>) -> String {
        result.err().expect("a problem").to_string()
    }

    #[test]
    fn chains_and_keys_are_read_and_mistakes_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["pg1".to_owned()]).unwrap().self_signed(&key).unwrap();
        let pem = certificate.pem();
        let chain = written(folder.path(), "chain.crt", &format!("# mine\n{pem}{pem}"), 0o644);
        assert_eq!(certificates(&chain).unwrap().len(), 2);
        let good = written(folder.path(), "good.key", &key.serialize_pem(), 0o600);
        assert_eq!(private_key(&good).unwrap().secret_der(), key.serialized_der());

        assert!(problem(private_key(&chain)).contains("group or world"), "its permissions come first");
        let not_a_key = written(folder.path(), "not.key", &pem, 0o600);
        let text = problem(private_key(&not_a_key));
        assert!(text.contains("not.key has no private key in PEM format"), "{text}");
        assert!(problem(certificates(&good)).contains("good.key has no certificate in PEM format"));
        assert!(problem(certificates(&folder.path().join("none"))).contains("none cannot be read"));
        assert!(problem(certificates(folder.path())).contains("is not a regular file"));
        let broken = pem.replacen("MII", "MII!", 1);
        let broken = written(folder.path(), "broken.crt", &broken, 0o644);
        assert!(problem(certificates(&broken)).contains("has a broken certificate"));
        let other = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let other = written(folder.path(), "other.crt", other, 0o644);
        assert!(problem(certificates(&other)).contains("has a broken certificate"));
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let locked = written(folder.path(), "locked.key", locked, 0o600);
        assert!(problem(private_key(&locked)).contains("passphrase"));
        assert!(problem(revocation_lists(&chain)).contains("no certificate revocation list"));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        for (owner, mode, may) in [
            (1000, 0o600, true),
            (1000, 0o400, true),
            (1000, 0o640, false),
            (1000, 0o604, false),
            (0, 0o640, true),
            (0, 0o440, true),
            (0, 0o660, false),
            (0, 0o644, false),
        ] {
            assert_eq!(is_private(owner, mode), may, "{owner} {mode:o}");
        }
    }
}
