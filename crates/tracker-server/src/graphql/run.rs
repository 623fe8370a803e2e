//! A run, as far as the SDK asks for it.

use std::sync::Arc;

use async_graphql::{Context, ID, Object, SimpleObject};
use futures::TryStreamExt;
use serde_json::Value as Json_;
use tracker_model::{
    Digests, FileInfo, HistoryStream, JsonObject, LogLine, ManifestEntry, Run, RunState,
    SeriesInfo, Timestamp, UseRole, VersionLink,
};

use super::{
    Asked, GraphResult,
    artifact::{self, ArtifactConnection},
    exact,
    page::{PageInfo, connection, page_of, wanted},
    project::ProjectNode,
    reads,
    scalars::{DateTime, Int64, Json, JsonString, Texts},
    session::UserNode,
    told,
};
use crate::{
    artifacts::{manifest, storage_path},
    files::mime_of,
    ids,
    signed::Grant,
    stream, wire,
};

/// A run.
#[derive(Debug, Clone)]
pub(crate) struct RunNode(pub(crate) Arc<Run>);

impl RunNode {
    pub(crate) fn new(run: Run) -> Self {
        Self(Arc::new(run))
    }

    async fn series(&self, asked: &Asked, stream: HistoryStream) -> GraphResult<Vec<SeriesInfo>> {
        let series = asked.app.tracker.series(&self.0.path, stream);
        series.await.map_err(told)
    }

    /// How many lines of the stream a client that goes on counts as sent. A history that was not
    /// logged line by line counts as long as its longest series.
    async fn lines(&self, asked: &Asked, stream: HistoryStream) -> GraphResult<i64> {
        let next = asked.app.tracker.next_row(&self.0.path, stream);
        Ok(i64::try_from(next.await.map_err(told)?).unwrap_or(i64::MAX))
    }
}

#[Object(name = "Run")]
impl RunNode {
    async fn id(&self) -> ID {
        ID(ids::of_run(&self.0.path))
    }

    /// The id of the run inside its project.
    async fn name(&self) -> &str {
        self.0.path.run.as_str()
    }

    async fn display_name(&self) -> &str {
        self.0.name.as_deref().unwrap_or(self.0.path.run.as_str())
    }

    async fn project_id(&self) -> i32 {
        ids::number_of_project(&self.0.path.project_path())
    }

    async fn project(&self, ctx: &Context<'_>) -> GraphResult<ProjectNode> {
        let path = self.0.path.project_path();
        let project = Asked::of(ctx)?
            .app
            .tracker
            .project(&path)
            .await
            .map_err(told)?;
        Ok(ProjectNode(Arc::new(project)))
    }

    async fn sweep_name(&self) -> Option<&str> {
        self.0.sweep.as_deref()
    }

