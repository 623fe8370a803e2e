//! What is in versions, and contents that nothing names.

use std::{collections::BTreeMap, ops::Range};

use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use futures::{FutureExt, StreamExt, TryFutureExt, stream::BoxStream};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_http::Url;
use tracker_model::{
    ArtifactContents, ByteStream, CollectionPath, ContentStore, Digests, Error, ErrorKind,
    JsonObject, ManifestEntry, Result, VersionRef, check_file_name,
};

use super::{OfProject, page, record_of, variables, with};
use crate::remote::{
    Remote, RemoteTracker, bodies,
    failure::{failure, unsupported},
    graphql::Connection,
    pages::{self, Page},
    record::EXTRAS,
    under,
};

/// Entries of a page.
const ENTRIES: usize = 5_000;
/// The largest manifest that is read of a server that tells it as a whole.
const MAX_MANIFEST: u64 = 512 << 20;
/// What of an entry's `extra` is ours.
pub(super) const OURS: &str = "trackway";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InProject<T> {
    artifact_collection: Option<InCollection<T>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InCollection<T> {
    artifact_membership: Option<T>,
}

/// A file as a server has it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Node {
    name: String,
    direct_url: Option<String>,
    size_bytes: Option<u64>,
    md5: Option<String>,
    trackway: Option<String>,
}

/// Hexadecimal digits of 16 bytes in base64.
fn md5_of(base64: &str) -> Option<String> {
    let bytes = STANDARD
        .decode(base64)
        .ok()
        .filter(|bytes| bytes.len() == 16)?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn digests_of(size: u64, md5: String) -> Digests {
    Digests {
        size,
        blake3: String::new(),
        md5,
        sha256: String::new(),
    }
}

impl Node {
    /// What is known of its contents, unless they are elsewhere.
    fn digests(&self) -> Result<Option<Digests>> {
        if let Some(record) = &self.trackway {
            let entry: ManifestEntry = record_of(record)?;
            return Ok(entry.digests.filter(|_| entry.reference.is_none()));
        }
        // What is elsewhere has digests of other kinds.
        let md5 = self.md5.as_deref().and_then(md5_of);
        Ok(md5.map(|md5| digests_of(self.size_bytes.unwrap_or(0), md5)))
    }
}

/// A manifest as W&B writes it.
#[derive(Deserialize)]
struct Manifest {
    contents: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    digest: String,
    #[serde(rename = "ref")]
    reference: Option<String>,
    size: Option<u64>,
    #[serde(rename = "birthArtifactID")]
    birth: Option<String>,
    #[serde(default)]
    extra: JsonObject,
}

/// What a version of ours says of an entry that W&B has no words for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Ours {
    extras: JsonObject,
    blake3: String,
    sha256: String,
}

impl Entry {
    /// The entry of the version with this id.
    fn read(mut self, path: String, id: &str) -> ManifestEntry {
        let ours = self.extra.remove(OURS);
        let ours: Ours = ours
            .and_then(|ours| serde_json::from_value(ours).ok())
            .unwrap_or_default();
        let mut extras = ours.extras;
        let mut own = JsonObject::new();
        if self.reference.is_some() {
            own.insert("digest".to_owned(), self.digest.as_str().into());
            own.extend(self.size.map(|size| ("size".to_owned(), size.into())));
        }
        let birth = self.birth.filter(|birth| birth != id && !birth.is_empty());
        own.extend(birth.map(|birth| ("birthArtifactID".to_owned(), birth.into())));
        if !self.extra.is_empty() {
            own.insert("extra".to_owned(), Json::Object(self.extra));
        }
        if !own.is_empty() {
            let known = extras.entry(EXTRAS).or_insert_with(|| json!({}));
            if let Json::Object(known) = known {
                known.extend(own);
            }
        }
        let md5 = md5_of(&self.digest).unwrap_or_default();
        let digests = self.reference.is_none().then(|| Digests {
            blake3: ours.blake3,
            sha256: ours.sha256,
            ..digests_of(self.size.unwrap_or(0), md5)
        });
        ManifestEntry {
            path,
            digests,
            reference: self.reference,
            extras,
        }
    }
}

impl Remote {
    async fn file_page(
        &self,
        path: &CollectionPath,
        index: u64,
        which: Json,
    ) -> Result<Option<Connection<Node>>> {
        #[derive(Deserialize)]
        struct Files {
            files: Option<Connection<Node>>,
        }
        let at = VersionRef::Index(index);
        let variables = with(variables(path), json!({ "alias": at.to_string() }));
        let doing = format!("list the files of version {at} of artifact {path}");
        let document = include_str!("../queries/entries.graphql");
        let asked = self.graphql.ask(doing, document, with(variables, which));
        let OfProject::<InProject<Files>> { project } = asked.await?;
        let found = project.and_then(|project| project.artifact_collection);
        let found = found.and_then(|found| found.artifact_membership);
        let missing = || Error::not_found(format_args!("version {at} of artifact {path}"));
        Ok(found.ok_or_else(missing)?.files)
    }

