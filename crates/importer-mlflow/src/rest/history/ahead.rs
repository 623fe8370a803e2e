//! Reading ahead: runs that are asked for one after the other are read several at once.
//!
//! The window is one run at first and doubles as long as runs are asked for in turn, as when a
//! project is imported for the first time. Where single runs are asked for, as in a repeat, next
//! to nothing is read in vain.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use futures::{
    FutureExt, StreamExt,
    future::{BoxFuture, Shared},
    stream,
};
use tracker_model::Result;

use super::{BULK_CAP, Columns, History, bulk::MAX_RUNS, started};
use crate::rest::{api::Api, wire::Metric};

/// About how many points a window has at most.
const WINDOW_POINTS: usize = 50_000;
/// About how many points one call asks for at most: well below its limit, as this is an estimate.
const CALL_POINTS: usize = 20_000;
/// Points after which a window is left unfinished, the estimates having been wrong.
const MAX_LOADED: usize = 400_000;
/// Windows that are held.
const MAX_WINDOWS: usize = 3;

/// What was read ahead of one run: whole series by their keys.
pub(super) type Loaded = HashMap<String, Columns>;

/// A window that is being read, or was: what is there of each run, until it is taken.
type Reading = Shared<BoxFuture<'static, Arc<Mutex<HashMap<usize, Loaded>>>>>;

/// The runs of a page of a listing, in its order.
pub(in crate::rest) struct ReadAhead {
    api: Api,
    history: Arc<History>,
    runs: Vec<(Arc<str>, Arc<[Metric]>)>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    windows: VecDeque<Window>,
    /// How many runs the next window has.
    size: usize,
}

struct Window {
    runs: Range<usize>,
    /// How many of them were asked for.
    taken: usize,
    loaded: Reading,
}

impl ReadAhead {
    pub(in crate::rest) fn new(
        api: Api,
        history: Arc<History>,
        runs: Vec<(Arc<str>, Arc<[Metric]>)>,
    ) -> Arc<Self> {
        Arc::new(Self {
            api,
            history,
            runs,
            state: Mutex::default(),
        })
    }

    /// What has been read of the run at this place. What is missing there is still to be read.
    pub(super) async fn take(self: &Arc<Self>, index: usize) -> Loaded {
        if !self.history.reads_several() {
            return Loaded::new();
        }
        let loaded = self.window_of(index).await;
        loaded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&index)
            .unwrap_or_default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn window_of(self: &Arc<Self>, index: usize) -> Reading {
        let mut state = self.state();
        if !state
            .windows
            .iter()
            .any(|window| window.runs.contains(&index))
        {
            self.begin(&mut state, index);
        }
        let Some(at) = state
            .windows
            .iter()
            .position(|window| window.runs.contains(&index))
        else {
            // It was read ahead of, and nobody came for it in time.
            return futures::future::ready(Arc::default()).boxed().shared();
        };
        let is_last = at + 1 == state.windows.len();
        let Some(window) = state.windows.get_mut(at) else {
            return futures::future::ready(Arc::default()).boxed().shared();
        };
        window.taken += 1;
        let (loaded, end) = (window.loaded.clone(), window.runs.end);
        if is_last && window.runs.len() > 1 && end < self.runs.len() {
            self.begin(&mut state, end);
        }
        loaded
    }

    /// Begins to read a window.
    fn begin(self: &Arc<Self>, state: &mut State, index: usize) {
        let in_turn = match state.windows.back() {
            None => false,
            Some(last) => last.runs.end == index && last.taken > 0,
        };
        state.size = if in_turn {
            (state.size * 2).clamp(1, MAX_RUNS)
        } else {
            1
        };
        let runs = self.extent(index, state.size);
        let loaded = if runs.len() > 1 {
            let work = started(self.clone().load(runs.clone()));
            async move { Arc::new(Mutex::new(work.await.unwrap_or_default())) }.boxed()
        } else {
            // One run alone is read while it is written.
            futures::future::ready(Arc::default()).boxed()
        };
        state.windows.push_back(Window {
            runs,
            taken: 0,
            loaded: loaded.shared(),
        });
        while state.windows.len() > MAX_WINDOWS {
            state.windows.pop_front();
        }
    }

