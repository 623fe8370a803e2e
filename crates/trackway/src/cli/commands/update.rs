use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::Value as Json;
use tracker_client::{Api, RunEdit, Section, value_at};
use tracker_model::{ErrorKind, JsonObject, Run, RunOrder, RunParts, RunPath, RunQuery, Tracker};

use crate::cli::{
    Shell, ask,
    failure::{Exit, Failure, Result},
    open::{self, FromArgs},
    output::{Listing, left},
    resolve,
    shape::json_text,
    text,
    which::{self, ExprArgs, why_none},
};

/// Runs that are changed at once.
const AT_ONCE: usize = 8;
/// Between two lines about how far it is.
const EVERY: Duration = Duration::from_secs(10);

/// What to change, of which runs.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  trackway update 62915c7a --set summary.accuracy=0.9 --tag checked
  trackway update 62915c7a --rename summary.old_name=new_name --unset config.debug
  trackway update digits --filter 'config.arch = \"r50\"' --set config.arch=resnet50 --dry-run
  trackway update digits --filter 'state = running' --state crashed --yes

A VALUE is JSON, or text as it is. A KEY with dots is the one that is there, whole or in nested
objects; a new one is nested. All of it is made to a run in one step. Histories stay as they are.")]
pub(crate) struct UpdateArgs {
    /// A run; with a filter, a project
    #[arg(value_name = "RUN|PROJECT")]
    what: String,
    #[command(flatten)]
    filter: ExprArgs,
    #[command(flatten)]
    edit: EditArgs,
    /// Print what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask before more than one run is changed
    #[arg(long, short)]
    yes: bool,
    #[command(flatten)]
    from: FromArgs,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Changes")]
struct EditArgs {
    /// Set config.KEY or summary.KEY; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Rename config.OLD or summary.OLD; repeatable
    #[arg(long, value_name = "OLD=NEW")]
    rename: Vec<String>,
    /// Remove config.KEY or summary.KEY; repeatable
    #[arg(long, value_name = "KEY")]
    unset: Vec<String>,
    /// Add a tag; repeatable
    #[arg(long)]
    tag: Vec<String>,
    /// Remove a tag; repeatable
    #[arg(long)]
    untag: Vec<String>,
    /// Set the notes; '' removes them
    #[arg(long, value_name = "TEXT")]
    notes: Option<String>,
    /// Set the display name; '' removes it
    #[arg(long)]
    name: Option<String>,
    /// Put into a group; '' takes out of it
    #[arg(long)]
    group: Option<String>,
    /// Set the job type; '' removes it
    #[arg(long, value_name = "TYPE")]
    job_type: Option<String>,
    /// Set the state: running, finished, failed, killed…
    #[arg(long)]
    state: Option<String>,
}

/// What to change, understood.
#[derive(Debug)]
struct Changes {
    set: Vec<(Section, String, Json)>,
    rename: Vec<(Section, String, String)>,
    unset: Vec<(Section, String)>,
    /// What does not depend on the run.
    rest: RunEdit,
}

impl EditArgs {
    fn understood(self) -> Result<Changes> {
        let mut changes = Changes {
            set: Vec::new(),
            rename: Vec::new(),
            unset: Vec::new(),
            rest: RunEdit::new(),
        };
        for text in &self.set {
            let (key, value) = pair("--set", text)?;
            let (section, key) = section_of("--set", key)?;
            changes.set.push((section, key.to_owned(), json(value)?));
        }
        for text in &self.rename {
            let (from, to) = pair("--rename", text)?;
            let (section, from) = section_of("--rename", from)?;
            let prefix = format!("{}.", section.as_str());
            let to = to.strip_prefix(&prefix).unwrap_or(to);
            if to.is_empty() {
                return Err(Failure::usage(format!("--rename {text:?} has no new name")));
            }
            changes
                .rename
                .push((section, from.to_owned(), to.to_owned()));
        }
        for text in &self.unset {
            let (section, key) = section_of("--unset", text)?;
            changes.unset.push((section, key.to_owned()));
        }
        let mut rest = RunEdit::new();
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        for tag in self.tag {
            rest = rest.add_tag(tag);
        }
        for tag in self.untag {
            rest = rest.remove_tag(tag);
        }
        if let Some(notes) = self.notes {
            rest = rest.notes(given(notes));
        }
        if let Some(name) = self.name {
            rest = rest.name(given(name));
        }
        if let Some(group) = self.group {
            rest = rest.group(given(group));
        }
        if let Some(job_type) = self.job_type {
            rest = rest.job_type(given(job_type));
        }
        if let Some(word) = self.state {
            rest = rest.state(which::state(&word)?);
        }
        changes.rest = rest;
        if changes.is_empty() {
            return Err(Failure::usage("nothing to change was given")
                .with_hint("--set, --rename, --unset, --tag and others say what"));
        }
        Ok(changes)
    }
}

fn pair<'a>(flag: &str, text: &'a str) -> Result<(&'a str, &'a str)> {
    text.split_once('=').ok_or_else(|| {
        Failure::usage(format!("{flag} {text:?} has no =")).with_hint(match flag {
            "--set" => "write --set config.KEY=VALUE",
            _ => "write --rename summary.OLD=NEW",
        })
    })
}

