//! Making versions: files are uploaded, then a manifest, then all of it is committed.
//!
//! Servers of ours take files as they come. Others want to know the digest of the whole before the
//! first of them, so that all files wait here, large ones on disk.

use std::{collections::BTreeMap, mem, ops::Range, sync::Arc};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{StreamExt, TryStreamExt};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::task::JoinSet;
use tracker_http::{Url, header::ETAG};
use tracker_model::{
    ArtifactDraft, ArtifactStore as _, ArtifactVersion, ArtifactWriter, CollectionPath, Content,
    ContentHasher, Digests, EntryDraft, Error, ErrorKind, JsonObject, ManifestEntry, Result,
    check_file_name,
};

use super::{contents::OURS, record_of, text_of, versions::texts_of};
use crate::remote::{
    Remote, RemoteTracker,
    bodies::{self, Spooled},
    failure::{failure, unsupported},
    graphql::{Connection, Repeat},
    record::{EXTRAS, RESERVED},
};

/// Files that one request announces.
const BATCH: usize = 1_000;
/// Files that wait on disk until they are sent, in a writer that sends them as they come.
const ON_DISK: usize = 8;
/// Bytes of files that wait in memory.
const MEMORY: usize = 16 << 20;
/// Files that are sent at once, and batches of them.
const AT_ONCE: usize = 16;
const BATCHES: usize = 2;
/// How often a place to put a file is asked for, as these are not valid for ever.
const ROUNDS: u32 = 3;
/// The most parts of a file.
const MOST_PARTS: u64 = 10_000;

const MANIFEST: &str = "wandb_manifest.json";

/// What an entry will be.
#[derive(Debug)]
struct Planned {
    digests: Option<Digests>,
    reference: Option<String>,
    extras: JsonObject,
    /// The server has the contents already.
    stored: bool,
    /// The version that first had the contents, where the server says so.
    birth: Option<String>,
}

/// A file that waits until it is sent.
#[derive(Debug, Clone)]
struct Waiting {
    path: String,
    digests: Digests,
    body: Spooled,
}

/// A version that is not committed, as the server knows it.
#[derive(Debug, Clone)]
struct Session {
    id: String,
    manifest: Option<String>,
}

/// The path of a file, and the version that first had its contents.
type Sent = (String, Option<String>);

/// Makes one version.
#[derive(Debug)]
pub(super) struct Writer {
    remote: Arc<Remote>,
    path: CollectionPath,
    /// The type of the collection.
    kind: String,
    draft: ArtifactDraft,
    entries: BTreeMap<String, Planned>,
    waiting: Vec<Waiting>,
    /// Bytes of memory that waiting files take, and how many of these are on disk.
    in_memory: usize,
    on_disk: usize,
    /// Where files go as they come.
    session: Option<Session>,
    uploads: JoinSet<Result<Vec<Sent>>>,
    failed: Option<Error>,
}

/// Where a server wants a file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Place {
    storage_path: Option<String>,
    upload_url: Option<String>,
    #[serde(default)]
    upload_headers: Option<Vec<String>>,
    upload_multipart_urls: Option<InParts>,
    artifact: Option<Id>,
}

#[derive(Debug, Deserialize)]
struct InParts {
    #[serde(rename = "uploadID")]
    upload_id: String,
    #[serde(rename = "uploadUrlParts")]
    parts: Vec<PartPlace>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PartPlace {
    part_number: u64,
    upload_url: String,
}

#[derive(Debug, Deserialize)]
struct Id {
    id: String,
}

/// Hexadecimal digits in base64.
fn base64_of(hex: &str) -> String {
    let byte = |at: usize| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok();
    let bytes: Vec<u8> = (0..hex.len()).step_by(2).map_while(byte).collect();
    STANDARD.encode(bytes)
}

fn digests_of(bytes: &[u8]) -> Digests {
    let mut hasher = ContentHasher::new();
    hasher.update(bytes);
    hasher.finish()
}

impl Planned {
    /// The digest in W&B's manifests.
    fn digest(&self) -> String {
        let said = || self.extras.get(EXTRAS)?.get("digest")?.as_str();
        match (&self.digests, &self.reference) {
            (Some(digests), _) => base64_of(&digests.md5),
            (None, Some(url)) => said().unwrap_or(url).to_owned(),
            (None, None) => String::new(),
        }
    }

