use async_trait::async_trait;
use futures::stream::BoxStream;
use tracker_model::{
    Error, ProjectPath, Report, ReportPatch, ReportPath, ReportStore, Result, Timestamp,
};

use super::{EmbeddedStore, pages::paginate};
use crate::catalog::reports::{self, Cursor};

/// Each may be some MiB.
const PAGE: usize = 16;

#[async_trait]
impl ReportStore for EmbeddedStore {
    async fn upsert_report(&self, path: &ReportPath, patch: ReportPatch) -> Result<Report> {
        let path = path.clone();
        let change = move |c: &_| {
            let found = reports::find(c, &path)?;
            let (id, mut report) = found.map_or_else(
                || (None, Report::new(path, Timestamp::now())),
                |(id, report)| (Some(id), report),
            );
            patch.apply(&mut report);
            report.version += 1;
            match id {
                Some(id) => reports::update(c, id, &report)?,
                None => reports::insert(c, &report)?,
            }
            Ok(report)
        };
        self.catalog().write("write a report", change).await
    }

    async fn report(&self, path: &ReportPath) -> Result<Report> {
        let key = path.clone();
        let read = move |c: &_| reports::find(c, &key);
        let found = self.catalog().read("read a report", read).await?;
        found
            .map(|(_, report)| report)
            .ok_or_else(|| Error::not_found(format_args!("report {path}")))
    }

    fn reports(&self, project: &ProjectPath) -> BoxStream<'static, Result<Report>> {
        let (store, project) = (self.clone(), project.clone());
        paginate(move |after: Option<Cursor>| {
            let (store, project) = (store.clone(), project.clone());
            async move {
                let list = move |c: &_| reports::page(c, &project, after.as_ref(), PAGE);
                let page = store.catalog().read("list reports", list).await?;
                let last = page.last().filter(|_| page.len() == PAGE);
                let last = last.map(Cursor::behind);
                Ok((page, last))
            }
        })
    }

    async fn delete_report(&self, path: &ReportPath) -> Result<()> {
        let path = path.clone();
        let delete = move |c: &_| match reports::find(c, &path)? {
            Some((id, _)) => reports::delete(c, id),
            None => Err(Error::not_found(format_args!("report {path}")).into()),
        };
        self.catalog().write("delete a report", delete).await
    }
}
