//! How connections to the servers are encrypted, in libpq's words.
//!
//! <https://www.postgresql.org/docs/current/libpq-ssl.html>. What libpq passes over silently (a file that is named and is not
//! there, a list of revoked certificates nobody looks at) is a mistake here.

mod material;

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::ClientConfig;
use sha2::{Digest, Sha256};

use super::layer::Tuning;
use super::mistake::{Findings, Origin, Problem, quoted};
use super::value::word;
use crate::sql::words::words;

/// The keys of this, in URLs and files.
pub(super) const KEYS: [&str; 10] = [
    "sslmode",
    "sslnegotiation",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslcrl",
    "sslsni",
    "ssl_min_protocol_version",
    "ssl_max_protocol_version",
    "channel_binding",
];
/// Those that only a URL may have, for drivers' sake.
const URL_KEYS: [&str; 4] = ["ssl", "sslaccept", "sslidentity", "sslpassword"];
/// Those whose value is the name of a file.
const FILES: [&str; 4] = ["sslrootcert", "sslcert", "sslkey", "sslcrl"];
/// What stands for the authorities that the system trusts.
const SYSTEM: &str = "system";
/// Most nodes of which is remembered that it was said how they are reached.
const MOST_TOLD: usize = 1000;

words! {
    /// What libpq's `sslmode` can be.
    #[derive(Default, PartialOrd, Ord)]
    pub enum SslMode {
        /// Never encrypt.
        Disable = "disable",
        /// Encrypt if the server insists.
        Allow = "allow",
        /// Encrypt if the server can.
        #[default]
        Prefer = "prefer",
        /// Always encrypt.
        Require = "require",
        /// Always encrypt, and check who signed the certificate.
        VerifyCa = "verify-ca",
        /// Always encrypt, and check whose certificate it is.
        VerifyFull = "verify-full",
    }
}

words! {
    /// How TLS is begun.
    #[derive(Default)]
    pub enum SslNegotiation {
        /// The server is asked first whether it has TLS.
        #[default]
        Postgres = "postgres",
        /// At once; PostgreSQL 17 and later.
        Direct = "direct",
    }
}

words! {
    /// Whether a proof of the password is bound to the connection it is given on.
    #[derive(Default)]
    pub enum ChannelBinding {
        /// Never.
        Disable = "disable",
        /// If the connection is encrypted and the server can.
        #[default]
        Prefer = "prefer",
        /// Always: a server that does not take part is not logged in to.
        Require = "require",
    }
}

words! {
    /// The versions of TLS, in libpq's words.
    #[derive(PartialOrd, Ord)]
    pub enum Version {
        /// Not spoken here.
        One = "TLSv1",
        /// Not spoken here.
        OneOne = "TLSv1.1",
        /// Spoken.
        OneTwo = "TLSv1.2",
        /// Spoken.
        OneThree = "TLSv1.3",
    }
}

words! {
    /// Prisma's word for whether a certificate is checked.
    pub enum SslAccept {
        /// It is.
        Strict = "strict",
        /// It is not.
        Invalid = "accept_invalid_certs",
    }
}

/// How connections to the servers of a database are encrypted. Two are the same when the files they were made from were.
#[derive(Clone)]
pub struct ServerTls {
    /// When to encrypt.
    pub mode: SslMode,
    /// How to begin.
    pub negotiation: SslNegotiation,
    /// Whether proofs of passwords are bound to the connection.
    pub channel_binding: ChannelBinding,
    /// `None` with [`SslMode::Disable`].
    client: Option<Arc<ClientConfig>>,
    /// Of everything the client configuration was made from.
    print: [u8; 32],
    /// The nodes of which was said that connections to them are not encrypted.
    told: Arc<Mutex<HashSet<String>>>,
}

impl ServerTls {
    /// What handshakes go by; `None` where there are none.
    pub fn client(&self) -> Option<&Arc<ClientConfig>> {
        self.client.as_ref()
    }

    /// Whether this is to be said of a node: once.
    pub fn is_news(&self, node: &str) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST_TOLD && !told.contains(node) && told.insert(node.to_owned())
    }
}

