//! Checksums over files and over what a run holds, by the rule at the top of `peers/mlflow_corpus.py`.
//!
//! Written apart from the checksums of the receipt, so that a mistake in one shows against the other.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

/// SHA-256 of some bytes, in hexadecimal digits.
pub fn bytes(content: &[u8]) -> String {
    hex::encode(Sha256::digest(content))
}

/// SHA-256 of a file's content, in hexadecimal digits.
///
/// # Errors
/// The file cannot be read.
pub fn file(path: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    let mut reader = fs::File::open(path).with_context(|| format!("open {}", path.display()))?;
    io::copy(&mut reader, &mut HashWriter(&mut hash))
        .with_context(|| format!("read {}", path.display()))?;
    Ok(hex::encode(hash.finalize()))
}

struct HashWriter<'a>(&'a mut Sha256);

impl io::Write for HashWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One checksum over the names, kinds and contents of everything in a folder.
///
/// # Errors
/// Something in it cannot be read.
pub fn folder(root: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    for path in walk(root)? {
        hash.update(path.strip_prefix(root)?.as_os_str().as_encoded_bytes());
        hash.update([0]);
        if path.is_file() {
            hash.update(file(&path)?);
        }
        hash.update([0]);
    }
    Ok(hex::encode(hash.finalize()))
}

/// All files and folders below one, sorted. Links are not followed.
///
/// # Errors
/// A folder cannot be listed.
pub fn walk(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut todo = vec![root.to_owned()];
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).with_context(|| format!("list {}", folder.display()))? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                todo.push(entry.path());
            }
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// A point as MLflow has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The metric's name.
    pub key: String,
    /// Its step.
    pub step: i64,
    /// Its time, in milliseconds since 1970.
    pub millis: i64,
    /// Its value.
    pub value: f64,
}

/// The checksum over points, in any order.
pub fn points<'a>(points: impl IntoIterator<Item = &'a Point>) -> String {
    lines(points.into_iter().map(|p| {
        let bits = if p.value.is_nan() {
            0x7ff8_0000_0000_0000
        } else {
            p.value.to_bits()
        };
        format!("{}\t{}\t{}\t{bits:016x}\n", p.key, p.step, p.millis)
    }))
}

/// The checksum over names with values, in any order.
pub fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    lines(
        pairs
            .into_iter()
            .map(|(k, v)| format!("{}\t{}\n", escape(k), escape(v))),
    )
}

/// The checksum over files, given as name, size and SHA-256, in any order.
pub fn files<'a>(files: impl IntoIterator<Item = (&'a str, u64, &'a str)>) -> String {
    lines(
        files
            .into_iter()
            .map(|(name, size, sha)| format!("{}\t{size}\t{sha}\n", escape(name))),
    )
}

fn escape(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('\t', "\\t")
        .replace('\n', "\\n")
        .replace('\r', "\\r")
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    bytes(lines.concat().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_rule_of_the_generator() {
        // python3: mlflow_corpus.points_sha([("a", -1, 2, float("nan")), ("a", 0, 1, -0.0)])
        let pair = [
            Point {
                key: "a".into(),
                step: -1,
                millis: 2,
                value: f64::NAN,
            },
            Point {
                key: "a".into(),
                step: 0,
                millis: 1,
                value: -0.0,
            },
        ];
        assert_eq!(
            points(&pair),
            "569571825041ce5a8a724cabaf8c92336665477cea2aeedc4a3021fe5de54879"
        );
        // python3: mlflow_corpus.kv_sha({"k\\": "a\tb\r\n", "é": ""})
        assert_eq!(
            pairs([("k\\", "a\tb\r\n"), ("é", "")]),
            "5e44cc3665402669ae24ccd9fd3f53dfc397a0bce405d56de958942c7c57e1bc"
        );
    }
}
