//! Tables of runs.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde_json::Value as Json;
use tracker_client::{Section, chart::duration, value_at};
use tracker_model::{JsonObject, ProjectPath, Run, RunOrder, RunPath, RunState};

use super::{
    layout::bare,
    params::{Params, address},
    text::{Text, time},
    values,
};

/// Columns of values unless they are named, and at most.
const USUAL_COLUMNS: usize = 8;
const MOST_COLUMNS: usize = 40;
/// Keys of one run that are thought of.
const MOST_KEYS: usize = 2_000;

/// A column of values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Column {
    section: Section,
    key: String,
}

impl Column {
    /// `config.KEY` or `summary.KEY`; a key alone is one of the summary.
    fn parse(text: &str) -> Self {
        let (section, key) = match text.split_once('.') {
            Some(("config", key)) => (Section::Config, key),
            Some(("summary" | "summary_metrics", key)) => (Section::Summary, key),
            _ => (Section::Summary, text),
        };
        Self {
            section,
            key: key.to_owned(),
        }
    }

    /// As [`Column::parse`] reads it.
    fn name(&self) -> String {
        format!("{}.{}", self.section.as_str(), self.key)
    }

    fn value<'r>(&self, run: &'r Run) -> Option<&'r Json> {
        value_at(section_of(run, self.section), &self.key)
    }
}

fn section_of(run: &Run, section: Section) -> &JsonObject {
    match section {
        Section::Config => &run.config,
        Section::Summary => &run.summary,
    }
}

/// The columns that a list names, else those that say most of the runs.
pub(super) fn columns(asked: Option<&str>, runs: &[Run]) -> Vec<Column> {
    let Some(asked) = asked else {
        return usual(runs);
    };
    let names = asked
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty());
    names.map(Column::parse).take(MOST_COLUMNS).collect()
}

/// Keys that most of the runs have, first those in which they differ; half of them of the config if
/// there are as many.
fn usual(runs: &[Run]) -> Vec<Column> {
    let mut half = [Section::Config, Section::Summary].map(|section| ranked(section, runs));
    let [config, summary] = &mut half;
    let kept = USUAL_COLUMNS / 2;
    config.truncate(kept.max(USUAL_COLUMNS.saturating_sub(summary.len())));
    summary.truncate(USUAL_COLUMNS - config.len());
    half.into_iter().flatten().collect()
}

fn ranked(section: Section, runs: &[Run]) -> Vec<Column> {
    struct Seen<'r> {
        runs: usize,
        first: &'r Json,
        differs: bool,
    }
    let mut seen: BTreeMap<String, Seen<'_>> = BTreeMap::new();
    for run in runs {
        let mut left = MOST_KEYS;
        values::leaves(section_of(run, section), &mut |key, value| {
            // What begins so is of the SDK, and what is a list has no room.
            let plain = !key.starts_with('_') && !value.is_array() && !value.is_object();
            if left == 0 || !plain {
                return;
            }
            left -= 1;
            match seen.get_mut(key) {
                Some(seen) => {
                    seen.runs += 1;
                    seen.differs |= seen.first != value;
                }
                None => {
                    let seen_once = Seen {
                        runs: 1,
                        first: value,
                        differs: false,
                    };
                    seen.insert(key.to_owned(), seen_once);
                }
            }
        });
    }
    let mut keys: Vec<_> = seen.into_iter().collect();
    // Stable: keys that are alike stay in their order.
    keys.sort_by_key(|(_, seen)| (std::cmp::Reverse(seen.runs), !seen.differs));
    let column = |(key, _)| Column { section, key };
    keys.into_iter().map(column).collect()
}

/// The address of the page of a run.
pub(super) fn run_address(path: &RunPath) -> String {
    let parts = [
        path.entity.as_str(),
        path.project.as_str(),
        "runs",
        path.run.as_str(),
    ];
    address(parts)
}

/// The name of a run, or its id.
pub(super) fn title_of(run: &Run) -> &str {
    let name = run.name.as_deref().filter(|name| !name.trim().is_empty());
    name.unwrap_or_else(|| run.path.run.as_str())
}

/// How long a run took, or has been running as far as was heard. One of which is not known when it
/// began, began when it was made.
pub(super) fn duration_of(run: &Run) -> Option<String> {
    let began = run.started_at.unwrap_or(run.created_at);
    let end = run.ended_at.or(run.heartbeat_at)?.as_millis();
    let took = end.checked_sub(began.as_millis())?;
    (took >= 0).then(|| duration(took))
}

pub(super) fn state(state: RunState) -> Markup {
    html! { span class={ "state " (state.as_str()) } { (state.as_str()) } }
}

pub(super) fn tags(tags: &[String]) -> Markup {
    html! { @for tag in tags { span.tag { (Text(tag)) } } }
}

