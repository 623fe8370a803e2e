//! The same import once more, when nothing has changed.

use std::ffi::OsString;

use anyhow::Result;

use super::{
    corpus::Corpus,
    importing::Program,
    report::{Goal, Report},
    rest, sqlite,
};

/// How often the second import is done: it is short.
const REPEATS: usize = 3;

pub(super) fn measure(
    program: &Program,
    corpus: &Corpus,
    rest_runs: u64,
    report: &mut Report,
) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let server = corpus.serve(scratch.path())?;
    let rest_runs = rest_runs.min(corpus.size.runs);
    let all = corpus.size.total();
    let some = all / corpus.size.runs * rest_runs;
    let ways: [(&str, Vec<OsString>, u64); 3] = [
        (
            "sqlite",
            sqlite::args(&corpus.database(), &corpus.artifacts()),
            all,
        ),
        ("file", vec![corpus.mlruns().into()], all),
        ("rest", rest::args(&server.url(), rest_runs), some),
    ];
    for (way, args, points) in ways {
        let target = program.target()?;
        let first = target.import(&args, points)?;
        let mut ratios = Vec::new();
        for _ in 0..REPEATS {
            let again = target.repeat(&args)?;
            ratios.push(again.wall.as_secs_f64() / first.wall.as_secs_f64());
        }
        report.add(
            &format!("{way}: unchanged again / first"),
            "×",
            &ratios,
            Goal::AtMost(0.05),
        );
    }
    Ok(())
}
