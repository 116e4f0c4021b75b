//! How one replica stands.

use std::time::Duration;

use super::limits::nanos;
use super::pace::{self, Pace};
use super::window::Window;
use super::{Cause, Causes, Contact, Limits, Seen};
use crate::freshness::Tick;

/// The whole of a replica's share of the reads.
pub const FULL: u16 = 1000;
/// What slow start begins with.
const FIRST: u16 = FULL / 10;
/// Fewer failures tell nothing.
const LEAST_FAILURES: u64 = 5;
/// A question that is not answered for so long: the replica is out. (The monitor itself waits longer.)
const UNANSWERED: Duration = Duration::from_millis(500);
/// Whoever has been in for so long has not been flapping.
const CALM: Duration = Duration::from_mins(1);
/// How long one is held back for the first time; each time after that, twice as long.
const HOLDBACK: Duration = Duration::from_secs(1);
/// This long after the clock began nobody is let in slowly: nothing is known of anybody having been away.
const SETTLING: Duration = Duration::from_secs(5);

/// How one replica stands.
///
/// ```text
///          serves                      a hard cause, or a soft one that is followed
///   Away ─────────▶ In (its share grows) ───────────────────────────────────▶ Out
///     ▲              ▲                                                         │
///     │              └─────────────────────────────────────────────────────────┘
///     │                nothing is wrong any more, and it is not held back
///  Primary ◀──── (any): it has been promoted
/// ```
#[derive(Clone, Debug, Default)]
pub struct Health {
    place: Place,
    /// What is wrong with it at this moment, whether that is followed or not.
    wrong: Causes,
    /// Why it is out.
    followed: Causes,
    /// How often it has gone out without having been in for long.
    strikes: u32,
    failures: Window,
    pace: Pace,
    ejections: [u64; Cause::ALL.len()],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// It has not served yet, or not since it was the primary.
    #[default]
    Away,
    /// It is the primary, and nothing is to be said of it as a replica.
    Primary,
    /// It serves reads, since then.
    In { since: Tick, entry: Entry },
    /// It went out for this cause, and is held back until then whatever becomes of that.
    Out { cause: Cause, until: Tick },
}

/// How its share of the reads becomes whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Entry {
    AtOnce,
    Slowly,
}

impl Health {
    /// Its share of the reads, of [`FULL`]; 0: it is out.
    pub fn share(&self, limits: &Limits, now: Tick) -> u16 {
        let Place::In { since, entry } = self.place else { return 0 };
        let (been, whole) = (now.since(since), nanos(limits.slow_start));
        if been >= whole || entry == Entry::AtOnce {
            return FULL;
        }
        let grown = u128::from(been) * u128::from(FULL) / u128::from(whole);
        u16::try_from(grown).unwrap_or(FULL).clamp(FIRST, FULL)
    }

    /// Why it is out; none while it is in, or is the primary.
    pub fn causes(&self) -> Causes {
        self.followed
    }

    /// How often it has gone out for this cause.
    pub fn ejections(&self, cause: Cause) -> u64 {
        self.ejections[cause as usize]
    }

    /// How long its answers take by and large, in nanoseconds, if that is known.
    pub(super) fn usual(&self) -> Option<u64> {
        self.pace.usual()
    }

    /// Whether its next answer is wanted soon: it answered slowly, or is called slow.
    pub fn is_in_doubt(&self) -> bool {
        self.pace.is_in_doubt()
    }

    /// Whether it could serve, however well.
    pub(super) fn is_reachable(&self) -> bool {
        self.place != Place::Primary
            && !self.wrong.contains(Cause::Connect)
            && !self.wrong.contains(Cause::Role)
    }

    /// Why it should be out.
    pub(super) fn wants(&self, now: Tick) -> Causes {
        match self.place {
            // What is held back for a soft cause is out for that; it may not show while nobody is served.
            Place::Out { cause, until } if now < until => {
                let held = if cause.is_soft() { cause } else { Cause::Flapping };
                self.wrong.and(Causes::of(held))
            }
            _ => self.wrong,
        }
    }

    /// Takes in all that was seen of it. `others` is how long the others take to answer, where there are any.
    pub(super) fn observe(&mut self, seen: &Seen, others: Option<u64>, limits: &Limits, now: Tick) {
        if self.place == Place::Primary && seen.contact != Contact::Primary {
            self.place = Place::Away;
        }
        match seen.contact {
            Contact::Replica => self.reached(),
            Contact::Returned => {
                self.lost(Cause::Connect, limits, now);
                self.reached();
            }
            Contact::Suspected => self.wrong.set(Cause::Connect, true),
            Contact::Lost => self.lost(Cause::Connect, limits, now),
            Contact::Refused => self.lost(Cause::Role, limits, now),
            Contact::Primary => return self.reigns(),
        }
        if seen.unanswered.is_some_and(|time| time >= nanos(UNANSWERED)) {
            self.lost(Cause::Connect, limits, now);
        }
        self.lags(seen.lag, limits);
        self.worked(seen.begun, seen.failed, limits, now);
        self.answered(seen.answer, seen.unanswered, others, limits, now);
    }

