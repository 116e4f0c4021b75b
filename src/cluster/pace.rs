//! How often a node may be asked.

use crate::freshness::Tick;

/// Nanoseconds between two questions, on average, while marks are outstanding: 280 a second.
const GAP: u64 = 1_000_000_000 / 280;
/// Questions that may come at once after a quiet time: a single write is followed up without delay.
const BURST: u64 = 12;

/// What a node may be asked, as a leaky bucket: the generic cell rate algorithm of ITU-T I.371.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Budget {
    /// When it will be empty again.
    empty_at: Tick,
}

impl Budget {
    /// A question was asked. Those that somebody waits for are asked without leave: they may use it up, but leave no
    /// debt, which would silence the monitor for as long after a time of many strong reads.
    pub(super) fn spend(&mut self, now: Tick) {
        let full_at = now.0.saturating_add(GAP * BURST);
        self.empty_at = Tick(self.empty_at.max(now).0.saturating_add(GAP).min(full_at));
    }

    /// Nanoseconds until the next question may be asked; 0: now.
    pub(super) fn wait(self, now: Tick) -> u64 {
        self.empty_at.since(now).saturating_sub(GAP * (BURST - 1))
    }

    /// Whether there has been little to ask lately.
    pub(super) fn is_ample(self, now: Tick) -> bool {
        self.empty_at.since(now) < GAP * BURST / 2
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_and_then_an_even_pace() {
        let (mut budget, mut now, mut asked) = (Budget::default(), Tick(1), 0);
        while now.0 < 1_000_000_000 {
            now.0 += budget.wait(now);
            budget.spend(now);
            asked += 1;
            assert!(asked != BURST || now == Tick(1), "the burst comes at once");
        }
        assert!((280..=280 + BURST + 1).contains(&asked), "{asked}");
        assert!(!budget.is_ample(now) && budget.is_ample(Tick(now.0 + GAP * BURST)));
    }

    #[test]
    fn questions_without_leave_make_no_debt() {
        let (mut budget, mut now) = (Budget::default(), Tick(1));
        for _ in 0..10_000 {
            budget.spend(now);
            now.0 += GAP / 10;
        }
        assert!(budget.wait(now) <= GAP, "{}", budget.wait(now));
        assert!(!budget.is_ample(now));
    }
}