    async fn state(&self) -> &'static str {
        self.0.state.as_str()
    }

    async fn config(&self) -> JsonString {
        JsonString(wire::config_text(&self.0))
    }

    /// What the SDK noted in the config, JSON text.
    async fn wandb_config(&self, keys: Option<Vec<String>>) -> JsonString {
        JsonString(wire::internal_text(&self.0, keys.as_deref()))
    }

    async fn group(&self) -> Option<&str> {
        self.0.group.as_deref()
    }

    async fn group_name(&self) -> Option<&str> {
        self.0.group.as_deref()
    }

    async fn job_type(&self) -> Option<&str> {
        self.0.job_type.as_deref()
    }

    async fn commit(&self) -> Option<&str> {
        self.0.git.as_ref()?.commit.as_deref()
    }

    async fn host(&self) -> Option<&str> {
        self.0.host.as_deref()
    }

    async fn read_only(&self, ctx: &Context<'_>) -> GraphResult<bool> {
        Ok(!Asked::of(ctx)?.viewer.may_write(&self.0.path.entity))
    }

    async fn created_at(&self) -> DateTime {
        DateTime(self.0.created_at)
    }

    async fn updated_at(&self) -> Option<DateTime> {
        self.0.heartbeat_at.or(self.0.ended_at).map(DateTime)
    }

    async fn heartbeat_at(&self) -> Option<DateTime> {
        self.0.heartbeat_at.or(self.0.ended_at).map(DateTime)
    }

    async fn description(&self) -> Option<&str> {
        wire::own(&self.0.extras, "description")?.as_str()
    }

    async fn notes(&self) -> Option<&str> {
        self.0.notes.as_deref()
    }

    async fn tags(&self) -> &[String] {
        &self.0.tags
    }

    async fn user(&self) -> Option<UserNode> {
        self.0.user.clone().map(UserNode::Named)
    }

    async fn summary_metrics(&self) -> JsonString {
        JsonString(serde_json::to_string(&self.0.summary).unwrap_or_default())
    }

    /// The last values of what was measured of the machine.
    async fn system_metrics(&self, ctx: &Context<'_>) -> GraphResult<JsonString> {
        let series = self.series(Asked::of(ctx)?, HistoryStream::System).await?;
        let last = series
            .iter()
            .filter_map(|series| Some((series.key.to_string(), series.last.as_ref()?.to_json())));
        let last: JsonObject = last.filter(|(key, _)| !key.starts_with('_')).collect();
        Ok(JsonString(Json_::Object(last).to_string()))
    }

    async fn history_line_count(&self, ctx: &Context<'_>) -> GraphResult<i64> {
        self.lines(Asked::of(ctx)?, HistoryStream::Metrics).await
    }

    async fn events_line_count(&self, ctx: &Context<'_>) -> GraphResult<i64> {
        self.lines(Asked::of(ctx)?, HistoryStream::System).await
    }

    async fn log_line_count(&self, ctx: &Context<'_>) -> GraphResult<i64> {
        let length = Asked::of(ctx)?.app.tracker.log_length(&self.0.path);
        Ok(i64::try_from(length.await.map_err(told)?).unwrap_or(i64::MAX))
    }

    /// The last line of the history: JSON text of a list of JSON texts.
    async fn history_tail(&self, ctx: &Context<'_>) -> GraphResult<JsonString> {
        let tail = reads::tail(Asked::of(ctx)?, &self.0, HistoryStream::Metrics).await;
        tail.map(JsonString).map_err(told)
    }

    async fn events_tail(&self, ctx: &Context<'_>) -> GraphResult<JsonString> {
        let tail = reads::tail(Asked::of(ctx)?, &self.0, HistoryStream::System).await;
        tail.map(JsonString).map_err(told)
    }

    async fn history_keys(&self, ctx: &Context<'_>) -> GraphResult<Json> {
        let series = self.series(Asked::of(ctx)?, HistoryStream::Metrics).await?;
        Ok(Json::of(&reads::keys(&series)))
    }

    /// Rows of the history, JSON texts: those with `minStep <= _step < maxStep`, or, without these,
    /// a sample of all.
    async fn history(
        &self,
        ctx: &Context<'_>,
        min_step: Option<Int64>,
        max_step: Option<Int64>,
        samples: Option<i64>,
    ) -> GraphResult<Texts> {
        let asked = Asked::of(ctx)?;
        let rows = match (min_step, max_step) {
            (None, None) => reads::sampled(asked, &self.0, HistoryStream::Metrics, samples).await,
            (min, max) => {
                let min = min.map_or(i64::MIN, |step| step.0);
                let max = max.map_or(i64::MAX, |step| step.0.saturating_sub(1));
                reads::window(asked, &self.0, HistoryStream::Metrics, min..=max).await
            }
        };
        rows.map(|rows| Texts::of(&rows)).map_err(told)
    }

    /// Rows of what was measured of the machine, JSON texts.
    async fn events(&self, ctx: &Context<'_>, samples: Option<i64>) -> GraphResult<Texts> {
        let rows = reads::sampled(Asked::of(ctx)?, &self.0, HistoryStream::System, samples).await;
        rows.map(|rows| Texts::of(&rows)).map_err(told)
    }

    /// For each of the specs (`keys`, `minStep`, `maxStep`, `samples`) the rows that have all keys.
    async fn sampled_history(
        &self,
        ctx: &Context<'_>,
        specs: Vec<JsonString>,
    ) -> GraphResult<Vec<Json>> {
        let asked = Asked::of(ctx)?;
        let mut out = Vec::with_capacity(specs.len());
        for JsonString(spec) in specs {
            let rows = reads::by_spec(asked, &self.0, &spec).await.map_err(told)?;
            out.push(Json(rows));
        }
        Ok(out)
    }

    async fn parquet_history(&self, live_keys: Vec<String>) -> ParquetHistory {
        let _ = live_keys;
        ParquetHistory {
            parquet_urls: Vec::new(),
            live_data: Vec::new(),
        }
    }

    async fn file_count(&self, ctx: &Context<'_>) -> GraphResult<i64> {
        let files = Asked::of(ctx)?.app.tracker.files(&self.0.path);
        let count = files.try_fold(0, |count, _| std::future::ready(Ok(count + 1)));
        count.await.map_err(told)
    }

    /// The files of the run, by name.
    async fn files(
        &self,
        ctx: &Context<'_>,
        names: Option<Vec<Option<String>>>,
        after: Option<String>,
        first: Option<i64>,
        pattern: Option<String>,
    ) -> GraphResult<FileConnection> {
        let asked = Asked::of(ctx)?;
        // The SDK names a file as it was saved, which may be by way of the folder that it is in.
        let plain = |name: String| match name.strip_prefix("./") {
            Some(rest) => rest.to_owned(),
            None => name,
        };
        let names = names.unwrap_or_default().into_iter().flatten();
        let names: Vec<String> = names.map(plain).collect();
        let pattern = pattern.filter(|pattern| !pattern.is_empty());
        let path = &self.0.path;
        let node = |name: String, info: Option<FileInfo>| FileNode {
            place: Place::Run(self.0.clone()),
            updated_at: info.as_ref().and_then(|info| info.modified_at),
            digests: info.as_ref().map(|info| info.digests.clone()),
            name,
            said: None,
            record: info.map(Record::File),
        };
        let wanted_names = names.clone();
        let files = asked.app.tracker.files(path).try_filter(move |file| {
            let named = wanted_names.is_empty() || wanted_names.contains(&file.name);
            let fits = pattern
                .as_ref()
                .is_none_or(|pattern| like(pattern, &file.name));
            std::future::ready(named && fits)
        });
        if names.is_empty() {
            let page = page_of(files, after.as_deref(), wanted(first, 50)).await;
            let (first, files, more) = page.map_err(told)?;
            let nodes = files
                .into_iter()
                .map(|file| node(file.name.clone(), Some(file)));
            return Ok(FileConnection::new(FileList::page(
                first,
                nodes.collect(),
                more,
            )));
        }
        // Whoever names a file gets a node for it, as it may be uploaded next.
        let mut known: Vec<FileInfo> = files.try_collect().await.map_err(told)?;
        let nodes = names.into_iter().map(|name| {
            let place = known.iter().position(|file| file.name == name);
            node(name, place.map(|place| known.swap_remove(place)))
        });
        let nodes: Vec<_> = nodes
            .filter(|file| tracker_model::check_file_name(&file.name).is_ok())
            .collect();
        Ok(FileConnection::new(FileList::all(nodes)))
    }

    /// The artifacts that the run made.
    async fn output_artifacts(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<ArtifactConnection> {
        artifact::of_run(Asked::of(ctx)?, &self.0.path, UseRole::Logged, after, first).await
    }

    /// The artifacts that the run used.
    async fn input_artifacts(
        &self,
        ctx: &Context<'_>,
        after: Option<String>,
        first: Option<i64>,
    ) -> GraphResult<ArtifactConnection> {
        artifact::of_run(Asked::of(ctx)?, &self.0.path, UseRole::Used, after, first).await
    }

    /// Lines of what the run printed: the `last`, or the `first` ones `after` a cursor.
    async fn log_lines(
        &self,
        ctx: &Context<'_>,
        first: Option<i64>,
        after: Option<String>,
        last: Option<i64>,
        use_improved_pagination: Option<bool>,
    ) -> GraphResult<LogLineConnection> {
        let _ = use_improved_pagination;
        let asked = Asked::of(ctx)?;
        let lines = reads::log(asked, &self.0.path, first, after, last).await;
        let (lines, more) = lines.map_err(told)?;
        let edges: Vec<LogLineEdge> = lines
            .into_iter()
            .map(|line| LogLineEdge {
                cursor: line.number.to_string(),
                node: line.into(),
            })
            .collect();
        Ok(LogLineConnection {
            page_info: PageInfo {
                start_cursor: edges.first().map(|edge| edge.cursor.clone()),
                end_cursor: edges.last().map(|edge| edge.cursor.clone()),
                has_next_page: more,
                has_previous_page: false,
            },
            edges,
        })
    }

    /// Whether somebody asked the run to stop.
    async fn stopped(&self, ctx: &Context<'_>) -> GraphResult<bool> {
        let asked = Asked::of(ctx)?;
        stream::stop_is_asked(&asked.app, &self.0.path)
            .await
            .map_err(told)
    }

    async fn should_stop(&self, ctx: &Context<'_>) -> GraphResult<bool> {
        let asked = Asked::of(ctx)?;
        stream::stop_is_asked(&asked.app, &self.0.path)
            .await
            .map_err(told)
    }

    async fn failed(&self) -> bool {
        matches!(self.0.state, RunState::Failed | RunState::Crashed)
    }

    async fn running(&self) -> bool {
        self.0.state == RunState::Running
    }

    async fn exitcode(&self) -> Option<i64> {
        wire::own(&self.0.extras, "exitcode")?.as_i64()
    }

    async fn trackway(&self) -> Option<JsonString> {
        exact::run_text(&self.0)
    }

    async fn run_info(&self) -> RunInfo {
        RunInfo::of(&self.0)
    }
}