    /// What a manifest says of it.
    fn json(&self, exact: bool, id: &str) -> Json {
        let mut out = json!({
            "digest": self.digest(), "birthArtifactID": self.birth.as_deref().unwrap_or(id),
        });
        if let Some(url) = &self.reference {
            out["ref"] = url.as_str().into();
        }
        if let Some(digests) = &self.digests {
            out["size"] = digests.size.into();
        }
        if exact {
            let stored = self.digests.as_ref().filter(|_| self.stored);
            out[OURS] = json!({ "extras": self.extras, "stored": stored });
            return out;
        }
        let own = |name: &str| self.extras.get(EXTRAS)?.get(name);
        if self.reference.is_some()
            && let Some(size) = own("size")
        {
            out["size"] = size.clone();
        }
        let mut extra = match own("extra") {
            Some(Json::Object(extra)) => extra.clone(),
            _ => JsonObject::new(),
        };
        let mut extras = self.extras.clone();
        // What W&B has words for is said by these.
        if let Some(Json::Object(own)) = extras.get_mut(EXTRAS) {
            own.retain(|key, _| {
                !matches!(
                    key.as_str(),
                    "extra" | "digest" | "size" | "birthArtifactID"
                )
            });
            if own.is_empty() {
                extras.remove(EXTRAS);
            }
        }
        let mut ours = JsonObject::new();
        if let Some(digests) = &self.digests {
            ours.insert("blake3".to_owned(), digests.blake3.as_str().into());
            ours.insert("sha256".to_owned(), digests.sha256.as_str().into());
        }
        if !extras.is_empty() {
            ours.insert("extras".to_owned(), Json::Object(extras));
        }
        if !ours.is_empty() {
            extra.insert(OURS.to_owned(), Json::Object(ours));
        }
        if !extra.is_empty() {
            out["extra"] = Json::Object(extra);
        }
        out
    }
}

/// The bytes of the parts of a file, in order.
fn parts_of(size: u64, part: u64) -> impl Iterator<Item = Range<u64>> {
    let fewest = size.div_ceil(MOST_PARTS).next_multiple_of(4096);
    let part = part.max(fewest).max(1);
    let count = size.div_ceil(part);
    (0..count).map(move |n| n * part..((n + 1) * part).min(size))
}

/// The MD5 of each part of a file, in hexadecimal digits.
async fn part_digests(body: &Spooled, size: u64, part: u64) -> Result<Vec<String>> {
    let ranges: Vec<Range<u64>> = parts_of(size, part).collect();
    let body = body.clone();
    let hashed = tokio::task::spawn_blocking(move || match &body {
        Spooled::Memory(bytes) => {
            let part = |range: &Range<u64>| {
                let place = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                digests_of(
                    bytes
                        .get(place(range.start)..place(range.end))
                        .unwrap_or_default(),
                )
                .md5
            };
            Ok(ranges.iter().map(part).collect())
        }
        Spooled::Disk(path) => {
            use std::io::Read as _;
            let mut file = std::fs::File::open(&**path)?;
            let mut buffer = vec![0; 256 << 10];
            let mut out = Vec::with_capacity(ranges.len());
            for range in ranges {
                let mut hasher = ContentHasher::new();
                let mut part = (&mut file).take(range.end - range.start);
                loop {
                    let read = part.read(&mut buffer)?;
                    if read == 0 {
                        break;
                    }
                    hasher.update(buffer.get(..read).unwrap_or_default());
                }
                out.push(hasher.finish().md5);
            }
            Ok(out)
        }
    });
    let hashed = hashed.await.map_err(std::io::Error::other).flatten();
    hashed.map_err(|e| {
        Error::new(ErrorKind::Unexpected, "read a file that is to be sent").with_source(e)
    })
}

impl Remote {
    /// Asks where files can be put.
    async fn places(
        &self,
        path: &CollectionPath,
        session: &Session,
        files: &[Waiting],
    ) -> Result<Vec<(Place, Vec<String>)>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            create_artifact_files: Payload,
        }
        #[derive(Deserialize)]
        struct Payload {
            files: Connection<Place>,
        }
        let mut said = Vec::with_capacity(files.len());
        let mut parts = Vec::with_capacity(files.len());
        for file in files {
            let size = file.digests.size;
            let mut spec = json!({
                "artifactID": session.id, "name": file.path, "md5": base64_of(&file.digests.md5),
                "mimetype": "application/octet-stream",
            });
            if let Some(manifest) = &session.manifest {
                spec["artifactManifestID"] = manifest.as_str().into();
            }
            let digests = match size >= self.parts.from.max(1) {
                true => part_digests(&file.body, size, self.parts.size).await?,
                false => Vec::new(),
            };
            if !digests.is_empty() {
                let part = |(n, md5): (u64, &String)| json!({ "partNumber": n, "hexMD5": md5 });
                spec["uploadPartsInput"] = (1..).zip(&digests).map(part).collect();
            }
            said.push(spec);
            parts.push(digests);
        }
        let doing = format!("ask where files of artifact {path} can be put");
        let document = include_str!("../queries/create_artifact_files.graphql");
        let input = json!({ "artifactFiles": said, "storageLayout": "V2" });
        let asked = self
            .graphql
            .ask(&doing, document, json!({ "input": input }));
        let Answer {
            create_artifact_files,
        } = asked.await?;
        let places: Vec<Place> = create_artifact_files.files.nodes().collect();
        if places.len() != files.len() {
            let message = format!("{doing}: the server says {} places", places.len());
            return Err(Error::new(ErrorKind::Corrupt, message));
        }
        Ok(places.into_iter().zip(parts).collect())
    }

    /// Sends a file where the server wants it, unless it has it already.
    async fn send_file(
        &self,
        doing: &str,
        session: &Session,
        file: &Waiting,
        (place, parts): (Place, Vec<String>),
    ) -> Result<Sent> {
        let headers = place.upload_headers.unwrap_or_default();
        let birth = place.artifact.map(|artifact| artifact.id);
        let sent = (file.path.clone(), birth);
        let url = |text: &str| {
            self.absolute(text).ok_or_else(|| {
                let message = format!("{doing}: the server says no place to put it");
                Error::new(ErrorKind::Corrupt, message)
            })
        };
        match (place.upload_multipart_urls, &place.upload_url) {
            (Some(places), _) if !parts.is_empty() => {
                let storage = place.storage_path.as_deref();
                self.send_parts(doing, session, file, &places, &parts, storage)
                    .await?;
            }
            (_, Some(text)) => {
                let all = 0..file.digests.size;
                self.put_body(doing, url(text)?, &headers, &file.body, all)
                    .await?;
            }
            (_, None) => {}
        }
        Ok(sent)
    }

    /// Puts bytes somewhere; answers the tag that they got.
    async fn put_body(
        &self,
        doing: &str,
        url: Url,
        headers: &[String],
        body: &Spooled,
        part: Range<u64>,
    ) -> Result<String> {
        let sent = self.put_request(url, headers, body, part).send().await;
        let response = sent.map_err(|e| failure(e, doing))?;
        Ok(response.header(&ETAG).unwrap_or_default().to_owned())
    }

    /// Sends a large file in parts, one after the other.
    async fn send_parts(
        &self,
        doing: &str,
        session: &Session,
        file: &Waiting,
        places: &InParts,
        digests: &[String],
        storage_path: Option<&str>,
    ) -> Result<()> {
        let wrong = |what: &str| Error::new(ErrorKind::Corrupt, format!("{doing}: {what}"));
        let mut done = Vec::with_capacity(digests.len());
        let ranges = parts_of(file.digests.size, self.parts.size);
        for ((number, md5), range) in (1..).zip(digests).zip(ranges) {
            let place = places
                .parts
                .iter()
                .find(|place| place.part_number == number);
            let url = place.and_then(|place| self.absolute(&place.upload_url));
            let url = url.ok_or_else(|| wrong("the server says no place for a part"))?;
            let headers = [format!("Content-MD5:{}", base64_of(md5))];
            let tag = self
                .put_body(doing, url, &headers, &file.body, range)
                .await?;
            if tag.is_empty() {
                return Err(wrong("the server says no tag of a part"));
            }
            done.push(json!({ "partNumber": number, "hexMD5": tag }));
        }
        let input = json!({
            "completeMultipartAction": "Complete", "completedParts": done,
            "artifactID": session.id, "storagePath": storage_path, "uploadID": places.upload_id,
        });
        let document = include_str!("../queries/complete_multipart.graphql");
        let variables = json!({ "input": input });
        self.make(doing.to_owned(), document, variables, Repeat::Safe)
            .await
    }

    /// Sends files, several at once. A place that is not valid any more is asked for again.
    async fn send_files(
        &self,
        path: &CollectionPath,
        session: &Session,
        mut files: Vec<Waiting>,
    ) -> Result<Vec<Sent>> {
        let mut sent = Vec::with_capacity(files.len());
        for round in 1.. {
            let places = self.places(path, session, &files).await?;
            let each = files
                .into_iter()
                .zip(places)
                .map(|(file, place)| async move {
                    let doing = format!("put file {:?} into artifact {path}", file.path);
                    let done = self.send_file(&doing, session, &file, place).await;
                    (file, done)
                });
            let each: Vec<_> = each.collect();
            let mut done = futures::stream::iter(each).buffer_unordered(AT_ONCE);
            files = Vec::new();
            while let Some((file, done)) = done.next().await {
                match done {
                    Ok(one) => sent.push(one),
                    Err(e) if e.kind() == ErrorKind::PermissionDenied && round < ROUNDS => {
                        files.push(file);
                    }
                    Err(e) => return Err(e),
                }
            }
            if files.is_empty() {
                break;
            }
        }
        Ok(sent)
    }

    /// Begins a version.
    async fn begin(&self, path: &CollectionPath, more: Json) -> Result<Session> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            create_artifact: Payload,
        }
        #[derive(Deserialize)]
        struct Payload {
            artifact: Id,
        }
        let input = json!({
            "entityName": path.project.entity, "projectName": path.project.project,
            "artifactCollectionName": path.name, "digestAlgorithm": "MANIFEST_MD5",
            "enableDigestDeduplication": false,
        });
        let doing = format!("make a version of artifact {path}");
        let document = include_str!("../queries/create_artifact.graphql");
        let variables = json!({ "input": super::with(input, more) });
        let Answer { create_artifact } = self.graphql.ask(doing, document, variables).await?;
        Ok(Session {
            id: create_artifact.artifact.id,
            manifest: None,
        })
    }

    /// Announces a manifest, and sends it if it is known.
    async fn manifest(
        &self,
        path: &CollectionPath,
        session: &Session,
        text: Option<String>,
    ) -> Result<String> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            create_artifact_manifest: Payload,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Payload {
            artifact_manifest: Manifest,
        }
        #[derive(Deserialize)]
        struct Manifest {
            id: String,
            file: Place,
        }
        let doing = format!("send the manifest of a version of artifact {path}");
        let body = text.map(|text| (base64_of(&digests_of(text.as_bytes()).md5), text));
        let input = json!({
            "artifactID": session.id, "name": MANIFEST, "type": "FULL",
            "digest": body.as_ref().map_or("", |(digest, _)| digest),
            "entityName": path.project.entity, "projectName": path.project.project, "runName": "",
        });
        let document = include_str!("../queries/create_artifact_manifest.graphql");
        let asked = self
            .graphql
            .ask(&doing, document, json!({ "input": input }));
        let Answer {
            create_artifact_manifest,
        } = asked.await?;
        let Manifest { id, file } = create_artifact_manifest.artifact_manifest;
        let Some((_, text)) = body else {
            return Ok(id);
        };
        let url = file
            .upload_url
            .as_deref()
            .and_then(|url| self.absolute(url));
        let url = url.ok_or_else(|| {
            let message = format!("{doing}: the server says no place to put it");
            Error::new(ErrorKind::Corrupt, message)
        })?;
        let headers = file.upload_headers.unwrap_or_default();
        let all = 0..text.len() as u64;
        let body = Spooled::Memory(text.into());
        self.put_body(&doing, url, &headers, &body, all).await?;
        Ok(id)
    }

    /// Makes a version of what was sent.
    async fn commit(&self, path: &CollectionPath, session: &Session) -> Result<ArtifactVersion> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Answer {
            commit_artifact: Payload,
        }
        #[derive(Deserialize)]
        struct Payload {
            artifact: Committed,
        }
        #[derive(Deserialize)]
        struct Committed {
            id: String,
            trackway: Option<String>,
        }
        let doing = format!("commit a version of artifact {path}");
        let document = include_str!("../queries/commit_artifact.graphql");
        let asked = self
            .graphql
            .ask(doing, document, json!({ "id": session.id }));
        let Answer { commit_artifact } = asked.await?;
        match commit_artifact.artifact {
            Committed {
                trackway: Some(record),
                ..
            } => record_of(&record),
            Committed { id, .. } => self.version_with_id(&id).await,
        }
    }
}

