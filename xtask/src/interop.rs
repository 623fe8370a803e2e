//! `cargo xtask interop`

use std::{env, path::PathBuf};

use anyhow::Result;
use clap::{Args, ValueEnum};
use tests::peers::{self, Layout, Mlflow, Peers, Wandb};

use crate::{
    steps::{Steps, cargo, root, target},
    test::nextest,
};

#[derive(Debug, Args)]
pub(crate) struct Interop {
    /// Only these peers.
    #[arg(long = "only", value_enum, default_value = "all")]
    versions: Versions,
    /// Only fetch the peers and fill their stores.
    #[arg(long)]
    prepare: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Versions {
    /// MLflow, the pinned 2.x.
    #[value(name = "mlflow2")]
    Two,
    /// MLflow, the pinned 3.x.
    #[value(name = "mlflow3")]
    Three,
    /// The pinned versions of the W&B SDK.
    Wandb,
    /// A browser.
    Browser,
    /// All of them.
    All,
}

impl Versions {
    fn list(self) -> &'static [Mlflow] {
        match self {
            Self::Wandb | Self::Browser => &[],
            Self::Two => &[Mlflow::Two],
            Self::Three => &[Mlflow::Three],
            Self::All => &[Mlflow::Three, Mlflow::Two],
        }
    }

    /// A part of the names of the tests.
    fn filter(self) -> &'static str {
        match self {
            Self::Two => "mlflow2",
            Self::Three => "mlflow3",
            Self::Wandb => "wandb",
            Self::Browser => "browser",
            Self::All => "interop::",
        }
    }
}

impl Interop {
    pub(crate) fn of(versions: Versions) -> Self {
        Self {
            versions,
            prepare: false,
        }
    }

    pub(crate) fn run(&self, steps: &mut Steps) -> Result<()> {
        if let Err(reason) = Peers::available() {
            return steps.skip("interop with real peers", &format!("{reason:#}"));
        }
        let folder = folder();
        let peers = Peers::at(&folder);
        for version in self.versions.list() {
            steps.step(&format!("stores of MLflow {}", version.major()), || {
                peers.corpus(*version, Layout::Database)?;
                if *version == Mlflow::Three {
                    peers.corpus(*version, Layout::Folder)?;
                }
                Ok(())
            })?;
        }
        if matches!(self.versions, Versions::Wandb | Versions::All) {
            for version in Wandb::ALL {
                let step = format!("the W&B SDK {}", version.version());
                steps.step(&step, || peers.wandb(version).map(drop))?;
            }
        }
        let mut browser = matches!(self.versions, Versions::Browser | Versions::All);
        if browser && let Err(reason) = peers::chromium() {
            steps.skip("pages in a browser", &format!("{reason:#}"))?;
            if self.versions == Versions::Browser {
                return Ok(());
            }
            browser = false;
        }
        if browser {
            steps.step("what drives a browser", || peers.browser().map(drop))?;
        }
        if self.prepare {
            return Ok(());
        }
        let filter = self.versions.filter();
        let mut tests = if nextest() {
            let mut expression =
                format!("package(tests) and test(/^interop::/) and test({filter})");
            if !browser {
                expression.push_str(" and not test(/browser/)");
            }
            cargo([
                "nextest",
                "run",
                "--workspace",
                "--run-ignored",
                "only",
                "-E",
                &expression,
            ])
        } else {
            let mut words = vec![
                "test",
                "--workspace",
                "--test",
                "it",
                "--",
                "--ignored",
                filter,
            ];
            if !browser {
                words.extend(["--skip", "browser"]);
            }
            cargo(words)
        };
        tests.env(peers::FOLDER_VARIABLE, &folder);
        steps.command("interop with real peers", &mut tests)
    }
}

/// Where the peers and their stores are kept.
pub(crate) fn folder() -> PathBuf {
    env::var_os(peers::FOLDER_VARIABLE)
        .map_or_else(|| target().join("peers"), |folder| root().join(folder))
}
