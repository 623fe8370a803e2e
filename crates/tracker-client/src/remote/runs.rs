//! Runs: one by one, and those that a query asks for.

use std::{collections::HashSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{
    FutureExt, StreamExt, TryFutureExt, TryStreamExt, future::try_join_all, stream::BoxStream,
};
use query_dsl::Filter;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_model::{
    Error, ErrorKind, HistoryStream, Precondition, ProjectPath, Result, Run, RunFilter, RunOrder,
    RunOrderKey, RunParts, RunPatch, RunPath, RunQuery, RunStore, Timestamp,
};

use super::{
    Remote, RemoteTracker,
    failure::unsupported,
    graphql::{Connection, Repeat},
    pages::{self, Page},
    record::{RESERVED, Read, RunNode, changed, config_text},
    writer::Spool,
};

/// Runs of a page, with their objects and without.
const WHOLE_PAGE: u64 = 100;
const LEAN_PAGE: u64 = 500;
/// How often a change is tried again if others change the run, too.
const TRIES: u32 = 100;

/// Fields by which a server of W&B filters and orders.
const KNOWN: [&str; 11] = [
    "name",
    "display_name",
    "state",
    "created_at",
    "username",
    "group",
    "job_type",
    "tags",
    "notes",
    "sweep",
    "config",
];
const KNOWN_SUMMARY: &str = "summary_metrics";

#[derive(Deserialize)]
struct OfProject<T> {
    project: Option<T>,
}

#[derive(Deserialize)]
struct OfRun<T> {
    run: Option<T>,
}

/// Which runs of a project, as the server understands it.
#[derive(Debug, Clone)]
struct Ask {
    filters: String,
    order: String,
    parts: RunParts,
    page: u64,
    limit: Option<u64>,
}

impl Remote {
    /// The run as the server has it.
    pub(super) async fn read_run(&self, path: &RunPath, parts: RunParts) -> Result<Option<Read>> {
        let variables = json!({
            "entity": path.entity, "project": path.project, "run": path.run,
            "config": parts.config || !self.is_exact(), "summary": parts.summary,
        });
        let document = include_str!("queries/run.graphql");
        let asked = self
            .graphql
            .ask(format!("ask for run {path}"), document, variables);
        let OfProject::<OfRun<RunNode>> { project } = asked.await?;
        let node = project.and_then(|project| project.run);
        node.map(|node| node.read(path.clone(), self.is_exact()))
            .transpose()
    }

    /// What the server calls the run.
    async fn run_id(&self, path: &RunPath) -> Result<String> {
        #[derive(Deserialize)]
        struct Id {
            id: String,
        }
        let variables = json!({ "entity": path.entity, "project": path.project, "run": path.run });
        let document = include_str!("queries/run_id.graphql");
        let asked = self
            .graphql
            .ask(format!("ask for run {path}"), document, variables);
        let OfProject::<OfRun<Id>> { project } = asked.await?;
        let run = project.and_then(|project| project.run);
        run.map(|run| run.id)
            .ok_or_else(|| Error::not_found(format_args!("run {path}")))
    }

    /// Writes the run in place of what was read.
    async fn write_run(&self, before: Option<&Read>, run: &Run, only_new: bool) -> Result<Run> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            upsert_bucket: Payload,
        }
        #[derive(Deserialize)]
        struct Payload {
            bucket: RunNode,
        }
        let path = &run.path;
        let exact = self.is_exact();
        let fresh = Run::new(path.clone(), run.created_at);
        let was = before.map_or(&fresh, |read| &read.run);
        let mut input = json!({
            "entityName": path.entity, "modelName": path.project, "name": path.run,
        });
        let mut set = |key: &str, value: Json| input[key] = value;
        let (config, summary) = (was.config != run.config, was.summary != run.summary);
        if config || !exact {
            set("config", config_text(run, before, exact).into());
        }
        if summary {
            set(
                "summaryMetrics",
                Json::Object(run.summary.clone()).to_string().into(),
            );
        }
        if exact {
            let without = ["path", "version", "config", "summary"];
            let mut members = changed(was, run, &without);
            if before.is_none() {
                members.insert("created_at".to_owned(), json!(run.created_at));
            }
            let members = Json::Object(members).to_string();
            let version = before.map_or(0, |read| read.run.version);
            set(
                "trackway",
                json!({ "members": members, "version": version }),
            );
        } else {
            let text = |text: &Option<String>| Json::from(text.clone().unwrap_or_default());
            if was.name != run.name {
                set("displayName", text(&run.name));
            }
            if was.notes != run.notes {
                set("notes", text(&run.notes));
            }
            if was.group != run.group {
                set("groupName", text(&run.group));
            }
            if was.job_type != run.job_type {
                set("jobType", text(&run.job_type));
            }
            if was.sweep != run.sweep {
                set("sweep", text(&run.sweep));
            }
            if was.host != run.host {
                set("host", text(&run.host));
            }
            if was.program != run.program {
                set("jobProgram", text(&run.program));
            }
            let commit = |run: &Run| run.git.as_ref().and_then(|git| git.commit.clone());
            if commit(was) != commit(run) {
                set("commit", text(&commit(run)));
            }
            if was.tags != run.tags {
                set("tags", json!(run.tags));
            }
            if was.state != run.state || before.is_none() {
                set("state", run.state.as_str().into());
            }
        }
        let variables = json!({ "input": input, "config": !exact, "summary": false });
        let document = include_str!("queries/upsert_run.graphql");
        let repeat = if only_new {
            Repeat::Unsafe
        } else {
            Repeat::Safe
        };
        let doing = format!("change run {path}");
        let asked = self.graphql.send(doing, document, variables, repeat);
        let Answer { upsert_bucket } = asked.await?;
        let mut answered = upsert_bucket.bucket.read(path.clone(), exact)?.run;
        if exact {
            answered.config = run.config.clone();
        }
        answered.summary = run.summary.clone();
        Ok(answered)
    }

    /// The projects that a query is about.
    async fn asked_projects(self: &Arc<Self>, query: &RunQuery) -> Result<Vec<ProjectPath>> {
        let scope = &self.scope;
        let entity = query.entity.as_ref().or(scope.entity.as_ref());
        let project = query.project.as_ref().or(scope.project.as_ref());
        if let (Some(entity), Some(project)) = (entity, project) {
            return Ok(vec![ProjectPath::new(entity.clone(), project.clone())]);
        }
        let entities = match entity {
            Some(entity) => vec![entity.clone()],
            None => self.entities().await?,
        };
        let mut paths = Vec::new();
        for entity in entities {
            match project {
                Some(project) => paths.push(ProjectPath::new(entity, project.clone())),
                None => {
                    let projects = self.projects_of(&entity).await?;
                    paths.extend(projects.into_iter().map(|project| project.path));
                }
            }
        }
        Ok(paths)
    }

    /// Whether the server can be asked for it by itself.
    fn understands(&self, filter: &RunFilter) -> bool {
        let fields = filter.resolved().paths();
        self.is_exact() || fields.iter().all(|path| is_known(path.parts()))
    }

    /// The order in the server's words, if it has such an order.
    fn order_text(&self, order: &RunOrder) -> Option<String> {
        match order {
            RunOrder::NewestFirst => Some("-created_at".to_owned()),
            RunOrder::OldestFirst => Some("+created_at".to_owned()),
            RunOrder::By(sort) => {
                let keys = &sort.resolved().keys;
                let fits = keys.iter().all(|key| {
                    let text = key.path.to_string();
                    // Commas stand between keys there.
                    let plain = !text.contains(',') && text.trim() == text;
                    plain && (self.is_exact() || is_known(key.path.parts()))
                });
                let texts: Vec<String> = keys.iter().map(ToString::to_string).collect();
                fits.then(|| texts.join(","))
            }
            _ => None,
        }
    }

    /// All that must hold of a run, in MongoDB's words.
    fn filters(&self, query: &RunQuery) -> String {
        let mut all = Vec::new();
        if let Some(filter) = query.filter.as_ref().filter(|f| self.understands(f)) {
            let filter: &Filter = filter.written();
            all.push(filter.to_json());
        }
        if let Some(run) = query.run.as_ref().or(self.scope.run.as_ref()) {
            all.push(json!({ "name": run }).to_string());
        }
        if !query.include_deleted {
            all.push(match self.is_exact() {
                true => json!({ "deleted": false }).to_string(),
                false => {
                    let mark = format!("config.{RESERVED}.value.deleted");
                    json!({ mark: { "$ne": true } }).to_string()
                }
            });
        }
        match all.len() {
            0 => "{}".to_owned(),
            1 => all.swap_remove(0),
            _ => format!("{{\"$and\":[{}]}}", all.join(",")),
        }
    }

    /// The runs of a project, each once.
    fn runs_of(
        self: &Arc<Self>,
        project: ProjectPath,
        ask: Ask,
    ) -> BoxStream<'static, Result<Run>> {
        #[derive(Deserialize)]
        struct Runs {
            runs: Option<Connection<RunNode>>,
        }
        let remote = self.clone();
        let limit = ask.limit;
        let runs = pages::items(limit, move |after| {
            let (remote, project, ask) = (remote.clone(), project.clone(), ask.clone());
            async move {
                let exact = remote.is_exact();
                let variables = json!({
                    "entity": project.entity, "project": project.project, "after": after,
                    "filters": ask.filters, "order": ask.order, "first": ask.page,
                    "config": ask.parts.config || !exact, "summary": ask.parts.summary,
                });
                let doing = format!("list the runs of {project}");
                let document = include_str!("queries/runs.graphql");
                let asked = remote.graphql.ask(doing, document, variables);
                let OfProject::<Runs> { project: found } = asked.await?;
                let runs = found.and_then(|found| found.runs);
                let next = runs.as_ref().and_then(Connection::next);
                let mut items = Vec::new();
                for node in runs.into_iter().flat_map(Connection::nodes) {
                    let path = project.run(node.id().parse()?);
                    items.push(node.read(path, exact)?.run);
                }
                Ok(Page { items, next })
            }
            .boxed()
        });
        // Pages are places in a list that changes meanwhile.
        let mut seen = HashSet::new();
        runs.try_filter(move |run| std::future::ready(seen.insert(run.path.run.clone())))
            .boxed()
    }

    async fn count_of(&self, project: &ProjectPath, filters: &str) -> Result<u64> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Count {
            run_count: Option<u64>,
        }
        let variables = json!({
            "entity": project.entity, "project": project.project, "filters": filters,
        });
        let doing = format!("count the runs of {project}");
        let document = include_str!("queries/count_runs.graphql");
        let asked = self.graphql.ask(doing, document, variables);
        let OfProject::<Count> { project } = asked.await?;
        Ok(project.and_then(|p| p.run_count).unwrap_or(0))
    }

    async fn find(self: Arc<Self>, query: RunQuery) -> Result<BoxStream<'static, Result<Run>>> {
        if query.limit == Some(0) {
            return Ok(futures::stream::empty().boxed());
        }
        let order = self.order_text(&query.order);
        let left_over = query
            .filter
            .clone()
            .filter(|filter| !self.understands(filter));
        let wanted = needed(&query, left_over.as_ref());
        let whole = wanted.config || wanted.summary;
        let page = if whole { WHOLE_PAGE } else { LEAN_PAGE };
        let limit = query
            .limit
            .filter(|_| left_over.is_none() && order.is_some());
        let ask = Ask {
            filters: self.filters(&query),
            order: order.clone().unwrap_or_default(),
            parts: wanted,
            page: limit.map_or(page, |limit| page.min(limit)),
            limit,
        };
        let include_deleted = query.include_deleted;
        let fits = move |run: &Run| {
            (include_deleted || !run.deleted)
                && left_over.as_ref().is_none_or(|filter| filter.matches(run))
        };
        let fits = Arc::new(fits);
        let lists = self
            .asked_projects(&query)
            .await?
            .into_iter()
            .map(|project| {
                let fits = fits.clone();
                self.runs_of(project, ask.clone())
                    .try_filter(move |run| std::future::ready(fits(run)))
                    .boxed()
            });
        let lists: Vec<_> = lists.collect();
        let runs = match order {
            Some(_) => merged(lists, query.order.clone()).await?,
            None => sorted(lists, &query.order).await?,
        };
        let limit = query.limit.and_then(|limit| usize::try_from(limit).ok());
        Ok(runs.take(limit.unwrap_or(usize::MAX)).boxed())
    }
}

