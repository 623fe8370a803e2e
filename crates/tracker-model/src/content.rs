use std::fmt;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{Error, ErrorKind, Result};

/// Contents in pieces of any size. It borrows nothing, and ends after an error.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// Contents that are in memory already.
pub fn bytes_of(bytes: impl Into<Bytes>) -> ByteStream {
    futures::stream::once(std::future::ready(Ok(bytes.into()))).boxed()
}

/// Reads small contents into memory.
///
/// # Errors
/// Those of the stream; `InvalidInput` when there are more than `limit` bytes.
pub async fn collect_bytes(mut stream: ByteStream, limit: usize) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    while let Some(piece) = stream.try_next().await? {
        if out.len() + piece.len() > limit {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                format!("the contents have more than {limit} bytes"),
            ));
        }
        out.extend_from_slice(&piece);
    }
    Ok(out)
}

/// The size and the digests of contents.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digests {
    /// Bytes.
    pub size: u64,
    /// BLAKE3, 64 hexadecimal digits: the name of the contents in a store.
    pub blake3: String,
    /// MD5, 32 hexadecimal digits: what W&B manifests carry (in base64).
    pub md5: String,
    /// SHA-256, 64 hexadecimal digits: what people check with.
    pub sha256: String,
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes blake3:{}", self.size, self.blake3)
    }
}

/// Computes [`Digests`] piece by piece.
#[derive(Clone, Default)]
pub struct ContentHasher {
    size: u64,
    blake3: blake3::Hasher,
    md5: Md5,
    sha256: Sha256,
}

impl ContentHasher {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.size += piece.len() as u64;
        self.blake3.update(piece);
        self.md5.update(piece);
        self.sha256.update(piece);
    }

    /// The digests of all pieces.
    pub fn finish(self) -> Digests {
        Digests {
            size: self.size,
            blake3: self.blake3.finalize().to_hex().to_string(),
            md5: hex::encode(self.md5.finalize()),
            sha256: hex::encode(self.sha256.finalize()),
        }
    }
}

impl fmt::Debug for ContentHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContentHasher")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}