    /// From this run on, so many runs, but no more than about what a window may hold.
    fn extent(&self, begin: usize, size: usize) -> Range<usize> {
        let mut points = 0usize;
        let mut fits = |(_, metrics): &(Arc<str>, Arc<[Metric]>)| {
            let run: usize = metrics.iter().map(|m| m.estimate().min(BULK_CAP)).sum();
            points = points.saturating_add(run);
            points <= WINDOW_POINTS
        };
        let rest = self.runs.get(begin..).unwrap_or_default();
        let count = rest.iter().take(size).take_while(|run| fits(run)).count();
        begin..begin + count.max(1)
    }

    /// Reads metric by metric. An error ends it: who asks for what is missing will meet it.
    async fn load(self: Arc<Self>, runs: Range<usize>) -> Result<HashMap<usize, Loaded>> {
        let mut by_key: BTreeMap<&str, Vec<(usize, &Metric)>> = BTreeMap::new();
        for index in runs {
            let metrics = self
                .runs
                .get(index)
                .map(|(_, metrics)| &metrics[..])
                .unwrap_or_default();
            for metric in metrics {
                by_key.entry(&metric.key).or_default().push((index, metric));
            }
        }
        let places = |of: Vec<(usize, &Metric)>| of.into_iter().map(|(index, _)| index).collect();
        let calls: Vec<(String, Vec<usize>)> = by_key
            .into_iter()
            .flat_map(|(key, of)| split(of).map(move |of| (key.to_owned(), places(of))))
            .collect();
        let this = &self;
        let mut answers = stream::iter(calls)
            .map(|(key, of)| {
                let this = Arc::clone(this);
                started(async move { this.call(key, of).await })
            })
            .buffer_unordered(self.api.max_in_flight());
        let (mut loaded, mut total) = (HashMap::<usize, Loaded>::new(), 0);
        while let Some(Ok(series)) = answers.next().await {
            for (index, key, points) in series {
                total += points.len();
                loaded.entry(index).or_default().insert(key, points);
            }
            if total > MAX_LOADED {
                break;
            }
        }
        Ok(loaded)
    }

    async fn call(&self, key: String, of: Vec<usize>) -> Result<Vec<(usize, String, Columns)>> {
        let ids: Vec<&str> = of
            .iter()
            .filter_map(|index| Some(&*self.runs.get(*index)?.0))
            .collect();
        let mut complete = self.history.of_several(&self.api, &key, &ids).await?;
        let series = of.into_iter().filter_map(|index| {
            let (id, metrics) = self.runs.get(index)?;
            let points = complete.remove(&**id)?;
            let latest = metrics.iter().find(|metric| metric.key == key)?;
            points.holds(latest).then(|| (index, key.clone(), points))
        });
        Ok(series.collect())
    }
}

/// Cuts the runs of a metric into parts that one call can answer.
fn split(of: Vec<(usize, &Metric)>) -> impl Iterator<Item = Vec<(usize, &Metric)>> {
    let mut parts: Vec<Vec<(usize, &Metric)>> = Vec::new();
    let mut points = usize::MAX;
    for (index, metric) in of {
        points = points.saturating_add(metric.estimate());
        match parts.last_mut() {
            Some(part) if points <= CALL_POINTS && part.len() < MAX_RUNS => {
                part.push((index, metric))
            }
            _ => {
                points = metric.estimate();
                parts.push(vec![(index, metric)]);
            }
        }
    }
    parts.into_iter()
}

impl fmt::Debug for ReadAhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadAhead")
            .field("runs", &self.runs.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rest::number::Int;

    fn metric(step: i64) -> Metric {
        Metric {
            step: Int(step),
            ..Metric::default()
        }
    }

    #[test]
    fn calls_stay_below_the_limit() {
        let (short, long) = (metric(9), metric(15_000));
        let of: Vec<_> = (0..250)
            .map(|i| (i, if i == 120 { &long } else { &short }))
            .collect();
        let parts: Vec<_> = split(of).collect();
        assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 250);
        for part in &parts {
            assert!(part.len() <= MAX_RUNS);
            assert!(part.iter().map(|(_, m)| m.estimate()).sum::<usize>() <= CALL_POINTS);
        }
        assert!(parts.len() <= 4, "{}", parts.len());
    }
}
