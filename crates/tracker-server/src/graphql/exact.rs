//! What the wire of W&B cannot say of a record, for clients that ask for it.
//!
//! `Run`, `Project`, `File`, `Sweep`, `View`, `Artifact` and its collections and memberships have a
//! field `trackway`: the record of the model as JSON text. The inputs that make them have a member of that name: the members of the record that
//! change, as JSON text, over which nothing else of the input counts but a run's config and summary.
//! Whoever sends the header `x-trackway` sees what is marked as deleted, too. The SDK knows nothing
//! of all this, and nothing changes for it.

mod artifacts;

use std::collections::BTreeSet;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use axum::http::HeaderMap;
use futures::TryStreamExt as _;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value as Json;
use tracker_model::{
    Change, Error, JsonObject, JsonPatch, LogLine, Project, ProjectPatch, Report, ReportPatch,
    Result, Run, Sweep, SweepPatch,
};

pub(crate) use self::artifacts::{ExactArtifactMutation, ExactArtifactQuery, draft, version_text};
use super::{Asked, GraphResult, scalars::JsonString, session::Success, told};
use crate::{app::run_path, ids};

/// Says that the client means records of the model.
const HEADER: &str = "x-trackway";
/// What the fields mean; clients go without what they do not know.
const VERSION: i32 = 1;

/// Whether the client sees what is marked as deleted.
pub(crate) fn asked_for(headers: &HeaderMap) -> bool {
    headers.contains_key(HEADER)
}

/// The record, but for these of its members.
fn text<T: Serialize>(record: &T, without: &[&str]) -> Option<JsonString> {
    let mut json = serde_json::to_value(record).ok()?;
    if let Json::Object(members) = &mut json {
        without.iter().for_each(|key| drop(members.remove(*key)));
    }
    Some(JsonString(json.to_string()))
}

/// A run without its config and summary, which the wire has.
pub(crate) fn run_text(run: &Run) -> Option<JsonString> {
    text(run, &["config", "summary"])
}

/// Anything else.
pub(crate) fn record_text<T: Serialize>(record: &T) -> Option<JsonString> {
    text(record, &[])
}

/// Members of a record that change.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct ExactInput {
    /// JSON text of an object.
    members: JsonString,
    /// The version that the record has now, 0 if there must be none.
    version: Option<u64>,
}

impl ExactInput {
    /// The version that the record must have.
    pub(crate) fn version(&self) -> Option<u64> {
        self.version
    }

    /// The record with the changes made.
    fn over<T: Serialize + DeserializeOwned>(&self, record: &T, keep: &[&str]) -> Result<T> {
        let wrong = |e: serde_json::Error| {
            Error::invalid(format!("the members of `trackway` are no record: {e}"))
        };
        let mut changes: JsonObject = serde_json::from_str(&self.members.0).map_err(wrong)?;
        changes.retain(|key, _| !keep.contains(&key.as_str()));
        let mut json = serde_json::to_value(record).map_err(wrong)?;
        if let Json::Object(members) = &mut json {
            members.extend(changes);
        }
        serde_json::from_value(json).map_err(wrong)
    }

    /// The run as it is to be; its config and summary are as before.
    pub(crate) fn run(&self, before: &Run) -> Result<Run> {
        self.over(before, &["path", "version", "config", "summary"])
    }

    pub(crate) fn project(&self, before: &Project) -> Result<ProjectPatch> {
        let project = self.over(before, &["path"])?;
        let mut patch = ProjectPatch::new();
        patch.description = Change::of(project.description);
        patch.created_at = Some(project.created_at);
        patch.updated_at = Change::of(project.updated_at);
        patch.deleted = Some(project.deleted);
        patch.extras = JsonPatch::Replace(project.extras);
        Ok(patch)
    }

    pub(crate) fn sweep(&self, before: &Sweep) -> Result<SweepPatch> {
        let sweep = self.over(before, &["path", "version"])?;
        let mut patch = SweepPatch::new();
        patch.name = Change::of(sweep.name);
        patch.description = Change::of(sweep.description);
        patch.state = Some(sweep.state);
        patch.created_at = Some(sweep.created_at);
        patch.updated_at = Change::of(sweep.updated_at);
        patch.user = Change::of(sweep.user);
        patch.config = JsonPatch::Replace(sweep.config);
        patch.config_text = Change::of(sweep.config_text);
        patch.extras = JsonPatch::Replace(sweep.extras);
        Ok(patch)
    }

