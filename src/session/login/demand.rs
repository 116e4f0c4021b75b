//! What a client must prove before it is let in.

use super::{Applicant, Denial};
use crate::auth::hba::{CertificateName, ClientCertificate, Connection, Method, Network, Origin, Rule};
use crate::config::{AccessRules, ClientAuth};
use crate::net::{Peer, system};
use crate::session::client::Client;
use crate::session::failure::Failure;
use crate::stats::LoginRefusal;

/// What a client must prove before it is let in.
#[derive(Clone, Debug)]
pub(in crate::session) struct Demand {
    pub(in crate::session) method: Method,
    /// What its certificate must show, besides.
    pub(super) certificate: Option<ClientCertificate>,
    pub(super) certificate_name: CertificateName,
    pub(super) map: Option<String>,
    /// The file and the line that say so.
    place: Option<(String, usize)>,
}

impl Demand {
    /// Nothing but this.
    pub(in crate::session) fn only(method: Method) -> Self {
        Self {
            method,
            certificate: None,
            certificate_name: CertificateName::default(),
            map: None,
            place: None,
        }
    }

    /// What a database asks for where there are no rules.
    pub(in crate::session) fn by(client_auth: ClientAuth) -> Self {
        Self::only(match client_auth {
            ClientAuth::Scram => Method::Scram,
            ClientAuth::Md5 => Method::Md5,
            ClientAuth::Cert => Method::Certificate,
            ClientAuth::Trust => Method::Trust,
            // The rules have just gone.
            ClientAuth::Hba => Method::Reject,
        })
    }

    /// What the first rule about this client asks for. The error is the client's, in PostgreSQL's words.
    pub(in crate::session) fn by_rules(
        access: &AccessRules,
        client: &Client,
        applicant: &Applicant<'_>,
    ) -> Result<Self, Denial> {
        let origin = match client.address() {
            Peer::Local => Origin::Socket,
            Peer::Ip(address) => Origin::Host { address, is_encrypted: client.is_encrypted() },
        };
        let connection = Connection {
            origin,
            database: Some(applicant.database).filter(|_| !applicant.is_physical),
            user: applicant.user,
        };
        let interfaces = if access.rules.needs_interfaces() { interfaces() } else { Vec::new() };
        match access.rules.first(&connection, &interfaces) {
            Some(rule) if rule.method == Method::Reject => Err(denied(client, applicant, true)),
            Some(rule) => Ok(Self::from(rule)),
            None => Err(denied(client, applicant, false)),
        }
    }

    /// Where it is said that this is demanded.
    pub(super) fn rule(&self) -> Option<String> {
        self.place.as_ref().map(|(file, line)| format!("{file}:{line}"))
    }

    /// Whether it must show a certificate at all.
    pub(super) fn needs_certificate(&self) -> bool {
        self.method == Method::Certificate || self.certificate.is_some()
    }

    /// Whether the certificate must name the user.
    pub(super) fn names_user(&self) -> bool {
        self.method == Method::Certificate || self.certificate == Some(ClientCertificate::VerifyFull)
    }
}

impl From<&Rule> for Demand {
    fn from(rule: &Rule) -> Self {
        Self {
            method: rule.method,
            certificate: rule.client_certificate,
            certificate_name: rule.certificate_name,
            map: rule.map.clone(),
            place: Some((rule.file.to_string(), rule.line)),
        }
    }
}

/// This machine's addresses; none if the system does not say.
fn interfaces() -> Vec<Network> {
    let all = system::interfaces().inspect_err(|error| {
        tracing::warn!(%error, "this machine's addresses cannot be found out: samehost and samenet match nobody");
    });
    all.unwrap_or_default().into_iter().filter_map(|(address, mask)| Network::new(address, mask)).collect()
}

/// In PostgreSQL's words. `is_rejected`: a rule says so; otherwise none says anything.
fn denied(client: &Client, applicant: &Applicant<'_>, is_rejected: bool) -> Denial {
    let Applicant { user, database, is_physical } = applicant;
    let encryption = if client.is_encrypted() { "SSL encryption" } else { "no encryption" };
    let what = match (is_rejected, is_physical) {
        (true, true) => "pg_hba.conf rejects replication connection for host",
        (true, false) => "pg_hba.conf rejects connection for host",
        (false, true) => "no pg_hba.conf entry for replication connection from host",
        (false, false) => "no pg_hba.conf entry for host",
    };
    let who = format!("{what} \"{}\", user \"{user}\"", client.address());
    let text = match is_physical {
        true => format!("{who}, {encryption}"),
        false => format!("{who}, database \"{database}\", {encryption}"),
    };
    Denial::Refused(LoginRefusal::Rule, Failure::fatal("28000", text).with_routine("ClientAuthentication"))
}
