//! From an accepted socket to a session that is ready for its first statement.

use std::sync::Arc;

use bytes::Buf;

use super::cancel::Registered;
use super::client::Client;
use super::console::Console;
use super::failure::{End, Failure};
use super::greeting::arrival;
use super::halt::unless_ended;
use super::proxy::{Admitted, Database, Proxy, User};
use super::replication::{self, Replication};
use super::roster::{Entry, Who};
use super::scram::Challenge;
use super::serve::Session;
use crate::wire::{Startup, StartupParameters, TransactionStatus, encode, sasl_initial, startup_packet};

/// The newest minor version of protocol 3 spoken here.
const MINOR: u16 = 2;
/// Bytes of secret in a cancellation key, in protocol 3.0 and from 3.2 on.
const SECRET: [usize; 2] = [4, 32];
const SCRAM_SHA_256: &str = "SCRAM-SHA-256";

/// What a client is after the handshake.
pub(super) enum Greeted {
    /// It was only there to cancel another's statement.
    Canceller,
    Session(Box<Session>),
    Replication(Box<Replication>),
    Console(Box<Console>),
}

/// Greets a client.
pub(super) async fn greet(proxy: &Arc<Proxy>, client: &mut Client) -> Result<Greeted, End> {
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
                client.flush().await;
            }
            Startup::Cancel(key) => {
                proxy.deal_with_cancel(key).await;
                return Ok(Greeted::Canceller);
            }
            Startup::Session(parameters) => break parameters,
        }
    };
    negotiate(client, &parameters);
    let kind = replication::Kind::asked(&parameters)?;
    if kind.is_none() && Console::is_asked_for(proxy, &parameters) {
        return Box::pin(Console::log_in(proxy, client, &parameters)).await.map(Greeted::Console);
    }
    let (database, user) = log_in(proxy, client, &parameters, kind).await?;
    if kind.is_some() {
        let (registered, admitted) = admit(proxy, client, &parameters, (&database, &user))?;
        unless_ended(&registered.slot, database.gate.passed()).await?;
        let of = (&database, &*user);
        let opened = Replication::open(proxy, client, &parameters, of, (registered, admitted)).await?;
        return Ok(Greeted::Replication(Box::new(opened)));
    }
    ready(proxy, client, &parameters, database, user).await.map(Greeted::Session)
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
    kind: Option<replication::Kind>,
) -> Result<(Arc<Database>, Arc<User>), End> {
    let name = parameters.get("user").filter(|n| !n.is_empty());
    let name =
        name.ok_or_else(|| Failure::fatal("28000", "no PostgreSQL user name specified in startup packet"))?;
    let wanted = parameters.get("database").filter(|d| !d.is_empty()).unwrap_or(name);
    let databases = Arc::clone(&proxy.databases());
    let database = match kind {
        Some(replication::Kind::Physical) => replication::database(&databases, parameters, name),
        _ => databases.get(wanted).cloned().ok_or_else(|| Failure::no_database(wanted)),
    };
    // A user of any database can prove who it is, and only then learns that this database is not there.
    let user = match &database {
        Ok(database) => database.users.get(name).cloned(),
        Err(_) => databases.values().find_map(|d| d.users.get(name).cloned()),
    };
    let verifier = user.as_ref().map_or(Some(&proxy.mock), |u| u.verifier.as_ref());
    let mut proven = true;
    if let Some(verifier) = verifier {
        proven = prove(client, verifier).await? && user.is_some();
    }
    let counter = if proven { &proxy.logins.ok } else { &proxy.logins.refused };
    counter.increment(1);
    if !proven {
        return Err(refused(name, wanted).into());
    }
    let database = database?;
    let user = user.ok_or_else(|| Failure::no_database(wanted))?;
    Ok((database, user))
}

/// It could not prove who it is.
pub(super) fn refused(user: &str, database: &str) -> Failure {
    tracing::warn!(user, database, "login refused");
    Failure::fatal("28P01", format!("password authentication failed for user \"{user}\""))
}

/// Room for one more client of the database, and its key.
fn admit(
    proxy: &Proxy,
    client: &Client,
    parameters: &StartupParameters,
    (database, user): (&Arc<Database>, &Arc<User>),
) -> Result<(Registered, Admitted), Failure> {
    if database.gate.is_disabled() {
        let text = format!("database \"{}\" is disabled: it takes no new clients", database.settings.name);
        return Err(Failure::fatal("57P03", text)
            .with_hint("An administrator has said DISABLE in the proxy's console; ENABLE ends it."));
    }
    let admitted = Admitted::new(database).ok_or_else(|| {
        let limit = database.settings.max_clients;
        Failure::fatal("53300", format!("sorry, too many clients already (tidegate_max_clients={limit})"))
    })?;
    let registered = register(proxy, parameters);
    let who = Who::Client(Arc::clone(database), Arc::clone(user));
    registered.slot.introduce(Entry::new(who, client.address(), parameters));
    Ok((registered, admitted))
}

/// A key to cancel what the client runs.
pub(super) fn register(proxy: &Proxy, parameters: &StartupParameters) -> Registered {
    proxy.cancels.register(SECRET[usize::from(parameters.minor >= 2)])
}

/// Whether the client proves that it knows the password.
pub(super) async fn prove(client: &mut Client, verifier: &super::scram::Verifier) -> Result<bool, End> {
    encode::sasl(&mut client.outbox, SCRAM_SHA_256);
    client.flush().await;
    scram(client, verifier).await
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
    client.flush().await;
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
) -> Result<Box<Session>, End> {
    let (registered, admitted) = admit(proxy, client, parameters, (&database, &user))?;
    let arriving = Box::pin(arrival(&database, &user, &parameters.values));
    let arrival = unless_ended(&registered.slot, arriving).await??;
    if arrival.settings.steering.async_commit {
        database.cluster.commits_asynchronously();
    }
    client.outbox.extend_from_slice(&arrival.messages);
    encode::backend_key(&mut client.outbox, &registered.key);
    encode::ready(&mut client.outbox, TransactionStatus::Idle);
    let address = client.address().to_string().into();
    let settings = arrival.settings.clone();
    let mut session =
        Box::new(Session::new(Arc::clone(proxy), database, user, settings, registered, admitted));
    session.told = arrival.told.clone();
    session.address = address;
    Ok(session)
}
