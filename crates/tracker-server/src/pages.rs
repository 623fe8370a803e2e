//! Lists of runs that clients read page by page.
//!
//! A cursor is how many runs came before. The stream behind a page is kept for a while, so that
//! the next page goes on where this one ended instead of looking for its beginning again; where
//! it is gone (another server, a page asked for twice) the runs before the cursor are read over.

use std::{
    collections::VecDeque,
    fmt,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use tracker_model::{Error, Result, Run, RunQuery, Tracker};

/// How many streams are kept.
const KEPT: usize = 64;
/// How long.
const KEPT_FOR: Duration = Duration::from_secs(120);

type RunStream = futures::stream::Peekable<BoxStream<'static, Result<Run>>>;

/// Streams that may go on.
#[derive(Default)]
pub(crate) struct Pages(Mutex<VecDeque<Kept>>);

struct Kept {
    key: String,
    since: Instant,
    runs: RunStream,
}

/// Some runs of a list.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) runs: Vec<Run>,
    /// The place of the first of them.
    pub(crate) first: u64,
    /// Whether more follow.
    pub(crate) more: bool,
}

impl Pages {
    /// The runs after a cursor. `whose` tells apart who asks and what a query does not say of
    /// itself.
    pub(crate) async fn read(
        &self,
        tracker: &dyn Tracker,
        whose: &str,
        query: RunQuery,
        after: Option<&str>,
        count: usize,
    ) -> Result<Page> {
        let first: u64 = match after {
            None | Some("") => 0,
            Some(cursor) => cursor.parse().map_err(|_| {
                Error::invalid(format!("{cursor:.40?} is not a cursor of this list"))
            })?,
        };
        let key = |at: u64| format!("{at} {whose} {query:?}");
        let kept = if first == 0 {
            None
        } else {
            self.take(&key(first))
        };
        let mut runs = match kept {
            Some(runs) => runs,
            None => {
                let mut runs = tracker.find_runs(query.clone()).peekable();
                for _ in 0..first {
                    if runs.try_next().await?.is_none() {
                        break;
                    }
                }
                runs
            }
        };
        let mut page = Vec::with_capacity(count.min(1_000));
        while page.len() < count
            && let Some(run) = runs.try_next().await?
        {
            page.push(run);
        }
        let more = std::pin::Pin::new(&mut runs).peek().await.is_some();
        let next = first + page.len() as u64;
        if more {
            self.keep(key(next), runs);
        }
        Ok(Page {
            runs: page,
            first,
            more,
        })
    }

    fn take(&self, key: &str) -> Option<RunStream> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = kept.iter().position(|entry| entry.key == key)?;
        let entry = kept.remove(place)?;
        (entry.since.elapsed() < KEPT_FOR).then_some(entry.runs)
    }

    fn keep(&self, key: String, runs: RunStream) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|entry| entry.since.elapsed() < KEPT_FOR && entry.key != key);
        if kept.len() >= KEPT {
            kept.pop_front();
        }
        let since = Instant::now();
        kept.push_back(Kept { key, since, runs });
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tracker_model::{MemoryTracker, Precondition, RunPatch, RunStore, Timestamp};

    use super::*;

    async fn ids(
        pages: &Pages,
        tracker: &MemoryTracker,
        after: Option<&str>,
    ) -> (Vec<String>, bool) {
        let page = pages
            .read(tracker, "me", RunQuery::new(), after, 2)
            .await
            .unwrap();
        let runs = page.runs.iter().map(|run| run.path.run.to_string());
        (runs.collect(), page.more)
    }

    #[tokio::test]
    async fn pages_follow_each_other() {
        let tracker = MemoryTracker::new();
        for i in 0..5 {
            let at = Timestamp::from_millis(1_000 - i);
            let patch = RunPatch::new().with_created_at(at);
            let path = format!("e/p/r{i}").parse().unwrap();
            tracker
                .upsert_run(&path, patch, Precondition::None)
                .await
                .unwrap();
        }
        let pages = Pages::default();
        let page = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(ids(&pages, &tracker, None).await, (page("r0", "r1"), true));
        for _ in 0..2 {
            // The second time, the stream is gone.
            assert_eq!(
                ids(&pages, &tracker, Some("2")).await,
                (page("r2", "r3"), true)
            );
        }
        assert_eq!(
            ids(&pages, &tracker, Some("4")).await,
            (vec!["r4".to_owned()], false)
        );
        assert_eq!(ids(&pages, &tracker, Some("9")).await, (vec![], false));
        let error = pages
            .read(&tracker, "", RunQuery::new(), Some("x"), 1)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), tracker_model::ErrorKind::InvalidInput);
    }
}