fn is_known(parts: &[String]) -> bool {
    parts
        .first()
        .is_some_and(|root| KNOWN.contains(&root.as_str()) || root == KNOWN_SUMMARY)
}

/// The objects that must be read for a query.
fn needed(query: &RunQuery, left_over: Option<&RunFilter>) -> RunParts {
    let ordered_by = |field: &str| match &query.order {
        RunOrder::By(sort) => sort
            .resolved()
            .keys
            .iter()
            .any(|key| key.path.parts().first().is_some_and(|root| root == field)),
        _ => false,
    };
    let asked = |field| left_over.is_some_and(|filter| filter.asks_for(field)) || ordered_by(field);
    RunParts {
        config: query.parts.config || asked("config"),
        summary: query.parts.summary || asked(KNOWN_SUMMARY),
        extras: true,
        details: true,
    }
}

/// Lists that are each in order, as one.
async fn merged(
    mut lists: Vec<BoxStream<'static, Result<Run>>>,
    order: RunOrder,
) -> Result<BoxStream<'static, Result<Run>>> {
    type Head = (RunOrderKey, Run, BoxStream<'static, Result<Run>>);
    if lists.len() == 1
        && let Some(only) = lists.pop()
    {
        return Ok(only);
    }
    async fn head(
        mut list: BoxStream<'static, Result<Run>>,
        order: RunOrder,
    ) -> Result<Option<Head>> {
        let run = list.try_next().await?;
        Ok(run.map(|run| (order.key(&run), run, list)))
    }
    let mut heads: Vec<Head> = Vec::new();
    for some in chunks(lists, 8) {
        let some = try_join_all(some.into_iter().map(|list| head(list, order.clone()))).await?;
        heads.extend(some.into_iter().flatten());
    }
    let merge = futures::stream::unfold((heads, order), |(mut heads, order)| async move {
        let first = (0..heads.len()).min_by(|a, b| match (heads.get(*a), heads.get(*b)) {
            (Some(a), Some(b)) => order.compare(&a.0, &b.0),
            _ => std::cmp::Ordering::Equal,
        })?;
        let (_, run, list) = heads.swap_remove(first);
        match head(list, order.clone()).await {
            Ok(next) => heads.extend(next),
            Err(e) => return Some((vec![Ok(run), Err(e)], (Vec::new(), order))),
        }
        Some((vec![Ok(run)], (heads, order)))
    });
    Ok(merge.flat_map(futures::stream::iter).boxed())
}

