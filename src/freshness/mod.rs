//! Marks, horizons and the one comparison between them.
//!
//! Owns what "fresh enough" means: a replica may serve a read exactly when its [`Horizon`] is not before the
//! read's mark, both instants on the proxy's own clock. It must not know sockets, clocks or nodes: instants and
//! WAL positions are handed in. The argument why this is sound is in `docs/freshness.md`.

mod horizon;
mod lsn;

pub use horizon::{Horizon, Sample};
pub use lsn::{Lsn, LsnError};

/// An instant on the proxy's monotonic clock, in nanoseconds since shortly before it started.
///
/// [`Tick::NEVER`] is before every instant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// Before everything: the horizon of a replica nothing is known about, the mark of a read that needs nothing.
    pub const NEVER: Self = Self(0);

    /// Nanoseconds from `earlier` to `self`; 0 when `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
