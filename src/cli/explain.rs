//! `tidegate explain`: where a statement would go, and why.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::refuse;
use super::running::Running;
use crate::cluster::{Cluster, ProbeError, State};
use crate::config::{ListenAddress, Settings, UserSettings};
use crate::sql::{Cause, Strings, Use, parse};
use crate::topology;

/// Longest wait for the primary and for the catalog.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest wait for the replicas: one that is down never comes.
const REPLICAS: Duration = Duration::from_secs(1);

/// Explains by the text alone.
pub fn by_text(text: &str) -> ExitCode {
    let parsed = parse(text, Strings::Standard);
    let statement = parsed.without_catalog();
    if statement.cause == Cause::SyntaxError {
        eprintln!("tidegate: PostgreSQL's grammar refuses this statement, so it would go to the primary");
        return ExitCode::FAILURE;
    }
    println!("{}", statement.in_words());
    for (how, name) in parsed.mentions.iter() {
        let what = match how {
            Use::Read => "reads",
            Use::Written => "writes",
            Use::Called(_) => "calls",
            Use::CastTo => "casts to",
            Use::Operator | Use::Field => continue,
        };
        let schema = name.schema.map(|schema| format!("{schema}.")).unwrap_or_default();
        println!("{what} {schema}{}", name.name);
    }
    println!("No database was asked (give --url): what its views, functions and tables do is not known.");
    ExitCode::SUCCESS
}

/// Asks the database, by way of a proxy that lives only for this question.
pub fn with_database(settings: &Settings, database: Option<&str>, text: &str) -> ExitCode {
    let first = settings.databases.first();
    let chosen = match database {
        Some(name) => settings.databases.iter().find(|d| d.name == name),
        None => first,
    };
    let Some(chosen) = chosen else {
        return refuse(&"the configuration has no database of this name");
    };
    let Some(user) = chosen.users.first() else { return refuse(&"the database has no user") };
    let listen = vec![ListenAddress::Tcp(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0))];
    let databases = vec![chosen.clone()];
    let alone = Settings { listen, admin: None, workers: Some(1), databases, ..settings.clone() };
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(async {
            match explain(&alone, &chosen.name, user, text).await {
                Ok(lines) => {
                    println!("{}", lines.join("\n"));
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("tidegate: {error}");
                    ExitCode::FAILURE
                }
            }
        }),
        Err(error) => refuse(&error),
    }
}

async fn explain(
    settings: &Settings,
    database: &str,
    user: &UserSettings,
    text: &str,
) -> Result<Vec<String>, String> {
    let running = Running::start(&topology::located(settings, |_| None).await?).await?;
    let cluster = running.proxy.database(database).map(|d| Arc::clone(&d.cluster)).ok_or("no database")?;
    get_ready(&cluster).await?;
    let address = running.listen.iter().find_map(ListenAddress::tcp).ok_or("no address")?;
    let mut config = tokio_postgres::Config::new();
    config.host(address.ip().to_string()).port(address.port()).user(&user.name).dbname(database);
    if let Some(password) = &user.password {
        config.password(password.expose());
    }
    let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(words)?;
    let driver = tokio::spawn(connection);
    let answer = client.simple_query(&format!("explain (route) {text}")).await.map_err(words)?;
    driver.abort();
    let line = |message: &tokio_postgres::SimpleQueryMessage| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    };
    Ok(answer.iter().filter_map(line).collect())
}

/// Waits until the catalog has been read and the replicas that answer have shown how fresh they are.
async fn get_ready(cluster: &Cluster) -> Result<(), String> {
    if cluster.primary_within(PATIENCE).await.is_none() {
        return Err("no primary was found; try tidegate check".to_owned());
    }
    cluster.catalog.read_within(PATIENCE).await;
    let until = Instant::now() + REPLICAS;
    while cluster.nodes().iter().any(|node| node.state() == State::Down) && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

/// The server's own words.
fn words(error: tokio_postgres::Error) -> String {
    ProbeError::from(error).to_string()
}