/// Where a finished run's history can be had as Parquet.
#[derive(Debug, SimpleObject)]
pub(crate) struct ParquetHistory {
    parquet_urls: Vec<String>,
    /// Rows that are in none of the files.
    live_data: Vec<Json>,
}

/// What a run's program was and ran on.
#[derive(Debug, SimpleObject)]
pub(crate) struct RunInfo {
    program: Option<String>,
    args: Vec<String>,
    os: Option<String>,
    python: Option<String>,
    colab: Option<String>,
    executable: Option<String>,
    code_saved: bool,
    cpu_count: Option<i64>,
    gpu_count: Option<i64>,
    gpu: Option<String>,
    git: Option<GitInfo>,
}

/// Where the code came from.
#[derive(Debug, SimpleObject)]
pub(crate) struct GitInfo {
    remote: Option<String>,
    commit: Option<String>,
}

impl RunInfo {
    fn of(run: &Run) -> Self {
        let environments = wire::own(&run.extras, "config").and_then(|config| config.get("e"));
        let environment = match environments {
            Some(Json_::Object(all)) => all.values().next().cloned().unwrap_or(Json_::Null),
            _ => Json_::Null,
        };
        let text = |key: &str| environment.get(key)?.as_str().map(str::to_owned);
        let number = |key: &str| match environment.get(key)? {
            Json_::String(text) => text.parse().ok(),
            other => other.as_i64(),
        };
        let git = run.git.as_ref().map(|git| GitInfo {
            remote: git.remote.clone(),
            commit: git.commit.clone(),
        });
        Self {
            program: run.program.clone(),
            args: run.args.clone(),
            os: text("os"),
            python: text("python"),
            colab: text("colab"),
            executable: text("executable"),
            code_saved: environment.get("codePath").is_some(),
            cpu_count: number("cpu_count"),
            gpu_count: number("gpu_count"),
            gpu: text("gpu"),
            git,
        }
    }
}

