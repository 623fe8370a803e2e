//! Changes to artifacts and their collections.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, HashSet},
};

use async_graphql::{
    Context, Enum, ID, InputObject, InputType, InputValueError, InputValueResult, Object,
    SimpleObject, Value, registry::Registry,
};
use futures::TryStreamExt;
use tracker_model::{
    ArtifactUse, ArtifactVersion, Change, Collection, CollectionPatch, CollectionPath, EntityName,
    Error, ErrorKind, JsonObject, JsonPatch, LinkDraft, ProjectPath, RecordCondition, Result,
    Timestamp, UseRole, VersionPatch, check_file_name,
};

use super::{
    Asked, GraphResult, UNCATEGORIZED,
    artifact::{ArtifactCollectionMembership, ArtifactDigestAlgorithm, ArtifactNode},
    collection::{ArtifactCollection, ArtifactTypeNode, CollectionNode, Tag, tags_of, with_tags},
    exact,
    scalars::{Int64, JsonString},
    session::Success,
    told,
};
use crate::{
    app::run_path,
    artifacts::{
        check_alias,
        find::{self, Found, id_of, id_of_key, place_of, records},
        manifest::md5_of,
        records::{ManifestKind, ManifestRecord, Sketch, State},
        storage_path, unsupported, write,
    },
    ids,
    signed::Grant,
    wire,
};

/// How names of regions begin that are places in W&B's cloud. Other names are labels: all is kept
/// in one place.
const CLOUD_REGIONS: &str = "coreweave-";

/// The most files that one request may announce.
const MAX_FILES: usize = 10_000;

#[derive(Debug, InputObject)]
pub(crate) struct ArtifactAliasInput {
    artifact_collection_name: Option<String>,
    alias: String,
}

#[derive(Debug, InputObject)]
pub(crate) struct ArtifactCollectionAliasInput {
    artifact_collection_name: Option<String>,
    alias: String,
    entity_name: Option<String>,
    project_name: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct TagInput {
    tag_name: String,
    tag_category_name: Option<String>,
    attributes: Option<String>,
}

/// What has a name in a document, and is sent as that name alone by some clients.
pub(crate) trait Named {
    fn named(name: String) -> Self;
}

impl Named for ArtifactAliasInput {
    fn named(alias: String) -> Self {
        Self {
            artifact_collection_name: None,
            alias,
        }
    }
}

impl Named for TagInput {
    fn named(tag_name: String) -> Self {
        Self {
            tag_name,
            tag_category_name: None,
            attributes: None,
        }
    }
}

/// An input object, or its name. The schema tells of the object alone.
#[derive(Debug)]
pub(crate) struct OrName<T>(T);

impl<T: InputType<RawValueType = T> + Named> InputType for OrName<T> {
    type RawValueType = T;

    fn type_name() -> Cow<'static, str> {
        T::type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        T::create_type_info(registry)
    }

    fn parse(value: Option<Value>) -> InputValueResult<Self> {
        match value {
            Some(Value::String(name)) => Ok(Self(T::named(name))),
            value => T::parse(value)
                .map(Self)
                .map_err(InputValueError::propagate),
        }
    }

    fn to_value(&self) -> Value {
        self.0.to_value()
    }

    fn as_raw_value(&self) -> Option<&Self::RawValueType> {
        self.0.as_raw_value()
    }
}

#[derive(Debug, InputObject)]
pub(crate) struct CreateArtifactInput {
    entity_name: String,
    project_name: String,
    run_name: Option<String>,
    artifact_type_name: String,
    artifact_collection_name: Option<String>,
    artifact_collection_names: Option<Vec<String>>,
    digest: String,
    digest_algorithm: Option<ArtifactDigestAlgorithm>,
    description: Option<String>,
    aliases: Option<Vec<OrName<ArtifactAliasInput>>>,
    tags: Option<Vec<OrName<TagInput>>>,
    labels: Option<JsonString>,
    metadata: Option<JsonString>,
    ttl_duration_seconds: Option<Int64>,
    history_step: Option<Int64>,
    enable_digest_deduplication: Option<bool>,
    #[graphql(name = "distributedID")]
    distributed_id: Option<String>,
    #[graphql(name = "clientID")]
    client_id: Option<ID>,
    #[graphql(name = "sequenceClientID")]
    sequence_client_id: Option<ID>,
    storage_region: Option<String>,
    client_mutation_id: Option<String>,
    /// JSON text of the draft of a version, from clients of ours. Of the rest only the collection
    /// counts then, which must be there.
    trackway: Option<JsonString>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct CreateArtifactPayload {
    artifact: ArtifactNode,
    client_mutation_id: Option<String>,
}

/// What a manifest is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ArtifactManifestType {
    /// All of the artifact.
    Full,
    /// What is new in it.
    Incremental,
    /// What one of several writers adds.
    Patch,
}

#[derive(Debug, InputObject)]
pub(crate) struct CreateArtifactManifestInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    #[graphql(name = "baseArtifactID")]
    base_artifact_id: Option<ID>,
    name: String,
    digest: Option<String>,
    entity_name: Option<String>,
    project_name: Option<String>,
    run_name: Option<String>,
    #[graphql(name = "type")]
    kind: Option<ArtifactManifestType>,
}

#[derive(Debug, InputObject)]
pub(crate) struct UpdateArtifactManifestInput {
    #[graphql(name = "artifactManifestID")]
    artifact_manifest_id: ID,
    digest: Option<String>,
    #[graphql(name = "baseArtifactID")]
    base_artifact_id: Option<ID>,
}

/// A manifest that is to be uploaded.
#[derive(Debug, SimpleObject)]
pub(crate) struct ArtifactManifestPayload {
    artifact_manifest: NewManifest,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct NewManifest {
    id: ID,
    file: NewManifestFile,
}

/// Where a manifest is to be put.
#[derive(Debug, SimpleObject)]
pub(crate) struct NewManifestFile {
    id: ID,
    name: String,
    display_name: String,
    upload_url: String,
    upload_headers: Vec<String>,
}

/// Where clients think that files are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum ArtifactStorageLayout {
    /// By their MD5 within an entity.
    #[graphql(name = "V1")]
    V1,
    /// By the artifact that first had them.
    #[graphql(name = "V2")]
    V2,
}

