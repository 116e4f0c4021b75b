//! Who may come in from where, and how it must prove who it is: the rules of a `pg_hba.conf`.
//!
//! Format and meaning are PostgreSQL's: <https://www.postgresql.org/docs/current/auth-pg-hba-conf.html>. The first rule that is
//! about a connection decides; where none is, nobody comes in. What cannot be decided here is a mistake, and no rule that
//! never holds: a `reject` that never holds would let in whom it was to keep out.
//!
//! Knows no file: texts are handed in. Knows nothing of passwords, either: a rule only says what is to be proven.

mod address;
mod line;
mod name;
#[cfg(test)]
mod tests;

use core::net::IpAddr;
use std::sync::Arc;

use address::From;
pub use address::Network;
use name::{DatabaseName, UserName};

use super::lines::{self, Fault, Files, Text};

/// The rules of a file, in its order.
#[derive(Clone, Debug, Default)]
pub struct Rules(Vec<Rule>);

/// A rule, and what it asks for.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The file it stands in.
    pub file: Arc<str>,
    /// In which line, from 1.
    pub line: usize,
    channel: Channel,
    from: From,
    databases: Vec<DatabaseName>,
    users: Vec<UserName>,
    /// How a client proves who it is.
    pub method: Method,
    /// What its certificate must show, besides.
    pub client_certificate: Option<ClientCertificate>,
    /// Which name of a certificate counts.
    pub certificate_name: CertificateName,
    /// The map from what the client is outside to whom it may be here; `None`: both are the same.
    pub map: Option<String>,
}

/// How clients come that a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Channel {
    /// `local`.
    Socket,
    /// `host`, and `hostnogssenc`, as nothing is encrypted by GSSAPI here.
    Any,
    /// `hostssl`.
    Encrypted,
    /// `hostnossl`.
    Plain,
    /// `hostgssenc`.
    Never,
}

/// How a client proves who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Not at all.
    Trust,
    /// It is sent away.
    Reject,
    /// SCRAM-SHA-256.
    Scram,
    /// MD5, or SCRAM-SHA-256 where a SCRAM verifier is all there is.
    Md5,
    /// By its certificate.
    Certificate,
    /// By the user of the operating system that it runs as.
    Peer,
}

impl Method {
    /// As in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trust => "trust",
            Self::Reject => "reject",
            Self::Scram => "scram-sha-256",
            Self::Md5 => "md5",
            Self::Certificate => "cert",
            Self::Peer => "peer",
        }
    }
}

/// What a client's certificate must show besides what its method asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientCertificate {
    /// It is there, and signed by an authority that is trusted.
    VerifyCa,
    /// Its name is that of the user, too, or is mapped to it.
    VerifyFull,
}

/// Which name of a certificate counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CertificateName {
    /// The common name.
    #[default]
    Common,
    /// The whole subject, as RFC 2253 writes it.
    Distinguished,
}

/// How a client has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By a Unix socket.
    Socket,
    /// By TCP.
    Host {
        /// Its address.
        address: IpAddr,
        /// Whether by TLS.
        is_encrypted: bool,
    },
}

/// What is known of a client before it proves anything.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// How it has come.
    pub origin: Origin,
    /// The database it wants; `None` for physical replication, which is of none.
    pub database: Option<&'a str>,
    /// Who it says it is.
    pub user: &'a str,
}

impl Rules {
    /// Reads a text and those that it asks for. The error is everything that is wrong.
    pub fn read(text: &Text, files: &mut Files<'_>) -> Result<Self, Vec<Fault>> {
        let (lines, mut faults) = lines::read(text, files);
        let mut rules = Vec::with_capacity(lines.len());
        for line in lines {
            match Rule::read(&line) {
                Ok(rule) => rules.push(rule),
                Err(wrong) => faults.push(wrong.at(&line)),
            }
        }
        if rules.is_empty() && faults.is_empty() {
            faults.push(lines::nothing(text, "nobody could come in", "Write a rule, or leave hba_file out"));
        }
        if faults.is_empty() { Ok(Self(rules)) } else { Err(faults) }
    }

    /// The rule that decides about a connection; `None`: nobody has said that it may come in. `interfaces`: the addresses of
    /// this machine, with their networks, where [`Self::needs_interfaces`].
    pub fn first(&self, connection: &Connection<'_>, interfaces: &[Network]) -> Option<&Rule> {
        self.0.iter().find(|rule| rule.is_about(connection, interfaces))
    }

    /// Whether a rule speaks of this machine's own addresses.
    pub fn needs_interfaces(&self) -> bool {
        self.0.iter().any(|rule| matches!(rule.from, From::SameHost | From::SameNet))
    }

    /// The rules in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Rule> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Rules {
    type Item = &'a Rule;
    type IntoIter = std::slice::Iter<'a, Rule>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl Rule {
    /// Whether it asks for nothing of somebody on another machine.
    pub fn trusts_other_machines(&self) -> bool {
        let is_by_network = matches!(self.channel, Channel::Any | Channel::Encrypted | Channel::Plain);
        let proves_nothing = self.method == Method::Trust && self.client_certificate.is_none();
        is_by_network && proves_nothing && !self.from.is_this_machine()
    }

    fn is_about(&self, connection: &Connection<'_>, interfaces: &[Network]) -> bool {
        let Connection { origin, database, user } = connection;
        let comes = match (*origin, self.channel) {
            (Origin::Socket, Channel::Socket) => true,
            (Origin::Host { address, is_encrypted }, channel) => {
                let may = match channel {
                    Channel::Any => true,
                    Channel::Encrypted => is_encrypted,
                    Channel::Plain => !is_encrypted,
                    Channel::Socket | Channel::Never => false,
                };
                may && self.from.is_about(address, interfaces)
            }
            (Origin::Socket, _) => false,
        };
        comes
            && self.databases.iter().any(|name| name.is_about(*database, user))
            && self.users.iter().any(|name| name.is_about(user))
    }
}
