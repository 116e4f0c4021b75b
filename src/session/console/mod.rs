//! The console: a database of the proxy's own, in which administrators say what is to be done.
//!
//! Owns who may do that, and the protocol as far as it takes. It works when no node does, and when a database has all
//! the clients it may have. What can be said is in `command`, what is done in `run`, what is shown in `tables`.

mod answer;
mod cell;
mod command;
mod extended;
mod inventory;
mod run;
mod tables;

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;

use bytes::Buf;

use self::answer::{Answer, Refusal};
use self::command::{Command, parse};
use self::extended::Desk;
use super::cancel::Registered;
use super::client::Client;
use super::failure::{End, Failure};
use super::halt::{ended, killed};
use super::handshake::register;
use super::login::{Applicant, Audit, Demand, Denial, Known, authenticate};
use super::proxy::Proxy;
use super::roster::{Entry, Who};
use crate::auth::hba::Method;
use crate::auth::{Salts, Verifier};
use crate::config::{CONSOLE_NAMES, ConsoleUser};
use crate::stats::LoginRefusal;
use crate::wire::{
    self, Frontend, ResultFormats, StartupParameters, TransactionStatus, encode, frontend_message, query_text,
};

/// The longest message that is taken, in bytes.
const LONGEST: usize = 64 * 1024;

/// What clients are told of the console at login. Drivers ask for no more.
const REPORTED: [(&str, &str); 7] = [
    ("server_version", concat!(env!("CARGO_PKG_VERSION"), "/tidegate")),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("TimeZone", "GMT"),
    ("standard_conforming_strings", "on"),
    ("integer_datetimes", "on"),
];

/// Those who may use the console, by name.
#[derive(Debug)]
pub(super) struct Administrators(HashMap<String, Administrator>);

#[derive(Debug)]
struct Administrator {
    verifier: Verifier,
    /// Whether the password is the console's own, and so good from everywhere.
    is_own: bool,
}

impl Administrators {
    /// Deriving keys takes milliseconds each.
    pub(super) fn new(users: &[ConsoleUser], salts: &Salts) -> Self {
        let administrator = |user: &ConsoleUser| {
            let password = user.password.expose();
            let read = Verifier::read(password);
            let verifier = read.unwrap_or_else(|| salts.verifier(&user.name, password));
            (user.name.clone(), Administrator { verifier, is_own: user.is_own })
        };
        Self(users.iter().map(administrator).collect())
    }
}

/// Somebody at the console.
pub(super) struct Console {
    proxy: Arc<Proxy>,
    /// By which name it was asked for.
    name: Box<str>,
    registered: Registered,
    desk: Desk,
}

/// Why a command has no answer.
enum Stopped {
    Refused(Refusal),
    /// The session is over.
    Ended(End),
}

impl From<Refusal> for Stopped {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl Console {
    /// Whether a client wants the console. A database that is configured under its name goes before it.
    pub(super) fn is_asked_for(proxy: &Proxy, parameters: &StartupParameters) -> bool {
        let wanted = parameters.get("database").unwrap_or_default();
        CONSOLE_NAMES.contains(&wanted) && !proxy.databases().contains_key(wanted)
    }

    /// Lets somebody in who may use it. Who may not takes the same steps, and learns that only when proven.
    pub(super) async fn log_in(
        proxy: &Arc<Proxy>,
        client: &mut Client,
        parameters: &StartupParameters,
    ) -> Result<Box<Self>, End> {
        let applicant = Applicant::of(parameters)?;
        let name = applicant.user;
        let mut audit = Audit::new(proxy, client, &applicant);
        let identified = identify(proxy, client, &applicant, &mut audit).await;
        identified.map_err(|denial| denial.into_end(&audit))?;
        audit.succeeded();
        let registered = register(proxy, parameters);
        let entry = Entry::new(Who::Console(name.into()), client, parameters);
        entry.log(&registered);
        registered.slot.introduce(entry);
        encode::authentication_ok(&mut client.outbox);
        for (name, value) in REPORTED {
            encode::parameter_status(&mut client.outbox, name, value);
        }
        encode::backend_key(&mut client.outbox, &registered.key);
        encode::ready(&mut client.outbox, TransactionStatus::Idle);
        let name = parameters.get("database").unwrap_or_default().into();
        Ok(Box::new(Self { proxy: Arc::clone(proxy), name, registered, desk: Desk::default() }))
    }

    /// Serves the client until it goes, or is sent away.
    pub(super) async fn serve(mut self: Box<Self>, client: &mut Client) -> End {
        loop {
            match self.take(client).await {
                Ok(true) => {}
                Ok(false) => {
                    let slot = &self.registered.slot;
                    let more = async {
                        client.flush().await;
                        client.fill().await
                    };
                    tokio::select! {
                        filled = more => if filled.is_err() { return End::Client },
                        () = slot.ends(false) => return ended(slot).into(),
                    }
                }
                Err(end) => return end,
            }
        }
    }

