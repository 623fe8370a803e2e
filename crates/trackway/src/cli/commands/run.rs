use std::sync::Arc;

use clap::{Args, Subcommand};
use futures::TryStreamExt;
use serde::Serialize;
use serde_json::{Value as Json, json};
use tracker_client::{Api, RunEdit};
use tracker_model::{
    ArtifactUse, DatasetInput, ErrorKind, Git, HistoryStream, JsonObject, Run, SeriesInfo,
    Timestamp, Tracker, UseRole,
};

use crate::cli::{
    Shell, ask,
    failure::{Exit, Failure, Result},
    open::{self, FromArgs},
    output::{Listing, Output, left, right},
    resolve,
    shape::{RunShape, SourceShape, json_text, value_text},
    text,
};

/// Keys that a table shows; JSON shows all.
const MOST_KEYS: usize = 50;

/// What to do with runs.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(after_help = "Examples:
  trackway run local/digits/62915c7a           by its path; the beginning of an id is enough
  trackway run unruly-hare-12                  by its display name
  trackway run show 62915c7a --json | jq .config
  trackway run rename 62915c7a 'lr 0.3, best'
  trackway run delete 62915c7a efdd4aa9 --yes

`run RUN` is `run show RUN`; `trackway update` changes everything else.")]
pub(crate) struct RunArgs {
    #[command(subcommand)]
    what: Option<What>,
    /// ENTITY/PROJECT/RUN, PROJECT/RUN, an id, the beginning of one, or a name
    #[arg(required = true)]
    run: Option<String>,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show all that is known of a run
    Show(ShowArgs),
    /// Give a run another display name
    Rename(RenameArgs),
    /// Delete runs with their histories and files, for good
    Delete(DeleteArgs),
    /// Mark a run that has not ended as killed, now
    Stop(ShowArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// ENTITY/PROJECT/RUN, PROJECT/RUN, an id, the beginning of one, or a name
    run: String,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Args)]
struct RenameArgs {
    /// ENTITY/PROJECT/RUN, PROJECT/RUN, an id, the beginning of one, or a name
    run: String,
    /// The new name; without any text, the run has none
    name: String,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Args)]
struct DeleteArgs {
    /// ENTITY/PROJECT/RUN, PROJECT/RUN, an id, the beginning of one, or a name
    #[arg(value_name = "RUN", required = true)]
    runs: Vec<String>,
    /// Do not ask
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    from: FromArgs,
}

/// All that is known of a run but its points and bytes.
#[derive(Serialize)]
struct Shape<'a> {
    #[serde(flatten)]
    run: RunShape<'a>,
    heartbeat_at: Option<Timestamp>,
    host: Option<&'a str>,
    program: Option<&'a str>,
    args: &'a [String],
    git: Option<&'a Git>,
    inputs: &'a [DatasetInput],
    extras: &'a JsonObject,
    series: &'a [SeriesShape<'a>],
    system_series: usize,
    files: FilesShape,
    /// Not known where the tracker is not asked for artifacts.
    artifacts: Option<&'a [UseShape]>,
}

#[derive(Serialize)]
struct SeriesShape<'a> {
    key: &'a str,
    points: u64,
    steps: Option<(i64, i64)>,
    last: Option<Json>,
}