#[derive(Debug, InputObject)]
pub(crate) struct UploadPartsInput {
    part_number: Int64,
    #[graphql(name = "hexMD5")]
    hex_md5: String,
}

#[derive(Debug, InputObject)]
pub(crate) struct CreateArtifactFileSpecInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    name: String,
    /// Base64.
    md5: String,
    mimetype: Option<String>,
    #[graphql(name = "artifactManifestID")]
    artifact_manifest_id: Option<ID>,
    upload_parts_input: Option<Vec<UploadPartsInput>>,
}

#[derive(Debug, InputObject)]
pub(crate) struct CreateArtifactFilesInput {
    artifact_files: Vec<CreateArtifactFileSpecInput>,
    storage_layout: Option<ArtifactStorageLayout>,
    #[graphql(name = "cloudRegionID")]
    cloud_region_id: Option<String>,
    client_mutation_id: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct CreateArtifactFilesPayload {
    files: NewArtifactFileConnection,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct NewArtifactFileConnection {
    edges: Vec<NewArtifactFileEdge>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct NewArtifactFileEdge {
    node: NewArtifactFile,
}

/// A file of an artifact, and where it is to be put, unless it is here already.
#[derive(Debug, SimpleObject)]
pub(crate) struct NewArtifactFile {
    id: ID,
    name: String,
    display_name: String,
    storage_path: String,
    upload_url: Option<String>,
    upload_headers: Vec<String>,
    /// Files of any size are put in one piece.
    upload_multipart_urls: Option<UploadMultipartUrls>,
    /// The artifact that has the file already, or will have it first.
    artifact: ArtifactRef,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct UploadMultipartUrls {
    #[graphql(name = "uploadID")]
    upload_id: String,
    upload_url_parts: Vec<UploadUrlPart>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct UploadUrlPart {
    part_number: Int64,
    upload_url: String,
}

/// An artifact, of which no more is told than its id.
#[derive(Debug, SimpleObject)]
pub(crate) struct ArtifactRef {
    id: ID,
}

/// What is to become of an upload in pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(rename_items = "PascalCase")]
pub(crate) enum CompleteMultipartAction {
    /// A file.
    Complete,
    /// Nothing.
    Abort,
}

#[derive(Debug, InputObject)]
pub(crate) struct CompleteMultipartUploadArtifactInput {
    complete_multipart_action: Option<CompleteMultipartAction>,
    completed_parts: Option<Vec<UploadPartsInput>>,
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    storage_path: Option<String>,
    #[graphql(name = "uploadID")]
    upload_id: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct CompleteMultipartUploadArtifactPayload {
    digest: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct CommitArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct ArtifactPayload {
    artifact: ArtifactNode,
}

#[derive(Debug, InputObject)]
pub(crate) struct UseArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    entity_name: String,
    project_name: String,
    run_name: String,
    used_as: Option<String>,
    artifact_entity_name: Option<String>,
    artifact_project_name: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct UpdateArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    description: Option<String>,
    metadata: Option<JsonString>,
    ttl_duration_seconds: Option<Int64>,
    tags_to_add: Option<Vec<TagInput>>,
    tags_to_delete: Option<Vec<TagInput>>,
    /// All aliases that it shall have.
    aliases: Option<Vec<ArtifactAliasInput>>,
    client_mutation_id: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct AddAliasesInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    aliases: Vec<ArtifactCollectionAliasInput>,
    client_mutation_id: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeleteAliasesInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    aliases: Vec<ArtifactCollectionAliasInput>,
    client_mutation_id: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeleteArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    delete_aliases: Option<bool>,
    client_mutation_id: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct LinkArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: Option<ID>,
    #[graphql(name = "clientID")]
    client_id: Option<ID>,
    #[graphql(name = "artifactPortfolioID")]
    artifact_portfolio_id: Option<ID>,
    artifact_portfolio_name: Option<String>,
    entity_name: Option<String>,
    project_name: Option<String>,
    aliases: Option<Vec<ArtifactAliasInput>>,
    client_mutation_id: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct LinkArtifactPayload {
    version_index: Option<i64>,
    artifact_membership: Option<ArtifactCollectionMembership>,
}

#[derive(Debug, InputObject)]
pub(crate) struct UnlinkArtifactInput {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    #[graphql(name = "artifactPortfolioID")]
    artifact_portfolio_id: ID,
    client_mutation_id: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct UnlinkArtifactPayload {
    #[graphql(name = "artifactID")]
    artifact_id: ID,
    success: bool,
    client_mutation_id: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct CreateArtifactTypeInput {
    entity_name: Option<String>,
    project_name: String,
    name: String,
    description: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct CreateArtifactTypePayload {
    artifact_type: ArtifactTypeNode,
}

#[derive(Debug, InputObject)]
pub(crate) struct UpdateArtifactSequenceInput {
    #[graphql(name = "artifactSequenceID")]
    artifact_sequence_id: ID,
    name: Option<String>,
    description: Option<String>,
    client_mutation_id: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct UpdateArtifactPortfolioInput {
    #[graphql(name = "artifactPortfolioID")]
    artifact_portfolio_id: ID,
    name: Option<String>,
    description: Option<String>,
    client_mutation_id: Option<String>,
}

#[derive(Debug, InputObject)]
pub(crate) struct MoveArtifactSequenceInput {
    #[graphql(name = "artifactSequenceID")]
    artifact_sequence_id: ID,
    destination_artifact_type_name: String,
    client_mutation_id: Option<String>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct ArtifactCollectionPayload {
    artifact_collection: ArtifactCollection,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeleteArtifactSequenceInput {
    #[graphql(name = "artifactSequenceID")]
    artifact_sequence_id: ID,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeleteArtifactPortfolioInput {
    #[graphql(name = "artifactPortfolioID")]
    artifact_portfolio_id: ID,
}

#[derive(Debug, InputObject)]
pub(crate) struct CreateArtifactCollectionTagAssignmentsInput {
    entity_name: String,
    project_name: String,
    artifact_collection_name: String,
    tags: Vec<TagInput>,
}

#[derive(Debug, InputObject)]
pub(crate) struct DeleteArtifactCollectionTagAssignmentsInput {
    entity_name: String,
    project_name: String,
    artifact_collection_name: String,
    tags: Vec<TagInput>,
}

#[derive(Debug, SimpleObject)]
pub(crate) struct TagsPayload {
    tags: Vec<Tag>,
}

fn project_path(asked: &Asked, entity: Option<&str>, project: Option<&str>) -> Result<ProjectPath> {
    let project = project
        .filter(|name| !name.is_empty())
        .unwrap_or(UNCATEGORIZED);
    Ok(ProjectPath::new(asked.entity(entity)?, project.parse()?))
}

/// An id that a client made up.
fn client_id(id: Option<ID>) -> Result<Option<String>> {
    let id = id.map(|id| id.0).filter(|id| !id.is_empty());
    match id
        .as_ref()
        .is_some_and(|id| id.len() > 512 || id.chars().any(char::is_control))
    {
        true => Err(Error::invalid(
            "a client's id has at most 512 bytes and no control characters",
        )),
        false => Ok(id),
    }
}

fn tag_names(tags: Option<Vec<TagInput>>) -> Result<Vec<String>> {
    let tags = tags
        .unwrap_or_default()
        .into_iter()
        .map(|tag| match tag.tag_category_name {
            Some(category) if !category.is_empty() => Err(unsupported(format!(
                "tags are in no categories here, such as {category:.80?}"
            ))),
            _ => Ok(tag.tag_name),
        });
    tags.collect()
}

/// Seconds; what is not positive takes it away.
fn ttl(seconds: Option<Int64>) -> Change<u64> {
    match seconds.map(|Int64(seconds)| u64::try_from(seconds)) {
        None => Change::Keep,
        Some(Ok(seconds)) if seconds > 0 => Change::Set(seconds),
        Some(_) => Change::Clear,
    }
}

impl CreateArtifactInput {
    fn sketch(self, asked: &Asked) -> Result<(Sketch, bool)> {
        if self.digest_algorithm == Some(ArtifactDigestAlgorithm::ManifestXxh128) {
            let hint = "leave digest_algorithm at MD5";
            return Err(
                unsupported("artifacts with XXH128 digests are not kept here").with_hint(hint),
            );
        }
        let region = self.storage_region.filter(|region| !region.is_empty());
        if let Some(region) = &region
            && (region.starts_with(CLOUD_REGIONS) || region.chars().any(char::is_control))
        {
            let message = format!("the storage region {region:.80?} is none of this server");
            return Err(Error::invalid(message).with_hint("leave storage_region out"));
        }
        let project = project_path(asked, Some(&self.entity_name), Some(&self.project_name))?;
        let mut names = self.artifact_collection_names.unwrap_or_default();
        names.extend(self.artifact_collection_name);
        names.dedup();
        let [name] = &*names else {
            return Err(Error::invalid("an artifact is logged to one collection"));
        };
        if self.artifact_type_name.is_empty() {
            return Err(Error::invalid("an artifact has a type"));
        }
        let run = self.run_name.filter(|name| !name.is_empty());
        let run = run.map(|run| run_path(project.entity.as_str(), project.project.as_str(), &run));
        let mut aliases = Vec::new();
        for OrName(alias) in self.aliases.unwrap_or_default() {
            if alias.artifact_collection_name.is_none_or(|of| of == *name)
                && !aliases.contains(&alias.alias)
            {
                aliases.push(alias.alias);
            }
        }
        let metadata = match self.metadata {
            Some(JsonString(text)) => wire::object("the metadata", &text)?,
            None => JsonObject::new(),
        };
        let mut ttl_seconds = None;
        ttl(self.ttl_duration_seconds).apply(&mut ttl_seconds);
        let exact = match &self.trackway {
            Some(draft) => Some(exact::draft(asked, draft)?),
            None => None,
        };
        let sketch = Sketch {
            collection: CollectionPath::new(project, name)?,
            kind: self.artifact_type_name,
            state: State::Pending,
            digest: self.digest,
            run: run.transpose()?,
            aliases,
            tags: tag_names(
                self.tags
                    .map(|tags| tags.into_iter().map(|tag| tag.0).collect()),
            )?,
            description: self.description.filter(|text| !text.is_empty()),
            metadata,
            ttl_seconds,
            client_id: client_id(self.client_id)?,
            sequence_client_id: client_id(self.sequence_client_id)?,
            history_step: self.history_step.map(|step| step.0),
            storage_region: region,
            shared_id: client_id(self.distributed_id.map(ID))?,
            created_at: Timestamp::now(),
            exact,
        };
        Ok((sketch, self.enable_digest_deduplication.unwrap_or(false)))
    }
}

/// The key of an artifact that may still be written to, with what is noted of it.
async fn pending(asked: &Asked, id: &str) -> Result<(String, Box<Sketch>)> {
    match find::by_id(&asked.app, &asked.viewer, id).await? {
        Found::Pending { key, sketch } => {
            asked.viewer.write(&sketch.collection.project.entity)?;
            Ok((key, sketch))
        }
        Found::Version(_) => Err(Error::new(
            ErrorKind::Conflict,
            "the artifact is committed: its contents do not change any more",
        )),
    }
}

fn new_manifest(
    asked: &Asked,
    key: &str,
    name: &str,
    record: &ManifestRecord,
) -> ArtifactManifestPayload {
    let grant = Grant::PutManifest {
        artifact: key.to_owned(),
        name: name.to_owned(),
        md5: record.digest.clone(),
    };
    let headers = (!record.digest.is_empty()).then(|| format!("Content-MD5:{}", record.digest));
    ArtifactManifestPayload {
        artifact_manifest: NewManifest {
            id: ID(ids::encode("ArtifactManifest", &[key, name])),
            file: NewManifestFile {
                id: ID(ids::encode("ArtifactFile", &[key, name])),
                name: name.to_owned(),
                display_name: name.to_owned(),
                upload_url: format!("{}{}", asked.base, asked.app.signer.path(grant)),
                upload_headers: headers.into_iter().collect(),
            },
        },
    }
}

/// Notes a manifest in place of the one with the same name. What was uploaded of it counts on, if
/// it is still the same.
async fn put_manifest(
    asked: &Asked,
    key: &str,
    name: &str,
    mut record: ManifestRecord,
) -> Result<ArtifactManifestPayload> {
    if !record.digest.is_empty() {
        md5_of(&record.digest)?;
    }
    let records = records(&asked.app);
    loop {
        let before = records.manifest(key, name).await?;
        let pre = match &before {
            Some((_, version)) => RecordCondition::Version(*version),
            None => RecordCondition::Absent,
        };
        let same = before
            .filter(|(before, _)| before.digest == record.digest && !record.digest.is_empty());
        record.stored = same.and_then(|(before, _)| before.stored);
        match records.put_manifest(key, name, &record, pre).await {
            Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {}
            Err(e) => return Err(e),
            Ok(()) => return Ok(new_manifest(asked, key, name, &record)),
        }
    }
}

async fn create_manifest(
    asked: &Asked,
    input: CreateArtifactManifestInput,
) -> Result<ArtifactManifestPayload> {
    let (key, sketch) = pending(asked, &input.artifact_id).await?;
    let mut name = input.name;
    let kind = match input.kind.unwrap_or(ArtifactManifestType::Full) {
        ArtifactManifestType::Full => ManifestKind::Full,
        ArtifactManifestType::Incremental => ManifestKind::Incremental,
        ArtifactManifestType::Patch if sketch.shared_id.is_none() => {
            let message = "a patch is of an artifact that several runs write together";
            return Err(Error::invalid(message));
        }
        ArtifactManifestType::Patch => {
            // All writers call theirs the same.
            let own = hex::encode(crate::accounts::random::<8>()?);
            name = format!("{own}/{name}");
            ManifestKind::Patch
        }
    };
    check_file_name(&name)?;
    let record = ManifestRecord {
        kind,
        base: base(asked, input.base_artifact_id).await?,
        digest: input.digest.unwrap_or_default(),
        stored: None,
    };
    put_manifest(asked, &key, &name, record).await
}

async fn update_manifest(
    asked: &Asked,
    input: UpdateArtifactManifestInput,
) -> Result<ArtifactManifestPayload> {
    let [key, name] = ids::decode("ArtifactManifest", &input.artifact_manifest_id)?;
    let (key, _) = pending(asked, &id_of_key(&key)).await?;
    let missing = || Error::not_found("the manifest");
    let (before, _) = records(&asked.app)
        .manifest(&key, &name)
        .await?
        .ok_or_else(missing)?;
    let record = ManifestRecord {
        kind: before.kind,
        base: base(asked, input.base_artifact_id).await?.or(before.base),
        digest: input.digest.unwrap_or(before.digest),
        stored: None,
    };
    put_manifest(asked, &key, &name, record).await
}

/// The id of an artifact that another one goes on from, if it may be read.
async fn base(asked: &Asked, id: Option<ID>) -> Result<Option<String>> {
    let Some(id) = id.filter(|id| !id.is_empty()) else {
        return Ok(None);
    };
    let version = find::version_by_id(&asked.app, &asked.viewer, &id).await?;
    Ok(Some(id_of(&version)))
}

/// Where files are to be put, in the order asked.
async fn create_files(
    asked: &Asked,
    input: CreateArtifactFilesInput,
) -> Result<Vec<NewArtifactFileEdge>> {
    if input.artifact_files.len() > MAX_FILES {
        return Err(Error::invalid(format!(
            "more than {MAX_FILES} files in one request"
        )));
    }
    let mut wanted: HashMap<String, HashSet<String>> = HashMap::new();
    let mut files = Vec::with_capacity(input.artifact_files.len());
    for file in input.artifact_files {
        check_file_name(&file.name)?;
        let hex = hex::encode(md5_of(&file.md5)?);
        wanted
            .entry(file.artifact_id.0.clone())
            .or_default()
            .insert(hex.clone());
        files.push((file, hex));
    }
    let mut known = HashMap::new();
    for (id, md5s) in wanted {
        let (key, sketch) = pending(asked, &id).await?;
        // A record of the model names its contents by more than an MD5.
        let latest = match sketch.exact {
            Some(_) => (HashMap::new(), None),
            None => write::contents_of_latest(&asked.app, &sketch.collection, &md5s).await?,
        };
        known.insert(id, (key, latest));
    }
    let mut edges = Vec::with_capacity(files.len());
    for (file, hex) in files {
        let Some((key, (here, latest))) = known.get(&*file.artifact_id) else {
            continue;
        };
        let born = latest.as_ref().filter(|_| here.contains_key(&hex));
        let grant = || Grant::PutEntry {
            artifact: key.clone(),
            path: file.name.clone(),
            md5: file.md5.clone(),
        };
        let upload_url = match born {
            Some(_) => None,
            None => Some(format!("{}{}", asked.base, asked.app.signer.path(grant()))),
        };
        let node = NewArtifactFile {
            id: ID(ids::encode("ArtifactFile", &[key, &file.name])),
            display_name: file.name.clone(),
            storage_path: storage_path(&file.name),
            upload_headers: vec![format!("Content-MD5:{}", file.md5)],
            upload_url,
            upload_multipart_urls: None,
            artifact: ArtifactRef {
                id: born.map_or_else(|| file.artifact_id.clone(), |id| ID(id.clone())),
            },
            name: file.name,
        };
        edges.push(NewArtifactFileEdge { node });
    }
    Ok(edges)
}

/// A version that may be changed.
async fn writable(asked: &Asked, id: &str) -> Result<ArtifactVersion> {
    let version = find::version_by_id(&asked.app, &asked.viewer, id).await?;
    asked.viewer.write(&version.collection.project.entity)?;
    Ok(version)
}

async fn use_artifact(asked: &Asked, input: UseArtifactInput) -> Result<ArtifactNode> {
    let entity: EntityName = asked.entity(Some(&input.entity_name))?;
    let run = run_path(entity.as_str(), &input.project_name, &input.run_name)?;
    asked.viewer.write(&run.entity)?;
    let version = find::version_by_id(&asked.app, &asked.viewer, &input.artifact_id).await?;
    let entry = ArtifactUse {
        run,
        collection: version.collection.clone(),
        index: version.index,
        role: UseRole::Used,
        step: None,
    };
    asked.app.tracker.record_use(entry).await?;
    Ok(ArtifactNode::committed(version))
}

async fn update(asked: &Asked, input: UpdateArtifactInput) -> Result<ArtifactNode> {
    let found = find::by_id(&asked.app, &asked.viewer, &input.artifact_id).await?;
    let metadata = match &input.metadata {
        Some(JsonString(text)) => Some(wire::object("the metadata", text)?),
        None => None,
    };
    let (path, index) = match found {
        // What a client learns while it uploads.
        Found::Pending { key, sketch } => {
            asked.viewer.write(&sketch.collection.project.entity)?;
            let records = records(&asked.app);
            let change = |sketch: &mut Sketch| {
                if let Some(metadata) = &metadata {
                    sketch.metadata.clone_from(metadata);
                }
                if let Some(text) = &input.description {
                    sketch.description = Some(text.clone()).filter(|text| !text.is_empty());
                }
            };
            records.change(&key, change).await?;
            let sketch = records.get(&key).await?.map_or(sketch, Box::new);
            return Ok(ArtifactNode::of(Found::Pending { key, sketch }));
        }
        Found::Version(version) => (version.collection, version.index),
    };
    asked.viewer.write(&path.project.entity)?;
    let _lock = asked.app.locks.of(&path).await;
    let version = writable(asked, &input.artifact_id).await?;
    let mut patch = VersionPatch::new();
    patch.description = match input.description {
        None => Change::Keep,
        Some(text) if text.is_empty() => Change::Clear,
        Some(text) => Change::Set(text),
    };
    patch.metadata = metadata.map_or_else(JsonPatch::default, JsonPatch::Replace);
    patch.ttl_seconds = ttl(input.ttl_duration_seconds);
    let add = tag_names(input.tags_to_add)?;
    let delete = tag_names(input.tags_to_delete)?;
    if !add.is_empty() || !delete.is_empty() {
        patch.tags = Some(changed(&version.tags, add, &delete));
    }
    if let Some(aliases) = input.aliases {
        let own = aliases.into_iter().filter(|alias| {
            alias
                .artifact_collection_name
                .as_ref()
                .is_none_or(|of| *of == path.name)
        });
        let own: Vec<String> = own.map(|alias| alias.alias).collect();
        own.iter().try_for_each(|alias| check_alias(alias))?;
        patch.aliases = Some(own);
    }
    if patch == VersionPatch::default() {
        return Ok(ArtifactNode::committed(version));
    }
    let version = asked
        .app
        .tracker
        .update_version(&path, index, patch)
        .await?;
    Ok(ArtifactNode::committed(version))
}

/// A list with some names added and others taken out.
fn changed(before: &[String], add: Vec<String>, delete: &[String]) -> Vec<String> {
    let mut out = before.to_vec();
    for name in add {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out.retain(|name| !delete.contains(name));
    out
}

/// Adds or deletes aliases of an artifact, in its own collection and in portfolios.
async fn change_aliases(
    asked: &Asked,
    id: &str,
    aliases: Vec<ArtifactCollectionAliasInput>,
    add: bool,
) -> Result<()> {
    let source = find::version_by_id(&asked.app, &asked.viewer, id).await?;
    let own = &source.collection;
    let mut by_collection: Vec<(CollectionPath, Vec<String>)> = Vec::new();
    for alias in aliases {
        let entity = alias
            .entity_name
            .as_deref()
            .unwrap_or(own.project.entity.as_str());
        let project = alias
            .project_name
            .as_deref()
            .unwrap_or(own.project.project.as_str());
        let name = alias
            .artifact_collection_name
            .unwrap_or_else(|| own.name.clone());
        let path = CollectionPath::new(ProjectPath::new(entity.parse()?, project.parse()?), name)?;
        asked.viewer.write(&path.project.entity)?;
        if add {
            check_alias(&alias.alias)?;
        }
        match by_collection.iter_mut().find(|(known, _)| *known == path) {
            Some((_, names)) => names.push(alias.alias),
            None => by_collection.push((path, vec![alias.alias])),
        }
    }
    let app = &asked.app;
    for (path, names) in by_collection {
        let _lock = app.locks.of(&path).await;
        let version = match path == *own {
            true => find::version_by_id(app, &asked.viewer, id).await?,
            false => {
                let link = find::link_in(app, &path, &place_of(&source)).await?;
                let missing =
                    || Error::not_found(format_args!("the link to {own} in artifact {path}"));
                link.ok_or_else(missing)?
            }
        };
        if add {
            write::add_aliases(app, version, names).await?;
            continue;
        }
        let mut patch = VersionPatch::new();
        patch.aliases = Some(changed(&version.aliases, Vec::new(), &names));
        app.tracker
            .update_version(&path, version.index, patch)
            .await?;
    }
    Ok(())
}

async fn delete(asked: &Asked, input: DeleteArtifactInput) -> Result<ArtifactNode> {
    let app = &asked.app;
    let version = writable(asked, &input.artifact_id).await?;
    let path = &version.collection;
    let _lock = app.locks.of(path).await;
    let version = writable(asked, &input.artifact_id).await?;
    if !version.aliases.is_empty() && input.delete_aliases != Some(true) {
        let names = version.aliases.join(", ");
        let message = format!(
            "version v{} of artifact {path} has aliases: {names:.200}",
            version.index
        );
        return Err(
            Error::invalid(message).with_hint("delete them first, or with it: delete_aliases=True")
        );
    }
    app.tracker.delete_version(path, version.index).await?;
    let id = id_of(&version);
    if let Some(key) = find::key_of_id(&id) {
        let records = records(app);
        records
            .change(&key, |sketch| sketch.state = State::Deleted)
            .await?;
    }
    Ok(ArtifactNode::deleted(version))
}

async fn link(asked: &Asked, input: LinkArtifactInput) -> Result<LinkArtifactPayload> {
    let app = &asked.app;
    let id = match (input.artifact_id, input.client_id) {
        (Some(id), _) => id.0,
        (None, Some(client)) => {
            let key = find::of_client(app, &asked.viewer, &client).await?;
            id_of_key(&key.ok_or_else(|| Error::not_found("the artifact"))?)
        }
        (None, None) => return Err(Error::invalid("a link needs the id of an artifact")),
    };
    let source = find::version_by_id(app, &asked.viewer, &id).await?;
    let path = match (input.artifact_portfolio_name, input.artifact_portfolio_id) {
        (Some(name), _) => {
            let entity = input.entity_name.as_deref();
            CollectionPath::new(
                project_path(asked, entity, input.project_name.as_deref())?,
                name,
            )?
        }
        (None, Some(id)) => find::collection_by_id(app, &asked.viewer, &id).await?.path,
        (None, None) => return Err(Error::invalid("a link needs a portfolio")),
    };
    asked.viewer.write(&path.project.entity)?;
    let mut aliases: Vec<String> = input
        .aliases
        .unwrap_or_default()
        .into_iter()
        .map(|alias| alias.alias)
        .collect();
    aliases.iter().try_for_each(|alias| check_alias(alias))?;
    let kind = app.tracker.collection(&source.collection).await?.kind;
    let _lock = app.locks.of(&path).await;
    match app.tracker.collection(&path).await {
        Ok(there) if !there.portfolio => {
            let message =
                format!("artifact {path} holds versions of its own: nothing is linked to it");
            return Err(Error::invalid(message).with_hint("link to another name"));
        }
        Ok(there) if there.kind != kind => {
            let message = format!(
                "artifact {path} links the type {:?}, not {kind:?}",
                there.kind
            );
            return Err(Error::invalid(message));
        }
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => {
            let mut patch = CollectionPatch::new();
            patch.kind = Some(kind);
            patch.portfolio = Some(true);
            app.tracker.upsert_collection(&path, patch).await?;
        }
        Err(e) => return Err(e),
    }
    let at = place_of(&source);
    // What comes to a portfolio is the latest there.
    let latest = "latest".to_owned();
    if !aliases.contains(&latest) && find::link_in(app, &path, &at).await?.is_none() {
        aliases.push(latest);
    }
    let draft = LinkDraft::new().with_aliases(aliases);
    let made = app.tracker.link_version(&path, &at, draft).await?;
    records(app).note_link(&id_of(&source), &path).await?;
    Ok(LinkArtifactPayload {
        version_index: i64::try_from(made.index).ok(),
        artifact_membership: Some(ArtifactCollectionMembership::new(made)),
    })
}

async fn unlink(asked: &Asked, input: &UnlinkArtifactInput) -> Result<()> {
    let app = &asked.app;
    let portfolio = writable_collection(asked, &input.artifact_portfolio_id, true).await?;
    let path = portfolio.path;
    let source = find::version_by_id(app, &asked.viewer, &input.artifact_id).await?;
    let _lock = app.locks.of(&path).await;
    let link = find::link_in(app, &path, &place_of(&source)).await?;
    let missing = || Error::not_found(format_args!("the link in artifact {path}"));
    app.tracker
        .delete_version(&path, link.ok_or_else(missing)?.index)
        .await?;
    records(app).forget_link(&id_of(&source), &path).await
}

/// A collection that may be changed, of the kind that the id is said to be of.
async fn writable_collection(asked: &Asked, id: &str, portfolio: bool) -> Result<Collection> {
    let collection = find::collection_by_id(&asked.app, &asked.viewer, id).await?;
    asked.viewer.write(&collection.path.project.entity)?;
    match collection.portfolio == portfolio {
        true => Ok(collection),
        false => Err(Error::invalid(format!(
            "artifact {} is of the other kind of collections",
            collection.path
        ))),
    }
}

async fn update_collection(
    asked: &Asked,
    collection: Collection,
    name: Option<String>,
    description: Option<String>,
) -> Result<ArtifactCollectionPayload> {
    let path = &collection.path;
    let _lock = asked.app.locks.of(path).await;
    let mut patch = CollectionPatch::new();
    // Clients read an empty text back as one.
    patch.description = description.map_or(Change::Keep, Change::Set);
    if let Some(name) = name.filter(|name| *name != path.name) {
        let to = CollectionPath::new(path.project.clone(), name)?;
        write::prepare_rename(&asked.app, &collection, &to).await?;
        patch.name = Some(to.name);
    }
    changed_collection(asked, path, patch).await
}

/// Gives a collection another type, and with it the portfolios that link nothing else: what is in a
/// portfolio is of its type.
async fn change_kind(
    asked: &Asked,
    collection: &Collection,
    kind: &str,
) -> Result<ArtifactCollectionPayload> {
    let app = &asked.app;
    let patch = || {
        let mut patch = CollectionPatch::new();
        patch.kind = Some(kind.to_owned());
        patch
    };
    let path = &collection.path;
    let mut portfolios = BTreeSet::new();
    let mut versions = app.tracker.versions(path);
    while let Some(version) = versions.try_next().await? {
        let links = find::links_of(app, &asked.viewer, &version).await?;
        portfolios.extend(links.into_iter().map(|link| link.collection));
    }
    for portfolio in portfolios {
        let links: Vec<ArtifactVersion> = app.tracker.versions(&portfolio).try_collect().await?;
        let here = |link: &ArtifactVersion| {
            link.link_of
                .as_ref()
                .is_some_and(|of| of.collection == *path)
        };
        if links.iter().all(here) && asked.viewer.write(&portfolio.project.entity).is_ok() {
            changed_collection(asked, &portfolio, patch()).await?;
        }
    }
    changed_collection(asked, path, patch()).await
}

async fn changed_collection(
    asked: &Asked,
    path: &CollectionPath,
    mut patch: CollectionPatch,
) -> Result<ArtifactCollectionPayload> {
    patch.updated_at = Change::Set(Timestamp::now());
    let collection = asked.app.tracker.upsert_collection(path, patch).await?;
    Ok(ArtifactCollectionPayload {
        artifact_collection: CollectionNode::new(collection).into(),
    })
}

async fn delete_collection(
    asked: &Asked,
    collection: Collection,
) -> Result<ArtifactCollectionPayload> {
    asked
        .app
        .tracker
        .delete_collection(&collection.path)
        .await?;
    Ok(ArtifactCollectionPayload {
        artifact_collection: CollectionNode::deleted(collection).into(),
    })
}

/// Changes the tags of a collection, and answers them.
async fn change_tags(
    asked: &Asked,
    entity: &str,
    project: &str,
    name: String,
    tags: (Vec<String>, Vec<String>),
) -> Result<Vec<String>> {
    let path = CollectionPath::new(project_path(asked, Some(entity), Some(project))?, name)?;
    asked.viewer.write(&path.project.entity)?;
    let _lock = asked.app.locks.of(&path).await;
    let collection = asked.app.tracker.collection(&path).await?;
    let (add, delete) = tags;
    let tags = changed(&tags_of(&collection), add, &delete);
    let mut patch = CollectionPatch::new();
    patch.extras = with_tags(&collection.extras, tags.clone());
    changed_collection(asked, &path, patch).await?;
    Ok(tags)
}

#[derive(Debug, Default)]
pub(crate) struct ArtifactMutation;

#[Object]
impl ArtifactMutation {
    /// Types are there as soon as a collection has them: nothing is left to do.
    async fn create_artifact_type(
        &self,
        ctx: &Context<'_>,
        input: CreateArtifactTypeInput,
    ) -> GraphResult<CreateArtifactTypePayload> {
        let asked = Asked::of(ctx)?;
        let project = project_path(
            asked,
            input.entity_name.as_deref(),
            Some(&input.project_name),
        );
        let project = project.map_err(told)?;
        asked.viewer.write(&project.entity).map_err(told)?;
        Ok(CreateArtifactTypePayload {
            artifact_type: ArtifactTypeNode {
                project,
                name: input.name,
                created_at: Timestamp::now(),
            },
        })
    }

    /// Begins an artifact, or answers the one with the same contents.
    async fn create_artifact(
        &self,
        ctx: &Context<'_>,
        input: CreateArtifactInput,
    ) -> GraphResult<CreateArtifactPayload> {
        let asked = Asked::of(ctx)?;
        let client_mutation_id = input.client_mutation_id.clone();
        let (sketch, may_be_there) = input.sketch(asked).map_err(told)?;
        let created = write::create(&asked.app, &asked.viewer, sketch, may_be_there).await;
        Ok(CreateArtifactPayload {
            artifact: ArtifactNode::of(created.map_err(told)?),
            client_mutation_id,
        })
    }

    /// Begins a manifest, in place of one with the same name.
    async fn create_artifact_manifest(
        &self,
        ctx: &Context<'_>,
        input: CreateArtifactManifestInput,
    ) -> GraphResult<ArtifactManifestPayload> {
        create_manifest(Asked::of(ctx)?, input).await.map_err(told)
    }

    async fn update_artifact_manifest(
        &self,
        ctx: &Context<'_>,
        input: UpdateArtifactManifestInput,
    ) -> GraphResult<ArtifactManifestPayload> {
        update_manifest(Asked::of(ctx)?, input).await.map_err(told)
    }

    /// Says where files of an artifact can be put, in the order asked; nowhere, if they are here.
    async fn create_artifact_files(
        &self,
        ctx: &Context<'_>,
        input: CreateArtifactFilesInput,
    ) -> GraphResult<CreateArtifactFilesPayload> {
        let edges = create_files(Asked::of(ctx)?, input).await.map_err(told)?;
        Ok(CreateArtifactFilesPayload {
            files: NewArtifactFileConnection { edges },
        })
    }

    /// Files are put in one piece: there is nothing to complete.
    async fn complete_multipart_upload_artifact(
        &self,
        ctx: &Context<'_>,
        input: CompleteMultipartUploadArtifactInput,
    ) -> GraphResult<CompleteMultipartUploadArtifactPayload> {
        pending(Asked::of(ctx)?, &input.artifact_id)
            .await
            .map_err(told)?;
        Err(told(unsupported(
            "files of artifacts are put in one piece here",
        )))
    }

    /// Makes a version of what was uploaded.
    async fn commit_artifact(
        &self,
        ctx: &Context<'_>,
        input: CommitArtifactInput,
    ) -> GraphResult<ArtifactPayload> {
        let asked = Asked::of(ctx)?;
        let version = write::commit(&asked.app, &asked.viewer, &input.artifact_id).await;
        let artifact = ArtifactNode::committed(version.map_err(told)?);
        Ok(ArtifactPayload { artifact })
    }

    /// Records that a run uses an artifact.
    async fn use_artifact(
        &self,
        ctx: &Context<'_>,
        input: UseArtifactInput,
    ) -> GraphResult<ArtifactPayload> {
        let artifact = use_artifact(Asked::of(ctx)?, input).await.map_err(told)?;
        Ok(ArtifactPayload { artifact })
    }

    async fn update_artifact(
        &self,
        ctx: &Context<'_>,
        input: UpdateArtifactInput,
    ) -> GraphResult<ArtifactPayload> {
        let artifact = update(Asked::of(ctx)?, input).await.map_err(told)?;
        Ok(ArtifactPayload { artifact })
    }

    async fn add_aliases(&self, ctx: &Context<'_>, input: AddAliasesInput) -> GraphResult<Success> {
        let changed = change_aliases(Asked::of(ctx)?, &input.artifact_id, input.aliases, true);
        changed.await.map_err(told)?;
        Ok(Success::yes())
    }

    async fn delete_aliases(
        &self,
        ctx: &Context<'_>,
        input: DeleteAliasesInput,
    ) -> GraphResult<Success> {
        let changed = change_aliases(Asked::of(ctx)?, &input.artifact_id, input.aliases, false);
        changed.await.map_err(told)?;
        Ok(Success::yes())
    }

    /// Deletes a version for good.
    async fn delete_artifact(
        &self,
        ctx: &Context<'_>,
        input: DeleteArtifactInput,
    ) -> GraphResult<ArtifactPayload> {
        let artifact = delete(Asked::of(ctx)?, input).await.map_err(told)?;
        Ok(ArtifactPayload { artifact })
    }

    /// Makes a version seen in a portfolio too, which is made if there is none.
    async fn link_artifact(
        &self,
        ctx: &Context<'_>,
        input: LinkArtifactInput,
    ) -> GraphResult<LinkArtifactPayload> {
        link(Asked::of(ctx)?, input).await.map_err(told)
    }

    async fn unlink_artifact(
        &self,
        ctx: &Context<'_>,
        input: UnlinkArtifactInput,
    ) -> GraphResult<UnlinkArtifactPayload> {
        unlink(Asked::of(ctx)?, &input).await.map_err(told)?;
        Ok(UnlinkArtifactPayload {
            artifact_id: input.artifact_id,
            success: true,
            client_mutation_id: input.client_mutation_id,
        })
    }

    async fn update_artifact_sequence(
        &self,
        ctx: &Context<'_>,
        input: UpdateArtifactSequenceInput,
    ) -> GraphResult<ArtifactCollectionPayload> {
        let asked = Asked::of(ctx)?;
        let collection = writable_collection(asked, &input.artifact_sequence_id, false).await;
        let collection = collection.map_err(told)?;
        update_collection(asked, collection, input.name, input.description)
            .await
            .map_err(told)
    }

    async fn update_artifact_portfolio(
        &self,
        ctx: &Context<'_>,
        input: UpdateArtifactPortfolioInput,
    ) -> GraphResult<ArtifactCollectionPayload> {
        let asked = Asked::of(ctx)?;
        let collection = writable_collection(asked, &input.artifact_portfolio_id, true).await;
        let collection = collection.map_err(told)?;
        update_collection(asked, collection, input.name, input.description)
            .await
            .map_err(told)
    }

    /// Gives a collection another type.
    async fn move_artifact_sequence(
        &self,
        ctx: &Context<'_>,
        input: MoveArtifactSequenceInput,
    ) -> GraphResult<ArtifactCollectionPayload> {
        let asked = Asked::of(ctx)?;
        let collection = writable_collection(asked, &input.artifact_sequence_id, false).await;
        let collection = collection.map_err(told)?;
        if input.destination_artifact_type_name.is_empty() {
            return Err(told(Error::invalid("an artifact has a type")));
        }
        let kind = input.destination_artifact_type_name;
        change_kind(asked, &collection, &kind).await.map_err(told)
    }

    /// Deletes a collection with its versions, for good.
    async fn delete_artifact_sequence(
        &self,
        ctx: &Context<'_>,
        input: DeleteArtifactSequenceInput,
    ) -> GraphResult<ArtifactCollectionPayload> {
        let asked = Asked::of(ctx)?;
        let collection = writable_collection(asked, &input.artifact_sequence_id, false).await;
        delete_collection(asked, collection.map_err(told)?)
            .await
            .map_err(told)
    }

    /// Deletes a portfolio with its links; what they link stays.
    async fn delete_artifact_portfolio(
        &self,
        ctx: &Context<'_>,
        input: DeleteArtifactPortfolioInput,
    ) -> GraphResult<ArtifactCollectionPayload> {
        let asked = Asked::of(ctx)?;
        let collection = writable_collection(asked, &input.artifact_portfolio_id, true).await;
        delete_collection(asked, collection.map_err(told)?)
            .await
            .map_err(told)
    }

    async fn create_artifact_collection_tag_assignments(
        &self,
        ctx: &Context<'_>,
        input: CreateArtifactCollectionTagAssignmentsInput,
    ) -> GraphResult<TagsPayload> {
        let add = tag_names(Some(input.tags)).map_err(told)?;
        let (entity, project) = (&input.entity_name, &input.project_name);
        let changed = (add, Vec::new());
        let name = input.artifact_collection_name;
        let tags = change_tags(Asked::of(ctx)?, entity, project, name, changed)
            .await
            .map_err(told)?;
        let tags = tags.iter().map(|tag| Tag::new(tag)).collect();
        Ok(TagsPayload { tags })
    }

    async fn delete_artifact_collection_tag_assignments(
        &self,
        ctx: &Context<'_>,
        input: DeleteArtifactCollectionTagAssignmentsInput,
    ) -> GraphResult<Success> {
        let delete = tag_names(Some(input.tags)).map_err(told)?;
        let (entity, project) = (&input.entity_name, &input.project_name);
        let changed = (Vec::new(), delete);
        let name = input.artifact_collection_name;
        change_tags(Asked::of(ctx)?, entity, project, name, changed)
            .await
            .map_err(told)?;
        Ok(Success::yes())
    }
}