impl Writer {
    pub(super) async fn open(
        remote: &Arc<Remote>,
        path: &CollectionPath,
        draft: ArtifactDraft,
    ) -> Result<Self> {
        let (mut kind, mut session) = (String::new(), None);
        if remote.is_exact() {
            let more = json!({
                "artifactTypeName": "any", "digest": "", "trackway": text_of(&draft)?,
            });
            session = Some(remote.begin(path, more).await?);
        } else {
            let collection = remote.known_collection(path).await?;
            if collection.portfolio {
                let message = format!("artifact {path} is a portfolio, which holds links alone");
                return Err(Error::invalid(message));
            }
            kind = collection.kind;
        }
        Ok(Self {
            remote: remote.clone(),
            path: path.clone(),
            kind,
            draft,
            entries: BTreeMap::new(),
            waiting: Vec::new(),
            in_memory: 0,
            on_disk: 0,
            session,
            uploads: JoinSet::new(),
            failed: None,
        })
    }

    /// Lets a file wait until it is sent.
    fn put(&mut self, path: String, digests: Digests, body: Spooled) {
        self.in_memory += body.in_memory();
        self.on_disk += usize::from(matches!(body, Spooled::Disk(_)));
        self.waiting.push(Waiting {
            path,
            digests,
            body,
        });
    }

