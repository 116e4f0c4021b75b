//! SCRAM from the server's side: an honest client with the password is let in, nobody without it is, whatever is made of the
//! messages, and nothing panics.
#![forbid(unsafe_code)]
#![no_main]

use hmac::{Hmac, KeyInit, Mac};
use libfuzzer_sys::fuzz_target;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use sha2::{Digest, Sha256};
use tidegate::auth::{Binding, Challenge, ScramError, Verifier};

/// The certificate's hash on this side.
const END_POINT: &[u8] = b"the end of this channel";
const SALT: &[u8] = b"a fixed salt";

fuzz_target!(|data: &[u8]| {
    let Some((head, data)) = data.split_first_chunk::<20>() else { return };
    let nonce: [u8; 18] = head[2..].try_into().unwrap();
    let (password, edits) = data.split_at(data.len().min(usize::from(head[1] % 24)));
    let password = String::from_utf8_lossy(password);
    let known = Known::of(&password);
    let binding = [Binding::None, Binding::Offered, Binding::EndPoint(END_POINT)][usize::from(head[0] % 3)];
    garbage(&known, binding, nonce, edits);
    match head[0] / 3 % 4 {
        0 => {
            let honest = exchange(&known, &password, binding, nonce, (&[], &[]));
            assert_eq!(honest, Ok(()), "an honest client is refused: {password:?}, {binding:?}");
        }
        1 => {
            // Whatever of its messages is changed, it is not let in by another key than its own.
            let (first, last) = edits.split_at(edits.len() / 2);
            let _ = exchange(&known, &password, binding, nonce, (first, last));
        }
        _ => {
            let (first, last) = edits.split_at(edits.len() / 2);
            let guess = format!("{password}x");
            let stranger = exchange(&known, &guess, binding, nonce, (first, last));
            assert!(stranger.is_err(), "a wrong password is let in");
        }
    }
});

/// What is known of a password, derived here anew: with one iteration, which is what makes guesses cheap.
struct Known {
    verifier: Verifier,
    client_key: [u8; 32],
}

impl Known {
    fn of(password: &str) -> Self {
        use base64::Engine;
        let base64 = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
        let prepared =
            stringprep::saslprep(password).map_or_else(|_| password.to_owned(), |p| p.into_owned());
        let salted = hmac(prepared.as_bytes(), &[SALT, &[0, 0, 0, 1]].concat());
        let client_key = hmac(&salted, b"Client Key");
        let server_key = hmac(&salted, b"Server Key");
        let stored: [u8; 32] = Sha256::digest(client_key).into();
        let text = format!("SCRAM-SHA-256$1:{}${}:{}", base64(SALT), base64(&stored), base64(&server_key));
        Self { verifier: Verifier::read(&text).expect("a verifier"), client_key }
    }
}

fn hmac(key: &[u8], data: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length");
    mac.update(data);
    mac.finalize().into_bytes().into()
}

/// A whole exchange with a client that knows `password`, whose messages are changed on their way.
fn exchange(
    known: &Known,
    password: &str,
    binding: Binding<'_>,
    nonce: [u8; 18],
    (first, last): (&[u8], &[u8]),
) -> Result<(), ScramError> {
    let theirs = match binding {
        Binding::EndPoint(data) => ChannelBinding::tls_server_end_point(data.to_vec()),
        Binding::None | Binding::Offered => ChannelBinding::unsupported(),
    };
    let mut client = ScramSha256::new(password.as_bytes(), theirs);
    let challenge = Challenge::new(&known.verifier, &changed(client.message(), first), binding, nonce)?;
    // A client that sees its own message changed gives up.
    if client.update(challenge.message.as_bytes()).is_err() {
        return Err(ScramError::Malformed);
    }
    let proof = challenge.check(&known.verifier, &changed(client.message(), last))?;
    assert_eq!(proof.client_key.expose(), &known.client_key, "the key that was shown is not the client's");
    client.finish(proof.answer.as_bytes()).expect("the server has proven that it knows the verifier");
    Ok(())
}

/// The message with some bytes changed, put in or taken out: three bytes of `edits` for each.
fn changed(message: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut message = message.to_vec();
    for edit in edits.chunks_exact(3) {
        let at = usize::from(edit[0]) % (message.len() + 1);
        match edit[1] % 4 {
            0 => message.insert(at, edit[2]),
            1 => drop(message.splice(at.., []).collect::<Vec<_>>()),
            _ if at == message.len() => {}
            2 => drop(message.remove(at)),
            _ => message[at] = edit[2],
        }
    }
    message
}

/// Messages that no client has written.
fn garbage(known: &Known, binding: Binding<'_>, nonce: [u8; 18], bytes: &[u8]) {
    let _ = Verifier::read(&String::from_utf8_lossy(bytes));
    let _ = Challenge::new(&known.verifier, bytes, binding, nonce);
    let flag: &[u8] = match binding {
        Binding::EndPoint(_) => b"p=tls-server-end-point,,n=,r=x",
        Binding::None | Binding::Offered => b"n,,n=,r=x",
    };
    let challenge = Challenge::new(&known.verifier, flag, binding, nonce).expect("a first message");
    assert!(challenge.check(&known.verifier, bytes).is_err(), "garbage is let in");
}
