use std::borrow::Cow;

use clap::Args;
use futures::TryStreamExt;
use serde_json::Value as Json;
use tracker_client::{KeySearch, value_at};
use tracker_model::{Run, RunOrder, RunParts, RunQuery, Tracker};

use crate::cli::{
    Shell,
    failure::{Exit, Result},
    open::{self, FromArgs},
    output::{Format, FormatArg, Listing, left, right},
    program, resolve,
    shape::{RunShape, SourceShape, json_text},
    text,
    which::{Field, FilterArgs, OrderArgs, missing_keys, why_none},
};

/// Which runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway runs                                all runs, newest first
  trackway runs digits --filter 'config.lr > 0.01 and state = finished'
  trackway runs digits --order -summary.acc --limit 10 --show name,config.lr,summary.acc
  trackway runs --filter '{\"tags\": {\"$in\": [\"prod\"]}}' --count
  trackway runs digits --since 7d --format csv > runs.csv

In filters and orders `name` is the id, as in W&B, and display_name the name.")]
pub(crate) struct RunsArgs {
    /// ENTITY/PROJECT or PROJECT; all without it
    project: Option<String>,
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    order: OrderArgs,
    /// Oldest first
    #[arg(long, conflicts_with = "order")]
    oldest_first: bool,
    /// At most so many
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Print how many there are
    #[arg(long, conflicts_with_all = ["limit", "show", "format"])]
    count: bool,
    /// Deleted runs too
    #[arg(long)]
    include_deleted: bool,
    /// Show these in place of the usual columns: config.KEY, summary.KEY, tag.KEY or a field
    #[arg(
        long,
        visible_alias = "fields",
        value_name = "FIELD,…",
        value_delimiter = ','
    )]
    show: Vec<String>,
    /// The form of the list [default: a table, in a pipe tsv]
    #[arg(long, value_enum, conflicts_with_all = ["json", "jsonl"])]
    format: Option<FormatArg>,
    #[command(flatten)]
    from: FromArgs,
}

pub(super) async fn run(shell: &mut Shell, args: RunsArgs) -> Result<Exit> {
    if let Some(format) = args.format {
        shell.out.format = format.into();
    }
    let fields: Vec<Field> = args
        .show
        .iter()
        .map(|f| Field::parse(f))
        .collect::<Result<_>>()?;
    let (filter, order) = (args.filter.filter()?, args.order.order()?);
    let tracker = open::reader(shell, &args.from).await?;
    let mut query = match &args.project {
        Some(text) => RunQuery::of_project(&resolve::project(&*tracker, text).await?),
        None => RunQuery::new(),
    };
    query = query
        .with_deleted(args.include_deleted)
        .with_order(match args.oldest_first {
            true => RunOrder::OldestFirst,
            false => order,
        })
        .with_parts(match shell.out.is_json() {
            true => RunParts::ALL,
            false => Field::parts(&fields),
        });
    query.filter = filter;
    query.limit = args.limit;
    let found = if args.count {
        let count = tracker.count_runs(&query).await?;
        match shell.out.is_json() {
            true => shell.out.document(&serde_json::json!({ "runs": count }))?,
            false => shell.out.line(count.to_string())?,
        }
        count
    } else {
        list(shell, &*tracker, &query, &args, &fields).await?
    };
    if found == 0 {
        none(shell, &*tracker, &query, args.project.as_deref()).await?;
    }
    Ok(Exit::Ok)
}

async fn list(
    shell: &mut Shell,
    tracker: &dyn Tracker,
    query: &RunQuery,
    args: &RunsArgs,
    fields: &[Field],
) -> Result<u64> {
    let format = shell.out.format;
    let people = format == Format::Table;
    let many = args.project.is_none();
    let mut columns = match people && many {
        true => vec![left("PROJECT"), left("RUN")],
        false => vec![left("RUN")],
    };
    if fields.is_empty() {
        columns.extend([
            left("NAME"),
            left("STATE"),
            left("STARTED (UTC)"),
            right("DURATION"),
            left("USER"),
        ]);
    }
    let mut listing = Listing::new(&mut shell.out, &columns);
    listing.add_columns(&args.show);
    let mut filled = vec![false; fields.len()];
    let mut runs = tracker.find_runs(query.clone());
    while let Some(run) = runs.try_next().await? {
        listing.row(&RunShape(&run), || {
            let mut cells = match people {
                true if many => vec![run.path.project_path().to_string(), short_id(&run)],
                true => vec![short_id(&run)],
                false => vec![run.path.to_string()],
            };
            if fields.is_empty() {
                cells.extend(usual_cells(&run, people));
            }
            for (field, filled) in fields.iter().zip(&mut filled) {
                let cell = cell(&run, field);
                *filled |= !cell.is_empty();
                cells.push(cell.into_owned());
            }
            cells
        })?;
    }
    let found = listing.end()?;
    if found > 0 && !shell.out.is_json() {
        let mut search = KeySearch::new();
        for (field, _) in fields.iter().zip(&filled).filter(|(_, filled)| !**filled) {
            search = match field {
                Field::Config(key) => search.config(key),
                Field::Summary(key) => search.summary(key),
                _ => search,
            };
        }
        for line in missing_keys(tracker, query, &search).await? {
            shell.talk.warn(line);
        }
    }
    Ok(found)
}