    /// Takes note of what was sent.
    fn note(&mut self, sent: std::result::Result<Result<Vec<Sent>>, tokio::task::JoinError>) {
        let sent = sent.unwrap_or_else(|e| {
            Err(Error::new(ErrorKind::Unexpected, "files were not sent").with_source(e))
        });
        match sent {
            Ok(sent) => {
                for (path, birth) in sent {
                    if let Some(entry) = self.entries.get_mut(&path) {
                        entry.birth = birth;
                    }
                }
            }
            Err(e) => self.failed = Some(self.failed.take().unwrap_or(e)),
        }
    }

    /// Sends what waits, beside what is done here.
    async fn flush(&mut self, session: &Session) {
        while self.uploads.len() >= BATCHES {
            if let Some(sent) = self.uploads.join_next().await {
                self.note(sent);
            }
        }
        (self.in_memory, self.on_disk) = (0, 0);
        while !self.waiting.is_empty() {
            let rest = self.waiting.split_off(self.waiting.len().min(BATCH));
            let files = mem::replace(&mut self.waiting, rest);
            let (remote, path) = (self.remote.clone(), self.path.clone());
            let session = session.clone();
            self.uploads
                .spawn(async move { remote.send_files(&path, &session, files).await });
            while self.uploads.len() > BATCHES {
                if let Some(sent) = self.uploads.join_next().await {
                    self.note(sent);
                }
            }
        }
    }

