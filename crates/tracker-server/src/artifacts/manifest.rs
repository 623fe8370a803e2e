//! The manifest of an artifact, as W&B has it: JSON that names each file with its digest.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use futures::StreamExt;
use md5::{Digest as _, Md5};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracker_model::{
    ArtifactVersion, ByteStream, Digests, Error, JsonObject, ManifestEntry, Result, Tracker,
    VersionLink,
};

use super::find::{id_of, place_of};
use crate::wire;

/// A manifest that a client uploads.
#[derive(Debug, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) contents: BTreeMap<String, Entry>,
}

/// A file of it. Where the file was on the client's disk is told too, and not kept.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    /// The MD5 in base64, of a reference whatever tells its contents apart.
    pub(crate) digest: String,
    #[serde(rename = "ref")]
    pub(crate) reference: Option<String>,
    pub(crate) size: Option<u64>,
    /// The artifact that first had the file.
    #[serde(rename = "birthArtifactID")]
    pub(crate) birth: Option<String>,
    pub(crate) extra: Option<JsonObject>,
    /// What clients of ours say, in place of the rest.
    #[serde(default)]
    pub(crate) trackway: ExactEntry,
}

/// What the wire has no words for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ExactEntry {
    pub(crate) extras: JsonObject,
    /// Contents that are here already.
    pub(crate) stored: Option<Digests>,
}

impl Manifest {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes)
            .map_err(|e| Error::invalid(format!("the manifest cannot be read: {e}")))
    }
}

impl Entry {
    /// What the model has no name for, for an entry of the artifact with this id.
    pub(crate) fn extras(self, id: &str) -> JsonObject {
        let mut own = JsonObject::new();
        if self.reference.is_some() {
            own.insert("digest".to_owned(), self.digest.into());
            if let Some(size) = self.size {
                own.insert("size".to_owned(), size.into());
            }
        }
        if let Some(birth) = self.birth.filter(|birth| birth != id && !birth.is_empty()) {
            own.insert("birthArtifactID".to_owned(), birth.into());
        }
        if let Some(extra) = self.extra.filter(|extra| !extra.is_empty()) {
            own.insert("extra".to_owned(), extra.into());
        }
        let mut extras = JsonObject::new();
        if !own.is_empty() {
            extras.insert(wire::EXTRAS.to_owned(), own.into());
        }
        extras
    }
}

/// The digest of a whole manifest, entry by entry in byte order of their paths.
#[derive(Debug, Clone)]
pub(crate) struct ManifestDigest(Md5);

impl ManifestDigest {
    pub(crate) fn new() -> Self {
        Self(Md5::new_with_prefix("wandb-artifact-manifest-v1\n"))
    }

    pub(crate) fn add(&mut self, path: &str, digest: &str) {
        for part in [path, ":", digest, "\n"] {
            self.0.update(part);
        }
    }

    /// 32 hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        hex::encode(self.0.finalize())
    }
}

/// 16 bytes in base64.
pub(crate) fn md5_of(base64: &str) -> Result<[u8; 16]> {
    let bytes = STANDARD
        .decode(base64)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Error::invalid(format!("{base64:.60?} is not an MD5 in base64")))
}

/// Hexadecimal digits in base64.
pub(crate) fn base64_of(hex: &str) -> Option<String> {
    Some(STANDARD.encode(hex::decode(hex).ok()?))
}

/// The digest that a manifest of W&B has for an entry.
pub(crate) fn digest_of(entry: &ManifestEntry) -> String {
    let known = entry
        .digests
        .as_ref()
        .and_then(|digests| base64_of(&digests.md5));
    let said = || {
        wire::own(&entry.extras, "digest")?
            .as_str()
            .map(str::to_owned)
    };
    let url = || entry.reference.clone();
    known.or_else(said).or_else(url).unwrap_or_default()
}

pub(crate) fn size_of(entry: &ManifestEntry) -> Option<u64> {
    match &entry.digests {
        Some(digests) => Some(digests.size),
        None => wire::own(&entry.extras, "size")?.as_u64(),
    }
}

/// What a manifest of W&B says of an entry of the artifact with this id.
fn entry_json(entry: &ManifestEntry, id: &str) -> Json {
    let mut out = json!({"digest": digest_of(entry)});
    if let Json::Object(members) = &mut out {
        if let Some(url) = &entry.reference {
            members.insert("ref".to_owned(), url.as_str().into());
        }
        if let Some(size) = size_of(entry) {
            members.insert("size".to_owned(), size.into());
        }
        let birth = wire::own(&entry.extras, "birthArtifactID");
        members.insert(
            "birthArtifactID".to_owned(),
            birth.cloned().unwrap_or_else(|| id.into()),
        );
        if let Some(extra) = wire::own(&entry.extras, "extra") {
            members.insert("extra".to_owned(), extra.clone());
        }
    }
    out
}

