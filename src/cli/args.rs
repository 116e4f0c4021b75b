//! The command line: what can be typed, and how it becomes the plain [`Sources`] that `config` reads.
//!
//! This is the only place that reads the environment. Values are left as text, so that `config` can report every
//! mistake at once. A URL that clap would echo in a refusal is redacted first.

mod tls;
mod tools;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};

use self::tls::TlsArgs;
pub use self::tools::{CompletionArgs, ConfigCommand, ImportArgs, ManArgs};
use super::environment::{Token, add_secrets, secret};
use super::verify::args::VerifyArgs;
use crate::config::{Given, Secret, SecretVariable, Sources, redact_url};

/// A PostgreSQL proxy that makes read replicas safe to use.
///
/// Put its address where the database's was. Reads go to replicas, everything else goes to the primary, and no read
/// misses a write that was acknowledged before it.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, long_version = super::build::facts(), after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  tidegate run --url postgres://app:secret@pg1,pg2,pg3/app
  DATABASE_URL=postgres://app:secret@pg1,pg2/app tidegate run --listen 0.0.0.0:6432
  tidegate check --config /etc/tidegate.toml
  tidegate explain 'select * from orders' --url postgres://app:secret@pg1,pg2/app
  tidegate demo
  tidegate verify --url postgres://app:secret@tidegate:6432/app
  tidegate import /etc/pgbouncer/pgbouncer.ini --output tidegate.toml
  tidegate config print --config /etc/tidegate.toml";

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the proxy until it is told to stop.
    ///
    /// SIGTERM and Ctrl-C let open transactions finish, then end it. A mistake in the configuration ends it at once
    /// with exit code 2 and the list of all mistakes.
    Run(SourceArgs),
    /// Read the configuration, connect to every node as the running proxy would, and say what was found. The exit
    /// code is 0 when every database can be served, 1 when one cannot, 2 for a mistake in the configuration.
    Check(SourceArgs),
    /// Say where a statement would go, and why.
    ///
    /// If a database is named (--url, --config), its catalog and the state of its replicas have a say; without one, the
    /// statement's text alone.
    Explain(ExplainArgs),
    /// Show what a running proxy has decided: the share of statements for replicas, and what keeps the others from them.
    Report(AdminArgs),
    /// Show the statements that a running proxy no longer tries on replicas, because one has refused them.
    Learned(LearnedArgs),
    /// Watch a running proxy in the terminal: nodes, gates, reads and writes, pools, reasons, pins. Keys: ? for help.
    Top(TopArgs),
    /// Show it at work: a primary, two replicas, the proxy and a workload, all on this machine.
    ///
    /// The servers live in a temporary folder and are gone afterwards.
    Demo(DemoArgs),
    /// Check that no read through a running proxy is stale, on a cluster of your own.
    ///
    /// Writes and reads in a schema of its own, which is dropped in the end. The exit code is 0 when every read has seen
    /// what it must, 1 when one has not or too little could be checked, 2 for a mistake in the arguments.
    Verify(VerifyArgs),
    /// Turn a configuration of PgBouncer into one of Tidegate, and say what becomes of each setting.
    ///
    /// The exit code is 0 when it can be used as it is, 1 when something must be added first, 2 when nothing was made.
    Import(ImportArgs),
    /// Show settings: those that hold, or all that there are.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print completions for a shell.
    ///
    /// bash: tidegate completions bash > ~/.local/share/bash-completion/completions/tidegate.
    /// zsh: into _tidegate in a folder of fpath. fish: into ~/.config/fish/completions/tidegate.fish.
    Completions(CompletionArgs),
    /// Print the manual page, in roff.
    ///
    /// tidegate man | man -l - shows it.
    Man(ManArgs),
    /// Print the version, and how this program was built.
    Version,
}

/// Where settings come from: a file, the environment over it, and flags over both.
#[allow(clippy::doc_markdown, reason = "the texts are shown in a terminal, where backticks are noise")]
#[derive(Debug, Args)]
pub struct SourceArgs {
    /// File with settings; config/tidegate.toml shows them all.
    #[arg(long, short, value_name = "FILE", env = "TIDEGATE_CONFIG")]
    pub config: Option<OsString>,

