use std::ops::Range;

use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{MemoryTracker, contents::Blob, stream_of};
use crate::{ByteStream, Error, FileDraft, FileInfo, FileStore, Result, RunPath, check_file_name};

fn missing(run: &RunPath, name: &str) -> Error {
    Error::not_found(format_args!("file {name:?} of run {run}"))
}

#[async_trait]
impl FileStore for MemoryTracker {
    async fn put_file(&self, run: &RunPath, file: FileDraft, body: ByteStream) -> Result<FileInfo> {
        check_file_name(&file.name)?;
        self.state().run(run)?;
        let blob = Blob::read(body).await?;
        let FileDraft {
            name,
            modified_at,
            extras,
        } = file;
        let digests = blob.digests.clone();
        let info = FileInfo {
            name: name.clone(),
            digests,
            modified_at,
            extras,
        };
        let mut state = self.state();
        let blob = state.contents.keep(blob);
        state.run_mut(run)?.files.insert(name, (info.clone(), blob));
        Ok(info)
    }

    fn files(&self, run: &RunPath) -> BoxStream<'static, Result<FileInfo>> {
        let state = self.state();
        let files = |entry: &super::RunEntry| -> Vec<FileInfo> {
            entry.files.values().map(|(info, _)| info.clone()).collect()
        };
        stream_of(state.run(run).map(files))
    }

    async fn open_file(
        &self,
        run: &RunPath,
        name: &str,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        let state = self.state();
        let (_, blob) = state
            .run(run)?
            .files
            .get(name)
            .ok_or_else(|| missing(run, name))?;
        Ok(blob.open(range))
    }

    async fn delete_file(&self, run: &RunPath, name: &str) -> Result<()> {
        let removed = self.state().run_mut(run)?.files.remove(name);
        removed.map(drop).ok_or_else(|| missing(run, name))
    }
}