impl PartialEq for ServerTls {
    fn eq(&self, other: &Self) -> bool {
        (self.mode, self.negotiation, self.channel_binding, self.print)
            == (other.mode, other.negotiation, other.channel_binding, other.print)
    }
}

impl Eq for ServerTls {}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServerTls({}, {}, {}, …)", self.mode, self.negotiation, self.channel_binding)
    }
}

/// Whether a URL's parameter is one of these.
pub(super) fn knows(key: &str) -> bool {
    KEYS.contains(&key) || URL_KEYS.contains(&key)
}

/// Whether a key's value is the name of a file, which a configuration file says from where it is itself.
pub(super) fn names_file(key: &str, value: &str) -> bool {
    FILES.contains(&key) && !(key == "sslrootcert" && value == SYSTEM) && !value.is_empty()
}

/// Sets what one of these keys says.
pub(super) fn set(tuning: &mut Tuning, key: &str, value: &str) -> Result<(), Problem> {
    let file = || Some(value.to_owned()).filter(|path| !path.is_empty());
    match key {
        "sslmode" => tuning.sslmode = Some(word(value)?),
        "sslnegotiation" => tuning.sslnegotiation = Some(word(value)?),
        "channel_binding" => tuning.channel_binding = Some(word(value)?),
        "sslrootcert" => tuning.sslrootcert = file(),
        "sslcert" => tuning.sslcert = file(),
        "sslkey" => tuning.sslkey = file(),
        "sslcrl" => tuning.sslcrl = file(),
        "sslsni" => tuning.sslsni = Some(one_or_zero(value)?),
        "ssl_min_protocol_version" => tuning.ssl_min_protocol_version = Some(word(value)?),
        "ssl_max_protocol_version" => tuning.ssl_max_protocol_version = Some(word(value)?),
        "sslaccept" => tuning.sslaccept = Some(word(value)?),
        "ssl" if value == "true" => tuning.ssl = Some(true),
        "ssl" => {
            let problem = format!("ssl={} is not known here", quoted(value));
            return Err(Problem::new(problem, "Say what you want with sslmode"));
        }
        "sslidentity" => {
            let advice =
                "Write its certificate and key into two PEM files, and name them with sslcert and sslkey";
            return Err(Problem::new("PKCS #12 files are not read", advice));
        }
        _ => {
            let advice = "Decrypt the key (openssl pkey) into a file that only the proxy may read";
            return Err(Problem::new("encrypted keys are not read", advice));
        }
    }
    Ok(())
}

fn one_or_zero(text: &str) -> Result<bool, Problem> {
    match text {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Problem::new(format!("{} is neither 1 nor 0", quoted(text)), "Write 1 or 0")),
    }
}

/// Checks what was said together, and reads the files.
pub(super) fn server_tls(tuning: &Tuning, origin: &Origin, findings: &mut Findings) -> ServerTls {
    let mode = findings.keep(&origin.inside("sslmode"), mode(tuning)).unwrap_or_default();
    let negotiation = tuning.sslnegotiation.unwrap_or_default();
    let channel_binding = tuning.channel_binding.unwrap_or_default();
    for (key, wrong) in contradictions(tuning, mode) {
        findings.mistake(&origin.inside(key), wrong);
    }
    let mut print = Sha256::new();
    let client = match mode {
        SslMode::Disable => None,
        _ => material::outgoing(tuning, mode, origin, findings, &mut print).and_then(|outgoing| {
            let config = outgoing.config().map(Arc::new).map_err(|error| {
                let advice = "Check that the key (sslkey) belongs to the certificate (sslcert), and that sslrootcert and sslcrl hold what they should";
                Problem::new(format!("TLS cannot be set up: {error}"), advice)
            });
            findings.keep(&origin.inside("sslmode"), config)
        }),
    };
    let print = print.finalize().into();
    ServerTls { mode, negotiation, channel_binding, client, print, told: Arc::default() }
}

