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
        if !self.plain && (self.escaped || block.contains(&b'\\')) {
            return self.bytes(block);
        }
        let quotes = bits(block, |word| equal(word, b'"'));
        let strings = inside(quotes) ^ if self.in_string { u64::MAX } else { 0 };
        self.in_string ^= quotes.count_ones() % 2 == 1;
        // Few other characters have all these bits, so that most blocks are done with here.
        if bits(block, |word| equal(word | every(0x26), 0x7f)) & !strings == 0 {
            return None;
        }
        // One bit is all that curly brackets differ from square ones in.
        let fold = every(0x20);
        let opens = bits(block, |word| equal(word | fold, b'{')) & !strings;
        let mut closes = bits(block, |word| equal(word | fold, b'}')) & !strings;
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

/// What is asked of eight bytes at a time, for 64: a bit each.
fn bits(block: &[u8; 64], ask: impl Fn(u64) -> u64) -> u64 {
    let words = block.as_chunks::<8>().0.iter().enumerate();
    words.fold(0, |bits, (index, word)| {
        bits | ask(u64::from_le_bytes(*word)) << (index * 8)
    })
}

const fn every(byte: u8) -> u64 {
    u64::from_le_bytes([byte; 8])
}

/// Which of eight bytes are this one: a bit each.
fn equal(word: u64, byte: u8) -> u64 {
    let differing = word ^ every(byte);
    let low = every(0x7f);
    let same = !(((differing & low) + low) | differing | low);
    (same >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
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
            for wanted in *b"\"\\{}[]x\0\xff" {
                let bit = |(index, found): (usize, &u8)| u64::from(*found == wanted) << index;
                let expected = block.iter().enumerate().map(bit).fold(0, |a, b| a | b);
                assert_eq!(bits(&block, |word| equal(word, wanted)), expected);
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
