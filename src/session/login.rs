//! Who the client is, proven.

use std::sync::Arc;

use super::client::Client;
use super::failure::{End, Failure};
use super::proxy::{Database, Databases, Proxy, User};
use super::replication;
use crate::auth::{self, Binding, Challenge, ScramError, Verifier};
use crate::wire::{StartupParameters, encode, sasl_initial};

/// Who a client says it is, and what it wants.
pub(super) struct Applicant<'a> {
    pub(super) user: &'a str,
    /// The database's name, as the client said it, or the user's where it said none.
    pub(super) database: &'a str,
}

impl<'a> Applicant<'a> {
    pub(super) fn of(parameters: &'a StartupParameters) -> Result<Self, Failure> {
        let user = parameters.get("user").filter(|n| !n.is_empty());
        let user = user
            .ok_or_else(|| Failure::fatal("28000", "no PostgreSQL user name specified in startup packet"))?;
        let database = parameters.get("database").filter(|d| !d.is_empty()).unwrap_or(user);
        Ok(Self { user, database })
    }
}

/// Who the client is, proven. Unknown users take the same steps as known ones, and fail at the end.
pub(super) async fn log_in(
    proxy: &Proxy,
    client: &mut Client,
    parameters: &StartupParameters,
    kind: Option<replication::Kind>,
) -> Result<(Arc<Database>, Arc<User>), End> {
    let applicant = Applicant::of(parameters)?;
    let databases = Arc::clone(&proxy.databases());
    let database = match kind {
        Some(replication::Kind::Physical) => replication::database(&databases, parameters, applicant.user),
        _ => {
            databases.get(applicant.database).cloned().ok_or_else(|| Failure::no_database(applicant.database))
        }
    };
    let user = account(&databases, database.as_ref().ok(), applicant.user);
    let verifier = user.as_ref().map_or(Some(&proxy.mock), |u| u.verifier.as_ref());
    let proven = match verifier {
        Some(verifier) => prove(client, verifier).await? && user.is_some(),
        None => true,
    };
    if !proven {
        return Err(refused(proxy, &applicant).into());
    }
    proxy.logins.ok.increment(1);
    let database = database?;
    let user = user.ok_or_else(|| Failure::no_database(applicant.database))?;
    Ok((database, user))
}

/// The user of this name. One of any database can prove who it is, and only then learns that the one it wants is not there.
fn account(databases: &Databases, database: Option<&Arc<Database>>, name: &str) -> Option<Arc<User>> {
    match database {
        Some(database) => database.users.get(name).cloned(),
        None => databases.values().find_map(|d| d.users.get(name).cloned()),
    }
}

/// It could not prove who it is.
pub(super) fn refused(proxy: &Proxy, applicant: &Applicant<'_>) -> Failure {
    let Applicant { user, database } = applicant;
    proxy.logins.refused.increment(1);
    tracing::warn!(user, database, "login refused");
    Failure::fatal("28P01", format!("password authentication failed for user \"{user}\""))
}

/// Whether the client proves that it knows the password.
pub(super) async fn prove(client: &mut Client, verifier: &Verifier) -> Result<bool, End> {
    let offered = match client.end_point() {
        Some(_) => &[auth::PLUS, auth::PLAIN][..],
        None => &[auth::PLAIN],
    };
    encode::sasl(&mut client.outbox, offered);
    client.flush().await;
    scram(client, verifier).await
}

async fn scram(client: &mut Client, verifier: &Verifier) -> Result<bool, End> {
    let first = client.password().await?;
    let (mechanism, message) = sasl_initial(&first)?;
    let end_point = client.end_point();
    let binding = match (std::str::from_utf8(mechanism), end_point) {
        (Ok(auth::PLAIN), None) => Binding::None,
        (Ok(auth::PLAIN), Some(_)) => Binding::Offered,
        (Ok(auth::PLUS), Some(data)) => Binding::EndPoint(data),
        _ => {
            let text = "client selected an invalid SASL authentication mechanism";
            return Err(Failure::fatal("08P01", text).into());
        }
    };
    let malformed = |e: ScramError| Failure::fatal("08P01", e.to_string());
    let challenge = Challenge::new(verifier, message, binding, rand::random()).map_err(malformed)?;
    encode::sasl_continue(&mut client.outbox, challenge.message.as_bytes());
    client.flush().await;
    let last = client.password().await?;
    match challenge.check(verifier, &last) {
        Ok(proof) => {
            encode::sasl_final(&mut client.outbox, proof.answer.as_bytes());
            Ok(true)
        }
        Err(ScramError::WrongPassword) => Ok(false),
        Err(error) => Err(malformed(error).into()),
    }
}
