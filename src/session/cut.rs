//! The proxy's stop has waited as long as it may: sessions in a transaction are cut off.

use std::time::Duration;

use super::client::Client;
use super::failure::{End, Failure};
use super::serve::Session;

/// How long a server may take to accept the request to cancel what it runs.
const CANCEL: Duration = Duration::from_secs(1);

impl Session {
    /// Ends the session whatever it does. What it runs is cancelled, as PostgreSQL does at a fast shutdown; what it has
    /// left open is rolled back when the session parts with its connections.
    pub(super) async fn cut_off(&mut self, client: &mut Client) -> End {
        let text = "terminating connection: the proxy is shutting down and waits no longer";
        let told = Failure::fatal("57P01", text).with_hint(
            "A transaction that was open is rolled back, unless its COMMIT was sent. Connect again.",
        );
        let Some(l) = &mut self.leased else { return told.into() };
        l.commit(client);
        l.hand_over(client);
        let (works, is_torn) = (l.exchange.is_working(), l.arriving > 0);
        if works {
            let _ = tokio::time::timeout(CANCEL, self.registered.slot.cancel()).await;
        }
        // A client that has half of a row can be told nothing more.
        if is_torn { End::Client } else { told.into() }
    }
}
