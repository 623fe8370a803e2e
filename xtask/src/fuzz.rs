//! `cargo xtask fuzz`: inputs that are nearly right, for as long as one likes.

use anyhow::Result;
use clap::Args;

use crate::steps::{Steps, cargo};

#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// How long to go on, with each kind of input.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Where the sequence of inputs begins; the same number gives the same inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Fuzz {
    pub(crate) fn run(&self, steps: &mut Steps) -> Result<()> {
        for (name, package, prefix) in [
            ("parsers of filters", "query-dsl", "QUERY"),
            ("requests to the server", "tracker-server", "SERVER"),
        ] {
            let mut tests = cargo(["test", "--release", "--package", package, "--test", "it"]);
            tests
                .args(["fuzz::", "--", "--nocapture"])
                .env(format!("{prefix}_FUZZ_SECONDS"), self.seconds.to_string())
                .env(format!("{prefix}_FUZZ_SEED"), self.seed.to_string());
            steps.command(name, &mut tests)?;
        }
        Ok(())
    }
}