    /// URL of the database, with every server of the cluster as a host.
    ///
    /// postgres://user:password@host1,host2:5433/database?connection_limit=20. Which host is the primary is found out.
    /// In user and password, write @ as %40, / as %2F, : as %3A and % as %25. A password left out is taken from
    /// PGPASSWORD or the password file (~/.pgpass). Other users of the machine can read flags, so a URL with a password
    /// belongs into DATABASE_URL, or into the file that DATABASE_URL_FILE names.
    #[arg(long, value_name = "URL")]
    pub url: Option<Secret>,

    /// URL of the primary, instead of --url. It is checked at the start that it is one.
    #[arg(long, value_name = "URL")]
    pub primary: Vec<Secret>,

    /// URL of a replica, next to --primary or --url; repeat it for each.
    ///
    /// User, password, database and parameters need not be said again.
    #[arg(long, value_name = "URL")]
    pub replica: Vec<Secret>,

    /// Address for clients; repeat it for several [default: 127.0.0.1:6432].
    ///
    /// 0.0.0.0:6432 accepts clients from other machines, /run/tidegate:6432 by a Unix socket in that directory.
    #[arg(long, value_name = "ADDR", env = "TIDEGATE_LISTEN", value_delimiter = ',')]
    pub listen: Vec<String>,

    /// Address for health and metrics, or off [default: 127.0.0.1:6433].
    #[arg(long, value_name = "ADDR|off", env = "TIDEGATE_ADMIN")]
    pub admin: Option<String>,

    /// What the admin address shows without credentials: health, metrics or all.
    ///
    /// The credentials are the token in TIDEGATE_ADMIN_TOKEN or in the file that TIDEGATE_ADMIN_TOKEN_FILE names.
    #[arg(long, value_name = "WHAT", env = "TIDEGATE_ADMIN_OPEN")]
    pub admin_open: Option<String>,

    /// Number of worker threads [default: decided from the cores there are].
    #[arg(long, value_name = "N", env = "TIDEGATE_WORKERS")]
    pub workers: Option<String>,

    /// The zone the proxy runs in: replicas of the same zone are preferred.
    #[arg(long, value_name = "ZONE", env = "TIDEGATE_LOCALITY")]
    pub locality: Option<String>,

    /// What to log: off, error, warn, info, debug, trace, or target=level,… [default: warn].
    #[arg(long, value_name = "FILTER", env = "TIDEGATE_LOG")]
    pub log: Option<String>,

    /// How lines of the log are written: text or json [default: text].
    #[arg(long, value_name = "FORMAT", env = "TIDEGATE_LOG_FORMAT")]
    pub log_format: Option<String>,

    /// Collector that spans of statements are sent to by OTLP, such as http://localhost:4318 [default: off].
    #[arg(long, value_name = "URL|off", env = "TIDEGATE_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// Share of statements that get a span although they belong to no trace, from 0 to 1 [default: 0].
    #[arg(long, value_name = "SHARE", env = "TIDEGATE_TRACE_SAMPLE")]
    pub trace_sample: Option<String>,

    /// User who may use the console; repeat it for several [default: nobody].
    ///
    /// The console is reached as the database tidegate.
    #[arg(long, value_name = "NAME", env = "TIDEGATE_CONSOLE_USERS", value_delimiter = ',')]
    pub console_users: Vec<String>,

    /// Number of this instance among several that stand side by side.
    #[arg(long, value_name = "N", env = "TIDEGATE_PEER_ID")]
    pub peer_id: Option<String>,

    /// How the connections of clients are encrypted.
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// What is to be explained.
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// The statement. It is not executed.
    #[arg(value_name = "SQL")]
    pub statement: String,

    /// The database to ask, where the configuration has several [default: the first].
    #[arg(long, value_name = "NAME")]
    pub database: Option<String>,

    /// Where settings come from.
    #[command(flatten)]
    pub sources: SourceArgs,
}

/// Which proxy is asked.
#[derive(Clone, Debug, Args)]
pub struct AdminArgs {
    /// The admin address of the running proxy.
    #[arg(long, value_name = "ADDR", env = "TIDEGATE_ADMIN", default_value = "127.0.0.1:6433")]
    pub admin: SocketAddr,

