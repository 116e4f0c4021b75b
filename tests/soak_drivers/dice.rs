//! Random numbers that are the same for the same seed.

/// xorshift64.
pub struct Dice(u64);

impl Dice {
    /// For one session of one client.
    pub fn new(seed: u64, client: usize, session: u64) -> Self {
        let mixed =
            (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ ((client as u64 + 1) << 40) ^ (session + 1);
        let mut dice = Self(mixed.max(1));
        for _ in 0..8 {
            dice.next();
        }
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// A number from 0, less than `limit`.
    pub fn below(&mut self, limit: i32) -> i32 {
        i32::try_from((self.next() >> 11) % u64::from(limit.unsigned_abs())).unwrap_or(0)
    }
}
