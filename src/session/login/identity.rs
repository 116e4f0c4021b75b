//! Who a client is by something else than a password: its certificate, or the operating system.

use super::demand::Demand;
use super::{Applicant, Denial};
use crate::auth::IdentMaps;
use crate::auth::hba::{CertificateName, Method};
use crate::net::system;
use crate::session::client::Client;
use crate::session::failure::Failure;
use crate::stats::LoginRefusal;

/// It has shown a certificate that is trusted, whoever it names. Others do not get that far: the handshake fails.
pub(super) fn has_certificate(client: &Client) -> Result<(), Denial> {
    let text = "connection requires a valid client certificate";
    let missing = || Denial::Refused(LoginRefusal::Certificate, Failure::fatal("28000", text));
    client.certificate().map(drop).ok_or_else(missing)
}

/// Its certificate names the user, or is mapped to it.
pub(super) fn by_certificate(
    client: &Client,
    demand: &Demand,
    maps: &IdentMaps,
    applicant: &Applicant<'_>,
) -> Result<(), Denial> {
    let user = applicant.user;
    let name = client.certificate().and_then(|certificate| match demand.certificate_name {
        CertificateName::Common => certificate.common_name,
        CertificateName::Distinguished => Some(certificate.distinguished_name),
    });
    let is_user = name.is_some_and(|name| maps.allow(demand.map.as_deref(), &name, user));
    // PostgreSQL goes by the method: whether it was the password or the certificate is not told.
    let failed = || {
        let (code, what) = match demand.method {
            Method::Scram | Method::Md5 => ("28P01", "password"),
            Method::Trust => ("28000", "\"trust\""),
            Method::Peer => ("28000", "Peer"),
            Method::Certificate | Method::Reject => ("28000", "certificate"),
        };
        let text = format!("{what} authentication failed for user \"{user}\"");
        Denial::Refused(LoginRefusal::Certificate, Failure::fatal(code, text).with_routine("auth_failed"))
    };
    is_user.then_some(()).ok_or_else(failed)
}

/// It runs as the user, or as somebody who is mapped to it.
pub(super) async fn by_peer(
    client: &Client,
    demand: &Demand,
    maps: &IdentMaps,
    applicant: &Applicant<'_>,
) -> Result<(), Denial> {
    let user = applicant.user;
    let name = match client.peer_user() {
        Ok(Some(number)) => tokio::task::spawn_blocking(move || system::user_name(number)).await,
        Ok(None) => Ok(Ok(None)),
        Err(error) => Ok(Err(error)),
    };
    let name = match name {
        Ok(Ok(name)) => name,
        Ok(Err(error)) => {
            tracing::warn!(%error, "the system does not say who a client by a Unix socket is");
            None
        }
        Err(_) => None,
    };
    let is_user = name.is_some_and(|name| maps.allow(demand.map.as_deref(), &name, user));
    let failed = || {
        let text = format!("Peer authentication failed for user \"{user}\"");
        Denial::Refused(LoginRefusal::Peer, Failure::fatal("28000", text).with_routine("auth_failed"))
    };
    is_user.then_some(()).ok_or_else(failed)
}
