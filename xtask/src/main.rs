//! The project's automation: `cargo xtask --help`.
#![expect(clippy::print_stderr, reason = "a program that talks to people")]

mod bench;
mod ci;
mod fuzz;
mod interop;
mod long;
mod steps;
mod test;
mod tidy;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tests, checks and measures the project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run every test: units, documentation, and interop with real MLflow servers.
    Test(test::Test),
    /// Import from real MLflow servers and stores, and compare with what they hold.
    Interop(interop::Interop),
    /// Measure the speed, side by side with yardsticks.
    Bench(bench::Bench),
    /// Import 20 million points and 20,000 runs from every kind of source, serve large things, and watch the memory.
    Scale,
    /// Kill imports at many moments, and see that the next one makes up for it.
    Crash,
    /// Give parsers inputs that are nearly right, for as long as one likes.
    Fuzz(fuzz::Fuzz),
    /// Check what the compiler does not: layers, licences, manifests, rules, texts.
    Tidy,
    /// Everything that has to hold before a change is taken.
    Ci,
}

fn main() -> ExitCode {
    let task = Cli::parse().task;
    let mut steps = steps::Steps::new();
    let result = match task {
        Task::Test(test) => test.run(&mut steps),
        Task::Interop(interop) => interop.run(&mut steps),
        Task::Bench(bench) => bench.run(&mut steps),
        Task::Scale => long::Long::Scale.run(&mut steps),
        Task::Crash => long::Long::Crash.run(&mut steps),
        Task::Fuzz(fuzz) => fuzz.run(&mut steps),
        Task::Tidy => tidy::run(&mut steps),
        Task::Ci => ci::run(&mut steps),
    };
    steps.finish(result)
}