fn chunks<T>(list: Vec<T>, size: usize) -> Vec<Vec<T>> {
    let mut out: Vec<Vec<T>> = Vec::new();
    for item in list {
        match out.last_mut().filter(|some| some.len() < size) {
            Some(some) => some.push(item),
            None => out.push(vec![item]),
        }
    }
    out
}

/// All runs of the lists, in an order that the server has not. They are all in memory meanwhile.
async fn sorted(
    lists: Vec<BoxStream<'static, Result<Run>>>,
    order: &RunOrder,
) -> Result<BoxStream<'static, Result<Run>>> {
    let mut runs: Vec<(RunOrderKey, Run)> = Vec::new();
    for mut list in lists {
        while let Some(run) = list.try_next().await? {
            runs.push((order.key(&run), run));
        }
    }
    runs.sort_by(|(a, _), (b, _)| order.compare(a, b));
    let runs = runs.into_iter().map(|(_, run)| Ok(run));
    Ok(futures::stream::iter(runs).boxed())
}

#[async_trait]
impl RunStore for RemoteTracker {
    async fn upsert_run(&self, path: &RunPath, patch: RunPatch, pre: Precondition) -> Result<Run> {
        let remote = &self.remote;
        let atomic = remote
            .extension
            .as_ref()
            .is_some_and(|e| e.can.atomic_changes);
        if matches!(pre, Precondition::Version(_)) && !atomic {
            return Err(unsupported(
                "a change cannot depend on the version of a run on this server",
            ));
        }
        for attempt in 1.. {
            let before = remote.read_run(path, RunParts::ALL).await?;
            pre.check(path, before.as_ref().map(|read| read.run.version))?;
            let mut run = match &before {
                Some(read) => read.run.clone(),
                None => Run::new(path.clone(), Timestamp::now()),
            };
            patch.clone().apply(&mut run);
            if !remote.is_exact() {
                run.version = before.as_ref().map_or(1, |read| read.run.version + 1);
            }
            let only_new = pre == Precondition::Absent;
            match remote.write_run(before.as_ref(), &run, only_new).await {
                Ok(run) => return Ok(run),
                // Somebody else was faster: the change is made to what is there now.
                Err(e)
                    if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists)
                        && !matches!(pre, Precondition::Version(_) | Precondition::Absent)
                        && attempt < TRIES =>
                {
                    tokio::time::sleep(Duration::from_millis(u64::from(attempt.min(20)))).await;
                }
                Err(e) => return Err(e),
            }
        }
        Err(Error::new(
            ErrorKind::Conflict,
            format!("run {path} changes all the time"),
        ))
    }

    async fn run(&self, path: &RunPath) -> Result<Run> {
        let read = self.remote.read_run(path, RunParts::ALL).await?;
        read.map(|read| read.run)
            .ok_or_else(|| Error::not_found(format_args!("run {path}")))
    }

    async fn runs_at(&self, paths: &[RunPath], parts: RunParts) -> Result<Vec<Option<Run>>> {
        let asked = paths.iter().cloned().map(|path| {
            let remote = self.remote.clone();
            async move {
                let read = remote.read_run(&path, parts).await?;
                Ok::<_, Error>(read.map(|read| read.run))
            }
        });
        let asked: Vec<_> = asked.collect();
        let mut runs = Vec::with_capacity(paths.len());
        let mut answers = futures::stream::iter(asked).buffered(8);
        while let Some(run) = answers.try_next().await? {
            runs.push(run);
        }
        Ok(runs)
    }

    fn find_runs(&self, query: RunQuery) -> BoxStream<'static, Result<Run>> {
        self.remote.clone().find(query).try_flatten_stream().boxed()
    }

    async fn count_runs(&self, query: &RunQuery) -> Result<u64> {
        let remote = &self.remote;
        let understood = query
            .filter
            .as_ref()
            .is_none_or(|filter| remote.understands(filter));
        if !understood {
            let mut query = query.clone().with_parts(RunParts::NONE);
            query.limit = None;
            let runs = self.find_runs(query);
            return runs
                .try_fold(0, |count, _| std::future::ready(Ok(count + 1)))
                .await;
        }
        let filters = remote.filters(query);
        let projects = remote.asked_projects(query).await?;
        let counts = projects.into_iter().map(|project| {
            let (remote, filters) = (remote.clone(), filters.clone());
            async move { remote.count_of(&project, &filters).await }
        });
        let counts: Vec<_> = counts.collect();
        let counts = futures::stream::iter(counts).buffer_unordered(8);
        counts
            .try_fold(0, |all, some| std::future::ready(Ok(all + some)))
            .await
    }

    async fn delete_run(&self, path: &RunPath) -> Result<()> {
        let id = self.remote.run_id(path).await?;
        let document = include_str!("queries/delete_run.graphql");
        let doing = format!("delete run {path}");
        let variables = json!({ "id": id });
        let asked = self
            .remote
            .graphql
            .send(doing, document, variables, Repeat::Unsafe);
        let _: serde::de::IgnoredAny = asked.await?;
        // What waits for a run that is gone is for nobody.
        for stream in [HistoryStream::Metrics, HistoryStream::System] {
            Spool::of(&self.remote, path, stream).remove().await?;
        }
        Ok(())
    }
}