    async fn sent(&mut self) -> Result<()> {
        while let Some(sent) = self.uploads.join_next().await {
            self.note(sent);
        }
        self.failed.take().map_or(Ok(()), Err)
    }

    /// The digest of the manifest as W&B computes it.
    fn digest(&self) -> String {
        let mut hasher = ContentHasher::new();
        hasher.update(b"wandb-artifact-manifest-v1\n");
        for (path, entry) in &self.entries {
            hasher.update(format!("{path}:{}\n", entry.digest()).as_bytes());
        }
        hasher.finish().md5
    }

    fn manifest(&self, id: &str) -> String {
        let exact = self.remote.is_exact();
        let entries = self.entries.iter();
        let contents: JsonObject = entries
            .map(|(path, entry)| (path.clone(), entry.json(exact, id)))
            .collect();
        json!({
            "version": 1, "storagePolicy": "wandb-storage-policy-v1",
            "storagePolicyConfig": { "storageLayout": "V2" }, "contents": contents,
        })
        .to_string()
    }

    /// What W&B is told of the version.
    fn said(&self, digest: &str) -> Json {
        let draft = &self.draft;
        let project = &self.path.project;
        let made_here = draft.logged_by.as_ref();
        let made_here = made_here.filter(|run| run.project_path() == *project);
        let mut reserved = JsonObject::new();
        let mut set = |name: &str, value: Option<Json>| {
            reserved.extend(value.map(|value| (name.to_owned(), value)));
        };
        set("created_at", draft.created_at.map(|at| json!(at)));
        set("source_key", draft.source_key.clone().map(Json::from));
        set("logged_by", draft.logged_by.as_ref().map(|run| json!(run)));
        if !draft.extras.is_empty() {
            set("extras", Some(Json::Object(draft.extras.clone())));
        }
        let mut metadata = draft.metadata.clone();
        if !reserved.is_empty() {
            metadata.insert(RESERVED.to_owned(), Json::Object(reserved));
        }
        let alias =
            |alias: &String| json!({ "artifactCollectionName": self.path.name, "alias": alias });
        let tag = |tag: &String| json!({ "tagName": tag });
        json!({
            "artifactTypeName": self.kind, "digest": digest,
            "runName": made_here.map(|run| &run.run),
            "description": draft.description,
            "aliases": draft.aliases.iter().map(alias).collect::<Json>(),
            "tags": draft.tags.iter().map(tag).collect::<Json>(),
            "metadata": Json::Object(metadata).to_string(),
            "ttlDurationSeconds": draft.ttl_seconds,
        })
    }

