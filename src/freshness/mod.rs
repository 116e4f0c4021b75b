//! Marks, horizons and the one comparison between them.
//!
//! Owns what "fresh enough" means: a replica may serve a read exactly when its [`Horizon`] is not before the
//! read's mark, both instants on the proxy's own clock. Whatever a read must see comes down to a mark: writes that were
//! acknowledged ([`Marks`]), commits that are under way ([`Flights`]), a token ([`Position`], by way of [`Lineage`] and
//! [`Trail`]). It must not know sockets, clocks or nodes: instants and WAL positions are handed in. The argument why this is sound is in `docs/freshness.md`.

mod flights;
mod horizon;
mod lsn;
mod marks;
mod position;
mod trail;

pub use flights::Flights;
pub use horizon::{Horizon, Sample};
pub use lsn::{Lsn, LsnError};
pub use marks::{Footprint, Group, Marks};
pub use position::{Foreign, Fork, Lineage, Position, PositionError};
pub use trail::Trail;

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

    /// The instant this long before; [`Tick::NEVER`] where that is before the clock began.
    #[must_use]
    pub fn before(self, age: std::time::Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(age.as_nanos()).unwrap_or(u64::MAX)))
    }
}
