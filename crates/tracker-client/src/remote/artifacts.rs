//! Artifacts: what a server has of them, in its own words and in those of the model.
//!
//! W&B keeps no collection without versions, no times that others say, no source keys and no extras.
//! What a version has of these stands in an entry [`RESERVED`] of its metadata, what an entry has in
//! its `extra`.

mod collections;
mod contents;
mod lineage;
mod upload;
mod versions;

use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_model::{
    ArtifactVersion, CollectionPath, Error, ErrorKind, JsonObject, ProjectPath, Result, RunPath,
    Timestamp, VersionLink,
};

pub(super) use self::collections::Promised;
use super::{
    Remote,
    graphql::{Connection, Repeat},
    record::{EXTRAS, RESERVED, time},
};

/// Things of a page.
const PAGE: usize = 200;

/// The `project` of an answer.
#[derive(Deserialize)]
struct OfProject<T> {
    project: Option<T>,
}

/// Where something is.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProjectName {
    name: String,
    entity_name: String,
}

impl ProjectName {
    fn path(&self) -> Result<ProjectPath> {
        let (entity, project) = (self.entity_name.parse()?, self.name.parse()?);
        Ok(ProjectPath::new(entity, project))
    }
}

#[derive(Debug, Clone, Deserialize)]
struct CollectionName {
    name: String,
    project: Option<ProjectName>,
}

impl CollectionName {
    fn path(&self) -> Result<CollectionPath> {
        let project = self.project.as_ref().ok_or_else(nowhere)?;
        CollectionPath::new(project.path()?, self.name.clone())
    }
}

fn nowhere() -> Error {
    Error::new(
        ErrorKind::Corrupt,
        "the server says of something not where it is",
    )
}

/// A run, or somebody who made something without one.
#[derive(Debug, Clone, Deserialize)]
struct Maker {
    name: Option<String>,
    project: Option<ProjectName>,
}

impl Maker {
    fn run(&self) -> Option<RunPath> {
        let project = self.project.as_ref()?.path().ok()?;
        Some(project.run(self.name.as_ref()?.parse().ok()?))
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alias {
    alias: String,
    artifact_collection: Option<CollectionName>,
}

#[derive(Debug, Clone, Deserialize)]
struct Named {
    name: String,
}

/// A version as a server has it, wherever it is linked.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    id: String,
    version_index: Option<u64>,
    #[serde(default)]
    digest: String,
    size: Option<u64>,
    file_count: Option<u64>,
    description: Option<String>,
    metadata: Option<String>,
    ttl_duration_seconds: Option<i64>,
    #[serde(default)]
    tags: Vec<Named>,
    history_step: Option<i64>,
    created_at: Option<String>,
    #[serde(default)]
    aliases: Vec<Alias>,
    artifact_sequence: CollectionName,
    created_by: Option<Maker>,
}

/// What a version of ours says in its metadata that W&B has no field for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Reserved {
    created_at: Option<Timestamp>,
    logged_by: Option<RunPath>,
    source_key: Option<String>,
    extras: JsonObject,
}

impl Node {
    /// Where it is by itself.
    fn place(&self) -> Result<VersionLink> {
        let index = self.version_index.ok_or_else(nowhere)?;
        let collection = self.artifact_sequence.path()?;
        Ok(VersionLink { collection, index })
    }

    /// The aliases in a collection. Some servers tell numbers among them, which are none.
    fn aliases_in(&self, path: &CollectionPath) -> Vec<String> {
        let here = self.aliases.iter().filter(|alias| {
            let of = alias.artifact_collection.as_ref();
            let of = of.and_then(|of| of.path().ok());
            of.as_ref() == Some(path) && !is_number(&alias.alias)
        });
        here.map(|alias| alias.alias.clone()).collect()
    }

    /// The version that this is in a collection, its own or another one that links it.
    fn read(self, path: &CollectionPath, index: u64) -> Result<ArtifactVersion> {
        let place = self.place()?;
        let mut metadata = match self.metadata.as_deref().filter(|text| !text.is_empty()) {
            Some(text) => crate::json_object("the metadata", text)?,
            None => JsonObject::new(),
        };
        let reserved = metadata.remove(RESERVED);
        // Something that is no record of ours says nothing.
        let said: Reserved = reserved
            .and_then(|said| serde_json::from_value(said).ok())
            .unwrap_or_default();
        let mut extras = said.extras;
        let own = extras.entry(EXTRAS).or_insert_with(|| json!({}));
        if let Json::Object(own) = own {
            own.insert("id".to_owned(), self.id.as_str().into());
            own.insert("digest".to_owned(), self.digest.as_str().into());
            if let Some(step) = self.history_step {
                own.insert("historyStep".to_owned(), step.into());
            }
        }
        let created_at = time(self.created_at.as_deref()).unwrap_or(Timestamp::from_millis(0));
        let aliases = self.aliases_in(path);
        let is_link = place.collection != *path;
        let made_by = self.created_by.as_ref().and_then(Maker::run);
        Ok(ArtifactVersion {
            collection: path.clone(),
            index,
            digest: self.digest,
            size: self.size.unwrap_or(0),
            entries: self.file_count.unwrap_or(0),
            aliases,
            tags: self.tags.into_iter().map(|tag| tag.name).collect(),
            description: self.description.filter(|text| !text.is_empty()),
            metadata,
            ttl_seconds: self
                .ttl_duration_seconds
                .and_then(|seconds| u64::try_from(seconds).ok())
                .filter(|seconds| *seconds > 0),
            created_at: said.created_at.unwrap_or(created_at),
            logged_by: made_by.or(said.logged_by),
            source_key: said.source_key.filter(|_| !is_link),
            extras,
            link_of: is_link.then_some(place),
        })
    }
}

