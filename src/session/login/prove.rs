//! The exchanges in which a client proves that it knows a password.

use crate::auth::{self, Binding, Challenge, Md5Hash, Proof, ScramError, Verifier, same};
use crate::session::client::Client;
use crate::session::failure::{End, Failure};
use crate::wire::{encode, password_text, sasl_initial};

/// What the client proves with that it knows the password, if it does.
pub(in crate::session) async fn prove(
    client: &mut Client,
    verifier: &Verifier,
) -> Result<Option<Proof>, End> {
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
            // Sent with what follows, once it is settled that the client may know.
            encode::sasl_final(&mut client.outbox, proof.answer.as_bytes());
            Ok(Some(proof))
        }
        Err(ScramError::WrongPassword) => Ok(None),
        Err(error) => Err(malformed(error).into()),
    }
}

/// Whether the client proves by MD5 that it knows the password.
pub(super) async fn prove_md5(client: &mut Client, hash: &Md5Hash) -> Result<bool, End> {
    let salt = rand::random();
    encode::authentication_md5(&mut client.outbox, salt);
    client.flush().await;
    let message = client.password().await?;
    let answer = password_text(&message)?;
    Ok(same(hash.answer(salt).as_bytes(), answer))
}
