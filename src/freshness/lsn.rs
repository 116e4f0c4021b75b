//! WAL positions.

use std::fmt;
use std::str::FromStr;

/// A position in the write-ahead log, in bytes. Only comparable within one timeline of one system.
/// See <https://www.postgresql.org/docs/current/datatype-pg-lsn.html>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lsn(pub u64);

/// Text that is not a WAL position.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a WAL position (expected two hexadecimal numbers as in 16/B374D848)")]
pub struct LsnError;

impl FromStr for Lsn {
    type Err = LsnError;

    fn from_str(text: &str) -> Result<Self, LsnError> {
        let half = |s: &str| {
            let plain = (1..=8).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_hexdigit());
            if plain { u64::from_str_radix(s, 16).map_err(|_| LsnError) } else { Err(LsnError) }
        };
        let (high, low) = text.split_once('/').ok_or(LsnError)?;
        Ok(Self(half(high)? << 32 | half(low)?))
    }
}

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_writes_what_postgresql_prints() {
        for text in ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF"] {
            assert_eq!(text.parse::<Lsn>().map(|l| l.to_string()).as_deref(), Ok(text));
        }
        for bad in ["", "/", "1", "1/", "/1", "+1/2", "1/2/3", "123456789/0", "g/0", " 1/2"] {
            assert_eq!(bad.parse::<Lsn>(), Err(LsnError), "{bad:?}");
        }
    }
}
