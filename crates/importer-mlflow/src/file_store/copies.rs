//! Runs that somebody copied into another experiment: folders of the same name in several.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{BuildHasher, RandomState},
};

use super::{
    layout::{Child, Store},
    run::read_run_meta,
};

/// Of the names that runs of several experiments have: the experiment whose run keeps it as its id.
#[derive(Debug, Default)]
pub(super) struct Copies(BTreeMap<String, String>);

impl Copies {
    /// Looks at the names of all runs, deleted experiments included: the answer does not depend on
    /// what is selected. Only names that come twice are kept in memory.
    pub(super) fn find(store: &Store) -> Self {
        let hasher = RandomState::new();
        let mut hashes = Vec::new();
        each_run(store, &mut |_, run| hashes.push(hasher.hash_one(&run.name)));
        hashes.sort_unstable();
        let twice: HashSet<u64> = hashes
            .windows(2)
            .filter(|pair| pair.first() == pair.last())
            .flatten()
            .copied()
            .collect();
        let mut places: BTreeMap<String, Vec<(Child, Child)>> = BTreeMap::new();
        if !twice.is_empty() {
            each_run(store, &mut |experiment, run| {
                if twice.contains(&hasher.hash_one(&run.name)) {
                    let places = places.entry(run.name.clone()).or_default();
                    if places
                        .iter()
                        .all(|(other, _)| other.name != experiment.name)
                    {
                        places.push((experiment.clone(), run));
                    }
                }
            });
        }
        let kept = places
            .into_iter()
            .filter_map(|(name, places)| Some((name, keeper(&places)?)));
        Self(kept.collect())
    }

    /// The id of a run: the name of its folder, and for a copy that of its experiment behind it.
    pub(super) fn run_id(&self, experiment: &Child, folder: &str) -> String {
        match self.0.get(folder) {
            Some(keeper) if *keeper != experiment.name => {
                format!("{folder}-{}", experiment.name)
            }
            _ => folder.to_owned(),
        }
    }
}

/// The first experiment that the run itself names as its own, else the first that has it; none if
/// there is no other run of this name.
fn keeper(places: &[(Child, Child)]) -> Option<String> {
    let mut readable = places.iter().filter_map(|(experiment, run)| {
        let (_, file) = read_run_meta(experiment, run).ok()?;
        let is_own = file.experiment_id.as_ref() == Some(&experiment.name);
        Some((&experiment.name, is_own))
    });
    let first = readable.next()?;
    let mut others = readable.peekable();
    others.peek()?;
    let own = std::iter::once(first).chain(others).find(|(_, own)| *own);
    Some(own.unwrap_or(first).0.clone())
}

/// Visits the folders of all runs. What cannot be listed is told by the listing.
fn each_run(store: &Store, visit: &mut dyn FnMut(&Child, Child)) {
    let Ok(experiments) = store.experiment_folders(true) else {
        return;
    };
    for experiment in experiments.flatten() {
        let Ok(runs) = store.run_folders(&experiment.path) else {
            continue;
        };
        runs.flatten().for_each(|run| visit(&experiment, run));
    }
}
