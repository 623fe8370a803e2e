//! `cargo xtask fuzz`: inputs that are nearly right, for as long as one likes.

use anyhow::Result;
use clap::Args;

use crate::steps::{Steps, cargo};

#[derive(Debug, Args)]
pub(crate) struct Fuzz {
    /// How long to go on.
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Where the sequence of inputs begins; the same number gives the same inputs.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl Fuzz {
    pub(crate) fn run(&self, steps: &mut Steps) -> Result<()> {
        let args = [
            "test",
            "--release",
            "--package",
            "query-dsl",
            "--test",
            "it",
        ];
        let mut tests = cargo(args);
        tests
            .args(["fuzz::", "--", "--nocapture"])
            .env("QUERY_FUZZ_SECONDS", self.seconds.to_string())
            .env("QUERY_FUZZ_SEED", self.seed.to_string());
        steps.command("parsers of filters", &mut tests)
    }
}
