//! Start-up packets: nothing panics, no packet is longer than PostgreSQL lets it be, what follows one makes no difference,
//! every cut of one is waited for, and what is written reads back.
#![forbid(unsafe_code)]
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use tidegate::wire::{Startup, StartupParameters, encode, startup_packet};

/// The shortest and the longest start-up packet, in bytes.
const BOUNDS: std::ops::RangeInclusive<usize> = 8..=10_000;

fuzz_target!(|data: &[u8]| {
    let read = startup_packet(data);
    match &read {
        Ok(Some((startup, len))) => {
            assert!(*len <= data.len() && BOUNDS.contains(len));
            assert_eq!(startup_packet(&data[..*len]), read, "what follows makes no difference");
            for cut in [*len - 1, *len / 2, 4, 3, 0] {
                assert_eq!(startup_packet(&data[..cut]), Ok(None), "cut at {cut}");
            }
            reads_back(startup);
        }
        Ok(None) => {
            let said = data.first_chunk::<4>().map(|len| u32::from_be_bytes(*len) as usize);
            assert!(said.is_none_or(|len| BOUNDS.contains(&len) && len > data.len()));
        }
        Err(_) => {
            let longer = [data, &[0; 32]].concat();
            assert_eq!(startup_packet(&longer), read, "an error stays one whatever follows");
        }
    }
});

fn reads_back(startup: &Startup) {
    let mut written = BytesMut::new();
    let expected = match startup {
        Startup::Session(parameters) => {
            encode::startup(&mut written, parameters);
            // The proxy itself asks for no options of the protocol.
            Startup::Session(StartupParameters { options: vec![], ..parameters.clone() })
        }
        Startup::Cancel(key) => {
            encode::cancel_request(&mut written, key);
            startup.clone()
        }
        Startup::Ssl | Startup::GssEnc => return,
    };
    assert_eq!(startup_packet(&written), Ok(Some((expected, written.len()))));
}
