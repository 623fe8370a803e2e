use std::{fs::File, io::Read};

use tracker_model::{ContentHasher, Result};

use super::{Fsck, ProblemKind, Stop};
use crate::{
    catalog::{audit, blobs},
    error::{Doing, corrupt},
};

const PAGE: usize = 200;
const CHUNK: usize = 1 << 20;

const HINT: &str = "import what holds it again, or restore the store from a copy";

impl Fsck {
    pub(super) fn blobs(&mut self) -> Result<(), Stop> {
        let mut after = 0;
        let mut buffer = vec![0; CHUNK];
        loop {
            let page = self
                .inner
                .catalog
                .read_now("list contents", |c| audit::blobs(c, after, PAGE))?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id;
            for blob in page {
                self.report.blobs += 1;
                if !blob.used {
                    self.report.unused_blobs += 1;
                    continue;
                }
                if let Err(e) = self.blob(&blob, &mut buffer)
                    // Its user may be gone since, and it with it.
                    && self.inner.catalog.read_now("read contents", |c| audit::is_used(c, blob.id))?
                {
                    let place = format!("contents {}", blob.digests.blake3);
                    let hint = match self
                        .inner
                        .catalog
                        .read_now("read contents", |c| audit::user_of(c, blob.id))?
                    {
                        Some(user) => format!("it is of {user}; {HINT}"),
                        None => HINT.to_owned(),
                    };
                    self.problem(ProblemKind::Contents, place, e, &hint)?;
                }
            }
            self.progress()?;
        }
    }

    fn blob(&mut self, blob: &audit::AuditedBlob, buffer: &mut [u8]) -> Result<()> {
        let known = &blob.digests;
        let mut hasher = ContentHasher::new();
        if blob.inline {
            let stored = self
                .inner
                .catalog
                .read_now("read contents", |c| blobs::stored(c, blob.id))?;
            let data = stored
                .data
                .ok_or_else(|| corrupt("they are missing in the catalog"))?;
            // They are read anyway.
            hasher.update(&data);
            self.report.bytes_read += data.len() as u64;
            return compare(&hasher.finish(), known);
        }
        let path = self.inner.storage.blob(&known.blake3);
        let doing = || format!("read {}", path.display());
        let mut file = File::open(&path).doing(doing())?;
        let size = file.metadata().doing(doing())?.len();
        if size != known.size {
            return Err(corrupt(format!(
                "{} has {size} bytes, not {}",
                path.display(),
                known.size
            )));
        }
        if self.options.read_data {
            loop {
                let n = file.read(buffer).doing(doing())?;
                if n == 0 {
                    break;
                }
                hasher.update(buffer.get(..n).unwrap_or_default());
                self.report.bytes_read += n as u64;
            }
            compare(&hasher.finish(), known)?;
        }
        Ok(())
    }

    pub(super) fn versions(&mut self) -> Result<(), Stop> {
        let mut after = 0;
        loop {
            let page = self
                .inner
                .catalog
                .read_now("list versions", |c| audit::versions(c, after, PAGE))?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = last.id;
            for audited in page {
                let version = &audited.version;
                self.report.versions += 1;
                let known = (&version.digest, version.size, version.entries);
                if known != (&audited.digest, audited.size, audited.entries) {
                    let place = format!("artifact {}:v{}", version.collection, version.index);
                    let message = "its manifest is not the one that was written";
                    self.problem(ProblemKind::Artifact, place, message, HINT)?;
                }
            }
            self.progress()?;
        }
    }
}

fn compare(real: &tracker_model::Digests, known: &tracker_model::Digests) -> Result<()> {
    if real == known {
        Ok(())
    } else {
        Err(corrupt(
            "they are not what was written: their digest differs",
        ))
    }
}
