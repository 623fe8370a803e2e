//! What runs print.

use std::ops::Range;

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::json;
use tracker_model::{Error, LogLevel, LogLine, LogStore, Result, RunPath};

use super::{Remote, RemoteTracker, failure::failure, graphql::Connection, record::time, under};

/// Lines of a page.
const PAGE: usize = 1_000;
/// Lines between two lines that are written as empty ones, on servers that know no gaps.
const MOST_EMPTY: u64 = 10_000;

#[derive(Deserialize)]
struct OfProject {
    project: Option<OfRun>,
}

#[derive(Deserialize)]
struct OfRun {
    run: Option<Lines>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lines {
    log_lines: Option<Connection<Node>>,
}

#[derive(Deserialize)]
struct Node {
    number: u64,
    timestamp: Option<String>,
    level: Option<String>,
    label: Option<String>,
    line: Option<String>,
}

impl From<Node> for LogLine {
    fn from(node: Node) -> Self {
        let mut line = Self::new(node.number, node.line.unwrap_or_default());
        line.time = time(node.timestamp.as_deref());
        line.label = node.label;
        if node
            .level
            .is_some_and(|level| level.eq_ignore_ascii_case("error"))
        {
            line.level = LogLevel::Error;
        }
        line
    }
}

impl Remote {
    async fn log_page(
        &self,
        run: &RunPath,
        which: serde_json::Value,
    ) -> Result<(Vec<LogLine>, bool)> {
        let mut variables = json!({
            "entity": run.entity, "project": run.project, "run": run.run,
        });
        if let (Some(all), Some(which)) = (variables.as_object_mut(), which.as_object()) {
            all.extend(which.clone());
        }
        let doing = format!("read the log of run {run}");
        let document = include_str!("queries/log_lines.graphql");
        let OfProject { project } = self.graphql.ask(doing, document, variables).await?;
        let found = project.and_then(|project| project.run);
        let found = found.ok_or_else(|| Error::not_found(format_args!("run {run}")))?;
        let more = found
            .log_lines
            .as_ref()
            .and_then(Connection::next)
            .is_some();
        let nodes = found.log_lines.into_iter().flat_map(Connection::nodes);
        Ok((nodes.map(LogLine::from).collect(), more))
    }

    /// The lines as a program writes them, from a number on without gaps.
    async fn stream_log(&self, run: &RunPath, mut lines: Vec<LogLine>) -> Result<()> {
        lines.sort_by_key(|line| line.number);
        let mut from = None;
        let mut texts: Vec<String> = Vec::new();
        for line in &lines {
            let first = *from.get_or_insert(line.number);
            let place = line.number - first;
            let next = texts.len() as u64;
            if place < next {
                // Of lines with one number the last counts.
                texts.truncate(usize::try_from(place).unwrap_or(0));
            } else if place - next > MOST_EMPTY {
                return Err(Error::invalid(format!(
                    "this server knows no gaps in a log, and there is one of {} lines",
                    place - next
                )));
            }
            while (texts.len() as u64) < place {
                texts.push(String::new());
            }
            texts.push(
                json!({
                    "ts": line.time, "content": line.text, "label": line.label,
                    "level": (line.level == LogLevel::Error).then_some("error"),
                })
                .to_string(),
            );
        }
        let Some(offset) = from else { return Ok(()) };
        let body = json!({ "files": { "output.log": { "offset": offset, "content": texts } } });
        let sent = self
            .http
            .post(self.stream_url(run)?)
            .json_body(&body)
            .idempotent();
        let doing = format!("write the log of run {run}");
        sent.send().await.map(drop).map_err(|e| failure(e, doing))
    }

    /// Where a run's program sends what it logs.
    pub(super) fn stream_url(&self, run: &RunPath) -> Result<tracker_http::Url> {
        let (entity, project) = (run.entity.as_str(), run.project.as_str());
        under(
            &self.base,
            ["files", entity, project, run.run.as_str(), "file_stream"],
        )
    }
}

#[async_trait]
impl LogStore for RemoteTracker {
    async fn write_log(&self, run: &RunPath, lines: Vec<LogLine>) -> Result<()> {
        lines.iter().try_for_each(LogLine::check)?;
        if !self.remote.is_exact() {
            return self.remote.stream_log(run, lines).await;
        }
        let lines = json!(lines).to_string();
        let input = json!({
            "entityName": run.entity, "projectName": run.project, "runName": run.run,
            "lines": lines,
        });
        let doing = format!("write the log of run {run}");
        let document = include_str!("queries/write_log.graphql");
        let asked = self
            .remote
            .graphql
            .ask(doing, document, json!({ "input": input }));
        asked.await.map(|_: serde::de::IgnoredAny| ())
    }

    fn log_lines(
        &self,
        run: &RunPath,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Vec<LogLine>>> {
        let (remote, run) = (self.remote.clone(), run.clone());
        let state = Some(range.start);
        futures::stream::unfold(state, move |from| {
            let (remote, run, end) = (remote.clone(), run.clone(), range.end);
            async move {
                let from = from?;
                // A cursor is the number of the line before.
                let after = from.checked_sub(1).map(|before| before.to_string());
                // The run must be there even if nothing is asked of it.
                let count = if from < end { PAGE } else { 1 };
                let page = remote.log_page(&run, json!({ "first": count, "after": after }));
                let (mut lines, more) = match page.await {
                    Ok(page) => page,
                    Err(e) => return Some((Err(e), None)),
                };
                let next = lines.last().map(|line| line.number + 1);
                lines.retain(|line| (from..end).contains(&line.number));
                let next = next.filter(|next| more && *next < end);
                (!lines.is_empty()).then_some((Ok(lines), next))
            }
        })
        .boxed()
    }

    async fn log_length(&self, run: &RunPath) -> Result<u64> {
        let (lines, _) = self.remote.log_page(run, json!({ "last": 1 })).await?;
        Ok(lines.last().map_or(0, |line| line.number + 1))
    }
}
