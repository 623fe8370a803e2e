//! URLs that say by themselves what they allow, as the SDK sends no key to the URLs that it is told
//! to upload to and download from.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tracker_model::{RunPath, VersionLink};

use crate::artifacts::STORAGE_ROOT;

/// What a URL allows its bearer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub(crate) enum Grant {
    /// To put this file into the run.
    PutFile { run: RunPath, name: String },
    /// To read this file of the run.
    GetFile { run: RunPath, name: String },
    /// To put a file with this MD5 (base64) into an artifact, named by the key of its record.
    PutEntry {
        artifact: String,
        path: String,
        md5: String,
    },
    /// To put a manifest with this MD5 (base64) into an artifact.
    PutManifest {
        artifact: String,
        name: String,
        md5: String,
    },
    /// To read a file of the version of an artifact, with its size and MD5 (hexadecimal digits), so
    /// that it need not be looked for among all files.
    GetEntry {
        at: VersionLink,
        path: String,
        size: u64,
        md5: String,
    },
    /// To read the manifest of the version of an artifact.
    GetManifest { at: VersionLink },
}

#[derive(Serialize, Deserialize)]
struct Claim<T> {
    #[serde(flatten)]
    what: T,
    /// Seconds since 1970.
    until: u64,
}

/// Makes and checks such URLs, and other texts that nobody else can make. The key outlives restarts,
/// as the URLs do. What is signed for one purpose has a key of its own.
pub(crate) struct Signer {
    key: [u8; 32],
    lifetime: Duration,
}

/// What may stand unescaped in the last part of a path.
pub(crate) const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

impl Signer {
    pub(crate) fn new(key: [u8; 32], lifetime: Duration) -> Self {
        Self { key, lifetime }
    }

    /// The path of a URL that allows this, under `/storage/`. It ends with the name of the file, as
    /// people and programs like to see it.
    pub(crate) fn path(&self, grant: Grant) -> String {
        let name = match &grant {
            Grant::PutFile { name, .. }
            | Grant::GetFile { name, .. }
            | Grant::PutEntry { path: name, .. }
            | Grant::PutManifest { name, .. }
            | Grant::GetEntry { path: name, .. } => name,
            Grant::GetManifest { .. } => "wandb_manifest.json",
        };
        let name = name.rsplit('/').next().unwrap_or_default().to_owned();
        // Clients tell files of artifacts from their manifests by it.
        let root = match &grant {
            Grant::PutEntry { .. } | Grant::GetEntry { .. } => STORAGE_ROOT,
            Grant::PutFile { .. }
            | Grant::GetFile { .. }
            | Grant::PutManifest { .. }
            | Grant::GetManifest { .. } => "",
        };
        let slash = if root.is_empty() { "" } else { "/" };
        format!(
            "/storage/{}/{root}{slash}{}",
            self.token(grant),
            utf8_percent_encode(&name, SEGMENT)
        )
    }

    /// A text that says this, for as long as the signer's lifetime.
    pub(crate) fn token(&self, what: impl Serialize) -> String {
        let until = now().saturating_add(self.lifetime.as_secs());
        let claim = serde_json::to_vec(&Claim { what, until }).unwrap_or_default();
        let mac = self.mac(&claim);
        format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(&claim),
            URL_SAFE_NO_PAD.encode(mac.as_bytes())
        )
    }

    /// What the token of a URL allows, if it is ours and still valid.
    pub(crate) fn check(&self, token: &str) -> Option<Grant> {
        self.read(token)
    }

    /// What a token says, if it is ours and still valid.
    pub(crate) fn read<T: DeserializeOwned>(&self, token: &str) -> Option<T> {
        let (claim, mac) = token.split_once('.')?;
        let claim = URL_SAFE_NO_PAD.decode(claim).ok()?;
        let mac: [u8; 32] = URL_SAFE_NO_PAD.decode(mac).ok()?.try_into().ok()?;
        // Hashes compare in constant time.
        if self.mac(&claim) != blake3::Hash::from_bytes(mac) {
            return None;
        }
        let claim: Claim<T> = serde_json::from_slice(&claim).ok()?;
        (now() < claim.until).then_some(claim.what)
    }

    fn mac(&self, claim: &[u8]) -> blake3::Hash {
        blake3::keyed_hash(&self.key, claim)
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").finish_non_exhaustive()
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant::PutFile {
            run: "e/p/r".parse().unwrap(),
            name: "media/a b?.png".to_owned(),
        }
    }

    fn token(path: &str) -> &str {
        path.split('/').nth(2).unwrap()
    }

    #[test]
    fn what_was_signed_is_allowed() {
        let signer = Signer::new([7; 32], Duration::from_secs(60));
        let path = signer.path(grant());
        assert!(path.ends_with("/a%20b%3F.png"), "{path}");
        assert_eq!(signer.check(token(&path)), Some(grant()));
    }

    #[test]
    fn nothing_else_is() {
        let signer = Signer::new([7; 32], Duration::from_secs(60));
        let path = signer.path(grant());
        let token = token(&path);
        assert_eq!(
            Signer::new([8; 32], Duration::from_secs(60)).check(token),
            None
        );
        for i in 0..token.len() {
            let mut forged = token.to_owned().into_bytes();
            forged[i] = if forged[i] == b'A' { b'B' } else { b'A' };
            let forged = String::from_utf8(forged).unwrap();
            assert_eq!(signer.check(&forged), None, "{forged}");
        }
        for token in ["", ".", "a.b", "..."] {
            assert_eq!(signer.check(token), None);
        }
        let past = Signer::new([7; 32], Duration::ZERO);
        assert_eq!(signer.check(self::token(&past.path(grant()))), None);
    }
}
