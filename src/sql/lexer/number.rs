//! Numbers and parameters: the part of `scan.l` with the most rules.

use super::{Broken, DIGIT, Lexer, WORD, WORD_START, is};

impl Lexer<'_> {
    /// The end of the number at `start`, which is a digit or a point before one.
    pub(super) fn number(&self, start: usize) -> Result<usize, Broken> {
        let plain = self.skip(start, DIGIT);
        if plain > start && self.at(plain) != b'.' && !is(self.at(plain), WORD) {
            // A plain integer, as nearly all are.
            return Ok(plain);
        }
        if self.at(start) == b'0' {
            let radix_digit: Option<fn(u8) -> bool> = match self.at(start + 1) | 0x20 {
                b'x' => Some(|byte| byte.is_ascii_hexdigit()),
                b'o' => Some(|byte| matches!(byte, b'0'..=b'7')),
                b'b' => Some(|byte| matches!(byte, b'0' | b'1')),
                _ => None,
            };
            if let Some(digit) = radix_digit {
                return self.radix(start + 2, digit);
            }
        }
        self.decimal(start)
    }

    /// `0x1F`, `0o17`, `0b_1`: digits, each with at most one underscore before it, and nothing of a word behind them.
    fn radix(&self, start: usize, digit: fn(u8) -> bool) -> Result<usize, Broken> {
        let mut end = start;
        loop {
            let digit_at = end + usize::from(self.at(end) == b'_');
            if !digit(self.at(digit_at)) {
                break;
            }
            end = digit_at + 1;
        }
        if end == start || is(self.at(end), WORD) { Err(Broken) } else { Ok(end) }
    }

    fn decimal(&self, start: usize) -> Result<usize, Broken> {
        // `tail` is where the last run of word bytes begins: what decides whether a `$` behind the number joins it.
        let (mut end, mut tail) = (start, start);
        if self.at(start) != b'.' {
            end = self.digits(start);
            if self.at(end) == b'.' && self.at(end + 1) == b'.' {
                // `1..2` is a range: the integer ends before it.
                return Ok(end);
            }
        }
        if self.at(end) == b'.' {
            tail = end + 1;
            end = self.digits(end + 1);
        }
        if self.at(end) | 0x20 == b'e' {
            let sign = usize::from(matches!(self.at(end + 1), b'+' | b'-'));
            if !is(self.at(end + 1 + sign), DIGIT) {
                return Err(Broken);
            }
            if sign == 1 {
                tail = end + 2;
            }
            end = self.digits(end + 1 + sign);
        }
        self.no_junk(tail, end)
    }

    /// Trailing junk is an error. The longest match wins in `scan.l`: `1_0$` and `1e5$` match "number, then identifier" one
    /// byte further than they match a number, while in `10$` the `$` cannot begin an identifier.
    fn no_junk(&self, tail: usize, end: usize) -> Result<usize, Broken> {
        let run = self.text.get(tail..end).unwrap_or_default();
        let splits = run.iter().any(|byte| is(*byte, WORD_START));
        let junk = if splits { WORD } else { WORD_START };
        if is(self.at(end), junk) { Err(Broken) } else { Ok(end) }
    }

    /// Past the decimal digits at `pos`, with single underscores between them.
    fn digits(&self, pos: usize) -> usize {
        let mut end = self.skip(pos, DIGIT);
        while end > pos && self.at(end) == b'_' && is(self.at(end + 1), DIGIT) {
            end = self.skip(end + 1, DIGIT);
        }
        end
    }

    /// The end of the parameter whose digits are at `start`. Its number must fit an `int4`. A word may follow at once, as in
    /// `pg_query` and up to `PostgreSQL` 14; later servers call that an error, on every node alike.
    pub(super) fn param(&self, start: usize) -> Result<usize, Broken> {
        let end = self.skip(start, DIGIT);
        let mut number = 0_i32;
        for byte in self.text.get(start..end).unwrap_or_default() {
            let digit = i32::from(byte - b'0');
            number = number.checked_mul(10).and_then(|tens| tens.checked_add(digit)).ok_or(Broken)?;
        }
        Ok(end)
    }
}
