//! Versions are in one place, lists are sorted.

use std::fs;

use anyhow::{Context, Result};

use super::Metadata;
use crate::steps::root;

pub(super) fn check(metadata: &Metadata) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    let text = fs::read_to_string(root().join("Cargo.toml")).context("read Cargo.toml")?;
    complaints.extend(unsorted("Cargo.toml", after(&text, "# Third parties.")));
    for (name, package) in metadata.members() {
        let text = fs::read_to_string(&package.manifest_path)
            .with_context(|| format!("read {}", package.manifest_path))?;
        complaints.extend(unsorted(name, &text));
        for (table, key, value) in dependencies(&text) {
            if value != "true" && !value.contains("workspace = true") && !value.contains("path = ")
            {
                complaints.push(format!(
                    "{name}: {key} in [{table}] has a version of its own"
                ));
            }
        }
        if !text.contains("[lints]\nworkspace = true") {
            complaints.push(format!("{name}: it lacks the workspace's lints"));
        }
    }
    Ok(complaints)
}

/// The text from a line on, in which the tables above it begin anew.
fn after<'a>(text: &'a str, line: &str) -> &'a str {
    text.split_once(line).map_or("", |(_, rest)| rest)
}

/// The neighbours in a list of dependencies that are the wrong way round.
fn unsorted(manifest: &str, text: &str) -> Vec<String> {
    let keys: Vec<_> = dependencies(text).collect();
    let pairs = keys
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0 && pair[0].1 > pair[1].1);
    pairs
        .map(|pair| format!("{manifest}: {} belongs before {}", pair[1].1, pair[0].1))
        .collect()
}

/// The table, name and value of each dependency. What stands before the first table counts as one.
fn dependencies(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    let mut table = "workspace.dependencies";
    text.lines().filter_map(move |line| {
        if let Some(header) = line.strip_prefix('[') {
            table = header.trim_end_matches(']');
        }
        let (key, value) = line.split_once(" = ")?;
        let key = key.split('.').next()?;
        let listed = table.ends_with("dependencies") && !key.starts_with([' ', '#']);
        listed.then_some((table, key, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sees_the_order_in_each_table() {
        let good = "[dependencies]\na = 1\nb.workspace = true\n\n[dev-dependencies]\na = 1\n[lints]\nz = 1\na = 1\n";
        assert!(unsorted("x", good).is_empty());
        assert_eq!(
            unsorted("x", "[dependencies]\nb = 1\na = 1\n"),
            ["x: a belongs before b"]
        );
        assert_eq!(unsorted("x", "\nserde = 1\nbytes = 1\n").len(), 1);
    }
}