    /// Deals with one message. False when more must arrive first.
    async fn take(&mut self, client: &mut Client) -> Result<bool, End> {
        let Some(header) = frontend_message(&client.inbox)? else { return Ok(false) };
        if header.len > LONGEST {
            let text = format!("a message of {} bytes is too long for the console", header.len);
            return Err(Failure::fatal("54000", text).into());
        }
        if header.len > client.inbox.len() {
            return Ok(false);
        }
        let mut message = client.inbox.split_to(header.len);
        message.advance(wire::HEADER_LEN);
        match header.kind {
            Frontend::Terminate => return Err(End::Client),
            Frontend::Password => return Err(wire::WireError::Malformed("password").into()),
            Frontend::Query => {
                self.desk.resume();
                match self.query(client, query_text(&message)?).await {
                    Ok(()) => {}
                    Err(Stopped::Refused(refusal)) => refusal.write(&mut client.outbox),
                    Err(Stopped::Ended(end)) => return Err(end),
                }
                encode::ready(&mut client.outbox, TransactionStatus::Idle);
            }
            Frontend::FunctionCall => {
                let refusal = Refusal::new("0A000", "there are no functions at the console");
                refusal.write(&mut client.outbox);
                encode::ready(&mut client.outbox, TransactionStatus::Idle);
            }
            // As PostgreSQL does when there is no COPY.
            Frontend::CopyData | Frontend::CopyDone | Frontend::CopyFail => {}
            kind => self.extended(client, kind, &message).await?,
        }
        Ok(true)
    }

    /// A simple query: all of it is understood before anything is done.
    async fn query(&self, client: &mut Client, text: &[u8]) -> Result<(), Stopped> {
        let commands = parse(readable(text)?).map_err(Refusal::from)?;
        if commands.is_empty() {
            encode::empty_query(&mut client.outbox);
        }
        for command in &commands {
            let answer = self.run(client, command).await?;
            let columns = answer::columns(command);
            let as_text = ResultFormats::default();
            if !columns.is_empty() {
                answer::describe(&mut client.outbox, &columns, &as_text);
            }
            answer::write(&mut client.outbox, &answer, command, &as_text);
        }
        Ok(())
    }

    /// Carries out a command, as long as whoever wants it is there and does not cancel it.
    async fn run(&self, client: &mut Client, command: &Command) -> Result<Answer, Stopped> {
        let slot = &self.registered.slot;
        let cancelled = slot.begins_command();
        if command.is_act() {
            tracing::warn!(client = self.registered.key.pid, ?command, "said at the console");
        }
        let outcome = tokio::select! {
            biased;
            answer = run::run(&self.proxy, &self.name, command) => answer.map_err(Stopped::from),
            () = cancelled.notified() => {
                Err(Refusal::new("57014", "canceling statement due to user request").into())
            }
            () = poll_fn(|cx| client.poll_left(cx, LONGEST)) => Err(Stopped::Ended(End::Client)),
            () = slot.killed() => Err(Stopped::Ended(killed().into())),
        };
        slot.free().await;
        outcome
    }
}

/// Has somebody prove who it is, which rules cannot waive, and that it may use the console.
async fn identify(
    proxy: &Proxy,
    client: &mut Client,
    applicant: &Applicant<'_>,
    audit: &mut Audit<'_>,
) -> Result<(), Denial> {
    let mut demand = match &proxy.admission.terms().access {
        Some(access) => Demand::by_rules(access, client, applicant)?,
        None => Demand::only(Method::Scram),
    };
    if matches!(demand.method, Method::Trust | Method::Md5) {
        demand.method = Method::Scram;
    }
    audit.demands(&demand);
    let name = applicant.user;
    let administrators = Arc::clone(&proxy.administrators.load());
    let allowed = administrators.0.get(name);
    let user = proxy.databases().values().find_map(|database| database.users.get(name).cloned());
    let of_user = || user.as_ref().and_then(|user| user.verifier.as_ref());
    let verifier = allowed.map(|allowed| &allowed.verifier).or_else(of_user);
    authenticate(proxy, client, &demand, applicant, Known { verifier, md5: None }).await?;
    let refused = |failure| Err(Denial::Refused(LoginRefusal::Unknown, failure));
    if let Some(allowed) = allowed {
        if allowed.is_own || client.address().is_near() {
            return Ok(());
        }
        let text = "the console takes no password of a database from other machines";
        let hint = "Give it one of its own, with the setting console_password_file, or connect from the proxy's machine.";
        return refused(Failure::fatal("28000", text).with_hint(hint));
    }
    let text = format!("user \"{name}\" may not use the console");
    let hint = "Those who may are listed in the setting console_users.";
    refused(Failure::fatal("42501", text).with_hint(hint))
}

/// The text of a command.
fn readable(text: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(text)
        .map_err(|_| Refusal::new("22021", "invalid byte sequence for encoding \"UTF8\""))
}