    /// It answers as a replica.
    fn reached(&mut self) {
        self.wrong.set(Cause::Connect, false);
        self.wrong.set(Cause::Role, false);
    }

    /// It cannot serve, for a hard cause.
    fn lost(&mut self, cause: Cause, limits: &Limits, now: Tick) {
        self.reached();
        self.wrong.set(cause, true);
        if let Place::In { .. } = self.place {
            self.out(cause, limits, now);
        }
    }

    /// It has been promoted.
    fn reigns(&mut self) {
        (self.place, self.wrong) = (Place::Primary, Causes::NONE);
        (self.failures, self.pace) = Default::default();
    }

    /// Its horizon lies so far back.
    fn lags(&mut self, by: Option<u64>, limits: &Limits) {
        let Some(most) = limits.max_lag.map(nanos) else { return self.wrong.set(Cause::Lag, false) };
        // It comes back when it has caught up by a quarter, so that one on the limit does not go in and out.
        let most = if self.wrong.contains(Cause::Lag) { most / 4 * 3 } else { most };
        self.wrong.set(Cause::Lag, by.is_some_and(|by| by > most));
    }

    /// So much has begun there, and so much failed.
    fn worked(&mut self, begun: u64, failed: u64, limits: &Limits, now: Tick) {
        self.failures.add(begun, failed, now);
        let is_much = |(begun, failed): (u64, u64)| {
            // Of one transaction several statements may fail.
            let share = failed * 100 / begun.max(failed).max(1);
            failed >= LEAST_FAILURES && limits.max_error_percent.is_some_and(|most| share > most.into())
        };
        // What fails all of a sudden shows in the last moment, and where little is asked, over some time.
        self.wrong.set(Cause::Errors, self.failures.sums(now).into_iter().any(is_much));
    }

    /// An answer came, or one is waited for.
    fn answered(
        &mut self,
        answer: Option<u64>,
        unanswered: Option<u64>,
        others: Option<u64>,
        limits: &Limits,
        now: Tick,
    ) {
        // Alone, nobody is slow.
        let most = match (limits.latency_factor, others) {
            (Some(factor), Some(others)) => pace::limit(others, factor),
            _ => u64::MAX,
        };
        if let Some(took) = answer {
            self.pace.answered(took, most, now);
        }
        self.wrong.set(Cause::Latency, self.pace.is_slow(unanswered.unwrap_or(0), most, now));
    }

    /// Goes where it belongs, given why it should be out, as far as that is followed.
    pub(super) fn settle(&mut self, causes: Causes, limits: &Limits, now: Tick) {
        match (self.place, causes.iter().next()) {
            // Of a connection that broke it is being found out whether the node is lost.
            (Place::In { .. }, Some(cause)) if cause != Cause::Connect => self.out(cause, limits, now),
            (Place::Away, None) if now.0 < nanos(SETTLING) => {
                self.place = Place::In { since: now, entry: Entry::AtOnce };
            }
            (Place::Away | Place::Out { .. }, None) => {
                self.place = Place::In { since: now, entry: Entry::Slowly };
            }
            _ => {}
        }
        self.followed = match self.place {
            Place::In { .. } | Place::Primary => Causes::NONE,
            Place::Away | Place::Out { .. } => causes,
        };
    }

    fn out(&mut self, cause: Cause, limits: &Limits, now: Tick) {
        let Place::In { since, .. } = self.place else { return };
        self.strikes = if now.since(since) >= nanos(CALM) { 1 } else { self.strikes.saturating_add(1) };
        self.ejections[cause as usize] += 1;
        let until = Tick(now.0.saturating_add(self.holdback(cause, limits)));
        self.place = Place::Out { cause, until };
        // What it does when it is back counts anew.
        self.failures = Window::default();
        self.wrong.set(Cause::Errors, false);
    }

    /// For how long it is held back, in nanoseconds. Whoever was lost for the first time is not: that it is back can be
    /// seen. Whether something still fails there, or takes long, can only be tried.
    fn holdback(&self, cause: Cause, limits: &Limits) -> u64 {
        let times = self.strikes - 1 + u32::from(cause.is_soft());
        let Some(doublings) = times.checked_sub(1) else { return 0 };
        let doubled = nanos(HOLDBACK).saturating_mul(1u64.checked_shl(doublings.min(40)).unwrap_or(u64::MAX));
        doubled.min(nanos(limits.max_holdback))
    }
}
