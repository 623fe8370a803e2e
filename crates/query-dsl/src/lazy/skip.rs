//! Skipping arrays and objects of JSON text, 64 bytes at a time.

/// The place behind the bracket that closes what the bracket at `at` opens; nothing if none does.
/// Which kind of bracket closes which is not looked at. `plain`: no backslash is anywhere.
pub(super) fn container(bytes: &[u8], at: usize, plain: bool) -> Option<usize> {
    let mut state = State {
        depth: 0,
        in_string: false,
        escaped: false,
        plain,
    };
    let (blocks, rest) = bytes.get(at..)?.as_chunks::<64>();
    for (index, block) in blocks.iter().enumerate() {
        if let Some(end) = state.block(block) {
            return Some(at + index * 64 + end);
        }
    }
    let mut last = [b' '; 64];
    last.get_mut(..rest.len())?.copy_from_slice(rest);
    Some(at + blocks.len() * 64 + state.block(&last)?)
}

/// Where in the text one is.
struct State {
    depth: u64,
    in_string: bool,
    /// The last byte was a backslash that escapes the next.
    escaped: bool,
    plain: bool,
}

impl State {
    /// The place behind the bracket that closes the first one, if it is in this block.
    fn block(&mut self, block: &[u8; 64]) -> Option<usize> {
        let seen = Seen::of(block);
        if !self.plain && (self.escaped || seen.backslashes) {
            return self.bytes(block);
        }
        if !seen.brackets {
            self.in_string ^= seen.odd_quotes;
            return None;
        }
        let quotes = bits(block, 0, b'"');
        let strings = inside(quotes) ^ if self.in_string { u64::MAX } else { 0 };
        self.in_string ^= seen.odd_quotes;
        // One bit is all that curly brackets differ from square ones in.
        let opens = bits(block, 0x20, b'{') & !strings;
        let mut closes = bits(block, 0x20, b'}') & !strings;
        let mut closed = u64::from(closes.count_ones());
        if closed >= self.depth {
            // The end may be here: look at each.
            closed = 0;
            while closes != 0 {
                let place = closes.trailing_zeros();
                let before = u64::from((opens & ((1 << place) - 1)).count_ones());
                closed += 1;
                if self.depth + before <= closed {
                    return Some(place as usize + 1);
                }
                closes &= closes - 1;
            }
        }
        self.depth = self.depth + u64::from(opens.count_ones()) - closed;
        None
    }

