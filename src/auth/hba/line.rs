//! Reading one rule.

use super::address::From;
use super::name::{DatabaseName, UserName};
use super::{CertificateName, Channel, ClientCertificate, Method, Rule};
use crate::auth::lines::{Line, Word, Wrong};

impl Rule {
    pub(super) fn read(line: &Line) -> Result<Self, Wrong> {
        let mut fields = line.fields.iter();
        let channel = channel(only(fields.next(), "connection type")?)?;
        let databases = several(fields.next(), "database", DatabaseName::read)?;
        let users = several(fields.next(), "role", UserName::read)?;
        let from = match channel {
            Channel::Socket => From::Anywhere,
            _ => match From::read(only(fields.next(), "IP address")?)? {
                (_, Some(address)) => From::masked(address, only(fields.next(), "netmask")?)?,
                (from, None) => from,
            },
        };
        let method = method(&only(fields.next(), "authentication method")?.text, channel)?;
        let mut rule = Self {
            file: line.file.clone(),
            line: line.number,
            channel,
            from,
            databases,
            users,
            method,
            client_certificate: None,
            certificate_name: CertificateName::default(),
            map: None,
        };
        for word in fields.flatten() {
            rule.option(&word.text)?;
        }
        Ok(rule)
    }

    fn option(&mut self, option: &str) -> Result<(), Wrong> {
        let Some((name, value)) = option.split_once('=') else {
            let problem = format!("authentication option not in name=value format: {option:?}");
            return Err(Wrong::new(problem, "Write map=, clientcert= or clientname="));
        };
        let is_encrypted = self.channel == Channel::Encrypted;
        match name {
            "map" if matches!(self.method, Method::Peer | Method::Certificate) => {
                self.map = Some(value.to_owned());
            }
            "map" => {
                let problem = format!("map means nothing with the method {}", self.method.name());
                return Err(Wrong::new(problem, "It is for peer and cert"));
            }
            "clientcert" | "clientname" if !is_encrypted => {
                let problem = format!("{name} can only be asked for where clients come by TLS");
                return Err(Wrong::new(problem, "Write hostssl in the place of host"));
            }
            "clientcert" => self.client_certificate = Some(self.client_certificate(value)?),
            "clientname" => {
                self.certificate_name = match value {
                    "CN" => CertificateName::Common,
                    "DN" => CertificateName::Distinguished,
                    _ => {
                        let problem = format!("invalid value for clientname: {value:?}");
                        return Err(Wrong::new(problem, "It can be CN or DN"));
                    }
                }
            }
            _ => {
                let problem = format!("unrecognized authentication option name: {name:?}");
                return Err(Wrong::new(problem, "It can be map, clientcert or clientname"));
            }
        }
        Ok(())
    }

    fn client_certificate(&self, value: &str) -> Result<ClientCertificate, Wrong> {
        match value {
            "verify-full" => Ok(ClientCertificate::VerifyFull),
            "verify-ca" if self.method == Method::Certificate => {
                let problem = "clientcert=verify-ca asks for less than the method cert";
                Err(Wrong::new(problem, "Leave it out"))
            }
            "verify-ca" => Ok(ClientCertificate::VerifyCa),
            _ => {
                let problem = format!("invalid value for clientcert: {value:?}");
                Err(Wrong::new(problem, "It can be verify-ca or verify-full"))
            }
        }
    }
}

/// The one word that a field must have.
fn only<'a>(field: Option<&'a Vec<Word>>, what: &str) -> Result<&'a Word, Wrong> {
    match field.map(Vec::as_slice) {
        Some([word]) => Ok(word),
        Some(_) => Err(Wrong::new(format!("multiple values specified for {what}"), "Write a line for each")),
        None => Err(missing(what)),
    }
}

fn several<T>(
    field: Option<&Vec<Word>>,
    what: &str,
    read: impl Fn(&Word) -> Result<T, Wrong>,
) -> Result<Vec<T>, Wrong> {
    field.ok_or_else(|| missing(what))?.iter().map(read).collect()
}

fn missing(what: &str) -> Wrong {
    let advice = match what {
        "netmask" => "Write the address as 10.0.0.0/8, or a mask such as 255.0.0.0 behind it",
        _ => "Write type, databases, users, address (but for local) and method",
    };
    Wrong::new(format!("the line ends before the {what}"), advice)
}

fn channel(word: &Word) -> Result<Channel, Wrong> {
    Ok(match word.text.as_str() {
        "local" => Channel::Socket,
        "host" | "hostnogssenc" => Channel::Any,
        "hostssl" => Channel::Encrypted,
        "hostnossl" => Channel::Plain,
        "hostgssenc" => Channel::Never,
        other => {
            let advice = "It can be local, host, hostssl, hostnossl, hostgssenc or hostnogssenc";
            return Err(Wrong::new(format!("invalid connection type {other:?}"), advice));
        }
    })
}

fn method(text: &str, channel: Channel) -> Result<Method, Wrong> {
    let advice = "It can be scram-sha-256, md5, cert, peer, trust or reject";
    let refused = |why: &str| Err(Wrong::new(format!("authentication method {text:?} {why}"), advice));
    let by_socket = channel == Channel::Socket;
    match text {
        "trust" => Ok(Method::Trust),
        "reject" => Ok(Method::Reject),
        "scram-sha-256" => Ok(Method::Scram),
        "md5" => Ok(Method::Md5),
        "cert" if channel != Channel::Encrypted => refused("is only for hostssl"),
        "cert" => Ok(Method::Certificate),
        // As in PostgreSQL, which means peer where it says ident of a Unix socket.
        "peer" | "ident" if by_socket => Ok(Method::Peer),
        "peer" => refused("is only for local"),
        "ident" => refused("believes what the client's machine says, and is not supported"),
        "password" => refused("would send the password as it is, and is not supported"),
        "gss" | "sspi" | "pam" | "bsd" | "ldap" | "radius" | "oauth" => refused("is not supported"),
        _ => refused("is not known"),
    }
}
