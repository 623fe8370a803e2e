//! Small structures as bytes of the catalog: a byte that says how, then postcard, compressed if
//! that pays.

use serde::{Serialize, de::DeserializeOwned};
use tracker_model::Result;

use crate::error::{corrupt, unexpected};

const PLAIN: u8 = 1;
const ZSTD: u8 = 2;

/// More bytes are compressed.
const COMPRESS_FROM: usize = 512;

/// More bytes than anything sound unpacks to.
const MAX: usize = 1 << 30;

pub(crate) fn pack<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>> {
    let body = postcard::to_extend(value, vec![PLAIN])
        .map_err(|e| unexpected(format!("pack {what}")).with_source(e))?;
    if body.len() < COMPRESS_FROM {
        return Ok(body);
    }
    let plain = body.get(1..).unwrap_or_default();
    let packed = zstd::bulk::compress(plain, 1)
        .map_err(|e| unexpected(format!("pack {what}")).with_source(e))?;
    let mut out = Vec::with_capacity(packed.len() + 1);
    out.push(ZSTD);
    out.extend_from_slice(&packed);
    Ok(out)
}

pub(crate) fn unpack<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    let broken = || corrupt(format!("{what} in the catalog is damaged"));
    let (form, body) = bytes.split_first().ok_or_else(broken)?;
    match *form {
        PLAIN => postcard::from_bytes(body).map_err(|e| broken().with_source(e)),
        ZSTD => {
            let size = zstd::zstd_safe::get_frame_content_size(body).ok().flatten();
            let size = size
                .and_then(|s| usize::try_from(s).ok())
                .filter(|s| *s < MAX)
                .ok_or_else(broken)?;
            let plain = zstd::bulk::decompress(body, size).map_err(|e| broken().with_source(e))?;
            postcard::from_bytes(&plain).map_err(|e| broken().with_source(e))
        }
        _ => Err(corrupt(format!(
            "{what} in the catalog has a form that this version does not know"
        ))),
    }
}
