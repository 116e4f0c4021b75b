//! Who the client is, proven.

use std::sync::Arc;

use super::client::Client;
use super::failure::{End, Failure};
use super::guests::Account;
use super::proxy::{Database, Databases, Proxy, User};
use super::replication;
use crate::auth::{self, Binding, Challenge, Proof, ScramError, Stored, Verifier};
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
    let account = account(&databases, database.as_ref().ok(), applicant.user).await?;
    let verifier = account.verifier(&proxy.mock);
    let (proven, proof) = match verifier {
        Some(verifier) => {
            let proof = prove(client, verifier).await?;
            (proof.is_some() && account.is_somebody(), proof)
        }
        None => (true, None),
    };
    if !proven {
        if let (Account::Guest(stored), Ok(database)) = (&account, &database) {
            unproven(database, stored, applicant.user);
        }
        return Err(refused(proxy, &applicant).into());
    }
    proxy.logins.ok.increment(1);
    let database = database?;
    let user = welcome(&database, &account, applicant.user, proof)?;
    Ok((database, user))
}

/// Somebody could not prove what is kept of this user's password.
fn unproven(database: &Database, stored: &Stored, user: &str) {
    database.accounts.iter().for_each(|accounts| accounts.doubt(user));
    if let Stored::Md5(_) = stored {
        tracing::info!(
            user,
            "the server keeps an md5 hash of this user's password, to which nobody proves anything by SCRAM: set the \
             password again with password_encryption = 'scram-sha-256'"
        );
    }
}

/// The user that somebody has proven to be.
fn welcome(
    database: &Database,
    account: &Account,
    name: &str,
    proof: Option<Proof>,
) -> Result<Arc<User>, Failure> {
    match (account, proof) {
        (Account::Configured(user), _) => Ok(Arc::clone(user)),
        (Account::Guest(stored), Some(proof)) => {
            database.guests.admit(database, name, stored, &proof.client_key)
        }
        _ => Err(Failure::no_database(&database.settings.name)),
    }
}

/// The user of this name. One of any database can prove who it is, and only then learns that the one it wants is not there.
async fn account(
    databases: &Databases,
    database: Option<&Arc<Database>>,
    name: &str,
) -> Result<Account, Failure> {
    let user = match database {
        Some(database) => database.users.get(name).cloned(),
        None => databases.values().find_map(|d| d.users.get(name).cloned()),
    };
    if let Some(user) = user {
        return Ok(Account::Configured(user));
    }
    let takes = || databases.values().filter(|d| d.settings.takes_guest(name));
    let first = || takes().min_by(|a, b| a.settings.name.cmp(&b.settings.name));
    match database.or_else(first) {
        Some(database) => guest(database, name).await,
        None => Ok(Account::None),
    }
}

/// What is kept of the password of somebody who is not configured with one.
async fn guest(database: &Database, name: &str) -> Result<Account, Failure> {
    if let Some(stored) = database.settings.stored(name) {
        let stored = Stored::read(stored.expose()).map(Arc::new);
        return Ok(stored.map_or(Account::None, Account::Guest));
    }
    let Some(accounts) = &database.accounts else { return Ok(Account::None) };
    let found = accounts.find(&database.cluster, name).await?;
    if found.is_none() {
        database.guests.forget(name);
    }
    Ok(found.map_or(Account::None, Account::Guest))
}

/// It could not prove who it is.
pub(super) fn refused(proxy: &Proxy, applicant: &Applicant<'_>) -> Failure {
    let Applicant { user, database } = applicant;
    proxy.logins.refused.increment(1);
    tracing::warn!(user, database, "login refused");
    Failure::fatal("28P01", format!("password authentication failed for user \"{user}\""))
}

/// What the client proves with that it knows the password, if it does.
pub(super) async fn prove(client: &mut Client, verifier: &Verifier) -> Result<Option<Proof>, End> {
    let offered = match client.end_point() {
        Some(_) => &[auth::PLUS, auth::PLAIN][..],
        None => &[auth::PLAIN],
    };
    encode::sasl(&mut client.outbox, offered);
    client.flush().await;
    scram(client, verifier).await
}

async fn scram(client: &mut Client, verifier: &Verifier) -> Result<Option<Proof>, End> {
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
            Ok(Some(proof))
        }
        Err(ScramError::WrongPassword) => Ok(None),
        Err(error) => Err(malformed(error).into()),
    }
}
