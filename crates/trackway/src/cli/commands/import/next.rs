//! Where the data are now, and what to type next.

use std::path::Path;

use importer_core::{Kind, Receipt, RunLine, RunStatus};

use crate::cli::{Shell, failure::Exit, program};

/// Tells where the data are, and how to look at them.
pub(super) fn print(shell: &Shell, receipt: &Receipt, dir: &Path, exit: Exit) {
    let talk = &shell.talk;
    if talk.is_quiet() {
        return;
    }
    let (program, store) = (program(), store_flag(shell, dir));
    talk.note("");
    if receipt.dry_run {
        talk.note(format!(
            "nothing was written; without --dry-run this goes into {}",
            dir.display()
        ));
        return;
    }
    talk.note(format!("store  {}", dir.display()));
    if exit == Exit::Interrupted {
        talk.note("next   the same command goes on where it was");
        return;
    }
    let mut next = vec![format!("{program} runs{store}")];
    if let Some(run) = longest(&receipt.runs) {
        next.push(format!("{program} history {}{store} --plot", short(run)));
        next.push(format!(
            "{program} export history {}{store} -o history.parquet",
            quoted(run.target.project.as_str())
        ));
    }
    for (i, line) in next.iter().enumerate() {
        talk.note(format!(
            "{}{line}",
            if i == 0 { "next   " } else { "       " }
        ));
    }
}

/// The run with the most points.
fn longest(runs: &[RunLine]) -> Option<&RunLine> {
    let points = |run: &&RunLine| {
        let kept = run.checksums.as_ref().map_or(0, |sums| sums.points);
        kept.max(run.counts.get(Kind::Points).source())
    };
    runs.iter()
        .filter(|run| run.status != RunStatus::Failed && points(run) > 0)
        .max_by_key(points)
}

/// Enough to name the run.
fn short(run: &RunLine) -> String {
    let id = run.target.run.as_str();
    let random = id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit());
    match id.get(..8) {
        Some(prefix) if random => prefix.to_owned(),
        _ => quoted(&run.target.to_string()),
    }
}

/// The flag that a next command needs to find the same store.
fn store_flag(shell: &Shell, dir: &Path) -> String {
    let from_env = std::env::var_os("TRACKWAY_HOME").is_some_and(|home| Path::new(&home) == dir);
    let by_default = shell.settings.store().is_ok_and(|store| store == dir)
        && (from_env || !shell.settings.store_was_named());
    if by_default {
        String::new()
    } else {
        format!(" --store {}", quoted(&dir.display().to_string()))
    }
}

/// A word of a shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}