/// Runs with some of their values. With `params`, heads are links that order the table, and runs can
/// be chosen for comparing.
pub(super) fn table(
    project: &ProjectPath,
    runs: &[Run],
    columns: &[Column],
    params: Option<&Params>,
) -> Markup {
    let rows = html! {
        div.scroll { table {
            thead { tr {
                @if params.is_some() { th.box { span.dim aria-hidden="true" { "✓" } } }
                (head("Name", "display_name", params, false))
                (head("State", "state", params, false))
                (head("Created (UTC)", "created_at", params, false))
                (head("Duration", "duration", params, true))
                (head("User", "username", params, false))
                th scope="col" { "Tags" }
                @for column in columns {
                    @let name = column.name();
                    @let number = runs.iter().any(|run| column.value(run).is_some_and(Json::is_number));
                    (head(&column.key, &name, params, number))
                }
            } }
            tbody {
                @for run in runs {
                    tr {
                        @if params.is_some() {
                            td.box {
                                input type="checkbox" name="run" value=(run.path.run.as_str())
                                    aria-label={ "Compare " (Text(title_of(run))) };
                            }
                        }
                        td.name { a href=(run_address(&run.path)) { (Text(title_of(run))) } }
                        td { (state(run.state)) }
                        td { (time(run.created_at)) }
                        td.num { @if let Some(took) = duration_of(run) { (took) } }
                        td.cell { @if let Some(user) = &run.user { (Text(user)) } }
                        td.cell { (tags(&run.tags)) }
                        @for column in columns { (values::cell(column.value(run))) }
                    }
                }
            }
        } }
    };
    let to = address([project.entity.as_str(), project.project.as_str(), "compare"]);
    html! {
        @if params.is_some() {
            form method="get" action=(to) {
                (rows)
                p { button type="submit" { "Compare chosen runs" } }
            }
        } @else { (rows) }
    }
}

/// The head of a column, a link if runs can be ordered by it. The first click shows the greatest or
/// newest first, the second turns it round.
fn head(name: &str, key: &str, params: Option<&Params>, number: bool) -> Markup {
    let class = number.then_some("num");
    let known = RunOrder::parse([key]).is_ok() && !key.contains(',');
    let Some(params) = params.filter(|_| known) else {
        return html! { th scope="col" class=[class] title=(Text(key)) { (Text(name)) } };
    };
    let now = params.get("order").unwrap_or_default();
    let down = format!("-{key}");
    let (next, sorted, arrow) = if now == down {
        (key.to_owned(), Some("descending"), " ▼")
    } else if now.trim_start_matches('+') == key {
        (down, Some("ascending"), " ▲")
    } else {
        (down, None, "")
    };
    let to = params.without("after").with("order", next);
    html! {
        th scope="col" class=[class] aria-sort=[sorted] title=(Text(key)) {
            a href={ "?" (bare(&to)) } { (Text(name)) (arrow) }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tracker_model::Timestamp;

    use super::*;

    fn run(config: Json, summary: Json) -> Run {
        let mut run = Run::new("e/p/r".parse().unwrap(), Timestamp::from_millis(0));
        run.config = config.as_object().cloned().unwrap();
        run.summary = summary.as_object().cloned().unwrap();
        run
    }

    #[test]
    fn columns_are_what_most_runs_have() {
        let many: JsonObject = (0..20).map(|i| (format!("k{i:02}"), json!(1))).collect();
        let runs = [
            run(
                json!({"lr": 0.1, "same": 1, "rare": 1, "_wandb": 1, "list": [1]}),
                many.clone().into(),
            ),
            run(json!({"lr": 0.2, "same": 1}), many.into()),
        ];
        let names: Vec<_> = columns(None, &runs).iter().map(Column::name).collect();
        assert_eq!(
            names,
            [
                "config.lr",
                "config.same",
                "config.rare",
                "summary.k00",
                "summary.k01",
                "summary.k02",
                "summary.k03",
                "summary.k04"
            ]
        );
        let names: Vec<_> = columns(Some("loss, config.a.b,,summary_metrics.x"), &runs);
        let names: Vec<_> = names.iter().map(Column::name).collect();
        assert_eq!(names, ["summary.loss", "config.a.b", "summary.x"]);
    }

    #[test]
    fn heads_turn_the_order_round() {
        let of = |query: &str| {
            let params = Params::read(query.as_bytes());
            head("Loss", "summary.loss", Some(&params), false).into_string()
        };
        assert!(
            of("after=50&filter=x").contains("href=\"?filter=x&amp;order=-summary.loss\""),
            "{}",
            of("")
        );
        assert!(
            of("order=-summary.loss").contains("?order=summary.loss\"")
                && of("order=-summary.loss").contains("aria-sort=\"descending\"")
        );
        assert!(of("order=summary.loss").contains("?order=-summary.loss\""));
        let odd = head("odd", "summary.$x", Some(&Params::default()), false).into_string();
        assert!(!odd.contains("<a"), "{odd}");
    }
}
