//! From an accepted socket to a session that is ready for its first statement.

use std::sync::Arc;

use bytes::Buf;

use super::cancel::Registered;
use super::client::Client;
use super::console::Console;
use super::failure::{End, Failure};
use super::greeting::arrival;
use super::halt::unless_ended;
use super::login::log_in;
use super::proxy::{Admitted, Database, Proxy, User};
use super::replication::{self, Replication};
use super::roster::{Entry, Who};
use super::serve::Session;
use crate::wire::{Startup, StartupParameters, TransactionStatus, encode, startup_packet};

/// The newest minor version of protocol 3 spoken here.
const MINOR: u16 = 2;
/// Bytes of secret in a cancellation key, in protocol 3.0 and from 3.2 on.
const SECRET: [usize; 2] = [4, 32];

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
    let address = client.address().to_string().into();
    let settings = arrival.settings.clone();
    let mut session =
        Box::new(Session::new(Arc::clone(proxy), database, user, settings, registered, admitted));
    session.told = arrival.told.clone();
    session.address = address;
    session.lock_from_start()?;
    client.outbox.extend_from_slice(&arrival.messages);
    encode::backend_key(&mut client.outbox, &session.registered.key);
    encode::ready(&mut client.outbox, TransactionStatus::Idle);
    Ok(session)
}
