//! What is kept in git speaks of the project alone.

use std::{fs, process::Command};

use anyhow::Result;

use crate::steps::{output, root};

/// Paths of one machine, and notes to oneself. In pieces, so that this file passes.
const FORBIDDEN: [&str; 7] = [
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/tmp/", "bash"),
    concat!("../sha", "red"),
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("<<<<", "<<<"),
];

/// Bytes; data that is larger belongs elsewhere.
const MAX_SIZE: u64 = 512 << 10;

pub(super) fn check() -> Result<Vec<String>> {
    let list = output(Command::new("git").current_dir(root()).args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]))?;
    let mut complaints = Vec::new();
    for name in list.split('\0').filter(|name| !name.is_empty()) {
        let path = root().join(name);
        // A file that was removed and is still listed.
        let Ok(size) = fs::metadata(&path).map(|m| m.len()) else {
            continue;
        };
        if size > MAX_SIZE {
            complaints.push(format!("{name} has {size} bytes"));
        }
        let Ok(text) = fs::read_to_string(&path) else {
            continue;
        };
        complaints.extend(words(name, &text));
    }
    Ok(complaints)
}

fn words(name: &str, text: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for word in FORBIDDEN.into_iter().filter(|word| line.contains(word)) {
            complaints.push(format!(
                "{name}:{}: {word} does not belong here",
                number + 1
            ));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_line() {
        assert!(words("x", "a network/path\nroot/file").is_empty());
        assert_eq!(
            words("x.rs", &format!("fine\nsee {}a", FORBIDDEN[0])).len(),
            1
        );
    }
}
