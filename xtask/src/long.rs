//! `cargo xtask scale` and `cargo xtask crash`: the long versions of tests whose short ones are
//! always run.

use anyhow::Result;

use crate::{
    steps::{Steps, cargo},
    test::nextest,
};

/// The tests that take long.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Long {
    /// Memory, with sources of 20 million points and of 20,000 runs.
    Scale,
    /// Imports that are killed, 30 from each kind of source.
    Crash,
}

impl Long {
    /// Runs them one after the other, with the program as it is released.
    pub(crate) fn run(self, steps: &mut Steps) -> Result<()> {
        let (name, module) = match self {
            Self::Scale => ("memory at scale", "scale::"),
            Self::Crash => ("killed imports", "crash::"),
        };
        let mut tests = if nextest() {
            let expression = format!("test(/^{module}/)");
            let args = ["nextest", "run", "--release", "--package", "tests"];
            let mut tests = cargo(args);
            tests.args(["--run-ignored", "only", "--test-threads", "1"]);
            tests.args(["--success-output", "final", "-E", &expression]);
            tests
        } else {
            let args = ["test", "--release", "--package", "tests", "--test", "it"];
            let mut tests = cargo(args);
            tests.args(["--", "--ignored", "--nocapture", "--test-threads", "1"]);
            tests.arg(module);
            tests
        };
        steps.command(name, &mut tests)
    }
}
