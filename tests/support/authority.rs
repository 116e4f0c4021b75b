//! Certificates for tests: an authority, what it has signed, what it has revoked.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa,
    KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, SignatureAlgorithm,
    date_time_ymd,
};
use tidegate::local::LocalNode;

/// Somebody who signs certificates.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub struct Signed {
    /// In PEM format.
    pub certificate: String,
    /// In PEM format.
    pub key: String,
}

/// What a certificate says.
#[derive(Clone)]
pub struct Says {
    params: CertificateParams,
    algorithm: &'static SignatureAlgorithm,
}

impl Says {
    /// These names and addresses, and no common name.
    pub fn names(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "tests");
        Self { params, algorithm: &rcgen::PKCS_ECDSA_P256_SHA256 }
    }

    /// This common name.
    pub fn common_name(mut self, name: &str) -> Self {
        self.params.distinguished_name.push(DnType::CommonName, name);
        self
    }

    /// This as a name, also if it looks like an address.
    pub fn dns(mut self, name: &str) -> Self {
        self.params.subject_alt_names.push(SanType::DnsName(name.try_into().unwrap()));
        self
    }

    /// It expired long ago.
    pub fn expired(mut self) -> Self {
        self.params.not_after = date_time_ymd(2001, 1, 1);
        self.params.not_before = date_time_ymd(2000, 1, 1);
        self
    }

    /// It has this number.
    pub fn number(mut self, number: u64) -> Self {
        self.params.serial_number = Some(number.into());
        self
    }

    /// It is that of an authority.
    pub fn authority(mut self) -> Self {
        self.params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self
    }

    /// Its key, and what is signed with it, is of this kind.
    pub fn algorithm(mut self, algorithm: &'static SignatureAlgorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Signed with its own key.
    pub fn self_signed(self) -> Signed {
        let key = KeyPair::generate_for(self.algorithm).unwrap();
        Signed { certificate: self.params.self_signed(&key).unwrap().pem(), key: key.serialize_pem() }
    }
}

impl Authority {
    /// A new one.
    pub fn new(name: &str) -> Self {
        Self::with(name, &rcgen::PKCS_ECDSA_P256_SHA256)
    }

    /// A new one that signs like this.
    pub fn with(name: &str, algorithm: &'static SignatureAlgorithm) -> Self {
        let mut params = Says::names(&[]).common_name(name).authority().params;
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate_for(algorithm).unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    /// Its own certificate.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// Signs a certificate.
    #[allow(clippy::needless_pass_by_value, reason = "what is said is made where it is signed")]
    pub fn sign(&self, says: Says) -> Signed {
        let key = KeyPair::generate_for(says.algorithm).unwrap();
        let certificate = says.params.signed_by(&key, &self.issuer).unwrap();
        Signed { certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// The list of what it has revoked, which is good until the year given.
    pub fn revoked(&self, numbers: &[u64], until: i32) -> String {
        let revoked = |number: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*number),
            revocation_time: date_time_ymd(2020, 1, 1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: date_time_ymd(2020, 1, 1),
            next_update: date_time_ymd(until, 1, 1),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: numbers.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// Writes a file that only its owner may read.
pub fn write(path: PathBuf, text: &str) -> PathBuf {
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

/// Gives a server this certificate, and has it speak TLS from now on, or `None` again.
pub fn equip(node: &LocalNode, signed: Option<&Signed>, clients: Option<&Authority>) {
    let owner = fs::metadata(node.data_dir()).unwrap();
    let put = |name: &str, text: &str| {
        let path = write(node.data_dir().join(name), text);
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    };
    if let Some(signed) = signed {
        put("server.crt", &signed.certificate);
        put("server.key", &signed.key);
    }
    if let Some(clients) = clients {
        put("clients.crt", &clients.certificate());
    }
    let switch = |on: bool| if on { "on" } else { "off" };
    let ca = if clients.is_some() { "clients.crt" } else { "" };
    let ssl = switch(signed.is_some());
    reload(node, &format!("alter system set ssl = {ssl}; alter system set ssl_ca_file = '{ca}';"));
}

/// Gives a server these rules about who may log in, besides the superuser by the socket.
pub fn rule(node: &LocalNode, rules: &str) {
    // Written into the file that is there, which keeps its owner.
    let text = format!("local all all trust\nlocal replication all trust\n{rules}\n");
    fs::write(node.data_dir().join("pg_hba.conf"), text).unwrap();
    reload(node, "");
}

/// Has a server read its files again, and waits until it has.
pub fn reload(node: &LocalNode, settings: &str) {
    let loaded = || node.psql("select pg_conf_load_time()").unwrap();
    let before = loaded();
    node.psql(&format!("{settings} select pg_reload_conf()")).unwrap();
    // A process that the postmaster makes after it has loaded them says so.
    super::wait_until("the server has read its files", || loaded() != before);
}

/// The name of a file in a URL or connection string.
pub fn shown(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
