//! `cargo xtask test`

use anyhow::Result;
use clap::Args;

use crate::{
    interop::{Interop, Versions},
    steps::{Steps, cargo},
};

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// Leave out interop with real MLflow servers and W&B SDKs, which takes minutes the first time.
    #[arg(long)]
    quick: bool,
    /// Only the tests that these words and options choose; they go to `cargo nextest run`, or to `cargo test` without it.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    args: Vec<String>,
}

impl Test {
    /// Every test there is.
    pub(crate) fn all() -> Self {
        Self {
            quick: false,
            args: Vec::new(),
        }
    }

    pub(crate) fn run(&self, steps: &mut Steps) -> Result<()> {
        let args = self.args.iter().map(String::as_str);
        if nextest() {
            steps.command("tests", cargo(["nextest", "run", "--workspace"]).args(args))?;
            if self.args.is_empty() {
                steps.command(
                    "tests in the documentation",
                    &mut cargo(["test", "--workspace", "--doc"]),
                )?;
            }
        } else {
            steps.command("tests", cargo(["test", "--workspace"]).args(args))?;
        }
        match (self.args.is_empty(), self.quick) {
            (false, _) => Ok(()),
            (true, true) => steps.skip("interop", "asked for by --quick"),
            (true, false) => Interop::of(Versions::All).run(steps),
        }
    }
}

/// Whether `cargo nextest` is installed.
pub(crate) fn nextest() -> bool {
    cargo(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}