/// Whether an alias is a version's number, such as `v3`.
fn is_number(alias: &str) -> bool {
    let digits = alias.strip_prefix('v');
    digits.is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

/// Where something is, for a question.
fn variables(path: &CollectionPath) -> Json {
    let (entity, project) = (&path.project.entity, &path.project.project);
    json!({ "entity": entity, "project": project, "name": path.name })
}

/// A question with more to say.
fn with(mut variables: Json, more: Json) -> Json {
    if let (Some(all), Json::Object(more)) = (variables.as_object_mut(), more) {
        all.extend(more);
    }
    variables
}

fn text_of(value: impl serde::Serialize) -> Result<String> {
    serde_json::to_string(&value)
        .map_err(|e| Error::new(ErrorKind::Unexpected, "write a record").with_source(e))
}

/// The record in a text that the server says.
fn record_of<T: serde::de::DeserializeOwned>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| {
        let message = "the server says a record that cannot be read";
        Error::new(ErrorKind::Corrupt, message).with_source(e)
    })
}

impl Remote {
    /// Changes something of a server of ours, and reads the record of it that is there now.
    async fn change<T: serde::de::DeserializeOwned>(
        &self,
        doing: String,
        document: &str,
        variables: Json,
        repeat: Repeat,
    ) -> Result<T> {
        #[derive(Deserialize)]
        struct Answer {
            record: String,
        }
        let asked = self.graphql.send(doing, document, variables, repeat);
        let Answer { record } = asked.await?;
        record_of(&record)
    }

    /// Changes something, of which nothing is to be known afterwards.
    async fn make(
        &self,
        doing: String,
        document: &str,
        variables: Json,
        repeat: Repeat,
    ) -> Result<()> {
        let asked = self.graphql.send(doing, document, variables, repeat);
        asked.await.map(|_: serde::de::IgnoredAny| ())
    }
}

/// The nodes of a connection that may be missing, and where its next page begins.
fn page<T>(connection: Option<Connection<T>>) -> (Vec<T>, Option<String>) {
    let next = connection.as_ref().and_then(Connection::next);
    let nodes = connection.into_iter().flat_map(Connection::nodes);
    (nodes.collect(), next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(json: Json) -> Node {
        let mut whole = json!({
            "id": "aWQ=", "versionIndex": 3, "digest": "d",
            "artifactSequence": {"name": "model", "project": {"name": "p", "entityName": "e"}},
        });
        whole
            .as_object_mut()
            .unwrap()
            .extend(json.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    }

    fn path(text: &str) -> CollectionPath {
        CollectionPath::new("e/p".parse().unwrap(), text).unwrap()
    }

    #[test]
    fn versions_of_any_server() {
        let said = json!({
            "size": 7, "fileCount": 2, "ttlDurationSeconds": -2, "createdAt": "2026-11-21T07:36:00",
            "metadata": r#"{"acc": NaN, "_trackway": {"source_key": "k", "extras": {"mlflow": 1},
                "created_at": "1970-01-01T00:00:00.001Z"}}"#,
            "aliases": [
                {"alias": "best", "artifactCollection": {"name": "model", "project": {"name": "p", "entityName": "e"}}},
                {"alias": "v0", "artifactCollection": {"name": "shown", "project": {"name": "p", "entityName": "e"}}},
                {"alias": "prod", "artifactCollection": {"name": "shown", "project": {"name": "p", "entityName": "e"}}}],
            "createdBy": {"__typename": "Run", "name": "r", "project": {"name": "p", "entityName": "e"}},
        });
        let version = node(said.clone()).read(&path("model"), 3).unwrap();
        assert_eq!((version.index, version.ttl_seconds), (3, None));
        assert_eq!(version.aliases, ["best"]);
        assert_eq!(version.source_key.as_deref(), Some("k"));
        assert_eq!(version.created_at.as_millis(), 1);
        assert_eq!(Json::Object(version.metadata), json!({"acc": "NaN"}));
        assert_eq!(version.logged_by.unwrap().to_string(), "e/p/r");
        assert_eq!(version.extras["mlflow"], 1);
        assert_eq!(version.extras["wandb"]["id"], "aWQ=");
        let link = node(said).read(&path("shown"), 0).unwrap();
        assert_eq!(link.aliases, ["prod"]);
        assert_eq!((link.source_key, link.index), (None, 0));
        let of = link.link_of.unwrap();
        assert_eq!((of.collection, of.index), (path("model"), 3));
    }

    #[test]
    fn what_somebody_else_wrote_in_metadata_is_passed_over() {
        let said = json!({"metadata": r#"{"_trackway": {"created_at": 5}}"#});
        let version = node(said).read(&path("model"), 3).unwrap();
        assert!(version.metadata.is_empty());
        assert_eq!(version.created_at.as_millis(), 0);
    }
}