connection!(FileList, FileEdge, FileNode);

/// Files of a run.
#[derive(SimpleObject)]
pub(crate) struct FileConnection {
    #[graphql(flatten)]
    list: FileList,
    /// What to send with uploads.
    upload_headers: Vec<String>,
}

impl FileConnection {
    pub(crate) fn new(list: FileList) -> Self {
        Self {
            list,
            upload_headers: Vec::new(),
        }
    }
}

/// A file of a run, or one that may be put there; or a file of an artifact.
#[derive(Debug)]
pub(crate) struct FileNode {
    place: Place,
    name: String,
    digests: Option<Digests>,
    updated_at: Option<Timestamp>,
    /// What is known of contents that are not here.
    said: Option<Said>,
    record: Option<Record>,
}

/// What the tracker has of it.
#[derive(Debug)]
enum Record {
    File(FileInfo),
    Entry(ManifestEntry),
}

#[derive(Debug)]
enum Place {
    Run(Arc<Run>),
    Version(Arc<VersionLink>),
}

#[derive(Debug)]
struct Said {
    url: String,
    digest: String,
    size: u64,
}

impl FileNode {
    /// A file of a version.
    pub(crate) fn of_entry(at: Arc<VersionLink>, entry: ManifestEntry) -> Self {
        let said = entry.reference.as_ref().map(|url| Said {
            url: url.clone(),
            digest: manifest::digest_of(&entry),
            size: manifest::size_of(&entry).unwrap_or(0),
        });
        Self {
            place: Place::Version(at),
            name: entry.path.clone(),
            digests: entry.digests.clone(),
            updated_at: None,
            said,
            record: Some(Record::Entry(entry)),
        }
    }

