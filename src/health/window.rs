//! How much has failed lately.

use crate::freshness::Tick;

/// Length of a slot, in nanoseconds.
const SLOT: u64 = 250_000_000;
/// Slots that count: ten seconds.
const SLOTS: usize = 40;
/// Slots that are the last moment: half a second and the slot that has begun.
const MOMENT: u64 = 3;

/// What has begun and what has failed in the last ten seconds.
#[derive(Clone, Debug)]
pub(super) struct Window {
    slots: [Slot; SLOTS],
}

impl Default for Window {
    fn default() -> Self {
        Self { slots: [Slot::default(); SLOTS] }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    /// Which slot of all time this is.
    number: u64,
    begun: u64,
    failed: u64,
}

impl Window {
    /// So much has begun, and so much failed, until now.
    pub(super) fn add(&mut self, begun: u64, failed: u64, now: Tick) {
        let number = now.0 / SLOT;
        let slot = &mut self.slots[usize::try_from(number % SLOTS as u64).unwrap_or(0)];
        if slot.number != number {
            *slot = Slot { number, ..Slot::default() };
        }
        slot.begun += begun;
        slot.failed += failed;
    }

    /// What has begun and what has failed, in the last moment and in all the time that counts.
    pub(super) fn sums(&self, now: Tick) -> [(u64, u64); 2] {
        let number = now.0 / SLOT;
        [MOMENT, SLOTS as u64].map(|slots| {
            let lately = self.slots.iter().filter(|slot| number.saturating_sub(slot.number) < slots);
            lately.fold((0, 0), |(begun, failed), slot| (begun + slot.begun, failed + slot.failed))
        })
    }
}
