//! SCRAM from the client's side, with what a client's login has shown: whatever a server says, nothing panics, and none that does
//! not know the verifier is taken for the server.
#![forbid(unsafe_code)]
#![no_main]

use libfuzzer_sys::fuzz_target;
use postgres_protocol::authentication::sasl::{ChannelBinding, ScramSha256};
use tidegate::auth::{Binding, Challenge, Keys, Prover, Verifier};

thread_local! {
    static KNOWN: (Verifier, Keys) = known("secret");
}

fuzz_target!(|data: &[u8]| {
    let Some((&how, data)) = data.split_first() else { return };
    let binding = [Binding::None, Binding::Offered, Binding::EndPoint(b"end")][usize::from(how % 3)];
    KNOWN.with(|(verifier, keys)| {
        let (first, last) = data.split_at(data.len() / 2);
        // Messages that no server has written.
        if let Ok(awaited) = Prover::new(binding, [1; 18]).answer(keys, first) {
            assert!(awaited.check(last).is_err(), "garbage is taken for the server's proof");
        }
        // A server that knows the verifier, whose answer is changed on its way.
        let prover = Prover::new(binding, [1; 18]);
        let theirs = if matches!(binding, Binding::Offered) { Binding::None } else { binding };
        let challenge =
            Challenge::new(verifier, prover.message.as_bytes(), theirs, [2; 18]).expect("a first message");
        let awaited = prover.answer(keys, challenge.message.as_bytes()).expect("an honest server");
        let proof = challenge.check(verifier, awaited.message.as_bytes()).expect("the right keys");
        let mut answer = proof.answer.clone().into_bytes();
        for edit in data.chunks_exact(2) {
            let at = usize::from(edit[0]) % answer.len();
            answer[at] = edit[1];
        }
        assert_eq!(awaited.check(&answer).is_ok(), answer == proof.answer.as_bytes());
    });
});

/// What is kept of a password, and what a client with it shows.
fn known(password: &str) -> (Verifier, Keys) {
    let verifier = Verifier::derive(password);
    let mut client = ScramSha256::new(password.as_bytes(), ChannelBinding::unsupported());
    let challenge =
        Challenge::new(&verifier, client.message(), Binding::None, [7; 18]).expect("a first message");
    client.update(challenge.message.as_bytes()).expect("a challenge");
    let shown = challenge.check(&verifier, client.message()).expect("the right password");
    let keys = verifier.keys(&shown.client_key);
    (verifier, keys)
}