    /// The version that has the source key of this one already.
    async fn same_key(&self) -> Result<Option<ArtifactVersion>> {
        let Some(key) = &self.draft.source_key else {
            return Ok(None);
        };
        let tracker = RemoteTracker {
            remote: self.remote.clone(),
        };
        let mut versions = tracker.versions(&self.path);
        while let Some(version) = versions.try_next().await? {
            if version.source_key.as_ref() == Some(key) {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// The version that is there with these contents already, with what is said of it now; else a
    /// new one begins.
    async fn begin_knowing(&self) -> Result<std::result::Result<ArtifactVersion, Session>> {
        let digest = self.digest();
        let remote = &self.remote;
        if let Some(there) = self.same_key().await? {
            if there.digest != digest {
                return Err(unsupported(format_args!(
                    "the contents of version v{} of artifact {} do not change on this server",
                    there.index, self.path
                )));
            }
            let texts = texts_of(&self.draft);
            let changed = remote
                .change_version(&self.path, there.index, texts)
                .await?;
            return Ok(Ok(changed));
        }
        let mut session = remote.begin(&self.path, self.said(&digest)).await?;
        // Files are announced for a manifest, which is known when all of them are sent.
        session.manifest = Some(remote.manifest(&self.path, &session, None).await?);
        Ok(Err(session))
    }
}

#[async_trait]
impl ArtifactWriter for Writer {
    async fn add(&mut self, entry: EntryDraft, content: Content) -> Result<ManifestEntry> {
        let EntryDraft { path, extras, .. } = entry;
        check_file_name(&path)?;
        if self.entries.contains_key(&path) {
            let message = format!("artifact {} has the path {path:?} twice", self.path);
            return Err(Error::invalid(message));
        }
        if let Some(e) = &self.failed {
            return Err(Error::new(e.kind(), e.message().to_owned()));
        }
        let mut planned = Planned {
            digests: None,
            reference: None,
            extras,
            stored: false,
            birth: None,
        };
        match content {
            Content::Bytes(body) => {
                let room = MEMORY.saturating_sub(self.in_memory);
                let (body, digests) = bodies::spool(body, room.min(bodies::IN_MEMORY)).await?;
                self.put(path.clone(), digests.clone(), body);
                planned.digests = Some(digests);
            }
            Content::Reference(url) => planned.reference = Some(url),
            Content::Stored(digests) => {
                let can = self.remote.extension.as_ref().map(|e| &e.can);
                if !can.is_some_and(|can| can.stored_content) {
                    return Err(unsupported("contents are sent anew to this server"));
                }
                self.remote.has_content(&digests).await?;
                planned.digests = Some(digests);
                planned.stored = true;
            }
        }
        let told = ManifestEntry {
            path: path.clone(),
            digests: planned.digests.clone(),
            reference: planned.reference.clone(),
            extras: planned.extras.clone(),
        };
        self.entries.insert(path, planned);
        let many =
            self.waiting.len() >= BATCH || self.in_memory >= MEMORY / 2 || self.on_disk >= ON_DISK;
        if let Some(session) = self.session.clone().filter(|_| many) {
            self.flush(&session).await;
        }
        Ok(told)
    }

    async fn commit(mut self: Box<Self>) -> Result<ArtifactVersion> {
        let session = match self.session.take() {
            Some(session) => session,
            None => match self.begin_knowing().await? {
                Ok(there) => return Ok(there),
                Err(session) => session,
            },
        };
        self.flush(&session).await;
        self.sent().await?;
        let manifest = self.manifest(&session.id);
        let remote = &self.remote;
        remote
            .manifest(&self.path, &session, Some(manifest))
            .await?;
        let version = remote.commit(&self.path, &session).await?;
        remote.keep_promise(&self.path).await?;
        Ok(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_hold_all_bytes_and_are_not_too_many() {
        for (size, part) in [(1, 10), (10, 10), (11, 10), (100_000_000, 4096)] {
            let parts: Vec<_> = parts_of(size, part).collect();
            assert!(parts.len() as u64 <= MOST_PARTS, "{}", parts.len());
            assert_eq!((parts[0].start, parts.last().unwrap().end), (0, size));
            assert!(parts.windows(2).all(|two| two[0].end == two[1].start));
        }
    }

    #[test]
    fn digests_in_base64() {
        let md5 = digests_of(b"x").md5;
        assert_eq!(base64_of(&md5), "ndTkYSaMgDT1yFZOFVxnpg==");
    }
}
