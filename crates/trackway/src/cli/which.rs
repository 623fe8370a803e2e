//! Which runs: filters, orders, and why there are none.

use clap::Args;
use query_dsl::{Condition, Filter, Path, Test, TypeName, Value};
use tracker_client::KeySearch;
use tracker_model::{RunFilter, RunOrder, RunParts, RunQuery, RunState, Timestamp, Tracker};

use super::{
    failure::{Failure, Result},
    text::{count, did_you_mean, nearest},
    times,
};

/// Conditions on runs, as expressions.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ExprArgs {
    /// Only runs that fit: MongoDB's JSON, or `config.lr > 0.001 and state = finished`; repeatable
    #[arg(long, value_name = "EXPR", allow_hyphen_values = true)]
    filter: Vec<String>,
}

/// A condition on runs.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FilterArgs {
    #[command(flatten)]
    expr: ExprArgs,
    /// Only runs in this state: running, finished, failed, killed…
    #[arg(long)]
    state: Option<String>,
    /// Only runs that began at this time or later: 2026-01-31, an RFC 3339 time, 7d, 12h
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only runs that began before this time
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
}

/// An order of runs.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct OrderArgs {
    /// Sort by this, `-KEY` downwards: -summary.acc, +config.lr; the next --order decides where it ties
    #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
    order: Vec<String>,
}

impl ExprArgs {
    /// All of them together, if there are any.
    pub(crate) fn filter(&self) -> Result<Option<RunFilter>> {
        let parsed = self.filter.iter().map(|text| RunFilter::parse(text));
        all_of(parsed.map(|filter| filter.map_err(|e| Failure::expression("--filter", &e))))
    }
}

impl FilterArgs {
    /// All of the conditions together, if there are any.
    pub(crate) fn filter(&self) -> Result<Option<RunFilter>> {
        let built =
            |flag, filter| RunFilter::new(filter).map_err(|e| Failure::expression(flag, &e));
        let now = Timestamp::now();
        let time = |text: &str| times::parse(text, now).map(|t| Value::Date(t.as_millis()));
        let mut all: Vec<RunFilter> = self.expr.filter()?.into_iter().collect();
        if let Some(word) = &self.state {
            let state = Filter::field("state").eq(state(word)?.as_str());
            all.push(built("--state", state)?);
        }
        if let Some(since) = &self.since {
            let since = Filter::field("started_at").gte(time(since)?);
            all.push(built("--since", since)?);
        }
        if let Some(until) = &self.until {
            let until = Filter::field("started_at").lt(time(until)?);
            all.push(built("--until", until)?);
        }
        all_of(all.into_iter().map(Ok))
    }
}

/// All of the filters as one.
fn all_of(mut filters: impl Iterator<Item = Result<RunFilter>>) -> Result<Option<RunFilter>> {
    let Some(first) = filters.next() else {
        return Ok(None);
    };
    let both = |a: RunFilter, b: Result<RunFilter>| {
        a.and(&b?).map_err(|e| Failure::expression("--filter", &e))
    };
    filters.try_fold(first?, both).map(Some)
}

/// The state that a word means.
pub(crate) fn state(word: &str) -> Result<RunState> {
    let found = RunState::ALL.into_iter().find(|s| s.as_str() == word);
    found.ok_or_else(|| {
        let known = RunState::ALL.map(RunState::as_str);
        Failure::usage(format!("{word:?} is not a state"))
            .with_hint(format!("the states are {}", known.join(", ")))
    })
}

impl OrderArgs {
    /// The order, newest first without any.
    pub(crate) fn order(&self) -> Result<RunOrder> {
        RunOrder::parse(&self.order).map_err(|e| Failure::expression("--order", &e))
    }
}

/// Why nothing was found, a line for each reason; nothing if that is simply how it is.
pub(crate) async fn why_none(tracker: &dyn Tracker, query: &RunQuery) -> Result<Vec<String>> {
    let Some(filter) = &query.filter else {
        return Ok(Vec::new());
    };
    let search = KeySearch::new().of_filter(filter);
    let mut reasons = missing_keys(tracker, query, &search).await?;
    let mut paths = Vec::new();
    compared_with_numbers(filter.resolved(), &mut paths);
    for path in paths {
        let of_type = async |name| {
            let typed = Filter::field(path.clone()).test(Test::Type(vec![name]));
            let typed = RunFilter::new(typed).map_err(|e| Failure::expression("--filter", &e))?;
            let mut scope = query.clone().with_filter(typed);
            (scope.limit, scope.parts) = (None, RunParts::NONE);
            Ok::<_, Failure>(tracker.count_runs(&scope).await?)
        };
        let texts = of_type(TypeName::String).await?;
        if texts > 0 && of_type(TypeName::Number).await? == 0 {
            let key = path
                .parts()
                .join(".")
                .replacen("summary_metrics.", "summary.", 1);
            reasons.push(format!(
                "{key} is text in {}, as parameters of MLflow are, and no number: compare it with text, {key} = \"…\"",
                count(texts, "run")
            ));
        }
    }
    for id in ids_of(filter.resolved()) {
        let titled = Filter::field("display_name").eq(id);
        let titled = RunFilter::new(titled).map_err(|e| Failure::expression("--filter", &e))?;
        let mut scope = query.clone().with_filter(titled);
        (scope.limit, scope.parts) = (None, RunParts::NONE);
        if tracker.count_runs(&scope).await? > 0 {
            reasons.push(format!(
                "no run has the id {id:?}, but one is called so: `name` is the id, ask for display_name"
            ));
        }
    }
    Ok(reasons)
}

