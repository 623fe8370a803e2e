//! `cargo xtask bench`: speed, always beside a yardstick that runs in the same minute.

mod answers;
mod connection;
mod corpus;
mod file;
mod histories;
mod importing;
mod process;
mod puller;
mod python;
mod query;
mod repeat;
mod report;
mod rest;
mod serve;
mod sqlite;
mod store;

use std::{
    env,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use tests::peers::Peers;

use self::{corpus::Size, importing::Program, report::Report};
use crate::{
    interop,
    steps::{Steps, cargo, root, target},
};

#[derive(Debug, Args)]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Import a generated MLflow store all three ways.
    Import(Import),
    /// Filter documents, in memory and in SQLite.
    Query(query::Query),
    /// Log to and read from a server, beside another one and what the store does by itself.
    Serve(serve::Serve),
}

/// What to measure, and on how much.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Only these parts.
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Part>,
    /// The runs of the corpus.
    #[arg(long, default_value_t = 200)]
    runs: u64,
    /// The series of each run.
    #[arg(long, default_value_t = 10)]
    metrics: u64,
    /// The points of each series.
    #[arg(long, default_value_t = 1000)]
    points: u64,
    /// The runs that are read from the server, which is slow.
    #[arg(long, default_value_t = 20)]
    rest_runs: u64,
    /// How often each thing is measured.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The program, if it is built already.
    #[arg(long)]
    program: Option<PathBuf>,
    /// Where the figures are appended, one JSON document a line.
    #[arg(long)]
    json: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    /// From the database, beside Python's `sqlite3`.
    Sqlite,
    /// From the file store, beside a bare loop over its lines.
    File,
    /// From a server, beside plain connections and MLflow's own client.
    Rest,
    /// Once more, when nothing has changed.
    Repeat,
    /// History in the embedded store, beside plain Parquet.
    Store,
}

impl Bench {
    pub(crate) fn run(&self, steps: &mut Steps) -> Result<()> {
        match &self.what {
            What::Import(import) => import.run(steps),
            What::Query(query) => query.run(steps),
            What::Serve(serve) => serve.run(steps),
        }
    }
}

/// The program as it is released: this one, or one that is built now.
fn built(steps: &mut Steps, program: Option<&Path>) -> Result<PathBuf> {
    if let Some(path) = program {
        return Ok(root().join(path));
    }
    steps.command(
        "build trackway",
        &mut cargo(["build", "--release", "--package", "trackway"]),
    )?;
    let name = format!("trackway{}", env::consts::EXE_SUFFIX);
    Ok(target().join("release").join(name))
}

/// Builds a measurement of a crate, one of its examples, and says where it is.
fn example(steps: &mut Steps, package: &str, name: &str) -> Result<PathBuf> {
    let mut build = cargo(["build", "--quiet", "--release", "--package", package]);
    steps.command("build", build.args(["--example", name]))?;
    Ok(target().join("release").join("examples").join(name))
}

impl Import {
    fn run(&self, steps: &mut Steps) -> Result<()> {
        let program = Program::at(built(steps, self.program.as_deref())?);
        let json = self.json.as_ref().map_or_else(
            || target().join("bench").join("import.jsonl"),
            |path| root().join(path),
        );
        let mut report = Report::new(json);
        if self.wants(Part::Store) {
            steps.step("history in the store", || store::measure(&mut report))?;
        }
        if [Part::Sqlite, Part::File, Part::Rest, Part::Repeat]
            .iter()
            .any(|part| self.wants(*part))
        {
            self.imports(steps, &program, &mut report)?;
        }
        report.finish()
    }

    fn imports(&self, steps: &mut Steps, program: &Program, report: &mut Report) -> Result<()> {
        let folder = interop::folder();
        let size = Size {
            runs: self.runs,
            metrics: self.metrics,
            points: self.points,
        };
        let corpus = steps.step("corpus", || {
            corpus::prepare(&Peers::at(&folder), &folder.join("bench"), size)
                .context("make the corpus")
        })?;
        if self.wants(Part::Sqlite) {
            steps.step("from SQLite", || {
                sqlite::measure(program, &corpus, self.rounds, report)
            })?;
        }
        if self.wants(Part::File) {
            steps.step("from a file store", || {
                file::measure(program, &corpus, self.rounds, report)
            })?;
        }
        if self.wants(Part::Rest) {
            steps.step("from a server", || {
                rest::measure(program, &corpus, self.rest_runs, self.rounds, report)
            })?;
        }
        if self.wants(Part::Repeat) {
            steps.step("again", || {
                repeat::measure(program, &corpus, self.rest_runs, report)
            })?;
        }
        Ok(())
    }

    fn wants(&self, part: Part) -> bool {
        self.only.is_empty() || self.only.contains(&part)
    }
}
