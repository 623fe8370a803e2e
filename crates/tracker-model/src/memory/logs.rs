use std::ops::Range;

use async_trait::async_trait;
use futures::{StreamExt, stream::BoxStream};

use super::{MemoryTracker, stream_of};
use crate::{LogLine, LogStore, Result, RunPath};

/// Lines that come together.
const BATCH: usize = 1000;

#[async_trait]
impl LogStore for MemoryTracker {
    async fn write_log(&self, run: &RunPath, lines: Vec<LogLine>) -> Result<()> {
        lines.iter().try_for_each(LogLine::check)?;
        let mut state = self.state();
        let log = &mut state.run_mut(run)?.log;
        log.extend(lines.into_iter().map(|line| (line.number, line)));
        Ok(())
    }

    fn log_lines(
        &self,
        run: &RunPath,
        range: Range<u64>,
    ) -> BoxStream<'static, Result<Vec<LogLine>>> {
        if let Err(e) = self.state().run(run) {
            return stream_of(Err::<Vec<_>, _>(e));
        }
        // Batches are made as they are asked for.
        let (tracker, run) = (self.clone(), run.clone());
        futures::stream::unfold(range, move |range| {
            let state = tracker.state();
            let log = state.run(&run).ok().map(|entry| &entry.log);
            let lines = log
                .filter(|_| !range.is_empty())
                .map(|log| log.range(range.clone()));
            let batch: Vec<LogLine> = lines
                .into_iter()
                .flatten()
                .take(BATCH)
                .map(|(_, line)| line.clone())
                .collect();
            let next = batch.last().map(|last| last.number + 1..range.end);
            std::future::ready(next.map(|next| (Ok(batch), next)))
        })
        .boxed()
    }

    async fn log_length(&self, run: &RunPath) -> Result<u64> {
        let state = self.state();
        let last = state.run(run)?.log.last_key_value();
        Ok(last.map_or(0, |(number, _)| number + 1))
    }
}
