//! `tidegate check`: the bootstrap check. Connects to every node as the running proxy would.

use std::process::ExitCode;

use super::refuse;
use crate::cluster::{Finding, Identity, Inquiry, Survey};
use crate::config::{DatabaseSettings, Settings};
use crate::freshness::Lsn;
use crate::pool::LeaseError;
use crate::server::Attempt;
use crate::session::{Encryption, Proxy};
use crate::topology;

/// Checks every database and says what was found; the exit code is 0 when all can be served.
pub fn check(settings: &Settings) -> ExitCode {
    for warning in &settings.warnings {
        eprintln!("warning: {warning}");
    }
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(all(settings)),
        Err(error) => refuse(&error),
    }
}

async fn all(settings: &Settings) -> ExitCode {
    let settings = &match topology::located(settings, |_| None).await {
        Ok(settings) => settings,
        Err(text) => {
            eprintln!("cannot serve: {text}");
            return ExitCode::FAILURE;
        }
    };
    let proxy = Proxy::new(settings, std::sync::Arc::default(), crate::cluster::Clock::start());
    let mut faults = Vec::new();
    match Encryption::read(&settings.tls) {
        Ok(encryption) => encryption.concerns().iter().for_each(|concern| eprintln!("warning: {concern}")),
        Err(unreadable) => faults.extend(unreadable.to_string().lines().map(str::to_owned)),
    }
    for database in &settings.databases {
        println!("database {}", database.name);
        let survey = Survey::take(database).await;
        let flushed =
            survey.primaries().find_map(|f| f.answer.as_ref().ok()).map(|identity| identity.position);
        survey.findings.iter().for_each(|f| println!("  {}", describe(f, database, flushed)));
        survey.concerns(database).iter().for_each(|concern| eprintln!("warning: {concern}"));
        faults.extend(survey.faults(database));
        faults.extend(survey.oddities(database));
        if survey.primaries().next().is_none() && survey.findings.iter().any(|f| f.answer.is_ok()) {
            faults.push(format!(
                "database {}: no node takes writes: all that answer are replicas. Name the primary, too, or promote one of them",
                database.name
            ));
        }
        faults.extend(log_in(&proxy, database, &survey).await);
        faults.extend(look_up(database, &survey).await);
    }
    if faults.is_empty() {
        println!("ok: every database can be served");
        return ExitCode::SUCCESS;
    }
    for fault in &faults {
        eprintln!("cannot serve: {fault}");
    }
    ExitCode::FAILURE
}

fn describe(finding: &Finding, settings: &DatabaseSettings, flushed: Option<Lsn>) -> String {
    let node = &finding.node;
    match &finding.answer {
        Err(_) => format!("{node}  down: {}", finding.trouble(settings).unwrap_or_default()),
        Ok(identity) => {
            let Identity { system, timeline, version_text, position, .. } = identity;
            let role = if identity.in_recovery { "replica" } else { "primary" };
            let lag = match flushed {
                Some(flushed) if identity.in_recovery => {
                    format!(", lag {} bytes (replayed {position})", flushed.0.saturating_sub(position.0))
                }
                _ => format!(", at {position}"),
            };
            format!("{node}  {role}, PostgreSQL {version_text}, system {system}, timeline {timeline}{lag}")
        }
    }
}

/// Logs in as every user, on every node that answers, the way clients' connections will.
async fn log_in(proxy: &Proxy, database: &DatabaseSettings, survey: &Survey) -> Vec<String> {
    let mut faults = Vec::new();
    let settings = database;
    let Some(database) = proxy.database(&settings.name) else { return faults };
    for (name, user) in &database.users {
        for ((_, pool), _) in user.pools.iter().zip(&survey.findings).filter(|(_, f)| f.answer.is_ok()) {
            if let Err(error) = pool.lease().await {
                let attempt = Attempt { user: name, database: &settings.server_name };
                let advice = match &error {
                    LeaseError::Connect { error, .. } => attempt.advice(error),
                    _ => None,
                };
                faults.push(advice.map_or_else(|| error.to_string(), |advice| format!("{error}. {advice}")));
            }
        }
    }
    faults
}

/// Asks a node that answers what is asked for users that are not configured.
async fn look_up(database: &DatabaseSettings, survey: &Survey) -> Option<String> {
    let finding = survey.findings.iter().find(|f| f.answer.is_ok())?;
    let error = Inquiry::attempt(database, &finding.node).await.err()?;
    let name = &database.name;
    Some(format!(
        "database {name}: auth_query fails, so users that are not configured cannot log in: {error}. Let auth_user ask a function that \
         may read pg_authid (SECURITY DEFINER): docs/users.md"
    ))
}
