use std::time::Duration;

use clap::Args;
use serde::Serialize;
use tracker_model::Timestamp;
use tracker_store::{GcOptions, GcReport, StoreOptions};

use crate::cli::{
    Shell,
    failure::{Exit, Result},
    open,
    text::{bytes, count},
    times,
};

/// What to remove.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway gc --dry-run                        what would be removed
  trackway gc
  trackway gc ./store --grace 1d

Runs and artifacts are never removed: only what none of them uses, and what a crash left behind.")]
pub(crate) struct GcArgs {
    /// The store, a folder [default: the embedded store]
    #[arg(value_name = "STORE")]
    dir: Option<String>,
    /// Remove nothing, and say what would be
    #[arg(long)]
    dry_run: bool,
    /// Only what is older: 30m, 12h, 7d
    #[arg(long, value_name = "SPAN", default_value = "1h")]
    grace: String,
    /// Half imported histories that nobody has gone on with for so long
    #[arg(long, value_name = "SPAN", default_value = "7d")]
    staged_for: String,
}

#[derive(Debug, Serialize)]
struct Shape<'a> {
    schema: &'static str,
    store: String,
    dry_run: bool,
    bytes: u64,
    #[serde(flatten)]
    report: &'a GcReport,
}

pub(super) async fn run(shell: &mut Shell, args: GcArgs) -> Result<Exit> {
    let (grace, staged_for) = (span(&args.grace)?, span(&args.staged_for)?);
    let dir = open::target_dir(shell, args.dir.as_deref())?;
    let store = open::existing(&dir, StoreOptions::new().with_read_only(args.dry_run)).await?;
    let options = GcOptions::new()
        .with_grace(grace)
        .with_staged_for(staged_for)
        .with_dry_run(args.dry_run);
    let report = store.gc(options).await?;
    if shell.out.is_json() {
        let shape = Shape {
            schema: "trackway.gc/1",
            store: store.to_string(),
            dry_run: args.dry_run,
            bytes: report.bytes(),
            report: &report,
        };
        shell.out.document(&shape)?;
    }
    tell(shell, &report, args.dry_run);
    Ok(Exit::Ok)
}

/// A span of time, in the words of `--since`.
fn span(text: &str) -> Result<Duration> {
    let now = Timestamp::now();
    let before = times::span_before(text, now)?;
    let ms = now.as_millis().saturating_sub(before.as_millis());
    Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

fn tell(shell: &Shell, report: &GcReport, dry_run: bool) {
    let removed = if dry_run {
        "would be removed"
    } else {
        "removed"
    };
    let parts = [
        (report.blobs, "unused content", report.blob_bytes),
        (report.orphans, "forgotten file", report.orphan_bytes),
        (report.staged, "unfinished history", report.staged_bytes),
        (report.drafts, "unfinished artifact", 0),
    ];
    let said: Vec<String> = parts
        .iter()
        .filter(|(n, ..)| *n > 0)
        .map(|(n, what, size)| match size {
            0 => count(*n, what),
            size => format!("{} ({})", count(*n, what), bytes(*size)),
        })
        .map(|text| text.replace("historys", "histories"))
        .collect();
    shell.talk.note(match said.is_empty() {
        true => "nothing to remove".to_owned(),
        false => format!("{removed}: {}", said.join(", ")),
    });
}
