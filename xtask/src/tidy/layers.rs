//! Arrows between crates go down only.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};

use super::Metadata;
use crate::steps::root;

/// The level of each crate. A crate uses crates of lower levels only.
const LEVELS: [(&str, u8); 12] = [
    ("tracker-model", 0),
    ("query-dsl", 0),
    ("tracker-http", 1),
    ("spill-sort", 1),
    ("dataset-store", 1),
    ("tracker-store", 2),
    ("importer-core", 2),
    ("tracker-client", 2),
    ("importer-mlflow", 3),
    ("importer-wandb", 3),
    ("tracker-server", 3),
    ("trackway", 4),
];

/// Above all levels: nothing is built on these.
const TOP: [&str; 3] = ["examples", "tests", "xtask"];

/// The arrows within a level that are allowed.
const WITHIN: [(&str, &str); 1] = [("tracker-model", "query-dsl")];

/// Which crates alone may use a library.
const RESERVED: [(&str, &[&str]); 1] = [("reqwest", &["tracker-http"])];

/// What the lowest level does without: it has no I/O and no runtime.
const NOT_AT_THE_BOTTOM: [&str; 5] = ["parquet", "reqwest", "rusqlite", "tokio", "tokio-util"];

pub(super) fn check(metadata: &Metadata) -> Result<Vec<String>> {
    let text = fs::read_to_string(root().join("docs/architecture.md"))
        .context("read docs/architecture.md")?;
    let members: Vec<&str> = metadata.members().into_keys().collect();
    Ok([arrows(metadata), documented(&text, &members)].concat())
}

fn arrows(metadata: &Metadata) -> Vec<String> {
    let levels: BTreeMap<_, _> = LEVELS.into_iter().collect();
    let members = metadata.members();
    let mut complaints = Vec::new();
    for (name, package) in &members {
        let level = levels.get(name).copied();
        if level.is_none() && !TOP.contains(name) {
            complaints.push(format!("{name} has no level; give it one in xtask/src/tidy/layers.rs and docs/architecture.md"));
        }
        for dependency in package.built_from() {
            let used = dependency.name.as_str();
            if let Some((_, owners)) = RESERVED.iter().find(|(library, _)| *library == used)
                && !owners.contains(name)
            {
                complaints.push(format!(
                    "{name} uses {used}, which only {} may",
                    owners.join(", ")
                ));
            }
            if level == Some(0) && !dependency.optional && NOT_AT_THE_BOTTOM.contains(&used) {
                complaints.push(format!("{name} is at the bottom and uses {used}"));
            }
            let down = match (level, levels.get(used)) {
                (Some(from), Some(to)) => to < &from || WITHIN.contains(&(*name, used)),
                _ => !(level.is_some() && TOP.contains(&used)),
            };
            if !down {
                complaints.push(format!("{name} uses {used}, which is not below it"));
            }
        }
    }
    complaints
}

/// Whether the table in `docs/architecture.md`, rows that begin with `| L0 |` to `| L4 |`, says the
/// same.
fn documented(text: &str, members: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, level) in LEVELS
        .into_iter()
        .filter(|(name, _)| members.contains(name))
    {
        let start = format!("| L{level} | `{name}` |");
        if !text.lines().any(|line| line.starts_with(&start)) {
            complaints.push(format!(
                "docs/architecture.md does not have {name} in its line L{level}"
            ));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::super::{Dependency, Package};
    use super::*;

    fn package(name: &str, uses: &[&str]) -> Package {
        let dependency = |name: &&str| Dependency {
            name: (*name).to_owned(),
            kind: None,
            optional: false,
        };
        Package {
            id: name.to_owned(),
            name: name.to_owned(),
            version: String::new(),
            license: None,
            manifest_path: String::new(),
            dependencies: uses.iter().map(dependency).collect(),
        }
    }

    fn complaints(packages: Vec<Package>) -> Vec<String> {
        let workspace_members = packages.iter().map(|p| p.id.clone()).collect();
        arrows(&Metadata {
            packages,
            workspace_members,
        })
    }

    #[test]
    fn arrows_go_down() {
        assert!(
            complaints(vec![
                package("trackway", &["tracker-store"]),
                package("tracker-model", &["query-dsl"])
            ])
            .is_empty()
        );
        assert!(complaints(vec![package("xtask", &["tests", "trackway"])]).is_empty());
        let up = complaints(vec![package("tracker-store", &["importer-core"])]);
        assert_eq!(
            up,
            ["tracker-store uses importer-core, which is not below it"]
        );
        let top = complaints(vec![package("trackway", &["tests"])]);
        assert_eq!(top, ["trackway uses tests, which is not below it"]);
        assert_eq!(
            complaints(vec![package("importer-mlflow", &["reqwest"])]).len(),
            1
        );
        assert_eq!(
            complaints(vec![package("tracker-model", &["tokio"])]).len(),
            1
        );
        assert_eq!(complaints(vec![package("newcomer", &[])]).len(), 1);
    }

    #[test]
    fn the_document_says_the_same() {
        let table = "| L4 | `trackway` | the binary | |\n| L2 | `tracker-store` | a store | HTTP |";
        assert!(documented(table, &["trackway", "tracker-store"]).is_empty());
        assert_eq!(documented(table, &["tracker-http"]).len(), 1);
    }
}
