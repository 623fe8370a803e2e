//! Parts of the contract that this store does not keep yet, and says so.

use std::{fmt::Display, ops::Range};

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};
use tracker_model::{
    ByteStream, ContentStore, Digests, Error, ErrorKind, LogLine, LogStore, ProjectPath,
    ProjectStore, Report, ReportPatch, ReportPath, ReportStore, Result, RunPath, RunStore,
};

use super::EmbeddedStore;

/// What is said of `what` until then.
pub(super) fn later(what: impl Display) -> Error {
    let message = format!("{what}: this store cannot do this yet");
    Error::new(ErrorKind::Unsupported, message)
}

#[async_trait]
impl LogStore for EmbeddedStore {
    async fn write_log(&self, run: &RunPath, _lines: Vec<LogLine>) -> Result<()> {
        Err(later(run))
    }

    fn log_lines(
        &self,
        run: &RunPath,
        _range: Range<u64>,
    ) -> BoxStream<'static, Result<Vec<LogLine>>> {
        let (store, run) = (self.clone(), run.clone());
        let none = async move { store.log_length(&run).await.map(|_| Vec::new()) };
        let empty = |lines: &Result<Vec<LogLine>>| std::future::ready(lines.is_err());
        futures::stream::once(none).filter(empty).boxed()
    }

    async fn log_length(&self, run: &RunPath) -> Result<u64> {
        self.run(run).await.map(|_| 0)
    }
}

#[async_trait]
impl ReportStore for EmbeddedStore {
    async fn upsert_report(&self, path: &ReportPath, _patch: ReportPatch) -> Result<Report> {
        Err(later(path))
    }

    async fn report(&self, path: &ReportPath) -> Result<Report> {
        Err(Error::not_found(format_args!("report {path}")))
    }

    fn reports(&self, project: &ProjectPath) -> BoxStream<'static, Result<Report>> {
        let (store, project) = (self.clone(), project.clone());
        let check = async move { store.project(&project).await.map(|_| Vec::new()) };
        futures::stream::once(check)
            .flat_map(|none| match none {
                Ok(none) => futures::stream::iter(none).boxed(),
                Err(e) => futures::stream::once(std::future::ready(Err(e))).boxed(),
            })
            .boxed()
    }

    async fn delete_report(&self, path: &ReportPath) -> Result<()> {
        Err(Error::not_found(format_args!("report {path}")))
    }
}

#[async_trait]
impl ContentStore for EmbeddedStore {
    async fn put_content(&self, _body: ByteStream) -> Result<Digests> {
        Err(later(self))
    }

    async fn open_content(
        &self,
        digests: &Digests,
        _range: Option<Range<u64>>,
    ) -> Result<ByteStream> {
        Err(later(&digests.blake3))
    }
}
