//! Which runs made and used which versions.

use async_trait::async_trait;
use futures::{FutureExt, StreamExt, TryFutureExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_model::{
    ArtifactUse, CollectionPath, Error, Lineage, Result, RunPath, UseRole, VersionLink, VersionRef,
};

use super::{CollectionName, Maker, OfProject, PAGE, page, record_of, text_of};
use crate::remote::{
    Remote, RemoteTracker,
    failure::unsupported,
    graphql::{Connection, Repeat},
    pages::{self, Page},
};

/// Where a version is that a run made or used.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    version_index: Option<u64>,
    history_step: Option<i64>,
    artifact_sequence: CollectionName,
}

impl Remote {
    /// The uses that a server of ours tells.
    fn exact_uses(
        self: &std::sync::Arc<Self>,
        of: Result<String>,
    ) -> BoxStream<'static, Result<ArtifactUse>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            trackway_uses: Uses,
        }
        #[derive(Deserialize)]
        struct Uses {
            uses: String,
            next: Option<String>,
        }
        let of = match of {
            Ok(of) => of,
            Err(e) => return futures::stream::iter([Err(e)]).boxed(),
        };
        let remote = self.clone();
        pages::items(None, move |after| {
            let (remote, of) = (remote.clone(), of.clone());
            async move {
                let variables = json!({ "of": of, "first": 1_000, "after": after });
                let document = include_str!("../queries/uses.graphql");
                let asked = remote
                    .graphql
                    .ask("list uses of artifacts", document, variables);
                let Answer { trackway_uses } = asked.await?;
                Ok(Page {
                    items: record_of(&trackway_uses.uses)?,
                    next: trackway_uses.next,
                })
            }
            .boxed()
        })
    }

    /// What a run made, or what it used.
    fn artifacts_of(
        self: &std::sync::Arc<Self>,
        run: &RunPath,
        role: UseRole,
    ) -> BoxStream<'static, Result<ArtifactUse>> {
        #[derive(Deserialize)]
        struct OfRun {
            run: Option<Artifacts>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Artifacts {
            output_artifacts: Option<Connection<Place>>,
            input_artifacts: Option<Connection<Place>>,
        }
        let (remote, run) = (self.clone(), run.clone());
        pages::items(None, move |after| {
            let (remote, run) = (remote.clone(), run.clone());
            async move {
                let made = role == UseRole::Logged;
                let variables = json!({
                    "entity": run.entity, "project": run.project, "run": run.run,
                    "made": made, "used": !made, "first": PAGE, "after": after,
                });
                let doing = format!("list the artifacts of run {run}");
                let document = include_str!("../queries/run_artifacts.graphql");
                let asked = remote.graphql.ask(doing, document, variables);
                let OfProject::<OfRun> { project } = asked.await?;
                let found = project.and_then(|project| project.run);
                let found = found.ok_or_else(|| Error::not_found(format_args!("run {run}")))?;
                let (places, next) = page(found.output_artifacts.or(found.input_artifacts));
                let uses = places.into_iter().filter_map(|place| {
                    let index = place.version_index?;
                    let collection = place.artifact_sequence.path();
                    Some(collection.map(|collection| ArtifactUse {
                        run: run.clone(),
                        collection,
                        index,
                        role,
                        step: place.history_step.filter(|_| made),
                    }))
                });
                let items = uses.collect::<Result<_>>()?;
                Ok(Page { items, next })
            }
            .boxed()
        })
    }

    async fn runs_of_version(&self, path: &CollectionPath, index: u64) -> Result<Vec<ArtifactUse>> {
        #[derive(Deserialize)]
        struct Answer {
            artifact: Option<Runs>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Runs {
            history_step: Option<i64>,
            created_by: Option<Maker>,
            used_by: Option<Connection<Maker>>,
        }
        let which = VersionRef::Index(index);
        let id = self.placed(path, &which).await?.id;
        let doing = format!("list the runs of version {which} of artifact {path}");
        let document = include_str!("../queries/artifact_runs.graphql");
        let asked = self.graphql.ask(doing, document, json!({ "id": id }));
        let Answer { artifact } = asked.await?;
        let missing = || Error::not_found(format_args!("version {which} of artifact {path}"));
        let runs = artifact.ok_or_else(missing)?;
        let entry = |run, role, step| ArtifactUse {
            run,
            collection: path.clone(),
            index,
            role,
            step,
        };
        let made = runs.created_by.as_ref().and_then(Maker::run);
        let made = made.map(|run| entry(run, UseRole::Logged, runs.history_step));
        let used = runs.used_by.into_iter().flat_map(Connection::nodes);
        let used = used.filter_map(|maker| Some(entry(maker.run()?, UseRole::Used, None)));
        Ok(made.into_iter().chain(used).collect())
    }

    /// Records a use in W&B's words, which are few.
    async fn use_artifact(&self, entry: &ArtifactUse) -> Result<()> {
        let which = VersionRef::Index(entry.index);
        let found = self.placed(&entry.collection, &which).await?;
        if entry.role == UseRole::Logged {
            return match found.version.logged_by.as_ref() == Some(&entry.run) {
                true => Ok(()),
                false => Err(unsupported(
                    "who made a version is said when it is made on this server",
                )),
            };
        }
        if entry.step.is_some() {
            return Err(unsupported(
                "at which step a version was used is not kept by this server",
            ));
        }
        let project = &entry.collection.project;
        let input = json!({
            "artifactID": found.id, "entityName": entry.run.entity,
            "projectName": entry.run.project, "runName": entry.run.run,
            "artifactEntityName": project.entity, "artifactProjectName": project.project,
        });
        let doing = format!(
            "record that run {} used artifact {}",
            entry.run, entry.collection
        );
        let document = include_str!("../queries/use_artifact.graphql");
        let variables = json!({ "input": input });
        self.make(doing, document, variables, Repeat::Safe).await
    }
}

#[async_trait]
impl Lineage for RemoteTracker {
    async fn record_use(&self, entry: ArtifactUse) -> Result<()> {
        if !self.remote.is_exact() {
            return self.remote.use_artifact(&entry).await;
        }
        let doing = format!("record what run {} did", entry.run);
        let variables = json!({ "entry": text_of(&entry)? });
        let document = include_str!("../queries/exact_record_use.graphql");
        self.remote
            .make(doing, document, variables, Repeat::Safe)
            .await
    }

    fn uses_of_run(&self, run: &RunPath) -> BoxStream<'static, Result<ArtifactUse>> {
        if self.remote.is_exact() {
            return self.remote.exact_uses(text_of(json!({ "run": run })));
        }
        let made = self.remote.artifacts_of(run, UseRole::Logged);
        let used = self.remote.artifacts_of(run, UseRole::Used);
        made.chain(used).boxed()
    }

    fn uses_of_version(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ArtifactUse>> {
        let (remote, path) = (self.remote.clone(), path.clone());
        if remote.is_exact() {
            let collection = path;
            let of: Json = json!({ "version": VersionLink { collection, index } });
            return remote.exact_uses(text_of(of));
        }
        let uses = async move {
            let uses = remote.runs_of_version(&path, index).await?;
            Ok::<_, Error>(futures::stream::iter(uses).map(Ok))
        };
        uses.try_flatten_stream().boxed()
    }
}