/// A line for each key that no run has.
pub(crate) async fn missing_keys(
    tracker: &dyn Tracker,
    scope: &RunQuery,
    search: &KeySearch,
) -> Result<Vec<String>> {
    if search.is_empty() {
        return Ok(Vec::new());
    }
    let missing = search.missing(tracker, scope).await?;
    let line = |missing: tracker_client::MissingKey| match missing.hint() {
        Some(hint) => format!("no run has {}; {hint}", missing.key),
        None => format!("no run has {}", missing.key),
    };
    Ok(missing.into_iter().map(line).collect())
}

/// The keys of configs and summaries that a filter compares with numbers.
fn compared_with_numbers<'a>(filter: &'a Filter, found: &mut Vec<&'a Path>) {
    match filter {
        Filter::And(all) | Filter::Or(all) => {
            all.iter().for_each(|f| compared_with_numbers(f, found));
        }
        Filter::Field(field) if field.path.parts().len() > 1 => {
            let with_number = |condition: &Condition| match &condition.test {
                Test::Eq(value)
                | Test::Gt(value)
                | Test::Gte(value)
                | Test::Lt(value)
                | Test::Lte(value) => {
                    matches!(value, Value::Int(_) | Value::Long(_) | Value::Double(_))
                }
                _ => false,
            };
            if field.conditions.iter().any(with_number) && !found.contains(&&field.path) {
                found.push(&field.path);
            }
        }
        _ => {}
    }
}

/// The ids that a filter names.
fn ids_of(filter: &Filter) -> Vec<&str> {
    match filter {
        Filter::And(all) | Filter::Or(all) => all.iter().flat_map(ids_of).collect(),
        Filter::Field(field) if field.path.parts() == ["name"] => {
            let tests = field.conditions.iter().map(|condition| &condition.test);
            let texts = tests.filter_map(|test| match test {
                Test::Eq(Value::String(id)) => Some(id.as_str()),
                _ => None,
            });
            texts.collect()
        }
        _ => Vec::new(),
    }
}

/// One thing that is said of a run, by its name in the JSON.
#[derive(Debug, Clone)]
pub(crate) enum Field {
    /// A key of the config.
    Config(String),
    /// A key of the summary.
    Summary(String),
    /// A key-value tag of the source.
    Tag(String),
    /// One of [`Field::NAMES`].
    Named(&'static str),
}

impl Field {
    /// What is not a key of something.
    pub(crate) const NAMES: [&'static str; 25] = [
        "path",
        "entity",
        "project",
        "id",
        "name",
        "state",
        "created_at",
        "started_at",
        "ended_at",
        "heartbeat_at",
        "duration",
        "user",
        "host",
        "program",
        "commit",
        "group",
        "job_type",
        "tags",
        "notes",
        "parent",
        "sweep",
        "deleted",
        "config",
        "summary",
        "source",
    ];

    /// Understands `config.KEY`, `summary.KEY`, `tag.KEY` or a name.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if let Some(key) = text.strip_prefix("config.") {
            return Ok(Self::Config(key.to_owned()));
        }
        let summary = text.strip_prefix("summary.");
        if let Some(key) = summary.or_else(|| text.strip_prefix("summary_metrics.")) {
            return Ok(Self::Summary(key.to_owned()));
        }
        if let Some(key) = text.strip_prefix("tag.") {
            return Ok(Self::Tag(key.to_owned()));
        }
        let wanted = match text {
            "display_name" => "name",
            "username" => "user",
            other => other,
        };
        let found = Self::NAMES.into_iter().find(|name| *name == wanted);
        found.map(Self::Named).ok_or_else(|| {
            let near = nearest(text, Self::NAMES);
            Failure::usage(format!("runs have no field {text:?}")).with_hint(
                did_you_mean(&near).unwrap_or_else(|| {
                    format!("a hyperparameter is config.{text}, a result is summary.{text}")
                }),
            )
        })
    }

    /// The parts of a run that these fields are in; without fields, those of the usual columns.
    pub(crate) fn parts(fields: &[Self]) -> RunParts {
        let mut parts = match fields {
            [] => RunParts::NONE,
            _ => RunParts::ADDRESS,
        };
        for field in fields {
            match field {
                Self::Config(_) | Self::Named("config") => parts.config = true,
                Self::Summary(_) | Self::Named("summary") => parts.summary = true,
                Self::Tag(_) => parts.extras = true,
                Self::Named("source") => (parts.extras, parts.details) = (true, true),
                Self::Named("path" | "entity" | "project" | "id" | "created_at") => {}
                Self::Named(_) => parts.details = true,
            }
        }
        parts
    }
}
