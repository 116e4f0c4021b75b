//! Asking a server for what it keeps of a user's password (`auth_query`).
//!
//! On a connection of its own, to which nothing comes from the client but the name, bound as a parameter: the
//! `search_path` is set at login, so that neither a client's start-up options nor the role's own settings say what the
//! names in the query mean (CVE-2025-12819 in PgBouncer).

use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row, Statement};

use super::probe::{Control, ProbeError, bounded};
use super::{Cluster, Node, State};
use crate::config::{DatabaseSettings, NodeSettings, Secret};
use crate::routing::NodeId;
use std::sync::Arc;

/// Whether the role may log in and its password is still valid. The query may have forgotten to ask (CVE-2025-2291 in PgBouncer).
const ROLE: &str = "select rolcanlogin and (rolvaliduntil is null or rolvaliduntil >= pg_catalog.now()) \
     from pg_catalog.pg_roles where rolname = $1";

/// Why a server has not said what it keeps of a user's password.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No node can be asked.
    #[error("no node can be reached")]
    NoNode,
    /// It could not be connected to, refused the question, or did not answer in time.
    #[error("{0}")]
    Probe(#[from] ProbeError),
    /// Its answer cannot be understood.
    #[error(
        "the query must return at most one row of two texts, the name that was asked for and its password: {0}"
    )]
    Rubbish(String),
}

impl From<tokio_postgres::Error> for AskError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Probe(error.into())
    }
}

/// A connection on which a server is asked.
pub struct Inquiry {
    client: Client,
    node: NodeId,
    query: Statement,
    role: Statement,
}

impl std::fmt::Debug for Inquiry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Inquiry")
    }
}

impl Inquiry {
    /// Connects to the node that is to be asked, as [`Control::for_accounts`] says.
    pub async fn open(control: &Control, node: &Node, query: &str) -> Result<Self, AskError> {
        Self::begin(control, &node.settings, node.id, query).await
    }

    async fn begin(
        control: &Control,
        settings: &NodeSettings,
        node: NodeId,
        query: &str,
    ) -> Result<Self, AskError> {
        let within = control.connect_timeout();
        let (client, driver) = control.open(settings, "tidegate auth_query").await?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "connection of auth_query ended");
            }
        });
        let (query, role) = bounded(within, async {
            tokio::try_join!(
                client.prepare_typed(query, &[Type::TEXT]),
                client.prepare_typed(ROLE, &[Type::TEXT])
            )
        })
        .await?;
        Ok(Self { client, node, query, role })
    }

    /// Asks a node once, for whoever asks, to see whether it can be asked.
    pub async fn attempt(settings: &DatabaseSettings, node: &NodeSettings) -> Result<(), AskError> {
        let Some(query) = &settings.accounts.query else { return Ok(()) };
        let control = Control::for_accounts(settings);
        let inquiry = Self::begin(&control, node, NodeId(0), query).await?;
        bounded(control.connect_timeout(), async {
            inquiry.client.query_opt(&inquiry.query, &[&control.user()]).await.map(drop)
        })
        .await?;
        Ok(())
    }

    /// Whether it can be asked on, now that this node is to be asked.
    pub fn is_with(&self, node: &Node) -> bool {
        self.node == node.id && !self.client.is_closed()
    }

    /// What is kept of the password of whoever has this name; `None`: nobody who may log in by a password. Both questions
    /// take one round trip.
    pub async fn ask(&self, name: &str) -> Result<Option<Secret>, AskError> {
        let asked = [&name as &(dyn tokio_postgres::types::ToSql + Sync)];
        let (kept, role) = tokio::join!(
            self.client.query_opt(&self.query, &asked),
            self.client.query_opt(&self.role, &asked)
        );
        let may_log_in = match role? {
            Some(role) => role.try_get::<_, bool>(0)?,
            None => false,
        };
        let Some(row) = kept.map_err(rubbish)? else { return Ok(None) };
        let password = password(&row, name)?;
        Ok(password.filter(|_| may_log_in))
    }
}

/// More rows than one are the query's fault, not the server's.
fn rubbish(error: tokio_postgres::Error) -> AskError {
    if error.as_db_error().is_none() && !error.is_closed() && std::error::Error::source(&error).is_none() {
        return AskError::Rubbish(error.to_string());
    }
    error.into()
}

fn password(row: &Row, name: &str) -> Result<Option<Secret>, AskError> {
    if row.len() != 2 {
        return Err(AskError::Rubbish(format!("there are {} columns", row.len())));
    }
    let text = |column: usize| {
        row.try_get::<_, Option<String>>(column)
            .map_err(|_| AskError::Rubbish(format!("column {} is no text", column + 1)))
    };
    match text(0)? {
        // A function that returns one row returns one of nothing where there is none.
        None => return Ok(None),
        Some(found) if found != name => return Err(AskError::Rubbish("it is about another name".to_owned())),
        Some(_) => {}
    }
    Ok(text(1)?.map(Secret::new))
}

impl Cluster {
    /// The node to ask who may log in: the primary, or while there is none, the replica that is least behind. That one may
    /// say what was so before the last changes; so do the replicas themselves, whoever connects to them.
    pub fn informed(&self) -> Option<Arc<Node>> {
        let replica = || {
            let nodes = self.nodes();
            let replicas = nodes.iter().filter(|node| node.state() == State::Replica);
            replicas.max_by_key(|node| node.horizon()).cloned()
        };
        self.primary().or_else(replica)
    }
}
