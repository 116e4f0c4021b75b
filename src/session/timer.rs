//! How long a session has been in a state, and whether that is longer than it may be.
//!
//! One timer per session, and none where nothing is limited. It is armed lazily: when it goes off before the time is
//! up, because a state has begun meanwhile that may take longer, it is armed again for the rest. So a statement costs
//! a look at the clock, and a timer is set about once in the shortest of the times.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::config::LimitSettings;

/// How long a server has to answer a cancel request before its connection is closed.
const GRACE: Duration = Duration::from_secs(5);

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Doing {
    /// Nothing: the client has nothing on a server that it would have to go on with.
    Nothing,
    /// The client has a transaction open, or the middle of a COPY or a pipeline, and does not go on with it.
    Transaction,
    /// A server works on the segment that was sent at this instant.
    Segment(std::time::Instant),
}

/// Which time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// A statement has run for longer than `query_timeout`.
    Query(Duration),
    /// And the server has not ended it although it was asked to.
    Cancel(Duration),
    /// `idle_in_transaction_timeout`
    Transaction(Duration),
    /// `client_idle_timeout`
    Client(Duration),
}

/// The timer of a session.
#[derive(Debug)]
pub(super) struct Timer {
    limits: LimitSettings,
    doing: Doing,
    since: Instant,
    /// Whether, since then, the client has kept something waiting that is for it.
    held_up: bool,
    /// A segment that the server was asked to stop; it may have ended already.
    cancelled: Option<std::time::Instant>,
    /// Goes off when time is up, or before. Made when it is needed first.
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// `None` where nothing is limited.
    pub(super) fn new(limits: LimitSettings) -> Option<Box<Self>> {
        let LimitSettings { query_timeout, idle_in_transaction_timeout, client_idle_timeout, .. } = limits;
        query_timeout.or(idle_in_transaction_timeout).or(client_idle_timeout)?;
        let since = Instant::now();
        let doing = Doing::Nothing;
        Some(Box::new(Self { limits, doing, since, held_up: false, cancelled: None, alarm: None }))
    }

    /// What the session is doing now. What it did before is over unless it is the same.
    pub(super) fn is(&mut self, doing: Doing) {
        if self.doing != doing {
            self.begin(doing);
        }
    }

    /// The client has sent something: if it was idle, that begins anew.
    pub(super) fn stir(&mut self) {
        if matches!(self.doing, Doing::Nothing | Doing::Transaction) {
            self.begin(self.doing);
        }
    }

    /// The client does not take what is for it.
    pub(super) fn hold_up(&mut self) {
        self.held_up = true;
    }

    /// Whether it is the client that keeps the segment waiting: then it is given its time once more.
    pub(super) fn prolong(&mut self) -> bool {
        let held_up = self.held_up;
        if held_up {
            self.begin(self.doing);
        }
        held_up
    }

    /// The server was asked to stop what it is doing, and is given a while for that.
    pub(super) fn cancelled(&mut self) {
        if let Doing::Segment(sent) = self.doing {
            self.cancelled = Some(sent);
            self.begin(self.doing);
        }
    }

    /// What was asked to stop is over.
    pub(super) fn stopped(&mut self) {
        self.cancelled = None;
    }

    /// How long the statement that was asked to stop might have taken; `None` if none was.
    pub(super) fn cancels(&self) -> Option<Duration> {
        self.cancelled.and(self.limits.query_timeout)
    }

    fn begin(&mut self, doing: Doing) {
        self.doing = doing;
        self.held_up = false;
        if self.limit().is_some() {
            self.since = Instant::now();
        }
    }

    /// How long what the session is doing may take, and what it is then.
    fn limit(&self) -> Option<(Duration, Overdue)> {
        let LimitSettings { query_timeout, idle_in_transaction_timeout, client_idle_timeout, .. } =
            self.limits;
        match self.doing {
            Doing::Nothing => client_idle_timeout.map(|limit| (limit, Overdue::Client(limit))),
            Doing::Transaction => {
                idle_in_transaction_timeout.map(|limit| (limit, Overdue::Transaction(limit)))
            }
            Doing::Segment(sent) if self.cancelled == Some(sent) => {
                query_timeout.map(|limit| (GRACE, Overdue::Cancel(limit)))
            }
            Doing::Segment(_) => query_timeout.map(|limit| (limit, Overdue::Query(limit))),
        }
    }