    pub(crate) fn report(&self, before: &Report) -> Result<ReportPatch> {
        let report = self.over(before, &["path", "version"])?;
        let mut patch = ReportPatch::new();
        patch.kind = Some(report.kind);
        patch.title = Change::of(report.title);
        patch.name = Change::of(report.name);
        patch.description = Change::of(report.description);
        patch.user = Change::of(report.user);
        patch.spec = Some(report.spec);
        patch.created_at = Some(report.created_at);
        patch.updated_at = Change::of(report.updated_at);
        patch.extras = JsonPatch::Replace(report.extras);
        Ok(patch)
    }
}

/// See [`tracker_model::Capabilities`].
#[derive(Debug, SimpleObject)]
pub(crate) struct Can {
    atomic_changes: bool,
    atomic_commits: bool,
    logged_order: bool,
    rewrite_history: bool,
    series_digests: bool,
    stored_content: bool,
    contents: bool,
    version_indices: bool,
    links: bool,
    sweeps: bool,
    logs: bool,
    reports: bool,
    /// JSON of the kinds of values.
    value_kinds: Option<JsonString>,
}

/// What a client of ours asks first.
#[derive(Debug, SimpleObject)]
pub(crate) struct Trackway {
    version: i32,
    /// What the tracker can do that the wire cannot say.
    can: Can,
    /// Those that have projects which the viewer may see.
    entities: Vec<String>,
}

#[derive(Debug, Default)]
pub(crate) struct ExactQuery;

#[Object]
impl ExactQuery {
    async fn trackway(&self, ctx: &Context<'_>) -> GraphResult<Trackway> {
        let asked = Asked::of(ctx)?;
        let mut entities = BTreeSet::new();
        // Nobody else pays for a list of all projects.
        if ctx.look_ahead().field("entities").exists() {
            let mut projects = asked.app.tracker.projects(None);
            while let Some(project) = projects.try_next().await.map_err(told)? {
                if asked.viewer.may_read(&project.path.entity) {
                    entities.insert(project.path.entity.to_string());
                }
            }
        }
        let can = asked.app.tracker.capabilities();
        let names_contents = asked.viewer.names_contents();
        Ok(Trackway {
            version: VERSION,
            can: Can {
                atomic_changes: can.atomic_changes,
                atomic_commits: can.atomic_commits,
                logged_order: can.logged_order,
                rewrite_history: can.rewrite_history,
                series_digests: can.series_digests,
                stored_content: can.stored_content && names_contents,
                contents: can.contents && names_contents,
                version_indices: can.version_indices,
                links: can.links,
                sweeps: can.sweeps,
                logs: can.logs,
                reports: can.reports,
                value_kinds: record_text(&can.value_kinds),
            },
            entities: entities.into_iter().collect(),
        })
    }
}

#[derive(Debug, InputObject)]
pub(crate) struct WriteLogInput {
    entity_name: String,
    project_name: String,
    run_name: String,
    /// JSON text of a list of lines.
    lines: JsonString,
}

#[derive(Debug, Default)]
pub(crate) struct ExactMutation;

#[Object]
impl ExactMutation {
    /// Writes lines of a log in place of those with the same numbers, all of them or none.
    async fn trackway_write_log(
        &self,
        ctx: &Context<'_>,
        input: WriteLogInput,
    ) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let path = run_path(&input.entity_name, &input.project_name, &input.run_name);
        let path = path.map_err(told)?;
        asked.viewer.write(&path.entity).map_err(told)?;
        let lines: Vec<LogLine> = serde_json::from_str(&input.lines.0).map_err(|e| {
            told(Error::invalid(format!(
                "the lines of the log are none: {e}"
            )))
        })?;
        let written = asked.app.tracker.write_log(&path, lines);
        written.await.map_err(told)?;
        Ok(Success::yes())
    }

    /// Deletes a sweep; its runs stay.
    async fn trackway_delete_sweep(&self, ctx: &Context<'_>, id: ID) -> GraphResult<Success> {
        let asked = Asked::of(ctx)?;
        let path = ids::sweep(&id).map_err(told)?;
        asked.viewer.write(&path.entity).map_err(told)?;
        asked.app.tracker.delete_sweep(&path).await.map_err(told)?;
        Ok(Success::yes())
    }
}