    /// What to show it: the token in the environment, or the file with it.
    #[arg(skip)]
    pub token: Token,
}

/// What is done about learned shapes.
#[derive(Clone, Debug, Args)]
pub struct LearnedArgs {
    /// Forget them: they are tried on replicas again.
    #[arg(long)]
    pub clear: bool,

    /// Which proxy is asked.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// How a proxy is watched.
#[derive(Clone, Debug, Args)]
pub struct TopArgs {
    /// Print one frame as text and end. It takes a second, over which the figures per second are averaged.
    #[arg(long)]
    pub once: bool,

    /// Which proxy is watched.
    #[command(flatten)]
    pub admin: AdminArgs,
}

/// How the demonstration runs.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Stop after this many seconds instead of at Ctrl-C.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub seconds: Option<u64>,

    /// Start the servers and the proxy only, and leave the queries to you.
    #[arg(long)]
    pub no_workload: bool,

    /// Folder with PostgreSQL's programs, such as initdb [default: searched for].
    #[arg(long, value_name = "DIR")]
    pub pg_bin: Option<PathBuf>,

    /// Address for clients of the demonstration.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:6432")]
    pub listen: SocketAddr,

    /// Number of clients that read and write at the same time, over two connections each.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=200))]
    pub clients: u32,

    /// Hold the replicas back by so many milliseconds: reads that must see more go to the primary meanwhile.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    pub lag: Option<u64>,
}

/// What was asked for.
#[derive(Debug)]
pub enum Invocation {
    /// Run the proxy with these sources.
    Run(Sources),
    /// Check these sources.
    Check(Sources),
    /// Explain a statement. Without sources that name a database, by its text alone.
    Explain {
        /// The statement.
        statement: String,
        /// The database, where there are several.
        database: Option<String>,
        /// Where settings come from.
        sources: Sources,
    },
    /// Ask a running proxy for its report.
    Report(AdminArgs),
    /// Ask a running proxy for what it has learned.
    Learned(LearnedArgs),
    /// Watch a running proxy.
    Top(TopArgs),
    /// Run the demonstration.
    Demo(DemoArgs),
    /// Verify what a running proxy promises.
    Verify(VerifyArgs),
    /// Turn a configuration of PgBouncer into ours.
    Import(ImportArgs),
    /// Print the settings that hold.
    ConfigPrint(Sources),
    /// Print the schema of the file of settings.
    ConfigSchema,
    /// Print what every setting is.
    ConfigReference,
    /// Print completions for a shell.
    Completions(CompletionArgs),
    /// Print the manual.
    Man(ManArgs),
    /// Print how the program was built.
    Version,
}

/// A command line that was not understood, or a wish for help.
#[derive(Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The exit code: 0 for help and version, 2 otherwise.
    pub exit_code: u8,
    /// What to show, without passwords; on standard output if the exit code is 0, on standard error otherwise.
    pub text: String,
}

/// Reads the given command line, program name first, and the process's environment.
pub fn parse_from(args: impl IntoIterator<Item = OsString>) -> Result<Invocation, Refusal> {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = Cli::command()
        .try_get_matches_from(&args)
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, matches)));
    let (cli, matches) = parsed.map_err(|error| refusal(&error, &args))?;
    let given = matches.subcommand().map(|(_, matches)| matches);
    // Those of a subcommand's subcommand.
    let inner = given.and_then(ArgMatches::subcommand).map(|(_, matches)| matches);
    Ok(match cli.command {
        Command::Run(args) => Invocation::Run(args.into_sources(given)),
        Command::Check(args) => Invocation::Check(args.into_sources(given)),
        Command::Explain(ExplainArgs { statement, database, sources }) => {
            Invocation::Explain { statement, database, sources: sources.into_sources(given) }
        }
        Command::Report(args) => Invocation::Report(args.with_token()),
        Command::Learned(LearnedArgs { clear, admin }) => {
            Invocation::Learned(LearnedArgs { clear, admin: admin.with_token() })
        }
        Command::Top(TopArgs { once, admin }) => Invocation::Top(TopArgs { once, admin: admin.with_token() }),
        Command::Demo(args) => Invocation::Demo(args),
        Command::Verify(args) => {
            Invocation::Verify(VerifyArgs { pg_password: secret(SecretVariable::PgPassword), ..args })
        }
        Command::Import(args) => Invocation::Import(args),
        Command::Config(ConfigCommand::Print(args)) => Invocation::ConfigPrint(args.into_sources(inner)),
        Command::Config(ConfigCommand::Schema) => Invocation::ConfigSchema,
        Command::Config(ConfigCommand::Reference) => Invocation::ConfigReference,
        Command::Completions(args) => Invocation::Completions(args),
        Command::Man(args) => Invocation::Man(args),
        Command::Version => Invocation::Version,
    })
}