#[derive(Default, Serialize)]
struct FilesShape {
    count: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct UseShape {
    artifact: String,
    role: UseRole,
    step: Option<i64>,
}

pub(super) async fn run(shell: &mut Shell, args: RunArgs) -> Result<Exit> {
    match (args.what, args.run) {
        (Some(What::Show(args)), _) => show(shell, args).await,
        (Some(What::Rename(args)), _) => rename(shell, args).await,
        (Some(What::Delete(args)), _) => delete(shell, args).await,
        (Some(What::Stop(args)), _) => stop(shell, args).await,
        (None, Some(run)) => {
            let from = args.from;
            show(shell, ShowArgs { run, from }).await
        }
        (None, None) => Err(Failure::usage("name a run")),
    }
}

async fn rename(shell: &mut Shell, args: RenameArgs) -> Result<Exit> {
    let tracker = open::editor(shell, &args.from).await?;
    let mut run = handle(&tracker, &args.run).await?;
    let name = Some(args.name).filter(|name| !name.is_empty());
    run.edit(RunEdit::new().name(name.clone())).await?;
    shell.talk.note(match name {
        Some(name) => format!("run {} is called {}", run.path(), text::one_line(&name)),
        None => format!("run {} has no name", run.path()),
    });
    changed(&mut shell.out, run.record())
}

async fn delete(shell: &mut Shell, args: DeleteArgs) -> Result<Exit> {
    let tracker = open::editor(shell, &args.from).await?;
    let mut runs: Vec<Run> = Vec::new();
    for text in &args.runs {
        let run = resolve::run(&*tracker, text).await?;
        if runs.iter().all(|other| other.path != run.path) {
            runs.push(run);
        }
    }
    let named: Vec<String> = runs.iter().map(|run| run.path.to_string()).collect();
    let what = match &named[..] {
        [one] => format!("delete run {one} for good"),
        all => format!(
            "delete {} for good: {}",
            text::count(all.len() as u64, "run"),
            text::shortened(&all.join(", "), 300)
        ),
    };
    ask::sure(shell, args.yes, &what)?;
    for run in &runs {
        tracker.delete_run(&run.path).await?;
    }
    if shell.out.is_json() {
        shell.out.document(&json!({ "deleted": named }))?;
    }
    shell.talk.note(format!(
        "{} deleted; `trackway gc` frees the room of their files",
        text::count(runs.len() as u64, "run")
    ));
    Ok(Exit::Ok)
}

async fn stop(shell: &mut Shell, args: ShowArgs) -> Result<Exit> {
    let tracker = open::editor(shell, &args.from).await?;
    let mut run = handle(&tracker, &args.run).await?;
    let before = run.state();
    run.stop().await?;
    shell.talk.note(if before.is_terminal() {
        format!("run {} has ended already: {before}", run.path())
    } else {
        format!("run {} is marked as {}", run.path(), run.state())
    });
    changed(&mut shell.out, run.record())
}

/// Prints a run as it is now, for programs.
fn changed(out: &mut Output, run: &Run) -> Result<Exit> {
    if out.is_json() {
        out.document(&RunShape(run))?;
    }
    Ok(Exit::Ok)
}

/// The handle on a run that is named as people do.
pub(super) async fn handle(tracker: &Arc<dyn Tracker>, text: &str) -> Result<tracker_client::Run> {
    let path = resolve::run(&**tracker, text).await?.path;
    let api = Api::new(Arc::clone(tracker));
    Ok(api.run_at(&path).await?)
}

async fn show(shell: &mut Shell, args: ShowArgs) -> Result<Exit> {
    let tracker = open::reader(shell, &args.from).await?;
    let run = resolve::run(&*tracker, &args.run).await?;
    let series = tracker.series(&run.path, HistoryStream::Metrics).await?;
    let system = tracker.series(&run.path, HistoryStream::System).await?;
    let files = files(&*tracker, &run).await?;
    let uses = uses(&*tracker, &run).await?;
    if uses.is_none() {
        shell
            .talk
            .note("which artifacts the run made and used is not asked of this server");
    }
    if shell.out.is_json() {
        let shapes: Vec<_> = series.iter().map(series_shape).collect();
        let shape = Shape {
            run: RunShape(&run),
            heartbeat_at: run.heartbeat_at,
            host: run.host.as_deref(),
            program: run.program.as_deref(),
            args: &run.args,
            git: run.git.as_ref(),
            inputs: &run.inputs,
            extras: &run.extras,
            series: &shapes,
            system_series: system.len(),
            files,
            artifacts: uses.as_deref(),
        };
        shell.out.document(&shape)?;
        return Ok(Exit::Ok);
    }
    facts(&mut shell.out, &run, &files)?;
    keys(&mut shell.out, "config", &run.config)?;
    if let Some(tags) = SourceShape::of(&run).and_then(|s| s.tags()) {
        keys(&mut shell.out, "tags", tags)?;
    }
    history(&mut shell.out, &series)?;
    if !system.is_empty() {
        shell.out.line(format!(
            "\n{} of the machine: --stream system",
            text::count(system.len() as u64, "series of measurements")
        ))?;
    }
    // Keys of the summary that say something which the histories do not.
    let mut rest = run.summary.clone();
    series
        .iter()
        .for_each(|s| drop(rest.remove(s.key.as_str())));
    keys(&mut shell.out, "summary", &rest)?;
    if let Some(uses) = uses.filter(|uses| !uses.is_empty()) {
        shell.out.line("\nartifacts")?;
        let mut listing = Listing::new(&mut shell.out, &[left("ROLE"), left("ARTIFACT")]);
        for entry in &uses {
            let role = if entry.role == UseRole::Logged {
                "logged"
            } else {
                "used"
            };
            listing.row(entry, || vec![role.to_owned(), entry.artifact.clone()])?;
        }
        listing.end()?;
    }
    Ok(Exit::Ok)
}

/// What the run made and used, if the tracker tells.
async fn uses(tracker: &dyn Tracker, run: &Run) -> Result<Option<Vec<UseShape>>> {
    let uses: Vec<ArtifactUse> = match tracker.uses_of_run(&run.path).try_collect().await {
        Err(e) if e.kind() == ErrorKind::Unsupported => return Ok(None),
        uses => uses?,
    };
    let shape = |u: ArtifactUse| UseShape {
        artifact: format!("{}:v{}", u.collection, u.index),
        role: u.role,
        step: u.step,
    };
    Ok(Some(uses.into_iter().map(shape).collect()))
}

async fn files(tracker: &dyn Tracker, run: &Run) -> Result<FilesShape> {
    let mut shape = FilesShape::default();
    let mut files = tracker.files(&run.path);
    while let Some(file) = files.try_next().await? {
        shape.count += 1;
        shape.bytes += file.digests.size;
    }
    Ok(shape)
}

fn series_shape(info: &SeriesInfo) -> SeriesShape<'_> {
    SeriesShape {
        key: info.key.as_str(),
        points: info.count,
        steps: info.steps,
        last: info.last.as_ref().map(tracker_model::Value::to_json),
    }
}

