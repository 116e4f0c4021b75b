//! Authorities, certificates, and a client that speaks TLS byte by byte, so that it can also speak it wrongly.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, IsCa, Issuer, KeyIdMethod,
    KeyPair, KeyUsagePurpose, RevokedCertParams, SerialNumber, date_time_ymd,
};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme, StreamOwned,
};

use super::PATIENCE;

/// A folder with certificates, which goes with it.
pub struct Folder(tempfile::TempDir);

/// A certificate and its key, in files.
#[derive(Clone, Debug)]
pub struct Pair {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Pair {
    /// The certificate's path.
    pub fn certificate(&self) -> &str {
        self.certificate.to_str().unwrap()
    }

    /// The key's path.
    pub fn key(&self) -> &str {
        self.key.to_str().unwrap()
    }

    /// The certificate itself.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_file(&self.certificate).unwrap()
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Folder {
    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file that nobody else can read.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

/// What signs certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: String,
    name: String,
}

impl Authority {
    /// One that nobody has signed.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), certificate, name: name.to_owned() }
    }

    /// Its own certificate, in a file.
    pub fn file(&self, folder: &Folder) -> PathBuf {
        folder.write(&format!("{}.crt", self.name), &self.certificate)
    }

    /// Its own certificate.
    pub fn der(&self) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(self.certificate.as_bytes()).unwrap()
    }

    /// A server's certificate for these names, in `file.crt` and `file.key`.
    pub fn server(&self, folder: &Folder, file: &str, names: &[&str]) -> Pair {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        self.sign(folder, file, &CertificateParams::new(names).unwrap())
    }

    /// A client's certificate with this common name and serial number.
    pub fn client(&self, folder: &Folder, file: &str, common_name: &str, serial: u8) -> Pair {
        self.sign(folder, file, &client_params(common_name, serial))
    }

    /// Signs whatever it is told to sign.
    pub fn sign(&self, folder: &Folder, file: &str, params: &CertificateParams) -> Pair {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Pair {
            certificate: folder.write(&format!("{file}.crt"), &certificate.pem()),
            key: folder.write(&format!("{file}.key"), &key.serialize_pem()),
        }
    }

    /// A list of certificates that are not valid any more, by their serial numbers.
    pub fn revoke(&self, folder: &Folder, file: &str, serials: &[u8]) -> PathBuf {
        let revoked = |serial: &u8| RevokedCertParams {
            serial_number: SerialNumber::from_slice(&[*serial]),
            revocation_time: date_time_ymd(2024, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date_time_ymd(2024, 1, 1),
            next_update: date_time_ymd(2100, 1, 1),
            crl_number: SerialNumber::from_slice(&[1]),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        folder.write(file, &list.signed_by(&self.issuer).unwrap().pem().unwrap())
    }
}

/// What a client's certificate says.
pub fn client_params(common_name: &str, serial: u8) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common_name);
    params.serial_number = Some(SerialNumber::from_slice(&[serial]));
    params
}

/// How a client speaks TLS.
#[derive(Clone, Debug, Default)]
pub struct Speaks {
    /// The authority it trusts; without one, it trusts anybody.
    pub trusts: Option<CertificateDer<'static>>,
    /// What it shows of itself.
    pub shows: Option<Pair>,
    /// Which versions; both, if none is said.
    pub only: Option<u8>,
    /// Which protocols it names within TLS.
    pub protocols: Vec<&'static str>,
}

impl Speaks {
    /// The same as the library has it.
    pub fn config(&self) -> Arc<ClientConfig> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let versions = match self.only {
            None => &[&TLS13, &TLS12][..],
            Some(2) => &[&TLS12],
            Some(3) => &[&TLS13],
            Some(other) => panic!("there is no TLS 1.{other}"),
        };
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = match &self.trusts {
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.clone()).unwrap();
                builder.with_root_certificates(roots)
            }
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Credulous)),
        };
        let mut config = match &self.shows {
            Some(pair) => {
                let key = PrivateKeyDer::from_pem_file(&pair.key).unwrap();
                builder.with_client_auth_cert(vec![pair.der()], key).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

/// Believes that anybody is who it says.
#[derive(Debug)]
struct Credulous;

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::ring::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// The request for TLS.
pub const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
/// The request for encryption by GSSAPI.
pub const GSSENC_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];

/// A socket in TLS.
pub type Encrypted = StreamOwned<ClientConnection, TcpStream>;

/// A connection to the proxy, on which nothing has been said.
pub fn connected(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket.set_nodelay(true).unwrap();
    socket
}

/// Puts a socket in TLS, for the server of this name.
pub fn encrypted(mut socket: TcpStream, speaks: &Speaks, name: &str) -> io::Result<Encrypted> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut tls = ClientConnection::new(speaks.config(), name).unwrap();
    while tls.is_handshaking() {
        tls.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(tls, socket))
}

/// Asks for TLS, and begins it.
pub fn asked(address: SocketAddr, speaks: &Speaks, name: &str) -> io::Result<Encrypted> {
    let mut socket = connected(address);
    socket.write_all(&SSL_REQUEST)?;
    let mut answer = [0];
    socket.read_exact(&mut answer)?;
    assert_eq!(answer, *b"S");
    encrypted(socket, speaks, name)
}

/// Begins with TLS.
pub fn direct(address: SocketAddr, speaks: &Speaks, name: &str) -> io::Result<Encrypted> {
    encrypted(connected(address), speaks, name)
}
