//! The settings of sessions that share one server connection per node, against PostgreSQL itself: random sequences of
//! statements of several clients, each of which is run through Tidegate and on a private direct connection as well. After
//! every step both must show the same settings, and must have been told the same by `ParameterStatus`.
//!
//! `TIDEGATE_SETTINGS_CASES=5000` runs that many sequences, `TIDEGATE_SETTINGS_SEED=7` others than usual.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

#[path = "settings_model/statements.rs"]
mod statements;

use std::fmt::Write;

use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use statements::{Step, steps};
use support::proxy::{RunningProxy, Tidegate};
use support::raw::{Answer, Raw};
use tidegate::local::{LocalCluster, Options};

/// What each client gives at start-up.
const CLIENTS: [&[(&str, &str)]; 3] = [
    &[
        (
            "options",
            "-c IntervalStyle=iso_8601 -c app.tenant=seven -c statement_timeout=31s -c search_path=a,\\ b",
        ),
        ("DateStyle", "German, DMY"),
        ("application_name", "first"),
    ],
    &[
        ("TimeZone", "Asia/Tokyo"),
        ("client_encoding", "UTF8"),
        ("options", "-c default_transaction_isolation=repeatable\\ read --work-mem=5MB"),
    ],
    &[],
];

/// Takes no snapshot, so that it does not change what SET TRANSACTION may do after it.
const SHOW: &str = "show all; show role; show session_authorization; show app.tenant";
/// Outside a transaction: what replicas answer, and what SHOW does not know unless it was set once.
const READ: &str = "select current_setting('timezone'), current_setting('datestyle'), current_setting('search_path'), \
    current_setting('intervalstyle'), current_setting('statement_timeout'), coalesce(current_setting('app.tenant', true), ''), \
    coalesce(current_setting('app.user', true), '') /* tidegate: consistency=eventual */";

/// The servers, and the proxy before them.
struct Stage {
    cluster: LocalCluster,
    proxy: RunningProxy,
}

impl Stage {
    fn new() -> Self {
        let options = Options {
            replicas: 1,
            app_is_superuser: true,
            primary_conf: vec!["app.tenant = ''".to_owned()],
            ..support::options()
        };
        let cluster = support::exclusive_cluster(&options);
        cluster.primary().psql(statements::OBJECTS).unwrap();
        cluster.wait_caught_up().unwrap();
        let one = "connection_limit=1&pool_timeout=5&tidegate_client_auth=trust";
        let proxy = Tidegate::tuned(&cluster, one).start();
        support::wait_until("the replica serves", || {
            proxy.metric("tidegate_node_up", &["role=\"replica\""]) > 0.5
        });
        Self { cluster, proxy }
    }

    fn direct(&self) -> std::net::SocketAddr {
        ([127, 0, 0, 1], self.cluster.primary().port()).into()
    }

    /// Runs one sequence.
    fn run(&self, steps: &[Step]) -> Result<(), TestCaseError> {
        let mut pairs: Vec<_> = CLIENTS.iter().map(|startup| Pair::new(self, startup)).collect();
        // With one server connection nobody else can do anything on the primary while a transaction is open.
        let mut open = None;
        for (number, step) in steps.iter().enumerate() {
            let client = open.unwrap_or(step.client);
            let pair = &mut pairs[client];
            let status = pair.step(step).map_err(|difference| {
                TestCaseError::fail(format!("client {client}, step {}: {step}\n{difference}", number + 1))
            })?;
            open = (status != 'I').then_some(client);
        }
        if let Some(client) = open {
            pairs[client].through.ok("rollback");
        }
        // The last state of each, with all others in between.
        for (client, pair) in pairs.iter_mut().enumerate().filter(|(client, _)| open != Some(*client)) {
            pair.compare_state('I').map_err(|difference| {
                TestCaseError::fail(format!("client {client}, at the end\n{difference}"))
            })?;
        }
        for pair in pairs {
            pair.through.terminate();
        }
        Ok(())
    }
}

