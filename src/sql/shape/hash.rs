//! A keyed 128-bit hash over a sequence of tokens: two independent lanes of folded multiplication.
//!
//! Each token is absorbed as one word if it is short, else as a header word and its bytes in eights. The header holds
//! kind and length, so no sequence of tokens is absorbed as another one is.

/// Longest text that fits one word together with its header byte.
const SHORT: usize = 7;
/// Kind codes are below this; headers of short tokens are `kind | length << 4`.
const KINDS: u8 = 16;

#[derive(Clone, Debug)]
pub(super) struct ShapeHasher {
    lanes: [u64; 2],
    keys: [u64; 2],
    tokens: u64,
}

impl ShapeHasher {
    pub(super) fn new(seed: u64) -> Self {
        let mut state = seed;
        let mut draw = || splitmix(&mut state);
        ShapeHasher { lanes: [draw(), draw()], keys: [draw() | 1, draw() | 1], tokens: 0 }
    }

    /// A token of which only the kind counts.
    #[inline]
    pub(super) fn mark(&mut self, kind: u8) {
        self.absorb(u64::from(kind));
    }

    /// A token whose bytes count.
    #[inline]
    pub(super) fn text(&mut self, kind: u8, text: &[u8]) {
        self.token::<false>(kind, text);
    }

    /// A token whose bytes count in lower case. Only ASCII letters have a lower case here, as in `PostgreSQL` with a
    /// multi-byte encoding.
    #[inline]
    pub(super) fn word(&mut self, kind: u8, word: &[u8]) {
        self.token::<true>(kind, word);
    }

    #[inline]
    fn token<const FOLD: bool>(&mut self, kind: u8, text: &[u8]) {
        debug_assert!(kind < KINDS);
        let fold = |chunk: u64| if FOLD { lower(chunk) } else { chunk };
        if text.len() <= SHORT {
            let header = u64::from(kind) | (text.len() as u64) << 4;
            self.absorb(header | fold(read_short(text)) << 8);
            return;
        }
        // 8 in the length's place: no short token has it.
        self.absorb(u64::from(kind) | 8 << 4 | (text.len() as u64) << 8);
        let (chunks, _) = text.as_chunks::<8>();
        for chunk in chunks {
            self.absorb(fold(u64::from_le_bytes(*chunk)));
        }
        // The last eight bytes, overlapping what was read: the length is known, so this is as good as padding.
        if let Some(last) = text.last_chunk::<8>() {
            self.absorb(fold(u64::from_le_bytes(*last)));
        }
    }

    #[inline]
    fn absorb(&mut self, word: u64) {
        self.tokens += 1;
        let [first, second] = self.lanes;
        let [key, other_key] = self.keys;
        self.lanes = [folded(first ^ word, key), folded(second ^ word.rotate_left(32), other_key)];
    }

    pub(super) fn finish(&self) -> u128 {
        let [first, second] = self.lanes;
        let [key, other_key] = self.keys;
        let high = folded(first ^ self.tokens, key ^ second);
        let low = folded(second ^ self.tokens, other_key ^ first.rotate_left(32));
        u128::from(high) << 64 | u128::from(low)
    }
}

/// The halves of the 128-bit product, added up by exclusive or. The factor goes in once more, so that a zero in one step
/// does not wipe out what came before it.
#[inline]
fn folded(value: u64, key: u64) -> u64 {
    let product = u128::from(value) * u128::from(key);
    #[expect(clippy::cast_possible_truncation, reason = "both halves of the product are used")]
    let halves = (product as u64) ^ ((product >> 64) as u64);
    halves ^ value.rotate_left(23)
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Up to seven bytes as a number, the first lowest.
#[inline]
fn read_short(text: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        // Four to seven bytes as two overlapping reads.
        let shift = 8 * (text.len() - 4);
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << shift;
    }
    text.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// The ASCII letters among eight bytes in lower case.
#[inline]
fn lower(bytes: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const UPPER_A: u64 = 0x41;
    const UPPER_Z: u64 = 0x5a;
    let seven = bytes & (0x7f * ONES);
    let from_a = seven + (0x80 - UPPER_A) * ONES;
    let past_z = seven + (0x7f - UPPER_Z) * ONES;
    let upper = from_a & !past_z & !bytes & (0x80 * ONES);
    bytes | upper >> 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lowers_ascii_only() {
        for byte in 0..=u8::MAX {
            let bytes = [byte, b'@', byte, b'[', b'A', b'Z', 0xc1, byte];
            let expected = bytes.map(|byte| byte.to_ascii_lowercase());
            assert_eq!(lower(u64::from_le_bytes(bytes)), u64::from_le_bytes(expected));
        }
    }

    #[test]
    fn reads_short_texts() {
        let text = b"abcdefg";
        for length in 0..=SHORT {
            let mut padded = [0; 8];
            padded[..length].copy_from_slice(&text[..length]);
            assert_eq!(read_short(&text[..length]), u64::from_le_bytes(padded));
        }
    }

    /// No collision, in either half, among many short sequences that differ little.
    #[test]
    fn halves_do_not_collide() {
        let start = ShapeHasher::new(7);
        let mut keys = Vec::new();
        for number in 0..200_000_u32 {
            let mut hasher = start.clone();
            let text = format!("{number:b}");
            let (left, right) = text.split_at(text.len() / 2);
            hasher.text(1, left.as_bytes());
            hasher.text(2, right.as_bytes());
            keys.push(hasher.finish());
        }
        for half in [
            keys.iter().map(|key| key >> 64).collect::<Vec<_>>(),
            keys.iter().map(|key| key & u128::from(u64::MAX)).collect(),
        ] {
            let distinct: std::collections::HashSet<_> = half.iter().collect();
            assert_eq!(distinct.len(), keys.len());
        }
    }
}
