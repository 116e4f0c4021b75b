//! Who the client is, proven.
//!
//! What is demanded of it is in `demand`, how it proves a password in `prove` and anything else in `identity`; `audit` keeps
//! the books. A stranger must not find out who is a user here: unknown users are asked for the same, in the same steps and
//! with the same work, and are told the same in the end (PostgreSQL's mock authentication). Which databases there are is
//! told only to somebody who has proven to be somebody.

mod audit;
mod demand;
mod identity;
mod prove;

use std::sync::Arc;
use std::time::Instant;

pub(super) use audit::{Audit, one_line};
pub(super) use demand::Demand;
use prove::{prove, prove_md5};

use super::admission::{Source, Told};
use super::client::Client;
use super::failure::{End, Failure};
use super::guests::Account;
use super::proxy::{Database, Databases, Proxy};
use super::replication;
use super::user::User;
use crate::auth::hba::Method;
use crate::auth::{IdentMaps, Md5Hash, Proof, Stored, Verifier};
use crate::config::ClientAuth;
use crate::stats::LoginRefusal;
use crate::wire::StartupParameters;

/// Who a client says it is, and what it wants.
pub(super) struct Applicant<'a> {
    pub(super) user: &'a str,
    /// The database's name, as the client said it, or the user's where it said none.
    pub(super) database: &'a str,
    /// It wants to replicate the whole cluster, whatever database it has named.
    pub(super) is_physical: bool,
}

impl<'a> Applicant<'a> {
    pub(super) fn of(parameters: &'a StartupParameters) -> Result<Self, Failure> {
        let user = parameters.get("user").filter(|n| !n.is_empty());
        let user = user
            .ok_or_else(|| Failure::fatal("28000", "no PostgreSQL user name specified in startup packet"))?;
        let database = parameters.get("database").filter(|d| !d.is_empty()).unwrap_or(user);
        Ok(Self { user, database, is_physical: false })
    }
}

/// Why somebody is not let in.
pub(super) enum Denial {
    Refused(LoginRefusal, Failure),
    /// It has gone, or what it said was no login.
    Ended(End),
}

impl From<End> for Denial {
    fn from(end: End) -> Self {
        Self::Ended(end)
    }
}

impl Denial {
    /// Counted and logged, for the client.
    pub(super) fn into_end(self, audit: &Audit<'_>) -> End {
        match self {
            Self::Refused(refusal, failure) => {
                audit.refused(refusal);
                failure.into()
            }
            Self::Ended(end) => {
                if matches!(end, End::Failure(_)) {
                    audit.refused(LoginRefusal::Protocol);
                }
                end
            }
        }
    }
}

/// What is known of the password of whoever a client says it is. Nothing, where there is no such user.
#[derive(Clone, Copy, Default)]
pub(super) struct Known<'a> {
    pub(super) verifier: Option<&'a Verifier>,
    pub(super) md5: Option<&'a Md5Hash>,
}

/// Who the client is, proven. Unknown users take the same steps as known ones, and fail at the end.
pub(super) async fn log_in(
    proxy: &Proxy,
    client: &mut Client,
    parameters: &StartupParameters,
    kind: Option<replication::Kind>,
) -> Result<(Arc<Database>, Arc<User>), End> {
    let is_physical = kind == Some(replication::Kind::Physical);
    let applicant = Applicant { is_physical, ..Applicant::of(parameters)? };
    let mut audit = Audit::new(proxy, client, &applicant);
    let databases = Arc::clone(&proxy.databases());
    let database = if is_physical {
        replication::database(&databases, parameters, applicant.user)
    } else {
        databases.get(applicant.database).cloned().ok_or_else(|| Failure::no_database(applicant.database))
    };
    let client_auth = client_auth(&databases, database.as_ref().ok(), applicant.user);
    let outcome = async {
        let mut demand = demanded(proxy, client, &applicant, client_auth)?;
        let unavailable = |failure| Denial::Refused(LoginRefusal::Lookup, failure);
        let account = account(&databases, database.as_ref().ok(), applicant.user).await;
        let account = account.map_err(unavailable)?;
        if !matches!(account, Account::Configured(_)) && demand.method == Method::Trust {
            // As if there were somebody with a password; and a guest's is what logs in to the servers.
            demand.method = Method::Scram;
        }
        audit.demands(&demand);
        let proof = authenticate(proxy, client, &demand, &applicant, account.known()).await;
        if let (Err(Denial::Refused(..)), Account::Guest(stored), Ok(database)) =
            (&proof, &account, &database)
        {
            unproven(database, stored, demand.method, applicant.user);
        }
        let (proof, unknown) = (proof?, |failure| Denial::Refused(LoginRefusal::Unknown, failure));
        let database = database.map_err(unknown)?;
        let user = welcome(&database, &account, applicant.user, proof).map_err(unknown)?;
        Ok((database, user))
    };
    match outcome.await {
        Ok(proven) => {
            audit.succeeded();
            Ok(proven)
        }
        Err(denial) => Err(Denial::into_end(denial, &audit)),
    }
}

