//! Why a replica is out.

/// Why a replica is out. The labels are part of the metrics' contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Cause {
    /// It cannot be connected to, or does not answer the monitor.
    Connect,
    /// It is no replica of this primary.
    Role,
    /// Its state is older than it may be.
    Lag,
    /// Too much of what it is asked fails for a fault of its own.
    Errors,
    /// It takes several times as long to answer as the others.
    Latency,
    /// Nothing is wrong with it, but it was out too often lately.
    Flapping,
}

impl Cause {
    /// Every cause, in the order of declaration.
    pub const ALL: [Self; 6] =
        [Self::Connect, Self::Role, Self::Lag, Self::Errors, Self::Latency, Self::Flapping];

    /// The label in metrics and logs.
    pub fn label(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Role => "role",
            Self::Lag => "lag",
            Self::Errors => "errors",
            Self::Latency => "latency",
            Self::Flapping => "flapping",
        }
    }

    /// Whether the replica could serve all the same: such a cause is not followed where it would take out too many.
    pub fn is_soft(self) -> bool {
        !matches!(self, Self::Connect | Self::Role)
    }
}

/// A set of causes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Causes(u8);

impl Causes {
    /// No cause.
    pub const NONE: Self = Self(0);

    /// As a number, to be kept in an atomic.
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The set that [`Causes::bits`] made this number of.
    pub fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Whether there is no cause.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this is one of them.
    pub fn contains(self, cause: Cause) -> bool {
        self.0 & Self::of(cause).0 != 0
    }

    /// The causes of both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of the causes that are not among `others`.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Only this cause.
    pub fn of(cause: Cause) -> Self {
        Self(1 << cause as u8)
    }

    /// The causes, in the order of declaration.
    pub fn iter(self) -> impl Iterator<Item = Cause> {
        Cause::ALL.into_iter().filter(move |cause| self.contains(*cause))
    }

    pub(super) fn set(&mut self, cause: Cause, is: bool) {
        let one = Self::of(cause);
        *self = if is { self.and(one) } else { self.without(one) };
    }
}
