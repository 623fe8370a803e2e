use std::{any::Any, collections::BTreeMap, sync::Arc};

use importer_core::{Finding, Kind, SourceArtifact};
use serde_json::Value as Json;
use tracker_model::{ArtifactDraft, Change, CollectionPatch, JsonObject, JsonPatch, Timestamp};

use super::{Fingerprint, pairs, put, put_text, rule, under_name};

/// The project that registered models go into: they stand above experiments.
const REGISTRY_PROJECT: &str = "registered-models";

/// The longest name of a collection, in characters.
const MAX_NAME: usize = 512;

/// A registered model as MLflow keeps it, without its versions. Times are milliseconds since
/// 1970, UTC.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawRegisteredModel {
    pub(crate) name: String,
    pub(crate) description: Option<String>,
    pub(crate) creation_time: Option<i64>,
    pub(crate) last_updated_time: Option<i64>,
    pub(crate) workspace: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
    /// Each alias with the version that it points to.
    pub(crate) aliases: BTreeMap<String, u64>,
}

/// A version of a registered model as MLflow keeps it. Times are milliseconds since 1970, UTC.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct RawModelVersion {
    pub(crate) version: u64,
    pub(crate) description: Option<String>,
    pub(crate) creation_time: Option<i64>,
    pub(crate) last_updated_time: Option<i64>,
    pub(crate) user_id: Option<String>,
    /// `None` (the word), `Staging`, `Production` or `Archived`; `Deleted_Internal` in stores.
    pub(crate) current_stage: Option<String>,
    pub(crate) source: Option<String>,
    pub(crate) run_id: Option<String>,
    pub(crate) run_link: Option<String>,
    pub(crate) model_id: Option<String>,
    pub(crate) status: Option<String>,
    pub(crate) status_message: Option<String>,
    pub(crate) tags: BTreeMap<String, String>,
}

impl RawModelVersion {
    /// Whether it was deleted: MLflow keeps such versions, so that no number comes twice.
    pub(crate) fn is_deleted(&self) -> bool {
        self.current_stage.as_deref() == Some("Deleted_Internal")
    }
}

impl RawRegisteredModel {
    /// What a version of the model becomes, or the model itself if it has none. `detail` is for
    /// `Source::entries`; `files` as in [`super::RawLoggedModel::into_artifact`].
    ///
    /// The finding is of the model, and comes with its first version alone.
    pub(crate) fn to_artifact(
        &self,
        version: Option<&RawModelVersion>,
        files: Option<&str>,
        detail: Option<Arc<dyn Any + Send + Sync>>,
    ) -> SourceArtifact {
        let mut facts = JsonObject::new();
        put(&mut facts, "name", Some(self.name.as_str()));
        let workspace = self.workspace.as_deref().filter(|w| *w != "default");
        put_text(&mut facts, "workspace", workspace);
        put(&mut facts, "tags", Some(pairs(&self.tags)));
        let aliases = self
            .aliases
            .iter()
            .map(|(alias, version)| (alias.clone(), Json::from(*version)));
        put(&mut facts, "aliases", Some(Json::Object(aliases.collect())));
        let mut patch = CollectionPatch::new();
        patch.kind = Some("registered-model".to_owned());
        patch.description = Change::of(self.description.clone().filter(|d| !d.is_empty()));
        patch.created_at = self.creation_time.map(Timestamp::from_millis);
        patch.updated_at = Change::of(self.last_updated_time.map(Timestamp::from_millis));

        let mut hash = Fingerprint::new();
        hash.field(Json::Object(facts.clone()).to_string())
            .optional(self.description.as_ref())
            .optional_number(self.creation_time)
            .optional_number(self.last_updated_time)
            .optional(files);
        patch.extras = JsonPatch::Replace(under_name(facts));
        let draft = version.map(|v| self.draft(v, &mut hash));
        SourceArtifact {
            link: None,
            project: None,
            project_name: REGISTRY_PROJECT.to_owned(),
            collection: self.collection().0,
            patch,
            version: draft,
            fingerprint: hash.finish(),
            immutable: files.is_some(),
            logged_by: version
                .and_then(|v| v.run_id.clone())
                .filter(|id| !id.is_empty()),
            uses: Vec::new(),
            detail,
        }
    }

    /// What must be said of the model once: that its name had to be changed.
    pub(crate) fn finding(&self) -> Option<Finding> {
        let (_, rule) = self.collection();
        rule.map(|rule| {
            Finding::normalised(
                Kind::Collections,
                format!("registered model {:?}", self.name),
                rule,
            )
        })
    }

    /// The collection's name, with the rule that made it if it is not the model's.
    fn collection(&self) -> (String, Option<&'static str>) {
        match self.workspace.as_deref() {
            None | Some("" | "default") => legal_collection(&self.name),
            Some(workspace) => (
                legal_collection(&format!("{workspace}/{}", self.name)).0,
                Some(rule::WORKSPACE_IN_COLLECTION_NAME),
            ),
        }
    }

    fn draft(&self, version: &RawModelVersion, hash: &mut Fingerprint) -> ArtifactDraft {
        let v = version;
        let mut facts = JsonObject::new();
        put(&mut facts, "version", Some(v.version));
        put_text(&mut facts, "current_stage", v.current_stage.as_deref());
        put_text(&mut facts, "source", v.source.as_deref());
        put_text(&mut facts, "run_id", v.run_id.as_deref());
        put_text(&mut facts, "run_link", v.run_link.as_deref());
        put_text(&mut facts, "model_id", v.model_id.as_deref());
        put_text(&mut facts, "status", v.status.as_deref());
        put_text(&mut facts, "status_message", v.status_message.as_deref());
        put_text(&mut facts, "user_id", v.user_id.as_deref());
        put(&mut facts, "last_updated_timestamp", v.last_updated_time);
        put(&mut facts, "tags", Some(pairs(&v.tags)));
        hash.field(Json::Object(facts.clone()).to_string())
            .optional(v.description.as_ref())
            .optional_number(v.creation_time);

        let mut draft = ArtifactDraft::new();
        draft.index = Some(v.version);
        draft.source_key = Some(format!(
            "model-version:{}/{}",
            self.collection().0,
            v.version
        ));
        draft.aliases = self
            .aliases
            .iter()
            .filter(|(_, of)| **of == v.version)
            .map(|(alias, _)| alias.clone())
            .collect();
        draft.description = v.description.clone().filter(|d| !d.is_empty());
        draft.metadata = under_name(facts);
        draft.created_at = v.creation_time.map(Timestamp::from_millis);
        draft
    }
}

/// The nearest legal name of a collection, with the rule if it is another: control characters and
/// the percent sign become `%XX`, what is too long is cut.
pub(super) fn legal_collection(name: &str) -> (String, Option<&'static str>) {
    let fits = name.chars().count() <= MAX_NAME;
    if !name.is_empty() && fits && !name.chars().any(char::is_control) {
        return (name.to_owned(), None);
    }
    let mut out = String::new();
    let mut bytes = [0; 4];
    for c in name.chars() {
        if c.is_control() || c == '%' {
            for byte in c.encode_utf8(&mut bytes).bytes() {
                out.push_str(&format!("%{byte:02X}"));
            }
        } else {
            out.push(c);
        }
    }
    if out.is_empty() {
        out.push('-');
    }
    (
        out.chars().take(MAX_NAME).collect(),
        Some(rule::COLLECTION_NAME_LEGALISED),
    )
}