fn section_of<'a>(flag: &str, text: &'a str) -> Result<(Section, &'a str)> {
    let found = match text.split_once('.') {
        Some(("config", key)) => Some((Section::Config, key)),
        Some(("summary" | "summary_metrics", key)) => Some((Section::Summary, key)),
        _ => None,
    };
    found.filter(|(_, key)| !key.is_empty()).ok_or_else(|| {
        Failure::usage(format!("{flag}: {text:?} is no key of a run")).with_hint(format!(
            "did you mean config.{0} or summary.{0}?",
            text.trim_matches('.')
        ))
    })
}

/// JSON, or text that does not begin like it.
fn json(text: &str) -> Result<Json> {
    serde_json::from_str(text).or_else(|e| {
        if text.starts_with(['{', '[', '"']) {
            return Err(Failure::usage(format!("--set: {text:?} is not JSON: {e}")));
        }
        Ok(Json::String(text.to_owned()))
    })
}

impl Changes {
    fn is_empty(&self) -> bool {
        self.set.is_empty()
            && self.rename.is_empty()
            && self.unset.is_empty()
            && self.rest.is_empty()
    }

    /// The edit of a run: keys to remove that are not there are as wanted, and so are keys to rename
    /// that were renamed already.
    fn of(&self, run: &Run) -> RunEdit {
        let there = |section, key: &str| value_at(object(run, section), key).is_some();
        let mut edit = self.rest.clone();
        for (section, from, to) in &self.rename {
            if there(*section, from) || !there(*section, to) {
                edit = edit.rename(*section, from, to);
            }
        }
        for (section, key) in &self.unset {
            if there(*section, key) {
                edit = edit.remove(*section, key);
            }
        }
        for (section, key, value) in &self.set {
            edit = edit.set(*section, key, value.clone());
        }
        edit
    }
}

fn object(run: &Run, section: Section) -> &JsonObject {
    match section {
        Section::Config => &run.config,
        Section::Summary => &run.summary,
    }
}

/// One difference that an edit makes.
#[derive(Debug, Serialize)]
struct Difference {
    run: String,
    field: String,
    from: Option<Json>,
    to: Option<Json>,
}

/// What came of it.
#[derive(Debug, Serialize)]
struct Done {
    changed: u64,
    unchanged: u64,
    /// Runs that lack a key that is to be renamed.
    lacking: u64,
}

pub(super) async fn run(shell: &mut Shell, args: UpdateArgs) -> Result<Exit> {
    let filter = args.filter.filter()?;
    let changes = args.edit.understood()?;
    let tracker = match args.dry_run {
        true => open::reader(shell, &args.from).await?,
        false => open::editor(shell, &args.from).await?,
    };
    let one = filter.is_none();
    let query = match filter {
        Some(filter) => {
            let project = resolve::project(&*tracker, &args.what).await?;
            RunQuery::of_project(&project).with_filter(filter)
        }
        None => {
            let path = one_run(&*tracker, &args.what).await?;
            RunQuery::of_project(&path.project_path())
                .with_run(path.run)
                .with_deleted(true)
        }
    };
    let query = query
        .with_order(RunOrder::OldestFirst)
        .with_parts(RunParts {
            extras: false,
            ..RunParts::ALL
        });
    let mut plan = Plan::default();
    let columns = [left("RUN"), left("FIELD"), left("FROM"), left("TO")];
    let mut listing = Listing::new(&mut shell.out, &columns);
    let mut runs = tracker.find_runs(query.clone());
    while let Some(run) = runs.try_next().await? {
        let after = match changes.of(&run).preview(&run) {
            // Among many, those that have nothing to rename are left alone.
            Err(e) if e.kind() == ErrorKind::NotFound && !one => {
                plan.lacking += 1;
                continue;
            }
            after => after?,
        };
        if after == run {
            plan.unchanged += 1;
            continue;
        }
        if args.dry_run {
            for difference in differences(&run, &after) {
                listing.row(&difference, || {
                    let cell = |value: &Option<Json>| value.as_ref().map(json_text);
                    vec![
                        difference.run.clone(),
                        difference.field.clone(),
                        cell(&difference.from).unwrap_or_default(),
                        cell(&difference.to).unwrap_or_default(),
                    ]
                })?;
            }
        }
        plan.wanted.push(run.path);
    }
    drop(runs);
    if plan.wanted.is_empty() && plan.unchanged + plan.lacking == 0 {
        for line in why_none(&*tracker, &query).await? {
            shell.talk.warn(line);
        }
        shell.talk.note(format!("no run of {} fits", args.what));
    }
    if args.dry_run {
        listing.end()?;
        let wanted = plan.wanted.len() as u64;
        shell.talk.note(format!(
            "{} would change{}",
            text::count(wanted, "run"),
            plan.rest()
        ));
        return Ok(Exit::Ok);
    }
    if plan.wanted.len() > 1 {
        let many = text::count(plan.wanted.len() as u64, "run");
        ask::sure(shell, args.yes, &format!("change {many} of {}", args.what))?;
    }
    let changed = change(shell, &tracker, &changes, &plan.wanted).await?;
    plan.unchanged += plan.wanted.len() as u64 - changed;
    if shell.out.is_json() {
        shell.out.document(&Done {
            changed,
            unchanged: plan.unchanged,
            lacking: plan.lacking,
        })?;
    }
    let many = text::count(changed, "run");
    shell.talk.note(format!("{many} changed{}", plan.rest()));
    Ok(Exit::Ok)
}

