//! So many cases of random bytes; and that faults are found.

use std::ops::Range;

use super::*;

/// Bytes that look random, the same ones each time.
fn bytes(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        u8::try_from(state >> 56).unwrap()
    };
    (0..count).map(|_| next()).collect()
}

fn case(seed: u64) -> Vec<u8> {
    bytes(seed, 16 + usize::try_from(seed % 12).unwrap() * 24)
}

/// Cases of every kind, within a few seconds.
const CASES: u64 = 500;

/// Which cases are played: more of them, or others, as `TIDEGATE_SESSION_CASES=500..100000` says.
fn cases() -> Range<u64> {
    let Ok(given) = std::env::var("TIDEGATE_SESSION_CASES") else { return 0..CASES };
    let (from, to) = given.split_once("..").unwrap();
    from.parse().unwrap()..to.parse().unwrap()
}

#[test]
fn nobody_is_told_what_is_anothers_and_everybody_what_is_theirs() {
    let mut total = Seen::default();
    let mut objections = Vec::new();
    let cases = cases();
    for seed in cases.clone() {
        match play(&case(seed), None) {
            Ok(seen) => {
                total.answers += seen.answers;
                total.connections += seen.connections;
                total.on_replicas += seen.on_replicas;
            }
            Err(objection) => objections.push(format!("case {seed}: {objection}")),
        }
    }
    let count = objections.len();
    objections.sort_by_key(String::len);
    objections.truncate(5);
    assert!(
        objections.is_empty(),
        "{count} of the cases {cases:?}, the shortest are:\n\n{}",
        objections.join("\n\n")
    );
    let least = usize::try_from(cases.end - cases.start).unwrap() * 20;
    assert!(total.answers > least, "much is said: {total:?}");
    assert!(total.on_replicas > 0, "replicas take part: {total:?}");
}

#[test]
fn what_was_found_stays_mended() {
    let seeds = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz/seeds/session");
    for seed in std::fs::read_dir(seeds).unwrap() {
        let path = seed.unwrap().path();
        let played = play(&std::fs::read(&path).unwrap(), None);
        played.unwrap_or_else(|objection| panic!("{}: {objection}", path.display()));
    }
}

#[test]
fn a_server_that_breaks_the_rules_is_found() {
    let faults = [
        Fault::ForeignRow,
        Fault::DoubledRow,
        Fault::Silence,
        Fault::FalseStatus,
        Fault::StickySetting,
        Fault::ForeignStatement,
    ];
    for fault in faults {
        let finds = |seed: &u64| play(&case(*seed), None).is_ok() && play(&case(*seed), Some(fault)).is_err();
        assert!((0..CASES).any(|seed| finds(&seed)), "{fault:?} is not found");
    }
}