/// Says why nothing was found.
async fn none(
    shell: &Shell,
    tracker: &dyn Tracker,
    query: &RunQuery,
    project: Option<&str>,
) -> Result<()> {
    let mut all = query.clone();
    (all.filter, all.limit) = (None, None);
    let all = tracker.count_runs(&all).await?;
    if all == 0 || query.filter.is_none() {
        shell.talk.note(match project {
            Some(project) => format!("there are no runs in {project}"),
            None => format!(
                "there are no such runs; `{} import SOURCE` brings some",
                program()
            ),
        });
        return Ok(());
    }
    for line in why_none(tracker, query).await? {
        shell.talk.warn(line);
    }
    let place = project.map_or_else(String::new, |project| format!(" in {project}"));
    shell
        .talk
        .note(format!("none of {}{place} fits", text::count(all, "run")));
    Ok(())
}

/// Enough of an id to name the run, for tables.
pub(super) fn short_id(run: &Run) -> String {
    let id = run.path.run.as_str();
    let random = id.len() == 32 && id.chars().all(|c| c.is_ascii_hexdigit());
    id.get(..8).filter(|_| random).unwrap_or(id).to_owned()
}

fn usual_cells(run: &Run, people: bool) -> [String; 5] {
    let state = if run.deleted {
        format!("{}, deleted", run.state)
    } else {
        run.state.to_string()
    };
    [
        text::shortened(
            run.name.as_deref().unwrap_or_default(),
            if people { 40 } else { usize::MAX },
        ),
        state,
        run.started_at
            .map(|t| text::time_cell(t, people))
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

/// A field of a run as text.
pub(super) fn cell<'a>(run: &'a Run, field: &Field) -> Cow<'a, str> {
    fn text(text: Option<&str>) -> Cow<'_, str> {
        text.unwrap_or_default().into()
    }
    fn json(value: Option<&Json>) -> Cow<'_, str> {
        match value {
            Some(Json::String(text)) => text.into(),
            Some(other) => json_text(other).into(),
            None => "".into(),
        }
    }
    let time = |time: Option<tracker_model::Timestamp>| match time {
        Some(time) => time.to_string().into(),
        None => Cow::Borrowed(""),
    };
    let whole = |shape: serde_json::Result<String>| shape.unwrap_or_default().into();
    let name = match field {
        Field::Config(key) => return json(value_at(&run.config, key)),
        Field::Summary(key) => return json(value_at(&run.summary, key)),
        Field::Tag(key) => {
            let tags = SourceShape::of(run).and_then(|source| source.tags());
            return json(tags.and_then(|tags| tags.get(key)));
        }
        Field::Named(name) => *name,
    };
    match name {
        "path" => run.path.to_string().into(),
        "entity" => run.path.entity.as_str().into(),
        "project" => run.path.project.as_str().into(),
        "id" => run.path.run.as_str().into(),
        "name" => text(run.name.as_deref()),
        "state" => run.state.as_str().into(),
        "created_at" => time(Some(run.created_at)),
        "started_at" => time(run.started_at),
        "ended_at" => time(run.ended_at),
        "heartbeat_at" => time(run.heartbeat_at),
        "duration" => duration(run).unwrap_or_default().into(),
        "user" => text(run.user.as_deref()),
        "host" => text(run.host.as_deref()),
        "program" => text(run.program.as_deref()),
        "commit" => text(run.git.as_ref().and_then(|git| git.commit.as_deref())),
        "group" => text(run.group.as_deref()),
        "job_type" => text(run.job_type.as_deref()),
        "tags" => whole(serde_json::to_string(&run.tags)),
        "notes" => text(run.notes.as_deref()),
        "parent" => text(run.parent.as_ref().map(|parent| parent.as_str())),
        "sweep" => text(run.sweep.as_deref()),
        "deleted" => run.deleted.to_string().into(),
        "config" => whole(serde_json::to_string(&run.config)),
        "summary" => whole(serde_json::to_string(&run.summary)),
        "source" => whole(serde_json::to_string(&SourceShape::of(run))),
        _ => "".into(),
    }
}