impl AdminArgs {
    fn with_token(self) -> Self {
        Self { token: Token::from_environment(), ..self }
    }
}

impl SourceArgs {
    /// Sorts what clap merged into what came from the environment and what from flags.
    fn into_sources(self, matches: Option<&ArgMatches>) -> Sources {
        let place =
            |id: &str| matches.and_then(|matches| matches.value_source(id)) == Some(ValueSource::EnvVariable);
        let mut sources = Sources {
            file: self.config.filter(|path| !path.is_empty()).map(PathBuf::from),
            ..Sources::default()
        };
        add_secrets(&mut sources);
        sources.flags.url = self.url;
        sources.flags.primaries = self.primary;
        sources.flags.replicas = self.replica;
        // An empty variable counts as none: that is how compose files and shells leave one out.
        let Sources { env, flags, .. } = &mut sources;
        *pick(place("listen"), env, flags, |given| &mut given.listen) = self.listen;
        *pick(place("admin"), env, flags, |given| &mut given.admin) = self.admin;
        *pick(place("admin_open"), env, flags, |given| &mut given.admin_open) = self.admin_open;
        *pick(place("workers"), env, flags, |given| &mut given.workers) = self.workers;
        *pick(place("locality"), env, flags, |given| &mut given.locality) = self.locality;
        *pick(place("log"), env, flags, |given| &mut given.log) = self.log;
        *pick(place("log_format"), env, flags, |given| &mut given.log_format) = self.log_format;
        *pick(place("otlp_endpoint"), env, flags, |given| &mut given.otlp_endpoint) = self.otlp_endpoint;
        *pick(place("trace_sample"), env, flags, |given| &mut given.trace_sample) = self.trace_sample;
        *pick(place("peer_id"), env, flags, |given| &mut given.peer_id) = self.peer_id;
        *pick(place("console_users"), env, flags, |given| &mut given.console_users) = self.console_users;
        for list in [&mut env.listen, &mut env.console_users] {
            list.retain(|value| !value.is_empty());
        }
        let Given { admin, admin_open, workers, locality, log, peer_id, .. } = env;
        let Given { log_format, otlp_endpoint, trace_sample, .. } = env;
        let single = [admin, admin_open, workers, locality, log, peer_id];
        for value in single.into_iter().chain([log_format, otlp_endpoint, trace_sample]) {
            *value = value.take().filter(|value| !value.is_empty());
        }
        self.tls.sort_into(&mut sources, place);
        sources
    }
}

/// The field of the source that a value came from.
fn pick<'a, T>(
    from_env: bool,
    env: &'a mut Given,
    flags: &'a mut Given,
    field: impl Fn(&mut Given) -> &mut T,
) -> &'a mut T {
    field(if from_env { env } else { flags })
}

/// What clap has to say, with every argument that may hold a password redacted.
fn refusal(error: &clap::Error, args: &[OsString]) -> Refusal {
    let mut text = error.to_string();
    for arg in
        args.iter().map(|arg| arg.to_string_lossy()).filter(|arg| arg.contains("://") || arg.contains('@'))
    {
        let value =
            arg.split_once('=').filter(|(flag, _)| flag.starts_with("--")).map_or(&*arg, |(_, value)| value);
        text = text.replace(&*arg, &redact_url(value)).replace(value, &redact_url(value));
    }
    Refusal { exit_code: u8::try_from(error.exit_code()).unwrap_or(2), text }
}

#[cfg(test)]
mod tests;
