//! Why a handshake failed, for people.

use rustls::{AlertDescription, CertificateError, Error};

/// What went wrong in a handshake with a server, in words that say what to look at.
pub fn describe(error: &Error, host: &str) -> String {
    match error {
        Error::InvalidCertificate(error) => certificate(error, host),
        Error::AlertReceived(AlertDescription::CertificateRequired) => {
            "it asks for a client certificate (sslcert, sslkey)".to_owned()
        }
        Error::AlertReceived(AlertDescription::UnknownCA) => {
            "it knows no authority that has signed the client certificate (sslcert)".to_owned()
        }
        Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "it speaks none of the versions of TLS that are offered".to_owned()
        }
        Error::AlertReceived(alert) => format!("it has ended the handshake ({alert:?})"),
        Error::InvalidMessage(_) => "it does not speak TLS".to_owned(),
        error => error.to_string(),
    }
}

fn certificate(error: &CertificateError, host: &str) -> String {
    use CertificateError as E;
    match error {
        E::NotValidForName | E::NotValidForNameContext { .. } => {
            let of = match error {
                E::NotValidForNameContext { presented, .. } if !presented.is_empty() => {
                    format!(", it is that of {}", plain(presented))
                }
                _ => String::new(),
            };
            format!("its certificate is not valid for host \"{host}\"{of}")
        }
        E::UnknownIssuer => "unknown authority: nobody in sslrootcert has signed its certificate".to_owned(),
        E::Expired | E::ExpiredContext { .. } => "its certificate has expired".to_owned(),
        E::NotValidYet | E::NotValidYetContext { .. } => "its certificate is not valid yet".to_owned(),
        E::Revoked => "its certificate has been revoked (sslcrl)".to_owned(),
        E::UnknownRevocationStatus => {
            "sslcrl has no list of the authority that has signed its certificate".to_owned()
        }
        E::ExpiredRevocationList | E::ExpiredRevocationListContext { .. } => {
            "the list in sslcrl has expired".to_owned()
        }
        E::BadSignature => "it does not have the key of the certificate it shows".to_owned(),
        error => format!("its certificate cannot be accepted: {error}"),
    }
}

/// The names as they stand in the certificate: rustls writes `DnsName("pg1")`.
fn plain(names: &[String]) -> String {
    let inner = |name: &String| {
        let inner = name.split_once('(').and_then(|(_, rest)| rest.strip_suffix(')'));
        inner.unwrap_or(name).trim_matches('"').to_owned()
    };
    names.iter().map(inner).collect::<Vec<_>>().join(", ")
}
