use clap::Args;
use futures::TryStreamExt;
use serde::Serialize;
use tracker_store::{FsckEvent, FsckOptions, FsckReport, Problem, StoreOptions};

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    open,
    output::Format,
    text::{bytes, count, one_line, thousands},
};

/// How closely to look.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway fsck                                sizes, and the ends of files
  trackway fsck --read-data                    every byte, by its digest
  trackway fsck /backup/store --json

Exit code 7 if something is damaged.")]
pub(crate) struct FsckArgs {
    /// The store, a folder [default: the embedded store]
    #[arg(value_name = "STORE")]
    dir: Option<String>,
    /// Read all histories and contents, and compare their digests
    #[arg(long)]
    read_data: bool,
}

#[derive(Debug, Serialize)]
struct Shape<'a> {
    schema: &'static str,
    store: String,
    sound: bool,
    #[serde(flatten)]
    report: &'a FsckReport,
    found: &'a [Problem],
}

/// Problems that are kept for one JSON document.
const MOST_KEPT: usize = 100_000;

pub(super) async fn run(shell: &mut Shell, args: FsckArgs) -> Result<Exit> {
    let dir = open::target_dir(shell, args.dir.as_deref())?;
    let store = open::existing(&dir, StoreOptions::new().with_read_only(true)).await?;
    let mut events = store.fsck(FsckOptions::new().with_read_data(args.read_data));
    let (mut found, mut report) = (Vec::new(), None);
    while let Some(event) = events.try_next().await? {
        match event {
            FsckEvent::Problem(problem) => match shell.out.format {
                Format::Json if found.len() < MOST_KEPT => found.push(problem),
                Format::Json => {}
                Format::Jsonl => shell.out.document(&problem)?,
                _ => {
                    shell.out.line(one_line(&problem.to_string()))?;
                    shell.out.line(format!("    {}", one_line(&problem.hint)))?;
                }
            },
            FsckEvent::Finished(whole) => report = Some(whole),
            _ => {}
        }
    }
    let report =
        report.ok_or_else(|| Failure::new(Exit::Failed, "the look at the store ended early"))?;
    let sound = report.problems == 0;
    if shell.out.format == Format::Json {
        let shape = Shape {
            schema: "trackway.fsck/1",
            store: store.to_string(),
            sound,
            report: &report,
            found: &found,
        };
        shell.out.document(&shape)?;
    }
    tell(shell, &report, args.read_data);
    Ok(if sound { Exit::Ok } else { Exit::Differs })
}

fn tell(shell: &Shell, report: &FsckReport, read_data: bool) {
    shell.talk.note(format!(
        "{}: {}, {}, {} contents, {}{}",
        if report.problems == 0 {
            "sound".to_owned()
        } else {
            count(report.problems, "problem")
        },
        count(report.runs, "run"),
        count(report.points, "point"),
        thousands(report.blobs),
        count(report.versions, "version").replace("version", "artifact version"),
        if read_data {
            format!("; {} read", bytes(report.bytes_read))
        } else {
            "; --read-data looks at every byte".to_owned()
        },
    ));
    if report.unused_blobs + report.orphans > 0 {
        shell.talk.note(format!(
            "{} are used by nothing: `trackway gc` removes them",
            count(report.unused_blobs + report.orphans, "file")
        ));
    }
}
