/// Longest name of a folder that every file system takes, in bytes, with room to spare.
const MAX: usize = 200;

/// A name as the name of a folder: what is not a letter, a digit, `_`, `-` or `.` of ASCII, and a
/// dot at the beginning, becomes `%` and two digits. A long one is cut and ends with `~` and a
/// part of its hash.
pub(crate) fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for (i, b) in name.bytes().enumerate() {
        match b {
            b'.' if i == 0 => out.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => out.push(char::from(b)),
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    if out.len() > MAX {
        let hash = blake3::hash(name.as_bytes()).to_hex();
        out.truncate(MAX - 33);
        out.push('~');
        out.push_str(&hash.as_str()[..32]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(encode("run-1_a.b"), "run-1_a.b");
        assert_eq!(encode(".hidden"), "%2Ehidden");
        assert_eq!(encode("a b%/ü"), "a%20b%25%2F%C3%BC");
        assert_eq!(encode(&"x".repeat(MAX)).len(), MAX);
        let (long, other) = ("ü".repeat(500), format!("{}a", "ü".repeat(499)));
        assert_eq!(encode(&long).len(), MAX);
        assert_ne!(encode(&long), encode(&other));
    }
}