    fn signed_url(&self, asked: &Asked) -> String {
        let grant = match (&self.place, &self.said, &self.digests) {
            (_, Some(said), _) => return said.url.clone(),
            (Place::Run(run), None, _) => Grant::GetFile {
                run: run.path.clone(),
                name: self.name.clone(),
            },
            (Place::Version(at), None, digests) => Grant::GetEntry {
                at: (**at).clone(),
                path: self.name.clone(),
                size: digests.as_ref().map_or(0, |digests| digests.size),
                md5: digests
                    .as_ref()
                    .map_or(String::new(), |digests| digests.md5.clone()),
            },
        };
        format!("{}{}", asked.base, asked.app.signer.path(grant))
    }

    fn digest_text(&self) -> Option<String> {
        match (&self.digests, &self.said) {
            (Some(digests), _) => manifest::base64_of(&digests.md5),
            (None, said) => said.as_ref().map(|said| said.digest.clone()),
        }
    }
}

#[Object(name = "File")]
impl FileNode {
    async fn id(&self) -> ID {
        let (project, of) = match &self.place {
            Place::Run(run) => (run.path.project_path(), run.path.run.to_string()),
            Place::Version(at) => {
                let of = format!("{}/v{}", at.collection.name, at.index);
                (at.collection.project.clone(), of)
            }
        };
        let (entity, project) = (project.entity.as_str(), project.project.as_str());
        let kind = match self.place {
            Place::Run(_) => "File",
            Place::Version(_) => "ArtifactFile",
        };
        ID(ids::encode(kind, &[entity, project, &of, &self.name]))
    }

    async fn name(&self) -> &str {
        &self.name
    }

    async fn display_name(&self) -> &str {
        &self.name
    }

