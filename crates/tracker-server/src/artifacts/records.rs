//! What the server notes of artifacts beside the tracker.

use std::collections::HashMap;

use futures::TryStreamExt;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracker_model::{
    ArtifactDraft, CollectionPath, Digests, Error, ErrorKind, JsonObject, Record, RecordCondition,
    RecordStore, Result, RunPath, Timestamp,
};

/// Artifacts, by the random part of their ids.
const ARTIFACTS: &str = "artifact";
/// Their manifests, by artifact and name.
const MANIFESTS: &str = "artifact-manifest";
/// What was uploaded of artifacts that are not committed, by artifact and MD5.
const UPLOADS: &str = "artifact-upload";
/// The artifacts that a client calls so, by the client's id and theirs.
const CLIENTS: &str = "artifact-client";
/// The newest artifact with these contents, by collection and digest.
const DIGESTS: &str = "artifact-digest";
/// The portfolios with a link to an artifact, by its id and theirs.
const LINKS: &str = "artifact-link";
/// The names that a collection went on under when it was renamed, by the name it had.
const RENAMED: &str = "artifact-renamed";
/// The artifact that several runs write together, by collection and the id that they share.
const SHARED: &str = "artifact-shared";

/// How far an artifact has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// It is being uploaded.
    Pending,
    /// It is the version with this index.
    Committed(u64),
    /// It was a version.
    Deleted,
}

/// What a client says of an artifact before it is a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sketch {
    pub(crate) collection: CollectionPath,
    pub(crate) kind: String,
    pub(crate) state: State,
    /// The digest of the manifest, as the client says.
    pub(crate) digest: String,
    pub(crate) run: Option<RunPath>,
    pub(crate) aliases: Vec<String>,
    pub(crate) tags: Vec<String>,
    pub(crate) description: Option<String>,
    pub(crate) metadata: JsonObject,
    pub(crate) ttl_seconds: Option<u64>,
    pub(crate) client_id: Option<String>,
    pub(crate) sequence_client_id: Option<String>,
    pub(crate) history_step: Option<i64>,
    /// Where a client wants the files; here they are all in one place.
    #[serde(default)]
    pub(crate) storage_region: Option<String>,
    /// What the runs that write it together call it.
    #[serde(default)]
    pub(crate) shared_id: Option<String>,
    pub(crate) created_at: Timestamp,
    /// What a client of ours says of the version, in place of all that is said above but the
    /// collection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) exact: Option<ArtifactDraft>,
}

/// What a manifest is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ManifestKind {
    /// All of the artifact.
    Full,
    /// What is new in it; the rest is as in another artifact.
    Incremental,
    /// What one of several writers adds.
    Patch,
}

/// A manifest that is or will be uploaded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct ManifestRecord {
    pub(crate) kind: ManifestKind,
    /// The id of the artifact that it goes on from.
    pub(crate) base: Option<String>,
    /// The MD5 that is promised of it, in base64; empty while it is not known.
    pub(crate) digest: String,
    /// What was uploaded.
    pub(crate) stored: Option<Digests>,
}

/// The records of artifacts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Artifacts<'a>(pub(crate) &'a dyn RecordStore);