/// A client of the proxy, and the same client without it.
struct Pair {
    through: Raw,
    direct: Raw,
}

impl Pair {
    fn new(stage: &Stage, startup: &[(&str, &str)]) -> Self {
        let [through, direct] = [stage.proxy.address(), stage.direct()].map(|address| {
            let mut raw = Raw::app_with(address, startup);
            // A custom setting that only a DO block sets follows clients that have named it.
            raw.ok("select set_config('app.tenant', '', true), set_config('app.user', '', true)");
            raw
        });
        Self { through, direct }
    }

    /// Runs a statement on both, and returns the transaction status; the error says where they differ.
    fn step(&mut self, step: &Step) -> Result<char, String> {
        let [through, direct] = [&mut self.through, &mut self.direct]
            .map(|raw| if step.extended { raw.pipeline(step.sql.split("; ")) } else { raw.query(&step.sql) });
        same("the answer", &said(&through), &said(&direct))?;
        let status = direct.status();
        self.compare_reported("with the answer")?;
        if status != 'E' {
            self.compare_state(status)?;
        }
        Ok(status)
    }

    /// Compares what both show.
    fn compare_state(&mut self, status: char) -> Result<(), String> {
        let questions = if status == 'I' { &[SHOW, READ][..] } else { &[SHOW] };
        for question in questions {
            let [through, direct] = [&mut self.through, &mut self.direct].map(|raw| raw.query(question));
            same("what is shown", &said(&through), &said(&direct))?;
        }
        self.compare_reported("after having asked")
    }

    fn compare_reported(&self, when: &str) -> Result<(), String> {
        let [through, direct] = [&self.through, &self.direct].map(|raw| {
            raw.reported.iter().map(|(name, value)| vec![Some(name.clone()), Some(value.clone())]).collect()
        });
        same(&format!("what was reported {when}"), &through, &direct)
    }
}

/// An answer as far as both must agree: the rows, and how it ended.
fn said(answer: &Answer) -> Vec<Vec<Option<String>>> {
    let mut said = answer.rows();
    // A library's settings come with it, when something first needs it.
    said.retain(|row| !row[0].as_ref().is_some_and(|name| name.starts_with("plpgsql.")));
    said.push(vec![Some(format!(
        "{} {} {:?}",
        answer.tags().replace('D', ""),
        answer.status(),
        answer.error()
    ))]);
    said
}

/// Says which rows only one of both has.
fn same(
    what: &str,
    through: &Vec<Vec<Option<String>>>,
    direct: &Vec<Vec<Option<String>>>,
) -> Result<(), String> {
    if through == direct {
        return Ok(());
    }
    let mut text = format!("{what} differs\n");
    for (who, mine, theirs) in [("Tidegate", through, direct), ("PostgreSQL", direct, through)] {
        for row in mine.iter().filter(|row| !theirs.contains(row)) {
            let _ = writeln!(text, "  {who}: {row:?}");
        }
    }
    Err(text)
}

fn number(name: &str, default: u32) -> u32 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[test]
fn sessions_have_the_settings_they_would_have_alone() {
    let stage = Stage::new();
    let config = Config {
        cases: number("TIDEGATE_SETTINGS_CASES", 100),
        failure_persistence: None,
        max_shrink_iters: 3000,
        ..Config::default()
    };
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number("TIDEGATE_SETTINGS_SEED", 1).to_le_bytes());
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    match runner.run(&steps(CLIENTS.len()), |steps| stage.run(&steps)) {
        Err(TestError::Fail(reason, steps)) => {
            let lines: Vec<_> = steps.iter().map(|step| format!("client {}: {step}", step.client)).collect();
            panic!(
                "{reason}
The shortest sequence found:
{}",
                lines.join(
                    "
"
                )
            );
        }
        result => result.unwrap(),
    }
}
