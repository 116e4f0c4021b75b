//! From a client's first byte to its start-up packet, in TLS or not.
//!
//! ```text
//!            ┌─ GSSENCRequest ─▶ 'N' ─┐
//!   plain ───┼─ SSLRequest ────▶ 'N' ─┴─▶ plain, each of them once
//!     │      └─ SSLRequest ────▶ 'S' ─▶ TLS ──┐
//!     └──── a ClientHello (direct) ───▶ TLS ──┴─▶ start-up packet, or a cancel request; neither request again
//! ```
//!
//! Nothing that came before the answer to a request for encryption is taken as if it had come after it (CVE-2021-23222).
//! <https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-SSL>

use bytes::Buf;

use super::client::Client;
use super::encrypt::{Opening, encrypt};
use super::failure::{End, Failure};
use super::login::Applicant;
use super::proxy::Proxy;
use crate::net::Peer;
use crate::wire::{CancelKey, Startup, StartupParameters, encode, startup_packet};

/// What a client wants.
pub(super) enum Wish {
    /// To cancel what another one runs.
    Cancel(CancelKey),
    /// To log in.
    Session(StartupParameters),
}

/// Which requests for encryption are still taken.
struct Asks {
    ssl: Ask,
    gss: Ask,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Open,
    Spent,
}

impl Ask {
    /// Takes a request, the first one only.
    fn spend(&mut self) -> Result<(), Failure> {
        match std::mem::replace(self, Self::Spent) {
            Self::Open => Ok(()),
            Self::Spent => {
                let text = "unexpected request for encryption: it was asked for before, or is there already";
                Err(Failure::fatal("08P01", text))
            }
        }
    }
}

/// What the client wants. Whether it is encrypted when it says so is up to it, and to the settings.
pub(super) async fn begin(proxy: &Proxy, client: &mut Client) -> Result<Wish, End> {
    let encryption = proxy.encryption();
    let acceptor = encryption.acceptor();
    let mut asks = Asks { ssl: Ask::Open, gss: Ask::Open };
    if let Some(acceptor) = acceptor
        && client.begins_tls().await?
    {
        encrypt(proxy, client, acceptor, Opening::Direct).await?;
        asks = Asks { ssl: Ask::Spent, gss: Ask::Spent };
    }
    loop {
        match startup(client).await? {
            Startup::Ssl => {
                asks.ssl.spend()?;
                refuse_stuffing(client)?;
                match acceptor.filter(|_| client.may_be_encrypted()) {
                    Some(acceptor) => {
                        encode::encryption_granted(&mut client.outbox);
                        client.flush().await;
                        encrypt(proxy, client, acceptor, Opening::Asked).await?;
                        asks.gss = Ask::Spent;
                    }
                    None => refuse(client).await,
                }
            }
            Startup::GssEnc => {
                asks.gss.spend()?;
                refuse_stuffing(client)?;
                refuse(client).await;
            }
            // Drivers send it without encryption, though their session has it; the key in it is good for nothing else.
            Startup::Cancel(key) => return Ok(Wish::Cancel(key)),
            Startup::Session(parameters) => {
                if encryption.is_required() {
                    require(client, &parameters)?;
                }
                return Ok(Wish::Session(parameters));
            }
        }
    }
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

/// Whatever came before the answer was not encrypted, and may be somebody else's.
fn refuse_stuffing(client: &Client) -> Result<(), Failure> {
    if client.inbox.is_empty() {
        return Ok(());
    }
    Err(Failure::fatal("08P01", "received unencrypted data after a request for encryption"))
}

async fn refuse(client: &mut Client) {
    encode::encryption_refused(&mut client.outbox);
    client.flush().await;
}

/// A client that comes over a network must be encrypted.
fn require(client: &Client, parameters: &StartupParameters) -> Result<(), Failure> {
    let Peer::Ip(address) = client.address() else { return Ok(()) };
    if client.is_encrypted() {
        return Ok(());
    }
    let Applicant { user, database, .. } = Applicant::of(parameters)?;
    let text = format!(
        "connection from host \"{address}\", user \"{user}\", database \"{database}\" is refused: no encryption"
    );
    Err(Failure::fatal("28000", text)
        .with_hint("This proxy requires TLS (ssl = require): connect with sslmode=require, or stricter."))
}