/// What is said of a run in a line each.
fn facts(out: &mut Output, run: &Run, files: &FilesShape) -> Result<()> {
    let mut facts: Vec<(&str, String)> = vec![("run", run.path.to_string())];
    let mut add = |what, value: Option<String>| {
        facts.extend(value.filter(|v| !v.is_empty()).map(|v| (what, v)))
    };
    add("name", run.name.clone());
    add(
        "state",
        Some(if run.deleted {
            format!("{}, deleted", run.state)
        } else {
            run.state.to_string()
        }),
    );
    add(
        "started",
        run.started_at.map(|t| format!("{} UTC", text::time(t))),
    );
    add(
        "ended",
        run.ended_at.map(|t| format!("{} UTC", text::time(t))),
    );
    add("duration", super::runs::duration(run));
    add("user", run.user.clone());
    add("host", run.host.clone());
    add(
        "program",
        run.program
            .clone()
            .map(|p| [vec![p], run.args.clone()].concat().join(" ")),
    );
    if let Some(git) = &run.git {
        add("commit", git.commit.clone());
        add("remote", git.remote.clone());
        add("branch", git.branch.clone());
    }
    add("group", run.group.clone());
    add("job type", run.job_type.clone());
    add("labels", Some(run.tags.join(", ")));
    add("parent", run.parent.as_ref().map(ToString::to_string));
    add("sweep", run.sweep.clone());
    for input in &run.inputs {
        let context = input
            .context
            .as_deref()
            .map(|c| format!(" ({c})"))
            .unwrap_or_default();
        add(
            "dataset",
            Some(format!("{} {}{context}", input.name, input.digest)),
        );
    }
    if files.count > 0 {
        add(
            "files",
            Some(format!(
                "{}, {}",
                text::thousands(files.count),
                text::bytes(files.bytes)
            )),
        );
    }
    if let Some(source) = SourceShape::of(run) {
        let (kind, location) = source.place();
        let whole = run.import.as_ref().is_none_or(|stamp| stamp.complete);
        add(
            "imported from",
            Some(format!(
                "{kind} {location}{}",
                if whole { "" } else { " (not complete)" }
            )),
        );
    }
    add("notes", run.notes.clone());
    pairs(
        out,
        facts.iter().map(|(what, value)| (*what, value.as_str())),
    )
}

pub(super) fn keys(out: &mut Output, title: &str, object: &JsonObject) -> Result<()> {
    if object.is_empty() {
        return Ok(());
    }
    out.line(format!("\n{title}"))?;
    let values: Vec<_> = object
        .iter()
        .take(MOST_KEYS)
        .map(|(k, v)| (k.as_str(), json_text(v)))
        .collect();
    pairs(out, values.iter().map(|(k, v)| (*k, v.as_str())))?;
    if object.len() > MOST_KEYS {
        out.line(format!(
            "  and {} more: --json shows all",
            object.len() - MOST_KEYS
        ))?;
    }
    Ok(())
}

pub(super) fn pairs<'a>(
    out: &mut Output,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<()> {
    let pairs: Vec<_> = pairs.collect();
    let wide = pairs
        .iter()
        .map(|(what, _)| console::measure_text_width(what))
        .max()
        .unwrap_or(0)
        .min(40);
    let room = out.width.saturating_sub(wide + 4).max(20);
    for (what, value) in pairs {
        let value = text::one_line(value);
        let value = if out.terminal {
            text::shortened(&value, room)
        } else {
            value
        };
        let what = text::one_line(what);
        let pad = " ".repeat(wide.saturating_sub(console::measure_text_width(&what)));
        out.line(format!("  {what}{pad}  {value}"))?;
    }
    Ok(())
}

fn history(out: &mut Output, series: &[SeriesInfo]) -> Result<()> {
    if series.is_empty() {
        return Ok(());
    }
    out.line("\nhistory")?;
    let mut listing = Listing::new(
        out,
        &[left("KEY"), right("POINTS"), right("STEPS"), right("LAST")],
    );
    for info in series.iter().take(MOST_KEYS) {
        listing.row(&series_shape(info), || {
            vec![
                info.key.to_string(),
                info.count.to_string(),
                info.steps
                    .map(|(low, high)| format!("{low}…{high}"))
                    .unwrap_or_default(),
                info.last
                    .as_ref()
                    .map(|v| text::shortened(&value_text(v), 40))
                    .unwrap_or_default(),
            ]
        })?;
    }
    listing.end()?;
    if series.len() > MOST_KEYS {
        out.line(format!(
            "  and {} more: --json shows all",
            series.len() - MOST_KEYS
        ))?;
    }
    Ok(())
}