    /// Where it can be read with a key; or put without one.
    async fn url(&self, ctx: &Context<'_>, upload: Option<bool>) -> GraphResult<String> {
        let asked = Asked::of(ctx)?;
        let Place::Run(run) = &self.place else {
            return Ok(self.signed_url(asked));
        };
        let path = &run.path;
        if upload == Some(true) {
            asked.viewer.write(&path.entity).map_err(told)?;
            return Ok(upload_url(asked, path, &self.name));
        }
        let escaped: Vec<String> = [
            path.entity.as_str(),
            path.project.as_str(),
            path.run.as_str(),
        ]
        .into_iter()
        .chain(self.name.split('/'))
        .map(|part| {
            percent_encoding::utf8_percent_encode(part, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
                .replace("%2D", "-")
                .replace("%5F", "_")
                .replace("%2E", ".")
        })
        .collect();
        Ok(format!("{}/files/{}", asked.base, escaped.join("/")))
    }

    /// Where it can be read without a key, for a while.
    async fn direct_url(&self, ctx: &Context<'_>) -> GraphResult<String> {
        Ok(self.signed_url(Asked::of(ctx)?))
    }

    /// Of a file of an artifact alone.
    async fn storage_path(&self) -> Option<String> {
        matches!(self.place, Place::Version(_)).then(|| storage_path(&self.name))
    }

    async fn size_bytes(&self) -> Int64 {
        let said = self.said.as_ref().map_or(0, |said| said.size);
        let size = self.digests.as_ref().map_or(said, |digests| digests.size);
        Int64(i64::try_from(size).unwrap_or(i64::MAX))
    }

    async fn mimetype(&self) -> &'static str {
        mime_of(&self.name)
    }

    async fn updated_at(&self) -> Option<DateTime> {
        self.updated_at.map(DateTime)
    }

    async fn trackway(&self) -> Option<JsonString> {
        match self.record.as_ref()? {
            Record::File(file) => exact::record_text(file),
            Record::Entry(entry) => exact::record_text(entry),
        }
    }

    /// Base64.
    async fn md5(&self) -> Option<String> {
        self.digest_text()
    }

    async fn digest(&self) -> Option<String> {
        self.digest_text()
    }
}

/// Where a file of a run can be put without a key, for a while.
pub(crate) fn upload_url(asked: &Asked, run: &tracker_model::RunPath, name: &str) -> String {
    let grant = Grant::PutFile {
        run: run.clone(),
        name: name.to_owned(),
    };
    format!("{}{}", asked.base, asked.app.signer.path(grant))
}

/// A line of what a run printed.
#[derive(Debug, SimpleObject)]
pub(crate) struct LogLineNode {
    number: i64,
    timestamp: Option<DateTime>,
    level: Option<&'static str>,
    label: Option<String>,
    line: String,
}

impl From<LogLine> for LogLineNode {
    fn from(line: LogLine) -> Self {
        Self {
            number: i64::try_from(line.number).unwrap_or(i64::MAX),
            timestamp: line.time.map(DateTime),
            level: (line.level == tracker_model::LogLevel::Error).then_some("error"),
            label: line.label,
            line: line.text,
        }
    }
}

#[derive(Debug, SimpleObject)]
pub(crate) struct LogLineEdge {
    cursor: String,
    node: LogLineNode,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct LogLineConnection {
    edges: Vec<LogLineEdge>,
    page_info: PageInfo,
}

/// Whether a text fits a pattern of SQL's `LIKE`: `%` is any text, `_` any character.
fn like(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    // Where to go on if what follows the last `%` does not fit.
    let mut back: Option<(usize, usize)> = None;
    let (mut p, mut t) = (0, 0);
    while t < text.len() {
        match pattern.get(p) {
            Some('%') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == '_' || Some(c) == text.get(t) => {
                p += 1;
                t += 1;
            }
            _ => match back {
                Some((after, from)) => {
                    back = Some((after, from + 1));
                    (p, t) = (after, from + 1);
                }
                None => return false,
            },
        }
    }
    pattern.iter().skip(p).all(|c| *c == '%')
}

/// What a run without any history says of its keys.
#[cfg(test)]
mod tests {
    use super::like;

    #[test]
    fn patterns_of_sql() {
        for (pattern, text, fits) in [
            ("%", "", true),
            ("", "", true),
            ("", "a", false),
            ("media/%.png", "media/a/b.png", true),
            ("media/%.png", "media/a/b.jpg", false),
            ("a_c", "abc", true),
            ("a_c", "ac", false),
            ("%a%b%", "xaxxbx", true),
            ("%ab", "aab", true),
        ] {
            assert_eq!(like(pattern, text), fits, "{pattern} {text}");
        }
    }
}
