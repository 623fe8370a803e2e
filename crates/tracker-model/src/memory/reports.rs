use async_trait::async_trait;
use futures::stream::BoxStream;

use super::{MemoryTracker, stream_of};
use crate::{Error, ProjectPath, Report, ReportPatch, ReportPath, ReportStore, Result, Timestamp};

fn missing(path: &ReportPath) -> Error {
    Error::not_found(format_args!("report {path}"))
}

#[async_trait]
impl ReportStore for MemoryTracker {
    async fn upsert_report(&self, path: &ReportPath, patch: ReportPatch) -> Result<Report> {
        let mut state = self.state();
        state.project_mut(&path.project_path());
        let make = || Report::new(path.clone(), Timestamp::now());
        let report = state.reports.entry(path.clone()).or_insert_with(make);
        patch.apply(report);
        report.version += 1;
        Ok(report.clone())
    }

    async fn report(&self, path: &ReportPath) -> Result<Report> {
        let found = self.state().reports.get(path).cloned();
        found.ok_or_else(|| missing(path))
    }

    fn reports(&self, project: &ProjectPath) -> BoxStream<'static, Result<Report>> {
        let state = self.state();
        let found = state.project(project).map(|_| {
            let of_project = |r: &&Report| r.path.project_path() == *project;
            let mut found: Vec<Report> =
                state.reports.values().filter(of_project).cloned().collect();
            found.sort_by(|a, b| (b.created_at, &a.path).cmp(&(a.created_at, &b.path)));
            found
        });
        stream_of(found)
    }

    async fn delete_report(&self, path: &ReportPath) -> Result<()> {
        let removed = self.state().reports.remove(path);
        removed.map(drop).ok_or_else(|| missing(path))
    }
}
