//! `cargo xtask tidy`: what the compiler does not check.

mod layers;
mod licences;
mod manifests;
mod rules;
mod texts;

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::steps::{Steps, cargo, output};

/// Does all the checks, and complains about everything at once.
pub(crate) fn run(steps: &mut Steps) -> Result<()> {
    steps.step("layers, licences, manifests, rules, texts", || {
        let metadata = Metadata::read()?;
        let complaints = [
            layers::check(&metadata)?,
            licences::check(&metadata),
            manifests::check(&metadata)?,
            rules::check()?,
            texts::check()?,
        ]
        .concat();
        ensure!(
            complaints.is_empty(),
            "{} complaints\n  {}",
            complaints.len(),
            complaints.join("\n  ")
        );
        Ok(())
    })
}

/// What `cargo metadata` says, as far as it is needed here.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
struct Dependency {
    name: String,
    /// Nothing for a normal one, else `dev` or `build`.
    kind: Option<String>,
    optional: bool,
}

impl Metadata {
    fn read() -> Result<Self> {
        let text = output(&mut cargo([
            "metadata",
            "--format-version",
            "1",
            "--locked",
        ]))?;
        serde_json::from_str(&text).context("understand cargo metadata")
    }

    /// The workspace's packages, by name.
    fn members(&self) -> BTreeMap<&str, &Package> {
        self.packages
            .iter()
            .filter(|p| self.workspace_members.contains(&p.id))
            .map(|p| (p.name.as_str(), p))
            .collect()
    }

    /// The packages of others.
    fn foreign(&self) -> impl Iterator<Item = &Package> {
        self.packages
            .iter()
            .filter(|p| !self.workspace_members.contains(&p.id))
    }
}

impl Package {
    /// What it is built from; tests may use more.
    fn built_from(&self) -> impl Iterator<Item = &Dependency> {
        self.dependencies
            .iter()
            .filter(|d| d.kind.as_deref() != Some("dev"))
    }
}
