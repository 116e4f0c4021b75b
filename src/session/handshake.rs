//! From an accepted socket to a session that is ready for its first statement.

use std::sync::Arc;

use bytes::Buf;

use super::client::Client;
use super::failure::{End, Failure};
use super::greeting::greeting;
use super::proxy::{Admitted, Database, Proxy, User};
use super::scram::Challenge;
use super::serve::Session;
use super::settings::SessionSettings;
use crate::wire::{Startup, StartupParameters, TransactionStatus, encode, sasl_initial, startup_packet};

/// The newest minor version of protocol 3 spoken here.
const MINOR: u16 = 2;
/// Bytes of secret in a cancellation key, in protocol 3.0 and from 3.2 on.
const SECRET: [usize; 2] = [4, 32];
const SCRAM_SHA_256: &str = "SCRAM-SHA-256";

/// Greets a client: `None` when the connection was only there to cancel another's statement.
pub(super) async fn greet(proxy: &Arc<Proxy>, client: &mut Client) -> Result<Option<Session>, End> {
    let parameters = loop {
        match startup(client).await? {
            Startup::Ssl | Startup::GssEnc => {
                // Whatever came before the answer was not encrypted and must not be taken as if it were.
                if !client.inbox.is_empty() {
                    return Err(Failure::fatal(
                        "08P01",
                        "received unencrypted data after a request for encryption",
                    )
                    .into());
                }
                encode::encryption_refused(&mut client.outbox);
                client.flush().await?;
            }
            Startup::Cancel(key) => {
                proxy.cancels.cancel(&key).await;
                return Ok(None);
            }
            Startup::Session(parameters) => break parameters,
        }
    };
    negotiate(client, &parameters);
    let (database, user) = log_in(proxy, client, &parameters).await?;
    ready(proxy, client, &parameters, database, user).await.map(Some)
}

async fn startup(client: &mut Client) -> Result<Startup, End> {
    loop {
        if let Some((packet, len)) = startup_packet(&client.inbox)? {
            client.inbox.advance(len);
            return Ok(packet);
        }
        client.fill().await?;
    }
}

/// A newer minor version or an option not known is answered with what is spoken here; the client decides.
fn negotiate(client: &mut Client, parameters: &StartupParameters) {
    if parameters.minor > MINOR || !parameters.options.is_empty() {
        encode::negotiate(&mut client.outbox, parameters.minor.min(MINOR), &parameters.options);
    }
}

/// Who the client is, proven. Unknown users take the same steps as known ones, and fail at the end.
async fn log_in(
    proxy: &Proxy,
    client: &mut Client,
    parameters: &StartupParameters,
) -> Result<(Arc<Database>, Arc<User>), End> {
    let name = parameters.get("user").filter(|n| !n.is_empty());
    let name =
        name.ok_or_else(|| Failure::fatal("28000", "no PostgreSQL user name specified in startup packet"))?;
    if parameters.get("replication").is_some_and(|v| !matches!(v, "off" | "false" | "no" | "0")) {
        return Err(Failure::fatal("0A000", "replication connections do not pass through this proxy")
            .with_hint("Connect to the primary directly.")
            .into());
    }
    let wanted = parameters.get("database").filter(|d| !d.is_empty()).unwrap_or(name);
    let database = proxy.databases.get(wanted);
    // A user of any database can prove who it is, and only then learns that this database is not there.
    let user = match database {
        Some(database) => database.users.get(name),
        None => proxy.databases.values().find_map(|d| d.users.get(name)),
    };
    let verifier = user.map_or(Some(&proxy.mock), |u| u.verifier.as_ref());
    let mut proven = true;
    if let Some(verifier) = verifier {
        encode::sasl(&mut client.outbox, SCRAM_SHA_256);
        client.flush().await?;
        proven = scram(client, verifier).await? && user.is_some();
    }
    let outcome = if proven { "ok" } else { "refused" };
    proxy.stats.counter("tidegate_logins_total", &[("outcome", outcome)]).increment(1);
    if !proven {
        tracing::warn!(user = name, database = wanted, "login refused");
        return Err(
            Failure::fatal("28P01", format!("password authentication failed for user \"{name}\"")).into()
        );
    }
    match (database, user) {
        (Some(database), Some(user)) => Ok((Arc::clone(database), Arc::clone(user))),
        _ => Err(Failure::fatal("3D000", format!("database \"{wanted}\" does not exist")).into()),
    }
}

async fn scram(client: &mut Client, verifier: &super::scram::Verifier) -> Result<bool, End> {
    let first = client.password().await?;
    let (mechanism, message) = sasl_initial(&first)?;
    if mechanism != SCRAM_SHA_256.as_bytes() {
        return Err(
            Failure::fatal("08P01", "client selected an invalid SASL authentication mechanism").into()
        );
    }
    let malformed = |e: super::scram::ScramError| Failure::fatal("08P01", e.to_string());
    let challenge = Challenge::new(verifier, message, rand::random()).map_err(malformed)?;
    encode::sasl_continue(&mut client.outbox, challenge.message.as_bytes());
    client.flush().await?;
    let last = client.password().await?;
    match challenge.check(verifier, &last) {
        Ok(proof) => {
            encode::sasl_final(&mut client.outbox, proof.as_bytes());
            Ok(true)
        }
        Err(super::scram::ScramError::WrongPassword) => Ok(false),
        Err(error) => Err(malformed(error).into()),
    }
}

/// Tells the client everything it must know before its first statement.
async fn ready(
    proxy: &Arc<Proxy>,
    client: &mut Client,
    parameters: &StartupParameters,
    database: Arc<Database>,
    user: Arc<User>,
) -> Result<Session, End> {
    let admitted = Admitted::new(&database).ok_or_else(|| {
        let limit = database.settings.max_clients;
        Failure::fatal("53300", format!("sorry, too many clients already (tidegate_max_clients={limit})"))
    })?;
    let mut settings =
        SessionSettings::at_startup(&parameters.values).map_err(|text| Failure::fatal("22023", text))?;
    let told = greeting(&database, &user, &settings).await.map_err(Failure::into_fatal)?;
    settings.reported(told.iter());
    if settings.steering.async_commit {
        database.cluster.commits_asynchronously();
    }
    encode::authentication_ok(&mut client.outbox);
    for (name, value) in told.iter() {
        encode::parameter_status(&mut client.outbox, name, value);
    }
    let registered = proxy.cancels.register(SECRET[usize::from(parameters.minor >= 2)]);
    encode::backend_key(&mut client.outbox, &registered.key);
    encode::ready(&mut client.outbox, TransactionStatus::Idle);
    let mut session = Session::new(Arc::clone(proxy), database, user, settings, registered, admitted);
    session.told = told;
    session.address = client.address().into();
    Ok(session)
}