    async fn file_of(&self, path: &CollectionPath, index: u64, name: &str) -> Result<Node> {
        let missing = || Error::not_found(format_args!("{name:?} of artifact {path}:v{index}"));
        check_file_name(name).map_err(|_| missing())?;
        let which = json!({ "names": [name], "first": 1 });
        let (nodes, _) = page(self.file_page(path, index, which).await?);
        let found = nodes.into_iter().find(|node| node.name == name);
        found.ok_or_else(missing)
    }

    /// The whole manifest of a version, as W&B keeps it.
    async fn whole_manifest(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> Result<Vec<ManifestEntry>> {
        #[derive(Deserialize)]
        struct Membership {
            artifact: Option<Artifact>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Artifact {
            id: String,
            current_manifest: Option<OfManifest>,
        }
        #[derive(Deserialize)]
        struct OfManifest {
            file: Place,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Place {
            direct_url: String,
        }
        let at = VersionRef::Index(index);
        let doing = format!("read the manifest of version {at} of artifact {path}");
        let document = include_str!("../queries/manifest.graphql");
        let variables = with(variables(path), json!({ "alias": at.to_string() }));
        let asked = self.graphql.ask(&doing, document, variables);
        let OfProject::<InProject<Membership>> { project } = asked.await?;
        let found = project.and_then(|project| project.artifact_collection);
        let found = found.and_then(|found| found.artifact_membership?.artifact);
        let missing = || Error::not_found(format_args!("version {at} of artifact {path}"));
        let Artifact {
            id,
            current_manifest,
        } = found.ok_or_else(missing)?;
        let Some(manifest) = current_manifest else {
            return Ok(Vec::new());
        };
        let nowhere = || {
            let message = format!("{doing}: the server says no place to read it");
            Error::new(ErrorKind::Corrupt, message)
        };
        let url = self
            .absolute(&manifest.file.direct_url)
            .ok_or_else(nowhere)?;
        let request = self.http.get(url).sensitive().anonymous();
        let bytes = request.bytes_limited(MAX_MANIFEST).await;
        let bytes = bytes.map_err(|e| failure(e, &doing))?;
        let parsed = tokio::task::spawn_blocking(move || {
            let Manifest { contents } = serde_json::from_slice(&bytes)?;
            let entries = contents
                .into_iter()
                .map(|(path, entry)| entry.read(path, &id));
            Ok::<Vec<_>, serde_json::Error>(entries.collect())
        });
        let wrong = |e: Box<dyn std::error::Error + Send + Sync>| {
            Error::new(ErrorKind::Corrupt, format!("{doing}: it cannot be read")).with_source(e)
        };
        let parsed = parsed.await.map_err(|e| wrong(e.into()))?;
        parsed.map_err(|e| wrong(e.into()))
    }

    fn content_url(&self) -> Result<Url> {
        under(&self.base, ["trackway", "contents"])
    }

    fn content_of(&self, digests: &Digests) -> Result<[(&'static str, String); 4]> {
        if !self.keeps_contents() {
            return Err(unsupported(
                "this server keeps no contents that nothing names, or not for this key",
            ));
        }
        Ok([
            ("size", digests.size.to_string()),
            ("blake3", digests.blake3.clone()),
            ("md5", digests.md5.clone()),
            ("sha256", digests.sha256.clone()),
        ])
    }

    fn keeps_contents(&self) -> bool {
        self.extension.as_ref().is_some_and(|e| e.can.contents)
    }

    /// Refuses contents that are not there.
    pub(super) async fn has_content(&self, digests: &Digests) -> Result<()> {
        let said = self.content_of(digests)?;
        let sent = self.http.head(self.content_url()?).query(said).send().await;
        sent.map(drop).map_err(|e| failure(e, "look for contents"))
    }
}

#[async_trait]
impl ArtifactContents for RemoteTracker {
    fn manifest(
        &self,
        path: &CollectionPath,
        index: u64,
    ) -> BoxStream<'static, Result<ManifestEntry>> {
        let (remote, path) = (self.remote.clone(), path.clone());
        if !remote.is_exact() {
            let whole = async move {
                let entries = remote.whole_manifest(&path, index).await?;
                Ok::<_, Error>(futures::stream::iter(entries).map(Ok))
            };
            return whole.try_flatten_stream().boxed();
        }
        pages::items(None, move |after| {
            let (remote, path) = (remote.clone(), path.clone());
            async move {
                let which = json!({ "first": ENTRIES, "after": after });
                let (nodes, next) = page(remote.file_page(&path, index, which).await?);
                let records = nodes.iter().filter_map(|node| node.trackway.as_deref());
                let items = records.map(record_of).collect::<Result<_>>()?;
                Ok(Page { items, next })
            }
            .boxed()
        })
    }

    async fn entry(&self, path: &CollectionPath, index: u64, entry: &str) -> Result<ManifestEntry> {
        let missing = || Error::not_found(format_args!("{entry:?} of artifact {path}:v{index}"));
        if self.remote.is_exact() {
            let node = self.remote.file_of(path, index, entry).await?;
            return record_of(node.trackway.as_deref().ok_or_else(missing)?);
        }
        let entries = self.remote.whole_manifest(path, index).await?;
        let found = entries.into_iter().find(|found| found.path == entry);
        found.ok_or_else(missing)
    }

    async fn open_entry(
        &self,
        path: &CollectionPath,
        index: u64,
        entry: &str,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        let node = self.remote.file_of(path, index, entry).await?;
        let doing = format!("read {entry:?} of artifact {path}:v{index}");
        let digests = node.digests()?.ok_or_else(|| {
            unsupported(format_args!(
                "{doing}: it is a reference, whose contents are elsewhere"
            ))
        })?;
        let url = node.direct_url.as_deref();
        let url = url
            .and_then(|url| self.remote.absolute(url))
            .ok_or_else(|| {
                let message = format!("{doing}: the server says no place to read it");
                Error::new(ErrorKind::Corrupt, message)
            })?;
        let request = self.remote.http.get(url).sensitive().anonymous();
        let is_whole = range.is_none();
        let body = bodies::read(request, digests.size, range, doing.clone()).await?;
        Ok(match is_whole {
            true => bodies::checked(body, digests, doing),
            false => body,
        })
    }
}

#[async_trait]
impl ContentStore for RemoteTracker {
    async fn put_content(&self, body: ByteStream) -> Result<Digests> {
        let remote = &self.remote;
        let nothing = digests_of(0, String::new());
        remote.content_of(&nothing)?;
        let (spooled, digests) = bodies::spool(body, bodies::IN_MEMORY).await?;
        let request = remote.http.post(remote.content_url()?).idempotent();
        let request = spooled.body_of(request, bodies::octets(), 0..digests.size);
        let there: Digests = request
            .json()
            .await
            .map_err(|e| failure(e, "put contents"))?;
        match there == digests {
            true => Ok(digests),
            false => Err(Error::new(
                ErrorKind::Corrupt,
                "put contents: the server has got others than were sent",
            )),
        }
    }

    async fn open_content(
        &self,
        digests: &Digests,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        let remote = &self.remote;
        let said = remote.content_of(digests)?;
        let is_whole = range.is_none();
        let is_nothing = |range: &Range<u64>| range.start.min(digests.size) >= range.end;
        if digests.size == 0 || range.as_ref().is_some_and(is_nothing) {
            remote.has_content(digests).await?;
        }
        let request = remote.http.get(remote.content_url()?).query(said);
        let doing = "read contents".to_owned();
        let body = bodies::read(request, digests.size, range, doing.clone()).await?;
        Ok(match is_whole {
            true => bodies::checked(body, digests.clone(), doing),
            false => body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_any_server() {
        let text = r#"{"version": 1, "contents": {
            "f": {"digest": "f8VicOenD6gaWTW3Lqy+KQ==", "size": 1, "birthArtifactID": "id", "local_path": "/x",
                "extra": {"alg": "MD5", "trackway": {"blake3": "b", "extras": {"x": {"n": 1}}}}},
            "r": {"digest": "etag", "ref": "s3://b/k", "size": 7, "birthArtifactID": "other"}}}"#;
        let Manifest { mut contents } = serde_json::from_str(text).unwrap();
        let mut entry = |path: &str| contents.remove(path).unwrap().read(path.to_owned(), "id");
        let file = entry("f");
        let digests = file.digests.unwrap();
        assert_eq!(digests.md5, "7fc56270e7a70fa81a5935b72eacbe29");
        assert_eq!((digests.size, digests.blake3.as_str()), (1, "b"));
        let extras = json!({"x": {"n": 1}, "wandb": {"extra": {"alg": "MD5"}}});
        assert_eq!(Json::Object(file.extras), extras);
        let reference = entry("r");
        assert_eq!(
            (reference.digests, reference.reference.as_deref()),
            (None, Some("s3://b/k"))
        );
        let extras = json!({"wandb": {"digest": "etag", "size": 7, "birthArtifactID": "other"}});
        assert_eq!(Json::Object(reference.extras), extras);
    }
}
