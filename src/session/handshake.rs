//! From a client's start-up packet to a session that is ready for its first statement.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::admission::{Crowded, Place};
use super::cancel::Registered;
use super::client::Client;
use super::console::Console;
use super::failure::{End, Failure};
use super::greeting::arrival;
use super::halt::unless_ended;
use super::login::{Applicant, Audit, log_in};
use super::negotiation::{Wish, begin};
use super::proxy::{Admitted, Database, Full, Proxy};
use super::replication::{self, Replication};
use super::roster::{Entry, Who};
use super::serve::Session;
use super::user::User;
use crate::stats::LoginRefusal;
use crate::wire::{StartupParameters, TransactionStatus, encode};

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

/// Who a client is, and what it wants.
enum Identified {
    Canceller,
    Console(Box<Console>),
    User(StartupParameters, Option<replication::Kind>, Arc<Database>, Arc<User>),
}

/// Greets a client. As long as it has not proven who it is, it has only so much time, and makes room for others.
pub(super) async fn greet(
    proxy: &Arc<Proxy>,
    client: &mut Client,
    place: Place,
    limit: Duration,
) -> Result<Greeted, End> {
    let identified = tokio::select! {
        identified = timeout(limit, identify(proxy, client, place.crowded)) => identified.map_err(|_| {
            Failure::fatal("57014", "canceling authentication due to timeout").with_routine("ProcessInterrupts")
        }),
        () = place.must_go() => {
            let text = "too many connections that have not logged in (max_unauthenticated_clients)";
            Err(Failure::fatal("53300", text))
        }
    };
    drop(place);
    let identified = identified.inspect_err(|_| proxy.logins.refused(LoginRefusal::Timeout).increment(1))?;
    let (parameters, kind, database, user) = match identified? {
        Identified::Canceller => return Ok(Greeted::Canceller),
        Identified::Console(console) => return Ok(Greeted::Console(console)),
        Identified::User(parameters, kind, database, user) => (parameters, kind, database, user),
    };
    if kind.is_some() {
        let (registered, admitted) = admit(proxy, client, &parameters, (&database, &user))?;
        unless_ended(&registered.slot, database.gate.passed()).await?;
        let of = (&database, &*user);
        let opened = Replication::open(proxy, client, &parameters, of, (registered, admitted)).await?;
        return Ok(Greeted::Replication(Box::new(opened)));
    }
    ready(proxy, client, &parameters, database, user).await.map(Greeted::Session)
}

/// Finds out who the client is. `crowded`: it may only go to the console.
async fn identify(
    proxy: &Arc<Proxy>,
    client: &mut Client,
    crowded: Option<Crowded>,
) -> Result<Identified, End> {
    let parameters = match begin(proxy, client).await? {
        Wish::Session(parameters) => parameters,
        Wish::Cancel(key) => {
            proxy.deal_with_cancel(key).await;
            return Ok(Identified::Canceller);
        }
    };
    negotiate(client, &parameters);
    let kind = replication::Kind::asked(&parameters)?;
    if kind.is_none() && Console::is_asked_for(proxy, &parameters) {
        return Box::pin(Console::log_in(proxy, client, &parameters)).await.map(Identified::Console);
    }
    if let Some(crowded) = crowded {
        Audit::new(proxy, client, &Applicant::of(&parameters)?).refused(LoginRefusal::TooMany);
        return Err(crowded.failure(client.address()).into());
    }
    let (database, user) = log_in(proxy, client, &parameters, kind).await?;
    Ok(Identified::User(parameters, kind, database, user))
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
    let admitted = Admitted::new(database, user).map_err(|full| {
        let applicant = Applicant { user: &user.name, database: &database.settings.name, is_physical: false };
        Audit::new(proxy, client, &applicant).refused(LoginRefusal::TooMany);
        let text = match full {
            Full::Database(most) => format!("sorry, too many clients already (tidegate_max_clients={most})"),
            Full::User(most) => format!(
                "too many connections for role \"{}\" (tidegate_max_user_client_connections={most})",
                user.name
            ),
        };
        Failure::fatal("53300", text)
    })?;
    let registered = register(proxy, parameters);
    let who = Who::Client(Arc::clone(database), Arc::clone(user));
    let entry = Entry::new(who, client, parameters);
    entry.log(&registered);
    registered.slot.introduce(entry);
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
