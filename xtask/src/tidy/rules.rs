//! Every rule of normalisation is told in the docs, and nothing else is.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use crate::steps::root;

/// Where the rules are told: a row of a table each, whose first cell is the name.
const TOLD: &str = "docs/normalisation.md";
/// The file of a crate that names its rules: a constant each.
const NAMED: &str = "rule.rs";

pub(super) fn check() -> Result<Vec<String>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root().join("crates")).context("list the crates")? {
        find(&entry?.path().join("src"), &mut files)?;
    }
    files.sort();
    let mut named = Vec::new();
    for path in files {
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        named.push((shown(&path), text));
    }
    let told = fs::read_to_string(root().join(TOLD)).context(TOLD)?;
    Ok(complaints(&named, &told))
}

fn find(folder: &Path, out: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            find(&path, out)?;
        } else if path.file_name().is_some_and(|name| name == NAMED) {
            out.push(path);
        }
    }
    Ok(())
}

fn shown(path: &Path) -> String {
    path.strip_prefix(root())
        .unwrap_or(path)
        .display()
        .to_string()
}

/// What is wrong between files with their text, and the text that tells of them.
fn complaints(named: &[(String, String)], told: &str) -> Vec<String> {
    let rows: Vec<&str> = told.lines().filter_map(row).collect();
    let mut out = Vec::new();
    let mut known = BTreeSet::new();
    for (file, text) in named {
        for name in text.lines().filter_map(constant) {
            if !known.insert(name) {
                out.push(format!("{file}: the rule {name} is named twice"));
            }
            if !rows.contains(&name) {
                out.push(format!("{file}: the rule {name} has no row in {TOLD}"));
            }
        }
    }
    for (i, name) in rows.iter().enumerate() {
        if !known.contains(name) {
            out.push(format!("{TOLD}: no {NAMED} names the rule {name}"));
        }
        if rows.iter().take(i).any(|before| before == name) {
            out.push(format!("{TOLD}: the rule {name} has two rows"));
        }
    }
    out
}

/// The name in a row like ``| `NAME` | …``.
fn row(line: &str) -> Option<&str> {
    let (name, rest) = line.strip_prefix("| `")?.split_once('`')?;
    rest.starts_with(" |").then_some(name)
}

/// The name in a line like `pub(crate) const RULE: &str = "NAME";`.
fn constant(line: &str) -> Option<&str> {
    let (declared, value) = line.split_once(": &str = \"")?;
    declared.contains("const ").then_some(())?;
    value.strip_suffix("\";")
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "//! Rules.\n\n/// One.\npub(crate) const ONE: &str = \"rule-one\";\n";
    const DOCS: &str =
        "# Rules\n\n| rule | what |\n|---|---|\n| `rule-one` | a run whose `id` is odd |\n";

    fn complain(code: &str, docs: &str) -> Vec<String> {
        complaints(&[("a/rule.rs".to_owned(), code.to_owned())], docs)
    }

    #[test]
    fn names_what_is_missing_on_either_side() {
        assert_eq!(complain(CODE, DOCS), Vec::<String>::new());
        let two = CODE.replace("ONE: &str = \"rule-one", "TWO: &str = \"rule-two");
        assert_eq!(
            complain(&format!("{CODE}{two}"), DOCS),
            ["a/rule.rs: the rule rule-two has no row in docs/normalisation.md"]
        );
        assert_eq!(
            complain("", DOCS),
            ["docs/normalisation.md: no rule.rs names the rule rule-one"]
        );
        assert_eq!(
            complain(&CODE.repeat(2), DOCS),
            ["a/rule.rs: the rule rule-one is named twice"]
        );
        let twice = format!("{DOCS}| `rule-one` | a tag |\n");
        assert_eq!(
            complain(CODE, &twice),
            ["docs/normalisation.md: the rule rule-one has two rows"]
        );
    }
}
