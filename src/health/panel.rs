//! What is weighed among all replicas of a cluster.

use std::ops::DerefMut;
use std::time::Duration;

use super::limits::nanos;
use super::{Cause, Causes, Health, Limits, Seen};
use crate::freshness::Tick;

/// Between two looks.
pub const LOOK: Duration = Duration::from_millis(100);
/// Whoever looks so late was held up himself, and does not say of others that they do not answer.
const LATE: Duration = Duration::from_millis(300);
/// For how long a cause that was found in too many at once is not followed. As long as failures count: whoever is let in
/// again has to be given the time to fail.
const LINGER: Duration = Duration::from_secs(10);

/// What is weighed among all replicas of a cluster.
///
/// What more than half of them have in common is hardly the fault of one of them: a burst of writes, a statement that
/// fails everywhere, a network that has become slow. Taking them out would only put all load on the others, or the
/// primary. So such a cause is not followed, and that is said. (Envoy has the same by the name of panic threshold.)
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Until when each cause is not followed.
    overruled_until: [Tick; Cause::ALL.len()],
    last_look: Tick,
}

impl Panel {
    /// Takes in what was seen of each replica, in the same order as their healths, and lets each go where it belongs.
    /// Returns the causes that are not followed.
    pub fn look<H: DerefMut<Target = Health>>(
        &mut self,
        healths: &mut [H],
        seen: &[Seen],
        limits: &Limits,
        now: Tick,
    ) -> Causes {
        let late = self.last_look != Tick::NEVER && now.since(self.last_look) > nanos(LATE);
        self.last_look = now;
        let usual: Vec<_> = healths.iter().map(|health| health.usual()).collect();
        for (i, (health, seen)) in healths.iter_mut().zip(seen).enumerate() {
            let unanswered = seen.unanswered.filter(|_| !late);
            health.observe(&Seen { unanswered, ..*seen }, of_others(&usual, i), limits, now);
        }
        let overruled = self.weigh(healths, now);
        for health in healths.iter_mut() {
            let causes = health.wants(now).without(overruled);
            health.settle(causes, limits, now);
        }
        overruled
    }

    /// The causes that are not followed.
    fn weigh<H: DerefMut<Target = Health>>(&mut self, healths: &[H], now: Tick) -> Causes {
        let wants: Vec<_> =
            healths.iter().filter(|health| health.is_reachable()).map(|health| health.wants(now)).collect();
        let all = wants.iter().fold(Causes::NONE, |all, wants| all.and(*wants));
        let is_common = |cause| 2 * wants.iter().filter(|wants| wants.contains(cause)).count() > wants.len();
        let common = all.iter().filter(|cause| is_common(*cause));
        self.overrule(common, now);
        let overruled = self.overruled(all, now);
        // Nor does the last one go, whatever each of the others went for.
        if wants.iter().all(|wants| !wants.without(overruled).is_empty()) {
            self.overrule(all.iter(), now);
        }
        self.overruled(all, now)
    }

    fn overrule(&mut self, causes: impl Iterator<Item = Cause>, now: Tick) {
        for cause in causes {
            self.overruled_until[cause as usize] = Tick(now.0.saturating_add(nanos(LINGER)));
        }
    }

    fn overruled(&self, of: Causes, now: Tick) -> Causes {
        let mut overruled = Causes::NONE;
        for cause in of.iter().filter(|cause| now < self.overruled_until[*cause as usize]) {
            overruled.set(cause, true);
        }
        overruled
    }
}

/// The lower median of what all but one have; `None` where no other has anything.
fn of_others(usual: &[Option<u64>], but: usize) -> Option<u64> {
    let others = usual.iter().enumerate().filter(|(i, _)| *i != but);
    let mut others: Vec<_> = others.filter_map(|(_, usual)| *usual).collect();
    others.sort_unstable();
    others.get(others.len().saturating_sub(1) / 2).copied()
}