    /// As [`State::block`], byte by byte: backslashes change what quotes mean.
    fn bytes(&mut self, block: &[u8; 64]) -> Option<usize> {
        for (index, byte) in block.iter().enumerate() {
            if self.escaped {
                self.escaped = false;
                continue;
            }
            match byte {
                b'\\' => self.escaped = self.in_string,
                b'"' => self.in_string = !self.in_string,
                b'{' | b'[' if !self.in_string => self.depth += 1,
                b'}' | b']' if !self.in_string => {
                    self.depth = self.depth.saturating_sub(1);
                    if self.depth == 0 {
                        return Some(index + 1);
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// What is in a block, wherever; most have no bracket and are done with then.
struct Seen {
    /// The number of quotes is odd.
    odd_quotes: bool,
    brackets: bool,
    backslashes: bool,
}

impl Seen {
    fn of(block: &[u8; 64]) -> Self {
        let curly = |bracket| count(block, 0x20, bracket) != 0;
        Self {
            odd_quotes: count(block, 0, b'"') % 2 == 1,
            brackets: curly(b'{') | curly(b'}'),
            backslashes: count(block, 0, b'\\') != 0,
        }
    }
}

/// How many bytes are this one when they have these bits. Without a branch, so that it is compiled
/// to look at many bytes at once.
fn count(block: &[u8; 64], with: u8, wanted: u8) -> u8 {
    let found = block.iter().map(|byte| u8::from(byte | with == wanted));
    found.fold(0, u8::wrapping_add)
}

/// Which bytes are this one when they have these bits: a bit each.
fn bits(block: &[u8; 64], with: u8, wanted: u8) -> u64 {
    // Each byte has the bit of its place among eight; added up, they are the byte of all.
    let place = |index: usize| 1 << (index % 8);
    let same = |index: usize, byte: u8| {
        if byte | with == wanted {
            place(index)
        } else {
            0
        }
    };
    let mut found = [0_u8; 64];
    for (index, (byte, found)) in block.iter().zip(&mut found).enumerate() {
        *found = same(index, *byte);
    }
    let words = found.as_chunks::<8>().0.iter().enumerate();
    words.fold(0, |bits, (index, word)| {
        let sum = u64::from_le_bytes(*word).wrapping_mul(every(0x01)) >> 56;
        bits | sum << (index * 8)
    })
}

const fn every(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// The bits from each odd quote on, up to the next.
fn inside(quotes: u64) -> u64 {
    let mut bits = quotes;
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The place of the quote that ends the string whose text begins at `at`.
pub(super) fn string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at;
    loop {
        while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*word);
            let found = zeros(word ^ every(b'"')) | zeros(word ^ every(b'\\'));
            if found != 0 {
                at += found.trailing_zeros() as usize / 8;
                break;
            }
            at += 8;
        }
        match bytes.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// A bit in each byte that is zero, and perhaps in some after the first such.
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(every(0x01)) & !word & every(0x80)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_end_where_they_do() {
        let long = format!(r#"{{"a":"{}","b":[1,{{"]":"}}\\"}}]}}, 5"#, "x".repeat(70));
        let check = |text: &str, expected: Option<usize>| {
            for pad in 0..70 {
                let padded = " ".repeat(pad) + text;
                let expected = expected.map(|end| end + pad);
                assert_eq!(
                    container(padded.as_bytes(), pad, false),
                    expected,
                    "{padded}"
                );
                if !text.contains('\\') {
                    assert_eq!(
                        container(padded.as_bytes(), pad, true),
                        expected,
                        "{padded}"
                    );
                }
            }
        };
        check("{}", Some(2));
        check("[]]", Some(2));
        check(r#"["]"]"#, Some(5));
        check(r#"["\"]"]x"#, Some(7));
        check(r#"["\\"]]"#, Some(6));
        check(r#"[{"a":[[]]},{}]]"#, Some(15));
        check(&long, Some(long.len() - 3));
        check(r#"[""#, None);
        check("[[]", None);
        check(r#"["]"#, None);
    }

    #[test]
    fn bytes_are_told_apart() {
        for byte in 0..=255 {
            let block: [u8; 64] = std::array::from_fn(|i| (i as u8).wrapping_mul(37) ^ byte);
            for (with, wanted) in [
                (0, b'"'),
                (0, b'\\'),
                (0x20, b'{'),
                (0x20, b'}'),
                (0, 0xff),
                (0, 0),
            ] {
                let places = (0..64).filter(|i| block[*i] | with == wanted);
                let expected = places.fold(0, |bits: u64, place| bits | 1 << place);
                assert_eq!(bits(&block, with, wanted), expected);
                assert_eq!(
                    u32::from(count(&block, with, wanted)),
                    expected.count_ones()
                );
            }
        }
    }

    #[test]
    fn strings_end_where_they_do() {
        let check = |text: &str, expected: Option<usize>| {
            for pad in 0..20 {
                let padded = "é".repeat(pad) + text;
                let found = string(padded.as_bytes(), 0);
                assert_eq!(found, expected.map(|end| end + 2 * pad), "{padded}");
            }
        };
        check("\"", Some(0));
        check("abcdefgh\"", Some(8));
        check(r#"a\"b\\" ""#, Some(6));
        check(r#"#]"!"#, Some(2));
        check("abc", None);
        check("abcdefg\\", None);
    }
}