/// What is demanded of a client: by the rules where there are some, otherwise by the database.
pub(super) fn demanded(
    proxy: &Proxy,
    client: &Client,
    applicant: &Applicant<'_>,
    client_auth: ClientAuth,
) -> Result<Demand, Denial> {
    match &proxy.admission.terms().access {
        Some(access) => Demand::by_rules(access, client, applicant),
        None => Ok(Demand::by(client_auth)),
    }
}

/// What is asked for where no rules are. One of any database can prove who it is, and only then learns that the one it wants is
/// not there.
fn client_auth(databases: &Databases, database: Option<&Arc<Database>>, name: &str) -> ClientAuth {
    let has_user = || databases.values().find(|database| database.users.contains_key(name));
    database.or_else(has_user).map_or(ClientAuth::Scram, |database| database.settings.client_auth)
}

/// The user of this name.
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

/// Somebody could not prove to be this user, whom the servers know.
fn unproven(database: &Database, stored: &Stored, method: Method, user: &str) {
    database.accounts.iter().for_each(|accounts| accounts.doubt(user));
    if matches!(stored, Stored::Md5(_)) && method == Method::Scram {
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
        (Account::Guest(stored), proof) => {
            database.guests.admit(database, name, stored, proof.as_ref().map(|proof| &proof.client_key))
        }
        (Account::None, _) => Err(Failure::fatal("28000", format!("role \"{name}\" does not exist"))),
    }
}

/// Has the client prove what is demanded. Returns what it has shown of its password, if that was SCRAM.
pub(super) async fn authenticate(
    proxy: &Proxy,
    client: &mut Client,
    demand: &Demand,
    applicant: &Applicant<'_>,
    known: Known<'_>,
) -> Result<Option<Proof>, Denial> {
    if demand.needs_certificate() {
        identity::has_certificate(client)?;
    }
    let terms = proxy.admission.terms();
    let none = IdentMaps::default();
    let maps = terms.access.as_ref().map_or(&none, |access| &*access.maps);
    let proof = match demand.method {
        Method::Trust | Method::Certificate => None,
        Method::Peer => {
            identity::by_peer(client, demand, maps, applicant).await?;
            None
        }
        Method::Scram | Method::Md5 => by_password(proxy, client, demand.method, applicant, known).await?,
        Method::Reject => return Err(no_password(applicant)),
    };
    if demand.names_user() {
        identity::by_certificate(client, demand, maps, applicant)?;
    }
    Ok(proof)
}

/// The client proves that it knows the password of whoever it says it is.
async fn by_password(
    proxy: &Proxy,
    client: &mut Client,
    method: Method,
    applicant: &Applicant<'_>,
    known: Known<'_>,
) -> Result<Option<Proof>, Denial> {
    // Made for known users too, so that these take no less time.
    let (mock, mock_md5) = (proxy.salts.mock(applicant.user), proxy.salts.mock_md5(applicant.user));
    let is_anybody = known.verifier.is_some() || known.md5.is_some();
    // Only a verifier is known of some: then PostgreSQL, too, does SCRAM where md5 is asked for.
    let by_md5 = method == Method::Md5 && (known.md5.is_some() || !is_anybody);
    let (is_right, proof) = if by_md5 {
        (prove_md5(client, known.md5.unwrap_or(&mock_md5)).await?, None)
    } else {
        let proof = prove(client, known.verifier.unwrap_or(&mock)).await?;
        (proof.is_some() && known.verifier.is_some(), proof)
    };
    let is_right = is_right && is_anybody;
    let answer = std::mem::take(&mut client.outbox);
    when_told(proxy, client, applicant.user, is_right).await?;
    if !is_right {
        return Err(no_password(applicant));
    }
    client.outbox = answer;
    Ok(proof)
}

/// Returns when the client may be told whether its proof was right.
async fn when_told(proxy: &Proxy, client: &Client, user: &str, is_right: bool) -> Result<(), Denial> {
    let terms = proxy.admission.terms();
    let (limits, from) = (terms.settings.failures.as_ref(), (Source::of(client.address()), user));
    let longest = terms.settings.authentication_timeout / 2;
    match proxy.admission.failures.judge(limits, from, is_right, (Instant::now(), longest)) {
        Told::Now => Ok(()),
        Told::At(instant) => {
            tokio::time::sleep_until(instant.into()).await;
            proxy.admission.failures.tell(limits, from, is_right, Instant::now());
            Ok(())
        }
        Told::Never => {
            let text = format!("too many failed logins from address \"{}\"", client.address());
            let failure = Failure::fatal("53300", text)
                .with_hint("Others wait to be answered already; try again later. See auth_failure_limit.");
            Err(Denial::Refused(LoginRefusal::Throttled, failure))
        }
    }
}

fn no_password(applicant: &Applicant<'_>) -> Denial {
    let text = format!("password authentication failed for user \"{}\"", applicant.user);
    Denial::Refused(LoginRefusal::Password, Failure::fatal("28P01", text).with_routine("auth_failed"))
}