impl Artifacts<'_> {
    /// Notes a new artifact.
    pub(crate) async fn add(self, key: &str, sketch: &Sketch) -> Result<()> {
        self.put(ARTIFACTS, key, sketch, RecordCondition::Absent)
            .await?;
        if let Some(client) = &sketch.client_id {
            let name = format!("{client}\n{key}");
            self.put(CLIENTS, &name, &key, RecordCondition::None)
                .await?;
        }
        Ok(())
    }

    pub(crate) async fn get(self, key: &str) -> Result<Option<Sketch>> {
        Ok(self.read(ARTIFACTS, key).await?.map(|(sketch, _)| sketch))
    }

    /// Changes what is noted of an artifact.
    ///
    /// # Errors
    /// `NotFound`.
    pub(crate) async fn change(self, key: &str, change: impl Fn(&mut Sketch) + Send) -> Result<()> {
        loop {
            let Some((mut sketch, version)) = self.read::<Sketch>(ARTIFACTS, key).await? else {
                return Err(Error::not_found("the artifact"));
            };
            change(&mut sketch);
            match self
                .put(ARTIFACTS, key, &sketch, RecordCondition::Version(version))
                .await
            {
                Err(e) if e.kind() == ErrorKind::Conflict => {}
                done => return done,
            }
        }
    }

    /// The artifacts that a client calls so, with what is noted of them.
    pub(crate) async fn of_client(self, client: &str) -> Result<Vec<(String, Sketch)>> {
        let keys: Vec<Record> = self
            .0
            .records(CLIENTS, &format!("{client}\n"))
            .try_collect()
            .await?;
        let mut out = Vec::with_capacity(keys.len());
        for record in keys {
            let key: String = parse(record)?;
            if let Some(sketch) = self.get(&key).await? {
                out.push((key, sketch));
            }
        }
        out.sort_by_key(|(_, sketch)| sketch.created_at);
        Ok(out)
    }

    pub(crate) async fn manifest(
        self,
        key: &str,
        name: &str,
    ) -> Result<Option<(ManifestRecord, u64)>> {
        self.read(MANIFESTS, &format!("{key}/{name}")).await
    }

    /// The manifests of an artifact that count, in the order in which they were uploaded: what
    /// several writers add, or the last one.
    pub(crate) async fn stored_manifests(self, key: &str) -> Result<Vec<ManifestRecord>> {
        let mut records: Vec<Record> = self
            .0
            .records(MANIFESTS, &format!("{key}/"))
            .try_collect()
            .await?;
        records.sort_by_key(|record| record.updated_at);
        let mut stored = Vec::with_capacity(records.len());
        for record in records {
            let manifest: ManifestRecord = parse(record)?;
            if manifest.stored.is_some() {
                stored.push(manifest);
            }
        }
        if stored.iter().all(|one| one.kind != ManifestKind::Patch) {
            stored.drain(..stored.len().saturating_sub(1));
        }
        Ok(stored)
    }

    pub(crate) async fn put_manifest(
        self,
        key: &str,
        name: &str,
        manifest: &ManifestRecord,
        pre: RecordCondition,
    ) -> Result<()> {
        self.put(MANIFESTS, &format!("{key}/{name}"), manifest, pre)
            .await
    }

    /// Notes that contents of an artifact were uploaded.
    pub(crate) async fn uploaded(self, key: &str, digests: &Digests) -> Result<()> {
        let name = format!("{key}/{}", digests.md5);
        self.put(UPLOADS, &name, digests, RecordCondition::None)
            .await
    }

    /// What was uploaded of an artifact, by the MD5 in hexadecimal digits.
    pub(crate) async fn uploads(self, key: &str) -> Result<HashMap<String, Digests>> {
        let mut records = self.0.records(UPLOADS, &format!("{key}/"));
        let mut out = HashMap::new();
        while let Some(record) = records.try_next().await? {
            let digests: Digests = parse(record)?;
            out.insert(digests.md5.clone(), digests);
        }
        Ok(out)
    }

    /// Forgets what a commit needed.
    pub(crate) async fn forget_uploads(self, key: &str) -> Result<()> {
        for space in [UPLOADS, MANIFESTS] {
            let mut records = self.0.records(space, &format!("{key}/"));
            while let Some(record) = records.try_next().await? {
                self.0.delete_record(space, &record.key).await?;
            }
        }
        Ok(())
    }

    pub(crate) async fn note_digest(
        self,
        path: &CollectionPath,
        digest: &str,
        key: &str,
    ) -> Result<()> {
        self.put(
            DIGESTS,
            &format!("{path}\n{digest}"),
            &key,
            RecordCondition::None,
        )
        .await
    }

    /// The artifact of the collection that had these contents last.
    pub(crate) async fn with_digest(
        self,
        path: &CollectionPath,
        digest: &str,
    ) -> Result<Option<String>> {
        let read = self.read(DIGESTS, &format!("{path}\n{digest}")).await?;
        Ok(read.map(|(key, _)| key))
    }

    /// Notes that a portfolio links an artifact.
    pub(crate) async fn note_link(self, id: &str, portfolio: &CollectionPath) -> Result<()> {
        let name = format!("{id}\n{portfolio}");
        self.put(LINKS, &name, portfolio, RecordCondition::None)
            .await
    }

    pub(crate) async fn forget_link(self, id: &str, portfolio: &CollectionPath) -> Result<()> {
        self.0
            .delete_record(LINKS, &format!("{id}\n{portfolio}"))
            .await
            .map(drop)
    }

    /// The portfolios that linked an artifact through this server.
    pub(crate) async fn links(self, id: &str) -> Result<Vec<CollectionPath>> {
        let records: Vec<Record> = self
            .0
            .records(LINKS, &format!("{id}\n"))
            .try_collect()
            .await?;
        records.into_iter().map(parse).collect()
    }

    /// Notes that a collection is about to go on under another name.
    pub(crate) async fn note_renamed(
        self,
        from: &CollectionPath,
        to: &CollectionPath,
    ) -> Result<()> {
        let key = from.to_string();
        loop {
            let (mut names, version) = match self.read::<Vec<CollectionPath>>(RENAMED, &key).await?
            {
                Some((names, version)) => (names, RecordCondition::Version(version)),
                None => (Vec::new(), RecordCondition::Absent),
            };
            names.retain(|name| name != to);
            names.push(to.clone());
            match self.put(RENAMED, &key, &names, version).await {
                Err(e) if matches!(e.kind(), ErrorKind::Conflict | ErrorKind::AlreadyExists) => {}
                done => return done,
            }
        }
    }

    /// The names that a collection with this name went on under, the last one first. Another may
    /// have the name by now.
    pub(crate) async fn renamed(self, from: &CollectionPath) -> Result<Vec<CollectionPath>> {
        let read = self.read::<Vec<_>>(RENAMED, &from.to_string()).await?;
        let names = read.map(|(names, _)| names).unwrap_or_default();
        Ok(names.into_iter().rev().collect())
    }

    /// The key of the artifact that several runs write together, and the version of the note of it.
    pub(crate) async fn shared(
        self,
        path: &CollectionPath,
        id: &str,
    ) -> Result<Option<(String, u64)>> {
        self.read(SHARED, &format!("{path}\n{id}")).await
    }

    /// Notes which artifact several runs write together.
    ///
    /// # Errors
    /// `Conflict` or `AlreadyExists` if another was noted meanwhile.
    pub(crate) async fn note_shared(
        self,
        path: &CollectionPath,
        id: &str,
        key: &str,
        pre: RecordCondition,
    ) -> Result<()> {
        self.put(SHARED, &format!("{path}\n{id}"), key, pre).await
    }

    async fn read<T: DeserializeOwned>(self, space: &str, key: &str) -> Result<Option<(T, u64)>> {
        let record = self.0.record(space, key).await?;
        record
            .map(|record| {
                let version = record.version;
                Ok((parse(record)?, version))
            })
            .transpose()
    }

    async fn put<T: Serialize + Sync + ?Sized>(
        self,
        space: &str,
        key: &str,
        value: &T,
        pre: RecordCondition,
    ) -> Result<()> {
        let json = serde_json::to_value(value)
            .map_err(|e| Error::new(ErrorKind::Unexpected, "write a record").with_source(e))?;
        self.0.put_record(space, key, json, pre).await.map(drop)
    }
}

fn parse<T: DeserializeOwned>(record: Record) -> Result<T> {
    serde_json::from_value(record.value).map_err(|e| {
        let message = format!("the record {:?} is damaged", record.key);
        Error::new(ErrorKind::Corrupt, message).with_source(e)
    })
}