    /// Ready when time is up.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Overdue> {
        let Some((limit, overdue)) = self.limit() else { return Poll::Pending };
        let due = self.since + limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        if alarm.deadline() > due {
            alarm.as_mut().reset(due);
        }
        while alarm.as_mut().poll(cx).is_ready() {
            if alarm.deadline() >= due {
                return Poll::Ready(overdue);
            }
            alarm.as_mut().reset(due);
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn timer(query: u32, transaction: u32, client: u32) -> Timer {
        let time = |ms: u32| Some(ms * MS).filter(|time| !time.is_zero());
        let limits = LimitSettings {
            query_timeout: time(query),
            idle_in_transaction_timeout: time(transaction),
            client_idle_timeout: time(client),
            ..LimitSettings::default()
        };
        *Timer::new(limits).unwrap()
    }

    /// What is overdue within a minute, and after how long.
    async fn overdue(timer: &mut Timer) -> Option<(Overdue, Duration)> {
        let begun = Instant::now();
        let due = tokio::time::timeout(60_000 * MS, poll_fn(|cx| timer.poll(cx))).await;
        due.ok().map(|due| (due, begun.elapsed()))
    }

    fn segment() -> Doing {
        Doing::Segment(std::time::Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn each_state_has_its_own_time() {
        assert!(Timer::new(LimitSettings::default()).is_none());
        let mut timer = timer(100, 2_000, 30_000);
        let sent = segment();
        for (doing, what, ms) in [
            (Doing::Nothing, Overdue::Client(30_000 * MS), 30_000),
            (sent, Overdue::Query(100 * MS), 100),
            (Doing::Transaction, Overdue::Transaction(2_000 * MS), 2_000),
            (segment(), Overdue::Query(100 * MS), 100),
            (Doing::Nothing, Overdue::Client(30_000 * MS), 30_000),
        ] {
            timer.is(doing);
            timer.stir();
            let (due, took) = overdue(&mut timer).await.unwrap();
            assert_eq!(due, what);
            assert!(took >= ms * MS && took <= (ms + 2) * MS, "{doing:?}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_limited_is_never_overdue() {
        let mut timer = timer(100, 0, 0);
        assert_eq!(overdue(&mut timer).await, None);
        timer.is(Doing::Transaction);
        assert_eq!(overdue(&mut timer).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_goes_on_grows_old() {
        let mut timer = timer(100, 0, 100);
        for _ in 0..10 {
            timer.is(segment());
            assert!(tokio::time::timeout(60 * MS, poll_fn(|cx| timer.poll(cx))).await.is_err());
            timer.is(Doing::Nothing);
            assert!(tokio::time::timeout(60 * MS, poll_fn(|cx| timer.poll(cx))).await.is_err());
            timer.stir();
            assert!(tokio::time::timeout(60 * MS, poll_fn(|cx| timer.poll(cx))).await.is_err());
        }
        let sent = segment();
        timer.is(sent);
        for _ in 0..4 {
            assert!(tokio::time::timeout(20 * MS, poll_fn(|cx| timer.poll(cx))).await.is_err());
            // That the client sends ahead does not matter.
            timer.stir();
            timer.is(sent);
        }
        assert!(overdue(&mut timer).await.unwrap().1 <= 22 * MS);
        assert!(!timer.prolong(), "nobody has held it up");
        timer.hold_up();
        assert!(timer.prolong());
        assert!(overdue(&mut timer).await.unwrap().1 >= 100 * MS);
        assert!(!timer.prolong());
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_segment_has_a_while_to_end() {
        let mut timer = timer(100, 0, 0);
        let sent = segment();
        timer.is(sent);
        overdue(&mut timer).await.unwrap();
        timer.cancelled();
        timer.is(sent);
        assert_eq!(timer.cancels(), Some(100 * MS));
        let (due, took) = overdue(&mut timer).await.unwrap();
        assert_eq!(due, Overdue::Cancel(100 * MS));
        assert!(took >= GRACE, "{took:?}");
        timer.stopped();
        timer.is(segment());
        assert_eq!(timer.cancels(), None);
        assert_eq!(overdue(&mut timer).await.unwrap().0, Overdue::Query(100 * MS));
    }
}
