use std::{path::Path, sync::Arc};

use clap::Args;
use futures::{StreamExt, TryStreamExt};
use importer_core::{Selection, SourceItem};
use serde::Serialize;
use tracker_model::{Project, ProjectStore as _, RunQuery, RunStore as _};
use tracker_store::{FsckEvent, FsckOptions, StoreOptions};

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    open::{self, SourceArgs},
    output::Format,
    progress::Progress,
    text::{bytes, count, one_line},
};

/// Beginnings of the names of variables that matter. Their values are never shown.
const VARIABLES: [&str; 9] = [
    "TRACKWAY_",
    "MLFLOW_",
    "DATABRICKS_",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "NETRC",
    "NO_COLOR",
    "XDG_DATA_HOME",
    "XDG_CONFIG_HOME",
];

/// Less free space than this is worth a word.
const LITTLE: u64 = 1 << 30;
/// With less free space than this, writing is about to fail.
const TOO_LITTLE: u64 = 64 << 20;

/// What to look at.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway doctor
  trackway doctor http://localhost:5000        and whether a source answers
  trackway doctor --json")]
pub(crate) struct DoctorArgs {
    /// A source to try: ./mlruns, sqlite:///mlflow.db, http://HOST:PORT, databricks://PROFILE
    source: Option<String>,
    #[command(flatten)]
    from: SourceArgs,
}

/// How a thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Health {
    Good,
    Note,
    Bad,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    health: Health,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(&mut self, what: &'static str, health: Health, text: impl Into<String>) {
        self.0.push(Finding {
            what,
            health,
            text: text.into(),
            hint: None,
        });
    }

    fn failure(&mut self, what: &'static str, health: Health, failure: Failure) {
        let Failure::Told { message, hint, .. } = failure else {
            return;
        };
        self.0.push(Finding {
            what,
            health,
            text: message,
            hint,
        });
    }
}

pub(super) async fn run(shell: &mut Shell, args: DoctorArgs) -> Result<Exit> {
    let mut found = Findings::default();
    let system = format!(
        "{} on {} {}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::env::consts::ARCH
    );
    found.add("version", Health::Good, system);
    for file in &shell.settings.files {
        found.add("settings", Health::Good, file.display().to_string());
    }
    environment(&mut found);
    match shell.settings.store() {
        Ok(dir) => store(&mut found, dir, shell.settings.store_chosen_by()).await,
        Err(failure) => found.failure("store", Health::Bad, failure),
    }
    if let Some(text) = &args.source {
        match Box::pin(source(shell, text, &args.from)).await {
            Ok(said) => found.add("source", Health::Good, said),
            Err(failure) => found.failure("source", Health::Bad, failure),
        }
    }
    let exit = if found.0.iter().any(|f| f.health == Health::Bad) {
        Exit::Failed
    } else {
        Exit::Ok
    };
    print(shell, &found)?;
    Ok(exit)
}

fn environment(found: &mut Findings) {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let mut names: Vec<String> = names
        .filter(|name| VARIABLES.iter().any(|v| name.starts_with(v)))
        .collect();
    names.sort_unstable();
    if !names.is_empty() {
        found.add(
            "variables",
            Health::Good,
            format!("set: {}", names.join(", ")),
        );
    }
}

async fn store(found: &mut Findings, dir: &Path, chosen_by: &str) {
    let place = format!("{} (by {chosen_by})", dir.display());
    disk(found, dir);
    if !dir.exists() {
        return found.add(
            "store",
            Health::Note,
            format!("{place} is not there yet; an import makes it"),
        );
    }
    match sound(dir).await {
        Ok(said) => found.add("store", Health::Good, format!("{place}: {said}")),
        Err(failure) => found.failure("store", Health::Bad, failure),
    }
    match writable(dir).await {
        Ok(()) => {}
        Err(failure) => found.failure("store", Health::Note, failure),
    }
}

async fn sound(dir: &Path) -> Result<String> {
    let store = open::existing(dir, StoreOptions::new().with_read_only(true)).await?;
    let projects: Vec<Project> = store.projects(None).try_collect().await?;
    let runs = store
        .count_runs(&RunQuery::new().with_deleted(true))
        .await?;
    let mut events = store.fsck(FsckOptions::new());
    let mut problems = 0;
    while let Some(event) = events.try_next().await? {
        problems += u64::from(matches!(event, FsckEvent::Problem(_)));
    }
    if problems > 0 {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} of the store are damaged", count(problems, "thing")),
        )
        .with_hint("`trackway fsck` names them"));
    }
    Ok(format!(
        "sound, {}, {}",
        count(projects.len() as u64, "project"),
        count(runs, "run")
    ))
}

async fn writable(dir: &Path) -> Result<()> {
    open::existing(dir, StoreOptions::new()).await.map(drop)
}

#[cfg(unix)]
fn disk(found: &mut Findings, dir: &Path) {
    // The nearest folder that is there.
    let Some(near) = dir.ancestors().find(|d| d.is_dir()) else {
        return;
    };
    let near = if near.as_os_str().is_empty() {
        Path::new(".")
    } else {
        near
    };
    if let Ok(stat) = rustix::fs::statvfs(near) {
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        let health = match free {
            0..TOO_LITTLE => Health::Bad,
            TOO_LITTLE..LITTLE => Health::Note,
            _ => Health::Good,
        };
        found.add(
            "disk",
            health,
            format!("{} free at {}", bytes(free), near.display()),
        );
    }
}

#[cfg(not(unix))]
fn disk(_found: &mut Findings, _dir: &Path) {}

/// Opens a source and asks for its first project.
async fn source(shell: &Shell, text: &str, args: &SourceArgs) -> Result<String> {
    let progress = Arc::new(Progress::new(shell));
    let (source, location) = open::source(text, args, &progress).await?;
    let mut projects = source.projects(&Selection::new());
    let mut first = None;
    while let Some(item) = projects.next().await {
        if let SourceItem::Item(project) = item? {
            first = Some(project.name);
            break;
        }
    }
    progress.end();
    let has = first.map_or_else(
        || "it is empty".to_owned(),
        |name| format!("it has {name:?}, and perhaps more"),
    );
    Ok(format!("{location} answers: {}, {has}", location.kind()))
}

fn print(shell: &mut Shell, found: &Findings) -> Result<()> {
    match shell.out.format {
        Format::Json => shell.out.document(&found.0)?,
        Format::Jsonl => found.0.iter().try_for_each(|f| shell.out.document(f))?,
        _ => {
            for finding in &found.0 {
                let sign = match finding.health {
                    Health::Good => "ok",
                    Health::Note => "--",
                    Health::Bad => "!!",
                };
                shell.out.line(format!(
                    "{sign}  {:<9}  {}",
                    finding.what,
                    one_line(&finding.text)
                ))?;
                if let Some(hint) = &finding.hint {
                    shell
                        .out
                        .line(format!("    {:<9}  hint: {}", "", one_line(hint)))?;
                }
            }
        }
    }
    Ok(())
}