#[derive(Debug, Default)]
struct Plan {
    wanted: Vec<RunPath>,
    unchanged: u64,
    lacking: u64,
}

impl Plan {
    fn rest(&self) -> String {
        let mut rest = String::new();
        if self.unchanged > 0 {
            rest += &format!(", {} so already", text::thousands(self.unchanged));
        }
        if self.lacking > 0 {
            rest += &format!(
                ", {} without the key to rename",
                text::thousands(self.lacking)
            );
        }
        rest
    }
}

async fn one_run(tracker: &dyn Tracker, text: &str) -> Result<RunPath> {
    match resolve::run(tracker, text).await {
        Ok(run) => Ok(run.path),
        Err(e) if e.exit() == Exit::NotFound && resolve::project(tracker, text).await.is_ok() => {
            Err(Failure::usage(format!("{text:?} is a project"))
                .with_hint("say which of its runs with --filter; --filter '{}' takes all of them"))
        }
        Err(e) => Err(e),
    }
}

/// Changes the runs, and answers how many were not as wanted.
async fn change(
    shell: &Shell,
    tracker: &Arc<dyn Tracker>,
    changes: &Changes,
    wanted: &[RunPath],
) -> Result<u64> {
    let api = Api::new(Arc::clone(tracker)).without_cache();
    let api = &api;
    let mut edits = stream::iter(wanted)
        .map(|path| async move {
            let edited = async {
                let mut run = api.run_at(path).await?;
                let version = run.record().version;
                let edit = changes.of(run.record());
                run.edit(edit).await?;
                Ok(run.record().version != version)
            };
            match edited.await {
                // Somebody deleted it meanwhile, or what was to be renamed.
                Err(e) if ErrorKind::NotFound == tracker_model::Error::kind(&e) => Ok(false),
                done => done,
            }
        })
        .buffer_unordered(AT_ONCE);
    let (mut changed, mut done, mut told) = (0, 0_u64, Instant::now());
    while let Some(edited) = edits.try_next().await? {
        changed += u64::from(edited);
        done += 1;
        if told.elapsed() >= EVERY && !shell.global.no_progress {
            told = Instant::now();
            let all = text::count(wanted.len() as u64, "run");
            shell
                .talk
                .note(format!("{} of {all}", text::thousands(done)));
        }
    }
    Ok(changed)
}

fn differences(before: &Run, after: &Run) -> Vec<Difference> {
    let mut found = Vec::new();
    let mut add = |field: String, from: Option<Json>, to: Option<Json>| {
        if from != to {
            found.push(Difference {
                run: before.path.to_string(),
                field,
                from,
                to,
            });
        }
    };
    let text = |text: &Option<String>| text.clone().map(Json::from);
    add("name".to_owned(), text(&before.name), text(&after.name));
    add("notes".to_owned(), text(&before.notes), text(&after.notes));
    add("group".to_owned(), text(&before.group), text(&after.group));
    add(
        "job_type".to_owned(),
        text(&before.job_type),
        text(&after.job_type),
    );
    let state = |run: &Run| Some(Json::from(run.state.as_str()));
    add("state".to_owned(), state(before), state(after));
    let tags = |run: &Run| Some(Json::from(run.tags.clone()));
    add("tags".to_owned(), tags(before), tags(after));
    for section in [Section::Config, Section::Summary] {
        let (from, to) = (object(before, section), object(after, section));
        keys_that_differ(section.as_str(), from, to, &mut add);
    }
    found
}

fn keys_that_differ(
    above: &str,
    from: &JsonObject,
    to: &JsonObject,
    add: &mut impl FnMut(String, Option<Json>, Option<Json>),
) {
    let new = to.keys().filter(|key| !from.contains_key(*key));
    for key in from.keys().chain(new) {
        let name = format!("{above}.{key}");
        match (from.get(key), to.get(key)) {
            (Some(Json::Object(from)), Some(Json::Object(to))) => {
                keys_that_differ(&name, from, to, add);
            }
            (from, to) => add(name, from.cloned(), to.cloned()),
        }
    }
}
