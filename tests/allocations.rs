//! What runs once per statement does not allocate: the key of a statement's shape and the look for hints.
//!
//! A binary of its own, because it counts what all of its process allocates.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::hint::black_box;

use tidegate::sql::shape::Strings;
use tidegate::sql::{Hints, Shaper};

#[global_allocator]
static ALLOCATOR: dhat::Alloc = dhat::Alloc;

#[test]
fn shape_keys_allocate_nothing() {
    let long = format!("select * from t where a in ({}0)", "1, ".repeat(100_000));
    let texts = [
        "select abalance from pgbench_accounts where aid = 4711",
        "insert into t (a, b) values (1, 'x'), (2, E'y\\'z'), (3, $$ w $$) on conflict do nothing -- done",
        "set application_name = 'x'; select set_config('a.b', '1', true)",
        "select \"Quoted\", u&\"d\\0061t\", b'01', x'1f', 1.5e3 /* a comment */ from t",
        "select 'open",
        "select 1 /*app='x'*/",
        &long,
    ];
    let _profiler = dhat::Profiler::builder().testing().build();
    let shaper = Shaper::new(1);
    // The instrument works: this is seen.
    let before = dhat::HeapStats::get().total_blocks;
    drop(black_box(String::from("seen")));
    assert_eq!(dhat::HeapStats::get().total_blocks, before + 1);

    let before = dhat::HeapStats::get();
    for text in texts {
        for strings in [Strings::Standard, Strings::Escaped] {
            let scan = shaper.scan_with(black_box(text).as_bytes(), strings);
            let hints = scan.filter(|scan| !scan.hints.is_empty());
            assert!(hints.is_none() || text.ends_with("*/"));
        }
    }
    let after = dhat::HeapStats::get();
    assert_eq!(after.total_blocks, before.total_blocks);
    assert!(Hints::read(&shaper.scan(b"select 1").unwrap().hints).is_ok());
}
