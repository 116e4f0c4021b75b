//! The one clock all freshness is expressed on.

use std::time::Instant;

use crate::freshness::Tick;

/// The proxy's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// The instant it is.
    pub fn now(&self) -> Tick {
        self.at(Instant::now())
    }

    /// An instant of the operating system's monotonic clock, on this one.
    pub fn at(&self, instant: Instant) -> Tick {
        let nanos = instant.saturating_duration_since(self.origin).as_nanos();
        Tick(u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1))
    }
}
