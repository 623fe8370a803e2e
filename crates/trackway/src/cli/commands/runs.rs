use clap::Args;
use futures::TryStreamExt;
use serde_json::Value as Json;
use tracker_model::{Run, RunOrder, RunQuery, Timestamp};

use crate::cli::{
    Shell,
    failure::{Exit, Failure, Result},
    open::{self, FromArgs},
    output::{Listing, left, right},
    program, resolve,
    shape::{RunShape, json_text},
    text, times,
};

/// Which runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway runs                                all runs, newest first
  trackway runs digits --state failed          of one project
  trackway runs digits --show config.lr,summary.val/loss
  trackway runs --jsonl | jq -r 'select(.summary.loss < 0.1).id'")]
pub(crate) struct RunsArgs {
    /// ENTITY/PROJECT or PROJECT; all without it
    project: Option<String>,
    /// Only runs in this state: running, finished, failed, killed…
    #[arg(long)]
    state: Option<String>,
    /// Only runs that began at this time or later: 2026-01-31, an RFC 3339 time, 7d, 12h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only runs that began before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Oldest first
    #[arg(long)]
    oldest_first: bool,
    /// Deleted runs too
    #[arg(long)]
    include_deleted: bool,
    /// Show these in place of the usual columns, in tables: config.KEY, summary.KEY, tag.KEY or a field
    #[arg(long, value_name = "FIELD,…", value_delimiter = ',')]
    show: Vec<String>,
    #[command(flatten)]
    from: FromArgs,
}

/// The words that `--state` understands.
const STATES: [&str; 8] = [
    "pending",
    "running",
    "finished",
    "failed",
    "killed",
    "crashed",
    "preempting",
    "preempted",
];

pub(super) async fn run(shell: &mut Shell, args: RunsArgs) -> Result<Exit> {
    let now = Timestamp::now();
    let time = |t: &Option<String>| t.as_deref().map(|t| times::parse(t, now)).transpose();
    let (since, until) = (time(&args.since)?, time(&args.until)?);
    if let Some(state) = &args.state
        && !STATES.contains(&state.as_str())
    {
        return Err(Failure::usage(format!("{state:?} is not a state"))
            .with_hint(format!("the states are {}", STATES.join(", "))));
    }
    let tracker = open::reader(shell, &args.from).await?;
    let mut query = match &args.project {
        Some(text) => RunQuery::of_project(&resolve::project(&*tracker, text).await?),
        None => RunQuery::new(),
    };
    query = query.with_deleted(args.include_deleted);
    if args.oldest_first {
        query = query.with_order(RunOrder::OldestFirst);
    }
    let wanted = |run: &Run| {
        args.state
            .as_deref()
            .is_none_or(|state| run.state.as_str() == state)
            && since.is_none_or(|t| run.started_at.is_some_and(|s| s >= t))
            && until.is_none_or(|t| run.started_at.is_some_and(|s| s < t))
    };
    let terminal = shell.out.terminal;
    let many = args.project.is_none();
    let (project, run) = (left("PROJECT"), left("RUN"));
    let mut columns = if !terminal {
        vec![run]
    } else if many {
        vec![project, run]
    } else {
        vec![run]
    };
    if args.show.is_empty() {
        columns.extend([
            left("NAME"),
            left("STATE"),
            left("STARTED (UTC)"),
            right("DURATION"),
            left("USER"),
        ]);
    }
    let titles: Vec<String> = args.show.iter().map(|field| field.to_uppercase()).collect();
    let mut listing = Listing::new(&mut shell.out, &columns);
    listing.add_columns(&titles);
    let mut runs = tracker.find_runs(query);
    let mut left = args.limit.unwrap_or(u64::MAX);
    while left > 0 {
        let Some(run) = runs.try_next().await? else {
            break;
        };
        if !wanted(&run) {
            continue;
        }
        left -= 1;
        listing.row(&RunShape(&run), || {
            let mut cells = match terminal {
                true if many => vec![run.path.project_path().to_string(), short_id(&run)],
                true => vec![short_id(&run)],
                false => vec![run.path.to_string()],
            };
            match args.show.is_empty() {
                true => cells.extend(usual_cells(&run, terminal)),
                false => cells.extend(args.show.iter().map(|name| field(&run, name))),
            }
            cells
        })?;
    }
    if listing.end()? == 0 {
        shell.talk.note(match args.project {
            Some(project) => format!("no runs in {project} fit"),
            None => format!(
                "there are no such runs; `{} import SOURCE` brings some",
                program()
            ),
        });
    }
    Ok(Exit::Ok)
}

/// Enough of an id to name the run, for tables.
fn short_id(run: &Run) -> String {
    let id = run.path.run.as_str();
    let random = id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit());
    id.get(..8).filter(|_| random).unwrap_or(id).to_owned()
}

fn usual_cells(run: &Run, terminal: bool) -> Vec<String> {
    let state = if run.deleted {
        format!("{}, deleted", run.state)
    } else {
        run.state.to_string()
    };
    vec![
        text::shortened(
            run.name.as_deref().unwrap_or_default(),
            if terminal { 40 } else { usize::MAX },
        ),
        state,
        run.started_at
            .map(|t| text::time_cell(t, terminal))
            .unwrap_or_default(),
        duration(run).unwrap_or_default(),
        run.user.clone().unwrap_or_default(),
    ]
}

/// How long the run took.
pub(super) fn duration(run: &Run) -> Option<String> {
    let ms = run
        .ended_at?
        .as_millis()
        .checked_sub(run.started_at?.as_millis())?;
    Some(text::duration(ms))
}

/// A field of a run by its name in the JSON; `config.`, `summary.` and `tag.` lead to a key.
fn field(run: &Run, name: &str) -> String {
    let value = if let Some(key) = name.strip_prefix("config.") {
        run.config.get(key).cloned()
    } else if let Some(key) = name.strip_prefix("summary.") {
        run.summary.get(key).cloned()
    } else if let Some(key) = name.strip_prefix("tag.") {
        let source = crate::cli::shape::SourceShape::of(run);
        source
            .and_then(|s| s.tags())
            .and_then(|tags| tags.get(key))
            .cloned()
    } else if name == "duration" {
        duration(run).map(Json::String)
    } else {
        serde_json::to_value(RunShape(run))
            .ok()
            .and_then(|all| all.get(name).cloned())
    };
    value.as_ref().map(json_text).unwrap_or_default()
}
