//! How long a large catalog takes to read, and how much memory it holds. Figures for `docs/catalog.md`.

use std::fmt::Write;
use std::time::{Duration, Instant};

use tidegate::cluster::catalog::Figures;
use tidegate::local::{LocalCluster, Login, Options};

use super::{Watched, support};

const TABLES: usize = 10_000;
const FUNCTIONS: usize = 20_000;

/// Tables with keys, defaults, checks and cascades, a view for each fifth, and functions that call each other.
fn ddl() -> String {
    let mut sql = String::from("set client_min_messages = warning; set synchronous_commit = off;\n");
    for schema in 0..10 {
        writeln!(sql, "create schema s{schema};").unwrap();
    }
    for i in 0..TABLES {
        let (schema, parent) = (i % 10, i / 2);
        let key = if i % 20 == 3 && parent % 10 == schema { "" } else { "--" };
        writeln!(
            sql,
            "create table s{schema}.t{i} (id bigint generated always as identity primary key, name text not null, \
             at timestamptz not null default now(), state text default 'new' check (state <> ''), n int,\n\
             {key} parent bigint references s{schema}.t{parent} on delete cascade,\n x int);",
        )
        .unwrap();
        if i % 5 == 0 {
            writeln!(
                sql,
                "create view s{schema}.v{i} as select id, lower(name) as name, at::date, coalesce(n, 0) as n \
                 from s{schema}.t{i} where state <> 'old' and at > now() - interval '1 day';"
            )
            .unwrap();
        }
    }
    for i in 0..FUNCTIONS {
        let (schema, other, volatility) =
            (i % 10, i / 2, ["stable", "immutable", "volatile", "volatile"][i / 10 % 4]);
        writeln!(
            sql,
            "create function s{schema}.f{i}(a int, b text default 'x') returns text language plpgsql {volatility} as $$\n\
             declare r record; total int := 0;\n\
             begin\n  if a > 10 then\n    return s{}.f{other}(a - 1, b);\n  end if;\n\
               for r in select id, name from s{schema}.t{} where state <> 'old' order by at loop\n\
                 total := total + coalesce(length(r.name), 0);\n  end loop;\n\
               raise notice 'counted % of %', total, b;\n  return format('%s: %s', b, total);\nend $$;",
            other % 10,
            i % TABLES,
        )
        .unwrap();
    }
    sql
}

/// The figures of a reading after a change.
fn reading(cluster: &LocalCluster, watched: &Watched, table: &str) -> Figures {
    cluster.primary().psql(&format!("create table {table} (id int)")).unwrap();
    watched.fresh();
    watched.keeper().figures()
}

/// The most memory this process ever held, and what it holds, as Linux tells it.
fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().filter(|line| line.starts_with("VmHWM") || line.starts_with("VmRSS")).collect()
}

#[test]
#[ignore = "makes 30,000 objects: cargo test --release --test cluster_catalog -- --ignored --nocapture large"]
fn large_catalogs_are_read_in_time() {
    let options = Options { replicas: 0, ..support::options() };
    let cluster = support::exclusive_cluster(&options);
    let begin = Instant::now();
    let watched = Watched::new(&cluster, Login::App);
    watched.settled();
    for round in 0..8 {
        println!("empty database: {:?}", reading(&cluster, &watched, &format!("before_{round}")));
    }
    cluster.primary().psql(&ddl()).unwrap();
    println!("made in {:?}, {}", begin.elapsed(), memory());
    let mut fastest = Duration::MAX;
    for round in 0..5 {
        let figures = reading(&cluster, &watched, &format!("after_{round}"));
        fastest = fastest.min(figures.took);
        println!("large database: {figures:?}");
    }
    println!("{}", memory());
    let begin = Instant::now();
    watched.fresh();
    println!("nothing new: {:?}", begin.elapsed());
    let figures = watched.keeper().figures();
    watched.stop();
    assert!(figures.objects >= TABLES + FUNCTIONS);
    assert!(fastest < Duration::from_secs(2), "{fastest:?}");
    assert!(figures.bytes < 64 << 20, "{} bytes", figures.bytes);
}
