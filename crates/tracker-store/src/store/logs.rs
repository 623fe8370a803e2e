use std::ops::Range;

use async_trait::async_trait;
use futures::stream::BoxStream;
use tracker_model::{LogLine, LogStore, Result, RunPath};

use super::{EmbeddedStore, pages::paginate};
use crate::catalog::{logs, runs};

#[async_trait]
impl LogStore for EmbeddedStore {
    async fn write_log(&self, run: &RunPath, lines: Vec<LogLine>) -> Result<()> {
        lines.iter().try_for_each(LogLine::check)?;
        let path = run.clone();
        let write = move |c: &_| logs::write(c, runs::require(c, &path)?, &lines);
        self.catalog().write("write a log", write).await
    }

    fn log_lines(
        &self,
        run: &RunPath,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Vec<LogLine>>> {
        let (store, run) = (self.clone(), run.clone());
        let number = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let first = number(range.start);
        let last = number(range.end.saturating_sub(1));
        let is_empty = range.is_empty();
        paginate(move |next: Option<i64>| {
            let (store, run) = (store.clone(), run.clone());
            async move {
                let list = move |c: &_| {
                    let run = runs::require(c, &run)?;
                    if is_empty {
                        return Ok(Vec::new());
                    }
                    logs::page(c, run, next.unwrap_or(first), last)
                };
                let lines = store.catalog().read("read a log", list).await?;
                let end = lines
                    .last()
                    .and_then(|l| l.number.cast_signed().checked_add(1));
                let page = if lines.is_empty() {
                    vec![]
                } else {
                    vec![lines]
                };
                Ok((page, end))
            }
        })
    }

    async fn log_length(&self, run: &RunPath) -> Result<u64> {
        let path = run.clone();
        let read = move |c: &_| logs::length(c, runs::require(c, &path)?);
        self.catalog().look_up("read a log", read).await
    }
}
