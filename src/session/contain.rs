//! A panic in a session: it ends this session and no other.
//!
//! What the session holds may be in any state. So its server connection is closed and not cleaned, and nothing is taken
//! for granted of what it may have written. What is counted is given back as at any other end, by `Drop`.

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use super::failure::{End, Failure};
use super::leased::{Answer, Leased};
use super::serve::Session;

/// How long a server may take to cancel what it runs, and to hang up.
const HANGS_UP: Duration = Duration::from_secs(1);

/// Serves until the session ends, also by a panic. Cancel safe if `serving` is. It is large, and stays where it is.
pub(super) async fn contain(mut serving: Pin<&mut impl Future<Output = Result<(), End>>>) -> Result<(), End> {
    // Nobody looks at what a panic has left behind but `Session::break_off`, which trusts none of it.
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| serving.as_mut().poll(cx)));
        polled.unwrap_or(Poll::Ready(Err(End::Fault)))
    })
    .await
}

impl Session {
    /// Ends the session after a panic in it. Returns what the client can be told.
    pub(super) async fn break_off(&mut self) -> End {
        self.proxy.stats.counter("tidegate_panics_total", &[]).increment(1);
        let (database, user) = (&*self.database.settings.name, &*self.user.name);
        tracing::error!(database, user, "a fault of the proxy has ended a session: please report the panic");
        let can_be_told = self.leased.as_ref().is_none_or(is_between_messages);
        if let Some(mut leased) = self.leased.take() {
            let _ = tokio::time::timeout(HANGS_UP, self.registered.slot.cancel()).await;
            let hung_up = poll_fn(|cx| leased.lease.poll_hang_up(cx));
            let _ = tokio::time::timeout(HANGS_UP, hung_up).await;
            // It may have written anything, up to now. Marked before the lease is dropped, and with it what is known of
            // commits under way.
            self.mark_everything();
            self.database.cluster.catalog.changed();
        }
        self.registered.slot.free().await;
        self.parked.clear();
        let told =
            Failure::fatal("XX000", "the proxy has run into a fault of its own, and ends this session")
                .with_hint(
                    "A transaction that was open is rolled back, unless its COMMIT was sent. Connect again.",
                );
        if can_be_told { told.into() } else { End::Client }
    }
}

/// Whether what the client was sent so far ends with a message.
fn is_between_messages(l: &Leased) -> bool {
    l.arriving == 0 && (l.scanned == 0 || l.turn.answer == Answer::HeldBack)
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::{provoke_in_replies, provoke_in_take};
