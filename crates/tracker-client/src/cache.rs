use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tracker_model::{Run, RunPath};

use crate::runs::{Asked, Pages};

/// Runs that are remembered one by one.
const MOST_RUNS: usize = 1000;
/// Lists of runs that are remembered.
const MOST_LISTS: usize = 16;

/// What an API has read, the latest of it. It forgets the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Cache(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// How often something was changed or forgotten: what was asked for before and comes after is
    /// not remembered.
    epoch: u64,
    runs: HashMap<RunPath, Arc<Run>>,
    /// The runs in the order in which they are forgotten.
    order: VecDeque<RunPath>,
    lists: VecDeque<(Asked, Arc<Pages>)>,
}

impl Cache {
    fn known(&self) -> MutexGuard<'_, Known> {
        // Every change is whole before anything can panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A run, if it is known; else a mark for [`Cache::learn`].
    pub(crate) fn run(&self, path: &RunPath) -> Result<Arc<Run>, u64> {
        let known = self.known();
        known.runs.get(path).map(Arc::clone).ok_or(known.epoch)
    }

    /// What is known of a run, if that is newer.
    pub(crate) fn newest(&self, run: Arc<Run>) -> Arc<Run> {
        let known = self.known();
        match known.runs.get(&run.path) {
            Some(newer) if newer.version > run.version => Arc::clone(newer),
            _ => run,
        }
    }

    /// Remembers a run that was read since the mark was given.
    pub(crate) fn learn(&self, mark: u64, run: &Arc<Run>) {
        let mut known = self.known();
        if known.epoch == mark {
            known.put(run);
        }
    }

    /// The pages of a list; the same ones each time until something changes.
    pub(crate) fn pages(&self, asked: &Asked, make: impl FnOnce() -> Pages) -> Arc<Pages> {
        let mut known = self.known();
        if let Some((_, pages)) = known.lists.iter().find(|(other, _)| other == asked) {
            return Arc::clone(pages);
        }
        let pages = Arc::new(make());
        if known.lists.len() == MOST_LISTS {
            known.lists.pop_front();
        }
        known.lists.push_back((asked.clone(), Arc::clone(&pages)));
        pages
    }

    /// A run was changed, and is like this now. It may belong into other lists now.
    pub(crate) fn changed(&self, run: &Arc<Run>) {
        let mut known = self.known();
        known.change();
        known.put(run);
    }

    /// A run is gone.
    pub(crate) fn gone(&self, path: &RunPath) {
        let mut known = self.known();
        known.change();
        known.forget(path);
    }

    /// Forgets everything.
    pub(crate) fn flush(&self) {
        let mut known = self.known();
        known.change();
        known.runs.clear();
        known.order.clear();
    }
}

impl Known {
    fn change(&mut self) {
        self.epoch += 1;
        self.lists.clear();
    }

    fn put(&mut self, run: &Arc<Run>) {
        if self
            .runs
            .insert(run.path.clone(), Arc::clone(run))
            .is_some()
        {
            return;
        }
        if self.order.len() == MOST_RUNS
            && let Some(oldest) = self.order.pop_front()
        {
            self.runs.remove(&oldest);
        }
        self.order.push_back(run.path.clone());
    }

    fn forget(&mut self, path: &RunPath) {
        if self.runs.remove(path).is_some() {
            self.order.retain(|other| other != path);
        }
    }
}
