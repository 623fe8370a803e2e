//! Small structures as bytes of the catalog: a byte that says how, then postcard, compressed if
//! that pays.

use std::{
    io,
    sync::{Mutex, PoisonError},
};

use serde::{Serialize, de::DeserializeOwned};
use tracker_model::Result;

use zstd::bulk::{Compressor, Decompressor};

use crate::error::{corrupt, unexpected};

const PLAIN: u8 = 1;
const ZSTD: u8 = 2;

/// More bytes are compressed.
const COMPRESS_FROM: usize = 512;

/// More bytes than anything sound unpacks to.
const MAX: usize = 1 << 30;

/// What compresses and what decompresses, for the next one to use: to set them up costs more than
/// to compress the little that is here.
static COMPRESSORS: Pool<Compressor<'static>> = Pool::new();
static DECOMPRESSORS: Pool<Decompressor<'static>> = Pool::new();

/// As many as work at one time; each takes some hundred kilobytes.
const POOLED: usize = 4;

struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    const fn new() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    fn with<R>(
        &self,
        new: impl FnOnce() -> io::Result<T>,
        work: impl FnOnce(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        let idle = self.lock().pop();
        let mut one = idle.map_or_else(new, Ok)?;
        let done = work(&mut one)?;
        let mut idle = self.lock();
        if idle.len() < POOLED {
            idle.push(one);
        }
        Ok(done)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(crate) fn pack<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>> {
    let body = postcard::to_extend(value, vec![PLAIN])
        .map_err(|e| unexpected(format!("pack {what}")).with_source(e))?;
    if body.len() < COMPRESS_FROM {
        return Ok(body);
    }
    let plain = body.get(1..).unwrap_or_default();
    let packed = COMPRESSORS
        .with(|| Compressor::new(1), |one| one.compress(plain))
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
            let plain = DECOMPRESSORS
                .with(Decompressor::new, |one| one.decompress(body, size))
                .map_err(|e| broken().with_source(e))?;
            postcard::from_bytes(&plain).map_err(|e| broken().with_source(e))
        }
        _ => Err(corrupt(format!(
            "{what} in the catalog has a form that this version does not know"
        ))),
    }
}
