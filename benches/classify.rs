//! What it costs to know a statement: the key of its shape (each time), its classification (once per shape), and texts so
//! large that they are an attack or a mistake. `make bench-classify`; figures are in `docs/performance.md`.
#![forbid(unsafe_code)]
#![allow(missing_docs, reason = "a program of its own")]

use std::collections::HashSet;
use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidegate::sql::classify::LONGEST_TEXT;
use tidegate::sql::{Shaper, classify};

/// Statements of about 50, 100 and 200 bytes; `#` stands for a literal that changes.
const STATEMENTS: [(&str, &str); 4] = [
    ("50", "SELECT abalance FROM pgbench_accounts WHERE aid = #"),
    (
        "100",
        "select o.id, o.total from orders o where o.customer_id = # and o.state = '#' order by o.id limit 10",
    ),
    (
        "200",
        "SELECT u.id, u.name, u.email, count(o.id) AS orders FROM users u LEFT JOIN orders o ON o.user_id = u.id \
         WHERE u.tenant_id = # AND u.created_at > '2026-01-#' GROUP BY u.id, u.name, u.email LIMIT 50",
    ),
    (
        "200-quoted",
        "SELECT \"users\".\"id\", \"users\".\"name\", \"users\".\"email\" FROM \"users\" WHERE \"users\".\"tenant_id\" = # \
         AND \"users\".\"state\" = '#' AND \"users\".\"deleted_at\" IS NULL ORDER BY \"users\".\"id\" LIMIT 1",
    ),
];

/// The statement with other literals each time, always as long.
fn variants(statement: &str) -> Vec<String> {
    (10_000..11_000).map(|number| statement.replace('#', &number.to_string())).collect()
}

/// A known shape: what every statement costs.
fn key(criterion: &mut Criterion) {
    let shaper = Shaper::new(42);
    let mut group = criterion.benchmark_group("key");
    for (size, statement) in STATEMENTS {
        let texts = variants(statement);
        group.throughput(Throughput::Bytes(texts[0].len() as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            let mut next = texts.iter().cycle();
            bencher.iter(|| shaper.scan(black_box(next.next().map_or("", String::as_str)).as_bytes()));
        });
    }
    group.finish();
}

/// A new shape: what it costs once.
fn cold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("cold");
    for (size, statement) in STATEMENTS {
        let texts = variants(statement);
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            let mut next = texts.iter().cycle();
            bencher.iter(|| classify(black_box(next.next().map_or("", String::as_str))));
        });
    }
    group.finish();
}

fn large(criterion: &mut Criterion) {
    let shaper = Shaper::new(42);
    let list = |elements: usize| {
        let numbers: Vec<String> = (0..elements).map(|number| (1_000_000 + number).to_string()).collect();
        format!("select * from t where a in ({})", numbers.join(", "))
    };
    let literal = format!("insert into t values ('{}')", "x".repeat(10 << 20));
    let words = format!("select {} from t", "column_name + ".repeat((10 << 20) / 14));
    let parsed = list((LONGEST_TEXT - 64) / 9);
    let mut group = criterion.benchmark_group("large");
    group.sample_size(20).measurement_time(Duration::from_secs(2));
    let texts = [
        ("one literal of 10 MiB", &literal),
        ("10 MiB of words", &words),
        ("list of 100,000 numbers", &list(100_000)),
        ("longest list that is parsed", &parsed),
    ];
    for (name, text) in texts {
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(BenchmarkId::new("key", name), |bencher| {
            bencher.iter(|| shaper.scan(black_box(text).as_bytes()));
        });
        group.bench_function(BenchmarkId::new("cold", name), |bencher| {
            bencher.iter(|| classify(black_box(text)));
        });
        let memory = peak_of(|| drop(black_box((shaper.scan(text.as_bytes()), classify(text)))));
        println!(
            "{name}: {} KiB of text, {memory} KiB of memory for key and class at most",
            text.len() >> 10
        );
    }
    group.finish();
}

/// How much the resident memory of the process grows at most while `work` runs, in KiB.
fn peak_of(work: impl FnOnce()) -> u64 {
    let status = |name: &str| {
        let text = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
        line.and_then(|line| line.split_whitespace().next().and_then(|number| number.parse().ok()))
            .unwrap_or(0_u64)
    };
    // Forgets the peak so far.
    let _ = fs::write("/proc/self/clear_refs", "5");
    let before = status("VmRSS:");
    work();
    status("VmHWM:").saturating_sub(before)
}

/// A million texts of a thousand shapes are a thousand keys: a cache of shapes stays small.
fn million(criterion: &mut Criterion) {
    const SHAPES: usize = 1_000;
    const TEXTS: usize = 1_000;
    let shaper = Shaper::new(42);
    let mut group = criterion.benchmark_group("million");
    group.sample_size(10).measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements((SHAPES * TEXTS) as u64));
    group.bench_function("texts of 1,000 shapes", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                let mut keys = HashSet::new();
                for shape in 0..SHAPES {
                    let statement =
                        format!("select c{shape}, d from t{shape} where a = # and b = '#' limit 10");
                    let texts: Vec<String> =
                        (0..TEXTS).map(|number| statement.replace('#', &number.to_string())).collect();
                    let begin = Instant::now();
                    keys.extend(
                        texts.iter().filter_map(|text| shaper.scan(text.as_bytes())).map(|scan| scan.key),
                    );
                    spent += begin.elapsed();
                }
                assert_eq!(keys.len(), SHAPES);
            }
            spent
        });
    });
    group.finish();
}

criterion_group!(benches, key, cold, large, million);
criterion_main!(benches);