/// When to encrypt, by all that can say so.
fn mode(tuning: &Tuning) -> Result<SslMode, Problem> {
    let (said, is_system) = (tuning.sslmode, tuning.sslrootcert.as_deref() == Some(SYSTEM));
    let weak = |what: &str, by: SslMode, needed: &str| {
        let problem = format!("{what} and sslmode={by} do not go together");
        Problem::new(problem, format!("Say sslmode={needed}, or leave {what} out"))
    };
    if let Some(mode) = said.filter(|mode| tuning.ssl == Some(true) && *mode < SslMode::Require) {
        return Err(weak("ssl=true", mode, "require"));
    }
    match (said, tuning.sslaccept) {
        (Some(mode), _) if is_system && mode != SslMode::VerifyFull => {
            Err(weak("sslrootcert=system", mode, "verify-full"))
        }
        (Some(mode), Some(SslAccept::Strict)) if mode < SslMode::Require => {
            Err(weak("sslaccept=strict", mode, "verify-full"))
        }
        (Some(mode), Some(SslAccept::Invalid)) if mode > SslMode::Require => {
            Err(weak("sslaccept=accept_invalid_certs", mode, "require"))
        }
        (_, Some(SslAccept::Strict)) => Ok(SslMode::VerifyFull),
        (Some(mode), _) => Ok(mode),
        (None, _) if is_system => Ok(SslMode::VerifyFull),
        (None, _) if tuning.ssl == Some(true) => Ok(SslMode::Require),
        (None, _) => Ok(SslMode::default()),
    }
}

/// What cannot be meant, by the key that is to be changed.
fn contradictions(tuning: &Tuning, mode: SslMode) -> Vec<(&'static str, Problem)> {
    let mut found = Vec::new();
    let mut wrong = |key, problem: String, advice: &str| found.push((key, Problem::new(problem, advice)));
    if tuning.sslnegotiation == Some(SslNegotiation::Direct) && mode < SslMode::Require {
        let problem = format!("sslnegotiation=direct and sslmode={mode} do not go together");
        wrong("sslnegotiation", problem, "Say sslmode=require, verify-ca or verify-full");
    }
    if tuning.channel_binding == Some(ChannelBinding::Require) && mode == SslMode::Disable {
        let problem = "there is nothing to bind to without encryption (sslmode=disable)".to_owned();
        wrong("channel_binding", problem, "Say sslmode=require, or better verify-full");
    }
    let has_roots = tuning.sslrootcert.is_some() || tuning.sslaccept == Some(SslAccept::Strict);
    if mode >= SslMode::VerifyCa && !has_roots {
        let problem = format!("sslmode={mode} needs to know who is trusted to sign certificates");
        wrong("sslmode", problem, "Name a file with sslrootcert, or say sslrootcert=system");
    }
    if tuning.sslcrl.is_some() && tuning.sslrootcert.is_none() {
        let problem = "nobody looks at it without sslrootcert".to_owned();
        wrong("sslcrl", problem, "Name the authorities with sslrootcert, or leave it out");
    }
    if tuning.sslrootcert.is_some() && tuning.sslaccept == Some(SslAccept::Invalid) {
        let problem = "with it certificates are checked, and sslaccept says that they are not".to_owned();
        wrong("sslrootcert", problem, "Leave one of the two out");
    }
    match (&tuning.sslcert, &tuning.sslkey) {
        (Some(_), None) => {
            wrong("sslcert", "it has no key".to_owned(), "Name the file of its key with sslkey");
        }
        (None, Some(_)) => {
            wrong(
                "sslkey",
                "it has no certificate".to_owned(),
                "Name the file of its certificate with sslcert",
            );
        }
        _ => {}
    }
    if tuning.ssl_max_protocol_version.is_some_and(|most| most < Version::OneTwo) {
        let problem = "no version of TLS before 1.2 is spoken here".to_owned();
        wrong("ssl_max_protocol_version", problem, "Write TLSv1.2 or TLSv1.3");
    } else if tuning.ssl_max_protocol_version.is_some_and(|most| Some(most) < tuning.ssl_min_protocol_version)
    {
        let problem = "it is lower than ssl_min_protocol_version".to_owned();
        wrong("ssl_max_protocol_version", problem, "Exchange the two, or leave one out");
    }
    found
}
