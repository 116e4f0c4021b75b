//! Sessions of clients that say anything, in any order and in any pieces, on shared connections to scripted servers: each is
//! told what a server of its own would have told it, and nothing of the others; nothing hangs; what is left is clean.
#![forbid(unsafe_code)]
#![no_main]

use libfuzzer_sys::fuzz_target;
use tidegate::session::scripted::play;

fuzz_target!(|data: &[u8]| {
    if let Err(objection) = play(data, None) {
        panic!("{objection}");
    }
});