/// The manifest of a version, written as it is read.
pub(crate) fn text(tracker: &dyn Tracker, version: &ArtifactVersion) -> ByteStream {
    let (at, id) = (place_of(version), id_of(version));
    let mut policy = json!({"storageLayout": "V2"});
    if let (Json::Object(policy), Some(region)) =
        (&mut policy, wire::own(&version.extras, "storageRegion"))
    {
        policy.insert("storageRegion".to_owned(), region.clone());
    }
    let head = json!({
        "version": 1,
        "storagePolicy": "wandb-storage-policy-v1",
        "storagePolicyConfig": policy,
    });
    let mut head = head.to_string();
    head.pop();
    head.push_str(",\"contents\":{");
    let entries =
        tracker
            .manifest(&at.collection, at.index)
            .enumerate()
            .map(move |(place, entry)| {
                let entry = entry?;
                let comma = if place == 0 { "" } else { "," };
                let name = Json::from(entry.path.as_str());
                Ok(format!("{comma}{name}:{}", entry_json(&entry, &id)))
            });
    let pieces = entries.chunks(256).map(|texts: Vec<Result<String>>| {
        texts
            .into_iter()
            .collect::<Result<String>>()
            .map(Bytes::from)
    });
    let piece = |text: String| futures::stream::once(std::future::ready(Ok(Bytes::from(text))));
    piece(head)
        .chain(pieces)
        .chain(piece("}}".to_owned()))
        .boxed()
}

/// The digest of the manifest of a version, computed from its entries.
pub(crate) async fn digest(tracker: &dyn Tracker, at: &VersionLink) -> Result<String> {
    let mut digest = ManifestDigest::new();
    let mut entries = tracker.manifest(&at.collection, at.index);
    while let Some(entry) = entries.next().await {
        let entry = entry?;
        digest.add(&entry.path, &digest_of(&entry));
    }
    Ok(digest.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_of_manifests_are_those_of_clients() {
        // What a client of W&B computed for this file.
        let mut digest = ManifestDigest::new();
        digest.add("a.txt", "f8VicOenD6gaWTW3Lqy+KQ==");
        assert_eq!(digest.finish(), "62288a5d70be8bf5e892f48da977eea2");
    }

    #[test]
    fn entries_come_back_without_the_paths_of_the_client() {
        let text = r#"{"version":1,"contents":{
            "r":{"digest":"etag","ref":"s3://b/k","size":7,"extra":{"versionID":"3"},"birthArtifactID":"other"},
            "f":{"digest":"f8VicOenD6gaWTW3Lqy+KQ==","size":1,"local_path":"/home/ada","birthArtifactID":"own","skip_cache":false}}}"#;
        let mut manifest = Manifest::parse(text.as_bytes()).unwrap();
        let file = manifest.contents.remove("f").unwrap().extras("own");
        assert!(file.is_empty(), "{file:?}");
        let entry = ManifestEntry {
            path: "r".to_owned(),
            digests: None,
            reference: Some("s3://b/k".to_owned()),
            extras: manifest.contents.remove("r").unwrap().extras("own"),
        };
        assert_eq!(
            entry_json(&entry, "own"),
            json!({"digest": "etag", "ref": "s3://b/k", "size": 7, "birthArtifactID": "other",
                "extra": {"versionID": "3"}})
        );
    }

    #[test]
    fn a_reference_of_others_has_its_url_for_a_digest() {
        let entry = ManifestEntry {
            path: "r".to_owned(),
            digests: None,
            reference: Some("s3://b/k".to_owned()),
            extras: JsonObject::new(),
        };
        assert_eq!(
            entry_json(&entry, "id"),
            json!({"digest": "s3://b/k", "ref": "s3://b/k", "birthArtifactID": "id"})
        );
    }

    #[test]
    fn what_is_no_manifest_is_refused() {
        for text in [
            "",
            "[]",
            "{}",
            r#"{"contents":{"a":{}}}"#,
            r#"{"contents":{"a":{"digest":"x","size":-1}}}"#,
        ] {
            assert!(Manifest::parse(text.as_bytes()).is_err(), "{text}");
        }
        for text in ["", "?", "f8Vi", "f8VicOenD6gaWTW3Lqy+KQ"] {
            assert!(md5_of(text).is_err(), "{text}");
        }
    }
}
