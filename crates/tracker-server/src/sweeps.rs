//! What a sweep tries next.

pub(crate) mod bayes;
pub(crate) mod controller;
pub(crate) mod hand_out;
pub(crate) mod hyperband;
pub(crate) mod space;

use serde_json::{Value as Json, json};
use tracker_model::{Error, Result, RunFilter, Sweep};

/// What the server keeps of a sweep: which runs it was told to learn from before its own.
pub(crate) const PRIOR_RUNS: &str = "priorRunsFilters";

/// The runs of a sweep.
///
/// # Errors
/// None that a sweep's id could cause.
pub(crate) fn own_runs(sweep: &Sweep) -> Result<RunFilter> {
    filter(&own(sweep))
}

/// The runs that a sweep was told to learn from; `None` if it was not.
///
/// # Errors
/// `InvalidInput` if what was kept is no filter.
pub(crate) fn prior_runs(sweep: &Sweep) -> Result<Option<RunFilter>> {
    prior(sweep).as_ref().map(filter).transpose()
}

/// Both.
///
/// # Errors
/// `InvalidInput` if what was kept is no filter.
pub(crate) fn known_runs(sweep: &Sweep) -> Result<RunFilter> {
    match prior(sweep) {
        Some(prior) => filter(&json!({"$or": [own(sweep), prior]})),
        None => own_runs(sweep),
    }
}

fn own(sweep: &Sweep) -> Json {
    json!({"sweep": sweep.path.sweep.as_str()})
}

fn prior(sweep: &Sweep) -> Option<Json> {
    let kept = sweep.extras.get(crate::wire::EXTRAS)?.get(PRIOR_RUNS)?;
    serde_json::from_str(kept.as_str()?).ok()
}

fn filter(said: &Json) -> Result<RunFilter> {
    RunFilter::parse(&said.to_string()).map_err(Error::of_query)
}
