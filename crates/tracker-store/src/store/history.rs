mod scan;
mod seal;
mod truncate;
mod writer;

pub(super) use writer::remove_files;

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tracker_model::{
    HistoryQuery, HistoryStore, HistoryStream, HistoryWriter, PointBatch, Result, RunPath,
    SampleQuery, SeriesInfo, SeriesKey, sample_by_scan,
};

use super::{EmbeddedStore, blocking};
use crate::{
    catalog::{runs, segments, tail},
    history::{Plan, by_series, observe},
};

/// Bytes of points that are encoded sooner than another thread is woken.
const AT_ONCE: usize = 1 << 20;

#[async_trait]
impl HistoryStore for EmbeddedStore {
    async fn append(
        &self,
        run: &RunPath,
        stream: HistoryStream,
        at: u64,
        batches: Vec<PointBatch>,
    ) -> Result<u64> {
        self.catalog().check_writable()?;
        let path = run.clone();
        let weight: usize = batches.iter().map(PointBatch::weight).sum();
        let encode = move || tail::Fresh::new(&path, at, batches);
        let fresh = if weight < AT_ONCE {
            encode()?
        } else {
            blocking("append to a history", encode).await?
        };
        let path = run.clone();
        let append = move |c: &_| tail::append(c, &path, stream, at, fresh);
        let appended = self.catalog().write("append to a history", append).await?;
        if appended.points >= seal::SEAL_FROM {
            self.try_seal(run).await;
        }
        Ok(appended.next_row)
    }

    async fn next_row(&self, run: &RunPath, stream: HistoryStream) -> Result<u64> {
        let path = run.clone();
        let read = move |c: &_| tail::next_row(c, runs::require(c, &path)?, stream);
        self.catalog().look_up("read a history", read).await
    }

    async fn truncate(&self, run: &RunPath, stream: HistoryStream, from_row: u64) -> Result<()> {
        truncate::truncate(self, run, stream, from_row).await
    }

    async fn history_writer(
        &self,
        run: &RunPath,
        stream: HistoryStream,
        token: &str,
    ) -> Result<Box<dyn HistoryWriter>> {
        Ok(Box::new(
            writer::StoreWriter::open(self, run, stream, token).await?,
        ))
    }

    async fn series(&self, run: &RunPath, stream: HistoryStream) -> Result<Vec<SeriesInfo>> {
        let path = run.clone();
        let read = move |c: &_| {
            let run = runs::require(c, &path)?;
            let view = segments::view(c, run, stream, None)?;
            let tail = by_series(tail::read(c, run, stream)?, &view);
            Ok((view, tail))
        };
        let (view, tail) = self.catalog().look_up("read a history", read).await?;
        let mut infos: BTreeMap<SeriesKey, SeriesInfo> = view
            .series
            .iter()
            .map(|(key, s)| (key.clone(), s.info.clone()))
            .collect();
        observe(&mut infos, &tail);
        let long = view
            .series
            .iter()
            .filter(|(key, s)| s.long_last && !tail.contains_key(*key));
        for (key, s) in long {
            let keys = BTreeSet::from([key.clone()]);
            let mut plan = Plan::new(
                &view,
                Some(&keys),
                s.info.count.saturating_sub(1)..s.info.count,
            );
            let store = self.inner();
            let last = blocking("read a history", move || {
                segments::load_data(&store.catalog, &mut plan)?;
                plan.open(&store.storage)?.collect::<Result<Vec<_>>>()
            });
            let last = last
                .await?
                .last()
                .and_then(|b| b.values.get(b.len().saturating_sub(1)));
            infos.entry(key.clone()).and_modify(|info| info.last = last);
        }
        Ok(infos.into_values().filter(|info| info.count > 0).collect())
    }

    fn scan(&self, run: &RunPath, query: HistoryQuery) -> BoxStream<'static, Result<PointBatch>> {
        let (store, run) = (self.clone(), run.clone());
        scan::scan(store, run, query)
    }

    async fn sample(&self, run: &RunPath, query: SampleQuery) -> Result<Vec<PointBatch>> {
        sample_by_scan(self, run, query).await
    }
}
